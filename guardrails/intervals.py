"""Sums that are not known exactly: where the truth lies, for one figure and for a column of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from guardrails.columns import Array, Index, Mask


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


def scaled(measure: Measure, low: Array, high: Array) -> Measure:
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


def selected(measure: Measure, rows: Mask | None) -> Measure:
    """`measure` with nothing but `rows`, all of it when that is None; the length is kept."""
    if rows is None:
        return measure
    low = np.where(rows, measure.low, 0.0)
    high = low if measure.low is measure.high else np.where(rows, measure.high, 0.0)
    return Measure(low, high, measure.missing & rows)
