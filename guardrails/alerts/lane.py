"""What waits for one channel, in which order it is tried, and how the channel does. No threads and no clock: seconds
of any steady clock are `at`, moments are `now`.

While a channel fails everything that waits for it waits with it, so that a server in trouble is asked once per pause,
not once per message. Only something new and CRITICAL, once per pause, and a test that a person asked for go ahead.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guardrails.alerts.channel import Channel
from guardrails.alerts.retries import MOST_ASKED_SECONDS, next_try, pause_seconds
from guardrails.alerts.values import ChannelRow, Delivery, DeliveryState, Outcome, Receipt, Severity
from guardrails.keeper import Kept

MOST_WAITING = 10_000
_REMEMBERED = 1_000
"""keys of what was sent, so that it is not sent once more"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One delivery in the lane."""

    delivery: Delivery
    kept: Kept | None
    """whether the store has it; None when it came from there"""
    put: float
    ready: float
    """not to be tried before"""
    order: int

    @property
    def is_critical(self) -> bool:
        """Never given up for lack of room."""
        return self.delivery.message.severity is Severity.CRITICAL

    @property
    def is_urgent(self) -> bool:
        """Goes before the others."""
        message = self.delivery.message
        return message.test or (self.is_critical and not message.resolved)


class Lane:
    """Belongs to whoever holds its lock; at most one delivery is in hand."""

    def __init__(self, channel: Channel, most: int = MOST_WAITING) -> None:
        self._channel, self._most = channel, most
        self._waiting: dict[str, Waiting] = {}
        self._hand: Waiting | None = None
        self._is_forgotten = False
        """what is in hand belongs to somebody else by now"""
        self._sent: OrderedDict[str, Delivery] = OrderedDict()
        self._orders = 0
        self._failures = 0
        """in a row"""
        self._closed_until = 0.0
        self._went_ahead = False
        """something CRITICAL was tried in this pause"""
        self._row = ChannelRow(channel.name, channel.kind, works=None)

    def put(self, delivery: Delivery, kept: Kept | None, now: datetime, at: float) -> list[Delivery]:
        """Let `delivery` wait; back come those whose state is another now: sent before, or given up for lack of room.

        One that waits already is not put twice.
        """
        key = delivery.key
        if key in self._sent:
            return [self._sent[key]]
        if self._hand is not None and self._hand.delivery.key == key:
            self._is_forgotten = False
            return []
        if key in self._waiting:
            return []
        wait = 0.0 if delivery.due is None else (delivery.due - now).total_seconds()
        # of a clock that was set back in the meantime the longest pause remains
        self._add(Waiting(delivery, kept, at, at + min(max(wait, 0.0), MOST_ASKED_SECONDS), self._next_order()))
        return list(self._overflow(now))

    def take(self, at: float, *, draining: bool = False) -> Waiting | None:
        """What is tried now; it is in hand until `finish`. While `draining` nothing waits for a pause to end."""
        if self._hand is not None:
            return None
        may = [one for one in self._waiting.values() if draining or self._opens(one) <= at]
        taken = min(may, key=lambda one: (not one.is_urgent, one.ready, one.order), default=None)
        if taken is None:
            return None
        if at >= self._closed_until:
            self._went_ahead = False
        elif not taken.delivery.message.test:
            self._went_ahead = True
        self._hand, self._is_forgotten = self._waiting.pop(taken.delivery.key), False
        return taken

    def seconds_to_next(self, at: float) -> float | None:
        """Until `take` has something; None when that takes a `put` or a `finish`."""
        if self._hand is not None or not self._waiting:
            return None
        return max(min(map(self._opens, self._waiting.values())) - at, 0.0)

    def finish(self, receipt: Receipt, now: datetime, at: float, jitter: float, *, keep: bool) -> Delivery | None:
        """What has become of the delivery in hand; None when it was forgotten meanwhile."""
        hand, self._hand = self._hand, None
        if hand is None:
            return None
        after = next_try(hand.delivery, receipt, now, jitter, failures=self._failures, keep=keep)
        pause = pause_seconds(self._failures, receipt.retry_after_seconds, jitter)
        pause = pause if after.due is None else (after.due - now).total_seconds()
        self._note(receipt, after, now, at + pause)
        if self._is_forgotten and after.state is not DeliveryState.SENT:
            return None
        if after.state is DeliveryState.FAILED:
            self._add(replace(hand, delivery=after, ready=at + pause))
        return after

    def late(self, key: str, receipt: Receipt, now: datetime) -> Delivery | None:
        """What has become of the delivery `key` by the answer to an attempt that had been given up, if anything."""
        waiting = self._waiting.get(key)
        if receipt.outcome is not Outcome.SENT or waiting is None:
            return None
        del self._waiting[key]
        after = replace(
            waiting.delivery, state=DeliveryState.SENT, due=None, detail=f"{receipt.detail}, late", changed=now
        )
        self._note(receipt, after, now, 0.0)
        return after

    def forget(self) -> None:
        """Let nothing wait; what is in hand is of no interest any more, unless it is put again."""
        self._waiting.clear()
        self._is_forgotten = self._hand is not None

    def row(self, now: datetime, at: float) -> ChannelRow:
        """The channel as a page shows it."""
        problem = self._channel.problem
        waiting = [*self._waiting.values(), *([] if self._hand is None else [self._hand])]
        next_try = now + timedelta(seconds=max(self._closed_until - at, 0.0)) if self._failures and waiting else None
        return replace(
            self._row,
            works=False if problem else self._row.works,
            waiting=len(waiting),
            waiting_since=min((made for one in waiting if (made := one.delivery.created)), default=None),
            next_try=next_try,
            failed_in_a_row=self._failures,
            problem=problem,
        )

    def _opens(self, one: Waiting) -> float:
        is_new = not one.delivery.attempts and not self._went_ahead
        if one.delivery.message.test or (one.is_urgent and is_new):
            return one.ready
        return max(one.ready, self._closed_until)

    def _add(self, one: Waiting) -> None:
        self._waiting[one.delivery.key] = one

    def _next_order(self) -> int:
        self._orders += 1
        return self._orders

    def _overflow(self, now: datetime) -> Iterator[Delivery]:
        while len(self._waiting) > self._most:
            light = [one for one in self._waiting.values() if not one.is_critical]
            if not light:
                return
            oldest = self._waiting.pop(min(light, key=lambda one: one.order).delivery.key).delivery
            self._row = replace(self._row, dead=self._row.dead + 1)
            yield replace(oldest, state=DeliveryState.DEAD, due=None, detail="too many wait", changed=now)

    def _note(self, receipt: Receipt, after: Delivery, now: datetime, closed_until: float) -> None:
        """How the channel does after one answer."""
        row = replace(self._row, last_detail=receipt.detail)
        if receipt.outcome is Outcome.SENT:
            self._failures, self._closed_until, self._went_ahead = 0, 0.0, False
            self._row = replace(row, works=True, last_sent=now, failing_since=None, sent=row.sent + 1)
            self._sent[after.key] = after
            if len(self._sent) > _REMEMBERED:
                self._sent.popitem(last=False)
            return
        self._failures, self._closed_until = self._failures + 1, closed_until
        is_lost = after.state is DeliveryState.DEAD and not after.message.test
        self._row = replace(
            row,
            works=False,
            failing_since=row.failing_since or now,
            failures=row.failures + 1,
            dead=row.dead + is_lost,
        )
