"""The book revalued on a grid of index moves x volatility moves x dates.

Every cell is a Shock like any other; the grid only knows that a spot, a volatility and a date can be priced together
for less than one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from guardrails.columns import Array, Mask
from guardrails.pricing import Axes
from guardrails.stress.book import Book
from guardrails.stress.outcome import BLENDS, Outcome, bounded, gathered, vague, widened
from guardrails.stress.shocks import Shock, moves
from guardrails.stress.unit_grids import unit_grids

SPOTS = tuple(
    step / 100.0 for step in (-30, -25, -20, -16, -13, -10, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 10, 15)
)
VOLS = tuple(points / 100.0 for points in (-10, -5, -2, 0, 2, 5, 10, 20, 40))
DAYS = (0.0, 7.0, 30.0)


@dataclass(frozen=True, slots=True)
class GridAxes:
    """What the grid is made of."""

    spots: tuple[float, ...] = SPOTS
    """returns of the index, fraction"""
    vols: tuple[float, ...] = VOLS
    """rises of its 30-day implied volatility, fraction a year"""
    days: tuple[float, ...] = DAYS
    """calendar days from now"""
    uniform: bool = False
    """every underlying moves as the index does, whatever its beta"""
    parallel: bool = False
    """every expiry moves by the volatility move"""
    alone: str = ""
    """only this underlying group moves, by the spot and volatility moves themselves"""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Spots, volatilities, dates."""
        return len(self.spots), len(self.vols), len(self.days)

    def shock(self, spot: float, vol: float, days: float) -> Shock:
        """The Shock of one cell."""
        name = f"{100 * spot:+g} %, volatility {100 * vol:+g}, {days:g} days"
        return Shock(name, spot, vol, days, uniform=self.uniform, parallel=self.parallel, alone=self.alone)

    def shocks(self) -> tuple[Shock, ...]:
        """All cells, dates running fastest, then volatilities."""
        return tuple(self.shock(*cell) for cell in product(self.spots, self.vols, self.days))


@dataclass(frozen=True, slots=True)
class Grid:
    """P&L of every cell, dollars."""

    axes: GridAxes
    outcome: Outcome
    """by unit; shocks as `axes.shocks()`"""

    def total(self, units: Mask | None = None) -> tuple[Array, Array]:
        """At least and at most, (spots, volatilities, dates), over `units` (`outcome.of_account`, ...) or all."""
        rows = slice(None) if units is None else units
        low, high = self.outcome.low[rows].sum(axis=0), self.outcome.high[rows].sum(axis=0)
        return low.reshape(self.axes.shape), high.reshape(self.axes.shape)

    def worst(self, units: Mask | None = None) -> Shock:
        """The cell that may lose most."""
        return self.outcome.shocks[int(np.argmin(self.total(units)[0]))]


def grid_of(book: Book, axes: GridAxes | None = None) -> Grid:
    """The book on `axes`, by default 21 x 9 x 3 cells."""
    axes = axes or GridAxes()
    shocks = axes.shocks()
    found = gathered(book, shocks, *_bounds(book, axes, 0.0, None))
    uncertain = vague(book)
    if uncertain.any() and not axes.alone:
        for blend in BLENDS[1:]:
            found = widened(book, found, gathered(book, shocks, *_bounds(book, axes, blend, uncertain)))
    return Grid(axes, found)


def _bounds(book: Book, axes: GridAxes, blend: float, only: Mask | None) -> tuple[Array, Array]:
    """Dollars by (position, cell), at least and at most; 0 in the rows that are not of `only`."""
    alone = axes.alone
    spots = moves(book, [Shock("", spot, uniform=axes.uniform, alone=alone) for spot in axes.spots], blend).spot
    after = moves(book, [Shock("", vol=vol, parallel=axes.parallel, alone=alone) for vol in axes.vols], blend)
    years = moves(book, [Shock("", days=days) for days in axes.days], blend).years
    volatile, columns = book.portfolio.exposures.is_volatility & (not alone), book.columns
    known = np.isfinite(book.base) & (True if only is None else only)
    # volatility products stand where the move of volatility puts them, everything else where that of the index does
    spot = np.where(volatile[:, None, None, None], after.spot[:, None, :, None], spots[:, :, None, None])
    spot = np.broadcast_to(spot, (len(known), *axes.shape))
    prices = np.where((columns.is_linear & known)[:, None, None, None], spot, np.nan)
    ordinary = np.flatnonzero(columns.is_option & known & ~volatile)
    if len(ordinary):
        prices[ordinary] = unit_grids(book, ordinary, Axes(spots[ordinary], after.vol[ordinary], years[ordinary]))
    special = np.flatnonzero(columns.is_option & known & volatile)
    for place in range(len(axes.vols) if len(special) else 0):
        cell = Axes(after.spot[special, place, None], after.vol[special, place, None], years[special])
        prices[special, :, place] = unit_grids(book, special, cell)[:, :, 0]
    left_out = columns.is_cash if only is None else columns.is_cash | ~only
    cells = (len(known), prod(axes.shape))
    return bounded(book, spot.reshape(cells), prices.reshape(cells), left_out)
