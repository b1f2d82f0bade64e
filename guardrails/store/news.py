"""What is new in a Snapshot and must survive: levels that moved, regime changes, session starts, a new matrix."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select, true

from guardrails.findings import Level
from guardrails.intake import CLOCK_SKEW
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change
from guardrails.store import rows
from guardrails.store.books import Book, Owners
from guardrails.store.columns import LIVE
from guardrails.store.inserts import Row, columns
from guardrails.store.metadata import micros, moment
from guardrails.store.rows import Subject
from guardrails.store.schema import (
    BOOKS,
    FINDING_TRANSITIONS,
    MATRIX_VERSIONS,
    REGIME_CHANGES,
    SESSION_STARTS,
    SNAPSHOTS,
)
from guardrails.store.spool import Sent
from guardrails.store.texts import text

_TIME, _CHECK, _SUBJECT, _OLD, _NEW = (
    columns(FINDING_TRANSITIONS).index(name) for name in ("time", "check_name", "subject", "old", "new")
)
_START = columns(SESSION_STARTS).index("origin")
_CHANGED, _CHANGED_TO = (columns(REGIME_CHANGES).index(name) for name in ("time", "new"))
_CHANGES = 1_000
"""of the stored changes of regime, the latest: a Snapshot tells only those of its session"""


@dataclass(frozen=True, slots=True)
class News:
    """The rows of one moment, in the order in which they refer to each other."""

    book: Book
    rows: tuple[Sent, ...]
    first: bool
    """nothing was handed over before: every level and session start is among the rows, also what is stored already"""
    matrix_version: str
    time: int
    regime: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What has been handed over of one book."""

    book: str = ""
    levels: Mapping[Subject, Level] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    starts: tuple[Row, ...] = ()
    matrix_version: str = ""


class Numbers:
    """Gives every row that must survive its `run` and `number`."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._count = itertools.count(1)

    def to(self, name: str, found: Sequence[Row]) -> list[Sent]:
        """`found` as rows of the table `name`."""
        return [(name, (self.run, next(self._count), *row)) for row in found]


def news_of(
    seen: Seen, snapshot: Snapshot, matrix_text: str, owners: Owners, book: Book, numbers: Numbers
) -> tuple[News, Seen]:
    """What is new since `seen`, and what has been seen then; `matrix_text` must be that of the matrix in force."""
    first = seen.book != book.key
    if first:
        seen = Seen(book.key)
    version, found = seen.matrix_version, list[Sent]()
    if snapshot.matrix_version != version and is_matrix(matrix_text, snapshot):
        version = snapshot.matrix_version
        found.append((MATRIX_VERSIONS.name, rows.matrix_row(book, snapshot, matrix_text)))
    found += numbers.to(SESSION_STARTS.name, rows.session_starts(seen.starts, owners, book, snapshot))
    found += numbers.to(REGIME_CHANGES.name, rows.regime_changes(seen.changes, snapshot, book))
    found += numbers.to(FINDING_TRANSITIONS.name, rows.transitions(seen.levels, snapshot, book))
    if found or first:
        found.insert(0, (BOOKS.name, rows.book_row(book, snapshot)))
    after = Seen(book.key, rows.levels(snapshot), snapshot.changes, owners.starts, version)
    regime = text(snapshot.regime.name)
    return News(book, tuple(found), first, snapshot.matrix_version, micros(snapshot.as_of), regime), after


def is_matrix(matrix_text: str, snapshot: Snapshot) -> bool:
    """Whether this is the text of the matrix in force; another would be stored under a false hash."""
    version = snapshot.matrix_version
    digest = hashlib.sha256(matrix_text.encode("utf-8", "surrogatepass")).hexdigest()
    return bool(version) and digest.startswith(version)


def resumed(connection: Connection, news: News, numbers: Numbers) -> list[Sent]:
    """The rows of the first news of a run, told as changes against what an earlier run has stored."""
    levels = _stored_levels(connection, news.book, micros(moment(news.time) + CLOCK_SKEW))
    starts = _stored_starts(connection, news.book)
    changes = _stored_changes(connection, news.book)
    found: list[Sent] = []
    told: set[Subject] = set()
    time = 0
    for name, row in news.rows:
        if name == FINDING_TRANSITIONS.name:
            key, time = (str(row[_CHECK]), str(row[_SUBJECT])), int(row[_TIME] or 0)
            told.add(key)
            last = levels.get(key, (None, None))
            if last == (row[_NEW], row[_NEW]):
                continue
            found.append((name, (*row[:_OLD], last[0], *row[_NEW:])))
        elif name == SESSION_STARTS.name and row[_START:] in starts:
            continue
        elif name != REGIME_CHANGES.name or (row[_CHANGED], row[_CHANGED_TO]) not in changes:
            found.append((name, row))
    found += numbers.to(REGIME_CHANGES.name, _unseen_change(connection, news, found))
    absent = [
        rows.gone(news.book, time, key, next(filter(None, last)), news.matrix_version)
        for key, last in levels.items()
        if key not in told and last != (None, None)
    ]
    return found + numbers.to(FINDING_TRANSITIONS.name, absent)


def _stored_levels(connection: Connection, book: Book, until: int) -> dict[Subject, tuple[str | None, str | None]]:
    """The level of every check and subject that is the latest by its time, and the one that was stored last.

    They differ when rows had waited in a spool while another program wrote, and when a clock was set back; only where
    both say the same is it known what was true last. What a clock that ran ahead has stored of a time after `until`
    says nothing yet of what is true now.
    """
    c = FINDING_TRANSITIONS.c
    found: list[dict[Subject, str | None]] = []
    orders = ((c.time.desc(), c.id.desc()), c.time <= until), ((c.id.desc(),), true())
    for order, which in orders:
        place = func.row_number().over(partition_by=(c.check_name, c.subject), order_by=order).label("place")
        ranked = select(c.check_name, c.subject, c.new, place).where(c.book == book.key, which).subquery()
        query = select(ranked.c.check_name, ranked.c.subject, ranked.c.new).where(ranked.c.place == 1)
        found.append({(check, subject): level for check, subject, level in connection.execute(query)})
    by_time, stored = found
    return {key: (level, stored[key]) for key, level in by_time.items()}


def _unseen_change(connection: Connection, news: News, found: Sequence[Sent]) -> list[Row]:
    """The row of `regime_changes`, from `book` on, when the regime is another than when the last run ended."""
    c = REGIME_CHANGES.c
    query = select(c.new).where(c.book == news.book.key, c.time <= news.time).order_by(c.time.desc()).limit(1)
    last = connection.execute(query).scalar()
    if any(name == REGIME_CHANGES.name for name, _ in found):
        return []
    if last is None:  # no change was ever stored: what a Snapshot of the book said last
        s = SNAPSHOTS.c
        query = select(s.regime).where(s.book == news.book.key, s.time < news.time).order_by(s.time.desc()).limit(1)
        last = connection.execute(query).scalar()
    if last in (None, news.regime) or not news.regime:
        return []
    cause = "found so at the start: it changed while this program did not watch"
    return [(news.book.key, news.time, LIVE, last, news.regime, cause, "[]", news.matrix_version)]


def _stored_changes(connection: Connection, book: Book) -> set[tuple[int, str]]:
    """Time and new regime of the latest changes."""
    c = REGIME_CHANGES.c
    query = select(c.time, c.new).where(c.book == book.key).order_by(c.time.desc()).limit(_CHANGES)
    return {(time, new) for time, new in connection.execute(query)}


def _stored_starts(connection: Connection, book: Book) -> set[Row]:
    """What was last stored about the session of each account."""
    c = SESSION_STARTS.c
    last = select(func.max(c.id)).where(c.book == book.key).group_by(c.account_hash)
    names = columns(SESSION_STARTS)[_START:]
    query = select(*(c[name] for name in names)).where(c.id.in_(last))
    return {tuple(row) for row in connection.execute(query)}
