"""Which volatility regime is in force, why, and what changed: see `rule` for the rule itself."""

from __future__ import annotations

from guardrails.regime.readings import MarketReadings
from guardrails.regime.rule import HISTORY_CLOSES, step
from guardrails.regime.state import RegimeChange, RegimeState
from guardrails.regime.term_structure import TermStructure

__all__ = ["HISTORY_CLOSES", "MarketReadings", "RegimeChange", "RegimeState", "TermStructure", "step"]
