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
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from guardrails.betas import betas_of
from guardrails.columns import Array, Columns, Index, Mask, classes, read_columns
from guardrails.intervals import Interval, Measure, scaled, selected
from guardrails.products import VOLATILITY_GROUP, group_of
from guardrails.values import Market, Position

BUCKETS = ("0-7", "8-30", "31-60", "60+")
BUCKET_ENDS = (7, 30, 60)
"""last calendar DTE of each bucket but the open one"""


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
        netted = selected(self.delta, rows).by(self.columns.underlying, len(self.columns.underlyings))
        return scaled(netted, self.beta_low, self.beta_high)

    def beta_gamma(self, rows: Mask | None = None) -> Measure:
        """Beta-weighted 1 % dollar gamma by underlying, for a 1 % move of the index."""
        netted = selected(self.gamma, rows).by(self.columns.underlying, len(self.columns.underlyings))
        return scaled(netted, *self._beta_squares())

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
        sums = scaled(cells, low, high).by(np.repeat(np.arange(size + 1), width), size + 1)
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
    low, high, unweighted = betas_of(names, market, columns)
    return Exposures(
        columns=columns,
        delta=measures.delta(),
        gamma=measures.gamma(),
        vega=(vega := measures.vega()),
        vega_30d=scaled(vega, weight := np.sqrt(30.0 / np.maximum(columns.dte, 1)), weight),
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
