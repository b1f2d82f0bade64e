"""A simulated market and book that speak like the brokers do, for the first look and for the tests."""

from __future__ import annotations

from adapters.demo.source import DemoSource

__all__ = ["DemoSource"]
