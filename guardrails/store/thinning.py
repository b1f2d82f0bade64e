"""Whole moments of old days: the last of each quarter of an hour and those of a change of level stay for ever."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import delete, select

from guardrails.store import archive_rows
from guardrails.store.captures import LEVEL
from guardrails.store.database import Database
from guardrails.store.quarters import QUARTER_MICROS
from guardrails.store.sharing import CAPTURES

_AT_ONCE = 50
"""a packed moment takes some 100 kB: how many leave in one transaction"""


def thin(database: Database, book: str, before: date) -> None:
    """Of the captures before `before` keep those of a change of level, and the last of each quarter of an hour."""
    c, end = CAPTURES.c, archive_rows.day_bounds(before)[0]
    with database.reading() as connection:
        query = select(c.time).where(c.book == book, c.time < end).order_by(c.time)
        crowded = _but_last(connection.execute(query).scalars())
    for start in range(0, len(crowded), _AT_ONCE):
        times = crowded[start : start + _AT_ONCE]
        with database.writing(durable=False) as connection:
            connection.execute(delete(CAPTURES).where(c.book == book, c.time.in_(times), c.cause != LEVEL))


def _but_last(times: Any) -> list[int]:
    """Those of sorted `times` that are followed by another of the same quarter."""
    found, last = [], None
    for time in times:
        if last is not None and last // QUARTER_MICROS == time // QUARTER_MICROS:
            found.append(last)
        last = time
    return found
