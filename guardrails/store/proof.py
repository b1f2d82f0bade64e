"""Rows that must survive, stored together with their entry in the evidence log: both or neither."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from guardrails.redaction import redact
from guardrails.store.evidence import EvidenceError, Link, append
from guardrails.store.inserts import Value, columns, insert
from guardrails.store.metadata import METADATA, moment
from guardrails.store.spool import Sent

_KINDS = {
    "finding_transitions": "finding",
    "regime_changes": "regime",
    "session_starts": "session_start",
    "matrix_versions": "matrix",
    "safety_changes": "safety",
    "alerts": "alert",
    "deliveries": "delivery",
    "orders": "order",
    "fills": "fill",
    "journal": "journal",
    "overrides": "override",
}
_LEFT_OUT = ("run", "number", "content")
"""who wrote it as the how manieth, and the text of a matrix, for which its hash stands"""


def insert_proven(connection: Connection, rows: Sequence[Sent]) -> list[Link]:
    """Insert `rows` and prove those that are new; a row that is sent twice is proven once. The links in order."""
    links = []
    for name, row in rows:
        table = METADATA.tables[name]
        new, kind = insert(connection, table, [row]), _KINDS.get(name)
        if new and kind is not None:
            told = dict(zip(columns(table), row, strict=True))
            links.append(_append(connection, kind, told))
    return links


def _append(connection: Connection, kind: str, told: dict[str, Value]) -> Link:
    """One entry; what cannot be written as evidence is proven to have been there, with the reason."""
    book, time = str(told.pop("book")), told.pop("time", None) or told.get("first_used")
    when = moment(int(time or 0))
    body = {name: _shown(value) for name, value in told.items() if name not in _LEFT_OUT}
    try:
        return append(connection, book, kind, body, when)
    except EvidenceError as error:
        return append(connection, book, kind, {"not_written": redact(str(error))}, when)


def _shown(value: Value) -> Value:
    return redact(value) if isinstance(value, str) else value
