"""The safety state: what this program lets through at all, whoever asks; and how one gets from one to another.

    NORMAL         every order goes through the gate
    NO_NEW_RISK    exits and hedges pass; new risk is blocked, unless an override that the matrix allows is in force
    REDUCE_ONLY    exits and hedges pass; nothing else does, overrides do not count
    STOPPED        this program sends nothing at all; a person can always step to REDUCE_ONLY

Getting stricter is at once and open to everybody. Getting looser is for a person; only the return to NORMAL waits for
the end of the cooling-off, which was fixed when it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SafetyState(StrEnum):
    """From free to shut, in this order."""

    NORMAL = "NORMAL"
    NO_NEW_RISK = "NO_NEW_RISK"
    REDUCE_ONLY = "REDUCE_ONLY"
    STOPPED = "STOPPED"

    @property
    def rank(self) -> int:
        """Strictness: a higher one lets less through."""
        return _RANK[self]


_RANK = {state: rank for rank, state in enumerate(SafetyState)}


class Cause(StrEnum):
    """What set a state."""

    PERSON = "person"
    STOP_FILE = "stop_file"
    """a file `STOP` lies in the data folder"""
    DAILY_LOSS = "daily_loss"
    """the daily loss stands over its limit, confirmed"""
    REJECTS = "rejects"
    """too many orders were rejected or failed within a minute"""
    UNRECONCILED = "unreconciled"
    """it is not known what became of an order; ends by itself once it is"""
    UNACKNOWLEDGED = "unacknowledged"
    """nobody acknowledged a CRITICAL alert in time"""
    UNREADABLE = "unreadable"
    """what was set before cannot be read"""


@dataclass(frozen=True, slots=True)
class Safety:
    """The state in force, who set it and why. `Safety()` is that of a book in which nobody ever set one."""

    state: SafetyState = SafetyState.NORMAL
    since: datetime | None = None
    cause: Cause = Cause.PERSON
    author: str = ""
    """a person's name, or `the program`"""
    reason: str = ""
    until: datetime | None = None
    """end of the cooling-off: no return to NORMAL before; None when there is none"""
    leave: str = ""
    """how to leave it, one sentence for a person"""
    count: int = 0
    """how many changes led to it; with `since` it tells which of two came later. 0: not known"""


@dataclass(frozen=True, slots=True)
class SafetyChange:
    """One change, as it is journaled."""

    time: datetime
    old: SafetyState
    new: Safety
