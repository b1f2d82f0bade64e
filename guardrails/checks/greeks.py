"""Delta, vega and gamma of the whole book against their limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from guardrails import wording
from guardrails.checks.measured import Measured, judge
from guardrails.columns import Array, Mask
from guardrails.exposures import Exposures
from guardrails.findings import Finding
from guardrails.intervals import Measure
from guardrails.limits import Bound, Limits, short_side, size_of, stricter
from guardrails.portfolio import Portfolio

NEAR_EXPIRY_DAYS = 7


def beta_delta(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Beta-weighted dollar delta, both directions; an absolute limit is in SPX units."""
    keys, exposures = limits.keys, portfolio.exposures
    spx = portfolio.market.prices.get("SPX")
    absolute = keys.max_beta_delta
    bound = stricter(
        None if absolute is None or spx is None else absolute * spx.value,
        keys.max_beta_delta_pct_nlv,
        portfolio.net_liquidation,
        "net liquidation",
    )
    if absolute is not None and spx is None:
        bound = Bound(bound.value, is_set=True, unknown="the SPX level is not known, and the limit is in SPX units")
    value = exposures.beta_delta().total()
    direction = -1.0 if abs(value.low) > abs(value.high) else 1.0
    measured = Measured(
        "beta_delta", "max_beta_delta", "Beta-weighted delta", "USD", value, size_of(value), bound, sign=direction
    )
    finding = judge(measured, portfolio, limits, direction * _beta_rows(exposures), exposures.delta.missing)
    if not exposures.unweighted:
        return [finding]
    evidence = {**finding.evidence, "beta_missing": list(exposures.unweighted)}
    text = f" No beta for {wording.names(list(exposures.unweighted))}: taken as anything from 0 to 2."
    return [replace(finding, evidence=evidence, message=finding.message + text)]


def short_vega(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """30-day-weighted vega on the short side; volatility products never offset it."""
    keys, exposures = limits.keys, portfolio.exposures
    bound = stricter(
        None if keys.max_negative_vega is None else -keys.max_negative_vega,
        None if keys.max_negative_vega_pct_nlv is None else -keys.max_negative_vega_pct_nlv,
        portfolio.net_liquidation,
        "net liquidation",
    )
    value = exposures.total_vega(exposures.vega_30d)
    measured = Measured(
        "short_vega",
        "max_negative_vega",
        "Vega (30-day-weighted)",
        "USD/pt",
        value,
        short_side(value),
        bound,
        sign=-1.0,
    )
    return [judge(measured, portfolio, limits, -_middle(exposures.vega_30d), exposures.vega.missing)]


def gamma(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Beta-weighted 1 % dollar gamma on the short side."""
    return [_gamma("gamma", "max_gamma", "Gamma for a 1 % move", portfolio, limits, None)]


def near_expiry_gamma(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """The same over what expires within seven calendar days, where gamma explodes."""
    exposures = portfolio.exposures
    dated = (exposures.columns.dte >= 0) & (exposures.columns.dte <= NEAR_EXPIRY_DAYS)
    undated = (exposures.columns.dte < 0) & (exposures.columns.is_option | exposures.columns.is_unmodelled)
    near = dated | undated  # what does not say when it expires may do so tomorrow
    return [
        _gamma("near_expiry_gamma", "max_near_expiry_gamma", "Gamma expiring within 7 days", portfolio, limits, near)
    ]


def _gamma(check: str, key: str, title: str, portfolio: Portfolio, limits: Limits, rows: Mask | None) -> Finding:
    exposures = portfolio.exposures
    absolute: float | None = getattr(limits.keys, key)
    relative: float | None = getattr(limits.keys, f"{key}_pct_nlv")
    value = exposures.beta_gamma(rows).total()
    bound = stricter(absolute, relative, portfolio.net_liquidation, "net liquidation")
    measured = Measured(check, key, title, "USD per 1 %", value, short_side(value), bound, sign=-1.0)
    squares = np.maximum(exposures.beta_low**2, exposures.beta_high**2)[exposures.columns.underlying]
    use = -_middle(exposures.gamma) * squares
    missing = exposures.gamma.missing if rows is None else exposures.gamma.missing & rows
    return judge(measured, portfolio, limits, use if rows is None else np.where(rows, use, 0.0), missing)


def _beta_rows(exposures: Exposures) -> Array:
    middle = (exposures.beta_low + exposures.beta_high) / 2.0
    return _middle(exposures.delta) * middle[exposures.columns.underlying]


def _middle(measure: Measure) -> Array:
    """Known values; rows that are missing say nothing about who contributes most."""
    return np.where(measure.missing, 0.0, measure.low)
