"""What the revaluation of a book came to, small enough to be kept with every stored moment.

What a book would lose is measured as a price is: it rests on what the sources said and on the rules for data, and on no
limit. So the past can be held against other limits without revaluing thousands of books.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrails.intervals import Interval
from guardrails.matrix.stress import StressLimits
from guardrails.stress.accounts import AccountAfter, Margined, badness, excess_at
from guardrails.stress.ladder import Cell, at_returns
from guardrails.stress.part import apart_from_market
from guardrails.stress.shocks import Shock
from guardrails.stress.spreads import unquoted
from guardrails.values import Account

if TYPE_CHECKING:
    from guardrails.stress.standing import Standing  # it imports the accounts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordedPart:
    """The excess liquidity of an account, or of one segment of it, after each of the recorded moves."""

    segment: str
    """empty: all of the account"""
    now: float | None
    """dollars, before any move"""
    doubtful: bool
    """its excess after a move cannot be known, so nothing is cleared by it"""
    low: tuple[float, ...]
    """dollars by return, at least"""
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The standing stress as it was measured: the figures that limits can be held against."""

    returns: tuple[float, ...]
    """of the index, rising"""
    low: tuple[float, ...]
    """P&L of the book by return, dollars, at least"""
    high: tuple[float, ...]
    scenarios: Mapping[str, tuple[float, float]]
    """P&L of the book by name, dollars, at least and at most"""
    accounts: tuple[tuple[RecordedPart, ...], ...]
    """in the order of the portfolio: each as a whole, then its segments"""
    unvalued_share: float
    """of the book: what cannot be revalued"""
    doubtful: bool
    """no figure of these clears a limit"""
    unquoted: bool
    """for some option a spread is only assumed"""
    options: bool
    """whether any is held"""
    apart: float
    """dollars by which model and market differ where they differ by more than quotes explain"""
    blind: bool
    """whether some option cannot be compared with the market"""

    def answers(self, stress: StressLimits | None, accounts: int) -> bool:
        """Whether it has all that these limits ask of a book in so many accounts; else it has to be revalued."""
        if stress is None:
            return True
        asked = {rung.index for rung in stress.ladder} | set(stress.min_excess_after)
        ends = [self.low, self.high]
        ends += [end for parts in self.accounts for part in parts for end in (part.low, part.high)]
        return (
            all(len(end) == len(self.returns) for end in ends)
            and asked <= set(self.returns)
            and stress.scenarios.keys() <= self.scenarios.keys()
            and len(self.accounts) == accounts
            and all(self.accounts)
        )

    def pnl(self, index: float) -> Interval:
        """Dollars of the book at this return of the index, which was recorded."""
        place = self.returns.index(index)
        return _interval(self.low[place], self.high[place])

    def scenario(self, name: str) -> Interval:
        """Dollars of the book in this scenario, which was recorded."""
        return _interval(*self.scenarios[name])

    def after(self, place: int, account: Account, returns: tuple[float, ...]) -> AccountAfter:
        """What `stress.accounts.after` said of `account`, the one at `place`, as far as levels rest on it."""
        columns = [self.returns.index(index) for index in returns]
        shocks = tuple(Shock("", index) for index in returns)
        found = [
            AccountAfter(
                account=account.id, shocks=shocks, now=part.now, maintenance=None, rule="", estimate_now=None,
                factor=None, pnl=(), estimate=(), segment=part.segment,
                excess=tuple(_interval(part.low[column], part.high[column]) for column in columns),
                reason="as it was recorded" if part.doubtful else "",
            )
            for part in self.accounts[place]
        ]  # fmt: skip
        return min(found, key=badness)


def recorded_of(stress: Standing | str) -> Recorded | str | None:
    """What is kept of `stress`; why there is none where it is a reason, None where it cannot be said."""
    if isinstance(stress, str):
        return stress
    try:
        return _recorded(stress)
    except Exception:  # the moment is kept without it, and revalued when it is judged again
        log.exception("what the book was revalued to is not kept with its moment")
        return None


def _recorded(stress: Standing) -> Recorded:
    ladder = () if stress.ladder is None else stress.ladder.shocks
    returns = tuple(sorted({shock.index for shock in (*stress.curve.shocks, *ladder)}))
    cells = at_returns(stress, returns)
    totals = [cell.pnl for cell in cells]
    named = [(shock.name, stress.scenarios.total(place)) for place, shock in enumerate(stress.scenarios.shocks)]
    options, far, blind = apart_from_market(stress.book)
    return Recorded(
        returns=returns,
        low=tuple(total.low for total in totals),
        high=tuple(total.high for total in totals),
        scenarios={name: (total.low, total.high) for name, total in named},
        accounts=tuple(tuple(_part(part, cells) for part in one.parts) for one in stress.accounts),
        unvalued_share=stress.unvalued_share,
        doubtful=bool(stress.doubts),
        unquoted=bool(unquoted(stress.book).any()),
        options=bool(options.any()),
        apart=float(far.sum()),
        blind=bool(blind.any()),
    )


def _part(one: Margined, cells: tuple[Cell, ...]) -> RecordedPart:
    excess = excess_at(one, cells)
    ends = tuple(each.low for each in excess), tuple(each.high for each in excess)
    return RecordedPart(one.segment, one.told.excess, bool(one.reason), *ends)


def _interval(low: float, high: float) -> Interval:
    return Interval(low, high, not (math.isfinite(low) and math.isfinite(high)))
