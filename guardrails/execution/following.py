"""What becomes of orders: brokers are heard and asked, records and journal follow, doubts are pursued to their end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from guardrails import logs
from guardrails.calendar import NEW_YORK
from guardrails.execution import journaling, life, reconcile
from guardrails.execution.desk import Desk
from guardrails.execution.fills import group_of, groups_of, identity_of, news_of
from guardrails.execution.values import Deed, JournalEntry, JournalKind, OrderRecord
from guardrails.execution.venues import Venue
from guardrails.journal.entries import fill_entry, outside_entries
from guardrails.journal.money import Money, money_of
from guardrails.orders import Fill, OrderState

log = logging.getLogger(__name__)

_HEAR_SECONDS = 0.02
"""at most fifty times a second, should a broker chatter"""
_AFTER_END = "this program ended while it was being sent"


class Following:
    """Belongs to the loop; each of its loops is a task of `Execution.run`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._unclaimed: list[Fill] = []
        """executions that were heard before it was known which orders are ours"""

    # --- at the beginning

    def begin(self) -> None:
        """Be of another book."""
        self._unclaimed.clear()

    def doubt_unsent(self, read_back: Collection[str]) -> None:
        """Orders that were read back with their intent alone may have been sent: nothing is sent again."""
        now = self._desk.clock()
        known = [record for key, record in self._desk.deeds.records.items() if key in read_back]
        cut = [record for record in known if record.state is OrderState.INTENT_SAVED]
        if cut:
            self._desk.do(*(life.doubt(record, _AFTER_END, now) for record in cut))

    # --- without being asked

    async def hear(self, venue: Venue) -> None:
        """Take over what a broker says as soon as it says something.

        Only while this program watches: to listen is to be connected, and a broker may allow one connection only.
        """
        while True:
            if not self._desk.is_open:
                await self._desk.wait(self._desk.waits.tick)
                continue
            await venue.broker.ordered()
            if self._desk.is_open:
                self.absorb(venue)
            await asyncio.sleep(_HEAR_SECONDS)

    def absorb(self, venue: Venue) -> None:
        """Take over what a broker has said up to now: records, executions and journal in one transaction."""
        desk, told, now = self._desk, venue.told(), self._desk.clock()
        desk.deeds.name_fills(told.fills)
        news = news_of(desk.deeds.fills, told.fills)
        fresh: defaultdict[object, list[Fill]] = defaultdict(list)
        for fill in news:
            fresh[group_of(fill)].append(fill)
        heard, changed = reconcile.Heard(told.orders), []
        for record in desk.deeds.records.values():
            orders, new = heard.of(record), [fill for group in groups_of(record) for fill in fresh.get(group, ())]
            if record.state.is_over and not orders and not new:
                continue
            fills = {identity_of(fill): fill for fill in (*desk.deeds.fills_of(record), *new)}
            with logs.correlated(order=record.key):
                after = reconcile.told(record, orders, tuple(fills.values()), now)
            if after != record:
                changed.append((record, after))
        if news or changed:
            self._take_over(changed, news)

    def _take_over(self, changed: list[tuple[OrderRecord, OrderRecord]], news: tuple[Fill, ...]) -> None:
        desk = self._desk
        for before, after in changed:
            if after.state is OrderState.REJECTED and before.state is not OrderState.REJECTED:
                desk.failed()
        deeds: list[Deed] = [*(after for _, after in changed), *news]
        for deed in deeds:
            desk.deeds.remember(deed)  # the entries are worked out from all of it, and kept with it
        told = self._claimed(news)
        desk.do(*(after for _, after in changed), *told, *self._entries(told))

    def _entries(self, news: Collection[Fill]) -> list[JournalEntry]:
        """The entries that these executions change; that they cannot be told must not keep anybody from the orders."""
        try:
            return self._told(news) if news else []
        except Exception as error:  # as said; the executions themselves are kept
            log.exception("executions could not be told in the journal")
            self._desk.fail("journal of executions", error)
            return []

    def _told(self, news: Collection[Fill]) -> list[JournalEntry]:
        deeds, seen = self._desk.deeds, self._desk.seen
        money, groups = Money() if seen is None else money_of(seen.portfolio), {group_of(fill) for fill in news}
        entries = []
        for record in deeds.records.values():
            own = deeds.fills_of(record) if groups.intersection(groups_of(record)) else []
            if own:
                entries.append(self._entry(record, own, money))
        orders = {_order_of(fill) for fill in news}
        whole = [fill for fill in deeds.fills.values() if _order_of(fill) in orders]
        return [*entries, *outside_entries(whole, tuple(deeds.records.values()), money)]

    def tell_unclaimed(self) -> None:
        """Journal what was executed before it was known which orders are ours."""
        unclaimed, self._unclaimed = self._unclaimed, []
        self._desk.do(*unclaimed, *self._entries(unclaimed))

    def _claimed(self, news: tuple[Fill, ...]) -> tuple[Fill, ...]:
        """Those that can be told: before it is known which orders are ours, others wait, and only in memory."""
        desk = self._desk
        if desk.is_past_known:
            return news
        own = {group for record in desk.deeds.records.values() for group in groups_of(record)}
        self._unclaimed.extend(fill for fill in news if group_of(fill) not in own)
        return tuple(fill for fill in news if group_of(fill) in own)

    def _entry(self, record: OrderRecord, own: list[Fill], money: Money) -> JournalEntry:
        """The entry of an order; what it said of the book before and after stays, unless more was executed."""
        known, held = self._desk.deeds.entries.get(f"fill:{record.key}"), self._desk.before.get(record.key)
        if known is None:
            return fill_entry(record, own, money, held=held)
        told = {leg.key: leg.held for leg in known.legs if leg.held is not None}
        entry = fill_entry(record, own, money, held=held or told or None, trade=known.trade)
        amounts = [{leg.key: leg.quantity for leg in one.legs} for one in (known, entry)]
        return replace(entry, after=known.after) if amounts[0] == amounts[1] else entry

    # --- by asking

    async def pursue(self, venue: Venue) -> None:
        """Ask a broker for everything: at the beginning, when it is back, after every doubt with growing pauses, and
        now and then."""
        desk, pause = self._desk, self._desk.waits.retry
        while True:
            if not desk.is_open:
                await desk.wait(desk.waits.tick)
                continue
            stage = desk.stage(venue)
            await self.reconcile(venue)
            doubts = self._in_doubt(venue)
            is_calm = not doubts and not venue.problem
            pause = desk.waits.retry if is_calm else min(pause, desk.waits.reconcile)
            seconds = desk.waits.reconcile if is_calm else pause * random.uniform(0.8, 1.2)  # noqa: S311  # jitter is no secret
            has_news = await desk.until(
                lambda: bool(self._in_doubt(venue) - doubts) or desk.stage(venue) != stage,  # noqa: B023  # asked within this turn alone
                seconds,
            )
            pause = desk.waits.retry if has_news else pause * 2

    async def reconcile(self, venue: Venue) -> bool:
        """Ask for everything, and hold our orders of this broker against it; whether it has answered."""
        desk = self._desk
        before = dict(desk.deeds.records)
        read = await venue.read_anew()
        self.absorb(venue)
        if read is None:
            return False
        # what has moved since it was asked may be younger than its answer, which then proves nothing
        alive = [one for key, one in desk.deeds.records.items() if before.get(key) is one and not one.state.is_over]
        own = [one for one in alive if desk.home_of(one) == venue.name]
        fills = tuple(fill for one in own for fill in desk.deeds.fills_of(one))
        done = reconcile.reconcile(own, read, desk.clock(), fills)
        changed = [(old, new) for old, new in zip(own, done.records, strict=True) if new != old]
        if changed:
            self._take_over(changed, ())
        return True

    def _in_doubt(self, venue: Venue) -> set[str]:
        """Keys of orders that this broker may know more of."""
        return {one.key for one in self._desk.doubts() if self._desk.home_of(one) in (venue.name, "")}

    # --- the clock

    async def tend(self) -> None:
        """Look at what time and news have changed."""
        desk = self._desk
        while True:
            if desk.is_open:
                for venue in desk.venues:
                    self.absorb(venue)
                self._doubt_silent()
                self._fill_in_after()
            await desk.wait(desk.waits.tick)

    def _doubt_silent(self) -> None:
        """What was sent, or asked to be cancelled, and of which the broker has said nothing for too long."""
        desk, now, waits = self._desk, self._desk.clock(), self._desk.waits
        for record in list(desk.deeds.records.values()):
            broker = record.order.account.broker
            if record.state is OrderState.SENT and _is_late(record.changed, now, waits.silent):
                said = f"not said what became of it for {waits.silent:g} s: {record.detail}"
                words = said if record.detail else f"said nothing of it for {waits.silent:g} s"
                desk.do(life.doubt(record, f"{broker} has {words}", now))
            elif record.state is OrderState.CANCEL_REQUESTED:
                since = record.cancel_asked or record.changed
                if _is_late(since, now, waits.cancelled):
                    at = f"{since.astimezone(NEW_YORK):%H:%M:%S}"
                    words = f"{broker} has not confirmed its cancellation, asked for at {at} New York; it may be filled"
                    desk.do(life.doubt(replace(record, cancel_asked=since), words, now))

    def _fill_in_after(self) -> None:
        """Complete the entries of fills that the book shows by now."""
        desk, seen = self._desk, self._desk.seen
        if seen is None:
            return
        done: list[Deed] = []
        for entry in desk.deeds.entries.values():
            record = desk.deeds.records.get(entry.order_key)
            if entry.kind is not JournalKind.FILL or entry.after is not None or record is None:
                continue
            fills = desk.deeds.fills_of(record)
            if seen.snapshot.as_of >= entry.time and journaling.shows(
                seen, record, desk.before.get(record.key), self._since(record, fills)
            ):
                done.append(replace(entry, after=journaling.book_then(seen)))
        if done:
            desk.do(*done)

    def _since(self, record: OrderRecord, fills: list[Fill]) -> list[Fill]:
        """All executions in its account that came after it was sent: other orders move the same positions."""
        same = [one for one in self._desk.deeds.fills.values() if one.account == record.order.account]
        return [fill for fill in same if fill in fills or fill.time >= record.created]


def _is_late(since: datetime, now: datetime, seconds: float) -> bool:
    """Whether so much has passed; also when the clock was set back, so that nobody knows."""
    return not -1.0 <= (now - since).total_seconds() <= seconds


def _order_of(fill: Fill) -> tuple[str, str]:
    return fill.account.broker, fill.reference or fill.execution
