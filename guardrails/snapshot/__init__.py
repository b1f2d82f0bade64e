"""One moment of the book as plain values: the only thing pages, alerts, files and the HTTP API read.

The same dataclasses are the value in memory, the JSON of `risk_snapshot.json` and `/api/snapshot`, and the published
JSON Schema (`guardrails/data/snapshot.schema.json`). Unknown is null. A total is null when any part of it is unknown;
what is known of it stands under `bounds`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from guardrails.errors import SourceError
from guardrails.findings import Finding, Level
from guardrails.snapshot.book import AccountRow, GroupRow, PositionRow, Totals
from guardrails.snapshot.market import Change, MarketRow, MetricsRow, RegimeNow
from guardrails.snapshot.sources import SourceRow
from guardrails.snapshot.stress import StressNow

SCHEMA = "guardrails.snapshot/1"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment."""

    schema: str
    as_of: datetime
    level: Level
    safety_state: str
    trading: str
    """`read-only` while trading is off"""
    market_open: bool
    next_session_change: datetime | None
    """when the market closes, or opens"""
    regime: RegimeNow
    totals: Totals
    accounts: tuple[AccountRow, ...]
    positions: tuple[PositionRow, ...]
    findings: tuple[Finding, ...]
    """worst first"""
    sources: tuple[SourceRow, ...]
    groups: tuple[GroupRow, ...] = ()
    underlyings: tuple[GroupRow, ...] = ()
    buckets: tuple[GroupRow, ...] = ()
    account_exposures: tuple[GroupRow, ...] = ()
    """named by broker and masked account"""
    market: tuple[MarketRow, ...] = ()
    """indices first, then the underlyings held, then currencies"""
    metrics: tuple[MetricsRow, ...] = ()
    """one per underlying held, by name"""
    changes: tuple[Change, ...] = ()
    """regime changes of this session, newest first"""
    matrix_version: str = ""
    stress: StressNow = field(default_factory=StressNow)


_SNAPSHOT: TypeAdapter[Snapshot] = TypeAdapter(Snapshot)


def to_json(snapshot: Snapshot) -> bytes:
    """The document as UTF-8 JSON."""
    return _SNAPSHOT.dump_json(snapshot)


def from_json(content: bytes, name: str) -> Snapshot:
    """The Snapshot in a document; SourceError when it is not one of this schema."""
    try:
        snapshot = _SNAPSHOT.validate_json(content)
    except ValueError as error:
        raise SourceError(
            f"{name} is not a {SCHEMA} document ({type(error).__name__}); delete it, it is written anew."
        ) from error
    if snapshot.schema != SCHEMA:
        raise SourceError(
            f"{name} has schema {snapshot.schema!r}, this program reads {SCHEMA}; delete it, it is written anew."
        )
    return snapshot


def read_snapshot(path: Path) -> Snapshot | None:
    """The last document written, or None when there is none; SourceError when it cannot be read."""
    return from_json(path.read_bytes(), path.name) if path.exists() else None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    return {"$id": SCHEMA, **_SNAPSHOT.json_schema(mode="serialization")}
