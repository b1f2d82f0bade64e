"""Positions, totals and accounts of each moment; what has not changed since the moment before is not written again.

Memory is bounded by what is held now: the last figures of each position, underlying and account, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from operator import itemgetter

from sqlalchemy import Connection, select, update

from guardrails.assess import Inputs
from guardrails.snapshot import Snapshot
from guardrails.snapshot.book import PositionRow
from guardrails.store import rows
from guardrails.store.books import Book, Owners
from guardrails.store.captures import capture_row
from guardrails.store.columns import LIVE
from guardrails.store.database import Database
from guardrails.store.inserts import Row, insert
from guardrails.store.metadata import micros
from guardrails.store.rows import Keyed
from guardrails.store.schema import (
    ACCOUNT_VALUES,
    BOOKS,
    GREEK_SNAPSHOTS,
    POSITIONS,
    SNAPSHOTS,
    UNDERLYING_TOTALS,
)
from guardrails.store.sharing import CAPTURES
from guardrails.stress.recorded import Recorded

COMPLETE_MICROS = 900_000_000
"""at least every quarter of an hour everything is written, so that a reader of one moment need not look back further"""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is to be kept of one moment."""

    book: Book
    snapshot: Snapshot
    owners: Owners
    capture: Capture | None = None
    """when the whole moment is to be kept"""


@dataclass(frozen=True, slots=True)
class Capture:
    """Why a whole moment is kept, and what it was made of."""

    cause: str
    inputs: Inputs
    stress: Recorded | str | None = None
    """what the book was measured to lose"""


@dataclass(frozen=True, slots=True)
class _Figures:
    """Everything that is known at one moment, as it is stored."""

    totals: Row = ()
    greeks: Keyed = field(default_factory=dict)
    """by line, see `guardrails.store.rows.positions`"""
    underlyings: Keyed = field(default_factory=dict)
    accounts: Keyed = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Told:
    """One moment as rows, made before the transaction begins, which is kept short."""

    book: Book
    snapshot: Snapshot
    time: int
    """microseconds"""
    held: dict[Row, PositionRow]
    figures: _Figures
    captured: list[Row]
    """the row of `captures`, if there is to be one"""


@dataclass(frozen=True, slots=True)
class _Written:
    """The last row of `snapshots` in the database, and what was true then. Times in microseconds."""

    mark: tuple[int, object]
    """generation of the database, and what the check said: the token of the lease"""
    book: str
    time: int
    until: int
    complete: int
    """when everything was written"""
    lines: dict[Row, int]
    """number of each position held"""
    figures: _Figures


class Telemetry:
    """Writes moments in the order of their coming; belongs to one thread."""

    def __init__(self, database: Database, check: Callable[[Connection, str], object] | None = None) -> None:
        """`check` raises when the book it is given may not be written in this transaction."""
        self._database, self._check = database, check
        self._last: _Written | None = None

    def keep(self, moment: Moment) -> bool:
        """Write one moment; False when there is one of exactly this time already. Database errors are raised."""
        told = _told(moment)
        last, self._last = self._last, None  # after an error nothing is known of what was written
        with self._database.writing(durable=False) as connection:
            token = None if self._check is None else self._check(connection, told.book.key)
            mark = (self._database.generation, token)  # writing() may have begun a new file
            if last is not None and not _goes_on(last, told, mark):
                last = None
            now = _write(connection, told, last, mark)
            insert(connection, CAPTURES, told.captured)
        self._last = now
        return now is not None


def _told(moment: Moment) -> _Told:
    book, snapshot, owners, what = moment.book, moment.snapshot, moment.owners, moment.capture
    held = rows.positions(snapshot, owners)
    figures = _Figures(
        rows.totals(snapshot), rows.greeks(held), rows.underlyings(snapshot), rows.accounts(snapshot, owners)
    )
    captured = [] if what is None else [capture_row(book.key, what.cause, what.inputs, snapshot, what.stress)]
    return _Told(book, snapshot, micros(snapshot.as_of), held, figures, captured)


def _goes_on(last: _Written, told: _Told, mark: tuple[int, object]) -> bool:
    """Whether only what has changed since `last` need be written: not after a new file, another
    book, an older time, nor after another program may have written."""
    same = (last.mark, last.book) == (mark, told.book.key)
    return same and told.time > last.until and told.time - last.complete < COMPLETE_MICROS


def _write(connection: Connection, told: _Told, last: _Written | None, mark: tuple[int, object]) -> _Written | None:
    book, time, now = told.book.key, told.time, told.figures
    if last is None:
        insert(connection, BOOKS, [rows.book_row(told.book, told.snapshot)])
    known = {} if last is None else last.lines
    lines = _numbered(connection, book, told.held, known)
    if last is not None and now == last.figures and _extend(connection, last, time):
        return replace(last, until=time)
    row = rows.snapshot_row(told.book, time, now.totals, complete=last is None)
    if not insert(connection, SNAPSHOTS, [row]):
        return None
    before = _Figures() if last is None else last.figures
    greeks = (
        (time, lines[line] if line in lines else known[line], *figures)
        for line, figures in _changed(before.greeks, now.greeks, rows.NO_GREEKS)
    )
    # in the order of their key, in which SQLite takes them in half the time
    insert(connection, GREEK_SNAPSHOTS, sorted(greeks, key=itemgetter(1)))
    sums = _changed(before.underlyings, now.underlyings, rows.NO_SUMS)
    insert(connection, UNDERLYING_TOTALS, [(book, time, *key, *figures) for key, figures in sums])
    money = _changed(before.accounts, now.accounts, rows.NO_MONEY)
    insert(connection, ACCOUNT_VALUES, [(book, time, *key, *figures) for key, figures in money])
    return _Written(mark, book, time, time, time if last is None else last.complete, lines, now)


def _changed(before: Keyed, now: Keyed, absent: Row) -> Iterable[tuple[Row, Row]]:
    """What is new or differs, and what is not there any more."""
    yield from ((key, figures) for key, figures in now.items() if before.get(key) != figures)
    yield from ((key, absent) for key in before if key not in now)


def _extend(connection: Connection, last: _Written, time: int) -> bool:
    """Say that the last row holds until `time`; whether it is still there."""
    c = SNAPSHOTS.c
    row = update(SNAPSHOTS).where(c.book == last.book, c.time == last.time, c.origin == LIVE)
    return connection.execute(row.values(until=time)).rowcount == 1


def _numbered(connection: Connection, book: str, held: dict[Row, PositionRow], known: dict[Row, int]) -> dict[Row, int]:
    """The number of every position held; new ones get theirs from the database."""
    new = [line for line in held if line not in known]
    insert(connection, POSITIONS, [rows.position_row(book, line, held[line]) for line in new])
    c = POSITIONS.c
    found = {
        line: connection.execute(
            select(c.position).where(
                c.book == book, c.account_hash == line[0], c.key == line[1], c.source == line[2], c.nth == line[3]
            )
        ).scalar_one()
        for line in new
    }
    return {line: known[line] if line in known else found[line] for line in held}
