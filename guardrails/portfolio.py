"""The merged book at one moment: what every check reads, with the brokers already brought together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import compress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from guardrails.exposures import Exposures
from guardrails.instruments import Instrument, Kind
from guardrails.values import (
    SENTINEL,
    Account,
    AccountId,
    Dividend,
    Greeks,
    Market,
    Metrics,
    Observed,
    Position,
    Price,
    Quote,
    Source,
    View,
    finite,
)

if TYPE_CHECKING:
    from guardrails.stress.standing import Standing  # it is made from a Portfolio

_Value = TypeVar("_Value", Observed, Price)
_Record = TypeVar("_Record", Metrics, Greeks, Quote)
_Dated = TypeVar("_Dated", Observed, Price, Metrics, Greeks, Quote)

_NAMES: Mapping[type, tuple[str, ...]] = {
    Metrics: ("correlation", "iv_rank", "iv_percentile", "iv_30d", "hv_30d"),
    Greeks: ("delta", "gamma", "vega", "theta", "iv", "rho"),
    Quote: ("bid", "ask"),
}
"""the figures of what is merged by key; `Metrics` has dates beside them"""
_FIGURES = {kind: attrgetter(*names) for kind, names in _NAMES.items()}


@dataclass(frozen=True, slots=True)
class AccountHistory:
    """What was remembered of an account: needed for losses, which no single reading can show."""

    since: datetime | None = None
    """broker time of the first reading ever remembered"""
    session: date | None = None
    start: Observed | None = None
    """net liquidation at the start of `session`"""
    flows: float = 0.0
    """deposits minus withdrawals since the start of the session, as reported"""
    peak: Observed | None = None
    """highest net liquidation seen, moved by every reported cash flow"""
    last: Observed | None = None
    """last net liquidation that was explained"""
    losing: tuple[datetime, ...] = ()
    """distinct broker timestamps at which the loss stood over the limit, oldest first, this session"""
    jump: str = ""
    """why the net liquidation cannot be explained, else empty"""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Accounts, positions and market at `time`, merged over brokers, with the exposures computed once."""

    time: datetime
    accounts: tuple[Account, ...]
    positions: tuple[Position, ...]
    market: Market
    sources: tuple[Source, ...]
    exposures: Exposures
    history: Mapping[AccountId, AccountHistory] = field(default_factory=dict)
    market_open: bool = True
    net_liquidation: float | None = None
    """US dollars over all accounts; None when any account's is not known or there is no account"""
    gaps: tuple[str, ...] = ()
    """why the book as a whole is not what is held now (a silent source, an old statement); nothing is cleared then"""
    data_age_seconds: float | None = None
    """age of the oldest price or Greek that the sums rest on"""
    stress: Standing | str = "the book has not been revalued"
    """what it would be worth under shocks, or why that is not known"""

    def lacks(self, row: int) -> tuple[str, ...]:
        """What a readable position lacks, apart from Greeks, before its exposure is known."""
        position, columns = self.positions[row], self.exposures.columns
        if position.reasons or columns.is_cash[row]:
            return ()
        found = []
        if position.multiplier is None:
            found.append("no multiplier is known for it")
        if math.isnan(columns.spot[row]):
            name = position.instrument.underlying or "its underlying"
            found.append(f"no price of {name}" if position.instrument.is_option else "no price")
        if math.isnan(columns.fx[row]):
            found.append(f"no rate from {position.currency} to USD")
        return tuple(found)

    def age_of(self, time: datetime) -> float:
        """Seconds from `time` to the moment of this portfolio; 0 when it lies ahead of our clock."""
        return max((self.time - time).total_seconds(), 0.0)

    def usd(self, value: float | None, currency: str) -> float | None:
        """`value` in US dollars at the dated rate; None when the value or the rate is missing."""
        return in_usd(value, currency, self.market)


def in_usd(value: float | None, currency: str, market: Market) -> float | None:
    """`value` in US dollars; None when the value or the rate is missing."""
    if value is None or currency == "USD":
        return value
    rate = market.fx.get(currency)
    return None if rate is None else value * rate.value


def total_net_liquidation(accounts: Iterable[Account], market: Market) -> float | None:
    """Sum in US dollars; None when there is no account or one of them is not known."""
    values = [in_usd(account.net_liquidation, account.currency, market) for account in accounts]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def merge_markets(views: Iterable[View]) -> Market:
    """One Market from several: for each quantity the newest word counts; daily closes are united by date."""
    markets = [view.market for view in views]
    told = [market.open for market in markets if market.open is not None]
    return Market(
        vix=_newest(market.vix for market in markets),
        vix3m=_newest(market.vix3m for market in markets),
        vix_closes=_united((market.vix_closes for market in markets), max),
        vix3m_closes=_united((market.vix3m_closes for market in markets), min),
        prices=_latest((market.prices for market in markets), _valued),
        betas=_latest((market.betas for market in markets), _valued),
        fx=_latest((market.fx for market in markets), _valued),
        risk_free=_newest(market.risk_free for market in markets),
        metrics=_latest((market.metrics for market in markets), _numbers),
        greeks={**_blank(market.greeks for market in markets), **_latest((m.greeks for m in markets), _numbers)},
        quotes=_latest((market.quotes for market in markets), _numbers),
        open=any(told) if told else None,
        dividends=_latest_dividends(market.dividends for market in markets),
        yields=_latest((market.yields for market in markets), _valued),
    )


def held_by_others(views: Iterable[View], name: str) -> frozenset[Instrument]:
    """What the sources other than `name` hold and a market feed could stream: no cash, nothing of unknown kind.

    Nothing that trades abroad either: under the same symbol a feed of US markets has another price.
    """
    others = (position for view in views if view.source.name != name for position in view.positions)
    held = (position.instrument for position in others if position.currency == "USD")
    return frozenset(instrument for instrument in held if instrument.kind not in (Kind.CASH, Kind.OTHER))


def _newest(readings: Iterable[Observed | None]) -> Observed | None:
    return max((reading for reading in readings if reading is not None), key=lambda reading: reading.time, default=None)


def _united(
    histories: Iterable[tuple[tuple[date, float], ...]], stricter: Callable[[float, float], float]
) -> tuple[tuple[date, float], ...]:
    """One close a day, oldest first; of two that differ the stricter, because a contradiction may never relax."""
    best: dict[date, float] = {}
    for history in histories:
        for day, close in history:
            if finite(close) is not None:
                best[day] = stricter(close, best.get(day, close))
    return tuple(sorted(best.items()))


def _latest(tables: Iterable[Mapping[str, _Dated]], cleaned: Callable[[_Dated], _Dated | None]) -> Mapping[str, _Dated]:
    """By key the newest item that says anything at all; of two of one time the later table's."""
    merged: dict[str, _Dated] = {}
    for table in tables:
        for key, item in table.items():
            held = merged.get(key)
            if (held is None or item.time >= held.time) and (kept := cleaned(item)) is not None:
                merged[key] = kept
    return merged


def _latest_dividends(tables: Iterable[Mapping[str, tuple[Dividend, ...]]]) -> Mapping[str, tuple[Dividend, ...]]:
    """By underlying all that the source says whose newest word on it is the newest; two lists are never mixed."""
    merged: dict[str, tuple[Dividend, ...]] = {}
    for table in tables:
        for symbol, told in table.items():
            kept = tuple(dividend for dividend in told if finite(dividend.amount) is not None)
            held = merged.get(symbol)
            if kept and (held is None or max(d.time for d in kept) >= max(d.time for d in held)):
                merged[symbol] = kept
    return merged


def _valued(item: _Value) -> _Value | None:
    """`item`, unless its value is not a number."""
    return None if finite(item.value) is None else item


def _blank(tables: Iterable[Mapping[str, Greeks]]) -> dict[str, Greeks]:
    """Greeks without a single figure: where nobody has any, that they came is news."""
    return {key: greeks for table in tables for key, greeks in table.items() if greeks.delta is greeks.vega is None}


def _numbers(item: _Record) -> _Record | None:
    """`item` with None for every figure that is not a number; None when it then says nothing."""
    kind = type(item)
    figures = _FIGURES[kind](item)
    wrong = [value is not None and not -SENTINEL < value < SENTINEL for value in figures]
    if any(wrong):
        absent: dict[str, Any] = dict.fromkeys(compress(_NAMES[kind], wrong))
        return _numbers(replace(item, **absent))
    return item if kind is Metrics or figures.count(None) < len(figures) else None
