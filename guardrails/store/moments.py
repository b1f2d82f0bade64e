"""What stands beside a stored moment: the moments before and after it, and the matrix that was in force."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from guardrails.store.metadata import micros, moment
from guardrails.store.schema import MATRIX_VERSIONS
from guardrails.store.sharing import CAPTURES


def neighbours(connection: Connection, book: str, time: datetime) -> tuple[datetime | None, datetime | None]:
    """Times of the last capture before `time` and of the first after it; None where there is none."""
    c = CAPTURES.c
    of_book = c.book == book
    before = connection.execute(select(func.max(c.time)).where(of_book, c.time < micros(time))).scalar_one()
    after = connection.execute(select(func.min(c.time)).where(of_book, c.time > micros(time))).scalar_one()
    return _read(before), _read(after)


def matrix_text(connection: Connection, book: str, version: str) -> str | None:
    """The whole file of the matrix called `version`, as it was; None when it is not stored."""
    c = MATRIX_VERSIONS.c
    found = connection.execute(select(c.content).where(c.book == book, c.hash == version)).first()
    return None if found is None else str(found[0])


def _read(stored: int | None) -> datetime | None:
    return None if stored is None else moment(stored)
