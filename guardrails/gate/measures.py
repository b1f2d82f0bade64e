"""What the findings of each check mean to an order: the one table that says which limits can refuse what.

HARD      a ceiling on what can be lost or owed. Breaking it, or making its breach worse, blocks new risk and makes
          an order no hedge; so does not knowing it.
SHARE     a part of a total, which also rises when the rest of the total is closed. Breaking it, or making its breach
          worse, blocks new risk; it never refuses an exit or a hedge.
INCOME    what the book earns by waiting. Advisory as shipped, which never gates; where the matrix makes it a limit
          it gates as a SHARE does.
REALISED  what has been lost already. Blocks new risk while it is broken, never an exit or a hedge.
DATA      whether figures can be trusted. What that means for an order is said by the measures that rest on them, and
          by guards of its own (regime, positions, margin).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Weight(StrEnum):
    """How much a check weighs for an order."""

    HARD = "hard"
    SHARE = "share of a total"
    INCOME = "income"
    REALISED = "realised"
    DATA = "data"


WEIGHTS: Mapping[str, Weight] = {
    "margin_cushion": Weight.HARD,
    "margin_utilisation": Weight.SHARE,
    "daily_loss": Weight.REALISED,
    "drawdown": Weight.REALISED,
    "day_pnl_agreement": Weight.DATA,
    "short_option_expiry": Weight.HARD,
    "stress_excess": Weight.HARD,
    "stress_ladder": Weight.HARD,
    "stress_scenarios": Weight.HARD,
    "beta_delta": Weight.HARD,
    "short_vega": Weight.HARD,
    "gamma": Weight.HARD,
    "near_expiry_gamma": Weight.HARD,
    "theta_floor": Weight.INCOME,
    "theta_cap": Weight.INCOME,
    "theta_vega_ratio": Weight.INCOME,
    "vega_concentration": Weight.SHARE,
    "delta_concentration": Weight.SHARE,
    "margin_concentration": Weight.SHARE,
    "position_contracts": Weight.HARD,
    "position_notional": Weight.HARD,
    "market_regime": Weight.DATA,
    "greeks_coverage": Weight.DATA,
    "greeks_agreement": Weight.DATA,
    "model_residual": Weight.DATA,
    "beta_coverage": Weight.DATA,
    "beta_quality": Weight.DATA,
    "position_data": Weight.DATA,
    "account_data": Weight.DATA,
    "source_state": Weight.DATA,
    "clock_skew": Weight.DATA,
    "position_change": Weight.DATA,
    "order_state": Weight.DATA,
    "orders_read": Weight.DATA,
    "risk_matrix": Weight.DATA,
    "engine": Weight.DATA,
}
"""by name of the check; a test holds the names against `guardrails.checks.CHECK_NAMES`"""

_GATING = (Weight.HARD, Weight.SHARE, Weight.INCOME)


def weight_of(check: str) -> Weight:
    """The weight of a check; one that the table does not name counts as HARD, which is the strictest."""
    return WEIGHTS.get(check, Weight.HARD)


def gates(check: str) -> bool:
    """Whether its limit can refuse new risk."""
    return weight_of(check) in _GATING
