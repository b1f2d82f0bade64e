"""The trader's limits: `risk_matrix.yaml` read, checked, versioned by content and explained in words."""

from __future__ import annotations

from guardrails.matrix.explain import advice, explain, explain_regime
from guardrails.matrix.limits import LIMIT_KEYS, DteAlarm, Limits, RatioBand, ShortOptionDte
from guardrails.matrix.load import MatrixFile, load, parse
from guardrails.matrix.schema import REGIME_NAMES, DataRules, Override, Regime, RegimeName, RegimeRules, RiskMatrix
from guardrails.matrix.stress import PRESETS, SCENARIO_NAMES, Rung, ScenarioLimits, StressLimits

__all__ = [
    "LIMIT_KEYS",
    "PRESETS",
    "REGIME_NAMES",
    "SCENARIO_NAMES",
    "DataRules",
    "DteAlarm",
    "Limits",
    "MatrixFile",
    "Override",
    "RatioBand",
    "Regime",
    "RegimeName",
    "RegimeRules",
    "RiskMatrix",
    "Rung",
    "ScenarioLimits",
    "ShortOptionDte",
    "StressLimits",
    "advice",
    "explain",
    "explain_regime",
    "load",
    "parse",
]
