"""The trader's limits: `risk_matrix.yaml` read, checked, versioned by content and explained in words."""

from __future__ import annotations

from guardrails.matrix.explain import explain, explain_regime
from guardrails.matrix.limits import LIMIT_KEYS, DteAlarm, Limits, RatioBand, ShortOptionDte
from guardrails.matrix.load import MatrixFile, load, parse
from guardrails.matrix.schema import REGIME_NAMES, DataRules, Override, Regime, RegimeName, RegimeRules, RiskMatrix

__all__ = [
    "LIMIT_KEYS",
    "REGIME_NAMES",
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
    "ShortOptionDte",
    "explain",
    "explain_regime",
    "load",
    "parse",
]
