"""Old rows leave the database for files: `archive/<book>/<exchange day>/<table>.parquet` in the data folder.

In this order, so that a crash at any place costs nothing and the next run goes on: the quarters of the day are told
(`guardrails.store.rollup`), a file is written and read back, it is listed in `archives`, its rows are deleted, it is
marked as removed. Rows that come later still, from a clock that was wrong, are joined to the file.

With a server, the files are in the data folder of the program that moved the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain, count
from pathlib import Path
from time import sleep
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, delete, func, select, update

from guardrails import calendar
from guardrails.store import archive_file, archive_rows
from guardrails.store.archive_rows import KINDS, Kind
from guardrails.store.captures import LEVEL
from guardrails.store.columns import LIVE
from guardrails.store.database import Database
from guardrails.store.inserts import Row, insert
from guardrails.store.metadata import StoreError, micros, moment
from guardrails.store.quarters import ARCHIVES, QUARTER_MICROS
from guardrails.store.rollup import roll_up, tell
from guardrails.store.schema import BOOKS, SNAPSHOTS
from guardrails.store.sharing import CAPTURES

log = logging.getLogger(__name__)

FOLDER = "archive"
_AFTER_CLOSE = timedelta(minutes=30)
_CAPTURES, _PAGES = 50, 500
"""a packed moment takes some 100 kB; a page takes some 20 us: how many in one transaction"""


@dataclass(frozen=True, slots=True)
class Archived:
    """A file of old rows."""

    book: str
    name: str
    """of the table the rows were taken from"""
    day: date
    """exchange date"""
    file: str
    """relative to the data folder"""
    rows: int
    bytes: int
    """0 when the file was deleted for its age"""
    hash: str
    removed: bool
    """whether its rows are no longer in the database"""


def next_due(last: datetime | None, now: datetime) -> datetime:
    """When `retire` should run next, half an hour after a close; at once when it never ran, or in the future."""
    if last is None or last > now:
        return now
    day = calendar.session_of(last)
    due = calendar.session_bounds(day)[1] + _AFTER_CLOSE
    return due if due > last else calendar.session_bounds(calendar.next_session(day))[1] + _AFTER_CLOSE


def first_kept(raw_days: int, now: datetime) -> date:
    """The oldest exchange date that stays in the database: that of the session `raw_days` - 1 before the last one."""
    day = calendar.session_of(now)
    for _ in range(raw_days - 1):
        day = calendar.previous_session(day)
    return day


def retire(
    database: Database,
    folder: Path,
    raw_days: int,
    archive_days: int,
    now: datetime,
    books: Collection[str] | None = None,
) -> list[Archived]:
    """Move the rows of all but the last `raw_days` sessions to files; returns the files written or deleted.

    Files older than `archive_days` calendar days are deleted, 0 keeps them for ever; a clock that ran ahead deletes
    none (`_watched`). `books`: only these. Every transaction is short, so another thread can go on writing. StoreError
    when a file cannot be written or read: then nothing of its day leaves the database, the other days do; database
    errors are raised.
    """
    roll_up(database, now, books=books)
    before, found, problems = first_kept(raw_days, now), list[Archived](), list[str]()
    last = _watched(database, calendar.exchange_date(now))
    with database.reading() as connection:
        known = connection.execute(select(BOOKS.c.book).order_by(BOOKS.c.book)).scalars().all()
    for book in known if books is None else [book for book in known if book in books]:
        for day in _days(database, book, before):
            tell(database, book, *archive_rows.day_bounds(day))
            for kind in KINDS:
                try:
                    moved = _move(database, folder, kind, book, day, now)
                except StoreError as error:
                    problems.append(str(error))
                    break  # the rows of `snapshots`, by which the day is found again, stay
                found += [] if moved is None else [moved]
        _thin(database, book, before)
        if archive_days and last is not None:
            found += _expire(database, folder, book, last - timedelta(days=archive_days))
    _give_back(database)
    if problems:
        raise StoreError(" ".join(problems))
    return found


def archived(connection: Connection, book: str, name: str | None = None) -> list[Archived]:
    """The files of a book, of one table when `name` is given, oldest first."""
    c = ARCHIVES.c
    query = select(ARCHIVES).where(c.book == book).order_by(c.day, c.name)
    return [_archived(row) for row in connection.execute(query if name is None else query.where(c.name == name))]


def read_archive(folder: Path, connection: Connection, book: str, name: str, day: date) -> pa.Table:
    """The rows of table `name` of that exchange day, sorted by what they are of and time; times in UTC.

    Columns are those of the table, those of `greek_snapshots` and what each position is. StoreError when there is no
    such file, it is damaged, or it was deleted for its age.
    """
    listed = _listed(connection, book, name, day)
    if listed is None:
        raise StoreError(f"no rows of {name} of {day} were moved to a file; younger ones are in the database.")
    if not listed.bytes:
        raise StoreError(f"{listed.file} was deleted for its age; set GUARDRAILS_ARCHIVE_DAYS higher to keep files.")
    with archive_file.opened(folder / listed.file, listed.hash) as file:
        return file.read()


def _days(database: Database, book: str, before: date) -> Iterator[date]:
    """The exchange days before `before` of which rows are to be moved, oldest first."""
    c, end = SNAPSHOTS.c, archive_rows.day_bounds(before)[0]
    with database.reading() as connection:
        a = ARCHIVES.c
        begun = select(a.day).where(a.book == book, a.removed == 0, a.day < before.isoformat()).distinct()
        unfinished = {date.fromisoformat(day) for day in connection.execute(begun).scalars()}
    days, start = set(unfinished), 0
    while True:
        with database.reading() as connection:
            first = select(func.min(c.time)).where(c.book == book, c.origin == LIVE, c.time >= start, c.time < end)
            time = connection.execute(first).scalar()
        if time is None:
            break
        days.add(day := calendar.exchange_date(moment(time)))
        start = archive_rows.day_bounds(day)[1]
    yield from sorted(days)


def _move(database: Database, folder: Path, kind: Kind, book: str, day: date, now: datetime) -> Archived | None:
    """Bring the rows of one day to a file; None when there was nothing to do."""
    with database.reading() as connection:
        listed = _listed(connection, book, kind.name, day)
    if listed is not None and not listed.removed:
        _remove(database, folder, kind, listed)
    with database.reading() as connection:
        if not archive_rows.is_held(connection, kind, book, day):
            return None if listed is None or listed.removed else listed
        file = _fresh(folder, f"{FOLDER}/{book}/{day}/{kind.name}", listed)
        written = _write(connection, folder, kind, file, listed)
    _list(database, written, now)
    if listed is not None:
        (folder / listed.file).unlink(missing_ok=True)
    _remove(database, folder, kind, written)
    log.info("%s: %d rows of %s are now in %s", database.name, written.rows, kind.name, written.file)
    return written


def _fresh(folder: Path, place: str, listed: Archived | None) -> str:
    """A name that no file has, nor had the `listed` one: what is replaced stays whole until the new file is listed and
    is deleted by its name then, and one that is not listed, from before the database was lost or exchanged, is left
    alone.
    """
    names = (f"{place}{ending}.parquet" for ending in chain([""], (f"-{n}" for n in count(2))))
    taken = None if listed is None else listed.file
    return next(name for name in names if name != taken and not (folder / name).exists())


def _write(connection: Connection, folder: Path, kind: Kind, file: str, listed: Archived | None) -> Archived:
    """A new file of the rows in the database, joined to those of the `listed` one."""
    book, day = file.split("/")[1:3]
    rows = archive_rows.groups(connection, kind, book, date.fromisoformat(day))
    if listed is None or not listed.bytes:
        done = archive_file.write(folder / file, kind.schema, rows)
    else:
        with archive_file.opened(folder / listed.file, listed.hash) as old:
            done = archive_file.write(folder / file, kind.schema, archive_rows.joined(kind, old, rows))
    return Archived(book, kind.name, date.fromisoformat(day), file, done.rows, done.bytes, done.hash, removed=False)


def _list(database: Database, file: Archived, now: datetime) -> None:
    """Say where the rows are, durably, before the first of them leaves."""
    row: Row = (
        file.book, file.name, file.day.isoformat(), file.file, file.rows, file.bytes, file.hash, micros(now), 0,
    )  # fmt: skip
    with database.writing(durable=True) as connection:
        connection.execute(delete(ARCHIVES).where(*_place(file)))
        insert(connection, ARCHIVES, [row])


def _remove(database: Database, folder: Path, kind: Kind, file: Archived) -> None:
    with archive_file.opened(folder / file.file, file.hash) as opened:
        archive_rows.remove(database, kind, opened)
    with database.writing(durable=True) as connection:
        connection.execute(update(ARCHIVES).where(*_place(file)).values(removed=1))


def _thin(database: Database, book: str, before: date) -> None:
    """Of the captures before `before` keep those of a change of level, and the last of each quarter of an hour."""
    c, end = CAPTURES.c, archive_rows.day_bounds(before)[0]
    with database.reading() as connection:
        query = select(c.time).where(c.book == book, c.time < end).order_by(c.time)
        crowded = _but_last(connection.execute(query).scalars())
    for start in range(0, len(crowded), _CAPTURES):
        times = crowded[start : start + _CAPTURES]
        with database.writing(durable=False) as connection:
            connection.execute(delete(CAPTURES).where(c.book == book, c.time.in_(times), c.cause != LEVEL))


def _but_last(times: Any) -> list[int]:
    """Those of sorted `times` that are followed by another of the same quarter."""
    found, last = [], None
    for time in times:
        if last is not None and last // QUARTER_MICROS == time // QUARTER_MICROS:
            found.append(last)
        last = time
    return found


def _watched(database: Database, today: date) -> date | None:
    """The day to which ages of files count: `today`, but no later than the day after the last one before it of which
    anything is stored, of any book; None when nothing is.

    A clock that is set years ahead would else delete every file at once. What is written on the day it pretends does
    not count, so only one that stays ahead over midnight can delete. After a pause of the program files stay longer,
    until the day after its first.
    """
    c, a = SNAPSHOTS.c, ARCHIVES.c
    rows = select(func.max(c.time)).where(c.origin == LIVE, c.time < archive_rows.day_bounds(today)[0])
    files = select(func.max(a.day)).where(a.name == SNAPSHOTS.name, a.day < today.isoformat())
    with database.reading() as connection:
        time, day = connection.execute(rows).scalar(), connection.execute(files).scalar()
    days = [] if time is None else [calendar.exchange_date(moment(time))]
    days += [] if day is None else [date.fromisoformat(day)]
    return min(max(days) + timedelta(days=1), today) if days else None


def _expire(database: Database, folder: Path, book: str, before: date) -> list[Archived]:
    """Delete the files of the days before `before`; their rows of `archives` stay, with no bytes."""
    c = ARCHIVES.c
    old = select(ARCHIVES).where(c.book == book, c.day < before.isoformat(), c.bytes > 0, c.removed == 1)
    with database.reading() as connection:
        files = [_archived(row) for row in connection.execute(old.order_by(c.day, c.name))]
    for file in files:
        path = folder / file.file
        try:
            for each in (path, *path.parent.glob(f"{file.name}*.parquet")):  # and what a crash may have left beside it
                each.unlink(missing_ok=True)
            with suppress(OSError):  # not empty yet
                path.parent.rmdir()
        except OSError as error:
            raise StoreError(
                f"{path} is older than it should be kept and cannot be deleted: {error.strerror}."
            ) from error
        with database.writing(durable=True) as connection:
            connection.execute(update(ARCHIVES).where(*_place(file)).values(bytes=0))
    return [Archived(f.book, f.name, f.day, f.file, f.rows, 0, f.hash, removed=True) for f in files]


def _give_back(database: Database) -> None:
    """Give free pages of an SQLite file back to the disk, where the file was made so that it can
    (https://www.sqlite.org/pragma.html#pragma_auto_vacuum); elsewhere they are used again.
    """
    with database.reading() as connection:
        if connection.dialect.name != "sqlite" or connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() != 2:
            return
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    while free > 0:
        with database.writing(durable=False) as connection:
            for _ in range(min(free, _PAGES)):  # one at a time: Python's driver takes one step of such a statement
                connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
        free -= _PAGES
        sleep(archive_rows.PAUSE_SECONDS)


def _listed(connection: Connection, book: str, name: str, day: date) -> Archived | None:
    c = ARCHIVES.c
    row = connection.execute(select(ARCHIVES).where(c.book == book, c.name == name, c.day == day.isoformat())).first()
    return None if row is None else _archived(row)


def _archived(row: Any) -> Archived:
    day = date.fromisoformat(row.day)
    return Archived(row.book, row.name, day, row.file, row.rows, row.bytes, row.hash, bool(row.removed))


def _place(file: Archived) -> tuple[Any, ...]:
    c = ARCHIVES.c
    return c.book == file.book, c.name == file.name, c.day == file.day.isoformat()
