"""The demo as a Broker: what a person sees at the first start, and what tests run without any account.

One source, `demo`, stands for two feeds. When one of them falls silent the source says which, its figures keep the time
at which they were last heard, and the whole source is stale: a book with a hole in it is not a book.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from adapters.demo import ibkr_wire, reading, tastytrade_wire
from adapters.demo.book import IBKR, TASTYTRADE, Line, deal, futures_of
from adapters.demo.margin import Stress, requirements
from adapters.demo.market import SCENARIOS, Closes, Levels, Scenario, closes, levels_at
from adapters.demo.marks import FuturePrice, Holding, Mark, future_prices, marks_of
from adapters.demo.money import segments, settled_cash
from guardrails import calendar
from guardrails.errors import SourceError
from guardrails.portfolio import merge_markets
from guardrails.values import Market, Source, SourceState, View

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
    lines: tuple[Line, ...]
    levels: Levels
    """at the previous close"""
    marks: tuple[Mark, ...]
    """at the previous close"""
    cash: dict[str, dict[bool, float]]
    vix_closes: Closes
    vix3m_closes: Closes


class DemoSource:
    """A seeded simulated market and a two-account book; implements `guardrails.brokers.Broker`."""

    name = NAME

    def __init__(self, scenario: str = "calm", seed: int = 7) -> None:
        self._seed = seed
        self._chosen = _Chosen(_known(scenario), None)
        self._dealt: _Deal | None = None

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
        dealt = self._dealt_at(now)
        heard = _heard(dealt, now)
        ibkr = reading.read_ibkr(self._ibkr(dealt, now), NAME, dealt.last_close)
        tastytrade = reading.read_tastytrade(self._tastytrade(dealt, heard), NAME)
        source = _source(dealt.chosen.scenario, now, heard)
        history = Market(vix_closes=dealt.vix_closes, vix3m_closes=dealt.vix3m_closes)
        markets = [View(source, market=market) for market in (ibkr.market, tastytrade.market, history)]
        return View(
            source=source,
            accounts=(ibkr.account, tastytrade.account),
            positions=(*ibkr.positions, *tastytrade.positions),
            market=replace(merge_markets(markets), open=True),
        )

    async def close(self) -> None:
        """Release nothing: the demo holds nothing."""

    def _dealt_at(self, now: datetime) -> _Deal:
        """The deal in play, made anew after a switch and with every session, so that nothing in it ever expires."""
        chosen, held, session = self._chosen, self._dealt, calendar.session_of(now)
        if held is None or held.chosen is not chosen or held.session != session:
            first = chosen.at if chosen.at is not None and calendar.session_of(chosen.at) == session else now
            held = self._dealt = _deal(chosen, self._seed, session, first)
        return held

    def _holdings(self, dealt: _Deal, levels: Levels, now: datetime, account: str) -> list[Holding]:
        rows = [row for row, line in enumerate(dealt.lines) if line.account == account]
        marks = marks_of([dealt.lines[row] for row in rows], levels, now)
        return [Holding(dealt.lines[row], mark, dealt.marks[row]) for row, mark in zip(rows, marks, strict=True)]

    def _levels(self, dealt: _Deal, now: datetime) -> Levels:
        return levels_at(dealt.chosen.scenario, self._seed, max((now - dealt.started).total_seconds(), 0.0))

    def _ibkr(self, dealt: _Deal, now: datetime) -> ibkr_wire.Messages:
        levels = self._levels(dealt, now)
        held = self._holdings(dealt, levels, now, IBKR)
        parts = segments(held, dealt.cash[IBKR], requirements(held, Stress.of(levels.vix)))
        return ibkr_wire.messages(held, parts, (levels, dealt.levels), _futures(dealt, levels, now), now)

    def _tastytrade(self, dealt: _Deal, now: datetime) -> tastytrade_wire.Messages:
        levels = self._levels(dealt, now)
        held = self._holdings(dealt, levels, now, TASTYTRADE)
        asked = requirements(held, Stress.of(levels.vix))
        whole = segments(held, dealt.cash[TASTYTRADE], asked)[False]
        futures = _futures(dealt, levels, now)
        return tastytrade_wire.messages(held, whole, asked, (levels, dealt.levels), futures, now, dealt.last_close)


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
        lines=lines,
        levels=levels,
        marks=marks,
        cash=cash,
        vix_closes=reading.daily_closes(tastytrade_wire.candles("VIX", vix)),
        vix3m_closes=reading.daily_closes(tastytrade_wire.candles("VIX3M", vix3m)),
    )


def _futures(dealt: _Deal, levels: Levels, now: datetime) -> list[FuturePrice]:
    """Prices of the futures now and at the previous close."""
    prices = future_prices(dealt.lines, levels, now)
    settled = future_prices(dealt.lines, dealt.levels, dealt.last_close)
    return [FuturePrice(it, prices[symbol], settled[symbol]) for symbol, it in futures_of(dealt.lines).items()]


def _heard(dealt: _Deal, now: datetime) -> datetime:
    """When the tastytrade feed last spoke."""
    after = dealt.chosen.scenario.silent_after
    return now if after is None else min(now, dealt.started + timedelta(seconds=after))


def _source(scenario: Scenario, now: datetime, heard: datetime) -> Source:
    silent = (now - heard).total_seconds() > _SILENT_SECONDS
    said = "the tastytrade feed has stopped, the IBKR feed speaks" if silent else "the IBKR and tastytrade feeds speak"
    state = SourceState.STALE if silent else SourceState.LIVE
    return Source(NAME, state, heard, f"Simulated market, scenario {scenario.name}: {said}.")
