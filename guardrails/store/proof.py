"""Rows that must survive, stored together with their entry in the evidence log: both or neither."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import Connection, Table

from guardrails.redaction import redact
from guardrails.store.deeds import FILLS, FLATTEN_RUNS, JOURNAL, ORDERS, OVERRIDES, SAFETY_CHANGES
from guardrails.store.evidence import Entry, EvidenceError, Link, append_all, entry
from guardrails.store.inserts import Row, Value, columns, insert
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
    "flatten_runs": "flatten",
}
_LEFT_OUT = ("run", "number", "content")
"""who wrote it as the how manieth, and the text of a matrix, for which its hash stands, or of a message"""
_HASHED = {table.name for table in (ORDERS, FILLS, JOURNAL, OVERRIDES, SAFETY_CHANGES, FLATTEN_RUNS)}
"""tables whose content is proven by its SHA-256"""
_APART = ("book", "time")
"""columns of the log itself"""


def insert_proven(connection: Connection, rows: Sequence[Sent]) -> list[Link]:
    """Insert `rows` and prove those that are new; a row that is sent twice is proven once. The links in order."""
    links: list[Link] = []
    for name, together in groupby(rows, key=lambda sent: sent[0]):
        table, kind = METADATA.tables[name], _KINDS.get(name)
        new = _inserted(connection, table, [row for _, row in together])
        if kind is None:
            continue
        told = [dict(zip(columns(table), row, strict=True)) for row in new]
        for book, of_book in groupby(told, key=lambda values: str(values["book"])):
            entries = [_entry(kind, values, hashed=name in _HASHED) for values in of_book]
            links += append_all(connection, book, entries)
    return links


def _inserted(connection: Connection, table: Table, rows: list[Row]) -> list[Row]:
    """Insert `rows`, in one go where none of them is there already; those that are new."""
    if len(rows) > 1:
        before = connection.begin_nested()
        if insert(connection, table, rows) == len(rows):
            before.commit()
            return rows
        before.rollback()  # it is not known which of them
    return [row for row in rows if insert(connection, table, [row])]


def _entry(kind: str, told: dict[str, Value], *, hashed: bool) -> Entry:
    """One entry; what cannot be written as evidence is proven to have been there, with the reason."""
    time = told.get("time") or told.get("first_used")
    when = moment(int(time or 0))
    body = {name: _shown(value) for name, value in told.items() if name not in _LEFT_OUT and name not in _APART}
    if hashed:
        body["content_hash"] = hashlib.sha256(str(told["content"] or "").encode()).hexdigest()
    try:
        return entry(kind, body, when)
    except EvidenceError as error:
        return entry(kind, {"not_written": redact(str(error))}, when)


def _shown(value: Value) -> Value:
    return redact(value) if isinstance(value, str) else value
