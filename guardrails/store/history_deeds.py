"""What was done over time: safety states, flattens and fills, for the marks on the time line of the history."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from guardrails.orders import Fill
from guardrails.safety import SafetyChange
from guardrails.store.deed_rows import deed_in
from guardrails.store.deeds import FILLS, FLATTEN_RUNS, SAFETY_CHANGES
from guardrails.store.metadata import micros
from guardrails.store.points import fetch

MOST_DEEDS = 2_000
"""of one kind, the newest: a picture shows no more"""
_AHEAD = 60_000_000
"""microseconds that a broker's clock may run ahead of ours: no fill is told before it is made"""


@dataclass(frozen=True, slots=True)
class SafetyStep:
    """A safety state that was set; time in microseconds."""

    time: int
    state: str
    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class FlattenStep:
    """A flatten that began; times in microseconds, `end` None while it was not over in what was read."""

    time: int
    end: int | None
    author: str
    words: str


@dataclass(frozen=True, slots=True)
class FillMark:
    """An execution; time in microseconds, quantity below zero is sold."""

    time: int
    what: str
    quantity: float | None
    price: float | None
    account: str
    gated: bool
    """whether it came through the gate"""


@dataclass(frozen=True, slots=True)
class Deeds:
    """What was done in a range of time, oldest first."""

    safety: tuple[SafetyStep, ...] = ()
    """the first may be older than the range: it stood when that began"""
    flattens: tuple[FlattenStep, ...] = ()
    fills: tuple[FillMark, ...] = ()
    complete_from: int = 0
    """microseconds; before it there are more than are read"""


def deeds(connection: Connection, book: str, begin: int, end: int, most: int = MOST_DEEDS) -> Deeds:
    """What was done from `begin` to before `end` (microseconds), of each kind the newest `most`."""
    fills, told_from = _fills(connection, book, begin, end, most)
    return Deeds(_safety(connection, book, begin, end, most), _flattens(connection, book, begin, end), fills, told_from)


def _safety(connection: Connection, book: str, begin: int, end: int, most: int) -> tuple[SafetyStep, ...]:
    """Rows are in the order of what they tell, but after a clock was set back they are of a later time than that: then
    the state counts from when it was set, and what a clock that ran ahead had set before ends there.
    """
    c = SAFETY_CHANGES.c
    query = select(c.time, c.new, c.author, c.reason, c.content).where(c.book == book)
    parts = ((c.time >= end, most), ((c.time >= begin) & (c.time < end), most), (c.time < begin, 1))
    steps: list[SafetyStep] = []
    until = sys.maxsize
    for which, many in parts:
        newest = query.where(which).order_by(c.time.desc(), c.id.desc()).limit(many)
        for time, state, author, reason, content in fetch(connection, newest):
            until = min(until, time, _set_at(content, time))
            steps.append(SafetyStep(until, state, author, reason))
    told = [step for step in steps if step.time < end]
    older = next((place for place, step in enumerate(told) if step.time < begin), len(told))
    return tuple(reversed(told[: older + 1]))


def _set_at(content: str | None, time: int) -> int:
    """When the state in a row of this `time` was set; `time` where this version of the program cannot read it."""
    try:
        change = deed_in(SAFETY_CHANGES, content or "")
    except ValueError:
        return time
    return micros(change.time) if isinstance(change, SafetyChange) else time


def _flattens(connection: Connection, book: str, begin: int, end: int) -> tuple[FlattenStep, ...]:
    """Each as its first row in the range tells it, until its first row that says it is done."""
    c = FLATTEN_RUNS.c
    query = select(c.flatten, c.time, c.state, c.author, c.words)
    rows = fetch(connection, query.where(c.book == book, c.time >= begin, c.time < end).order_by(c.time, c.id))
    found: dict[str, FlattenStep] = {}
    for key, time, state, author, words in rows:
        known = found.get(key)
        over = time if state == "done" else None
        if known is None:
            found[key] = FlattenStep(time, over, author, words)
        elif known.end is None and over is not None:
            found[key] = FlattenStep(known.time, over, known.author, words or known.words)
    return tuple(found.values())


def _fills(connection: Connection, book: str, begin: int, end: int, most: int) -> tuple[tuple[FillMark, ...], int]:
    """The last word of each execution, and the time from which they are complete."""
    c = FILLS.c
    query = select(
        c.execution, c.executed, c.key, c.quantity, c.price, c.broker, c.account, c.order_key, c.revision, c.content
    ).where(c.book == book, c.time >= begin - _AHEAD, c.executed >= begin, c.executed < end)
    rows = fetch(connection, query.order_by(c.executed.desc(), c.id.desc()).limit(most + 1))
    told_from = int(rows[-1][1]) if len(rows) > most else begin
    return tuple(sorted(_latest(rows[:most]), key=lambda fill: fill.time)), told_from


def _latest(rows: Iterable[tuple[Any, ...]]) -> Iterable[FillMark]:
    last: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        known = last.get(row[0])
        if known is None or (row[8] or 0) > (known[8] or 0):
            last[row[0]] = row
    for _, time, key, quantity, price, broker, account, order, _, content in last.values():
        yield FillMark(time, _label(content, key), quantity, price, f"{broker} {account}", order is not None)


def _label(content: str | None, key: str) -> str:
    """What was traded, as a person says it; its key where this version of the program cannot read the row."""
    try:
        fill = deed_in(FILLS, content or "")
    except ValueError:
        return key
    return fill.instrument.label if isinstance(fill, Fill) else key
