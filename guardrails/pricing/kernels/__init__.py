"""Compiled with numba when this room is imported; nobody but `guardrails.pricing.compiled` imports it."""

from __future__ import annotations

from guardrails.pricing.kernels import american_values, dividends, european, implied  # noqa: F401  # importing compiles them
