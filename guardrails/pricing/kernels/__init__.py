"""Compiled with numba when this room is imported; nobody but `guardrails.pricing.compiled` imports it."""
