"""tastytrade as a Broker: accounts over REST, one stream of quotes and Greeks for what any source holds, and orders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta

from adapters.condition import Condition
from adapters.tastytrade import conditions, state, view
from adapters.tastytrade.access import Access
from adapters.tastytrade.api import Api
from adapters.tastytrade.chains import Chains
from adapters.tastytrade.desk import Desk
from adapters.tastytrade.directory import Plan, underlyings
from adapters.tastytrade.feed import Feed
from adapters.tastytrade.ledger import Ledger
from adapters.tastytrade.notices import Notices
from adapters.tastytrade.reference import Reference
from adapters.tastytrade.sending import Trading
from adapters.tastytrade.ticks import SOURCE
from adapters.trading_mode import TradingMode
from guardrails import calendar
from guardrails.ending import endless
from guardrails.instruments import Instrument, Kind
from guardrails.products import product_root
from guardrails.values import AccountId, Observed, Source, SourceState, Stream, View

__all__ = ["Access", "TastytradeSource"]

log = logging.getLogger(__name__)

SETTLE_POLL_SECONDS, PLAN_SECONDS, CLOSE_SECONDS, RESTART_SECONDS = 0.1, 0.2, 4.0, 5.0
WORDS = timedelta(seconds=5)
"""Greeks come soon after their subscription, or not at all; one look waits no longer for them"""
_SPEAKS = (SourceState.LIVE, SourceState.CLOSED)
OFF = TradingMode(setting="TT_TRADING")
_MEASURED = (Kind.EQUITY, Kind.INDEX, Kind.OPTION, Kind.INDEX_OPTION, Kind.FUTURE, Kind.FUTURE_OPTION, Kind.CRYPTO)


class TastytradeSource(Trading):
    """Implements `guardrails.brokers.MarketFeed` and `TradingBroker`. Everything runs on the loop it is first read on.

    No order is sent unless `trading` says so.
    """

    name = SOURCE

    def __init__(self, access: Access, clock: Callable[[], datetime], trading: TradingMode = OFF) -> None:
        super().__init__(access, clock, trading, self._connection)
        self._followed: tuple[Instrument, ...] = ()
        self._event = asyncio.Event()
        self._composing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._kept: _Kept | None = None
        self._known: view.Known = {}
        self._last: View | None = None
        self._condition: tuple[Condition, datetime] | None = None

    async def view(self, now: datetime) -> View:
        """What is held and what the market says; while the link is gone, the last read, marked."""
        self._begin()
        kept = self._kept
        if kept is None:
            return View(self._source(conditions.NOT_CONFIGURED, now))
        condition = state.condition_of(kept.ledger, kept.feed, now)
        if any(book.time is not None for book in kept.ledger.books.values()):
            said = _heard(kept)
            async with self._composing:  # of two looks the later one counts; a large book would hold up the loop
                self._last = await asyncio.to_thread(view.composed, said, now, self._known)
            later = state.condition_of(kept.ledger, kept.feed, now)
            if later.state not in _SPEAKS:  # the darker one counts
                condition = later
        source = self._source(condition, now)
        return View(source) if self._last is None else replace(self._last, source=source)

    def follow(self, instruments: Collection[Instrument]) -> None:
        """Stream Greeks, quotes and prices of these too."""
        self._followed = tuple(instruments)

    async def changed(self) -> None:
        """Return when a link was lost or is back, or an account changed."""
        self._begin()
        await self._event.wait()
        self._event.clear()

    async def settle(self) -> None:
        """Return when the accounts are read and everything asked for has spoken, or when there is no way in."""
        self._begin()
        while not self._settled():  # noqa: ASYNC110  # many small things, none of which has an event
            await asyncio.sleep(SETTLE_POLL_SECONDS)

    async def net_liquidations(self, back: str = "1y") -> Mapping[AccountId, tuple[Observed, ...]]:
        """Net liquidation of each account over the past, oldest first; `back` is 1d, 1m, 3m, 6m, 1y or all.

        Empty where tastytrade has none, as in the sandbox; Lost when there is no way in.
        """
        self._begin()
        return {} if self._kept is None else await self._kept.ledger.net_liquidations(back)

    async def close(self) -> None:
        """End the connection."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)

    def _connection(self) -> _Kept | None:
        self._begin()
        return self._kept

    def _begin(self) -> None:
        """Start at the first look, and again should this ever end."""
        if not self._access.secret or not self._access.refresh or (self._task is not None and not self._task.done()):
            return
        self._event.set()  # whoever still waits for the old one looks again
        self._event = event = asyncio.Event()  # of this loop, as the lock
        self._composing = asyncio.Lock()
        if self._kept is not None:
            self._kept.desk.wake()
        self._kept = _Kept(self._access, self._clock, event)
        self._task = asyncio.create_task(self._run(self._kept), name="tastytrade")

    async def _run(self, kept: _Kept) -> None:
        try:
            while True:
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(endless(kept.ledger.run()))
                        group.create_task(endless(kept.feed.run()))
                        group.create_task(endless(kept.reference.run()))
                        group.create_task(endless(kept.desk.run()))
                        group.create_task(endless(self._plan(kept)))
                        group.create_task(endless(self._announce(kept)))
                except ExceptionGroup:
                    log.exception("a part of the connection to tastytrade failed; all of it is begun anew")
                await asyncio.sleep(RESTART_SECONDS)
        finally:
            await kept.api.session.aclose()

    async def _plan(self, kept: _Kept) -> None:
        """Return never: keep what is streamed in step with what is held."""
        directory = kept.reference.directory
        while True:
            basis = self._basis(kept)
            if basis != kept.planned:
                today, books = basis[0], tuple(kept.ledger.books.values())
                held = await asyncio.to_thread(view.instruments_of, books, today, self._known)
                everything = [*held, *basis[2]]
                kept.reference.want([*everything, *underlyings(everything, today)], _measured(everything))
                kept.plan = directory.plan(everything, today)
                kept.feed.want(kept.plan.wanted)
                kept.planned = basis
            await asyncio.sleep(PLAN_SECONDS)

    def _basis(self, kept: _Kept) -> tuple[date, int, tuple[Instrument, ...], int, int]:
        """What a plan rests on: the day, what is held, what is asked for besides, what is known of streamer symbols."""
        directory, today = kept.reference.directory, calendar.exchange_date(self._clock())
        return (
            today,
            kept.ledger.version,
            (*self._followed, *self._looked),
            len(directory.streamers),
            len(directory.refused),
        )

    async def _announce(self, kept: _Kept) -> None:
        """Return never: listen for the accounts once they are known."""
        while not kept.ledger.books:  # noqa: ASYNC110  # known once, at the start
            await asyncio.sleep(SETTLE_POLL_SECONDS)
        await kept.notices.run(kept.ledger.books)

    def _settled(self) -> bool:
        kept = self._kept
        if kept is None or (kept.ledger.trouble is not None and kept.ledger.retries > 3):
            return True
        if not kept.ledger.settled or kept.planned != self._basis(kept) or not kept.reference.settled:
            return False
        if kept.feed.streamer is None:
            return kept.feed.retries > 1
        asked, ticks, now = kept.feed.asked, kept.feed.ticks, self._clock()
        wanted = {symbol for symbols in kept.plan.wanted.values() for symbol in symbols}
        if not wanted <= asked.keys():
            return False
        spoken = (*ticks.greeks, *ticks.trades, *ticks.quotes, *(name.split("{")[0] for name in ticks.candles))
        waiting = wanted.difference(spoken) | set(kept.plan.options).difference(ticks.greeks)
        return all(now - asked[symbol] > WORDS for symbol in waiting)

    def _source(self, condition: Condition, now: datetime) -> Source:
        if self._condition is None or self._condition[0].name != condition.name:
            self._condition = (condition, now)
        kept, detail = self._kept, condition.sentence
        if kept is None:
            return Source(
                self.name, condition.state, None, detail, condition=condition.name, since=self._condition[1],
                action=condition.action,
            )  # fmt: skip
        if condition.state is SourceState.LIVE:
            count = 0 if self._last is None else len(self._last.positions)
            detail += f" {count} positions, {len(kept.ledger.books)} account(s)."
        return Source(
            name=self.name,
            state=condition.state,
            time=_word(kept, condition),
            detail=detail,
            condition=condition.name,
            since=self._condition[1],
            action=condition.action,
            retries=kept.feed.retries if condition.name.startswith("quotes_") else kept.ledger.retries,
            quotes_live=kept.feed.streamer is not None and not kept.feed.quiet(now),
            streams=(*_streams(kept, now), kept.desk.stream()),
            warnings=state.warnings_of(kept.ledger, kept.feed, kept.reference, kept.plan, now),
            clock_skew=kept.api.skew.seconds,
        )


class _Kept:
    """The parts of one connection; they outlive their sockets."""

    def __init__(self, access: Access, clock: Callable[[], datetime], event: asyncio.Event) -> None:
        self.api = Api(access, clock)
        self.ledger = Ledger(self.api, clock, event.set)
        self.feed = Feed(self.api, clock, event.set, sandbox=access.sandbox)
        self.reference = Reference(self.api, clock)
        self.desk = Desk(self.api, self.ledger, clock)
        self.chains = Chains(self.api, clock)
        self.notices = Notices(self.api, access.notices_url, clock, self.ledger.prompt, self.desk.prompt)
        self.plan = Plan()
        self.planned: object = None
        """what the plan was made for"""

    @property
    def heard(self) -> datetime | None:
        """When the other side last said anything."""
        data = None if self.feed.streamer is None else self.feed.streamer.ear.heard
        return max((time for time in (self.api.answered, data) if time is not None), default=None)


def _streams(kept: _Kept, now: datetime) -> tuple[Stream, ...]:
    return state.streams_of(kept.api, kept.ledger, kept.feed, kept.notices, kept.reference, kept.plan, now)


def _word(kept: _Kept, condition: Condition) -> datetime | None:
    """When the part that decides the condition last said anything: not a busy stream beside a dead one."""
    if condition.name.startswith("quotes_"):
        return kept.feed.data or kept.heard
    times = [book.time for book in kept.ledger.books.values()]
    if condition.state in _SPEAKS or not times:
        return kept.heard
    return min((time for time in times if time is not None), default=None)


def _measured(instruments: Collection[Instrument]) -> frozenset[str]:
    """Underlyings of which there are metrics, as tastytrade names them: of a future its product."""
    names = (held.underlying or held.symbol for held in instruments if held.kind in _MEASURED)
    return frozenset(product_root(name) if name.startswith("/") else name for name in names)


def _heard(kept: _Kept) -> view.Heard:
    return view.heard(
        kept.ledger.books.values(), kept.plan, kept.feed.ticks, kept.reference.directory.expiries, time=kept.heard,
        metrics=dict(kept.reference.metrics), risk_free=kept.reference.risk_free,
    )  # fmt: skip
