"""Profit and loss of a book under shocks, in dollars, as intervals by account and underlying.

What is not known widens the interval: a position without volatility or price lies between the bounds no price can
leave; an underlying without a known beta is revalued at several betas within its bounds, netted, and the worst and the
best of them count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from guardrails.columns import Array, Index, Mask
from guardrails.intervals import Interval
from guardrails.stress.book import Book
from guardrails.stress.shocks import Moves, Shock, moves
from guardrails.stress.unit_prices import after
from guardrails.values import AccountId

MOST_PRICED = 256
"""shocks whose prices a Book remembers: those of one cycle, which several ask for"""
BLENDS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
"""where between its bounds a beta that is not known is tried"""
MIDDLE = 0.5
"""where the checks look for what loses most"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Dollars by unit, a unit being one underlying in one account; columns are (units, shocks)."""

    shocks: tuple[Shock, ...]
    accounts: tuple[AccountId, ...]
    underlyings: tuple[str, ...]
    account: Index
    """account of each unit"""
    underlying: Index
    low: Array
    high: Array
    missing: Mask
    """units of which a part may be worth anything under some of the shocks"""

    def total(self, shock: int, units: Mask | None = None) -> Interval:
        """P&L under one shock over `units`, or over all."""
        rows = slice(None) if units is None else units
        low, high = float(self.low[rows, shock].sum()), float(self.high[rows, shock].sum())
        return Interval(low, high, not (math.isfinite(low) and math.isfinite(high)))

    def of_account(self, account: AccountId) -> Mask:
        """The units held in `account`."""
        place = self.accounts.index(account) if account in self.accounts else -1
        return np.asarray(self.account == place, dtype=bool)

    def of_underlying(self, name: str) -> Mask:
        """The units on one underlying."""
        place = self.underlyings.index(name) if name in self.underlyings else -1
        return np.asarray(self.underlying == place, dtype=bool)


def outcome(book: Book, shocks: Sequence[Shock]) -> Outcome:
    """The book under each of `shocks`."""
    found = gathered(book, shocks, *reached(book, shocks))
    uncertain = vague(book)
    if uncertain.any() and any((shock.index or shock.vol) and not shock.alone for shock in shocks):
        for blend in BLENDS[1:]:
            tried = gathered(book, shocks, *bounds(book, moves(book, shocks, blend), uncertain))
            found = widened(book, found, tried)
    return found


def vague(book: Book) -> Mask:
    """Rows that move with the index by a beta, or with volatility by a response, that is only known within bounds."""
    exposures = book.portfolio.exposures
    by_underlying = np.asarray(exposures.beta_low != exposures.beta_high, dtype=bool)
    return by_underlying[book.columns.underlying] & ~book.columns.is_cash


def widened(book: Book, found: Outcome, tried: Outcome) -> Outcome:
    """`found`, its vague units made wide enough for what was `tried` at another place between the bounds."""
    exposures = book.portfolio.exposures
    wide = (exposures.beta_low != exposures.beta_high)[tried.underlying]
    return replace(
        found,
        low=np.where(wide[:, None], np.minimum(found.low, tried.low), found.low),
        high=np.where(wide[:, None], np.maximum(found.high, tried.high), found.high),
        missing=found.missing | (tried.missing & wide),
    )


def gathered(book: Book, shocks: Sequence[Shock], low: Array, high: Array) -> Outcome:
    """Dollars by (position, shock), at least and at most, summed by unit."""
    columns = book.columns
    width = max(len(columns.underlyings), 1)
    units, unit = np.unique(columns.account * width + columns.underlying, return_inverse=True)
    lows, highs = _sums(low, unit, len(units)), _sums(high, unit, len(units))
    return Outcome(
        shocks=tuple(shocks),
        accounts=columns.accounts,
        underlyings=columns.underlyings,
        account=units // width,
        underlying=units % width,
        low=lows,
        high=highs,
        missing=_unbounded(lows, highs),
    )


def joined(*parts: Outcome) -> Outcome:
    """Outcomes of one book side by side."""
    return replace(
        parts[0],
        shocks=tuple(shock for part in parts for shock in part.shocks),
        low=np.concatenate([part.low for part in parts], axis=1),
        high=np.concatenate([part.high for part in parts], axis=1),
        missing=np.logical_or.reduce([part.missing for part in parts]),
    )


def picked(found: Outcome, places: Sequence[int]) -> Outcome:
    """Only the shocks at `places`."""
    columns = list(places)
    return replace(
        found,
        shocks=tuple(found.shocks[place] for place in columns),
        low=found.low[:, columns],
        high=found.high[:, columns],
        missing=_unbounded(found.low[:, columns], found.high[:, columns]),
    )


def by_position(book: Book, shocks: Sequence[Shock]) -> Array:
    """Dollars by (position, shock); NaN where a position cannot be revalued; unknown betas at the middle."""
    low, high = reached(book, shocks, MIDDLE)
    return np.where(low == high, low, math.nan)


def prices_after(book: Book, where: Moves, only: Mask | None = None) -> Array:
    """Unit prices by (position, shock); NaN where a position cannot be revalued, or is not of `only`."""
    columns = book.columns
    known = np.isfinite(book.base) & (True if only is None else only)
    rows = np.flatnonzero(columns.is_option & known)
    value = np.where((columns.is_linear & known)[:, None], where.spot, math.nan)
    if not len(rows):
        return value
    keys = [where.key(place) for place in range(where.spot.shape[1])]
    new = np.array([place for place, key in enumerate(keys) if key not in book.priced], dtype=np.intp)
    if len(new):
        cells = np.ix_(rows, new)
        value[cells] = after(book.terms.at(rows), Moves(*(each[cells] for each in where.columns)))
    for place, key in enumerate(keys):
        if key in book.priced:
            value[rows, place] = book.priced[key][rows]
        elif only is None and len(book.priced) < MOST_PRICED:
            book.priced[key] = value[:, place].copy()
    return value


def reached(book: Book, shocks: Sequence[Shock], blend: float = 0.0) -> tuple[Array, Array]:
    """Dollars by (position, shock), at least and at most; told by somebody where all of it is."""
    told = told_at(book, shocks, blend)
    if told is None:
        return bounds(book, moves(book, shocks, blend))
    return bounded(book, *told, book.columns.is_cash)


def told_at(book: Book, shocks: Sequence[Shock], blend: float) -> tuple[Array, Array] | None:
    """What the rows are struck on and their unit prices (rows, M) where somebody told all of them, else None."""
    told = [book.known.get((shock, blend)) for shock in shocks]
    known = [one for one in told if one is not None]
    if not known or len(known) < len(told):
        return None
    spots, prices = zip(*known, strict=True)
    return np.stack(spots, axis=1), np.stack(prices, axis=1)


def bounds(book: Book, where: Moves, only: Mask | None = None) -> tuple[Array, Array]:
    """Dollars by (position, shock), at least and at most; 0 in the rows that are not of `only`."""
    left_out = book.columns.is_cash if only is None else book.columns.is_cash | ~only
    return bounded(book, where.spot, prices_after(book, where, only), left_out)


def bounded(book: Book, spot: Array, prices: Array, left_out: Mask) -> tuple[Array, Array]:
    """Dollars by (position, shock) of unit `prices` where the underlyings stand at `spot`; 0 in the rows `left_out`.

    A price that the model does not give (its volatility, spot or rate is not known after the move) is bounded.
    """
    value = np.where(left_out[:, None], 0.0, (prices - book.base[:, None]) * book.weight[:, None])
    unknown = np.flatnonzero(np.isnan(value).any(axis=1))
    if not len(unknown):
        return value, value
    low, high, gaps = value.copy(), value.copy(), np.isnan(value[unknown])
    least, most = _unvalued(book, spot[unknown], unknown)
    least, most = _unweighted(book, prices[unknown] - book.base[unknown, None], unknown, least, most)
    low[unknown], high[unknown] = np.where(gaps, least, value[unknown]), np.where(gaps, most, value[unknown])
    return low, high


def _unvalued(book: Book, spot: Array, rows: Index) -> tuple[Array, Array]:
    """What no price can leave: an option is worth 0 (American: its intrinsic value) to its underlying, a put to its
    strike. On what costs nothing or less, as a future can, it may be worth anything.
    """
    o = book.options
    strike, sign, weight = o.strike[rows, None], o.sign[rows, None], book.weight[rows, None]
    least = np.where(book.american[rows, None], np.maximum(sign * (spot - strike), 0.0), 0.0)
    most = np.where(spot > 0, np.where(sign > 0, spot, strike), np.where(np.isnan(spot), math.nan, math.inf))
    now = book.quoted[rows, None]
    start_low = np.where(np.isnan(now), 0.0, now)
    start_high = np.where(np.isnan(now), np.where(sign > 0, np.abs(o.spot[rows, None]), strike), now)
    ends = np.stack([weight * (least - start_high), weight * (most - start_low)])
    low = np.where(np.isnan(ends).any(axis=0), -math.inf, ends.min(axis=0))
    return low, np.where(np.isnan(ends).any(axis=0), math.inf, ends.max(axis=0))


def _unweighted(book: Book, moved: Array, rows: Index, low: Array, high: Array) -> tuple[Array, Array]:
    """`low` and `high`, of rows whose size is not known but whose side is narrowed to the way their price `moved`."""
    way = np.where(np.isnan(book.weight[rows, None]), moved * np.sign(book.columns.reported[rows, None]), math.nan)
    return np.where(way >= 0, 0.0, low), np.where(way <= 0, 0.0, high)


def _unbounded(low: Array, high: Array) -> Mask:
    """Units that may be worth anything under some shock."""
    return np.asarray(~(np.isfinite(low) & np.isfinite(high)).all(axis=1), dtype=bool)


def _sums(values: Array, unit: Index, count: int) -> Array:
    if not count:
        return np.zeros((0, values.shape[1]))
    order = np.argsort(unit, kind="stable")
    return np.add.reduceat(values[order], np.searchsorted(unit[order], np.arange(count)), axis=0)
