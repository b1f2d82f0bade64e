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
bounded at 0 and 2, times the leverage of a listed fund, applied after netting within the underlying. Volatility
products are bounded at beta -8 to 0 (they gain when the index falls) and their vega may add to, but never offset,
equity-index vega.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from guardrails.columns import Array, Columns, Index, Mask, classes, read_columns
from guardrails.products import LEVERAGED_FUNDS, SP500, VOLATILITY_GROUP, group_of
from guardrails.values import Market, Position

BUCKETS = ("0-7", "8-30", "31-60", "60+")
BUCKET_ENDS = (7, 30, 60)
"""last calendar DTE of each bucket but the open one"""
MISSING_BETA = (0.0, 2.0)
VOLATILITY_BETA = (-8.0, 0.0)
"""VIX, its options and futures, and unleveraged products on them"""
LEVERED_VOLATILITY_BETA: Mapping[str, tuple[float, float]] = {
    "UVXY": (-16.0, 0.0), "UVIX": (-16.0, 0.0), "SVXY": (0.0, 8.0), "SVIX": (0.0, 8.0),
}  # fmt: skip


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
    """One exposure by row: bounds, and which rows are missing.

    `high` is the very array `low` where every value is certain, so that nothing is added up twice.
    """

    low: Array
    high: Array
    missing: Mask

    def total(self, rows: Mask | None = None) -> Interval:
        """The sum over `rows`, or over all."""
        if rows is None:
            low = float(self.low.sum())
            return Interval(low, low if self.low is self.high else float(self.high.sum()), bool(self.missing.any()))
        return Interval(float(self.low[rows].sum()), float(self.high[rows].sum()), bool(self.missing[rows].any()))

    def by(self, index: Index, size: int) -> Measure:
        """Sums per class, where `index` names the class of each row."""
        low = np.bincount(index, self.low, size).astype(np.float64)
        if self.low is self.high:
            return Measure(low, low, np.zeros(len(low), dtype=bool))
        high = np.bincount(index, self.high, size).astype(np.float64)
        return Measure(low, high, np.bincount(index, self.missing, size) > 0)

    def at(self, place: int) -> Interval:
        """The interval of one row or class."""
        return Interval(float(self.low[place]), float(self.high[place]), bool(self.missing[place]))


@dataclass(frozen=True, slots=True)
class Exposures:
    """Measures over the positions of a Portfolio, in their order, and what they are grouped by."""

    columns: Columns
    delta: Measure
    gamma: Measure
    vega: Measure
    vega_30d: Measure
    theta: Measure
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
        netted = _select(self.delta, rows).by(self.columns.underlying, len(self.columns.underlyings))
        return _scaled(netted, self.beta_low, self.beta_high)

    def beta_gamma(self, rows: Mask | None = None) -> Measure:
        """Beta-weighted 1 % dollar gamma by underlying, for a 1 % move of the index."""
        netted = _select(self.gamma, rows).by(self.columns.underlying, len(self.columns.underlyings))
        return _scaled(netted, *self._beta_squares())

    def beta_delta_by(self, index: Index, size: int) -> Measure:
        """The same per class of `index` (-1 is in none), netted within each underlying of a class."""
        return self._weighted_by(self.delta, (self.beta_low, self.beta_high), index, size)

    def beta_gamma_by(self, index: Index, size: int) -> Measure:
        """Beta-weighted 1 % dollar gamma per class of `index` (-1 is in none), netted likewise."""
        return self._weighted_by(self.gamma, self._beta_squares(), index, size)

    def _weighted_by(self, measure: Measure, factors: tuple[Array, Array], index: Index, size: int) -> Measure:
        width = len(self.columns.underlyings)
        cells = measure.by(np.where(index < 0, size, index) * width + self.columns.underlying, (size + 1) * width)
        low = np.tile(factors[0], size + 1)
        high = low if factors[0] is factors[1] else np.tile(factors[1], size + 1)
        sums = _scaled(cells, low, high).by(np.repeat(np.arange(size + 1), width), size + 1)
        return Measure(sums.low[:size], sums.high[:size], sums.missing[:size])

    def _beta_squares(self) -> tuple[Array, Array]:
        low = self.beta_low**2
        if self.beta_low is self.beta_high:
            return low, low
        high = self.beta_high**2
        return np.minimum(low, high), np.maximum(low, high)

    def total_vega(self, measure: Measure, rows: Mask | None = None) -> Interval:
        """Sum of a vega column in which volatility products add when short, but never offset."""
        if VOLATILITY_GROUP not in self.groups:
            return measure.total(rows)
        chosen = np.ones(len(self.group), dtype=bool) if rows is None else rows
        volatility = self.is_volatility & chosen
        ordinary, special = measure.total(chosen & ~volatility), measure.total(volatility)
        return Interval(
            ordinary.low + min(special.low, 0.0),
            ordinary.high + min(special.high, 0.0),
            ordinary.missing or special.missing,
        )


def measure_exposures(positions: Sequence[Position], market: Market, now: datetime) -> Exposures:
    """The exposures of `positions` at `now`, an aware UTC time."""
    return exposures_of(read_columns(positions, market, now), market)


def exposures_of(columns: Columns, market: Market) -> Exposures:
    """The exposures of what has been read into `columns` at this market."""
    measures = _Measures(columns)
    names = [group_of(name) for name in columns.underlyings]
    groups, group_of_underlying = classes(names)
    low, high, unweighted = _betas(names, market, columns)
    return Exposures(
        columns=columns,
        delta=measures.delta(),
        gamma=measures.gamma(),
        vega=(vega := measures.vega()),
        vega_30d=_scaled(vega, weight := np.sqrt(30.0 / np.maximum(columns.dte, 1)), weight),
        theta=measures.theta(),
        groups=groups,
        group=group_of_underlying[columns.underlying],
        group_of_underlying=group_of_underlying,
        beta_low=low,
        beta_high=high,
        unweighted=unweighted,
        bucket=np.where(columns.dte < 0, -1, np.searchsorted(BUCKET_ENDS, columns.dte)).astype(np.intp),
    )


class _Measures:
    """The measures made from the columns; NaN is missing."""

    def __init__(self, columns: Columns) -> None:
        self.columns = c = columns
        self.size = c.quantity * c.multiplier * c.fx
        self.at_spot = self.size * c.spot
        self.direction = np.where(c.is_option | c.is_linear, np.sign(c.reported), math.nan)
        # what has no model may be convex either way

    def delta(self) -> Measure:
        slope = np.where(self.columns.is_option, self.columns.slope, 1.0)
        return self._measure(
            self.at_spot * self._unit(self.columns.delta, 1.0), self._reach(1.0), self.direction * slope
        )

    def gamma(self) -> Measure:
        value = self.at_spot * self._unit(self.columns.gamma, 0.0) * self.columns.spot * 0.01
        return self._measure(value, np.full_like(value, math.inf), self.direction)

    def vega(self) -> Measure:
        highest = np.sqrt(np.maximum(self.columns.dte, 1) / 365.0) / math.sqrt(2.0 * math.pi) / 100.0
        return self._measure(self.size * self._unit(self.columns.vega, 0.0), self._reach(highest), self.direction)

    def theta(self) -> Measure:
        value = self.size * self._unit(self.columns.theta, 0.0)
        return self._measure(value, np.full_like(value, math.inf), np.full_like(value, math.nan))

    def _unit(self, greek: Array, linear: float) -> Array:
        return np.where(self.columns.is_option, greek, np.where(self.columns.is_linear, linear, math.nan))

    def _reach(self, factor: Array | float) -> Array:
        reach = np.abs(self.at_spot) * factor
        return np.where(np.isnan(reach), math.inf, reach)

    def _measure(self, value: Array, reach: Array, toward: Array) -> Measure:
        """Known values as points; missing ones as [0, reach] in the direction `toward`, both ways if it is unknown."""
        value = np.where(self.columns.is_cash, 0.0, value)
        missing = np.isnan(value)
        if not missing.any():
            return Measure(value, value, missing)
        low = np.where(missing, np.where(toward > 0, 0.0, -reach), value)
        high = np.where(missing, np.where(toward < 0, 0.0, reach), value)
        return Measure(low, high, missing)


def missing_beta(name: str) -> tuple[float, float]:
    """Bounds of a beta that is not known: a leveraged or inverse fund moves by that many times what it follows.

    What a fund on bonds, goods or currencies follows may move either way when shares fall.
    """
    fund = LEVERAGED_FUNDS.get(name)
    if fund is None:
        return MISSING_BETA
    far = max(MISSING_BETA) * fund.leverage
    return (min(0.0, far), max(0.0, far)) if fund.on_shares else (-abs(far), abs(far))


def _betas(groups: Sequence[str], market: Market, columns: Columns) -> tuple[Array, Array, tuple[str, ...]]:
    low, high, unweighted = [], [], []
    underlyings = columns.underlyings
    only_cash = np.bincount(columns.underlying, ~columns.is_cash, len(underlyings)) == 0
    by_group: dict[str, float] = {}
    for name, given in market.betas.items():
        by_group.setdefault(group_of(name), given.value)
    for name, group, cash in zip(underlyings, groups, only_cash, strict=True):
        reading = market.betas.get(name)
        known = 1.0 if group == SP500 else reading.value if reading is not None else by_group.get(group)
        if group == VOLATILITY_GROUP:
            bounds = LEVERED_VOLATILITY_BETA.get(name, VOLATILITY_BETA)
        elif known is None:
            bounds = (0.0, 0.0) if cash else missing_beta(name)
        else:
            bounds = (known, known)
        if known is None and group != VOLATILITY_GROUP and not cash:
            unweighted.append(name)
        low.append(bounds[0])
        high.append(bounds[1])
    lows = np.array(low)
    return lows, lows if low == high else np.array(high), tuple(unweighted)


def _scaled(measure: Measure, low: Array, high: Array) -> Measure:
    """Interval times the factor interval [low, high]; 0 times an unbounded side stays 0."""
    if measure.low is measure.high and low is high:
        certain = measure.low * low
        return Measure(certain, certain, measure.missing)
    with np.errstate(invalid="ignore"):
        corners = np.nan_to_num(
            np.stack([measure.low * low, measure.low * high, measure.high * low, measure.high * high]),
            nan=0.0, posinf=math.inf, neginf=-math.inf,
        )  # fmt: skip
    return Measure(corners.min(axis=0), corners.max(axis=0), measure.missing)


def _select(measure: Measure, rows: Mask | None) -> Measure:
    if rows is None:
        return measure
    low = np.where(rows, measure.low, 0.0)
    high = low if measure.low is measure.high else np.where(rows, measure.high, 0.0)
    return Measure(low, high, measure.missing & rows)
