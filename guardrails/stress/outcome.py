"""Profit and loss of a book under shocks, in dollars, as intervals by account and underlying.

What is not known widens the interval: a position without volatility or price lies between the bounds no price can
leave; an underlying without a known beta is revalued at several betas within its bounds, netted, and the worst and the
best of them count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from guardrails.columns import Array, Index, Mask
from guardrails.exposures import Interval
from guardrails.pricing import Options
from guardrails.stress.book import Book
from guardrails.stress.shocks import Moves, Shock, moves
from guardrails.stress.unit_prices import unit_prices
from guardrails.values import AccountId

BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""where between its bounds a beta that is not known is tried"""


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
    """units of which a part may be worth anything"""

    def total(self, shock: int, units: Mask | None = None) -> Interval:
        """P&L under one shock over `units`, or over all."""
        rows = slice(None) if units is None else units
        low, high = float(self.low[rows, shock].sum()), float(self.high[rows, shock].sum())
        return Interval(low, high, bool(self.missing[rows].any()))

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
    columns, exposures = book.columns, book.portfolio.exposures
    width = len(columns.underlyings)
    units, unit = np.unique(columns.account * width + columns.underlying, return_inverse=True)
    vague = (exposures.beta_low != exposures.beta_high)[columns.underlying] & ~columns.is_cash
    low, high = _bounds(book, moves(book, shocks))
    lows, highs = _sums(low, unit, len(units)), _sums(high, unit, len(units))
    if vague.any() and any(shock.index and not (shock.uniform or shock.alone) for shock in shocks):
        for blend in BLENDS[1:]:
            low, high = _bounds(book, moves(book, shocks, blend))
            lows = np.minimum(lows, _sums(low, unit, len(units)))
            highs = np.maximum(highs, _sums(high, unit, len(units)))
    return Outcome(
        shocks=tuple(shocks),
        accounts=columns.accounts,
        underlyings=columns.underlyings,
        account=units // max(width, 1),
        underlying=units % max(width, 1),
        low=lows,
        high=highs,
        missing=np.asarray(~(np.isfinite(lows) & np.isfinite(highs)).all(axis=1), dtype=bool),
    )


def by_position(book: Book, shocks: Sequence[Shock]) -> Array:
    """Dollars by (position, shock); NaN where a position cannot be revalued; unknown betas at the middle."""
    low, high = _bounds(book, moves(book, shocks, 0.5))
    return np.where(low == high, low, math.nan)


def prices_after(book: Book, where: Moves) -> Array:
    """Unit prices by (position, shock); NaN where a position cannot be revalued."""
    columns, width = book.columns, where.spot.shape[1]
    rows = np.flatnonzero(columns.is_option & np.isfinite(book.base))
    value = np.where((columns.is_linear & np.isfinite(book.base))[:, None], where.spot, math.nan)
    if len(rows) and width:
        value[rows] = unit_prices(
            _spread(book, where, rows), np.repeat(book.american[rows], width), where.vol[rows].ravel()
        ).reshape(len(rows), width)
    return value


def _spread(book: Book, where: Moves, rows: Index) -> Options:
    """The options `rows` once for each shock."""
    width, o = where.spot.shape[1], book.options
    rate = where.rate[rows].ravel()
    return Options(
        sign=np.repeat(o.sign[rows], width),
        spot=where.spot[rows].ravel(),
        strike=np.repeat(o.strike[rows], width),
        years=where.years[rows].ravel(),
        rate=rate,
        carry=np.where(np.repeat(o.carry[rows] == 0.0, width), 0.0, np.repeat((o.carry - o.rate)[rows], width) + rate),
    )


def _bounds(book: Book, where: Moves) -> tuple[Array, Array]:
    """Dollars by (position, shock): at least, at most."""
    value = (prices_after(book, where) - book.base[:, None]) * book.weight[:, None]
    value = np.where(book.columns.is_cash[:, None], 0.0, value)
    unknown = np.flatnonzero(~book.valued)
    if not len(unknown):
        return value, value
    low, high = value.copy(), value.copy()
    low[unknown], high[unknown] = _unvalued(book, where, unknown)
    return low, high


def _unvalued(book: Book, where: Moves, rows: Index) -> tuple[Array, Array]:
    """What no price can leave: an option is worth 0 (American: its intrinsic value) to its underlying, a put to its
    strike.
    """
    o, spot = book.options, where.spot[rows]
    strike, sign, weight = o.strike[rows, None], o.sign[rows, None], book.weight[rows, None]
    least = np.where(book.american[rows, None], np.maximum(sign * (spot - strike), 0.0), 0.0)
    most = np.where(sign > 0, spot, strike)
    now = book.quoted[rows, None]
    start_low = np.where(np.isnan(now), 0.0, now)
    start_high = np.where(np.isnan(now), np.where(sign > 0, o.spot[rows, None], strike), now)
    ends = np.stack([weight * (least - start_high), weight * (most - start_low)])
    low = np.where(np.isnan(ends).any(axis=0), -math.inf, ends.min(axis=0))
    return low, np.where(np.isnan(ends).any(axis=0), math.inf, ends.max(axis=0))


def _sums(values: Array | Mask, unit: Index, count: int) -> Array:
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, unit, values)
    return sums
