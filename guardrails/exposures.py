"""Every position's exposure, in columns, computed once per Portfolio; sums are intervals.

Formulas: domain facts 1.2 to 1.5, in US dollars (foreign currency at the dated rate `fx`), q signed contracts, M
multiplier, S the price of what the position is struck on:

    delta_dollars        q * delta * M * S * fx                 P/L of a +100 % move; divide by 100 for +1 %
    beta_delta_dollars   sum over an underlying of delta_dollars, times its beta
    gamma_1pct           q * gamma * M * S^2 * 0.01 * fx        change of delta_dollars for a 1 % move
    beta gamma           gamma_1pct * beta^2                    for a 1 % move of the index
    vega                 q * vega * M * fx                      per volatility point
    vega_30d             vega * sqrt(30 / max(DTE, 1))
    theta                q * theta * M * fx                     per calendar day

What is missing is not zero: it widens the interval [low, high] in which the truth lies, by what is still known (a
long call's delta lies in 0..1, its vega below S sqrt(T) n(0)), and the row is marked missing. A missing beta is
bounded at 0 and 2, applied after netting within the underlying. Volatility products are bounded at beta -8 to 0 (they
gain when the index falls) and their vega may add to, but never offset, equity-index vega.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from guardrails import calendar
from guardrails.instruments import Kind, Right
from guardrails.products import SP500, VOLATILITY_GROUP, group_of
from guardrails.values import Market, Position

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

BUCKETS = ("0-7", "8-30", "31-60", "60+")
BUCKET_ENDS = (7, 30, 60)
"""last calendar DTE of each bucket but the open one"""
MISSING_BETA = (0.0, 2.0)
VOLATILITY_BETA = (-8.0, 0.0)
"""VIX, its options and futures, and unleveraged products on them"""
LEVERED_VOLATILITY_BETA: Mapping[str, tuple[float, float]] = {
    "UVXY": (-16.0, 0.0), "UVIX": (-16.0, 0.0), "SVXY": (0.0, 8.0), "SVIX": (0.0, 8.0),
}  # fmt: skip
_NO_EXPIRY = -1
LINEAR = (Kind.EQUITY, Kind.INDEX, Kind.FUTURE, Kind.CRYPTO, Kind.BOND)
"""kinds that move one to one with their own price: delta 1, no gamma, vega or theta"""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a sum lies: low <= truth <= high; `missing` when some part of it is not known at all."""

    low: float
    high: float
    missing: bool = False

    @property
    def known(self) -> float | None:
        """The value when it is certain, else None."""
        return self.low if self.low == self.high and not self.missing else None


@dataclass(frozen=True, slots=True)
class Measure:
    """One exposure by row: bounds, and which rows are missing."""

    low: Array
    high: Array
    missing: Mask

    def total(self, rows: Mask | None = None) -> Interval:
        """The sum over `rows`, or over all."""
        if rows is None:
            return Interval(float(self.low.sum()), float(self.high.sum()), bool(self.missing.any()))
        return Interval(float(self.low[rows].sum()), float(self.high[rows].sum()), bool(self.missing[rows].any()))

    def by(self, index: Index, size: int) -> Measure:
        """Sums per class, where `index` names the class of each row."""
        return Measure(
            np.bincount(index, self.low, size).astype(np.float64),
            np.bincount(index, self.high, size).astype(np.float64),
            np.bincount(index, self.missing, size) > 0,
        )

    def at(self, place: int) -> Interval:
        """The interval of one row or class."""
        return Interval(float(self.low[place]), float(self.high[place]), bool(self.missing[place]))


@dataclass(frozen=True, slots=True)
class Exposures:
    """Columns over the positions of a Portfolio, in their order, and what they are grouped by."""

    quantity: Array
    multiplier: Array
    spot: Array
    fx: Array
    dte: NDArray[np.int64]
    """calendar days to expiry, -1 for what does not expire"""
    is_option: Mask
    is_cash: Mask
    delta: Measure
    gamma: Measure
    vega: Measure
    vega_30d: Measure
    theta: Measure
    underlyings: tuple[str, ...]
    underlying: Index
    groups: tuple[str, ...]
    group: Index
    """group of each row"""
    group_of_underlying: Index
    beta_low: Array
    """by underlying"""
    beta_high: Array
    unweighted: tuple[str, ...]
    """underlyings whose beta is not known and was bounded"""
    bucket: Index
    """expiry bucket of each row, -1 for what does not expire"""

    @property
    def is_volatility(self) -> Mask:
        """Which rows are volatility products."""
        if VOLATILITY_GROUP not in self.groups:
            return np.zeros(len(self.group), dtype=bool)
        return np.asarray(self.group == self.groups.index(VOLATILITY_GROUP), dtype=bool)

    def beta_delta(self, rows: Mask | None = None) -> Measure:
        """Beta-weighted dollar delta by underlying, netted within the underlying before the beta bounds apply."""
        netted = _select(self.delta, rows).by(self.underlying, len(self.underlyings))
        return _scaled(netted, self.beta_low, self.beta_high)

    def beta_gamma(self, rows: Mask | None = None) -> Measure:
        """Beta-weighted 1 % dollar gamma by underlying, for a 1 % move of the index."""
        netted = _select(self.gamma, rows).by(self.underlying, len(self.underlyings))
        squares = np.sort(np.stack([self.beta_low**2, self.beta_high**2]), axis=0)
        return _scaled(netted, squares[0], squares[1])

    def total_vega(self, measure: Measure, rows: Mask | None = None) -> Interval:
        """Sum of a vega column in which volatility products add when short, but never offset."""
        chosen = np.ones(len(self.group), dtype=bool) if rows is None else rows
        volatility = self.is_volatility & chosen
        ordinary, special = measure.total(chosen & ~volatility), measure.total(volatility)
        return Interval(
            ordinary.low + min(special.low, 0.0),
            ordinary.high + min(special.high, 0.0),
            ordinary.missing or special.missing,
        )


def measure_exposures(positions: Sequence[Position], market: Market, now: datetime) -> Exposures:
    """The columns of `positions` at `now`, an aware UTC time."""
    columns = _Columns(positions, market, now)
    underlyings, underlying = _classes([p.instrument.underlying or p.instrument.symbol for p in positions])
    names = [group_of(name) for name in underlyings]
    groups, group_of_underlying = _classes(names)
    low, high, unweighted = _betas(underlyings, names, market, columns, underlying)
    return Exposures(
        quantity=columns.quantity,
        multiplier=columns.multiplier,
        spot=columns.spot,
        fx=columns.fx,
        dte=columns.dte,
        is_option=columns.is_option,
        is_cash=columns.is_cash,
        delta=columns.delta(),
        gamma=columns.gamma(),
        vega=(vega := columns.vega()),
        vega_30d=_scaled(vega, weight := np.sqrt(30.0 / np.maximum(columns.dte, 1)), weight),
        theta=columns.theta(),
        underlyings=underlyings,
        underlying=underlying,
        groups=groups,
        group=group_of_underlying[underlying],
        group_of_underlying=group_of_underlying,
        beta_low=low,
        beta_high=high,
        unweighted=unweighted,
        bucket=np.where(columns.dte < 0, -1, np.searchsorted(BUCKET_ENDS, columns.dte)).astype(np.intp),
    )


class _Columns:
    """The raw columns of the positions and the measures made from them; NaN is missing."""

    def __init__(self, positions: Sequence[Position], market: Market, now: datetime) -> None:
        kinds = [p.instrument.kind for p in positions]
        self.quantity = _floats([None if p.reasons else p.quantity for p in positions])
        self.multiplier = _floats([p.multiplier for p in positions])
        self.is_option = np.array([p.instrument.is_option for p in positions], dtype=bool)
        self.is_linear = np.array([kind in LINEAR for kind in kinds], dtype=bool)
        self.is_cash = np.array([kind is Kind.CASH for kind in kinds], dtype=bool)
        signs = np.sign(_floats([p.quantity for p in positions]))
        self.direction = np.where(
            self.is_option | self.is_linear, signs, math.nan
        )  # what has no model may be convex either way
        self.right = np.array([_RIGHT.get(p.instrument.right, math.nan) for p in positions])
        self.spot = _floats([spot_of(p, market) for p in positions])
        self.fx = _floats([_fx(p.currency, market) for p in positions])
        today = calendar.exchange_date(now)
        self.dte = np.array([_dte(p.instrument.expiry, today) for p in positions], dtype=np.int64)
        greeks = [None if p.reasons else p.greeks for p in positions]
        self.raw = {
            name: _floats([None if g is None else getattr(g, name) for g in greeks])
            for name in ("delta", "gamma", "vega", "theta")
        }
        self.size = self.quantity * self.multiplier * self.fx

    def delta(self) -> Measure:
        unit = np.where(self.is_option, self.raw["delta"], np.where(self.is_linear, 1.0, math.nan))
        reach = np.abs(self.size * self.spot)
        toward = self.direction * np.where(self.is_option, self.right, np.where(self.is_linear, 1.0, math.nan))
        return self._measure(self.size * self.spot * unit, _unbounded(reach), toward)

    def gamma(self) -> Measure:
        value = self.size * self._greek("gamma") * self.spot**2 * 0.01
        return self._measure(value, np.full_like(value, math.inf), self.direction)

    def vega(self) -> Measure:
        years = np.maximum(self.dte, 1) / 365.0
        highest = np.abs(self.size * self.spot) * np.sqrt(years) / math.sqrt(2.0 * math.pi) / 100.0
        return self._measure(self.size * self._greek("vega"), _unbounded(highest), self.direction)

    def theta(self) -> Measure:
        value = self.size * self._greek("theta")
        return self._measure(value, np.full_like(value, math.inf), np.full_like(value, math.nan))

    def _greek(self, name: str) -> Array:
        return np.where(self.is_option, self.raw[name], np.where(self.is_linear, 0.0, math.nan))

    def _measure(self, value: Array, reach: Array, toward: Array) -> Measure:
        """Known values as points; missing ones as [0, reach] in the direction `toward`, both ways if it is unknown."""
        value = np.where(self.is_cash, 0.0, value)
        missing = np.isnan(value)
        low = np.where(missing, np.where(toward > 0, 0.0, -reach), value)
        high = np.where(missing, np.where(toward < 0, 0.0, reach), value)
        return Measure(low, high, missing)


_RIGHT: Mapping[Right | None, float] = {Right.CALL: 1.0, Right.PUT: -1.0}


def spot_of(position: Position, market: Market) -> float | None:
    """Price of what the position is struck on: the underlying's for an option, its own for the rest."""
    instrument = position.instrument
    if instrument.kind is Kind.CASH:
        return None
    quoted = market.prices.get(instrument.underlying if instrument.is_option else instrument.symbol)
    if quoted is not None:
        return quoted.value
    return None if instrument.is_option else position.mark


def _betas(
    underlyings: Sequence[str], groups: Sequence[str], market: Market, columns: _Columns, index: Index
) -> tuple[Array, Array, tuple[str, ...]]:
    low, high, unweighted = [], [], []
    only_cash = np.bincount(index, ~columns.is_cash, len(underlyings)) == 0
    by_group: dict[str, float] = {}
    for name, given in market.betas.items():
        by_group.setdefault(group_of(name), given.value)
    for name, group, cash in zip(underlyings, groups, only_cash, strict=True):
        reading = market.betas.get(name)
        known = 1.0 if group == SP500 else reading.value if reading is not None else by_group.get(group)
        if group == VOLATILITY_GROUP:
            bounds = LEVERED_VOLATILITY_BETA.get(name, VOLATILITY_BETA)
        elif known is None:
            bounds = (0.0, 0.0) if cash else MISSING_BETA
        else:
            bounds = (known, known)
        if bounds is MISSING_BETA:
            unweighted.append(name)
        low.append(bounds[0])
        high.append(bounds[1])
    return np.array(low), np.array(high), tuple(unweighted)


def _scaled(measure: Measure, low: Array, high: Array) -> Measure:
    """Interval times the factor interval [low, high]; 0 times an unbounded side stays 0."""
    with np.errstate(invalid="ignore"):
        corners = np.nan_to_num(
            np.stack([measure.low * low, measure.low * high, measure.high * low, measure.high * high]),
            nan=0.0, posinf=math.inf, neginf=-math.inf,
        )  # fmt: skip
    return Measure(corners.min(axis=0), corners.max(axis=0), measure.missing)


def _select(measure: Measure, rows: Mask | None) -> Measure:
    if rows is None:
        return measure
    return Measure(np.where(rows, measure.low, 0.0), np.where(rows, measure.high, 0.0), measure.missing & rows)


def _unbounded(reach: Array) -> Array:
    return np.where(np.isnan(reach), math.inf, reach)


def _floats(values: Sequence[float | None]) -> Array:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _fx(currency: str, market: Market) -> float | None:
    if currency == "USD":
        return 1.0
    rate = market.fx.get(currency)
    return None if rate is None else rate.value


def _dte(expiry: date | None, today: date) -> int:
    return _NO_EXPIRY if expiry is None else max((expiry - today).days, 0)


def _classes(names: Sequence[str]) -> tuple[tuple[str, ...], Index]:
    order: dict[str, int] = {}
    index = [order.setdefault(name, len(order)) for name in names]
    return tuple(order), np.array(index, dtype=np.intp)
