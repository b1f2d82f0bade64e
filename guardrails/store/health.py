"""How the store fares, for pages, probes and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Whether what was handed over is kept."""

    queued: int
    """rows that must survive, and moments of telemetry, that wait in memory"""
    spooled: int
    """rows that wait on the disk for the database"""
    dropped: int
    """moments of telemetry that were not kept, since the start"""
    refused: int
    """rows the database would never take, since the start; they are in `refused.jsonl`"""
    lost: int
    """moments, steps of alerts and deeds since the start of which nothing could be kept, as the memory was full of what
    must survive"""
    last_written: datetime | None
    """when the database last took something"""
    keeps: bool
    """whether what must survive is taken by the database or the spool"""
    problem: str
    """what is wrong now, or was with the file since the start; empty when nothing"""
