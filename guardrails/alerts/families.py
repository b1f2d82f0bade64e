"""Families: what belongs together and is told in one message. There are ten, so that a cycle makes few messages.

Checks that only alerts know (`ALERT_CHECKS`) stand beside those that findings are made by.
"""

from __future__ import annotations

from types import MappingProxyType

REGIME_CHANGE = "regime_change"
"""the news that another regime came into force"""
SAFETY_STATE = "safety_state"
"""trading is restricted or stopped"""
DELIVERY = "delivery"
"""a channel that does not deliver"""
ALERT_CHECKS = (REGIME_CHANGE, SAFETY_STATE, DELIVERY)

MEMBERS = MappingProxyType({
    "margin": ("margin_cushion", "margin_utilisation", "account_data"),
    "loss": ("daily_loss", "drawdown", "day_pnl_agreement"),
    "expiry": ("short_option_expiry",),
    "stress": ("stress_excess", "stress_ladder", "stress_scenarios"),
    "greeks": (
        "beta_delta", "short_vega", "gamma", "near_expiry_gamma", "theta_floor", "theta_cap", "theta_vega_ratio",
    ),
    "concentration": (
        "vega_concentration", "delta_concentration", "margin_concentration", "position_contracts", "position_notional",
    ),
    "data": (
        "position_data", "greeks_coverage", "greeks_agreement", "model_residual", "beta_coverage", "beta_quality",
    ),
    "sources": ("source_state", "clock_skew"),
    "engine": ("engine", "risk_matrix", SAFETY_STATE, DELIVERY, "order_state", "orders_read", "position_change"),
    "regime": ("market_regime", REGIME_CHANGE),
})  # fmt: skip
"""checks by family"""
_FAMILY = {check: family for family, checks in MEMBERS.items() for check in checks}


def family_of(check: str) -> str:
    """The family of a check; `data` for one that is not known here."""
    return _FAMILY.get(check, "data")
