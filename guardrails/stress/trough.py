"""The lowest point of the curve: where between its points the book loses most.

A book may lose at two places, short strikes far apart: the deepest of the curve need not be the deepest between its
points, so the three lowest of its valleys are searched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from guardrails.stress.book import Book
from guardrails.stress.outcome import Outcome, joined, outcome, picked
from guardrails.stress.scenarios import index_shock
from guardrails.stress.shocks import Shock

STEPS = 5
"""parts into which the stretch to either neighbour of a lowest point is cut"""
VALLEYS = 3
"""lowest points beside which it is searched"""


def trough_of(
    book: Book, curve: Outcome, vix: float | None, revalued: Callable[[Sequence[Shock]], Outcome] | None = None
) -> Outcome:
    """The one worst index move: of `curve` (returns rising), or of a finer pass beside its lowest points.

    At an end of the curve the worst may lie beyond it. `revalued` gives the book under shocks, where somebody knows
    a part of it already.
    """
    place = _worst(curve)
    returns = [shock.index for shock in curve.shocks]
    if not math.isfinite(curve.total(place).low):
        return picked(curve, [place])
    between = sorted({step for valley in _valleys(curve) for step in _beside(returns, valley)})
    shocks = [index_shock(step, vix) for step in between]
    tried = outcome(book, shocks) if revalued is None else revalued(shocks)
    found = joined(picked(curve, [place]), tried)
    return picked(found, [_worst(found)])


def _valleys(curve: Outcome) -> list[int]:
    """Places of the lowest points of the curve that lie no higher than either neighbour, deepest first."""
    lows = [curve.total(place).low for place in range(len(curve.shocks))]
    left, right = [math.inf, *lows[:-1]], [*lows[1:], math.inf]
    found = [place for place, low in enumerate(lows) if low < left[place] and low <= right[place]]
    return sorted(found, key=lambda place: lows[place])[:VALLEYS]


def _beside(returns: Sequence[float], place: int) -> list[float]:
    """Returns between that at `place` and its neighbours."""
    before, here, after = returns[max(place - 1, 0)], returns[place], returns[min(place + 1, len(returns) - 1)]
    finer = [*np.linspace(before, here, STEPS + 1)[1:-1], *np.linspace(here, after, STEPS + 1)[1:-1]]
    return [float(round(step, 4)) for step in finer if step != here]


def _worst(found: Outcome) -> int:
    """Place of the shock that may lose most; of several without bound the one that gains least."""
    totals = [found.total(place) for place in range(len(found.shocks))]
    return min(range(len(totals)), key=lambda place: (totals[place].low, totals[place].high))
