"""Estimates of margin by the published minimums, for the questions a broker cannot be asked: after a shock, per name.

An estimate always stands beside the broker's figure and never replaces it. Accounts are never netted with each other.
`strategy` is the strategy-based rule (Reg T), `portfolio_margin` the scenario rule (OCC TIMS), `estimate` sets either
beside what the broker reports. docs/margin.md says what is left out.
"""

from __future__ import annotations

from guardrails.margin.estimate import Estimate, Rule, UnderlyingMargin, estimate
from guardrails.margin.legs import Leg, legs_of

__all__ = ["Estimate", "Leg", "Rule", "UnderlyingMargin", "estimate", "legs_of"]
