"""One exchange day of a book leaves the database for files, so that a crash at any place costs nothing.

In this order: a file of each table is written and read back, the quarters of the day are told once more, so that no row
is in a file that was not told, all files are listed in `archives`, get their names, and their rows are deleted. Until
they are listed nothing has happened; from then on the next run ends it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, count
from pathlib import Path

from guardrails.store import archive_file, archive_list, archive_rows
from guardrails.store.archive_file import Written
from guardrails.store.archive_list import Archived
from guardrails.store.archive_rows import KINDS, Kind
from guardrails.store.database import Database
from guardrails.store.rollup import tell

log = logging.getLogger(__name__)

FOLDER = "archive"


@dataclass(frozen=True, slots=True)
class _New:
    """A file that is written and not listed yet."""

    kind: Kind
    old: Archived | None
    """what is listed in its place now"""
    file: Archived
    part: Path


def move(database: Database, folder: Path, book: str, day: date, now: datetime) -> list[Archived]:
    """Bring the rows of one day to files; returns those that were written, or ended, now.

    StoreError when a file cannot be written or read; then no further row of the day leaves the database.
    """
    ended = [file for kind in KINDS if (file := _end(database, folder, kind, book, day)) is not None]
    tell(database, book, *archive_rows.day_bounds(day))
    new: list[_New] = []
    try:
        for kind in KINDS:
            new += _written(database, folder, kind, book, day)
        if new:
            tell(database, book, *archive_rows.day_bounds(day))  # what came meanwhile is in some of the files
            archive_list.put(database, [(each.old, each.file) for each in new], now, lambda: _sweep(folder, new))
    except archive_list.OvertakenError:
        log.info("%s: another program has moved rows of %s meanwhile", database.name, day)
        _drop(new)
        return ended
    except BaseException:
        _drop(new)
        raise
    for each in new:
        archive_file.name_it(folder / each.file.file, each.file.hash)
    for each in new:
        _take_out(database, folder, each.kind, each.file)
        if each.old is not None:
            archive_file.drop(folder / each.old.file)
        log.info("%s: %d rows of %s are now in %s", database.name, each.file.rows, each.kind.name, each.file.file)
    told = {each.file.name for each in new}
    return [file for file in ended if file.name not in told] + [each.file for each in new]


def _end(database: Database, folder: Path, kind: Kind, book: str, day: date) -> Archived | None:
    """Delete the rows of a file that a run before this one has listed; None when there is nothing to do."""
    with database.reading() as connection:
        listed = archive_list.listed(connection, book, kind.name, day)
    if listed is None or listed.removed:
        return None
    archive_file.name_it(folder / listed.file, listed.hash)
    _take_out(database, folder, kind, listed)
    return listed


def _written(database: Database, folder: Path, kind: Kind, book: str, day: date) -> list[_New]:
    """A new file of the rows in the database, joined to those of the one that is listed; none without rows."""
    with database.reading() as connection:
        if not archive_rows.is_held(connection, kind, book, day):
            return []
        old = archive_list.listed(connection, book, kind.name, day)
        name = _fresh(folder, f"{FOLDER}/{book}/{day}/{kind.name}", old)
        rows = archive_rows.groups(connection, kind, book, day)
        if old is None or not old.bytes:
            done = archive_file.write(folder / name, kind.schema, rows)
        else:
            with archive_file.opened(folder / old.file, old.hash) as file:
                done = archive_file.write(folder / name, kind.schema, archive_rows.joined(kind, file, rows))
    return [_New(kind, old, _as_archived(done, kind, book, day, name), done.part)]


def _as_archived(done: Written, kind: Kind, book: str, day: date, name: str) -> Archived:
    return Archived(book, kind.name, day, name, done.rows, done.bytes, done.hash, removed=False)


def _fresh(folder: Path, place: str, listed: Archived | None) -> str:
    """A name that no file has, nor had the `listed` one: what is replaced stays whole until the new file is listed and
    is deleted by its name then, and one that is not listed, from before the database was lost or exchanged, is left
    alone.
    """
    names = (f"{place}{ending}.parquet" for ending in chain([""], (f"-{n}" for n in count(2))))
    taken = None if listed is None else listed.file
    return next(name for name in names if name != taken and not (folder / name).exists())


def _take_out(database: Database, folder: Path, kind: Kind, file: Archived) -> None:
    """Delete the rows of a listed file."""
    with archive_file.opened(folder / file.file, file.hash) as opened:
        archive_rows.remove(database, kind, opened)
    archive_list.mark_removed(database, file)


def _sweep(folder: Path, new: list[_New]) -> None:
    """Nobody's parts are deleted only while no other program can list one: it would be missing for ever."""
    for each in new:
        archive_file.sweep(folder / each.file.file, each.part)


def _drop(new: list[_New]) -> None:
    for each in new:
        archive_file.drop(each.part)
