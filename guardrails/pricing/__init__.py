"""Option prices, Greeks and implied volatilities over columns. Knows no position, no account and no market data."""

from __future__ import annotations

from guardrails.pricing.columns import DAYS_PER_YEAR, Array, Axes, Options, Sensitivities
from guardrails.pricing.european import grid, price, sensitivities
from guardrails.pricing.implied import implied_vol
from guardrails.pricing.normal import normal_cdf, normal_pdf

__all__ = [
    "DAYS_PER_YEAR",
    "Array",
    "Axes",
    "Options",
    "Sensitivities",
    "grid",
    "implied_vol",
    "normal_cdf",
    "normal_pdf",
    "price",
    "sensitivities",
]
