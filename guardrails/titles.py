"""What the checks and their subjects are called, the same on a page, in a message and in a file."""

from __future__ import annotations

import re
from types import MappingProxyType

from guardrails.errors import SymbolError
from guardrails.stress import scenarios
from guardrails.symbols import occ

TITLES = MappingProxyType({
    "beta_delta": "Beta-weighted delta",
    "gamma": "Gamma for a 1 % move",
    "near_expiry_gamma": "Gamma within 7 days",
    "theta_floor": "Theta, floor",
    "theta_cap": "Theta, cap",
    "theta_vega_ratio": "Theta/vega ratio",
    "daily_loss": "Daily loss",
    "day_pnl_agreement": "Day P&L, two ways",
    "short_option_expiry": "Expiry of shorts",
    "vega_concentration": "Vega in one underlying",
    "delta_concentration": "Delta in one underlying",
    "margin_concentration": "Margin in one underlying",
    "position_contracts": "Contracts in one line",
    "position_notional": "Notional of one line",
    "market_regime": "Regime and VIX",
    "greeks_coverage": "Greeks coverage",
    "greeks_agreement": "Greeks of two sources",
    "beta_coverage": "Beta coverage",
    "beta_quality": "Beta quality",
    "position_data": "Position data",
    "margin_utilisation": "Margin used",
    "account_data": "Account data",
    "source_state": "Sources",
    "clock_skew": "Clocks",
    "delivery": "Delivery of alerts",
    "order_state": "Order in doubt",
    "orders_read": "Working orders",
    "position_change": "Unexplained position",
})  # fmt: skip
"""where the name of a check is not already what a person says"""
_OCC = re.compile(r"(?:index_)?option:(.{6}\d{6}[CP]\d{8})$")
_KIND = re.compile(r"(?:^|\s)(?:equity|index|option|index_option|future|future_option|crypto|cash|bond|other):")


def title_of(check: str) -> str:
    """Name of a check as a person says it."""
    return TITLES.get(check, check.replace("_", " ").capitalize())


def about(subject: str) -> str:
    """Subject of a finding as a person says it: `IBKR •••4567`, `SPX -5 %`; nothing for the whole portfolio."""
    kind, _, name = subject.partition(":")
    return "" if kind == "matrix" else name.replace(":", " ")


def headline(check: str, subject: str) -> str:
    """Check and subject in a few words: `Margin cushion, IBKR •••4567`,
    `Expiry of shorts, IBKR •••4567 SPY 18Dec26 600P`.

    A subject that follows no known form is said as it stands.
    """
    kind, _, name = subject.partition(":")
    if kind == "position":
        told = _KIND.sub(" ", _OCC.sub(_label, name)).strip()
    elif kind == "portfolio":
        told = scenarios.TITLES.get(name, name)
    else:
        told = about(subject)
    return f"{title_of(check)}, {told}" if told else title_of(check)


def _label(found: re.Match[str]) -> str:
    try:
        return occ.parse(found[1]).label
    except SymbolError:
        return found[1]
