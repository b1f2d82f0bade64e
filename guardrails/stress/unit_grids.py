"""Unit prices of options over grids of their own spots, volatilities and dates."""

from __future__ import annotations

from guardrails.columns import Array, Index
from guardrails.pricing import Axes, styles
from guardrails.stress.book import Book


def unit_grids(book: Book, rows: Index, axes: Axes) -> Array:
    """Prices (rows, spots, volatilities, dates) of one unit of each of `rows`; at expiry the intrinsic value."""
    return styles.grid(book.options.at(rows), book.terms.styles.at(rows), axes)
