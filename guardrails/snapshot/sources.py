"""How the sources do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Number = float | None


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One kind of message of a source."""

    name: str
    works: bool | None
    """null while it has not been heard yet, and while its source is not connected"""
    age_seconds: Number
    """since it last said anything; null when it never did"""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source."""

    name: str
    state: str
    age_seconds: Number
    detail: str
    exclusions: tuple[str, ...] = ()
    condition: str = ""
    """stable short name of what it is in: `connected`, `refused`, ...; empty for a file"""
    since: datetime | None = None
    """since when it has been in this condition"""
    action: str = ""
    """what a person should do about it, empty when nothing"""
    retries: int = 0
    """attempts to connect since the last time it was connected"""
    streams: tuple[StreamRow, ...] = ()
    warnings: tuple[str, ...] = ()
    """what works only in part"""
    clock_skew: Number = None
    """seconds by which its clock is surely ahead of ours (negative: behind); null when not known"""
