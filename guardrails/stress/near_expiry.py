"""Gamma and theta of what expires within two weeks, by expiry and by strike, and where short gamma doubles.

Gamma is in dollars for a 1 % move: the change of the dollar delta. By expiry it is beta-weighted, as the limit on it
is; by strike it is for a 1 % move of the underlying itself. Where it doubles is found by revaluation: the second
difference of the P&L along the price, S^2 P''(S) / 100.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from guardrails.columns import Array, Mask
from guardrails.intervals import Interval
from guardrails.stress.book import Book
from guardrails.stress.part import Axis, axis_of, part_of
from guardrails.stress.payoff import curve

DAYS = 14
"""calendar days that are near"""
SEARCHED = 0.10
"""return of the underlying, either way, within which a doubling is looked for"""
STEP = 0.0025


@dataclass(frozen=True, slots=True)
class Line:
    """What one expiry, or one strike, adds up to."""

    name: str
    """underlying of a strike; empty for an expiry"""
    expiry: date | None
    """None for options that do not say when they expire, which may be soon"""
    strike: float | None
    """None for a whole expiry"""
    contracts: float | None
    """net; None when a quantity is not known"""
    gamma: Interval
    """dollars for a 1 % move"""
    theta: Interval
    """dollars a calendar day"""
    long: float = 0.0
    """contracts held; of the net, which may be zero with much of both"""
    short: float = 0.0
    """contracts sold, positive"""


@dataclass(frozen=True, slots=True)
class Doubling:
    """Where the short gamma of one underlying is twice what it is now."""

    axis: Axis
    gamma: float | None
    """dollars for a 1 % move now, by our model; None when it is not known"""
    down: float | None
    """return at which it has doubled on the way down; None when it does not within `SEARCHED`"""
    up: float | None
    reason: str = ""
    """why it is not known; else empty"""


@dataclass(frozen=True, slots=True)
class NearExpiry:
    """Everything that expires within `DAYS`."""

    expiries: tuple[Line, ...]
    """soonest first"""
    strikes: tuple[Line, ...]
    """by underlying, expiry, strike"""
    doublings: tuple[Doubling, ...]
    """one per underlying group that is short gamma or not known to be, by group"""


def near_expiry(book: Book) -> NearExpiry:
    """What `book` holds of it."""
    columns, exposures = book.columns, book.portfolio.exposures
    near = columns.is_option & (columns.dte <= DAYS)  # -1 is an expiry that is not known
    groups = sorted({exposures.groups[place] for place in exposures.group[near]})
    found = [doubling(part_of(book, near & (exposures.group == exposures.groups.index(name))), name) for name in groups]
    return NearExpiry(
        tuple(_expiries(book, near)),
        tuple(_strikes(book, near)),
        tuple(one for one in found if one.gamma is None or one.gamma < 0),
    )


def doubling(book: Book, group: str) -> Doubling:
    """Where the short gamma of `book`, all of one underlying group, is twice what it is now."""
    axis = axis_of(book.portfolio, group)
    if not book.valued.all():
        labels = [
            p.instrument.label for p, valued in zip(book.portfolio.positions, book.valued, strict=True) if not valued
        ]
        return Doubling(axis, None, None, None, f"cannot be revalued: {', '.join(labels)}")
    count = round(SEARCHED / STEP)
    moves = np.arange(-count - 1, count + 2, dtype=np.float64) * STEP
    line = curve(book, axis, moves)
    if not (line.known and line.certain):  # the bounds of what has no value after a move are straight
        return Doubling(axis, None, None, None, "its value after a move is not known")
    gammas = gamma_along(moves, line.low)
    middle = count
    now = float(gammas[middle])
    if now >= 0:
        return Doubling(axis, now, None, None)
    down = _first_beyond(gammas[middle::-1], 2.0 * now)
    up = _first_beyond(gammas[middle:], 2.0 * now)
    return Doubling(axis, now, None if down is None else -down * STEP, None if up is None else up * STEP)


def gamma_along(move: Array, pnl: Array) -> Array:
    """Dollar gamma for 1 % at every point of an even grid of returns but its two ends."""
    step = move[1] - move[0]
    second = (pnl[2:] - 2.0 * pnl[1:-1] + pnl[:-2]) / (step * step)
    return np.asarray(second * (1.0 + move[1:-1]) ** 2 * 0.01, dtype=np.float64)


def _first_beyond(gammas: Array, limit: float) -> float | None:
    """Place, between the points, at which `gammas` first falls to `limit`; None when it does not."""
    beyond = np.flatnonzero(gammas <= limit)
    if not len(beyond):
        return None
    after = int(beyond[0])
    return after - 1 + float((limit - gammas[after - 1]) / (gammas[after] - gammas[after - 1]))


def _expiries(book: Book, near: Mask) -> list[Line]:
    columns, days = book.columns, _expiry_dates(book)
    found = []
    for day in sorted({days[row] for row in np.flatnonzero(near)}, key=lambda day: day or date.min):
        rows = near & np.array([one == day for one in days])
        gamma, theta = book.portfolio.exposures.beta_gamma(rows).total(), book.portfolio.exposures.theta.total(rows)
        held = columns.quantity[rows]
        found.append(Line("", day, None, _contracts(held), gamma, theta, *_sides(held)))
    return found


def _strikes(book: Book, near: Mask) -> list[Line]:
    columns, exposures, days = book.columns, book.portfolio.exposures, _expiry_dates(book)
    places: dict[tuple[str, date, float], list[int]] = {}
    for row in np.flatnonzero(near):
        strike = float(np.nan_to_num(book.options.strike[row]))  # an option without one stands first
        key = (columns.underlyings[columns.underlying[row]], days[row] or date.min, strike)
        places.setdefault(key, []).append(int(row))
    found = []
    for name, day, strike in sorted(places):
        rows = np.zeros(len(columns.quantity), dtype=bool)
        rows[places[name, day, strike]] = True
        gamma, theta = exposures.gamma.total(rows), exposures.theta.total(rows)
        held = columns.quantity[rows]
        own = (None if day == date.min else day, strike or None, _contracts(held))
        found.append(Line(name, *own, gamma, theta, *_sides(held)))
    return found


def _expiry_dates(book: Book) -> list[date | None]:
    return [position.instrument.expiry for position in book.portfolio.positions]


def _sides(quantities: Array) -> tuple[float, float]:
    """Contracts long and short, both positive."""
    return float(quantities[quantities > 0].sum()), -float(quantities[quantities < 0].sum())


def _contracts(quantities: Array) -> float | None:
    total = float(quantities.sum())
    return total if np.isfinite(total) else None
