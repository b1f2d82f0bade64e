"""The checks of stress of a book whose revaluation was kept: the same levels, of figures alone.

Their findings say check, subject and level and no more; who wants the words revalues the book.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guardrails import checks
from guardrails.checks import Check
from guardrails.checks.stress import stress_excess
from guardrails.checks.stress_levels import (
    believed,
    clears,
    excess_level,
    loss_bound,
    residual_level,
    rung_name,
)
from guardrails.findings import Finding
from guardrails.intervals import Interval
from guardrails.limits import Limits, short_side
from guardrails.matrix.stress import StressLimits
from guardrails.portfolio import Portfolio
from guardrails.stress.recorded import Recorded


@dataclass(frozen=True, slots=True)
class _Case:
    """What a check is asked for."""

    recorded: Recorded
    portfolio: Portfolio
    limits: Limits

    @property
    def rule(self) -> StressLimits | None:
        return self.limits.keys.stress


def checks_by(recorded: Recorded) -> tuple[Check, ...]:
    """All checks in their order, those of stress answered from what was `recorded`."""
    answers = {name: _by(name, judge, recorded) for name, judge in _CHECKS.items()}
    return tuple(answers.get(check.__name__, check) for check in checks.CHECKS)


def _by(name: str, judge: Callable[[_Case], list[Finding]], recorded: Recorded) -> Check:
    def judged(portfolio: Portfolio, limits: Limits) -> list[Finding]:
        return judge(_Case(recorded, portfolio, limits))

    judged.__name__ = name  # by which a check that raises is told
    return judged


def _ladder(case: _Case) -> list[Finding]:
    rungs = () if case.rule is None else case.rule.ladder
    pnl = case.recorded.pnl
    return [
        _loss(case, "stress_ladder", rung_name(rung.index), pnl(rung.index), rung.max_loss_pct_nlv) for rung in rungs
    ]


def _scenarios(case: _Case) -> list[Finding]:
    limits = {} if case.rule is None else case.rule.scenarios
    pnl = case.recorded.scenario
    return [_loss(case, "stress_scenarios", name, pnl(name), share) for name, share in limits.items()]


def _loss(case: _Case, check: str, name: str, pnl: Interval, share: float) -> Finding:
    use = short_side(believed(pnl, clears=_clears(case, name)))
    level = loss_bound(share, case.portfolio).level(use, case.limits.matrix.watch_at)
    return case.limits.finding(check, f"portfolio:{name}", level, "", key="stress")


def _clears(case: _Case, name: str = "") -> bool:
    recorded, most = case.recorded, 0.0 if case.rule is None else case.rule.max_unvalued_share
    return clears(name, recorded.unvalued_share, most, doubtful=recorded.doubtful, unquoted=recorded.unquoted)


def _excess(case: _Case) -> list[Finding]:
    returns, portfolio = () if case.rule is None else case.rule.min_excess_after, case.portfolio
    if not returns or not portfolio.accounts:
        return stress_excess(portfolio, case.limits)  # which rests on no revaluation then
    found = []
    for place, account in enumerate(portfolio.accounts):
        after = case.recorded.after(place, account, returns)
        worst = after.excess[after.worst]
        known = _clears(case) and not after.reason
        level = excess_level(worst, after.now, case.limits.matrix.watch_at, clears=known)
        found.append(case.limits.finding("stress_excess", f"account:{account.id}", level, "", key="stress"))
    return found


def _residual(case: _Case) -> list[Finding]:
    if not case.recorded.options:
        return []
    level = residual_level(case.recorded.apart, case.portfolio.net_liquidation, blind=case.recorded.blind)
    return [case.limits.finding("model_residual", "portfolio", level, "")]


_CHECKS: dict[str, Callable[[_Case], list[Finding]]] = {
    "stress_ladder": _ladder,
    "stress_scenarios": _scenarios,
    "stress_excess": _excess,
    "model_residual": _residual,
}
