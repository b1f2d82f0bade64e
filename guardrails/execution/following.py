"""What becomes of orders: brokers are heard and asked, records and journal follow, doubts are pursued to their end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails import logs
from guardrails.assess import Assessment
from guardrails.calendar import NEW_YORK
from guardrails.execution import intents, journaling, life, overrides, reconcile
from guardrails.execution.desk import Desk
from guardrails.execution.fills import news_of
from guardrails.execution.halts import halt
from guardrails.execution.values import Deed, JournalEntry, JournalKind, OrderRecord
from guardrails.execution.venues import Venue
from guardrails.journal.entries import fill_entry, outside_entries
from guardrails.journal.money import Money, money_of
from guardrails.orders import Fill, OrderState
from guardrails.safety import Cause, SafetyState

log = logging.getLogger(__name__)

_HEAR_SECONDS = 0.02
"""at most fifty times a second, should a broker chatter"""
_AFTER_END = "this program ended while it was being sent"


class Following:
    """Belongs to the loop; each of its loops is a task of `Execution.run`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._explained: Assessment | None = None
        """the last cycle whose positions were looked at"""

    # --- at the beginning

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
        fills = {**desk.deeds.fills, **{(fill.account.broker, fill.execution): fill for fill in news}}
        changed = []
        for record in desk.deeds.records.values():
            with logs.correlated(order=record.key):
                after = reconcile.told(record, told.orders, tuple(fills.values()), now)
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
        desk.do(*deeds, *self._entries(news))

    def _entries(self, news: Iterable[Fill]) -> list[JournalEntry]:
        """The entries that these executions change."""
        desk, deeds, seen, fresh = self._desk, self._desk.deeds, self._desk.seen, set(news)
        money = Money() if seen is None else money_of(seen.portfolio)
        entries = []
        for record in deeds.records.values():
            own = deeds.fills_of(record)
            if fresh.intersection(own):
                known = deeds.entries.get(f"fill:{record.key}")
                trade = "" if known is None else known.trade
                entries.append(fill_entry(record, own, money, held=desk.before.get(record.key), trade=trade))
        orders = {_order_of(fill) for fill in fresh}
        whole = [fill for fill in deeds.fills.values() if _order_of(fill) in orders]
        return [*entries, *outside_entries(whole, tuple(deeds.records.values()), money)]

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
        read = await venue.read_anew()
        self.absorb(venue)
        if read is None:
            return False
        own = [one for one in desk.deeds.records.values() if desk.home_of(one) == venue.name]
        done = reconcile.reconcile(own, read, desk.clock(), tuple(desk.deeds.fills.values()))
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
                self._end_overrides()
                self._fill_in_after()
                await self._explain()
                await self._guard_safety()
                await self._keep_all()
            await desk.wait(desk.waits.tick)

    async def _explain(self) -> None:
        """Hold what every position did against what says why, once for every cycle."""
        desk, seen = self._desk, self._desk.seen
        if seen is None or seen is self._explained:
            return
        self._explained = seen
        fills, entries = tuple(desk.deeds.fills.values()), tuple(desk.deeds.entries.values())
        found = await asyncio.to_thread(desk.positions.look, seen.portfolio, fills, entries, desk.clock())
        if found:
            desk.do(*found)

    def _doubt_silent(self) -> None:
        """What was sent, or asked to be cancelled, and of which the broker has said nothing for too long."""
        desk, now, waits = self._desk, self._desk.clock(), self._desk.waits
        for record in list(desk.deeds.records.values()):
            broker = record.order.account.broker
            if record.state is OrderState.SENT and _is_late(record.changed, now, waits.silent):
                desk.do(life.doubt(record, f"{broker} has said nothing of it for {waits.silent:g} s", now))
            elif record.state is OrderState.CANCEL_REQUESTED:
                since = record.cancel_asked or record.changed
                if _is_late(since, now, waits.cancelled):
                    at = f"{since.astimezone(NEW_YORK):%H:%M:%S}"
                    words = f"{broker} has not confirmed its cancellation, asked for at {at} New York; it may be filled"
                    desk.do(life.doubt(replace(record, cancel_asked=since), words, now))

    def _end_overrides(self) -> None:
        desk, now = self._desk, self._desk.clock()
        for ended in overrides.lapsed(desk.deeds.overrides.values(), now):
            entry = journaling.override_entry(desk.new_key(), ended, "its time is over", journaling.PROGRAM, now)
            desk.do(ended, entry)

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

    async def _guard_safety(self) -> None:
        """No new risk while it is not known what became of an order, nor after too many failures."""
        desk, now, rules = self._desk, self._desk.clock(), self._desk.matrix.orders
        cooling_off = timedelta(minutes=rules.cooling_off_minutes)
        doubts = desk.doubts()
        if doubts:
            reason = f"it is not known what became of order {doubts[0].key}" + (
                f" and {len(doubts) - 1} more" if len(doubts) > 1 else ""
            )
            if desk.safety.now.state is SafetyState.NORMAL:
                await asyncio.to_thread(
                    desk.safety.tighten, SafetyState.NO_NEW_RISK, Cause.UNRECONCILED, reason, now, cooling_off
                )
        elif desk.safety.now.cause is Cause.UNRECONCILED and desk.safety.now.state is not SafetyState.NORMAL:
            await asyncio.to_thread(desk.safety.passed, Cause.UNRECONCILED, now)
        await asyncio.to_thread(halt, desk.safety, None if desk.seen is None else desk.seen.snapshot, now, cooling_off)
        if desk.failures() >= rules.rejects_a_minute:
            reason = f"{desk.failures()} orders were rejected or failed within a minute"
            await asyncio.to_thread(
                desk.safety.tighten, SafetyState.NO_NEW_RISK, Cause.REJECTS, reason, now, cooling_off
            )

    async def _keep_all(self) -> None:
        """Hand over again what the store did not take; intents that stand in the file alone leave it once it does."""
        desk = self._desk
        desk.deeds.hand_again(desk.clock(), timedelta(seconds=desk.waits.hand_again))
        keys = {key for key in desk.deeds.unkept if key in desk.deeds.records}
        if not keys or not desk.deeds.is_stored:
            return
        kept = desk.deeds.do(desk.clock(), *(desk.deeds.records[key] for key in keys))
        if kept is not None and await asyncio.to_thread(kept.wait, desk.waits.keep):
            await asyncio.to_thread(intents.settle, desk.data_dir, keys)
            desk.deeds.unkept -= keys


def _is_late(since: datetime, now: datetime, seconds: float) -> bool:
    """Whether so much has passed; also when the clock was set back, so that nobody knows."""
    return not -1.0 <= (now - since).total_seconds() <= seconds


def _order_of(fill: Fill) -> tuple[str, str]:
    return fill.account.broker, fill.reference or fill.execution
