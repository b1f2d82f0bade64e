"""Rows that must survive, stored together with their entry in the evidence log: both or neither."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Float, Integer, Table

from guardrails.redaction import redact
from guardrails.store.deeds import FILLS, FLATTEN_RUNS, JOURNAL, ORDERS, OVERRIDES, SAFETY_CHANGES
from guardrails.store.evidence import Digest, Entry, EvidenceError, Link, append, entry
from guardrails.store.inserts import Row, Value, columns, insert
from guardrails.store.metadata import METADATA, moment
from guardrails.store.schema import BOOKS, CRITICAL, MATRIX_VERSIONS
from guardrails.store.spool import Sent

KINDS = {
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
"""kind of the entry by table"""
PROVEN: Mapping[str, Table] = {table.name: table for table in CRITICAL if table is not BOOKS}
"""all that must survive; what a book is called is no event, and its key is the hash of its sources"""
_LEFT_OUT = ("run", "number", "content")
"""who wrote it as the how manieth, and a whole value: they are only in the proof of the row"""
_HASHED = {table.name for table in (ORDERS, FILLS, JOURNAL, OVERRIDES, SAFETY_CHANGES, FLATTEN_RUNS)}
"""tables whose content is proven by its SHA-256"""
_APART = ("book", "time")
"""columns of the log itself"""
_written = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=repr).encode
"""made once, which is half the time; only damage puts a value into a row that is written by repr"""


def insert_proven(connection: Connection, rows: Sequence[Sent]) -> list[Link]:
    """Insert `rows` and prove those that are new; a row that is sent twice is proven once. The links in order."""
    links: list[Link] = []
    for name, together in groupby(rows, key=lambda sent: sent[0]):
        table = METADATA.tables[name]
        new = _inserted(connection, table, [row for _, row in together])
        if name == BOOKS.name:
            continue
        kind = KINDS[name]  # LookupError: what is not proven is not stored here either
        told = [dict(zip(columns(table), row, strict=True)) for row in new]
        for book, of_book in groupby(told, key=lambda values: str(values["book"])):
            entries = [_entry(kind, name, values) for values in of_book]
            links += append(connection, book, entries)
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


def identity(name: str, told: Mapping[str, Any]) -> str:
    """What a row of the table `name` is found by: its writer and count, or the hash of a matrix."""
    if name == MATRIX_VERSIONS.name:
        return hashlib.sha256(str(told["hash"]).encode("utf-8", "replace")).hexdigest()[:16]
    return f"{told['run']}/{told['number']}"


def row_hash(name: str, told: Mapping[str, Any]) -> str:
    """SHA-256 of all that a row of the table `name` holds, but for its `id`, which the database counts.

    A null is left out, so that a column that is added later changes the hash of no row that was there before.
    """
    kinds = _kinds(name)
    plain = {
        column: value if column not in kinds else _as_stored(kinds[column], value)
        for column, value in told.items()
        if value is not None
    }
    return hashlib.sha256(_written((name, plain)).encode("ascii")).hexdigest()


def shown(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry shows of a row of the table `name`: all but who wrote it, and a hash for a whole value."""
    names = (column for column in told if column not in _LEFT_OUT and column not in _APART)
    body = {column: redact(value) if isinstance(value := told[column], str) else value for column in names}
    if name in _HASHED and "content" in told:
        body["content_hash"] = content_hash(told)
    return body


def content_hash(told: Mapping[str, Any]) -> Digest:
    """SHA-256 of the whole value in a row."""
    return Digest(hashlib.sha256(str(told.get("content") or "").encode("utf-8", "replace")).hexdigest())


def likeness(name: str, time: object, body: Mapping[str, Any]) -> str:
    """The same for a row of the table `name` and for its entry of an older version, told by what both of them show."""
    told = {column: value for column, value in body.items() if column not in (*_APART, "row")}
    return row_hash(name, {**told, "time": time})


@cache
def _kinds(name: str) -> dict[str, type]:
    """The columns of numbers."""
    kinds = {column.name: column.type for column in METADATA.tables[name].columns}
    return {
        column: float if isinstance(kind, Float) else int
        for column, kind in kinds.items()
        if isinstance(kind, Float | Integer)
    }


def _as_stored(kind: type, value: Any) -> Any:
    """A number as both databases give it back."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return value
    if kind is float:
        return value + 0.0  # SQLite keeps -0.0 as 0
    return int(value) if value == int(value) else value


def _entry(kind: str, name: str, told: dict[str, Value]) -> Entry:
    """One entry; what cannot be written as evidence is proven to have been there, with the reason."""
    when = moment(int(told.get("time") or told.get("first_used") or 0))
    proof = Digest(f"{identity(name, told)} {row_hash(name, told)}")
    try:
        return entry(kind, {**shown(name, told), "row": proof}, when)
    except EvidenceError as error:
        return entry(kind, {"not_written": redact(str(error)), "row": proof}, when)
