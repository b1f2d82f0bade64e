"""Brings deliveries to their channels: one thread per channel, so that one that is dead never delays another.

At least once: a delivery is tried until the other side took it, or said that it never will, or it is given up
(`retries`), or a newer one tells of the same (`superseding`). Its row is to be in the store before the first attempt; a
store that does not take it within 2 s does not hold the message back.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from guardrails.alerts.attempts import ATTEMPT_SECONDS, MOST_STUCK, Attempts
from guardrails.alerts.channel import Channel
from guardrails.alerts.lane import MOST_WAITING, Lane, Waiting
from guardrails.alerts.values import ChannelRow, Delivery, DeliveryState, Outcome, Receipt, Severity
from guardrails.keeper import Kept

log = logging.getLogger(__name__)

KEPT_SECONDS = 2.0
"""how long a message waits for its row to be kept"""
FAULT_SECONDS = 1.0
"""between two tries of a lane that has a fault"""
HOLD_LOOK_SECONDS = 0.2
"""between two looks whether it is known again that this program watches"""


def is_critical(delivery: Delivery) -> bool:
    """Whether it says that something CRITICAL is wrong."""
    return delivery.message.severity is Severity.CRITICAL and not delivery.message.resolved


@dataclass(frozen=True, slots=True)
class Manner:
    """How deliveries are sent; tests are quicker."""

    attempt_seconds: float = ATTEMPT_SECONDS
    kept_seconds: float = KEPT_SECONDS
    most_waiting: int = MOST_WAITING
    jitter: Callable[[], float] = random.random
    """draws in [0, 1)"""


class Sending:
    """Start it, put deliveries, stop it. All may be called from any thread; nothing but `stop` waits."""

    def __init__(
        self,
        channels: Sequence[Channel],
        clock: Callable[[], datetime],
        told: Callable[[Delivery], None],
        *,
        keeps: Callable[[Delivery], bool] = is_critical,
        manner: Manner | None = None,
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        """`told` gets every delivery whose state is another now, in the thread of its channel; it must not block.

        What `keeps` says yes to is not given up because it failed too often. Nothing is tried while `holds`.
        """
        self.channels = tuple(channels)
        """all of them"""
        self._now, self._told = clock, told
        self._posts = {
            channel.name: _Post(channel, clock, told, keeps, manner or Manner(), holds) for channel in channels
        }  # fmt: skip

    def start(self) -> None:
        """Begin, also again after a stop."""
        for post in self._posts.values():
            post.start()

    @property
    def usable(self) -> tuple[Channel, ...]:
        """Those that can be used as they are configured."""
        return tuple(channel for channel in self.channels if not channel.problem)

    def put(self, delivery: Delivery, kept: Kept | None = None) -> None:
        """Bring `delivery` to its channel; `kept` says when the store has it, None that it has.

        One for a channel that there is not is given up at once.
        """
        post = self._posts.get(delivery.channel)
        if post is not None:
            post.put(delivery, kept)
            return
        detail = f"there is no channel {delivery.channel} any more; see the settings"
        gone = replace(delivery, state=DeliveryState.DEAD, attempts=delivery.attempts + 1, due=None, detail=detail)
        self._told(replace(gone, changed=self._now()))

    def rows(self) -> tuple[ChannelRow, ...]:
        """How every channel does."""
        return tuple(post.row() for post in self._posts.values())

    def forget(self) -> None:
        """Send nothing of what waits; an attempt under way may still succeed."""
        for post in self._posts.values():
            post.forget()

    def stop(self, seconds: float) -> None:
        """Send what waits, the loudest first, for at most `seconds`; the rest is forgotten here.

        A channel that fails once meanwhile is not tried again.
        """
        end = time.monotonic() + seconds
        for post in self._posts.values():
            post.drain()
        for post in self._posts.values():
            post.end(max(end - time.monotonic(), 0.0))


@dataclass(slots=True)
class _Shift:
    """One run of a thread; one that hangs in an attempt beyond the stop must not go on after the next start."""

    is_draining: bool = False
    has_ended: bool = False


class _Post:
    """One channel, its lane and its thread."""

    def __init__(
        self,
        channel: Channel,
        clock: Callable[[], datetime],
        told: Callable[[Delivery], None],
        keeps: Callable[[Delivery], bool],
        manner: Manner,
        holds: Callable[[], bool],
    ) -> None:
        self._name, self._now, self._told, self._keeps, self._manner = channel.name, clock, told, keeps, manner
        self._holds = holds
        self._lane = Lane(channel, manner.most_waiting)
        self._attempts = Attempts(channel, manner.attempt_seconds, self._late)
        self._changed = threading.Condition()
        """guards the lane"""
        self._shift = _Shift(has_ended=True)
        self._thread: threading.Thread | None = None
        self._fault = ""
        """why nothing is tried, which is no fault of the other side"""

    def start(self) -> None:
        with self._changed:
            if not self._shift.has_ended:
                return
            self._shift = _Shift()
            self._thread = threading.Thread(
                target=self._run, args=(self._shift,), name=f"alerts to {self._name}", daemon=True
            )
            self._thread.start()

    def put(self, delivery: Delivery, kept: Kept | None) -> None:
        with self._changed:
            others = self._lane.put(delivery, kept, self._now(), time.monotonic())
            self._changed.notify_all()
        for other in others:
            self._told(other)

    def row(self) -> ChannelRow:
        with self._changed:
            row = self._lane.row(self._now(), time.monotonic())
            fault, is_working = self._fault, not (self._shift.has_ended or self._shift.is_draining)
        if is_working and self._thread is not None and not self._thread.is_alive():
            fault = "its thread has ended; start the program again"
        if fault:
            return replace(row, works=False, problem=row.problem or fault)
        if self._attempts.stuck >= MOST_STUCK:
            return replace(row, last_detail=f"{row.last_detail}; {MOST_STUCK} attempts have not come back")
        return row

    def forget(self) -> None:
        with self._changed:
            self._lane.forget()

    def drain(self) -> None:
        with self._changed:
            self._shift.is_draining = True
            self._changed.notify_all()

    def end(self, seconds: float) -> None:
        """Wait for the thread for at most `seconds`; then it sends nothing more."""
        if self._thread is not None:
            self._thread.join(seconds)
        with self._changed:
            self._shift.has_ended = True
            self._lane.forget()
            self._changed.notify_all()

    def _run(self, shift: _Shift) -> None:
        while not shift.has_ended:
            try:
                waiting = self._next(shift)
                self._fault = ""
                if waiting is None:
                    return
                self._try(waiting, shift)
            except Exception as error:  # the thread outlives whatever goes wrong; the delivery is tried again
                log.exception("delivering to %s failed", self._name)
                self._fault = f"delivering failed ({type(error).__name__}); see the log"
                with self._changed:
                    self._changed.wait(FAULT_SECONDS)

    def _next(self, shift: _Shift) -> Waiting | None:
        """Wait until something is to be tried; None when the shift is over."""
        with self._changed:
            while not shift.has_ended:
                if self._holds() and not shift.is_draining:
                    self._changed.wait(HOLD_LOOK_SECONDS)
                    continue
                is_free = self._attempts.stuck < MOST_STUCK
                waiting = self._lane.take(time.monotonic(), draining=shift.is_draining) if is_free else None
                if waiting is not None or shift.is_draining:
                    return waiting
                self._changed.wait(self._lane.seconds_to_next(time.monotonic()) if is_free else None)
            return None

    def _try(self, waiting: Waiting, shift: _Shift) -> None:
        receipt, keep = Receipt(Outcome.FAILED, "not tried"), True
        try:
            delivery = waiting.delivery
            self._until_kept(waiting)
            receipt = self._attempts.send(delivery.key, delivery.message)
            keep = self._keeps(delivery)
        finally:
            with self._changed:
                after = self._lane.finish(receipt, self._now(), time.monotonic(), self._manner.jitter(), keep=keep)
                shift.has_ended |= shift.is_draining and receipt.outcome is not Outcome.SENT
                self._changed.notify_all()
            if after is not None:
                self._told(after)

    def _until_kept(self, waiting: Waiting) -> None:
        if waiting.kept is None or waiting.delivery.attempts:
            return
        left = waiting.put + self._manner.kept_seconds - time.monotonic()
        try:
            is_kept = waiting.kept.wait(max(left, 0.0))
        except Exception:  # the store's trouble is not the reader's
            log.exception("it is not known whether the store has a message")
            is_kept = False
        if not is_kept:
            log.warning("the store has not taken a message to %s yet; it is sent anyhow", self._name)

    def _late(self, key: str, receipt: Receipt) -> None:
        with self._changed:
            after = self._lane.late(key, receipt, self._now())
            self._changed.notify_all()
        if after is not None:
            self._told(after)
