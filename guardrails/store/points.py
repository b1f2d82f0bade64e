"""Which rows of the history become the points of a chart: every row, one per quarter of an hour, or fewer.

Recent ranges come from the rows of `snapshots`, older and longer ones from `quarters`; what is not rolled up yet comes
from rows again. More than `MOST_POINTS` are thinned by the database: a point then tells the figures at its end, and
the extremes of net liquidation and every gap within it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from math import ceil
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, String, Subquery, Table, bindparam, case, func, select
from sqlalchemy.sql import Select

from guardrails.store.columns import LIVE
from guardrails.store.metadata import micros
from guardrails.store.quarters import ACCOUNT_QUARTERS, QUARTER_MICROS, QUARTERS
from guardrails.store.schema import SNAPSHOTS
from guardrails.store.telemetry import COMPLETE_MICROS

MOST_POINTS = 7_000
"""of one line: a browser draws no more in the time in which a person waits"""

_BLOCK = 96
"""rows that still lie in the processor's cache when their figures are taken out of them"""


@dataclass(frozen=True, slots=True)
class Points:
    """Which rows become the points of a chart; times in microseconds."""

    book: str
    begin: int
    end: int
    """the range is from `begin` to before `end`"""
    raw_from: int
    """before it points come from `quarters`, from it on from `snapshots`"""
    quarter_width: int
    """what one point stands for"""
    raw_width: int
    """the same; 0: every row is a point"""
    period: int
    """between two rows of a program that runs"""


_MARKS: dict[str, Any] = {
    each.name: bindparam(each.name, type_=String if each.name == "book" else BigInteger) for each in fields(Points)
}
MARKS = Points(**_MARKS)
"""stands for any `Points` in a query that is made once; `given` gives it theirs"""


def given(points: Points) -> dict[str, Any]:
    """The values of `MARKS`."""
    return {name: getattr(points, name) for name in _MARKS}


def fetch(connection: Connection, query: Select[Any]) -> list[tuple[Any, ...]]:
    """All rows of `query` as tuples of the driver; its columns need no translation."""
    result = connection.execute(query)
    rows: list[tuple[Any, ...]] = [] if result.cursor is None else list(result.cursor.fetchall())
    result.close()
    return rows


def blocks(connection: Connection, query: Select[Any], values: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    """The rows of `query` as `fetch` gives them, but a few at a time; `values` for its marks, see `MARKS`."""
    result = connection.execute(query, values)
    while result.cursor is not None and (rows := result.cursor.fetchmany(_BLOCK)):
        yield rows
    result.close()


def every_row(
    connection: Connection, book: str, begin: datetime, end: datetime, period_seconds: float, most: int
) -> Points:
    """A point per row from `begin` to before `end`; thinned when the rows of recent days alone are more than `most`.

    `period_seconds` is how often a row is written.
    """
    c = SNAPSHOTS.c
    start, stop = micros(begin), micros(end)
    raw_from = min(stop, max(start, _rows_from(connection, book, stop)))
    points = Points(book, start, stop, raw_from, QUARTER_MICROS, 0, round(period_seconds * 1e6))
    if raw_from == stop:
        return points
    raw = select(c.time).where(c.book == book, c.time >= raw_from, c.time < stop).limit(most + 1).subquery()
    many = connection.execute(select(func.count()).select_from(raw)).scalar_one() > most
    return fewer(connection, points, most) if many else points


def _rows_from(connection: Connection, book: str, end: int) -> int:
    """The quarter from which on every quarter told before `end` still has its rows; `end` when there are no rows.

    An old row that was left behind, or came late, does not stand for the quarters after it.
    """
    s, q = SNAPSHOTS.c, QUARTERS.c
    own = (s.book == book) & (s.origin == LIVE)
    first = connection.execute(select(func.min(s.time)).where(own)).scalar()
    if first is None:
        return end
    kept = select(s.time).where(own, s.time == q.last).exists()
    gone = select(q.time).where(q.book == book, q.time < end, ~kept).order_by(q.time.desc()).limit(1)
    told = connection.execute(gone).scalar()
    rows_from: int = first // QUARTER_MICROS * QUARTER_MICROS
    return rows_from if told is None else max(rows_from, told + QUARTER_MICROS)


def fewer(connection: Connection, points: Points, most: int) -> Points:
    """About `most` points for the same range: quarters as far as they are told, several in one where needed."""
    c = QUARTERS.c
    told = connection.execute(select(func.max(c.time)).where(c.book == points.book)).scalar()
    untold = points.raw_from if told is None else told + QUARTER_MICROS
    raw_from = min(points.end, max(points.begin, untold))
    count = select(func.count()).where(c.book == points.book, c.time >= points.begin, c.time < raw_from)
    several = connection.execute(count).scalar_one() + (points.end - raw_from) // QUARTER_MICROS
    width = QUARTER_MICROS * max(ceil(several / most), 1)
    return replace(points, raw_from=raw_from, quarter_width=width, raw_width=width)


def first_moment(connection: Connection, book: str) -> int | None:
    """The oldest time of which anything is kept, brokers' own records included; microseconds, None when nothing is."""
    found = [
        connection.execute(select(func.min(table.c.time)).where(table.c.book == book)).scalar()
        for table in (SNAPSHOTS, QUARTERS, ACCOUNT_QUARTERS)
    ]
    return min((time for time in found if time is not None), default=None)


def chosen(table: Table, points: Points) -> ColumnElement[bool]:
    """Which rows of `quarters` or `snapshots` are read for `points`."""
    c = table.c
    if table is QUARTERS:
        return (
            (c.book == points.book)
            & (c.time > points.begin - QUARTER_MICROS)
            & (c.time < points.raw_from)
            & (c.last >= points.begin)
        )
    # a row that holds when the range begins may have begun before it
    return (
        (c.book == points.book)
        & (c.origin == LIVE)
        & (c.time >= points.raw_from - COMPLETE_MICROS)
        & (c.until >= points.raw_from)
        & (c.time < points.end)
    )


def thinned(table: Table, points: Points) -> Subquery | None:
    """Of each point that stands for several rows: its last (`key`), extremes, gaps; None when every row is a point."""
    width = points.quarter_width if table is QUARTERS else points.raw_width
    if width <= (QUARTER_MICROS if table is QUARTERS else 0):
        return None
    e = _each(table, points).c
    return (
        select(
            func.max(e.time).label("key"),
            func.min(e.begins).label("begins"),
            func.max(e.ends).label("ends"),
            func.coalesce(func.max(e.gap), 0).label("gap"),
            func.sum(case((e.net_liquidation.is_(None), 1), else_=0)).label("unknown"),
            func.count().label("rows"),
            func.min(e.low).label("low"),
            func.max(e.high).label("high"),
        )
        .group_by(e.time // width)
        .subquery()
    )


def silences(connection: Connection, table: Table, points: Points, allowed: int) -> list[tuple[int, int]]:
    """The stretches of more than `allowed` microseconds between the rows of `points` in which nothing was kept."""
    e = _each(table, points).c
    found = fetch(connection, select(e.begins - e.gap, e.begins).where(e.gap > allowed).order_by(e.time))
    return [(begin, end) for begin, end in found]


def _each(table: Table, points: Points) -> Subquery:
    """Of every row what it tells of, and the gap between it and the row before."""
    c = table.c
    if table is SNAPSHOTS:
        low = high = c.net_liquidation
        begins, ends = c.time, c.until
        gap = begins - func.lag(ends).over(order_by=c.time)
    else:
        low, high = c.net_liquidation_low, c.net_liquidation_high
        begins, ends = c.first, c.last
        before, last = (func.lag(each).over(order_by=c.time) for each in (c.time, c.last))
        silent = (c.time - before > QUARTER_MICROS) | (begins - last > held_at_most(points))
        gap = case((silent, begins - last), else_=0)
    return (
        select(
            c.time,
            c.net_liquidation,
            begins.label("begins"),
            ends.label("ends"),
            low.label("low"),
            high.label("high"),
            gap.label("gap"),
        )
        .where(chosen(table, points))
        .subquery()
    )


def held_at_most(points: Points) -> int:
    """How long after the last row told in a quarter the next one may come while the program runs, in microseconds.

    A quarter tells when its last row was written, not how long it held: longer than this it did not.
    """
    return COMPLETE_MICROS + 2 * points.period
