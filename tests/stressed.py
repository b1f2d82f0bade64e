"""Books that have been revalued: the tests' own way to write down a portfolio with its stress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from guardrails.limits import Limits
from guardrails.matrix import SCENARIO_NAMES, Rung, ScenarioLimits, StressLimits
from guardrails.portfolio import Portfolio
from guardrails.stress.standing import Standing, standing_of
from guardrails.values import Account, Position
from tests.books import book, market, with_limits

LADDER = ((-0.20, 0.20), (-0.10, 0.10), (-0.05, 0.05), (0.05, 0.05))
UNSET = dict.fromkeys(SCENARIO_NAMES)


def stress_limits(
    ladder: Sequence[tuple[float, float]] = LADDER,
    after: Sequence[float] = (-0.10, 0.05),
    unvalued: float = 0.05,
    **scenarios: float,
) -> Limits:
    """Limits whose stress section is this one; a scenario that is not named has no limit."""
    rungs = tuple(Rung(index=index, max_loss_pct_nlv=share) for index, share in ladder)
    named = ScenarioLimits(**{**UNSET, **scenarios})
    rule = StressLimits(ladder=rungs, stress_loss_pct_nlv=named, min_excess_after=after, max_unvalued_share=unvalued)
    return with_limits(stress=rule)


def stressed(
    *positions: Position, accounts: Sequence[Account] | None = None, limits: Limits | None = None, **more: Any
) -> Portfolio:
    """A Portfolio of these positions with its stress."""
    found = book(*positions, accounts=accounts, **{"at": market(), **more})
    return replace(found, stress=standing_of(found, limits or stress_limits()))


def standing(portfolio: Portfolio) -> Standing:
    """Its stress, which is known."""
    assert isinstance(portfolio.stress, Standing)
    return portfolio.stress
