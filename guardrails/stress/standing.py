"""The stress that is always known of a Portfolio: what the pages show at a glance and the limits are held against."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from guardrails.columns import Mask
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.stress.accounts import Margined, margined
from guardrails.stress.book import Book, book_of
from guardrails.stress.gaps import Gaps, single_name_gaps
from guardrails.stress.outcome import Outcome, joined, outcome, picked
from guardrails.stress.response import level_of
from guardrails.stress.scenarios import index_shock, named_shocks
from guardrails.stress.spreads import spreads_widened
from guardrails.stress.trough import trough_of

CURVE = tuple(
    step / 100.0
    for step in (-40, -30, -25, -20, -15, -12, -10, -8, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 5, 7, 10, 15, 20)
)
"""returns of the index at which the book is revalued in every cycle"""
TILES = (-0.05, -0.03, -0.01, 0.01, 0.03)
"""those of them that are shown at a glance"""

NO_VIX = "VIX is missing or old: how far volatility would move is not known"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """The book and its P&L along the curve: index moves with the volatility that comes with them."""

    book: Book
    curve: Outcome
    """shocks in the order of `CURVE`"""
    trough: Outcome
    """the one shock between the ends of the curve that may lose most"""
    scenarios: Outcome
    """by name: days of the past, volatility and rates by themselves, the worst single-name gap, wide spreads"""
    gaps: Gaps
    """every single name gapping by itself"""
    ladder: Outcome | None
    """at the index returns that the limits name, in their order; None when they name none"""
    accounts: tuple[Margined, ...]
    """each account with our estimate of its margin now"""
    unvalued: Mask
    """positions that cannot be revalued"""
    unvalued_share: float
    """of the book: the larger of their share by number and by notional"""
    doubts: tuple[str, ...] = ()
    """why no figure of these clears a limit, in words; empty where nothing speaks against them"""


def standing_of(portfolio: Portfolio, limits: Limits) -> Standing | str:
    """The stress of `portfolio` by the `limits` in force, or why there is none."""
    try:
        return _revalued(book_of(portfolio, limits), limits)
    except Exception as error:  # a guard that cannot compute must say so, whatever went wrong
        _tell(type(error).__name__, str(error))
        return f"the book cannot be revalued ({type(error).__name__}); see the log"


def _revalued(book: Book, limits: Limits) -> Standing:
    market = book.portfolio.market
    vix, named = level_of(market), _returns_named(limits)
    returns = (*CURVE, *(step for step in named if step not in CURVE))
    both = outcome(book, [index_shock(step, vix) for step in returns])
    curve = picked(both, range(len(CURVE)))
    gaps, unvalued = single_name_gaps(book), ~book.valued
    return Standing(
        book=book,
        curve=curve,
        trough=trough_of(book, curve, vix),
        scenarios=joined(outcome(book, named_shocks(market)), gaps.outcome, spreads_widened(book)),
        gaps=gaps,
        ladder=picked(both, [returns.index(step) for step in named]) if named else None,
        accounts=margined(book),
        unvalued=unvalued,
        unvalued_share=share_of(book, unvalued),
        doubts=doubts_of(book),
    )


def doubts_of(book: Book) -> tuple[str, ...]:
    """What makes the whole revaluation doubtful: a book that follows volatility needs a VIX of now."""
    follows = book.columns.is_option | book.columns.is_unmodelled | book.portfolio.exposures.is_volatility
    if book.vix_known or not (follows & (book.columns.reported != 0.0)).any():
        return ()
    return (NO_VIX,)


@lru_cache(maxsize=64)
def _tell(kind: str, text: str) -> None:
    """Log the error being handled, once: every cycle would meet it again."""
    log.exception("the book cannot be revalued (%s: %s)", kind, text)  # noqa: LOG004  # its callers handle one


def _returns_named(limits: Limits) -> tuple[float, ...]:
    """The index returns in the limits, falling to rising."""
    stress = limits.keys.stress
    if stress is None:
        return ()
    return tuple(sorted({rung.index for rung in stress.ladder} | set(stress.min_excess_after)))


def share_of(book: Book, rows: Mask) -> float:
    """The larger of the share of `rows` by number and by notional, cash left out; 0 of an empty book."""
    held = ~book.columns.is_cash
    if not (rows & held).any():
        return 0.0
    notional = np.abs(book.weight * book.columns.spot)
    total = float(np.nansum(notional[held]))
    by_notional = float(np.nansum(notional[rows & held])) / total if total > 0 else 1.0
    return max(float((rows & held).sum() / held.sum()), by_notional)
