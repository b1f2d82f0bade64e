"""What a stress figure lacks before it can be known, in words: so that a person knows what to look for."""

from __future__ import annotations

import numpy as np

from guardrails import wording
from guardrails.columns import Mask
from guardrails.limits import Limits
from guardrails.stress.book import Book
from guardrails.stress.outcome import vague

_MOST = 3
"""names of one kind"""


def of_move(book: Book, limits: Limits, rows: Mask | None = None) -> str:
    """What a move of the whole market lacks for `rows` (all of `book`); empty where nothing is known to be missing."""
    held = np.ones(len(book.weight), dtype=bool) if rows is None else rows
    exposures, columns = book.portfolio.exposures, book.columns
    volatile = exposures.is_volatility
    found = [unvalued(book, held)]
    without_beta = vague(book) & ~volatile & held
    if names := sorted({columns.underlyings[place] for place in columns.underlying[without_beta]}):
        found.append(f"the beta of {wording.names(names, _MOST)}")
    if (not book.vix_known or not limits.regime_known) and ((columns.is_option | volatile) & held).any():
        found.append("a VIX of now")
    return " and ".join(part for part in found if part)


def of_spreads(book: Book) -> str:
    """What the widening of quotes lacks."""
    unquoted = book.columns.is_option & book.valued & ~np.isfinite(book.half_spread)
    quotes = f"the quote of {_labels(book, unquoted)}" if unquoted.any() else ""
    return " and ".join(part for part in (unvalued(book), quotes) if part)


def unvalued(book: Book, rows: Mask | None = None) -> str:
    """Prices and volatilities that are missing among `rows`."""
    blind = ~book.valued & (True if rows is None else rows)
    return f"prices and volatilities for {_labels(book, blind)}" if blind.any() else ""


def _labels(book: Book, rows: Mask) -> str:
    labels = [book.portfolio.positions[row].instrument.label for row in np.flatnonzero(rows)]
    return wording.names([*dict.fromkeys(labels)], _MOST)
