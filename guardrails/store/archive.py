"""Old rows leave the database for files: `archive/<book>/<exchange day>/<table>.parquet` in the data folder.

First the quarters of a day are told (`guardrails.store.rollup`), then its rows are moved
(`guardrails.store.archive_day`). Rows that come later still, from a clock that was wrong, are joined to the file.

With a server, the files are in the data folder of the program that moved the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Connection, func, select

from guardrails import calendar
from guardrails.store import archive_day, archive_file, archive_list, archive_rows
from guardrails.store.archive_list import Archived, archived
from guardrails.store.archive_products import unfolded
from guardrails.store.columns import LIVE
from guardrails.store.database import Database
from guardrails.store.faults import reason
from guardrails.store.metadata import StoreError, moment
from guardrails.store.quarters import ARCHIVES
from guardrails.store.rollup import roll_up
from guardrails.store.room import give_back
from guardrails.store.schema import BOOKS, SNAPSHOTS
from guardrails.store.thinning import thin

log = logging.getLogger(__name__)

_AFTER_CLOSE = timedelta(minutes=30)
_NOON = time(12)
_TOLD = 3
"""problems; a folder that cannot be written is one for every day"""


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
    none, and no whole moment (`_watched`). `books`: only these. Every transaction is short, so another thread can go
    on writing. StoreError when a file cannot be written, read or deleted: then nothing further of its day leaves the
    database, the other days and books do; database errors are raised.
    """
    before, found, problems = first_kept(raw_days, now), list[Archived](), list[str]()
    try:
        roll_up(database, now, books=books)
    except StoreError as error:  # of one book; its days are told, or refused, below
        problems.append(str(error))
    last = _watched(database, calendar.exchange_date(now))
    # whole moments are deleted too, and a clock that ran ahead must not take those of recent days
    thinned = before if last is None else min(before, first_kept(raw_days, calendar.at(last, _NOON)))
    with database.reading() as connection:
        known = connection.execute(select(BOOKS.c.book).order_by(BOOKS.c.book)).scalars().all()
    for book in known if books is None else [book for book in known if book in books]:
        for day in _days(database, book, before):
            try:
                found += archive_day.move(database, folder, book, day, now)
            except StoreError as error:
                problems.append(str(error))
            except (OSError, ValueError, pa.ArrowException) as error:  # rows that no program of ours has written
                log.exception("rows of %s of %s cannot be moved", book, day)
                problems.append(f"rows of {day} stay in {database.name}, they cannot be moved ({reason(error)}).")
        thin(database, book, thinned)
        if archive_days and last is not None:
            try:
                found += _expire(database, folder, book, last - timedelta(days=archive_days))
            except StoreError as error:
                problems.append(str(error))
    give_back(database, before)
    if problems:
        more = f" And {len(problems) - _TOLD} more." if len(problems) > _TOLD else ""
        raise StoreError(" ".join(problems[:_TOLD]) + more)
    return found


def read_archive(folder: Path, connection: Connection, book: str, name: str, day: date) -> pa.Table:
    """The rows of table `name` of that exchange day, sorted by what they are of and time; times in UTC.

    Columns are those of the table, those of `greek_snapshots` and what each position is. StoreError when there is no
    such file, it is damaged, or it was deleted for its age.
    """
    listed = archive_list.listed(connection, book, name, day)
    if listed is None:
        raise StoreError(f"no rows of {name} of {day} were moved to a file; younger ones are in the database.")
    if not listed.bytes:
        raise StoreError(f"{listed.file} was deleted for its age; set GUARDRAILS_ARCHIVE_DAYS higher to keep files.")
    with archive_file.opened(folder / listed.file, listed.hash) as file:
        rows = unfolded(file.read())
        return archive_rows.fitted(next(kind for kind in archive_rows.KINDS if kind.name == name), rows)


def _days(database: Database, book: str, before: date) -> Iterator[date]:
    """The exchange days before `before` of which rows are to be moved, oldest first."""
    c, end = SNAPSHOTS.c, archive_rows.day_bounds(before)[0]
    with database.reading() as connection:
        days = archive_list.unfinished(connection, book, before)
    start = 0
    while True:
        with database.reading() as connection:
            first = select(func.min(c.time)).where(c.book == book, c.origin == LIVE, c.time >= start, c.time < end)
            found = connection.execute(first).scalar()
        if found is None:
            break
        days.add(day := calendar.exchange_date(moment(found)))
        start = archive_rows.day_bounds(day)[1]
    yield from sorted(days)


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
        newest, day = connection.execute(rows).scalar(), connection.execute(files).scalar()
    days = [] if newest is None else [calendar.exchange_date(moment(newest))]
    days += [] if day is None else [date.fromisoformat(day)]
    return min(max(days) + timedelta(days=1), today) if days else None


def _expire(database: Database, folder: Path, book: str, before: date) -> list[Archived]:
    """Delete the files of the days before `before`; their rows of `archives` stay, with no bytes.

    Also those of which another program, with another data folder, has said that already.
    """
    with database.reading() as connection:
        old = [file for file in archived(connection, book) if file.day < before and file.removed]
    files = [file for file in old if file.bytes]
    for file in (file for file in old if file.bytes or (folder / file.file).parent.is_dir()):
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
        if file.bytes:
            archive_list.mark_deleted(database, file)
    return [replace(file, bytes=0) for file in files]
