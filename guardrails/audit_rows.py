"""Do the tables still hold what the evidence log proves? Every row of theirs that was edited, deleted, put in, moved or
renumbered is named.

The entries of a book and the rows of its tables are both read in the order of writing, so that each meets the other at
once; what waits for the other in the end is what is wrong. An entry that an older version of the program wrote does not
say the hash of its row: only the time is held against it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Table, func, inspect, select

from guardrails.store.evidence import Problem, Row
from guardrails.store.proof import KINDS, PROVEN, identity, row_hash, shown

_AT_ONCE = 500
"""rows of one table held in memory"""
_WAITING = 10_000
"""rows and entries of one table that may wait for each other; where more do, they have no order left to follow"""
_NAMED = 1_000
"""problems of one table of one book that are told one by one"""
_CLAIM = re.compile(r'[{,]"row":"([^" ]+) ([0-9a-f]{64})"')
"""what the proof of a row says; within a text of the JSON every quotation mark stands behind a backslash"""
_TABLES = {kind: PROVEN[name] for name, kind in KINDS.items()}
_FOUND_BY = (
    "order_key", "execution", "entry", "override", "flatten", "delivery", "alert",
    "check_name", "subject", "session", "hash", "old", "new", "state",
)  # fmt: skip
"""columns by which a person finds a row, those it has"""


class _Entry(NamedTuple):
    """What one entry says of its row."""

    seq: int
    time: int
    identity: str
    """empty where an older version of the program wrote it"""
    hash: str
    body: str
    sound: bool
    """its content gives its hash; one that does not is named for that, and its row not blamed"""


class _Kept(NamedTuple):
    """One row of a table as it is now."""

    place: int
    """in the order of writing; 0 in a table without one"""
    time: int
    identity: str
    hash: str
    told: Mapping[str, Any]


@dataclass(slots=True)
class _Pairs:
    """The entries of one kind of one book, held against the rows of their table."""

    book: str
    name: str
    rows: Iterator[_Kept]
    entries: dict[str, _Entry] = field(default_factory=dict)
    """that wait for their row, by its identity"""
    older: list[_Entry] = field(default_factory=list)
    """those that do not say it"""
    strays: dict[str, _Kept] = field(default_factory=dict)
    """rows that wait for their entry"""
    problems: list[Problem] = field(default_factory=list)
    untold: int = 0
    unproven: int = 0
    """rows of which only the time is proven"""
    furthest: tuple[int, int] = (0, 0)
    """entry and row that have met"""
    is_lost: bool = False

    def entry(self, entry: _Entry) -> None:
        """Hold the next entry against the next row."""
        if self.is_lost:
            return
        row = next(self.rows, None)
        if row is not None and (row.identity == entry.identity or (not entry.identity and row.time == entry.time)):
            self._meet(entry, row)
            return
        if (known := self._stray(entry)) is not None:
            self._meet(entry, known)
        elif entry.identity:
            self.entries[entry.identity] = entry
        else:
            self.older.append(entry)
        if row is not None:
            self._row(row)

    def rest(self) -> list[Problem]:
        """What is wrong, once every entry was told."""
        while not self.is_lost and (row := next(self.rows, None)) is not None:
            self._row(row)
        whole = f"table {self.name}"
        if self.is_lost:
            what = f"more than {_WAITING:,} rows and entries do not find each other: it was emptied or exchanged"
            return [*self.problems, Problem(self.book, 0, 0, what, whole)]
        for entry in (*self.entries.values(), *self.older):
            if entry.sound:
                what = f"proves a row of {self.name} that is missing{_found_by(_body(entry))}"
                self._tell(Problem(self.book, entry.seq, entry.seq, what))
        for row in self.strays.values():
            self._tell(self._problem(row, "put in, or renamed, or its entry was taken out: none proves it"))
        more = [Problem(self.book, 0, 0, f"{self.untold:,} more problems", whole)] if self.untold else []
        return [*self.problems, *more]

    def _row(self, row: _Kept) -> None:
        entry = self.entries.pop(row.identity, None)
        if entry is None and self.older:
            entry = next((older for older in self.older if older.time == row.time), None)
            self.older = [older for older in self.older if older is not entry]
        if entry is not None:
            self._meet(entry, row)
            return
        self.strays[row.identity] = row
        self.is_lost = len(self.entries) + len(self.older) + len(self.strays) > _WAITING

    def _stray(self, entry: _Entry) -> _Kept | None:
        """The row of `entry` among those that wait."""
        if entry.identity:
            return self.strays.pop(entry.identity, None)
        found = next((stray for stray in self.strays.values() if stray.time == entry.time), None)
        return None if found is None else self.strays.pop(found.identity)

    def _meet(self, entry: _Entry, row: _Kept) -> None:
        seq, place = self.furthest
        if row.place and (entry.seq > seq) != (row.place > place):
            self._tell(self._problem(row, f"reordered: its entry is row {entry.seq} of the log"))
        self.furthest = (max(seq, entry.seq), max(place, row.place))
        if not entry.identity:
            self.unproven += 1
        elif entry.sound and entry.hash != row.hash:
            names = ", ".join(_differing(entry, row)) or "a part that is only in its hash"
            self._tell(self._problem(row, f"edited: {names}; its entry is row {entry.seq} of the log"))

    def _problem(self, row: _Kept, what: str) -> Problem:
        number = f"row {row.place}" if row.place else "a row"
        return Problem(self.book, 0, 0, what, f"{number} of {self.name}{_found_by(shown(row.told))}")

    def _tell(self, problem: Problem) -> None:
        if len(self.problems) < _NAMED:
            self.problems.append(problem)
        else:
            self.untold += 1


class Rows:
    """The rows that are proven, of the database behind `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        there = inspect(connection)
        names = set(there.get_table_names())
        self._columns = {
            name: [table.c[column["name"]] for column in there.get_columns(name) if column["name"] in table.c]
            for name, table in PROVEN.items()
            if name in names
        }
        """those of an older schema are fewer"""
        self._pairs: dict[str, _Pairs] = {}
        """of the book that is read now, by kind"""
        self._done: set[str] = set()
        """books that were read"""
        self.unproven = 0
        """rows of which only the time is proven"""

    def entry(self, row: Row, sound: bool) -> None:  # noqa: FBT001  # as `guardrails.audit` calls it
        """Hold one entry of the log against its row; `sound`: its content gives its hash."""
        table = _TABLES.get(row.kind)
        if table is None:  # it proves no row of a table that this program knows
            return
        claim = _CLAIM.search(row.body)
        if claim is None and table.name not in self._columns:
            return
        who, what = (claim[1], claim[2]) if claim else ("", "")
        pairs = self._pairs.get(row.kind) or self._begun(row.book, row.kind)
        pairs.entry(_Entry(row.seq, row.time, who, what, row.body, sound))

    def rest(self, book: str) -> list[Problem]:
        """What is wrong with the rows of `book`, once all its entries were told."""
        for kind, table in _TABLES.items():
            if kind not in self._pairs and table.name in self._columns:
                self._begun(book, kind)
        found = [problem for pairs in self._pairs.values() for problem in pairs.rest()]
        self.unproven += sum(pairs.unproven for pairs in self._pairs.values())
        self._pairs = {}
        self._done.add(book)
        return found

    def unread(self) -> set[str]:
        """Every book that has rows and was not read yet."""
        queries = [select(PROVEN[name].c.book).distinct() for name in self._columns]
        found = {book for query in queries for book in self._connection.execute(query).scalars()}
        return {book for book in found if isinstance(book, str)} - self._done

    def _begun(self, book: str, kind: str) -> _Pairs:
        table = _TABLES[kind]
        rows = self._read(table, self._columns[table.name], book) if table.name in self._columns else iter(())
        return self._pairs.setdefault(kind, _Pairs(book, table.name, rows))

    def _read(self, table: Table, columns: Sequence[Column[Any]], book: str) -> Iterator[_Kept]:
        is_counted = "id" in table.c
        of_book = func.coalesce(table.c.book, "") == book  # no index of the book: it would have to be sorted by number
        query = select(*columns).where(of_book).order_by(table.c.id if is_counted else table.c.first_used)
        names = [column.name for column in columns]
        for values in self._connection.execute(query.execution_options(yield_per=_AT_ONCE)):
            told = dict(zip(names, values, strict=True))
            place = told.pop("id", 0)
            time = told["time" if "time" in told else "first_used"]
            yield _Kept(place, time, identity(table.name, told), row_hash(table.name, told), told)


def _body(entry: _Entry) -> Mapping[str, Any]:
    try:
        found = json.loads(entry.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _found_by(told: Mapping[str, Any]) -> str:
    words = [f"{name} {told[name]}" for name in _FOUND_BY if told.get(name)]
    return f" ({', '.join(words)})" if words else ""


def _differing(entry: _Entry, row: _Kept) -> list[str]:
    """The columns in which the row is not what its entry shows."""
    body, now = _body(entry), shown(row.told)
    return sorted(name for name, value in body.items() if name in now and now[name] != value)
