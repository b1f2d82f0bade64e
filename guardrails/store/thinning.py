"""Whole moments of old days: of each quarter of an hour the last stays for ever, and of its changes the first at each
overall level and in each regime.

So a level that flaps all day leaves a handful of moments a quarter behind, and not one every ten seconds. What changed
and why stays for ever all the same, with its evidence, in `finding_transitions`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, select

from guardrails.store import archive_rows
from guardrails.store.captures import LEVEL
from guardrails.store.columns import LIVE
from guardrails.store.database import Database
from guardrails.store.quarters import QUARTER_MICROS
from guardrails.store.schema import REGIME_CHANGES
from guardrails.store.sharing import CAPTURES

_AT_ONCE = 50
"""a packed moment takes some 100 kB: how many leave in one transaction"""

Changes = Sequence[tuple[int, str]]
"""time and new regime, sorted"""


def thin(database: Database, book: str, before: date) -> None:
    """Delete of the captures before `before` what does not stay for ever."""
    c, end = CAPTURES.c, archive_rows.day_bounds(before)[0]
    with database.reading() as connection:
        times = connection.execute(select(c.time).where(c.book == book, c.time < end).order_by(c.time)).scalars().all()
        changes = _regime_changes(connection, book)
        gone = [time for quarter in _crowded(times) for time in _passing(connection, book, quarter, changes)]
    for start in range(0, len(gone), _AT_ONCE):
        with database.writing(durable=False) as connection:
            connection.execute(delete(CAPTURES).where(c.book == book, c.time.in_(gone[start : start + _AT_ONCE])))


def _crowded(times: Sequence[int]) -> Iterator[list[int]]:
    """Those of sorted `times` that share their quarter with another: of the others nothing further need be read."""
    for _, quarter in groupby(times, lambda time: time // QUARTER_MICROS):
        found = list(quarter)
        if len(found) > 1:
            yield found


def _passing(connection: Connection, book: str, quarter: list[int], changes: Changes) -> list[int]:
    """Those of the times of one quarter that do not stay."""
    c = CAPTURES.c
    query = select(c.time, c.cause, c.level).where(c.book == book, c.time.between(quarter[0], quarter[-1]))
    stays, seen = {quarter[-1]}, set[Any]()
    for time, cause, level in connection.execute(query.order_by(c.time)):
        reached = {("level", level), ("regime", _regime(changes, time))}
        if cause == LEVEL and reached - seen:
            stays.add(time)
            seen |= reached
    return [time for time in quarter if time not in stays]


def _regime_changes(connection: Connection, book: str) -> Changes:
    c = REGIME_CHANGES.c
    query = select(c.time, c.new).where(c.book == book, c.origin == LIVE).order_by(c.time, c.id)
    return [(time, new) for time, new in connection.execute(query)]


def _regime(changes: Changes, time: int) -> str:
    """The regime in force at `time`; empty before the first one that is known."""
    place = bisect_right(changes, time, key=lambda change: change[0])
    return changes[place - 1][1] if place else ""
