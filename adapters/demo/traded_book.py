"""The demo's book after what was traded in it: lines, cash and the day's P&L, so that every sum stays exact.

line at the previous close   quantity x multiplier x (mark - mark at the previous close)     as for every line
trade of the day             quantity x multiplier x (mark at the previous close - price) - fees
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from adapters.demo.book import IBKR, Line
from adapters.demo.expiries import quarterly
from adapters.demo.market import UNDERLYINGS, Levels
from adapters.demo.marks import Mark, marks_of
from guardrails.errors import SourceError
from guardrails.instruments import Instrument, Kind
from guardrails.orders import Fill, Trade
from guardrails.products import future_multiplier
from guardrails.symbols import contracts

_MONTHS = "FGHJKMNQUVXZ"
_LISTED = (Kind.EQUITY, Kind.OPTION, Kind.INDEX_OPTION, Kind.FUTURE, Kind.FUTURE_OPTION)
_FUTURES = ("/ES", "/MES")


@dataclass(frozen=True, slots=True)
class Close:
    """The market at the previous close."""

    levels: Levels
    time: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """Lines with their marks at the previous close, and the money."""

    lines: tuple[Line, ...]
    settled: tuple[Mark, ...]
    cash: Mapping[str, Mapping[bool, float]]
    """dollars by account and by whether it is the commodities segment"""
    made: Mapping[str, float]
    """dollars by account: the second formula above, over all trades of the day"""


def after_fills(held: Held, fills: Sequence[Fill], close: Close) -> Held:
    """`held` once all of `fills` are in it."""
    for fill in fills:
        held = _after(held, fill, close)
    return held


def _after(held: Held, fill: Fill, close: Close) -> Held:
    account, line = fill.account.number, line_of(fill.account.number, fill.instrument, fill.key)
    lines, settled = with_trades(
        held.lines, held.settled, [Trade(fill.account, fill.instrument, fill.quantity)], close, fill.key
    )
    mark = marks_of([line], close.levels, close.time)[0].mark
    size, fees = fill.quantity * line.multiplier, fill.fees or 0.0
    # a future is bought for nothing, and settled against the previous close
    paid = size * (fill.price - mark if fill.instrument.kind is Kind.FUTURE else fill.price) + fees
    segment = account == IBKR and fill.instrument.kind in (Kind.FUTURE, Kind.FUTURE_OPTION)
    cash = {name: dict(parts) for name, parts in held.cash.items()}
    cash[account][segment] -= paid
    made = {**held.made, account: held.made.get(account, 0.0) + size * (mark - fill.price) - fees}
    return Held(lines, settled, cash, made)


def with_trades(
    lines: Sequence[Line], settled: Sequence[Mark], trades: Sequence[Trade], close: Close, package: str
) -> tuple[tuple[Line, ...], tuple[Mark, ...]]:
    """Lines and their marks at the previous close after `trades`; what is new belongs to `package`."""
    kept = list(zip(lines, settled, strict=True))
    for trade in trades:
        places = [
            place for place, (line, _) in enumerate(kept)
            if line.account == trade.account.number and line.instrument.key == trade.instrument.key
        ]  # fmt: skip
        if places:  # one instrument may stand in two packages: from the first that it shrinks, else into the first
            place = next((at for at in places if kept[at][0].quantity * trade.quantity < 0), places[0])
            line, mark = kept[place]
            kept[place] = (replace(line, quantity=line.quantity + trade.quantity), mark)
        else:
            line = replace(line_of(trade.account.number, trade.instrument, package), quantity=trade.quantity)
            kept.append((line, marks_of([line], close.levels, close.time)[0]))
    kept = [(line, mark) for line, mark in kept if line.quantity]
    return tuple(line for line, _ in kept), tuple(mark for _, mark in kept)


def line_of(account: str, instrument: Instrument, package: str) -> Line:
    """One unit of something the demo's market lists; SourceError when it does not."""
    kind, name = instrument.kind, instrument.underlying or instrument.symbol
    on_future = kind in (Kind.FUTURE, Kind.FUTURE_OPTION)
    multiplier = 1.0 if kind is Kind.EQUITY else 100.0
    if on_future:
        found = future_multiplier(instrument.root if kind is Kind.FUTURE else "/ES")
        if found is None or (kind is Kind.FUTURE and instrument.root not in _FUTURES):
            raise SourceError(f"the demo's market does not list {instrument.label}.")
        multiplier = found
    elif kind not in _LISTED or name not in UNDERLYINGS:
        raise SourceError(f"the demo's market does not list {instrument.label}.")
    if instrument.is_option and (instrument.expiry is None or instrument.strike is None or instrument.right is None):
        raise SourceError(f"{instrument.symbol} names no option.")
    struck_on = _future_of(instrument) if kind is Kind.FUTURE_OPTION else None
    held = replace(instrument, underlying=struck_on.symbol) if struck_on is not None else instrument
    held = _dated(instrument) if kind is Kind.FUTURE else held
    return Line(account, package, held, 1.0, multiplier, 1.0, struck_on)


def _future_of(option: Instrument) -> Instrument:
    """The quarterly future alive when the option expires."""
    if option.expiry is None:
        raise SourceError(f"{option.symbol} names no option.")
    end = quarterly(option.expiry)
    return contracts.future("ES", end.year, end.month, end)


def _dated(future: Instrument) -> Instrument:
    """A future with its last day."""
    month = _MONTHS.index(future.symbol[-3]) + 1
    year = 2000 + int(future.symbol[-2:])
    end = quarterly(datetime(year, month, 1).date())  # noqa: DTZ001  # a date, without a clock
    return replace(future, expiry=end)
