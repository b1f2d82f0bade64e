"""Whole moments of old days: of each quarter of an hour the last stays for ever, and of its changes the first at each
overall level and in each regime.

So a level that flaps all day leaves a handful of moments a quarter behind, and not one every ten seconds. What changed
and why stays for ever all the same, with its evidence, in `finding_transitions`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, select

from guardrails.errors import GuardrailsError
from guardrails.store import archive_rows
from guardrails.store.captures import LEVEL
from guardrails.store.columns import LIVE
from guardrails.store.database import Database
from guardrails.store.packing import regime_in
from guardrails.store.quarters import QUARTER_MICROS, QUARTERS
from guardrails.store.schema import REGIME_CHANGES
from guardrails.store.sharing import CAPTURES

_AT_ONCE = 50
"""a packed moment takes some 100 kB: how many leave in one transaction"""

_Course = Sequence[tuple[int, str]]
"""times and the regime from each on, sorted"""


@dataclass(frozen=True, slots=True)
class _Regimes:
    """What is known of the regimes of a book."""

    changes: _Course
    """by the time from which they count, which may be long before they were known"""
    ends: _Course
    """at the end of the quarter of an hour that begins then"""

    def may_change(self, quarter: Sequence[int]) -> bool:
        """Whether the regime may be another at one of the times of one quarter than at the others."""
        begin = quarter[0] // QUARTER_MICROS * QUARTER_MICROS
        place = bisect_right(self.ends, begin, key=lambda end: end[0])
        told = self.ends[max(place - 2, 0) : place]
        ended_alike = len(told) == 2 and told[1][0] == begin and told[0][1] == told[1][1]
        return not ended_alike or _at(self.changes, begin - 1) != _at(self.changes, quarter[-1])


def thin(database: Database, book: str, before: date) -> None:
    """Delete of the captures before `before` what does not stay for ever."""
    c, end = CAPTURES.c, archive_rows.day_bounds(before)[0]
    with database.reading() as connection:
        times = connection.execute(select(c.time).where(c.book == book, c.time < end).order_by(c.time)).scalars().all()
        regimes = _known_regimes(connection, book)
        gone = [time for quarter in _crowded(times) for time in _passing(connection, book, quarter, regimes)]
    for start in range(0, len(gone), _AT_ONCE):
        with database.writing(durable=False) as connection:
            connection.execute(delete(CAPTURES).where(c.book == book, c.time.in_(gone[start : start + _AT_ONCE])))


def _crowded(times: Sequence[int]) -> Iterator[list[int]]:
    """Those of sorted `times` that share their quarter with another: of the others nothing further need be read."""
    for _, quarter in groupby(times, lambda time: time // QUARTER_MICROS):
        found = list(quarter)
        if len(found) > 1:
            yield found


def _passing(connection: Connection, book: str, quarter: list[int], regimes: _Regimes) -> list[int]:
    """Those of the times of one quarter that do not stay."""
    c, is_open = CAPTURES.c, regimes.may_change(quarter)
    names = (c.time, c.cause, c.level, *([c.snapshot] if is_open else []))
    query = select(*names).where(c.book == book, c.time.between(quarter[0], quarter[-1]))
    stays, seen = {quarter[-1]}, set[Any]()
    for time, cause, level, *snapshot in connection.execute(query.order_by(c.time).execution_options(yield_per=10)):
        regime = _at(regimes.changes, time)
        with suppress(GuardrailsError):  # of another version: then it is that of the time from which a change counts
            regime = regime_in(*snapshot) if snapshot and cause == LEVEL else regime
        reached = {("level", level), ("regime", regime)}
        if cause == LEVEL and reached - seen:
            stays.add(time)
            seen |= reached
    return [time for time in quarter if time not in stays]


def _known_regimes(connection: Connection, book: str) -> _Regimes:
    c, q = REGIME_CHANGES.c, QUARTERS.c
    changes = select(c.time, c.new).where(c.book == book, c.origin == LIVE).order_by(c.time, c.id)
    ends = select(q.time, q.regime).where(q.book == book).order_by(q.time)
    found = ([(time, regime) for time, regime in connection.execute(query)] for query in (changes, ends))
    return _Regimes(*found)


def _at(course: _Course, time: int) -> str:
    """The regime at `time`; empty before the first one that is known."""
    place = bisect_right(course, time, key=lambda change: change[0])
    return course[place - 1][1] if place else ""
