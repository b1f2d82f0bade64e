"""The regime as a value that survives a restart, and the event of its change."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from guardrails.regime.term_structure import TermStructure


@dataclass(frozen=True, slots=True)
class RegimeState:
    """The regime in force, why, and everything needed to go on after a restart. Plain fields: survives JSON."""

    name: str
    """regime in force"""
    since: datetime
    reason: str
    """one sentence for people: what decided, and what is missing now"""
    cause: str
    """what brought `name` into force"""
    rule: str
    """regime by the rule alone; differs from `name` only under an override"""
    rule_cause: str
    bounds: tuple[float, ...]
    """thresholds and release levels the counters were counted against"""
    below: tuple[int, ...]
    """per threshold: official closes in a row at or below its release level"""
    pending: tuple[datetime | None, ...]
    """per threshold: since when every intraday reading is at or above it; None while the last one is below"""
    last_close: date | None = None
    vix: float | None = None
    """the VIX that the rule used last"""
    term: TermStructure = field(default_factory=TermStructure)
    previous: str | None = None
    """regime before `name`; None while no change has been seen"""
    changed_at: datetime | None = None
    override: bool = False
    """whether a person chose `name`"""
    known: bool = True
    """False while VIX is missing or stale, so that the regime is only kept"""

    @property
    def overlay(self) -> bool | None:
        """Whether an inverted term structure blocks new short vega; None when it cannot be known."""
        return self.term.inverted


@dataclass(frozen=True, slots=True)
class RegimeChange:
    """The event of a regime coming into force."""

    time: datetime
    old: str
    new: str
    cause: str
    targets: tuple[str, ...]
    """the limits of `new` that matter now, in words"""
    vix: float | None
    vix3m: float | None
