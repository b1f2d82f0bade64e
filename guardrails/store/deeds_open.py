"""What a program that begins to watch must know of orders: those that live or changed, fills, safety, overrides,
flatten runs, and the trades that are open.

It reads the database and every row that still waits for it, also of a program that was killed. What may live at a
broker and cannot be read is an error and not left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, Table

from guardrails.execution.values import FlattenRun, JournalEntry, OpenDeeds, OrderRecord, RunState
from guardrails.gate.values import Override
from guardrails.journal.entries import latest_revisions
from guardrails.journal.trades import trades_of
from guardrails.orders import Fill, OrderState
from guardrails.safety import SafetyChange
from guardrails.store.deed_rows import deed_in
from guardrails.store.deeds import FILLS, FLATTEN_RUNS, JOURNAL, ORDERS, OVERRIDES, SAFETY_CHANGES
from guardrails.store.metadata import StoreError, micros
from guardrails.store.spool import Sent
from guardrails.store.steps import BookSteps, Step, latest

log = logging.getLogger(__name__)

OPEN_DAYS = 400
"""an order, a run or a trade of which no row is younger is not brought back: no order rests so long anywhere"""
_UNFINISHED = timedelta(days=7)
"""how far back a journal entry is looked for that has no picture of the book after it"""
_LONGEST_OVERRIDE = timedelta(days=2)
_KEYS = {
    ORDERS: "order_key",
    FILLS: "execution",
    JOURNAL: "entry",
    OVERRIDES: "override",
    FLATTEN_RUNS: "flatten",
    SAFETY_CHANGES: "",
}
_Value = TypeVar("_Value")


def open_deeds(connection: Connection, book: str, waiting: Iterable[Sent], since: datetime, now: datetime) -> OpenDeeds:
    """What is open in `book`, and what was done since `since`, from the database and from rows that wait for it.

    StoreError when an order or a run that may live, a fill or the last safety state cannot be read.
    """
    rows = BookSteps(connection, book, waiting, _KEYS)
    begin = micros(now - timedelta(days=OPEN_DAYS))
    return OpenDeeds(
        orders=tuple(sorted(_orders(rows, begin, since), key=lambda record: (record.created, record.key))),
        fills=_fills(rows, since),
        safety=_safety(rows),
        overrides=tuple(_overrides(rows, since, now)),
        runs=tuple(sorted(_runs(rows, begin), key=lambda run: (run.time, run.key))),
        entries=_entries(rows, begin, since),
    )


def _orders(rows: BookSteps, begin: int, since: datetime) -> Iterable[OrderRecord]:
    over = {state.value for state in OrderState if state.is_over}
    steps = latest(rows.steps(ORDERS, begin)).values()
    wanted = [step for step in steps if step.state not in over or step.time >= micros(since)]
    for record in _values(rows, ORDERS, wanted, OrderRecord, strict=True):
        if not record.state.is_over or record.changed >= since:
            yield record


def _fills(rows: BookSteps, since: datetime) -> tuple[Fill, ...]:
    steps = sorted(rows.steps(FILLS, micros(since)), key=lambda step: (step.time, step.number))
    told = [fill for fill in _values(rows, FILLS, steps, Fill, strict=True) if fill.time >= since]
    return latest_revisions(told)


def _safety(rows: BookSteps) -> SafetyChange | None:
    steps = latest(rows.steps(SAFETY_CHANGES, 0)).values()
    return next(iter(_values(rows, SAFETY_CHANGES, list(steps), SafetyChange, strict=True)), None)


def _overrides(rows: BookSteps, since: datetime, now: datetime) -> Iterable[Override]:
    begin = micros(min(since, now) - _LONGEST_OVERRIDE)
    steps = latest(rows.steps(OVERRIDES, begin)).values()
    recent = {step.key for step in steps if step.time >= micros(since)}
    for override in _values(rows, OVERRIDES, list(steps), Override, strict=False):
        in_force = override.ended is None and override.until > now
        if in_force or (override.used and override.key in recent):
            yield override


def _runs(rows: BookSteps, begin: int) -> Iterable[FlattenRun]:
    steps = latest(rows.steps(FLATTEN_RUNS, begin)).values()
    running = [step for step in steps if step.state != RunState.DONE.value]
    yield from _values(rows, FLATTEN_RUNS, running, FlattenRun, strict=True)


def _entries(rows: BookSteps, begin: int, since: datetime) -> tuple[JournalEntry, ...]:
    steps = list(latest(rows.steps(JOURNAL, begin)).values())
    every = list(_values(rows, JOURNAL, steps, JournalEntry, strict=False))
    open_ones = {part.entry.key for story in trades_of(every) if story.closed is None for part in story.parts}
    unfinished = since - _UNFINISHED
    found = [
        entry for entry in every
        if entry.stands or entry.key in open_ones or (entry.legs and entry.after is None and entry.time >= unfinished)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda entry: (entry.time, entry.key)))


def _values(
    rows: BookSteps, table: Table, steps: Iterable[Step], kind: type[_Value], *, strict: bool
) -> Iterator[_Value]:
    """The values after these steps, in their order.

    One that cannot be read is a StoreError when `strict`, else it is logged and left out.
    """
    for row in rows.rows(table, steps):
        try:
            value = deed_in(table, row["content"] or "")
        except ValueError as error:
            if strict:
                said = f"a row of {table.name} cannot be read by this program ({type(error).__name__})"
                raise StoreError(f"{said}; it may be of a newer version: start that one.") from None
            log.error("a row of %s cannot be read and is left out (%s)", table.name, type(error).__name__)  # noqa: TRY400  # the text of the error holds the row
            continue
        if isinstance(value, kind):
            yield value
