"""The table `archives`: which day of which table is in which file, and whether its rows have left the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select, update

from guardrails.store.database import Database
from guardrails.store.inserts import Row, insert
from guardrails.store.metadata import micros
from guardrails.store.quarters import ARCHIVES


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


class OvertakenError(Exception):
    """Another program has moved rows of the same day meanwhile; what that one has listed counts."""


def archived(connection: Connection, book: str, name: str | None = None) -> list[Archived]:
    """The files of a book, of one table when `name` is given, oldest first."""
    c = ARCHIVES.c
    query = select(ARCHIVES).where(c.book == book).order_by(c.day, c.name)
    return [_archived(row) for row in connection.execute(query if name is None else query.where(c.name == name))]


def listed(connection: Connection, book: str, name: str, day: date) -> Archived | None:
    """The file of one table and day, None when there is none."""
    c = ARCHIVES.c
    row = connection.execute(select(ARCHIVES).where(c.book == book, c.name == name, c.day == day.isoformat())).first()
    return None if row is None else _archived(row)


def unfinished(connection: Connection, book: str, before: date) -> set[date]:
    """The days before `before` that have a file whose rows have not all left the database."""
    c = ARCHIVES.c
    days = select(c.day).where(c.book == book, c.removed == 0, c.day < before.isoformat()).distinct()
    return {date.fromisoformat(day) for day in connection.execute(days).scalars()}


def put(
    database: Database,
    files: Sequence[tuple[Archived | None, Archived]],
    now: datetime,
    alone: Callable[[], None] = lambda: None,
) -> None:
    """Say where rows are, durably, before the first of them leaves: of each file what was listed, and what takes its
    place. OvertakenError, and nothing is said, when another is listed there by now.

    `alone` is called when that is certain, while no other program can list a file in these places.
    """
    with database.writing(durable=True) as connection:
        for old, new in files:
            if not (_insert(connection, new, now) if old is None else _replace(connection, old, new, now)):
                raise OvertakenError
        alone()


def mark_removed(database: Database, file: Archived) -> None:
    """Say that the rows of `file` have left the database."""
    with database.writing(durable=True) as connection:
        connection.execute(update(ARCHIVES).where(*_same(file)).values(removed=1))


def mark_deleted(database: Database, file: Archived) -> None:
    """Say that `file` was deleted for its age."""
    with database.writing(durable=True) as connection:
        connection.execute(update(ARCHIVES).where(*_same(file)).values(bytes=0))


def _insert(connection: Connection, file: Archived, now: datetime) -> bool:
    row: Row = (
        file.book, file.name, file.day.isoformat(), file.file, file.rows, file.bytes, file.hash, micros(now), 0,
    )  # fmt: skip
    return insert(connection, ARCHIVES, [row]) == 1


def _replace(connection: Connection, old: Archived, new: Archived, now: datetime) -> bool:
    values = {"file": new.file, "rows": new.rows, "bytes": new.bytes, "hash": new.hash, "written": micros(now)}
    replaced = update(ARCHIVES).where(*_same(old), ARCHIVES.c.removed == 1).values(**values, removed=0)
    return connection.execute(replaced).rowcount == 1


def _same(file: Archived) -> tuple[Any, ...]:
    """The row that was read as `file`, and no other that has taken its place."""
    c = ARCHIVES.c
    where = (c.book == file.book, c.name == file.name, c.day == file.day.isoformat())
    return (*where, c.file == file.file, c.hash == file.hash)


def _archived(row: Any) -> Archived:
    day = date.fromisoformat(row.day)
    return Archived(row.book, row.name, day, row.file, row.rows, row.bytes, row.hash, bool(row.removed))
