"""What a replay found as a document for other programs: plain values, the same for the same input."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from guardrails.breaches import FALSE_BELOW, Breach, Span
from guardrails.comparison import Comparison, Side

SCHEMA = "guardrails.replay/1"


def document(found: Comparison) -> dict[str, Any]:
    """The whole answer as plain values; times are ISO in UTC, times at a level whole seconds."""
    return {
        "schema": SCHEMA,
        "moments": found.moments,
        "begin": _iso(found.begin),
        "end": _iso(found.end),
        "spacing_seconds": found.spacing_seconds,
        "longest_seconds": found.longest_seconds,
        "unwatched_seconds": found.unwatched_seconds,
        "differing": found.differing,
        "differences": [
            {"time": _iso(d.time), "name": d.name, "then": d.then, "again": d.again} for d in found.differences
        ],
        "revalued": found.revalued,
        "unreadable": found.unreadable,
        "problems": [{"time": _iso(time), "problem": problem} for time, problem in found.problems],
        "false_alarm_below": FALSE_BELOW,
        "breaches": [_breach(breach) for breach in found.breaches],
        "then": _side(found.then),
        "again": _side(found.again),
    }


def _breach(breach: Breach) -> dict[str, Any]:
    return {
        "kind": breach.kind,
        "check": breach.check,
        "subject": breach.subject,
        "then": _span(breach.then),
        "again": _span(breach.again),
        "fall": None if breach.fall is None else round(breach.fall, 6),
        "fall_known": breach.fall_known,
        "deposits_known": breach.deposits_known,
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "matrix_versions": list(side.versions),
        "unknown": side.unknown,
        "regime_changes": [{"time": _iso(m.time), "old": m.old, "new": m.new} for m in side.regime_changes],
        "seconds": {check: dict(times) for check, times in side.seconds.items()},
    }


def _span(span: Span | None) -> list[str | None] | None:
    return None if span is None else [_iso(span.begin), _iso(span.end)]


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
