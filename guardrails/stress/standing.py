"""The stress that is always known of a Portfolio: what the pages show at a glance and the limits are held against."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from guardrails.columns import Mask
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.stress.book import Book, book_of
from guardrails.stress.outcome import Outcome, outcome
from guardrails.stress.shocks import Shock

CURVE = tuple(
    step / 100.0 for step in (-40, -30, -25, -20, -15, -12, -10, -8, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 5, 7, 10)
)
"""returns of the index at which the book is revalued in every cycle"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """The book and its P&L along the curve: index moves with the volatility that comes with them."""

    book: Book
    curve: Outcome
    """shocks in the order of `CURVE`"""
    unvalued: Mask
    """positions that cannot be revalued"""
    unvalued_share: float
    """of the book: the larger of their share by number and by notional"""


def standing_of(portfolio: Portfolio, limits: Limits) -> Standing | str:
    """The stress of `portfolio` by the `limits` in force, or why there is none."""
    try:
        book = book_of(portfolio)
        shocks = [Shock(f"{step:+.0%}", step, -1.5 * step) for step in CURVE]
        unvalued = ~book.valued
        return Standing(book, outcome(book, shocks), unvalued, share_of(book, unvalued))
    except Exception as error:  # a guard that cannot compute must say so, whatever went wrong
        log.exception("the book cannot be revalued")
        return f"the book cannot be revalued ({type(error).__name__}); see the log"


def share_of(book: Book, rows: Mask) -> float:
    """The larger of the share of `rows` by number and by notional, cash left out; 0 of an empty book."""
    held = ~book.columns.is_cash
    if not (rows & held).any():
        return 0.0
    notional = np.abs(book.weight * book.columns.spot)
    total = float(np.nansum(notional[held]))
    by_notional = float(np.nansum(notional[rows & held])) / total if total > 0 else 1.0
    return max(float((rows & held).sum() / held.sum()), by_notional)
