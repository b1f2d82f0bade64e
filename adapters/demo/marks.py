"""What a vendor would send for every line at one moment: price, quote and Greeks by the closed form on the surface.

The product's own closed form plays the vendor's model here; its results are still sent and read as vendor figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from adapters.demo.book import Line, futures_of
from adapters.demo.market import INDEX, RATE, UNDERLYINGS, Levels, future_price, surface
from guardrails import calendar
from guardrails.instruments import Instrument, Kind, Right
from guardrails.pricing import Options, sensitivities
from guardrails.products import INDEX_ROOTS

_SHARE_HALF_SPREAD, _FUTURE_TICK = 0.01, 0.25
_CALM_VIX = 15.0
"""up to which quotes are as narrow as they get"""


@dataclass(frozen=True, slots=True)
class OptionValue:
    """Price and Greeks of one unit, long."""

    price: float
    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float
    iv: float


@dataclass(frozen=True, slots=True)
class Mark:
    """What one line is quoted at."""

    mark: float
    bid: float
    ask: float
    spot: float
    """price of what it is struck on; its own for what is no option"""
    option: OptionValue | None = None


def marks_of(lines: Sequence[Line], levels: Levels, now: datetime) -> tuple[Mark, ...]:
    """The marks of `lines`, in their order."""
    futures = future_prices(lines, levels, now)
    rows = [row for row, line in enumerate(lines) if line.instrument.is_option]
    values = dict(zip(rows, _values([lines[row].instrument for row in rows], levels, futures, now), strict=True))
    return tuple(_mark(line.instrument, values.get(row), levels, futures) for row, line in enumerate(lines))


def future_prices(lines: Sequence[Line], levels: Levels, now: datetime) -> dict[str, float]:
    """Price of every future held or exercised into, by canonical symbol."""
    return {
        symbol: future_price(levels.spots[INDEX], _years_left(future, now))
        for symbol, future in futures_of(lines).items()
    }


def _years_left(future: Instrument, now: datetime) -> float:
    return calendar.year_fraction(future, now) or 0.0


def _values(
    held: Sequence[Instrument], levels: Levels, futures: Mapping[str, float], now: datetime
) -> list[OptionValue]:
    if not held:
        return []
    traits = [UNDERLYINGS[_driver(instrument)] for instrument in held]
    on_future = np.array([instrument.kind is Kind.FUTURE_OPTION for instrument in held])
    carry = np.where(on_future, 0.0, [RATE - trait.dividend for trait in traits])
    options = Options(
        sign=np.array([1.0 if instrument.right is Right.CALL else -1.0 for instrument in held]),
        spot=np.array([futures[i.underlying] if i.underlying in futures else levels.spots[i.underlying] for i in held]),
        strike=np.array([float(instrument.strike or 0) for instrument in held]),
        years=np.array([max(calendar.year_fraction(instrument, now) or 0.0, 1e-6) for instrument in held]),
        rate=np.full(len(held), RATE),
        carry=carry,
    )
    beta, own = np.array([trait.beta for trait in traits]), np.array([trait.own_vol for trait in traits])
    vol = surface(levels, beta, own, options.strike, options.spot * np.exp(carry * options.years), options.years)
    s = sensitivities(options, vol)
    columns = zip(s.price, s.delta, s.gamma, s.vega, s.theta, s.rho, vol, strict=True)
    return [OptionValue(*(float(value) for value in row)) for row in columns]


def _driver(instrument: Instrument) -> str:
    """The underlying of the demo whose volatility drives an option."""
    return INDEX if instrument.kind is Kind.FUTURE_OPTION else instrument.underlying


def _mark(held: Instrument, value: OptionValue | None, levels: Levels, futures: Mapping[str, float]) -> Mark:
    if value is not None:
        spot = futures[held.underlying] if held.underlying in futures else levels.spots[held.underlying]
        return _option_mark(held, value, spot, levels.vix)
    if held.kind is Kind.CASH:
        return Mark(levels.eurusd, levels.eurusd, levels.eurusd, levels.eurusd)
    if held.kind is Kind.FUTURE:
        price = futures[held.symbol]
        return Mark(price, price - _FUTURE_TICK, price + _FUTURE_TICK, price)
    price = levels.spots[held.symbol]
    return Mark(price, round(price - _SHARE_HALF_SPREAD, 2), round(price + _SHARE_HALF_SPREAD, 2), price)


def _option_mark(held: Instrument, value: OptionValue, spot: float, vix: float) -> Mark:
    """A quote on the option's ticks around the model price, wider when VIX is higher, and its middle as the mark."""
    tick = _tick(held, value.price)
    half = 0.4 * tick + 0.008 * value.price * max(vix / _CALM_VIX, 1.0)
    bid = max(math.floor((value.price - half) / tick) * tick, 0.0)
    ask = math.ceil((value.price + half) / tick) * tick
    return Mark(round((bid + ask) / 2.0, 4), round(bid, 2), round(ask, 2), spot, value)


def _tick(held: Instrument, price: float) -> float:
    """Smallest price step (domain facts 8)."""
    if held.kind is Kind.FUTURE_OPTION:
        return 0.25 if price > 5.0 else 0.05
    if held.root in INDEX_ROOTS:
        return 0.10 if price >= 3.0 else 0.05
    if held.underlying in ("SPY", "QQQ") or price < 3.0:
        return 0.01
    return 0.05


@dataclass(frozen=True, slots=True)
class Holding:
    """One line with its mark now and at the previous close."""

    line: Line
    mark: Mark
    settled: Mark

    @property
    def value(self) -> float:
        """Dollars it adds to net liquidation; a future only what it moved since it was last settled in cash."""
        size = self.line.quantity * self.line.multiplier
        owed = self.settled.mark if self.line.instrument.kind is Kind.FUTURE else 0.0
        return size * (self.mark.mark - owed)

    @property
    def day_pnl(self) -> float:
        """Dollars made since the previous close."""
        return self.line.quantity * self.line.multiplier * (self.mark.mark - self.settled.mark)

    @property
    def cost(self) -> float:
        """Price paid for one unit, in whole cents."""
        return round(self.line.cost * self.settled.mark, 2)


@dataclass(frozen=True, slots=True)
class FuturePrice:
    """A future that is held or exercised into, now and at the previous close."""

    contract: Instrument
    price: float
    settled: float
