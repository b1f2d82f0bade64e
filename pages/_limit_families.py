"""Every limit by family: one line where it is kept, one for each that is not."""

from __future__ import annotations

import streamlit as st

from guardrails.findings import Finding, Level
from guardrails.snapshot import Snapshot
from pages._parts import (
    limit_row,
    unset_row,
    use_of,
)
from pages._stress import titled

FAMILIES = {
    "Margin": (
        ("margin_cushion", "margin_utilisation"),
        "Cushion = excess liquidity / net liquidation, by account and segment, worst of now, overnight and look-ahead. "
        "Utilisation = maintenance margin / net liquidation.",
    ),
    "Loss": (
        ("daily_loss", "drawdown", "day_pnl_agreement"),
        "Daily loss = (net liquidation at the start of the session + cash flows − now) / start. "
        "Drawdown = (peak − now) / peak, cash flows taken out. "
        "Day P&L = net liquidation − that of the end of the session before − cash flows, against the positions' sum.",
    ),
    "Stress": (
        ("stress_excess", "stress_ladder", "stress_scenarios", "model_residual"),
        "Every position revalued as if the market had moved. Loss = −(value then − value now). "
        "Excess then = excess now + maintenance now + P&L of the account − our estimate of its margin there × "
        "max(1, the broker's figure now / our estimate now).",
    ),
    "Expiry of short options": (
        ("short_option_expiry",),
        "Trading days to the last trade of each short option, by how it settles.",
    ),
    "Direction and volatility": (
        ("beta_delta", "short_vega", "gamma", "near_expiry_gamma"),
        "Delta = sum of quantity × delta × multiplier × price × beta. Vega = sum of quantity × vega × multiplier × "
        "√(30/days), dollars per volatility point. Gamma = change of delta dollars when the index moves 1 %.",
    ),
    "Time": (
        ("theta_floor", "theta_cap", "theta_vega_ratio"),
        "Theta = what one calendar day brings, in dollars. Ratio = theta / |vega| of a book that is short premium.",
    ),
    "Concentration": (
        ("vega_concentration", "delta_concentration", "margin_concentration"),
        "Share of one underlying in the gross of the book: |its sum| / sum of |all sums|. Broad indices are exempt.",
    ),
    "Size": (
        ("position_contracts", "position_notional"),
        "Contracts of one line over all accounts. Notional = |quantity| × multiplier × price of the underlying.",
    ),
    "Data": (
        (
            "market_regime", "greeks_coverage", "greeks_agreement", "beta_coverage", "beta_quality", "position_data",
            "account_data", "source_state", "clock_skew", "risk_matrix", "engine",
        ),
        "Whether the figures can be trusted: sources, accounts, positions, Greeks, betas, VIX.",
    ),
}  # fmt: skip
"""checks by family, in the order of the page, with what they measure"""


def family_html(findings: list[Finding]) -> str:
    """Every limit of a family that is not green; one line, with the nearest of them, for those that are."""
    loud = [finding for finding in findings if finding.level.rank >= Level.WATCH.rank]
    kept = [finding for finding in findings if finding.level is Level.OK]
    unset = [finding for finding in findings if finding.level is Level.NOT_APPLICABLE]
    rows = [limit_row(finding) for finding in sorted(loud, key=lambda finding: -finding.level.rank)]
    if kept:
        nearest = max(kept, key=lambda finding: use_of(finding) or 0.0)
        rows.append(limit_row(nearest, f"{len(kept)} kept, nearest: " if len(kept) > 1 else ""))
    if unset:
        rows.append(unset_row("; ".join(finding.message.rstrip(".") for finding in unset)))
    return "".join(rows)


def limits(snapshot: Snapshot) -> None:
    for family, (checks, formula) in FAMILIES.items():
        findings = [titled(finding) for finding in snapshot.findings if finding.check in checks]
        left, right = st.columns([1, 5], vertical_alignment="top")
        left.markdown(f"**{family}**", help=formula)
        right.html(family_html(findings) or '<span class="pg-soft">nothing judged yet</span>')
    st.caption(f"The mark on a bar is the limit. Limits of {snapshot.regime.name}, matrix {snapshot.matrix_version}.")
