"""The evidence log: what was found, decided and sent, each row carrying the hash of the one before.

A row is written in the transaction of what it proves, so both are there or neither. Its hash is SHA-256 over the ASCII
bytes of the JSON array

    ["guardrails.evidence/1",book,seq,time,kind,body,before]

without spaces, everything beyond ASCII escaped as \\uXXXX; `seq` and `time` are integers, the others strings, `body`
the text of the column. An array of strings and integers reads back in one way only, so no two rows share an input.

The hash is not secret: who can write the database can write a whole new log. That is why the head of each chain also
stands in a file beside the database (`evidence_head`). `guardrails.audit` reads it all back and says what is wrong.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Table, Text, delete, false, func, insert, select

from guardrails.redaction import redact
from guardrails.store.metadata import METADATA, StoreError, micros

FORMAT = "guardrails.evidence/1"
ZEROS = "0" * 64
"""stands before the first row of a book"""

EVIDENCE = Table(
    "evidence",
    METADATA,
    Column("book", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("hash", Text, nullable=False),
    sqlite_with_rowid=False,  # one copy of every value, in order: no index that could say something else
)
"""seq counts 1, 2, 3 without gaps in each book; time in microseconds UTC; body is canonical JSON"""

_written = json.JSONEncoder(separators=(",", ":")).encode
_KIND = re.compile(r"[a-z]+(_[a-z]+)*")


class EvidenceError(StoreError):
    """Something that is no evidence, or a log or head file that cannot be continued."""


class Digest(str):
    """A hash with what it is of: it may hold any few letters, and so by chance those of a secret, but tells none."""

    __slots__ = ()


class Row(NamedTuple):
    """One row as it is stored."""

    book: str
    seq: int
    time: int
    """microseconds UTC"""
    kind: str
    body: str
    before: str
    hash: str


class Entry(NamedTuple):
    """What one row is to prove, ready to be written; made by `entry`."""

    kind: str
    body: str
    time: int
    """microseconds UTC"""


@dataclass(frozen=True, slots=True)
class Link:
    """The place of one row in its chain; `seq` is also the count of rows up to it, 0 when there is none."""

    book: str
    seq: int
    hash: str
    before: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the rows `first` to `last` of a book; without a book it concerns the whole log."""

    book: str | None
    first: int
    last: int
    what: str
    row: str = ""
    """the row of another table that it is about, instead of those of the log"""

    def __str__(self) -> str:
        if self.book is None:
            return self.what
        if self.row:
            return f"book {self.book!r}, {self.row}: {self.what}"
        rows = f"row {self.first}" if self.first == self.last else f"rows {self.first} to {self.last}"
        return f"book {self.book!r}, {rows}: {self.what}"


def canonical(body: Mapping[str, Any]) -> str:
    """`body` as the one JSON text it has: sorted keys, no spaces, ASCII, floats by repr.

    EvidenceError for what JSON cannot hold (NaN, a key that is no text, another type) and for a text in which
    `redact` finds an account number, a token or a password.
    """
    return json.dumps(_plain(body, "body"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(row: Row) -> str:
    """The hash `row` must carry, whatever its column says."""
    return hashlib.sha256(_written((FORMAT, *row[:-1])).encode("ascii")).hexdigest()


def entry(kind: str, body: Mapping[str, Any], time: datetime) -> Entry:
    """An entry for `append`; EvidenceError as for `canonical` and for a kind that is none."""
    if not _KIND.fullmatch(kind):
        raise EvidenceError(f"kind {kind!r} of evidence must be lower-case words joined by _")
    return Entry(kind, canonical(body), micros(time))


def append(connection: Connection, book: str, entries: Sequence[Entry]) -> list[Link]:
    """Add rows to the chain of `book` in the caller's transaction; their links in order, for `evidence_head.keep_head`
    after its commit.

    A second writer waits here until the first has committed.
    """
    # takes the write lock before the last row is read: a read first would let another writer in between
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{FORMAT} {book}", 0))))
    else:
        connection.execute(delete(EVIDENCE).where(false()))
    last = last_link(connection, book)
    links, rows = [last], []
    for told in entries:
        row = Row(book, links[-1].seq + 1, told.time, told.kind, told.body, links[-1].hash, "")
        row = row._replace(hash=digest(row))
        links.append(Link(book, row.seq, row.hash, row.before))
        rows.append(row._asdict())
    if rows:
        connection.execute(insert(EVIDENCE), rows)
    return links[1:]


def last_link(connection: Connection, book: str) -> Link:
    """The last row of `book`."""
    columns = (EVIDENCE.c.seq, EVIDENCE.c.hash, EVIDENCE.c.before)
    newest = select(*columns).where(EVIDENCE.c.book == book).order_by(EVIDENCE.c.seq.desc()).limit(1)
    found = connection.execute(newest).first()
    if found is None:
        return Link(book, 0, ZEROS, ZEROS)
    if not isinstance(found.seq, int):
        raise EvidenceError(f"the last evidence of book {book!r} has no number; run `guardrails audit verify`")
    return Link(book, *found)


def _plain(value: Any, where: str) -> Any:
    """`value` in types that JSON writes in one way; EvidenceError names the part that has none."""
    if isinstance(value, str):
        if not isinstance(value, Digest) and redact(value) != value:
            raise EvidenceError(f"{where} holds an account number, a token or a password; mask it, see redact()")
        return value
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise EvidenceError(f"{where} has a key of type {type(key).__name__}; keys of evidence are text")
        return {_plain(key, f"a key of {where}"): _plain(part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, f"{where}[{index}]") for index, part in enumerate(value)]
    what = str(value) if isinstance(value, float) else f"of type {type(value).__name__}"
    raise EvidenceError(f"{where} is {what}, which JSON cannot hold; write null, a finite number or text")
