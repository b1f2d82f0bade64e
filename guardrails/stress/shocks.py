"""What could happen to the market, and how far each row of a book moves when it does.

    spot'  = spot + |spot| x beta x index return            uniform: beta 1
    vol'   = vol + vol shock x term response x vol ratio    parallel: term response 1
    years' = years - days / 365

The vol shock is a move of the 30-day implied volatility of the index; the term response (`response.py`) carries it to
other expiries. Volatility products follow the vol shock instead of a beta (`volatility_products.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from guardrails.columns import Array, Mask
from guardrails.pricing import DAYS_PER_YEAR
from guardrails.stress.book import Book
from guardrails.stress.response import TERM_EXPONENT, term_response, vol_ratios
from guardrails.stress.volatility_products import spots_after

LEAST_VOL = 0.02
"""no shock takes an implied volatility below this"""
LEAST_PRICE = 0.01
"""nor a price below this fraction of itself"""


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
    term: float = TERM_EXPONENT
    """exponent of the term response: the higher, the more the move is one of short expiries"""


@dataclass(frozen=True, slots=True)
class Moves:
    """Where each row stands after each of M shocks; columns are (rows, M)."""

    spot: Array
    vol: Array
    years: Array
    rate: Array

    @property
    def columns(self) -> tuple[Array, Array, Array, Array]:
        """Spot, volatility, years and rate."""
        return self.spot, self.vol, self.years, self.rate

    def key(self, place: int) -> bytes:
        """What tells the shock at `place` from every other that moves any row elsewhere."""
        text = blake2b(digest_size=16)
        for column in self.columns:
            text.update(column[:, place].tobytes())
        return text.digest()


def moves(book: Book, shocks: Sequence[Shock], blend: float = 0.0) -> Moves:
    """Where the rows stand; `blend` in 0..1 places what is not known (a beta, how a VIX future follows) between its
    bounds.
    """
    rows = _Rows.of(book, blend)
    stands = [_moved(rows, shock) for shock in shocks]
    if not stands:
        empty = np.empty((len(book.weight), 0))
        return Moves(empty, empty, empty, empty)
    return Moves(*(np.stack(column, axis=1) for column in zip(*stands, strict=True)))


def relative(spot: Array, move: Array | float) -> Array:
    """Prices after relative moves; one below zero, which a future may have, falls further below on a negative move."""
    return np.asarray(np.where(spot < 0, spot * (1.0 - move), spot * (1.0 + move)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What all shocks need of the rows of a book."""

    book: Book
    blend: float
    beta: Array
    ratio: Array
    """points of volatility for one point of the index"""
    volatile: Mask
    least_price: Array
    least_vol: Array
    responses: dict[float, Array]
    """term responses by exponent, as they are asked for"""

    @classmethod
    def of(cls, book: Book, blend: float) -> _Rows:
        exposures, spot = book.portfolio.exposures, book.columns.spot
        by_underlying = exposures.beta_low + blend * (exposures.beta_high - exposures.beta_low)
        return cls(
            book=book,
            blend=blend,
            beta=by_underlying[book.columns.underlying],
            ratio=vol_ratios(exposures, book.vol_beta),
            volatile=exposures.is_volatility,
            least_price=LEAST_PRICE * spot,
            least_vol=np.minimum(book.vol, LEAST_VOL),
            responses={},
        )

    def response(self, exponent: float) -> Array:
        """How far each row's expiry moves with 30 days."""
        if exponent not in self.responses:
            self.responses[exponent] = term_response(self.book.options.years, exponent)
        return self.responses[exponent]


def _moved(rows: _Rows, shock: Shock) -> tuple[Array, Array, Array, Array]:
    """Spot, volatility, years and rate of each row after `shock`."""
    book, spot = rows.book, rows.book.columns.spot
    term = 0.0 if shock.parallel else shock.term
    if shock.alone:
        exposures = book.portfolio.exposures
        groups = exposures.groups
        hit = exposures.group == (groups.index(shock.alone) if shock.alone in groups else -1)
        moved, ratio = relative(spot, np.where(hit, shock.index, 0.0)), np.where(hit, 1.0, 0.0)
    else:
        moved, ratio = relative(spot, shock.index * (1.0 if shock.uniform else rows.beta)), rows.ratio
        if rows.volatile.any():
            moved = np.where(rows.volatile, spots_after(book, shock.vol, term, rows.blend), moved)
    return (
        np.where(spot > 0, np.maximum(moved, rows.least_price), moved),
        np.maximum(book.vol + shock.vol * rows.response(term) * ratio, rows.least_vol),
        book.options.years - shock.days / DAYS_PER_YEAR,
        book.options.rate + shock.rate,
    )
