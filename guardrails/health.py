"""Whether the engine works, as a person or a monitor asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from guardrails.keeper import StoreHealth


@dataclass(frozen=True, slots=True)
class Health:
    """The engine at one moment."""

    alive: bool
    last_cycle: datetime | None
    cycle_seconds: float | None
    cycles: int
    problems: tuple[str, ...]
    store_writable: bool
    store: StoreHealth | None = None
    """None when nothing is kept"""
    watched_by: str = ""
    """the other program that reads the brokers, while this one only shows what it sees"""
    watching_since: datetime | None = None
    """since when this program reads the brokers; None while it does not"""
    taken_over: tuple[datetime, str] | None = None
    """when this program found that another one had died without a word, and took over; and which one"""
