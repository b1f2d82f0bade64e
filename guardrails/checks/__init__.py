"""The checks in reading order. A check is a pure function `(Portfolio, Limits) -> list[Finding]`; the tuple is the
registry.

Names and subjects are public: alerts, history and other programs key on them. A check that raises is UNKNOWN, and
while the book as a whole is not known to be complete and current nothing is cleared: OK and WATCH become UNKNOWN, a
breach stays one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from guardrails import wording
from guardrails.checks.agreement import greeks_agreement
from guardrails.checks.concentration import delta_concentration, margin_concentration, vega_concentration
from guardrails.checks.expiry import short_option_expiry
from guardrails.checks.greeks import beta_delta, gamma, near_expiry_gamma, short_vega
from guardrails.checks.loss import daily_loss, day_pnl_agreement, drawdown
from guardrails.checks.margin import margin_cushion, margin_utilisation
from guardrails.checks.quality import (
    account_data,
    beta_coverage,
    beta_quality,
    greeks_coverage,
    market_regime,
    position_data,
)
from guardrails.checks.size import position_contracts, position_notional
from guardrails.checks.sources import clock_skew, source_state
from guardrails.checks.stress import model_residual, stress_excess, stress_ladder, stress_scenarios
from guardrails.checks.theta import theta_cap, theta_floor, theta_vega_ratio
from guardrails.findings import Finding, Level
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio

Check = Callable[[Portfolio, Limits], list[Finding]]

CHECKS: tuple[Check, ...] = (
    margin_cushion,
    margin_utilisation,
    daily_loss,
    drawdown,
    day_pnl_agreement,
    short_option_expiry,
    stress_excess,
    stress_ladder,
    stress_scenarios,
    beta_delta,
    short_vega,
    gamma,
    near_expiry_gamma,
    theta_floor,
    theta_cap,
    theta_vega_ratio,
    vega_concentration,
    delta_concentration,
    margin_concentration,
    position_contracts,
    position_notional,
    market_regime,
    greeks_coverage,
    greeks_agreement,
    model_residual,
    beta_coverage,
    beta_quality,
    position_data,
    account_data,
    source_state,
    clock_skew,
)

ENGINE_CHECKS = ("risk_matrix", "engine", "order_state", "orders_read", "position_change")
"""findings that no check makes: a matrix file on disk that is not valid, a task of the engine that ended, an order of
which it is not known what became, working orders that are not known, a position that changed and nothing says why"""

CHECK_NAMES: tuple[str, ...] = (*(check.__name__ for check in CHECKS), *ENGINE_CHECKS)

SUBJECTS = (
    "portfolio",
    "portfolio:SPX RETURN",
    "portfolio:SCENARIO",
    "account:BROKER •••1234",
    "account:BROKER •••1234:SEGMENT",
    "underlying:GROUP",
    "position:KEY",
    "position:BROKER •••1234 KEY",
    "source:NAME",
    "matrix",
    "task:NAME",
    "order:KEY",
)
"""forms a Finding's subject can take"""

NOT_CLEARED = "not_cleared"
"""key of the evidence of a finding that is UNKNOWN only because the book has gaps: which gaps"""
_OWN_FEED = {"market_regime", "source_state", "clock_skew"}
"""these do not rest on the book: they report their own gaps, so they need no cap"""

log = logging.getLogger(__name__)


def run(portfolio: Portfolio, limits: Limits, checks: tuple[Check, ...] = CHECKS) -> list[Finding]:
    """All findings, in the order of the checks."""
    return [_capped(finding, portfolio) for check in checks for finding in _safely(check, portfolio, limits)]


def _safely(check: Check, portfolio: Portfolio, limits: Limits) -> list[Finding]:
    try:
        return check(portfolio, limits)
    except Exception as error:  # a guard that cannot compute must say so, whatever went wrong
        log.exception("check %s failed", check.__name__)
        text = f"{check.__name__} could not be computed ({type(error).__name__}); see the log."
        return [
            limits.finding(
                check.__name__, "portfolio", Level.UNKNOWN, text, action="Report this; treat the limit as not met."
            )
        ]


def _capped(finding: Finding, portfolio: Portfolio) -> Finding:
    if not portfolio.gaps or finding.check in _OWN_FEED or finding.level not in (Level.OK, Level.WATCH):
        return finding
    text = f"{finding.message} Not cleared: {wording.names(list(portfolio.gaps), 2)}."
    action = "Restore what is named; until then nothing is cleared."
    evidence = {**finding.evidence, NOT_CLEARED: list(portfolio.gaps)}
    return replace(finding, level=Level.UNKNOWN, message=text, next_action=action, evidence=evidence)
