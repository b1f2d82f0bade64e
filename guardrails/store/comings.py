"""When each account of a book came, when it went, and with what worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, case, func, select

from guardrails.store.columns import LIVE
from guardrails.store.points import fetch
from guardrails.store.quarters import ACCOUNT_QUARTERS, QUARTER_MICROS, QUARTERS
from guardrails.store.schema import ACCOUNT_VALUES, SNAPSHOTS


@dataclass(frozen=True, slots=True)
class Stay:
    """From the first to the last time an account was in the book, in microseconds; its worth in US dollars.

    One that was away for a while in between is taken to have stayed.
    """

    begin: int
    first: float
    end: int | None
    """first time without it; None while it is there"""
    last: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one table tells of one account: times in microseconds, and its first and last known worth."""

    begin: int
    end: int
    first: float
    last: float


def stays(connection: Connection, book: str, end: int) -> Mapping[str, Stay]:
    """Of every account that had a known worth before `end` (microseconds), by its hash."""
    old, new = (dict(_seen(connection, table, book, end)) for table in (ACCOUNT_QUARTERS, ACCOUNT_VALUES))
    return {
        owner: _stay(connection, book, end, owner, old.get(owner), new.get(owner)) for owner in sorted({**old, **new})
    }


def _seen(connection: Connection, table: Table, book: str, end: int) -> Iterator[tuple[str, _Seen]]:
    c = table.c
    live = (c.book == book) & (c.origin == LIVE) & (c.time < end)
    if table is ACCOUNT_VALUES:
        live &= c.level.is_not(None)
    known = case((c.net_liquidation.is_not(None), c.time))
    spans = fetch(
        connection,
        select(c.account_hash, func.min(known), func.max(known), func.max(c.time)).where(live).group_by(c.account_hash),
    )
    edges = sorted({time for _, *edges, _ in spans for time in edges if time is not None})
    rows = fetch(connection, select(c.account_hash, c.time, c.net_liquidation).where(live, c.time.in_(edges)))
    values: dict[tuple[Any, ...], float] = {(owner, time): value for owner, time, value in rows}
    for owner, first, last, seen in spans:
        if first is not None:
            yield owner, _Seen(first, seen, values[owner, first], values[owner, last])


def _stay(connection: Connection, book: str, end: int, owner: str, old: _Seen | None, new: _Seen | None) -> Stay:
    found = [seen for seen in (new, old) if seen is not None]
    first, last = min(found, key=lambda seen: seen.begin), max(found, key=lambda seen: seen.end)
    # the row that was written at the moment tells it more exactly than the quarter it fell into
    if new is not None and new.begin < first.begin + QUARTER_MICROS:
        first = new
    gone = (
        _end_of_rows(connection, book, end, owner, last.end)
        if last is new
        else _end_of_quarters(connection, book, end, last.end)
    )
    return Stay(first.begin, first.first, gone, last.last)


def _end_of_quarters(connection: Connection, book: str, end: int, last: int) -> int | None:
    """When an account had gone whose last quarter is `last`."""
    q, s = QUARTERS.c, SNAPSHOTS.c
    after = select(func.min(q.time)).where(q.book == book, q.time > last, q.time < end)
    rows = select(func.min(s.time)).where(
        s.book == book, s.origin == LIVE, s.complete == 1, s.time >= last + QUARTER_MICROS, s.time < end
    )
    found = [connection.execute(query).scalar() for query in (after, rows)]
    return min((int(time) for time in found if time is not None), default=None)


def _end_of_rows(connection: Connection, book: str, end: int, owner: str, last: int) -> int | None:
    """When an account had gone whose last row is of `last`: where it is told, or everything was written without it."""
    v, s = ACCOUNT_VALUES.c, SNAPSHOTS.c
    mine = (v.book == book) & (v.origin == LIVE) & (v.account_hash == owner)
    told = select(func.min(v.time)).where(mine, v.time > last, v.time < end, v.level.is_(None))
    without = select(func.min(s.time)).where(
        s.book == book, s.origin == LIVE, s.complete == 1, s.time > last, s.time < end
    )
    found = [connection.execute(query).scalar() for query in (told, without)]
    return min((int(time) for time in found if time is not None), default=None)
