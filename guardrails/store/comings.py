"""When each account of a book came, when it went, and with what worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, case, func, select

from guardrails.store.columns import LIVE
from guardrails.store.points import fetch
from guardrails.store.quarters import ACCOUNT_QUARTERS, QUARTER_MICROS, QUARTERS
from guardrails.store.schema import ACCOUNT_VALUES, SNAPSHOTS

MOST_STAYS = 100
"""of one account; one that comes and goes more often is taken to have stayed after that"""


@dataclass(frozen=True, slots=True)
class Stay:
    """From when until when an account was in the book, in microseconds, without a break; its worth in US dollars.

    It has gone only where the book was known without it: while a broker is silent, nothing is known of its accounts.
    """

    begin: int
    first: float
    end: int | None
    """first time without it; None while it is there"""
    last: float


@dataclass(frozen=True, slots=True)
class Change:
    """An account that came into a book that was known without it, or went and left one that is."""

    time: int
    """microseconds"""
    owner: str
    """hash of the account"""
    worth: float
    """US dollars, with which it came or went"""
    came: bool


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one table tells of one account: times in microseconds, and its first and last known worth."""

    begin: int
    end: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class _Owner:
    """Where to look for one account: to before `quarters_until` in old quarters, from `rows_from` on in rows."""

    connection: Connection
    book: str
    owner: str
    quarters_until: int
    rows_from: int
    end: int


def stays(connection: Connection, book: str, end: int) -> Mapping[str, tuple[Stay, ...]]:
    """Of every account that had a known worth before `end` (microseconds), oldest first, by its hash."""
    old, new = (dict(_seen(connection, table, book, end)) for table in (ACCOUNT_QUARTERS, ACCOUNT_VALUES))
    return {
        owner: tuple(_stays(connection, book, end, owner, old.get(owner), new.get(owner)))
        for owner in sorted({**old, **new})
    }


def changes(known: Mapping[str, Sequence[Stay]]) -> list[Change]:
    """The comings and goings in `known`, as `stays` gives it, oldest first; with whom the history begins none came.

    What comes within a quarter of an hour of the first account began with it: old days are not told more exactly.
    """
    begin = min((own[0].begin for own in known.values() if own), default=0)
    found = []
    for owner, own in known.items():
        for nth, stay in enumerate(own):
            if nth or stay.begin >= begin + QUARTER_MICROS:
                found.append(Change(stay.begin, owner, stay.first, came=True))
            if stay.end is not None:
                found.append(Change(stay.end, owner, stay.last, came=False))
    return sorted(found, key=lambda change: (change.time, change.owner))


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


def _stays(
    connection: Connection, book: str, end: int, owner: str, old: _Seen | None, new: _Seen | None
) -> Iterator[Stay]:
    seen = [each for each in (new, old) if each is not None]
    first = min(seen, key=lambda each: each.begin)
    # the row that was written at the moment tells it more exactly than the quarter it fell into
    if new is not None and new.begin < first.begin + QUARTER_MICROS:
        first = new
    until, rows_from = (end, seen[-1].end + QUARTER_MICROS) if new is None else (new.begin, new.begin)
    where = _Owner(connection, book, owner, until, rows_from, end)
    begin, worth, last = first.begin, first.first, max(seen, key=lambda each: each.end).last
    for _ in range(MOST_STAYS - 1):
        gone = _without(where, begin)
        if gone is None:
            break
        back = _with(where, gone, later=True)
        yield Stay(begin, worth, gone, (_with(where, gone, later=False) or (0, worth))[1])
        if back is None:
            return
        begin, worth = back
    yield Stay(begin, worth, None, last)


def _without(where: _Owner, after: int) -> int | None:
    """The first time later than `after` at which the book was known without the account."""
    found = [_without_quarter(where, after), _without_row(where, after), _told_to_be_gone(where, after)]
    return min((time for time in found if time is not None), default=None)


def _without_quarter(where: _Owner, after: int) -> int | None:
    q, a = QUARTERS.c, ACCOUNT_QUARTERS.c
    until = where.quarters_until // QUARTER_MICROS * QUARTER_MICROS
    here = select(a.time).where(a.book == where.book, a.account_hash == where.owner, a.time == q.time, a.origin == LIVE)
    query = select(q.time).where(
        q.book == where.book, q.time > after, q.time < until, q.net_liquidation.is_not(None),
        ~here.exists(),
    )  # fmt: skip
    return _scalar(where, query.order_by(q.time).limit(1))


def _without_row(where: _Owner, after: int) -> int | None:
    """Everything was written, but nothing of it."""
    v, s = ACCOUNT_VALUES.c, SNAPSHOTS.c
    here = select(v.time).where(
        v.book == where.book, v.account_hash == where.owner, v.time == s.time, v.origin == LIVE, v.level.is_not(None)
    )
    query = select(s.time).where(
        s.book == where.book, s.origin == LIVE, s.complete == 1, s.net_liquidation.is_not(None),
        s.time > after, s.time >= where.rows_from, s.time < where.end, ~here.exists(),
    )  # fmt: skip
    return _scalar(where, query.order_by(s.time).limit(1))


def _told_to_be_gone(where: _Owner, after: int) -> int | None:
    """A row says that it has gone, and the book was known before the account came back."""
    v, s = ACCOUNT_VALUES.c, SNAPSHOTS.c
    mine = (v.book == where.book) & (v.origin == LIVE) & (v.account_hash == where.owner)
    after = max(after, where.rows_from)
    told = fetch(
        where.connection,
        select(v.time).where(mine, v.time > after, v.time < where.end, v.level.is_(None)).order_by(v.time),
    )
    for (gone,) in told:
        back = _scalar(where, select(func.min(v.time)).where(mine, v.time > gone, v.level.is_not(None)))
        known = select(s.time).where(
            s.book == where.book, s.origin == LIVE, s.time >= gone, s.time < (where.end if back is None else back),
            s.net_liquidation.is_not(None),
        )  # fmt: skip
        if (time := _scalar(where, known.order_by(s.time).limit(1))) is not None:
            return time
    return None


def _with(where: _Owner, time: int, *, later: bool) -> tuple[int, float] | None:
    """When the account was there with a known worth next to `time`, and that worth; a row tells it before a quarter."""
    found: list[tuple[int, float]] = []
    for table in (ACCOUNT_VALUES, ACCOUNT_QUARTERS):
        c = table.c
        query = select(c.time, c.net_liquidation).where(
            c.book == where.book, c.origin == LIVE, c.account_hash == where.owner, c.net_liquidation.is_not(None)
        )
        side = (
            query.where(c.time > time, c.time < where.end).order_by(c.time)
            if later
            else query.where(c.time < time).order_by(c.time.desc())
        )
        found += [(int(row[0]), float(row[1])) for row in fetch(where.connection, side.limit(1))]
    if len(found) < 2:
        return found[0] if found else None
    row, quarter = found
    if later:
        return row if row[0] < quarter[0] + QUARTER_MICROS else quarter
    return row if row[0] >= quarter[0] else quarter


def _scalar(where: _Owner, query: Any) -> int | None:
    found = where.connection.execute(query).scalar()
    return None if found is None else int(found)
