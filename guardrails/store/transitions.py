"""The changes of level of a range of time, behind the levels that stood when it began."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from guardrails.store.points import fetch
from guardrails.store.schema import FINDING_TRANSITIONS

MOST_TRANSITIONS = 20_000
"""changes of level read at once; of more only the newest"""


def transitions(
    connection: Connection, book: str, begin: int, end: int, most: int, checks: Sequence[str] = ()
) -> tuple[list[tuple[Any, ...]], int]:
    """The changes of level from `begin` to before `end` behind the levels that stood before, and from when on all are.

    Columns: time, check, subject, new level, value, limit, unit, message, matrix version, evidence; in order of time.
    `checks`: only these. Of more than `most` changes the newest; what stood before them is told then too.
    """
    c = FINDING_TRANSITIONS.c
    names = (
        c.time, c.check_name, c.subject, c.new, c.value, c.limit_value, c.unit, c.message, c.matrix_version, c.evidence,
    )  # fmt: skip
    mine = select(*names).where(c.book == book, *([c.check_name.in_(checks)] if checks else []))
    newest = mine.where(c.time >= begin, c.time < end).order_by(c.time.desc(), c.id.desc()).limit(most + 1)
    rows, complete_from, until = fetch(connection, newest)[::-1], begin, begin
    if len(rows) > most:
        complete_from = int(rows[0][0])
        until = complete_from + 1
        rows = [row for row in rows if row[0] >= until]
    last = select(c.check_name, c.subject, func.max(c.time)).where(c.book == book, c.time < until)
    if checks:
        last = last.where(c.check_name.in_(checks))
    latest = {
        (check, subject): time for check, subject, time in fetch(connection, last.group_by(c.check_name, c.subject))
    }
    at_once = mine.where(c.time.in_(sorted(set(latest.values())))).order_by(c.time, c.id)
    # of several changes at one time the one stored last
    before = {row[1:3]: row for row in fetch(connection, at_once) if latest.get(row[1:3]) == row[0]}
    return [*before.values(), *rows], complete_from
