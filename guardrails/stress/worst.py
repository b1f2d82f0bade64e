"""What hurts most: the positions behind the loss under one shock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guardrails.exposures import Interval
from guardrails.stress.book import Book
from guardrails.stress.outcome import bounds
from guardrails.stress.shocks import Shock, moves
from guardrails.values import AccountId


@dataclass(frozen=True, slots=True)
class Contribution:
    """One position under a shock."""

    row: int
    """place in `portfolio.positions`"""
    label: str
    account: AccountId
    pnl: Interval
    """dollars; betas that are not known stand in the middle of their bounds"""


def contributors(book: Book, shock: Shock, count: int = 10) -> tuple[Contribution, ...]:
    """The `count` positions that may lose most under `shock`, worst first; those that cannot lose are left out."""
    low, high = bounds(book, moves(book, [shock], 0.5))
    order = np.argsort(low[:, 0], kind="stable")[:count]
    positions = book.portfolio.positions
    return tuple(
        Contribution(
            row=int(row),
            label=positions[row].instrument.label,
            account=positions[row].account,
            pnl=Interval(float(low[row, 0]), float(high[row, 0]), not np.isfinite(low[row, 0] + high[row, 0])),
        )
        for row in order
        if low[row, 0] < 0
    )
