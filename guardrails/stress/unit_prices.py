"""Unit prices of a book's options after shocks, and over grids, each by the method that fits its style.

Shares that pay cash take a walk of the lattice for each volatility, which gives all spots and dates at once. Under many
shocks those are walked at a few volatilities only, between the least and the most of the shocks; what lies between is
interpolated (barycentric, Chebyshev points of the second kind in the logarithm; L. N. Trefethen, "Approximation Theory
and Approximation Practice", ch. 5).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from guardrails.columns import Array, Index
from guardrails.pricing import Axes, Options, styles
from guardrails.stress.shocks import Moves
from guardrails.terms import Terms

NODES = 13
"""volatilities walked for one option; over a factor of ten in volatility that errs by 1e-5 of the price of the share in
the mean, 2e-4 at worst (in the money, at the least volatility)"""
_CHEBYSHEV = np.cos(np.pi * np.arange(NODES) / (NODES - 1))
_WEIGHTS = np.where(np.arange(NODES) % 2, -1.0, 1.0) * np.where(np.isin(np.arange(NODES), (0, NODES - 1)), 0.5, 1.0)


def after(terms: Terms, where: Moves) -> Array:
    """Prices (options, shocks) where the rows of `where` are those of `terms`."""
    count, width = where.spot.shape
    found = np.full((count, width), np.nan)
    many = terms.styles.pays & (width > NODES)
    one_by_one, walked = np.flatnonzero(~many), np.flatnonzero(many)
    if len(one_by_one) and width:
        found[one_by_one] = _direct(terms, where, one_by_one)
    for columns in _together(terms.options, where) if len(walked) else ():
        found[np.ix_(walked, columns)] = _between(terms, where, walked, columns)
    return found


def _direct(terms: Terms, where: Moves, rows: Index) -> Array:
    """Every option under every shock by itself."""
    width = where.spot.shape[1]
    repeated = terms.at(np.repeat(rows, width))
    moved = _moved(repeated, where.rate[rows].ravel(), where.spot[rows].ravel(), where.years[rows].ravel())
    style = repeated.styles.later(repeated.options.years - moved.years)
    return styles.price(moved, style, where.vol[rows].ravel()).reshape(len(rows), width)


def _moved(terms: Terms, rate: Array, spot: Array, years: Array) -> Options:
    """The options at another rate, which moves the carry of all but futures, another spot and another date."""
    o = terms.options
    carry = np.where(terms.on_future, 0.0, o.carry - o.rate + rate)
    return Options(sign=o.sign, spot=spot, strike=o.strike, years=years, rate=rate, carry=carry)


def _together(options: Options, where: Moves) -> Iterator[Index]:
    """Shocks of one rate and one date."""
    moved = np.stack([where.rate[0] - options.rate[0], options.years[0] - where.years[0]])
    for kind in np.unique(moved, axis=1).T:
        yield np.flatnonzero((moved == kind[:, None]).all(axis=0))


def _between(terms: Terms, where: Moves, rows: Index, columns: Index) -> Array:
    """Prices (rows, columns) from walks at a few volatilities."""
    cells, asked = np.ix_(rows, columns), terms.at(rows)
    vol, years = np.log(where.vol[cells]), where.years[rows, columns[0]]
    low, high = vol.min(axis=1, keepdims=True), vol.max(axis=1, keepdims=True)
    nodes = 0.5 * (low + high) + 0.5 * np.maximum(high - low, 1e-9) * _CHEBYSHEV
    moved = _moved(asked, where.rate[rows, columns[0]], asked.options.spot, asked.options.years)
    walked = styles.grid(moved, asked.styles, Axes(where.spot[cells], np.exp(nodes), years[:, None]))[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = _WEIGHTS / (vol[:, :, None] - nodes[:, None, :])
        found = (pull * walked).sum(axis=2) / pull.sum(axis=2)
    exact = vol[:, :, None] == nodes[:, None, :]
    return np.asarray(np.where(exact.any(axis=2), np.where(exact, walked, 0.0).sum(axis=2), found), dtype=np.float64)
