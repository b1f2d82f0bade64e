"""Profit and loss of a part of the book against the level of one thing: today, on a later date, at expiry.

    pnl(move) = value after the move, on the date, at the volatility - value now by the same model

A curve is straight between its points. At expiry it bends at the strikes, which are among the points, so its zeros
and ends are exact for what moves one to one with the axis. An option that expires before the last one is taken at its
own expiry with the price at the same level. Nothing is discounted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from guardrails.columns import Array
from guardrails.pricing import DAYS_PER_YEAR
from guardrails.stress.book import Book
from guardrails.stress.outcome import BLENDS, outcome
from guardrails.stress.part import Axis
from guardrails.stress.shocks import LEAST_PRICE

LOWEST = -0.98
"""return down to which a curve is computed; below it is straight, to a price of zero"""
HIGHEST = 1.0
_AFTER_DAYS = 1e-3
"""so long after the last settlement everything is worth what it is exercised for"""
_MOST_BENDS, _DIGITS = 400, (12, 4, 3)
"""a book of very many strikes bends a little beside them, within a thousandth of the price"""
_FLAT = 1e-9
"""slope, as a part of the steepest, that is none"""


@dataclass(frozen=True, slots=True)
class Curve:
    """P&L in dollars along an axis, straight between the points; `low` and `high` differ where a beta is not known."""

    move: Array
    """returns of the axis, rising"""
    low: Array
    high: Array

    @property
    def certain(self) -> bool:
        """Whether it is a line and not a band."""
        return bool(np.array_equal(self.low, self.high))

    @property
    def known(self) -> bool:
        """Whether there is a figure at every point; where there is not the line says nothing of ends and zeros."""
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    def shifted(self, dollars: float) -> Curve:
        """The same counted from another beginning."""
        return Curve(self.move, self.low + dollars, self.high + dollars)


@dataclass(frozen=True, slots=True)
class Extreme:
    """The most that can be gained, or lost, along a line."""

    amount: float
    """dollars, gains positive; infinite when there is no limit, NaN when it is not known"""
    move: float
    """where, nearest to now; when there is no limit, beyond which return it goes on"""

    @property
    def limited(self) -> bool:
        """Whether there is a limit; that of an unknown line is not known either."""
        return not math.isinf(self.amount)


def curve(book: Book, axis: Axis, move: Array, vol: Array | float = 0.0, days: float = 0.0) -> Curve:
    """`book` after returns `move` with volatility risen by `vol` (one for all, or one per return)."""
    rises = np.broadcast_to(np.asarray(vol, dtype=np.float64), move.shape)
    result = outcome(book, [axis.shock(float(to), float(up), days) for to, up in zip(move, rises, strict=True)])
    return Curve(move, result.low.sum(axis=0), result.high.sum(axis=0))


def last_days(book: Book) -> float | None:
    """Calendar days to the last settlement of an option; None without options that settle."""
    years = book.options.years[np.isfinite(book.options.years)]
    return float(years.max()) * DAYS_PER_YEAR if len(years) else None


def at_expiry(book: Book, axis: Axis, rise: Callable[[float], float] | None = None) -> Curve | None:
    """The curve at expiry, with a point wherever it bends; None without options.

    `rise` of volatility by return matters to volatility products only, which move with it.
    """
    days = last_days(book)
    if days is None:
        return None
    moves = bends(book, axis)
    vol: Array | float = 0.0 if rise is None else np.array([rise(float(move)) for move in moves])
    return curve(book, axis, moves, vol, days + _AFTER_DAYS)


def bends(book: Book, axis: Axis) -> Array:
    """Returns at which the curve at expiry may bend, with some between and two beyond them on either side."""
    columns, exposures, options = book.columns, book.portfolio.exposures, book.options
    with np.errstate(all="ignore"):
        distance = options.strike / options.spot - 1.0
        if axis.group:
            hit = exposures.group == (exposures.groups.index(axis.group) if axis.group in exposures.groups else -1)
            found = [distance[hit]]
        else:
            span = exposures.beta_high - exposures.beta_low
            betas = [(exposures.beta_low + blend * span)[columns.underlying] for blend in BLENDS]
            found = [part for beta in betas for part in (distance / beta, (LEAST_PRICE - 1.0) / beta)]
    places = np.concatenate([*found, np.linspace(LOWEST, HIGHEST, 67), [0.0]])
    places = places[np.isfinite(places) & (places > LOWEST)]
    for digits in _DIGITS:
        rounded = np.unique(np.round(places, digits))
        if len(rounded) <= _MOST_BENDS:
            break
    places = rounded
    last = float(places[-1])
    return np.concatenate([[LOWEST - 0.005, LOWEST], places, [last + 1.0, last + 2.0]])


def profitable(move: Array, pnl: Array) -> tuple[tuple[float, float], ...]:
    """Intervals of the return, from -1 (worth nothing) to infinity, in which the line `pnl` lies above zero.

    None of a line that is not known everywhere.
    """
    if not np.isfinite(pnl).all():
        return ()
    x, y = _to_the_ends(move, pnl)
    above = y > _FLAT * float(np.abs(y).max(initial=1.0))
    found: list[tuple[float, float]] = []
    begin = x[0] if above[0] else math.nan
    for i in np.flatnonzero(above[1:] != above[:-1]):
        zero = float(x[i] - y[i] * (x[i + 1] - x[i]) / (y[i + 1] - y[i]))
        if above[i + 1]:
            begin = zero
        else:
            found.append((float(begin), zero))
    if above[-1]:
        found.append((float(begin), math.inf))
    return tuple(found)


def break_evens(move: Array, pnl: Array) -> tuple[float, ...]:
    """Returns at which the line crosses zero."""
    ends = [end for interval in profitable(move, pnl) for end in interval]
    return tuple(end for end in ends if math.isfinite(end) and end > -1.0)


def greatest(move: Array, pnl: Array) -> Extreme:
    """The most that the line reaches, down to a price of zero and up without end; NaN where it is not known."""
    if not np.isfinite(pnl).all():
        return Extreme(math.nan, math.nan)
    x, y = _to_the_ends(move, pnl)
    slopes = np.diff(pnl) / np.diff(move)
    flat = _FLAT * float(np.abs(slopes).max(initial=1.0))
    if slopes[-1] > flat:
        bent = np.flatnonzero(np.abs(slopes - slopes[-1]) > 1e-6 * abs(slopes[-1]))
        return Extreme(math.inf, float(move[bent[-1] + 1]) if len(bent) else -1.0)
    places = np.flatnonzero(np.isclose(y, y.max(), rtol=0.0, atol=_FLAT * float(np.abs(y).max())))
    nearest = places[np.argmin(np.abs(x[places]))]
    return Extreme(float(y.max()), float(x[nearest]))


def least(move: Array, pnl: Array) -> Extreme:
    """The least that the line reaches: the largest loss."""
    most = greatest(move, -pnl)
    return Extreme(-most.amount, most.move)


def at_zero(move: Array, pnl: Array) -> float:
    """What the line says where the price is zero, dollars; NaN where it is not known."""
    if not np.isfinite(pnl).all():
        return math.nan
    return float(_to_the_ends(move, pnl)[1][0])


def open_pnl(book: Book) -> float | None:
    """What the rows have gained since they were opened, at the market's prices; None when any of it is not known."""
    paid = [position.average_price for position in book.portfolio.positions]
    cost = np.array([math.nan if price is None else price for price in paid])
    gained = np.where(book.columns.is_cash, 0.0, (book.quoted - cost) * book.weight)
    total = float(gained.sum())
    return total if math.isfinite(total) else None


def _to_the_ends(move: Array, pnl: Array) -> tuple[Array, Array]:
    """The line with its ends drawn on: down to -1, and up beyond a zero that may lie there."""
    left = pnl[0] - (pnl[1] - pnl[0]) / (move[1] - move[0]) * (move[0] + 1.0)
    slope = (pnl[-1] - pnl[-2]) / (move[-1] - move[-2])
    slope = slope if abs(slope) > _FLAT * float(np.abs(pnl).max()) else 0.0
    beyond = max(0.0, -pnl[-1] / slope if slope else 0.0) + 1.0
    x = np.concatenate([[-1.0], move, [move[-1] + beyond]])
    return x, np.concatenate([[left], pnl, [pnl[-1] + slope * beyond]])
