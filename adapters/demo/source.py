"""The demo as a Broker: what a person sees at the first start, and what tests run without any account. Orders trade on
its own exchange, as far as IBKR_TRADING and TT_TRADING let the account that would be at that broker.

One source, `demo`, stands for two feeds. When one of them falls silent the source says which, its figures keep the time
at which they were last heard, and the whole source is stale: a book with a hole in it is not a book.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from adapters.demo import ibkr_wire, listed, reading, tastytrade_wire
from adapters.demo.book import IBKR, TASTYTRADE, deal, futures_of
from adapters.demo.exchange import Exchange
from adapters.demo.margin import Stress, requirements
from adapters.demo.market import SCENARIOS, Closes, Levels, Scenario, closes, levels_at
from adapters.demo.marks import FuturePrice, Holding, Mark, future_prices, marks_of
from adapters.demo.money import Segment, segments, settled_cash
from adapters.demo.traded_book import Close, Held, after_fills, line_of, with_trades
from adapters.trading_mode import TradingMode
from guardrails import calendar
from guardrails.errors import NotSentError, SourceError
from guardrails.instruments import Instrument
from guardrails.orders import BrokerOrder, ChainExpiry, Figure, Leg, Order, OrdersRead, Preview, PriceRule, Trade
from guardrails.portfolio import merge_markets
from guardrails.values import AccountId, Greeks, Market, Quote, Source, SourceState, View

NAME = "demo"
_SILENT_SECONDS = 6.0
"""a feed of this market speaks at every look; three missed looks of the default engine are silence"""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What a person chose: the one value a page may replace while the engine reads."""

    scenario: Scenario
    at: datetime | None
    """None: at the first look"""


@dataclass(frozen=True, slots=True)
class _Deal:
    """The book as it was dealt for one session."""

    chosen: _Chosen
    session: date
    started: datetime
    last_close: datetime
    levels: Levels
    """at the previous close"""
    held: Held
    """before anything was traded in the session"""
    vix_closes: Closes
    vix3m_closes: Closes

    @property
    def close(self) -> Close:
        """The market at the previous close."""
        return Close(self.levels, self.last_close)


class DemoSource:
    """A seeded simulated market and a two-account book; implements `guardrails.brokers.TradingBroker`."""

    name = NAME

    def __init__(
        self,
        scenario: str = "calm",
        seed: int = 7,
        modes: Mapping[str, TradingMode] | None = None,
        file: Path | None = None,
    ) -> None:
        """`modes` by broker say whether orders are taken; what is traded in a session is kept in `file`."""
        self._seed = seed
        self._chosen = _Chosen(_known(scenario), None)
        self._dealt: _Deal | None = None
        self._held: Held | None = None
        """with what was traded"""
        self._modes = dict(modes or {})
        self._exchange = Exchange(file)
        self._looked_at: tuple[Instrument, ...] = ()
        self._news = asyncio.Event()
        self._now = datetime.min.replace(tzinfo=UTC)
        """of the last look: nothing happens between two"""

    @property
    def scenario(self) -> str:
        """Name of the scenario that plays."""
        return self._chosen.scenario.name

    def switch(self, scenario: str, now: datetime) -> None:
        """Play `scenario` from its start at `now`; may be called from any thread.

        SourceError when there is none of that name.
        """
        self._chosen = _Chosen(_known(scenario), now)

    async def view(self, now: datetime) -> View:
        """Both accounts, their positions and the market at `now`, an aware time."""
        dealt, self._now = self._dealt_at(now), now
        self._match(dealt, now)
        heard, made = _heard(dealt, now), self._book.made
        ibkr = reading.read_ibkr(self._ibkr(dealt, now), NAME, dealt.last_close)
        tastytrade = reading.read_tastytrade(self._tastytrade(dealt, heard), NAME, made.get(TASTYTRADE, 0.0))
        source = _source(dealt.chosen.scenario, now, heard)
        history = Market(vix_closes=dealt.vix_closes, vix3m_closes=dealt.vix3m_closes)
        looked_at = self._market_of(self._looked_at, dealt, now)
        markets = [View(source, market=market) for market in (ibkr.market, tastytrade.market, history, looked_at)]
        return View(
            source=source,
            accounts=(ibkr.account, tastytrade.account),
            positions=(*ibkr.positions, *tastytrade.positions),
            market=replace(merge_markets(markets), open=True),
        )

    async def close(self) -> None:
        """Release nothing: the demo holds nothing."""

    async def changed(self) -> None:
        """Return never: the demo has no link that could be lost."""
        await asyncio.get_running_loop().create_future()

    async def settle(self) -> None:
        """Return at once: everything is there."""

    def refusal(self, account: AccountId) -> str:
        """Why no order may be sent for `account`; it never reaches a real exchange."""
        mode = self._modes.get(account.broker)
        return "This demo takes no orders." if mode is None else mode.refusal(account, paper=True)

    def is_paper(self, account: AccountId) -> bool:
        """Always: nothing of `account` is real."""
        return account.number in (IBKR, TASTYTRADE)

    async def preview(self, order: Order) -> Preview:
        """The demo's own margin rules, without and with `order`."""
        if self._dealt is None:
            return Preview(self._now, unknown="the demo has not begun: margin unknown")
        try:
            before, after = (self._margined(order.account, trades) for trades in ((), order.trades))
        except SourceError as error:
            return Preview(self._now, unknown=f"{error} Margin unknown.")
        equity = before.net_liquidation

        def change(old: float, new: float) -> Figure:
            return Figure(round(old, 2), round(new - old, 2), round(new, 2))

        return Preview(
            time=self._now,
            initial_margin=change(1.1 * before.maintenance, 1.1 * after.maintenance),
            maintenance_margin=change(before.maintenance, after.maintenance),
            equity_with_loan=change(equity, equity),
            currency="USD",
        )

    def orders(self) -> OrdersRead:
        """What rests and what was filled in this session."""
        traded = self._exchange.traded
        return OrdersRead(NAME, self._now, traded.orders, traded.fills)

    async def ordered(self) -> None:
        """Return when something was filled or ended."""
        await self._news.wait()
        self._news.clear()

    async def read_orders(self) -> OrdersRead:
        """The same as `orders`, once the market was looked at."""
        if self._dealt is None:
            raise SourceError("the demo has not begun.")
        return self.orders()

    async def held(self, account: AccountId) -> Mapping[str, float]:
        """Signed quantities by key."""
        if self._dealt is None:
            raise SourceError("the demo has not begun.")
        found: dict[str, float] = {}
        for line in self._book.lines:
            if line.account == account.number:
                found[line.instrument.key] = found.get(line.instrument.key, 0.0) + line.quantity
        return found

    async def submit(self, order: Order, key: str) -> None:
        """Let `order` rest on the demo's exchange."""
        if self._dealt is None or (why := self.refusal(order.account)):
            raise NotSentError("the demo has not begun." if self._dealt is None else why)
        try:
            for leg in order.legs:
                line_of(order.account.number, leg.instrument, key)
        except SourceError as error:
            raise NotSentError(str(error)) from error
        self._exchange.take(order, key, self._now)
        self._news.set()

    async def cancel(self, order: BrokerOrder) -> None:
        """Take it off the demo's exchange."""
        if not self._exchange.cancel(order.reference, self._now):
            raise SourceError("it does not work any more.")
        self._news.set()

    async def reprice(self, order: BrokerOrder, limit: float) -> None:
        """Give it another limit."""
        if not self._exchange.reprice(order.reference, limit, self._now):
            raise NotSentError("it does not work any more.")
        self._news.set()

    async def price_rule(self, order: Order) -> PriceRule:
        """The steps of its price."""
        return listed.rule_of(order)

    async def expiries(self, underlying: str) -> tuple[ChainExpiry, ...]:
        """What the demo lists."""
        return listed.expiries_of(underlying, calendar.exchange_date(self._now))

    async def listed(self, expiry: ChainExpiry) -> tuple[Instrument, ...]:
        """Strikes around the market."""
        if self._dealt is None:
            raise SourceError("the demo has not begun.")
        return listed.listed_for(expiry, self._levels(self._dealt, self._now))

    def look_at(self, instruments: Collection[Instrument]) -> None:
        """Quote these too."""
        self._looked_at = tuple(instruments)

    @property
    def _book(self) -> Held:
        if self._held is None:
            raise SourceError("the demo has not begun.")
        return self._held

    def _match(self, dealt: _Deal, now: datetime) -> None:
        levels = self._levels(dealt, now)

        def quotes(legs: Sequence[Leg]) -> Sequence[Mark]:
            return marks_of([line_of(IBKR, leg.instrument, "") for leg in legs], levels, now)

        before = self._exchange.traded
        fills = self._exchange.match(quotes, now, calendar.session_bounds(dealt.session)[1])
        self._held = after_fills(self._book, fills, dealt.close)
        if self._exchange.traded is not before:
            self._news.set()

    def _margined(self, account: AccountId, trades: Sequence[Trade]) -> Segment:
        """The whole account after `trades`."""
        dealt, now = self._dealt_at(self._now), self._now
        levels = self._levels(dealt, now)
        lines, settled = with_trades(self._book.lines, self._book.settled, trades, dealt.close, "what if")
        rows = [row for row, line in enumerate(lines) if line.account == account.number]
        marks = marks_of([lines[row] for row in rows], levels, now)
        held = [Holding(lines[row], mark, settled[row]) for row, mark in zip(rows, marks, strict=True)]
        asked = requirements(held, Stress.of(levels.vix))
        parts = segments(held, self._book.cash[account.number], asked)
        return sum(parts.values(), Segment(0.0, 0.0, 0.0, 0.0, 0.0))

    def _market_of(self, instruments: Sequence[Instrument], dealt: _Deal, now: datetime) -> Market:
        """Quotes and Greeks of options nobody holds; what the demo does not list says nothing."""
        lines = []
        for instrument in instruments:
            try:
                lines.append(line_of(IBKR, instrument, ""))
            except SourceError:
                continue
        marks = marks_of(lines, self._levels(dealt, now), now)
        quotes, greeks = {}, {}
        for line, mark in zip(lines, marks, strict=True):
            if (value := mark.option) is not None:
                key = line.instrument.key
                quotes[key] = Quote(mark.bid, mark.ask, now, NAME)
                greeks[key] = Greeks(
                    value.delta, value.gamma, value.vega, value.theta, value.iv, "tastytrade", now, value.rho
                )
        return Market(quotes=quotes, greeks=greeks)

    def _dealt_at(self, now: datetime) -> _Deal:
        """The deal in play, made anew after a switch and with every session, so that nothing in it ever expires."""
        chosen, held, session = self._chosen, self._dealt, calendar.session_of(now)
        if held is None or held.chosen is not chosen or held.session != session:
            first = chosen.at if chosen.at is not None and calendar.session_of(chosen.at) == session else now
            held = self._dealt = _deal(chosen, self._seed, session, first)
            self._exchange.begin(chosen.scenario.name, session)
            self._held = after_fills(held.held, self._exchange.traded.fills, held.close)
            self._news.set()
        return held

    def _holdings(self, levels: Levels, now: datetime, account: str) -> list[Holding]:
        lines, settled = self._book.lines, self._book.settled
        rows = [row for row, line in enumerate(lines) if line.account == account]
        marks = marks_of([lines[row] for row in rows], levels, now)
        return [Holding(lines[row], mark, settled[row]) for row, mark in zip(rows, marks, strict=True)]

    def _levels(self, dealt: _Deal, now: datetime) -> Levels:
        return levels_at(dealt.chosen.scenario, self._seed, max((now - dealt.started).total_seconds(), 0.0))

    def _ibkr(self, dealt: _Deal, now: datetime) -> ibkr_wire.Messages:
        levels = self._levels(dealt, now)
        held = self._holdings(levels, now, IBKR)
        parts = segments(held, self._book.cash[IBKR], requirements(held, Stress.of(levels.vix)))
        return ibkr_wire.messages(
            held, parts, (levels, dealt.levels), self._futures(dealt, levels, now), now, self._book.made.get(IBKR, 0.0)
        )

    def _tastytrade(self, dealt: _Deal, now: datetime) -> tastytrade_wire.Messages:
        levels = self._levels(dealt, now)
        held = self._holdings(levels, now, TASTYTRADE)
        asked = requirements(held, Stress.of(levels.vix))
        whole = segments(held, self._book.cash[TASTYTRADE], asked)[False]
        futures = self._futures(dealt, levels, now)
        return tastytrade_wire.messages(held, whole, asked, (levels, dealt.levels), futures, now, dealt.last_close)

    def _futures(self, dealt: _Deal, levels: Levels, now: datetime) -> list[FuturePrice]:
        """Prices of the futures now and at the previous close."""
        lines = self._book.lines
        prices, settled = future_prices(lines, levels, now), future_prices(lines, dealt.levels, dealt.last_close)
        return [FuturePrice(it, prices[symbol], settled[symbol]) for symbol, it in futures_of(lines).items()]


def _known(name: str) -> Scenario:
    if name not in SCENARIOS:
        raise SourceError(f"the demo has no scenario {name!r}; choose one of {', '.join(SCENARIOS)}.")
    return SCENARIOS[name]


def _deal(chosen: _Chosen, seed: int, session: date, started: datetime) -> _Deal:
    before = calendar.previous_session(session)
    last_close = calendar.session_bounds(before)[1]
    lines, levels = deal(started), levels_at(chosen.scenario, seed, -1.0)
    marks = marks_of(lines, levels, last_close)
    settled = [Holding(line, mark, mark) for line, mark in zip(lines, marks, strict=True)]
    cash = {name: settled_cash([h for h in settled if h.line.account == name], name) for name in (IBKR, TASTYTRADE)}
    vix, vix3m = closes(chosen.scenario, seed, before)
    return _Deal(
        chosen=chosen,
        session=session,
        started=started,
        last_close=last_close,
        levels=levels,
        held=Held(lines, marks, cash, {}),
        vix_closes=reading.daily_closes(tastytrade_wire.candles("VIX", vix)),
        vix3m_closes=reading.daily_closes(tastytrade_wire.candles("VIX3M", vix3m)),
    )


def _heard(dealt: _Deal, now: datetime) -> datetime:
    """When the tastytrade feed last spoke."""
    after = dealt.chosen.scenario.silent_after
    return now if after is None else min(now, dealt.started + timedelta(seconds=after))


def _source(scenario: Scenario, now: datetime, heard: datetime) -> Source:
    silent = (now - heard).total_seconds() > _SILENT_SECONDS
    said = "the tastytrade feed has stopped, the IBKR feed speaks" if silent else "the IBKR and tastytrade feeds speak"
    state = SourceState.STALE if silent else SourceState.LIVE
    return Source(NAME, state, heard, f"Simulated market, scenario {scenario.name}: {said}.")
