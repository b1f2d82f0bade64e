"""How far the index is from where an account's excess liquidity is gone: a level below, a level above.

The excess after a move is that of `accounts`: the broker's figures, the P&L of a full revaluation with the volatility
that comes with the move, and our estimate of the margin there. Where it is not known exactly its lower end counts. The
first zero on either side is bracketed on a curve of moves, then divided by revaluation; of the last bracket the end
nearer to now is told, so that the distance is never said to be more than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guardrails.stress.accounts import Margined, after, excess_after
from guardrails.stress.ladder import Cell, at_returns
from guardrails.stress.outcome import outcome
from guardrails.stress.response import level_of
from guardrails.stress.scenarios import index_shock
from guardrails.stress.standing import CURVE, Standing

SEARCHED = (-0.60, 0.40)
"""index returns between which the zero is looked for"""
PARTS = 10
"""that a bracket is divided into at a time"""
TOLERANCE = 0.0005
"""index return; three points of an index at 6,000"""
_WIDE = tuple(sorted({*SEARCHED, -0.50, 0.30, *CURVE}))

Side = tuple[int, int]
"""an account by number, and -1 below or +1 above"""


@dataclass(frozen=True, slots=True)
class Distance:
    """The index returns at which one account's excess liquidity is zero, by our estimate of its margin."""

    one: Margined
    down: float | None
    up: float | None
    """None where there is none within `SEARCHED`, or it is not known (then `reason`)"""
    reason: str = ""


def distances(standing: Standing) -> tuple[Distance, ...]:
    """The distance of every account, in the order of the portfolio."""
    among = standing.accounts
    cells = at_returns(standing, _WIDE)
    curves = [[excess.low for excess in after(one, cells).excess] for one in among]
    reasons = [_reason(one, curve) for one, curve in zip(among, curves, strict=True)]
    brackets: dict[Side, tuple[float, float]] = {}
    for number, curve in enumerate(curves):
        for side in (-1, 1) if not reasons[number] else ():
            if (bracket := _bracket(curve, side)) is not None:
                brackets[number, side] = bracket
    zeros = _narrowed(standing, among, brackets)
    return tuple(
        Distance(one, zeros.get((number, -1)), zeros.get((number, 1)), reasons[number])
        for number, one in enumerate(among)
    )


def _reason(one: Margined, curve: Sequence[float]) -> str:
    """Why the distance cannot be known; else empty."""
    if one.reason:
        return one.reason
    if min(curve) == float("-inf"):
        return "a position of the account cannot be revalued"
    if one.told.excess is not None and one.told.excess >= 0 > curve[_WIDE.index(0.0)]:
        return "our estimate of its margin is above what the broker asks for by more than the excess"
    return ""


def _bracket(curve: Sequence[float], side: int) -> tuple[float, float] | None:
    """The returns between which the excess first falls below zero, nearer one first; None where it does not."""
    place = _WIDE.index(0.0)
    if curve[place] < 0:
        return 0.0, 0.0
    while 0 <= place + side < len(curve):
        if curve[place + side] < 0:
            return _WIDE[place], _WIDE[place + side]
        place += side
    return None


def _narrowed(
    standing: Standing, among: Sequence[Margined], brackets: Mapping[Side, tuple[float, float]]
) -> Mapping[Side, float]:
    """The nearer end of each bracket when all are narrower than `TOLERANCE`; few revaluations, of many moves each."""
    vix, found = level_of(standing.book.portfolio.market), dict(brackets)
    while wide := [key for key, (near, far) in found.items() if abs(far - near) > TOLERANCE]:
        points = {key: np.linspace(*found[key], PARTS + 1) for key in wide}
        shocks = [index_shock(float(point), vix) for key in wide for point in points[key][1:-1]]
        under = outcome(standing.book, shocks)
        for place, key in enumerate(wide):
            one, mine = among[key[0]], range(place * (PARTS - 1), (place + 1) * (PARTS - 1))
            pnl = [Cell(under, shock).of_account(one.account) for shock in mine]
            _, _, low, _ = excess_after(one, [shocks[shock] for shock in mine], pnl)
            short = np.flatnonzero(low < 0)
            first = int(short[0]) if len(short) else PARTS - 1
            found[key] = (float(points[key][first]), float(points[key][first + 1]))
    return {key: near for key, (near, _) in found.items()}
