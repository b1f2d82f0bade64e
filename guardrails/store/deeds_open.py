"""What a program that begins to watch must know of orders: those that live or changed, fills, safety, overrides,
flatten runs, and the trades that are open.

It reads the database and every row that still waits for it, also of a program that was killed. What may live at a
broker and cannot be read is an error and not left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, literal, select

from guardrails.execution.values import FlattenRun, JournalEntry, OpenDeeds, OrderRecord, RunState
from guardrails.gate.values import Override
from guardrails.journal.entries import latest_revisions
from guardrails.journal.trades import trades_of
from guardrails.orders import Fill, OrderState
from guardrails.safety import SafetyChange
from guardrails.store.alert_rows import CHUNK, Step, latest
from guardrails.store.deed_rows import TABLES, deed_in
from guardrails.store.deeds import FILLS, FLATTEN_RUNS, JOURNAL, ORDERS, OVERRIDES, SAFETY_CHANGES
from guardrails.store.inserts import columns
from guardrails.store.metadata import StoreError, micros
from guardrails.store.points import fetch
from guardrails.store.spool import Sent

log = logging.getLogger(__name__)

OPEN_DAYS = 400
"""an order, a run or a trade of which no row is younger is not brought back: no order rests so long anywhere"""
_UNFINISHED = timedelta(days=7)
"""how far back a journal entry is looked for that has no picture of the book after it"""
_LONGEST_OVERRIDE = timedelta(days=2)
_TABLES = {table.name: table for table in TABLES.values()}
_KEYS: Mapping[str, ColumnElement[Any]] = {
    ORDERS.name: ORDERS.c.order_key,
    FILLS.name: FILLS.c.execution,
    JOURNAL.name: JOURNAL.c.entry,
    OVERRIDES.name: OVERRIDES.c.override,
    FLATTEN_RUNS.name: FLATTEN_RUNS.c.flatten,
    SAFETY_CHANGES.name: literal("safety"),
}
_Value = TypeVar("_Value")


def open_deeds(connection: Connection, book: str, waiting: Iterable[Sent], since: datetime, now: datetime) -> OpenDeeds:
    """What is open in `book`, and what was done since `since`, from the database and from rows that wait for it.

    StoreError when an order or a run that may live, a fill or the last safety state cannot be read.
    """
    rows = _Rows(connection, book, waiting)
    begin = micros(now - timedelta(days=OPEN_DAYS))
    return OpenDeeds(
        orders=tuple(sorted(_orders(rows, begin, since), key=lambda record: (record.created, record.key))),
        fills=_fills(rows, since),
        safety=_safety(rows),
        overrides=tuple(_overrides(rows, since, now)),
        runs=tuple(sorted(_runs(rows, begin), key=lambda run: (run.time, run.key))),
        entries=_entries(rows, begin, since),
    )


def _orders(rows: _Rows, begin: int, since: datetime) -> Iterable[OrderRecord]:
    over = {state.value for state in OrderState if state.is_over}
    steps = latest(rows.steps(ORDERS, begin)).values()
    wanted = [step for step in steps if step.state not in over or step.time >= micros(since)]
    for record in rows.values(ORDERS, wanted, OrderRecord, strict=True):
        if not record.state.is_over or record.changed >= since:
            yield record


def _fills(rows: _Rows, since: datetime) -> tuple[Fill, ...]:
    steps = sorted(rows.steps(FILLS, micros(since)), key=lambda step: (step.time, step.number))
    told = [fill for fill in rows.values(FILLS, steps, Fill, strict=True) if fill.time >= since]
    return latest_revisions(told)


def _safety(rows: _Rows) -> SafetyChange | None:
    steps = latest(rows.steps(SAFETY_CHANGES, 0)).values()
    return next(iter(rows.values(SAFETY_CHANGES, list(steps), SafetyChange, strict=True)), None)


def _overrides(rows: _Rows, since: datetime, now: datetime) -> Iterable[Override]:
    begin = micros(min(since, now) - _LONGEST_OVERRIDE)
    steps = latest(rows.steps(OVERRIDES, begin)).values()
    recent = {step.key for step in steps if step.time >= micros(since)}
    for override in rows.values(OVERRIDES, list(steps), Override, strict=False):
        in_force = override.ended is None and override.until > now
        if in_force or (override.used and override.key in recent):
            yield override


def _runs(rows: _Rows, begin: int) -> Iterable[FlattenRun]:
    steps = latest(rows.steps(FLATTEN_RUNS, begin)).values()
    running = [step for step in steps if step.state != RunState.DONE.value]
    yield from rows.values(FLATTEN_RUNS, running, FlattenRun, strict=True)


def _entries(rows: _Rows, begin: int, since: datetime) -> tuple[JournalEntry, ...]:
    steps = list(latest(rows.steps(JOURNAL, begin)).values())
    every = list(rows.values(JOURNAL, steps, JournalEntry, strict=False))
    open_ones = {part.entry.key for story in trades_of(every) if story.closed is None for part in story.parts}
    unfinished = since - _UNFINISHED
    found = [
        entry for entry in every
        if entry.stands or entry.key in open_ones or (entry.legs and entry.after is None and entry.time >= unfinished)
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda entry: (entry.time, entry.key)))


class _Rows:
    """The rows of one book: those in the database, and those that wait for it, which may be in both."""

    def __init__(self, connection: Connection, book: str, waiting: Iterable[Sent]) -> None:
        self._connection, self._book = connection, book
        self._waiting: dict[tuple[str, str, int], Mapping[str, Any]] = {}
        """by table, run and number"""
        for name, row in waiting:
            names = columns(_TABLES[name]) if name in _TABLES else ()
            told: dict[str, Any] = dict(zip(names, row, strict=False))
            if len(names) == len(row) and told.get("book") == book:
                self._waiting[name, told["run"], told["number"]] = told
        self._ids: dict[tuple[str, str, int], int] = {}
        """those that are in the database"""

    def steps(self, table: Table, begin: int) -> list[Step]:
        """Every row that was handed over at or after `begin`, in microseconds."""
        c, key = table.c, _KEYS[table.name]
        state = c.state if "state" in c else literal("")
        query = select(c.id, c.run, c.number, c.time, key, state).where(c.book == self._book, c.time >= begin)
        found = []
        for row_id, *told in fetch(self._connection, query):
            step = Step(*told)
            self._ids[table.name, step.run, step.number] = row_id
            found.append(step)
        name_of_key = getattr(key, "name", "")
        for place, row in self._waiting.items():
            if place[0] == table.name and place not in self._ids and row["time"] >= begin:
                found.append(Step(*place[1:], row["time"], row.get(name_of_key, "safety"), row.get("state", "")))
        return found

    def values(self, table: Table, steps: Iterable[Step], kind: type[_Value], *, strict: bool) -> list[_Value]:
        """The values after these steps, in their order.

        One that cannot be read is a StoreError when `strict`, else it is logged and left out.
        """
        contents = self._contents(table, list(steps))
        found: list[_Value] = []
        for content in contents:
            try:
                value = deed_in(table, content)
            except ValueError as error:
                if strict:
                    said = f"a row of {table.name} cannot be read by this program ({type(error).__name__})"
                    raise StoreError(f"{said}; it may be of a newer version: start that one.") from None
                log.error("a row of %s cannot be read and is left out (%s)", table.name, type(error).__name__)  # noqa: TRY400  # the text of the error holds the row
                continue
            if isinstance(value, kind):
                found.append(value)
        return found

    def _contents(self, table: Table, steps: list[Step]) -> list[str]:
        places = [(table.name, step.run, step.number) for step in steps]
        ids = [self._ids[place] for place in places if place in self._ids]
        stored: dict[int, str] = {}
        for begin in range(0, len(ids), CHUNK):
            query = select(table.c.id, table.c.content).where(table.c.id.in_(ids[begin : begin + CHUNK]))
            stored |= {row_id: content or "" for row_id, content in fetch(self._connection, query)}
        return [
            stored[self._ids[place]] if place in self._ids else str(self._waiting[place]["content"])
            for place in places
        ]  # fmt: skip
