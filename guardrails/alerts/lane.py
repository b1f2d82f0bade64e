"""What waits for one channel, in which order it is tried, and how the channel does. No threads and no clock: seconds
of any steady clock are `at`, moments are `now`.

While a channel fails everything that waits for it waits with it, so that a server in trouble is asked once per pause,
not once per message. Only something new and CRITICAL, once per pause, and a test that a person asked for go ahead.
What waits gives way to a newer message that tells of the same (`superseding`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guardrails.alerts.channel import Channel
from guardrails.alerts.retries import MOST_ASKED_SECONDS, next_try, pause_seconds
from guardrails.alerts.superseding import supersedes
from guardrails.alerts.values import ChannelRow, Delivery, DeliveryState, Outcome, Receipt, Severity
from guardrails.keeper import Kept

MOST_WAITING = 10_000
_REMEMBERED = 1_000
"""deliveries that were sent, and as many that were superseded, so that they are not sent once more"""
_NEWER = "a newer message tells of the same"


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
    is_refused: bool = False
    """by the other side, but tried on as it is CRITICAL"""

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
        self._superseded: OrderedDict[str, Delivery] = OrderedDict()
        self._orders = 0
        self._failures = 0
        """in a row"""
        self._closed_until = 0.0
        self._went_ahead = False
        """something CRITICAL was tried in this pause"""
        self._row = ChannelRow(channel.name, channel.kind, works=None)

    def put(self, delivery: Delivery, kept: Kept | None, now: datetime, at: float) -> list[Delivery]:
        """Let `delivery` wait; back come those whose state is another now: sent before, superseded, or given up as too
        many wait.

        One that waits already is not put twice.
        """
        key = delivery.key
        known = self._sent.get(key) or self._superseded.get(key)
        if known is not None:
            return [known]
        if self._hand is not None and self._hand.delivery.key == key:
            self._is_forgotten = False
            return []
        if key in self._waiting:
            return []
        if self._is_superseded(delivery):
            return [self._supersede(delivery, now)]
        older = [one.delivery for one in self._waiting.values() if supersedes(delivery, one.delivery)]
        one = Waiting(delivery, kept, at, at, self._next_order())
        if delivery.due is not None and not one.is_critical:  # the pause was another program's, which may have ended
            wait = (delivery.due - now).total_seconds()
            # of a clock that was set back in the meantime the longest pause remains
            one = replace(one, ready=at + min(max(wait, 0.0), MOST_ASKED_SECONDS))
        self._add(one)
        return [*(self._supersede(one, now) for one in older), *self._overflow(now)]

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
        pause = own = pause_seconds(self._failures, receipt.retry_after_seconds, jitter)
        if after.due is not None:
            own = (after.due - now).total_seconds()
            # what this message is refused for may be no matter for the others
            pause = pause if receipt.outcome is Outcome.REFUSED else own
        self._note(receipt, after, now, at + pause)
        if after.state is DeliveryState.SENT:
            self._open_to_all(at)
        if self._is_forgotten and after.state is not DeliveryState.SENT:
            return None
        if after.state is DeliveryState.FAILED and self._is_superseded(after):
            return self._supersede(after, now)
        if after.state is DeliveryState.FAILED:
            is_refused = receipt.outcome is Outcome.REFUSED
            self._add(replace(hand, delivery=after, ready=at + own, is_refused=is_refused))
        return after

    def late(self, key: str, receipt: Receipt, now: datetime) -> Delivery | None:
        """What has become of the delivery `key` by the answer to an attempt that had been given up, if anything."""
        if receipt.outcome is not Outcome.SENT:
            return None
        waiting = self._waiting.pop(key, None)
        delivery = self._superseded.pop(key, None) if waiting is None else waiting.delivery
        if delivery is None:
            return None
        after = replace(delivery, state=DeliveryState.SENT, due=None, detail=f"{receipt.detail}, late", changed=now)
        self._note(receipt, after, now, 0.0)
        return after

    def forget(self) -> None:
        """Let nothing wait; what is in hand is of no interest any more, unless it is put again."""
        self._waiting.clear()
        self._superseded.clear()  # so is what it gave way to
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
            refused=next((one.delivery.detail for one in waiting if one.is_refused), ""),
        )

    def _opens(self, one: Waiting) -> float:
        is_new = not one.delivery.attempts and not self._went_ahead
        if one.delivery.message.test or (one.is_urgent and is_new):
            return one.ready
        return max(one.ready, self._closed_until)

    def _open_to_all(self, at: float) -> None:
        """The channel takes messages again: what waited out a pause of its own need not, but for what is refused."""
        for key, one in self._waiting.items():
            if one.ready > at and not one.is_refused:
                self._waiting[key] = replace(one, ready=at)

    def _add(self, one: Waiting) -> None:
        self._waiting[one.delivery.key] = one

    def _is_superseded(self, delivery: Delivery) -> bool:
        """By what waits, or is in hand and will wait again unless it is sent."""
        hand = [] if self._hand is None or self._is_forgotten else [self._hand]
        return any(supersedes(one.delivery, delivery) for one in (*self._waiting.values(), *hand))

    def _supersede(self, delivery: Delivery, now: datetime) -> Delivery:
        self._waiting.pop(delivery.key, None)
        detail = f"{_NEWER}; before: {delivery.detail}" if delivery.detail else _NEWER
        after = replace(delivery, state=DeliveryState.SUPERSEDED, due=None, detail=detail, changed=now)
        self._row = replace(self._row, superseded=self._row.superseded + 1)
        self._superseded[after.key] = after
        if len(self._superseded) > _REMEMBERED:
            self._superseded.popitem(last=False)
        return after

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
