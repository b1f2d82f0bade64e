"""The book at given returns of the index: as the standing stress has it, revalued where it has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrails.intervals import Interval
from guardrails.stress.outcome import Outcome, outcome
from guardrails.stress.response import level_of
from guardrails.stress.scenarios import index_shock
from guardrails.stress.shocks import Shock
from guardrails.values import AccountId

if TYPE_CHECKING:
    from guardrails.stress.standing import Standing  # its accounts are judged by these cells


@dataclass(frozen=True, slots=True)
class Cell:
    """The book under one shock."""

    outcome: Outcome
    place: int
    """of the shock among those of `outcome`"""

    @property
    def shock(self) -> Shock:
        """What happens to the market."""
        return self.outcome.shocks[self.place]

    @property
    def pnl(self) -> Interval:
        """Dollars over the whole book."""
        return self.outcome.total(self.place)

    def of_account(self, account: AccountId) -> Interval:
        """Dollars of one account; zero of one that holds nothing."""
        return self.outcome.total(self.place, self.outcome.of_account(account))

    def by_account(self) -> Mapping[AccountId, Interval]:
        """Dollars of each account that holds anything."""
        return {account: self.of_account(account) for account in self.outcome.accounts}


def at_returns(standing: Standing, returns: Sequence[float]) -> tuple[Cell, ...]:
    """The book at each of `returns`, in their order, with the volatility that comes with it."""
    have = [standing.curve, *([] if standing.ladder is None else [standing.ladder])]
    known = {shock.index: Cell(found, place) for found in have for place, shock in enumerate(found.shocks)}
    if wanting := [index for index in returns if index not in known]:
        vix = level_of(standing.book.portfolio.market)
        found = outcome(standing.book, [index_shock(index, vix) for index in wanting])
        known |= {index: Cell(found, place) for place, index in enumerate(wanting)}
    return tuple(known[index] for index in returns)
