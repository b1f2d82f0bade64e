"""The dead-man's switch at work: a thread that pings the monitor when `guardrails.alerts.pulse` says so.

Nothing waits for it: it only looks at what the engine shows, and a monitor that does not answer costs this thread
alone. The page sees it as `WatchRow`, and as a channel when a ping fails.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guardrails.alerts.pulse import Beat, Kind, Seen, Signal, answered, step
from guardrails.alerts.values import ChannelRow, Outcome, Receipt, WatchRow
from guardrails.calendar import NEW_YORK
from guardrails.redaction import redact

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
HANGING_SECONDS = 30.0
"""a ping must have had its answer by then; one attempt is bounded by 10 s"""
BODY_LENGTH = 2000

Ping = Callable[[Kind, str], Receipt]
"""Sends (kind, body) and answers within some seconds, never raising; knows the URL, which is a secret."""


@dataclass(frozen=True, slots=True)
class _Pinged:
    """What came of the pings so far."""

    sent: int = 0
    failures: int = 0
    last_sent: datetime | None = None
    detail: str = ""
    failing_since: datetime | None = None
    next_ping: datetime | None = None
    """None while none is due unless something changes"""
    failed_in_a_row: int = 0


class Heartbeat:
    """Start it with a way to look at the engine, stop it; `row` and `channel` are what pages show of it."""

    def __init__(
        self,
        ping: Ping | None,
        clock: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        """Without `ping` no monitor is configured; `row` then still says since when this program watches.

        Nothing is pinged while `holds` says that it is not known whether this program still watches.
        """
        self._holds = holds
        self._ping, self._now, self._steady = ping, clock, steady
        self._look: Callable[[], Seen] = Seen
        self._pinged = _Pinged()
        self._asked_at: float | None = None
        """when the ping began that has no answer yet"""
        self._dice = random.Random()  # noqa: S311  # spreads pings, hides nothing
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, look: Callable[[], Seen]) -> None:
        """Begin; `look` is asked twice a second, from this thread and from those that ask for a row."""
        self._look = look
        self._stopping.clear()
        if self._ping is not None and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, args=(self._ping,), name="heartbeat", daemon=True)
            self._thread.start()

    def stop(self, seconds: float = 1.0) -> None:
        """End, without a word: a program that watches no more is what the monitor is there to notice."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def row(self) -> WatchRow:
        """Since when this program watches, and how the monitor knows."""
        seen, pinged = self._look(), self._pinged
        on = self._ping is not None
        watches = seen.since is not None
        return WatchRow(
            seen.since,
            seen.last_cycle,
            heartbeat=on,
            last_ping=pinged.last_sent,
            next_ping=pinged.next_ping if watches else None,
            problem=self._problem(pinged) if watches else "",
        )

    def channel(self) -> ChannelRow | None:
        """The monitor as one of the channels; None when none is configured."""
        if self._ping is None:
            return None
        pinged = self._pinged
        problem = self._problem(pinged)
        known = bool(pinged.sent or problem)
        hangs = problem if pinged.failing_since is None else ""
        return ChannelRow(
            "heartbeat",
            "dead-man's switch",
            works=not problem if known else None,
            last_sent=pinged.last_sent,
            last_detail=hangs or pinged.detail,  # since when it fails is said beside it
            failing_since=pinged.failing_since,
            next_try=pinged.next_ping,
            sent=pinged.sent,
            failures=pinged.failures,
            failed_in_a_row=pinged.failed_in_a_row,
        )

    def _problem(self, pinged: _Pinged) -> str:
        asked_at = self._asked_at
        if asked_at is not None and (waited := self._steady() - asked_at) > HANGING_SECONDS:
            return f"the monitor has not answered for {waited:.0f} s"
        if pinged.failing_since is None:
            return ""
        since = pinged.failing_since.astimezone(NEW_YORK)
        return f"the monitor was not reached since {since:%H:%M:%S} ET ({pinged.detail})"

    def _run(self, ping: Ping) -> None:
        beat = Beat()
        while not self._stopping.wait(LOOK_SECONDS):
            if self._holds():
                continue
            try:
                beat = self._once(beat, ping)
            except Exception:  # the thread outlives whatever it looks at
                log.exception("the dead-man's switch could not be served")

    def _once(self, beat: Beat, ping: Ping) -> Beat:
        beat, signal = step(beat, self._look(), self._steady())
        if signal is None:
            return beat
        self._asked_at = self._steady()
        try:
            receipt = ping(signal.kind, redact(signal.body)[:BODY_LENGTH])
        except Exception as error:  # against its promise; else the next look would ping at once
            log.exception("the dead-man's switch could not be pinged")
            receipt = Receipt(Outcome.FAILED, type(error).__name__)
        finally:
            self._asked_at = None
        at = self._steady()
        beat = answered(beat, signal, receipt, at, self._dice.random())
        self._pinged = self._after(signal, receipt, beat, at)
        return beat

    def _after(self, signal: Signal, receipt: Receipt, beat: Beat, at: float) -> _Pinged:
        now, before = self._now(), self._pinged
        if receipt.outcome is Outcome.SENT:
            if before.failing_since is not None:
                log.warning("the dead-man's switch is reached again")
            due = now + timedelta(seconds=beat.due - at) if beat.told == frozenset() else None
            return _Pinged(before.sent + 1, before.failures, now, receipt.detail, None, due)
        if before.failing_since is None:
            log.warning("the dead-man's switch was not reached (%s): %s", signal.kind, redact(receipt.detail))
        return replace(
            before,
            failures=before.failures + 1,
            detail=redact(receipt.detail),
            failing_since=before.failing_since or now,
            next_ping=now + timedelta(seconds=beat.not_before - at),
            failed_in_a_row=before.failed_in_a_row + 1,
        )
