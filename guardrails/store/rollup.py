"""Quarters of an hour, told from the rows of every moment: what is kept for ever.

A row of `snapshots` holds from `time` to `until` and gives a row to every quarter it touches; a quarter that none
touches has no row, so a gap stays a gap. `quarter_rows` says what is in one; this file when it is told, and told again.

Every run tells the last hour again, as a moment may be written after its quarter was told (it waited for the
database, or the clock was set back a little). What comes later still is told when its day is moved to files, the last
time at which all of its rows are at hand. A row that was told is only replaced by one that knows at least as much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select

from guardrails import calendar
from guardrails.store.columns import LIVE
from guardrails.store.database import Database
from guardrails.store.inserts import Row, columns, insert
from guardrails.store.metadata import StoreError, micros, moment
from guardrails.store.quarter_rows import Quarter, next_quarter, read_quarter
from guardrails.store.quarters import ACCOUNT_QUARTERS, ARCHIVES, QUARTER_MICROS, QUARTERS, UNDERLYING_QUARTERS
from guardrails.store.schema import ACCOUNT_VALUES, BOOKS, UNDERLYING_TOTALS

_AGAIN_MICROS = 4 * QUARTER_MICROS


def roll_up(database: Database, now: datetime, most: int | None = None, books: Collection[str] | None = None) -> int:
    """Tell every quarter that has ended by `now` and is not told yet, oldest first; returns how many rows are new.

    Takes one short transaction a quarter and can be broken off at any place. `most`: no more than so many of each book
    now, for a caller with other things to do; the next call goes on. `books`: only these. Database errors are raised;
    StoreError names the books with rows that make no sense, when all the others are told.
    """
    end = micros(now) // QUARTER_MICROS * QUARTER_MICROS
    with database.reading() as connection:
        known = connection.execute(select(BOOKS.c.book).order_by(BOOKS.c.book)).scalars().all()
        starts = {book: _resume(connection, book, end) for book in known if books is None or book in books}
    told, problems = 0, list[str]()
    for book, start in starts.items():
        try:
            told += 0 if start is None else tell(database, book, start, end, most)
        except ValueError as error:
            problems.append(f"a quarter of an hour of the book {book} cannot be told ({error}).")
    if problems:
        raise StoreError(" ".join(problems))
    return told


def tell(database: Database, book: str, begin: int, end: int, most: int | None = None) -> int:
    """Tell the quarters of `book` from `begin` to `end` anew, both in microseconds and bounds of quarters.

    Returns how many rows are new or differ from before; `most` ends it after so many.
    """
    told, start = 0, begin
    while most is None or told < most:
        with database.reading() as connection:
            time = next_quarter(connection, book, start, end)
            if time is None:
                break
            rows = read_quarter(connection, book, time)
            names = _replaced(connection, book, time, rows)
        if names is not None:
            with database.writing(durable=False) as connection:
                _write(connection, book, time, rows, names)
            told += 1
        start = time + QUARTER_MICROS
    return told


def _resume(connection: Connection, book: str, end: int) -> int | None:
    """Where to begin: an hour before the last row told, not counting what a clock that ran ahead left in the future;
    None when no quarter has ended since.
    """
    c = QUARTERS.c
    last = connection.execute(select(func.max(c.time)).where(c.book == book, c.time < end)).scalar()
    if last is None:
        return 0
    return None if last + QUARTER_MICROS == end else last + QUARTER_MICROS - _AGAIN_MICROS


def _replaced(connection: Connection, book: str, time: int, rows: Quarter) -> tuple[list[str], list[str]] | None:
    """Underlyings and accounts whose rows `rows` take the place of; None when what is stored is to stay."""
    c = QUARTERS.c
    stored = connection.execute(select(QUARTERS).where(c.book == book, c.time == time)).mappings().first()
    if stored is None:
        return [], []
    told_from_less = not rows.based or rows.total["first"] > stored["first"] or rows.total["last"] < stored["last"]
    if told_from_less or _in_files(connection, book, time):
        return None
    names = {*rows.underlyings, *_named(connection, UNDERLYING_TOTALS, book, time)}
    owners = {*rows.accounts, *_named(connection, ACCOUNT_VALUES, book, time)}
    old = _stored(connection, UNDERLYING_QUARTERS, book, time, names)
    money = _stored(connection, ACCOUNT_QUARTERS, book, time, owners)
    if dict(stored) == rows.total and old == rows.underlyings and money == rows.accounts:
        return None
    return list(old), list(money)


def _in_files(connection: Connection, book: str, time: int) -> bool:
    """Whether rows of the exchange day of `time` may have left the database."""
    c, day = ARCHIVES.c, calendar.exchange_date(moment(time)).isoformat()
    return connection.execute(select(c.day).where(c.book == book, c.day == day).limit(1)).first() is not None


def _named(connection: Connection, table: Table, book: str, time: int) -> Sequence[str]:
    """Who else may have been told in the quarter at `time`: everything is written every quarter of an hour, so it has
    a row within two quarters before it. (The rows told are not listed by time: they would all have to be read.)
    """
    c, name = table.c, _name_of(table)
    begin, end = time - 2 * QUARTER_MICROS, time + QUARTER_MICROS
    return (
        connection.execute(select(c[name]).where(c.book == book, c.time >= begin, c.time < end).distinct())
        .scalars()
        .all()
    )


def _stored(connection: Connection, table: Table, book: str, time: int, names: Iterable[str]) -> dict[str, Row]:
    c, name = table.c, _name_of(table)
    query = select(table).where(c.book == book, c[name].in_(names), c.time == time, *_live(table))
    return {row[1]: tuple(row) for row in connection.execute(query)}


def _write(connection: Connection, book: str, time: int, rows: Quarter, names: tuple[list[str], list[str]]) -> None:
    """Put `rows` in the place of what was stored of the quarter at `time`."""
    connection.execute(delete(QUARTERS).where(QUARTERS.c.book == book, QUARTERS.c.time == time))
    insert(connection, QUARTERS, [tuple(rows.total[name] for name in columns(QUARTERS))])
    tables = ((UNDERLYING_QUARTERS, rows.underlyings), (ACCOUNT_QUARTERS, rows.accounts))
    for (table, found), old in zip(tables, names, strict=True):
        c = table.c
        if old:
            here = (c.book == book, c[_name_of(table)].in_(old), c.time == time)
            connection.execute(delete(table).where(*here, *_live(table)))
        insert(connection, table, list(found.values()))


def _name_of(table: Table) -> str:
    """The column that says whose a row is."""
    return "underlying" if "underlying" in table.c else "account_hash"


def _live(table: Table) -> list[Any]:
    """The condition that keeps backfilled rows apart, where there are any."""
    return [table.c.origin == LIVE] if "origin" in table.c else []
