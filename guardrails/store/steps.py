"""What rows of events say is true last, of those in the database and of those that still wait for it in a spool.

Rows may come late and out of order: those of a program that lost its lease wait in its spool until it, or a later
start, writes the book again. So what is true of a thing is not its row stored last. Within one run the writer's own
count tells the order, between runs the time of the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, literal, select

from guardrails.store.inserts import columns
from guardrails.store.points import fetch
from guardrails.store.spool import Sent

CHUNK = 500
"""keys asked for in one statement"""
_BEHIND = 1 << 63
"""no row has so high a number"""


class Step(NamedTuple):
    """One row of a table of events, as far as it says what is true last."""

    run: str
    number: int
    time: int
    key: str
    """of what it is a step of: an alert, a delivery, an order"""
    state: str


def latest(steps: Iterable[Step]) -> dict[str, Step]:
    """What is true last, by key: the last of each run by the run's own count, of several runs the latest by time."""
    of_runs: dict[tuple[str, str], Step] = {}
    for step in steps:
        known = of_runs.get((step.key, step.run))
        if known is None or known.number < step.number:
            of_runs[step.key, step.run] = step
    found: dict[str, Step] = {}
    for step in of_runs.values():
        known = found.get(step.key)
        if known is None or (known.time, known.number) < (step.time, step.number):
            found[step.key] = step
    return found


def fetch_ids(
    connection: Connection, query: Select[Any], table: Table, ids: Sequence[int]
) -> Iterator[tuple[Any, ...]]:
    """The rows of `query` that are of these rows of `table`, as `fetch` gives them."""
    for begin in range(0, len(ids), CHUNK):
        yield from fetch(connection, query.where(table.c.id.in_(ids[begin : begin + CHUNK])))


class BookSteps:
    """The rows of one book: those in the database, and those that wait for it, which may be in both."""

    def __init__(self, connection: Connection, book: str, waiting: Iterable[Sent], keys: Mapping[Table, str]) -> None:
        """`keys`: of each table the column that says what a row is a step of; empty where all are of one thing."""
        self.connection, self.book, self._keys = connection, book, keys
        self._ids: dict[tuple[str, str, int], int] = {}
        """of those that are in the database, by table, run and number"""
        self._waiting: dict[tuple[str, str, int], Mapping[str, Any]] = {}
        names = {table.name: columns(table) for table in keys}
        for name, row in waiting:
            if len(row) == len(names.get(name, ())):
                told: dict[str, Any] = dict(zip(names[name], row, strict=True))
                if told["book"] == book:
                    self._waiting[name, told["run"], told["number"]] = told

    def steps(self, table: Table, begin: int, only: str | None = None) -> list[Step]:
        """Every row of `table` that is not older than `begin`, in microseconds; with the key `only` when given."""
        c, key = table.c, self._keys[table]
        told_key, state = c[key] if key else literal(""), c.state if "state" in c else literal("")
        query = select(c.id, c.run, c.number, c.time, told_key, state).where(c.book == self.book, c.time >= begin)
        if only is not None:
            query = query.where(told_key == only)
        found = []
        for row_id, *told in fetch(self.connection, query):
            step = Step(*told)
            self._ids[table.name, step.run, step.number] = row_id
            found.append(step)
        for place, row in self._waiting.items():
            if place[0] == table.name and place not in self._ids and row["time"] >= begin:
                step = Step(place[1], place[2], row["time"], row.get(key, ""), row.get("state", ""))
                if only is None or step.key == only:
                    found.append(step)
        return found

    def place(self, table: Table, step: Step) -> int:
        """Where the row of this step stands in the order of storing; one that waits, behind all that are stored."""
        row_id = self._ids.get((table.name, step.run, step.number))
        return _BEHIND + step.time if row_id is None else row_id

    def rows(self, table: Table, steps: Iterable[Step]) -> list[Mapping[str, Any]]:
        """The whole rows of these steps, in their order."""
        places = [(table.name, step.run, step.number) for step in steps]
        names, ids = [column.name for column in table.c], [self._ids[place] for place in places if place in self._ids]
        whole = (dict(zip(names, row, strict=True)) for row in fetch_ids(self.connection, select(table), table, ids))
        stored = {row["id"]: row for row in whole}
        return [stored[self._ids[place]] if place in self._ids else self._waiting[place] for place in places]

    def waiting(self, table: Table) -> list[Mapping[str, Any]]:
        """The rows of `table` that wait, in the order in which they were handed over; some may be stored, too."""
        return [row for (name, _, _), row in self._waiting.items() if name == table.name]
