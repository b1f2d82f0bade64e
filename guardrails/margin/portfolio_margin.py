"""Portfolio margin in the manner of the OCC's TIMS: the worst loss over ten prices of the underlying, class by class.

A class group is an index with its ETFs, or one other underlying; within it everything offsets. Between the groups of
high-cap broad indices INDEX_OFFSET of a gain counts at the same relative move; nothing offsets otherwise. Volatility
is not shocked. Each option costs at least LEAST_PER_UNIT times its multiplier. Options keep their full value in equity,
so excess liquidity is net liquidation less this requirement. House rules (wider moves, concentration) are not included.
The caller gives the theoretical prices: his own model stands for the OCC's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guardrails import wording
from guardrails.columns import Array
from guardrails.margin.legs import FUTURES, Leg
from guardrails.margin.rates import (
    HIGH_CAP_GROUPS,
    INDEX_OFFSET,
    LEAST_PER_UNIT,
    POINTS,
    class_group_of,
    moves,
    shocks,
)


@dataclass(frozen=True, slots=True)
class ClassGroup:
    """What one class group requires alone, before any offset between groups."""

    name: str
    legs: tuple[int, ...]
    amount: float
    """US dollars; NaN when a leg or one of its values is not known"""
    words: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """The requirement of one account, an estimate in US dollars."""

    total: float
    """NaN when a group is not known"""
    groups: tuple[ClassGroup, ...]
    offset: float
    """what the known high-cap index groups save together, not negative; already taken off `total` and `known`"""
    known: float
    """what the known groups require"""
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Groups:
    names: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    size: Array
    """US dollars per 1.00 of price, by leg"""
    least: Array
    """by group"""
    high_cap: tuple[int, ...]


def prices(legs: Sequence[Leg]) -> Array:
    """The underlying's price (n, 10) of each leg at its valuation points, lowest first."""
    return np.array([leg.spot * (1.0 + moves(leg.instrument)) for leg in legs]).reshape(len(legs), POINTS)


def requirement(legs: Sequence[Leg], values: Array, settled: Mapping[str, ClassGroup] | None = None) -> Requirement:
    """What `legs`, all of one account, require; `values` (n, 10) are unit prices of the legs at `prices`.

    Class groups that are `settled`, by name, are known to lack nothing and to be described as they are there.
    """
    groups, had = _groups(legs), settled or {}
    price = np.array([leg.price for leg in legs], dtype=np.float64).reshape(-1, 1)
    profits = _profits(groups, price, values[:, None, :])
    lacking = [
        [] if name in had else [_lacks(legs[row], values[row]) for row in rows]
        for name, rows in zip(groups.names, groups.rows, strict=True)
    ]
    bad = np.array([any(words) for words in lacking], dtype=bool)
    alone = np.where(bad, math.nan, _alone(groups, profits)[:, 0])
    saved = _saved(groups, profits, alone[:, None])[0]
    known = float(np.nansum(alone)) - float(saved)
    return Requirement(
        total=math.nan if bad.any() else known,
        groups=tuple(
            ClassGroup(
                name,
                rows,
                float(amount),
                had[name].words if name in had else _words(legs, rows, profit[0], float(least)),
            )
            for name, rows, amount, profit, least in zip(
                groups.names, groups.rows, alone, profits, groups.least, strict=True
            )
        ),
        offset=float(saved),
        known=known,
        unknown=tuple(text for words in lacking for text in words if text),
    )


def at(legs: Sequence[Leg], price: Array, values: Array) -> Array:
    """The requirement (M,) in M scenarios: `price` (n, M) are unit prices there, `values` (n, M, 10) at the ten points
    around the underlying's price there. NaN where a value is NaN, everywhere when a leg is not known.
    """
    if any(leg.problem or leg.instrument.kind in FUTURES for leg in legs if leg.quantity != 0.0):
        return np.full(price.shape[1], math.nan)
    groups = _groups(legs)
    profits = _profits(groups, price, values)
    alone = _alone(groups, profits)
    return np.asarray(alone.sum(axis=0) - _saved(groups, profits, alone))


def _groups(legs: Sequence[Leg]) -> _Groups:
    found: dict[str, list[int]] = {}
    for row, leg in enumerate(legs):
        if leg.quantity != 0.0:
            found.setdefault(class_group_of(leg.underlying), []).append(row)
    size = np.array([leg.quantity * leg.scale for leg in legs], dtype=np.float64)
    least = np.where([leg.is_option for leg in legs], np.abs(size) * LEAST_PER_UNIT, 0.0)
    return _Groups(
        names=tuple(found),
        rows=tuple(tuple(rows) for rows in found.values()),
        size=size,
        least=np.array([least[rows].sum() for rows in found.values()], dtype=np.float64),
        high_cap=tuple(place for place, name in enumerate(found) if name in HIGH_CAP_GROUPS),
    )


def _profits(groups: _Groups, price: Array, values: Array) -> Array:
    """Profit (groups, M, points) of each group."""
    if not groups.rows:
        return np.empty((0, *values.shape[1:]))
    order = [row for rows in groups.rows for row in rows]
    starts = np.cumsum([0, *(len(rows) for rows in groups.rows[:-1])])
    with np.errstate(invalid="ignore"):
        worth = groups.size[order, None, None] * (values[order] - price[order, :, None])
        return np.asarray(np.add.reduceat(worth, starts, axis=0))


def _alone(groups: _Groups, profits: Array) -> Array:
    """Requirement (groups, M) of each group by itself: its worst loss, at least the minimum of its options."""
    return np.asarray(np.maximum(-profits.min(axis=2), groups.least[:, None]))


def _saved(groups: _Groups, profits: Array, alone: Array) -> Array:
    """What the high-cap index groups save (M,) by offsetting each other; groups that are NaN take no part."""
    places = [place for place in groups.high_cap if not np.isnan(alone[place]).any()]
    if len(places) < 2:
        return np.zeros(profits.shape[1])
    gains = profits[places]
    together = np.where(gains > 0.0, gains * INDEX_OFFSET, gains).sum(axis=0)
    least = groups.least[places].sum()
    return np.asarray(alone[places].sum(axis=0) - np.maximum(-together.min(axis=1), least))


def _lacks(leg: Leg, values: Array) -> str:
    if leg.instrument.kind in FUTURES:
        return f"{leg.instrument.label}: margined by its futures exchange, not by this rule"
    if leg.problem:
        return leg.problem
    return "" if np.isfinite(values).all() else f"{leg.instrument.label}: no theoretical price at every valuation point"


def _words(legs: Sequence[Leg], rows: Sequence[int], profit: Array, least: float) -> str:
    down, up = shocks(legs[rows[0]].instrument)
    over = f"worst of {POINTS} prices from {wording.percent(down)} to +{wording.percent(up)}"
    if np.isnan(profit).any():
        return f"{over}: not known"
    if -profit.min() <= least:
        return f"{LEAST_PER_UNIT:g} × multiplier for each option, which is more than the {over}"
    move = moves(legs[rows[0]].instrument)[int(np.argmin(profit))]
    return f"{over}: loss at {'+' if move > 0 else ''}{wording.percent(float(move))}"
