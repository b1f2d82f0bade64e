"""One thing that could happen, position by position: what hurts most."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from guardrails.columns import Array
from guardrails.intervals import Interval
from guardrails.stress.book import Book
from guardrails.stress.gaps import Gaps, gap_shock, single_name_gaps
from guardrails.stress.outcome import BLENDS, outcome, reached
from guardrails.stress.scenarios import SPREADS
from guardrails.stress.shocks import Shock
from guardrails.stress.spreads import losses


@dataclass(frozen=True, slots=True)
class Case:
    """Dollars that a shock makes of a book; of a position at least and at most, infinite where nothing bounds it.

    Positions that rest on one beta that is not known are not lost on together, so the total may be narrower.
    """

    shock: Shock
    total: Interval
    low: Array
    """by position"""
    high: Array
    words: str = ""
    """what it is, where the name does not say it"""

    def worst_first(self) -> list[int]:
        """Rows by what they lose; those that nothing bounds first."""
        return [int(row) for row in np.lexsort((self.high, self.low))]


def case_of(book: Book, shock: Shock) -> Case:
    """`book` under `shock`."""
    tried = [reached(book, [shock], blend) for blend in (BLENDS if _is_vague(book) else BLENDS[:1])]
    low = np.min([one[0][:, 0] for one in tried], axis=0)
    high = np.max([one[1][:, 0] for one in tried], axis=0)
    return Case(shock, outcome(book, [shock]).total(0), low, high)


def spreads_case(book: Book) -> Case:
    """Every option marked at the far side of a wide quote."""
    least, most = losses(book)
    total = Interval(-float(most.sum()), -float(least.sum()), not math.isfinite(float(most.sum())))
    return Case(Shock(SPREADS), total, -most, -least)


def gap_case(book: Book, gaps: Gaps | None = None) -> Case | None:
    """The worst of the names gapping by itself; None where no single name is held."""
    found = single_name_gaps(book) if gaps is None else gaps
    if found.worst is None:
        return None
    case = case_of(book, gap_shock(found.worst, rising=found.rising))
    return replace(case, words=found.worst.words)


def _is_vague(book: Book) -> bool:
    exposures = book.portfolio.exposures
    return bool((exposures.beta_low != exposures.beta_high)[book.columns.underlying].any())
