"""How far the index is from where an account's excess liquidity is gone: a level below, a level above.

The excess after a move is that of `accounts`: the broker's figures, the P&L of a full revaluation with the volatility
that comes with the move, and our estimate of the margin there. Where it is not known exactly its lower end counts. The
first zero on either side is bracketed on a curve of moves, in which the strikes held are (near expiry an excess may
be gone beyond a strike and back before the next round number), then divided by revaluation; of the last bracket the end
nearer to now is told, so that the distance is never said to be more than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guardrails.intervals import Interval
from guardrails.stress.accounts import Margined, after_part, excess_after
from guardrails.stress.book import Book
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
STRIKES, LEAST_STRIKES = 30, 8
"""strikes that are searched in all, and of each account at least"""
_NEAR = 0.05
"""index return; a strike twice as far away has to be of twice the size to be searched before one at the money"""
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
    among = [part for one in standing.accounts for part in one.parts]
    returns = tuple(sorted({*_WIDE, *strikes_held(standing.book)}))
    cells, now = at_returns(standing, returns), returns.index(0.0)
    curves = [[excess.low for excess in _seen(one, cells)] for one in among]
    reasons = [_reason(one, curve, curve[now]) for one, curve in zip(among, curves, strict=True)]
    brackets: dict[Side, tuple[float, float]] = {}
    for number, curve in enumerate(curves):
        for side in (-1, 1) if not reasons[number] else ():
            if (bracket := _bracket(returns, curve, side)) is not None:
                brackets[number, side] = bracket
    zeros = _narrowed(standing, among, brackets)
    found: list[Distance] = []
    for one in standing.accounts:
        mine = [number for number, part in enumerate(among) if part.account == one.account]
        reason = next((reasons[number] for number in mine if reasons[number]), "")
        ends = [[zeros[number, side] for number in mine if (number, side) in zeros and not reason] for side in (-1, 1)]
        found.append(Distance(one, max(ends[0], default=None), min(ends[1], default=None), reason))
    return tuple(found)


def _seen(one: Margined, cells: Sequence[Cell]) -> tuple[Interval, ...]:
    """The excess under the shocks of `cells`, remembered."""
    found = after_part(one, cells).excess
    one.seen.update(zip([cell.shock for cell in cells], found, strict=True))
    return found


def strikes_held(book: Book) -> tuple[float, ...]:
    """Index returns at which an underlying stands at a strike that is held: the largest and the nearest."""
    columns, exposures = book.columns, book.portfolio.exposures
    count = len(columns.accounts)
    moved = columns.is_option & ~exposures.is_volatility
    found: set[float] = set()
    for account in columns.accounts:
        sizes: dict[float, float] = {}
        for end in (exposures.beta_low, exposures.beta_high):
            beta = end[columns.underlying]
            with np.errstate(all="ignore"):
                at = np.round((book.options.strike / columns.spot - 1.0) / beta, 3)
                size = np.abs(book.weight * columns.spot * beta) / (_NEAR + np.abs(at))
            held = moved & columns.of_account(account) & (at >= SEARCHED[0]) & (at <= SEARCHED[1]) & (size > 0)
            for place, amount in zip(at[held].tolist(), size[held].tolist(), strict=True):
                sizes[place] = sizes.get(place, 0.0) + amount
        found.update(sorted(sizes, key=lambda place: -sizes[place])[: max(STRIKES // count, LEAST_STRIKES)])
    return tuple(sorted(found))


def _reason(one: Margined, curve: Sequence[float], now: float) -> str:
    """Why the distance cannot be known; else empty. `now` is where its `curve` of excesses stands without a move."""
    if one.reason:
        return one.reason
    if min(curve) == float("-inf"):
        return "a position of the account cannot be revalued"
    if one.told.excess is not None and one.told.excess >= 0 > now:
        what = f"the margin of its {one.segment} segment" if one.segment else "its margin"
        return f"our estimate of {what} is above what the broker asks for by more than the excess"
    return ""


def _bracket(returns: Sequence[float], curve: Sequence[float], side: int) -> tuple[float, float] | None:
    """The returns between which the excess first falls below zero, nearer one first; None where it does not."""
    place = returns.index(0.0)
    if curve[place] < 0:
        return 0.0, 0.0
    while 0 <= place + side < len(curve):
        if curve[place + side] < 0:
            return returns[place], returns[place + side]
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
            pnl = [one.pnl(Cell(under, shock)) for shock in mine]
            _, _, low, _ = excess_after(one, [shocks[shock] for shock in mine], pnl)
            short = np.flatnonzero(low < 0)
            first = int(short[0]) if len(short) else PARTS - 1
            found[key] = (float(points[key][first]), float(points[key][first + 1]))
    return {key: near for key, (near, _) in found.items()}
