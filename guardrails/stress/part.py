"""A part of a Book, and what it is looked at against: one underlying by itself, or the index and everything with it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from guardrails.columns import Array, Mask
from guardrails.exposures import measure_exposures
from guardrails.portfolio import Portfolio
from guardrails.products import BROAD_INDEX_GROUPS, SP500
from guardrails.stress.book import Book
from guardrails.stress.shocks import Shock
from guardrails.terms import Terms


@dataclass(frozen=True, slots=True)
class Axis:
    """What moves along a payoff curve."""

    group: str
    """the underlying group that moves alone; empty: the S&P 500, and every underlying by its beta"""
    name: str
    """symbol whose level is shown"""
    level: float | None
    """that level now; None when it is not known"""

    @property
    def is_broad(self) -> bool:
        """Whether a whole market moves, whose volatility is known to follow it."""
        return not self.group or self.group in BROAD_INDEX_GROUPS

    def at(self, move: float) -> float | None:
        """The level after a return of `move`."""
        return None if self.level is None else self.level * (1.0 + move)

    def shock(self, move: float, vol: float = 0.0, days: float = 0.0, *, parallel: bool = False) -> Shock:
        """A return of `move` (fraction), volatility risen by `vol` (fraction a year), `days` calendar days later."""
        return Shock(f"{move:+.1%}", move, vol, days, parallel=parallel, alone=self.group)


def axis_of(portfolio: Portfolio, group: str = "") -> Axis:
    """The axis of a group, or of the index: at the level of the group's own symbol, else of what is held on it."""
    prices, columns, exposures = portfolio.market.prices, portfolio.exposures.columns, portfolio.exposures
    wanted = group or SP500
    if (price := prices.get(wanted)) is not None and price.value > 0:
        return Axis(group, wanted, price.value)
    for place, name in enumerate(columns.underlyings):
        if group and exposures.groups[exposures.group_of_underlying[place]] == group:
            spots = columns.spot[(columns.underlying == place) & np.isfinite(columns.spot)]
            if len(spots):
                return Axis(group, name, float(spots[0]))
    return Axis(group, wanted, None)


def apart_from_market(book: Book) -> tuple[Mask, Array, Mask]:
    """By row: whether it is an option held, the dollars by which its model price differs from the market where that is
    more than its quote explains (else 0), and whether it cannot be compared."""
    options = np.asarray(book.columns.is_option & (book.columns.reported != 0.0), dtype=bool)
    dollars = np.abs(book.residual() * book.weight)
    blind = np.asarray(options & ~np.isfinite(dollars), dtype=bool)
    far = options & ~blind & (np.abs(book.residual()) > book.tolerance())
    return options, np.where(far, dollars, 0.0), blind


def model_against_market(book: Book) -> float | None:
    """Gross difference of model and market prices of the options over their gross value, fraction; None without any."""
    apart, worth = np.abs(book.residual() * book.weight), np.abs(book.quoted * book.weight)
    options = book.columns.is_option & np.isfinite(apart)
    gross = float(worth[options].sum())
    return float(apart[options].sum()) / gross if gross > 0 else None


def part_of(book: Book, rows: Mask) -> Book:
    """The rows of `book` where `rows`, each with the volatility, beta and price that it has in the whole book."""
    if rows.all():
        return book
    positions = tuple(position for position, held in zip(book.portfolio.positions, rows, strict=True) if held)
    whole = book.portfolio
    portfolio = replace(
        whole, positions=positions, exposures=measure_exposures(positions, whole.market, whole.time), stress="a part"
    )
    return Book(
        **{field.name: _rows(getattr(book, field.name), rows, portfolio) for field in fields(Book) if field.init}
    )


def _rows(value: Any, rows: Mask, portfolio: Portfolio) -> Any:
    """A field of a Book for the rows of its part."""
    if isinstance(value, Portfolio):
        return portfolio
    if isinstance(value, bool):  # said of the whole book
        return value
    if isinstance(value, Terms):
        return value.at(np.flatnonzero(rows))
    if isinstance(value, np.ndarray) and value.shape[:1] == rows.shape:
        return value[rows]
    raise TypeError(f"a part of a Book cannot be made: it has a field of type {type(value).__name__}")
