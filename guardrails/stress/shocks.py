"""What could happen to the market, and how far each row of a book moves when it does.

    spot'  = spot x (1 + beta x index return)               uniform: x (1 + index return)
    vol'   = vol + vol shock x term response x vol beta     parallel: term response 1
    years' = years - days / 365

The vol shock is a move of the 30-day implied volatility of the index; the term response carries it to other expiries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from guardrails.columns import Array
from guardrails.pricing import DAYS_PER_YEAR
from guardrails.stress.book import Book

LEAST_VOL = 0.02
"""no shock takes an implied volatility below this"""
LEAST_PRICE = 0.01
"""nor a price below this fraction of itself"""
TERM_DAYS = 30.0
TERM_BOUNDS = (0.25, 2.0)
"""least and most of the term response: a year moves a quarter to a third as far as a month, a week twice as far"""


@dataclass(frozen=True, slots=True)
class Shock:
    """One thing that could happen at once."""

    name: str
    index: float = 0.0
    """return of the S&P 500, fraction: -0.05 is a fall of 5 %"""
    vol: float = 0.0
    """rise of its 30-day implied volatility, fraction a year: 0.10 is ten points"""
    days: float = 0.0
    """calendar days that pass meanwhile"""
    rate: float = 0.0
    """rise of the risk-free rate, fraction"""
    uniform: bool = False
    """every underlying moves as the index does, whatever its beta"""
    parallel: bool = False
    """every expiry moves by `vol`"""
    alone: str = ""
    """only this underlying group moves, by `index` and `vol` themselves"""


@dataclass(frozen=True, slots=True)
class Moves:
    """Where each row stands after each of M shocks; columns are (rows, M)."""

    spot: Array
    vol: Array
    years: Array
    rate: Array


def moves(book: Book, shocks: Sequence[Shock], blend: float = 0.0) -> Moves:
    """Where the rows stand; `blend` in 0..1 places a beta that is not known between its bounds."""
    exposures, columns = book.portfolio.exposures, book.columns
    beta = (exposures.beta_low + blend * (exposures.beta_high - exposures.beta_low))[columns.underlying]
    groups = exposures.groups
    spot, vol, years, rate = [], [], [], []
    for shock in shocks:
        if shock.alone:
            hit = exposures.group == (groups.index(shock.alone) if shock.alone in groups else -1)
            factor, ratio = np.where(hit, shock.index, 0.0), np.where(hit, 1.0, 0.0)
        else:
            factor = np.full(len(beta), shock.index) if shock.uniform else beta * shock.index
            ratio = book.vol_beta
        response = 1.0 if shock.parallel else term_response(book.options.years)
        spot.append(columns.spot * np.maximum(1.0 + factor, LEAST_PRICE))
        vol.append(np.maximum(book.vol + shock.vol * response * ratio, np.minimum(book.vol, LEAST_VOL)))
        years.append(book.options.years - shock.days / DAYS_PER_YEAR)
        rate.append(book.options.rate + shock.rate)
    return Moves(*(np.stack(column, axis=1) for column in (spot, vol, years, rate)))


def term_response(years: Array) -> Array:
    """How far the volatility of an expiry moves when that of 30 days moves by 1: sqrt(30 / days) within bounds."""
    with np.errstate(all="ignore"):
        days = np.maximum(years * DAYS_PER_YEAR, 1.0)
        return np.asarray(np.clip(np.sqrt(TERM_DAYS / days), *TERM_BOUNDS), dtype=np.float64)
