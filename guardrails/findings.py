"""Level and Finding: the one vocabulary of verdicts for pages, alerts, files and the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad; UNKNOWN is not a pass and ranks between WATCH and BREACH."""

    NOT_APPLICABLE = "NOT_APPLICABLE"
    OK = "OK"
    WATCH = "WATCH"
    UNKNOWN = "UNKNOWN"
    BREACH = "BREACH"

    @property
    def rank(self) -> int:
        """Position in the order NOT_APPLICABLE < OK < WATCH < UNKNOWN < BREACH."""
        return _RANK[self]


_RANK = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict about one subject. Levels compare by `Level.rank`."""

    check: str
    """name from `guardrails.checks.CHECK_NAMES`"""
    subject: str
    """`portfolio`, `account:IBKR •••4567`, `underlying:SPX`, `position:<account> <key>`, `source:demo`, ..."""
    level: Level
    value: float | None
    """what was measured, in `unit`; None when it cannot be known"""
    limit: float | None
    """the bound that decides, in `unit`; None when not set"""
    unit: str
    headroom: float | None
    """how much more fits before the limit, in `unit`; negative when over"""
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    data_age_seconds: float | None = None
    next_action: str = ""
    matrix_version: str = ""
    advisory: bool = False
    """advisory limits colour and reach WATCH at most; they never gate an order"""


def worst(levels: Iterable[Level]) -> Level:
    """The highest level by rank; NOT_APPLICABLE when there is none."""
    return max(levels, key=lambda level: level.rank, default=Level.NOT_APPLICABLE)
