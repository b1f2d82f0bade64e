"""The lowest point of the curve: where between its points the book loses most."""

from __future__ import annotations

import math

import numpy as np

from guardrails.stress.book import Book
from guardrails.stress.outcome import Outcome, joined, outcome, picked
from guardrails.stress.scenarios import index_shock

STEPS = 5
"""parts into which the stretch to either neighbour of the worst point is cut"""


def trough_of(book: Book, curve: Outcome, vix: float | None) -> Outcome:
    """The one worst index move: of `curve` (returns rising), or of a finer pass between the neighbours of its worst.

    At an end of the curve the worst may lie beyond it.
    """
    place = _worst(curve)
    returns = [shock.index for shock in curve.shocks]
    if not math.isfinite(curve.total(place).low):
        return picked(curve, [place])
    before, here, after = returns[max(place - 1, 0)], returns[place], returns[min(place + 1, len(returns) - 1)]
    finer = [*np.linspace(before, here, STEPS + 1)[1:-1], *np.linspace(here, after, STEPS + 1)[1:-1]]
    between = [float(round(step, 4)) for step in finer if step != here]
    tried = outcome(book, [index_shock(step, vix) for step in between])
    found = joined(picked(curve, [place]), tried)
    return picked(found, [_worst(found)])


def _worst(found: Outcome) -> int:
    """Place of the shock that may lose most; of several without bound the one that gains least."""
    totals = [found.total(place) for place in range(len(found.shocks))]
    return min(range(len(totals)), key=lambda place: (totals[place].low, totals[place].high))
