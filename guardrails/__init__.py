"""The domain of Portfolio Guardrails: values, checks, regime and engine. It knows no broker and no page."""

from __future__ import annotations

__version__ = "0.1.0"
