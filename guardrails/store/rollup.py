"""Quarters of an hour, told from the rows of every moment: what is kept for ever.

A row of `snapshots` holds from `time` to `until` and gives a row to every quarter it touches; a quarter that none
touches has no row, so a gap stays a gap. Underlyings and accounts have rows only where something changed: what is true
at a moment is the last row of each since the last `complete` moment.

Every run tells the last hour again, as a moment may be written after its quarter was told (it waited for the
database, or the clock was set back a little). What comes later still is told when its day is moved to files, the last
time at which all of its rows are at hand. A row that was told is only replaced by one that knows at least as much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select

from guardrails import calendar
from guardrails.findings import Level, worst
from guardrails.store.columns import LIVE
from guardrails.store.database import Database
from guardrails.store.inserts import Row, columns, insert
from guardrails.store.metadata import StoreError, micros, moment
from guardrails.store.quarters import ACCOUNT_QUARTERS, ARCHIVES, QUARTER_MICROS, QUARTERS, UNDERLYING_QUARTERS
from guardrails.store.schema import ACCOUNT_VALUES, BOOKS, SNAPSHOTS, UNDERLYING_TOTALS

_AGAIN_MICROS = 4 * QUARTER_MICROS
_OWN = ("book", "time", "first", "last", "level", "net_liquidation_low", "net_liquidation_high")
"""columns of `quarters` that are not simply those of its last moment"""
_SAME = tuple(name for name in columns(QUARTERS) if name not in _OWN)
_SUMS = columns(UNDERLYING_QUARTERS)[3:]
"""from `positions` on: of the same names in `underlying_totals`"""
_MONEY = (
    "account", "broker", "currency", "net_liquidation", "excess_liquidity", "excess_look_ahead", "cushion",
    "maintenance", "day_pnl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Quarter:
    """One quarter as it is to be stored."""

    total: dict[str, Any]
    """the row of `quarters`, by column"""
    underlyings: dict[str, Row]
    """rows of `underlying_quarters`, by name"""
    accounts: dict[str, Row]
    """rows of `account_quarters`, by hash"""
    based: bool
    """whether a complete moment at or before its first one is at hand"""


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
            time = _next(connection, book, start, end)
            if time is None:
                break
            rows = _read(connection, book, time)
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


def _next(connection: Connection, book: str, start: int, end: int) -> int | None:
    """The first quarter from `start` to before `end` that a row of `snapshots` touches."""
    c = SNAPSHOTS.c
    live = select(c.time, c.until).where(c.book == book, c.origin == LIVE)
    before = connection.execute(live.where(c.time < start).order_by(c.time.desc()).limit(1)).first()
    if before is not None and before.until >= start and start < end:
        return start
    after = connection.execute(live.where(c.time >= start, c.time < end).order_by(c.time).limit(1)).first()
    return None if after is None else int(after.time) // QUARTER_MICROS * QUARTER_MICROS


def _read(connection: Connection, book: str, time: int) -> _Quarter:
    """What the rows at hand say of the quarter at `time`."""
    c = SNAPSHOTS.c
    live = select(c.time, c.level, c.net_liquidation).where(c.book == book, c.origin == LIVE)
    moments = connection.execute(live.where(c.time >= time, c.time < time + QUARTER_MICROS).order_by(c.time)).all()
    before = live.add_columns(c.until).where(c.time < time).order_by(c.time.desc()).limit(1)
    carried = connection.execute(before).first()
    if carried is not None and carried.until >= time:
        moments = [carried, *moments]
    first, last = moments[0].time, moments[-1].time
    values = [row.net_liquidation for row in moments if row.net_liquidation is not None]
    here = select(*(c[name] for name in _SAME)).where(c.book == book, c.origin == LIVE, c.time == last)
    total = {
        **connection.execute(here).mappings().one(),
        "book": book,
        "time": time,
        "first": first,
        "last": last,
        "level": worst(Level(row.level) for row in moments).value,
        "net_liquidation_low": min(values, default=None),
        "net_liquidation_high": max(values, default=None),
    }
    base = _base(connection, book, first)
    since = first if base is None else base
    return _Quarter(
        total,
        _underlyings(connection, book, time, max(since, _base(connection, book, last) or 0), last),
        _accounts(connection, book, time, since, (first, last)),
        base is not None,
    )


def _base(connection: Connection, book: str, time: int) -> int | None:
    """The last moment up to `time` at which everything was written."""
    c = SNAPSHOTS.c
    complete = select(c.time).where(c.book == book, c.origin == LIVE, c.time <= time, c.complete == 1)
    return connection.execute(complete.order_by(c.time.desc()).limit(1)).scalar()


def _underlyings(connection: Connection, book: str, time: int, since: int, last: int) -> dict[str, Row]:
    """Rows of what was held at `last`, told from the rows since the complete moment `since`."""
    c = UNDERLYING_TOTALS.c
    query = select(c.underlying, *(c[name] for name in _SUMS)).where(c.book == book, c.time.between(since, last))
    state = {name: figures for name, *figures in connection.execute(query.order_by(c.time))}
    return {name: (book, name, time, *figures) for name, figures in state.items() if figures[0]}


def _accounts(connection: Connection, book: str, time: int, since: int, told: tuple[int, int]) -> dict[str, Row]:
    """Rows of the accounts there at the last of the moments `told`, with their lowest cushion from the first on."""
    c, (first, last) = ACCOUNT_VALUES.c, told
    query = select(c.account_hash, c.time, c.level, *(c[name] for name in _MONEY)).where(
        c.book == book, c.origin == LIVE, c.time.between(since, last)
    )
    base = _base(connection, book, last) or 0
    state: dict[str, Any] = {}
    at_first: dict[str, float | None] = {}
    lows: dict[str, float] = {}
    for row in connection.execute(query.order_by(c.time)):
        if row.time <= first:
            at_first[row.account_hash] = row.cushion
        elif row.cushion is not None:
            lows[row.account_hash] = min(row.cushion, lows.get(row.account_hash, row.cushion))
        if row.time >= base:
            state[row.account_hash] = row
    for owner, cushion in at_first.items():
        if cushion is not None:
            lows[owner] = min(cushion, lows.get(owner, cushion))
    return {
        owner: (
            book, owner, time, LIVE, row.account, row.broker, row.currency, row.net_liquidation, row.excess_liquidity,
            row.excess_look_ahead, row.cushion, lows.get(owner), row.maintenance, row.day_pnl, row.broker,
        )
        for owner, row in state.items() if row.level is not None
    }  # fmt: skip


def _replaced(connection: Connection, book: str, time: int, rows: _Quarter) -> tuple[list[str], list[str]] | None:
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


def _write(connection: Connection, book: str, time: int, rows: _Quarter, names: tuple[list[str], list[str]]) -> None:
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
