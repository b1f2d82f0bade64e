"""Profit and loss on one date over moves of an axis and rises of volatility: what a slider asks again and again.

Computed once on a grid; a line across it, at another rise for every move, is read off between its volatilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guardrails.columns import Array, Mask
from guardrails.stress.book import Book
from guardrails.stress.grid import GridAxes, grid_of
from guardrails.stress.outcome import prices_after
from guardrails.stress.part import Axis
from guardrails.stress.payoff import Curve
from guardrails.stress.shocks import moves as moves_of


@dataclass(frozen=True, slots=True)
class Surface:
    """Dollars by (move, rise)."""

    move: Array
    """returns of the axis, rising"""
    rise: Array
    """of volatility, fractions a year, rising; four or more"""
    low: Array
    high: Array

    def along(self, rises: Array | float) -> Curve:
        """The curve at `rises`, one for all moves or one per move; beyond the grid its edge."""
        wanted = np.clip(np.broadcast_to(np.asarray(rises, dtype=np.float64), self.move.shape), *self.rise[[0, -1]])
        weights = _cubic(self.rise, wanted)
        with np.errstate(invalid="ignore"):  # what nothing bounds makes the point unknown
            return Curve(self.move, (self.low * weights).sum(axis=1), (self.high * weights).sum(axis=1))

    def at(self, moves: Array, rises: Array) -> tuple[Array, Array]:
        """Dollars, at least and at most, of those `moves` and `rises` of the grid; (moves, rises)."""
        cells = np.ix_(np.searchsorted(self.move, moves - 1e-12), np.searchsorted(self.rise, rises - 1e-12))
        return self.low[cells], self.high[cells]


def revaluable(book: Book, axis: Axis) -> Mask:
    """Rows that have a value when `axis` and volatility move either way.

    Some have a value now only: without a VIX nobody knows how far a fund of VIX futures goes with volatility.
    """
    tried = moves_of(book, [axis.shock(-0.05, 0.05), axis.shock(0.05, -0.02)])
    after = np.isfinite(prices_after(book, tried)).all(axis=1)
    return np.asarray(book.columns.is_cash | (book.valued & after), dtype=bool)


def surface(book: Book, axis: Axis, moves: Array, rises: Array, days: float) -> Surface:
    """`book` after `days` calendar days, in every cell."""
    axes = GridAxes(tuple(moves.tolist()), tuple(rises.tolist()), (days,), alone=axis.group)
    low, high = grid_of(book, axes).total()
    return Surface(moves, rises, low[:, :, 0], high[:, :, 0])


def _cubic(grid: Array, wanted: Array) -> Array:
    """Weights (wanted, grid) of the four points of `grid` round each of `wanted`: Lagrange's cubic."""
    first = np.clip(np.searchsorted(grid, wanted) - 2, 0, len(grid) - 4)
    places = first[:, None] + np.arange(4)
    points = grid[places]
    weights = np.zeros((len(wanted), len(grid)))
    for one in range(4):
        others = [other for other in range(4) if other != one]
        parts = [(wanted - points[:, other]) / (points[:, one] - points[:, other]) for other in others]
        weights[np.arange(len(wanted)), places[:, one]] = np.prod(parts, axis=0)
    return weights
