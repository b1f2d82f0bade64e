"""The settings of the connection."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where TWS or IB Gateway is, and what may be asked of it."""

    host: str = "127.0.0.1"
    port: int = 4002
    client_id: int = 17
    account: str = field(default="", repr=False)
    """full number; empty for every account of the login"""
    lines: int = 100
    """quotes that may stream at once"""
