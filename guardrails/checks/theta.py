"""What the book earns by waiting, and whether that income is bought with too much vega. Advisory by default."""

from __future__ import annotations

import numpy as np

from guardrails import wording
from guardrails.exposures import Exposures
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval
from guardrails.limits import Limits, stricter
from guardrails.portfolio import Portfolio

NEGLIGIBLE_VEGA = 1e-4
"""fraction of net liquidation per point below which a ratio over vega says nothing (domain facts 1.6)"""


def theta_floor(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Theta per day must not fall below `min_daily_theta`."""
    floor, theta = limits.keys.min_daily_theta, portfolio.exposures.theta.total()
    shown, level = _shown(theta), Level.NOT_APPLICABLE
    if floor is not None:
        level = Level.BREACH if theta.high < floor else Level.UNKNOWN if theta.missing else Level.OK
    text = "no floor is set." if floor is None else f"floor {wording.money(floor)} per day."
    return [
        limits.finding(
            "theta_floor", "portfolio", level, f"Theta {shown}, {text}",
            key="min_daily_theta", value=theta.known, limit=floor, unit="USD/day",
            headroom=None if theta.known is None or floor is None else theta.known - floor,
            evidence={"missing": _missing(portfolio)} if theta.missing else {}, age=portfolio.data_age_seconds,
            action=_FLOOR_ACTIONS.get(level, ""),
        )
    ]  # fmt: skip


def theta_cap(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Theta per day above the cap means the book is selling more time than it should."""
    keys, theta = limits.keys, portfolio.exposures.theta.total()
    bound = stricter(keys.max_daily_theta, keys.max_daily_theta_pct_nlv, portfolio.net_liquidation, "net liquidation")
    level = bound.level(Interval(max(theta.low, 0.0), max(theta.high, 0.0), theta.missing), limits.matrix.watch_at)
    text = "no cap is set." if not bound.is_set else f"cap {wording.money(bound.value)} per day."
    if bound.unknown:
        text += f" Cannot be judged: {bound.unknown}."
    return [
        limits.finding(
            "theta_cap", "portfolio", level, f"Theta {_shown(theta)}, {text}",
            key="max_daily_theta", value=theta.known, limit=bound.value, unit="USD/day",
            headroom=None if theta.known is None or bound.value is None else bound.value - theta.known,
            evidence={"missing": _missing(portfolio)} if theta.missing else {}, age=portfolio.data_age_seconds,
            action=_ACTIONS.get(level, ""),
        )
    ]  # fmt: skip


_FLOOR_ACTIONS = {
    Level.BREACH: "Sell premium only if vega and gamma allow it; otherwise accept the cost of the hedge.",
    Level.UNKNOWN: "Find Greeks for every option.",
}
_ACTIONS = {
    Level.WATCH: "Sell no more premium.",
    Level.BREACH: "Sell no more premium.",
    Level.UNKNOWN: "Find Greeks for every option, and the net liquidation.",
}


def theta_vega_ratio(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Theta over |vega| of a short-premium book; beside it IV/(2 DTE), which it equals for a single expiry.

    That identity (domain facts 1.6) tells a ratio that is red by the calendar from one that is red by structure.
    """
    band, exposures = limits.keys.theta_vega_ratio, portfolio.exposures
    theta, vega = exposures.theta.total(), exposures.total_vega(exposures.vega)
    structural = implied_ratio(portfolio)
    evidence = {"theta_per_day": theta.known, "vega_per_point": vega.known, "iv_over_2_dte": structural}
    level, why, value = Level.NOT_APPLICABLE, "", None
    if band is None:
        why = "not set"
    elif theta.missing or vega.missing or theta.known is None or vega.known is None:
        level, why = Level.UNKNOWN, f"no data for {wording.names(_missing(portfolio))}"
    elif reason := _not_applicable(theta.known, vega.known, portfolio.net_liquidation):
        why = f"not applicable ({reason})"
    else:
        value = theta.known / -vega.known
        outside_red = band.red_min <= value <= band.red_max
        inside_green = band.green_min <= value <= band.green_max
        level = Level.OK if inside_green else Level.WATCH if outside_red else Level.BREACH
        why = f"{wording.number(value, 2)}, green {band.green_min:.2f} to {band.green_max:.2f} (house)"
        if structural is not None:
            why += f"; the calendar alone gives IV/(2 DTE) = {wording.number(structural, 2)}"
    limit = None if band is None or value is None else band.red_min if value < band.green_min else band.red_max
    return [
        limits.finding(
            "theta_vega_ratio", "portfolio", level, f"Theta/vega ratio: {why}.",
            key="theta_vega_ratio", value=value, limit=limit, unit="ratio",
            headroom=None if value is None or band is None else min(value - band.red_min, band.red_max - value),
            evidence=evidence, age=portfolio.data_age_seconds,
            action=_FLOOR_ACTIONS[level] if level is Level.UNKNOWN else "",
        )
    ]  # fmt: skip


def implied_ratio(portfolio: Portfolio) -> float | None:
    """IV% / (2 DTE) averaged over short options by their vega; None when there are none with known values."""
    exposures: Exposures = portfolio.exposures
    vega = np.where(exposures.vega.missing, 0.0, exposures.vega.low)
    iv = exposures.columns.iv
    rows = exposures.columns.is_option & (vega < 0) & np.isfinite(iv) & (exposures.columns.dte > 0)
    if not rows.any():
        return None
    weights = -vega[rows]
    return float(weights @ (iv[rows] * 100.0 / (2.0 * exposures.columns.dte[rows])) / weights.sum())


def _not_applicable(theta: float, vega: float, net_liquidation: float | None) -> str:
    if vega >= 0:
        return "long vega" if vega > 0 else "no vega"
    if net_liquidation is not None and -vega < NEGLIGIBLE_VEGA * net_liquidation:
        return "vega near 0"
    return "theta is not positive" if theta <= 0 else ""


def _shown(theta: Interval) -> str:
    return "is not known" if theta.known is None else f"{wording.money(theta.known)} per day"


def _missing(portfolio: Portfolio) -> list[str]:
    rows = portfolio.exposures.theta.missing | portfolio.exposures.vega.missing
    return [portfolio.positions[row].instrument.label for row in np.flatnonzero(rows)]
