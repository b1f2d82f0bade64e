"""The entries of one kind of one book, held against the rows of their table, both told in the order of writing.

Each meets the other at once as long as nothing is wrong; what waits for the other in the end is what is wrong. An
entry that an older version of the program wrote neither says the hash of its row nor who wrote it: it is known by its
time and by all that it shows.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from guardrails.redaction import MASK
from guardrails.store.evidence import Problem
from guardrails.store.proof import content_hash, likeness, shown

_WAITING = 10_000
"""rows of one table that may wait, and entries; where more do, they have no order left to follow"""
_NAMED = 1_000
"""problems of one table of one book that are told one by one"""
_ALIKE = 20
"""rows of one moment among which that of an entry of an older version is looked for, once none is as it says"""
_ANY = 1_000
"""more columns than a table has"""
_FOUND_BY = (
    "order_key", "execution", "entry", "override", "flatten", "delivery", "alert",
    "check_name", "subject", "session", "hash", "old", "new", "state",
)  # fmt: skip
"""columns by which a person finds a row, those it has"""
_LENGTH = 80
"""of what is told of one of them, which may be anything in a row that was edited"""


class Claim(NamedTuple):
    """What one entry says of its row."""

    seq: int
    time: int
    identity: str
    """empty where an older version of the program wrote it"""
    hash: str
    body: str
    sound: bool
    """its content gives its hash; one that does not is named for that, and its row not blamed"""


class Kept(NamedTuple):
    """One row of a table as it is now."""

    place: int
    """in the order of writing; 0 in a table without one"""
    time: int
    identity: str
    hash: str
    told: Mapping[str, Any]


@dataclass(slots=True)
class Pairs:
    """The table `name` of `book`; `rows` are its rows in the order of writing."""

    book: str
    name: str
    rows: Iterator[Kept]
    entries: dict[str, Claim] = field(default_factory=dict)
    """that wait for their row, by its identity"""
    older: dict[str, deque[Claim]] = field(default_factory=dict)
    """those that do not say it, by what they show"""
    strays: dict[str, Kept] = field(default_factory=dict)
    """rows that wait for their entry, by identity"""
    alike: dict[str, deque[str]] = field(default_factory=dict)
    """identities of those that wait or have waited, by what an entry shows of them"""
    waiting: int = 0
    """how many are `older`"""
    problems: list[Problem] = field(default_factory=list)
    untold: int = 0
    unproven: int = 0
    """rows of which only what their entry shows is proven"""
    furthest: tuple[int, int] = (0, 0)
    """entry and row that have met"""
    is_lost: bool = False

    def entry(self, entry: Claim) -> None:
        """Hold the next entry against the next row."""
        if self.is_lost:
            return
        row = next(self.rows, None)
        if row is not None and self._belongs(entry, row):
            self._meet(entry, row)
            return
        if (known := self._stray(entry)) is not None:
            self._meet(entry, known)
        elif entry.identity:
            self.entries[entry.identity] = entry
        else:
            self.older.setdefault(likeness(self.name, entry.time, _body(entry)), deque()).append(entry)
            self.waiting += 1
        if row is not None:
            self._row(row)

    def rest(self) -> list[Problem]:
        """What is wrong, once every entry was told."""
        while not self.is_lost and (row := next(self.rows, None)) is not None:
            self._row(row)
        whole = f"table {self.name}"
        if self.is_lost:
            what = (
                f"more than {_WAITING:,} rows or entries do not find their other: it was emptied, filled or exchanged"
            )
            return [*self.problems, Problem(self.book, 0, 0, what, whole)]
        for entry in (*self.entries.values(), *self._still_older()):
            if entry.sound:
                what = f"proves a row of {self.name} that is missing{_found_by(_body(entry))}"
                self._tell(Problem(self.book, entry.seq, entry.seq, what))
        for row in self.strays.values():
            self._tell(self._problem(row, "put in, or renamed, or its entry was taken out: none proves it"))
        more = [Problem(self.book, 0, 0, f"{self.untold:,} more problems", whole)] if self.untold else []
        return [*self.problems, *more]

    def _belongs(self, entry: Claim, row: Kept) -> bool:
        if entry.identity:
            return entry.identity == row.identity
        return entry.time == row.time and not _differing(entry, row)

    def _row(self, row: Kept) -> None:
        entry = self.entries.pop(row.identity, None)
        alike = likeness(self.name, row.time, shown(self.name, row.told)) if entry is None else ""
        if entry is None and (same := self.older.get(alike)):
            entry = same.popleft()
            self.waiting -= 1
        if entry is not None:
            self._meet(entry, row)
            return
        self.strays[row.identity] = row
        self.alike.setdefault(alike, deque()).append(row.identity)
        self.is_lost = max(len(self.entries) + self.waiting, len(self.strays)) > _WAITING

    def _stray(self, entry: Claim) -> Kept | None:
        """The row of `entry` among those that wait."""
        if entry.identity or not self.strays:
            return self.strays.pop(entry.identity, None)
        same = self.alike.get(likeness(self.name, entry.time, _body(entry)), deque())
        while same:
            if (row := self.strays.pop(same.popleft(), None)) is not None:
                return row
        return None

    def _still_older(self) -> list[Claim]:
        """The entries of an older version that have no row, once those whose row was edited have met it."""
        by_time: dict[int, list[Kept]] = {}
        for row in self.strays.values():
            by_time.setdefault(row.time, []).append(row)
        missing = sorted((entry for same in self.older.values() for entry in same), key=lambda entry: entry.seq)
        for most in (0, _ANY):  # first what only was masked
            missing = [entry for entry in missing if not self._met_alike(entry, by_time.get(entry.time, []), most)]
        return missing

    def _met_alike(self, entry: Claim, rows: list[Kept], most: int) -> bool:
        """Whether one of these `rows` differs from what `entry` shows in at most so many columns."""
        near = [(len(_differing(entry, row)), place) for place, row in enumerate(islice(rows, _ALIKE))]
        if not near or min(near)[0] > most:
            return False
        row = rows.pop(min(near)[1])
        del self.strays[row.identity]
        self._meet(entry, row)
        return True

    def _meet(self, entry: Claim, row: Kept) -> None:
        seq, place = self.furthest
        if row.place and (entry.seq > seq) != (row.place > place):
            self._tell(self._problem(row, f"reordered: its entry is row {entry.seq} of the log"))
        self.furthest = (max(seq, entry.seq), max(place, row.place))
        if not entry.identity:
            self.unproven += 1
        is_other = entry.hash != row.hash if entry.identity else bool(_differing(entry, row))
        if entry.sound and is_other:
            names = ", ".join(_differing(entry, row)) or "a part that is only in its hash"
            self._tell(self._problem(row, f"edited: {names}; its entry is row {entry.seq} of the log"))

    def _problem(self, row: Kept, what: str) -> Problem:
        number = f"row {row.place}" if row.place else "a row"
        return Problem(self.book, 0, 0, what, f"{number} of {self.name}{_found_by(shown(self.name, row.told))}")

    def _tell(self, problem: Problem) -> None:
        if len(self.problems) < _NAMED:
            self.problems.append(problem)
        else:
            self.untold += 1


def _body(entry: Claim) -> Mapping[str, Any]:
    try:
        found = json.loads(entry.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _found_by(told: Mapping[str, Any]) -> str:
    words = [f"{name} {_word(told[name])}" for name in _FOUND_BY if told.get(name)]
    return f" ({', '.join(words)})" if words else ""


def _word(value: object) -> str:
    """What a person can read of a value of a row that may have been edited: one line, and no order to the terminal."""
    text = str(value)
    cut = text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"
    return cut if cut.isprintable() else ascii(cut)


def _differing(entry: Claim, row: Kept) -> list[str]:
    """The columns in which the row is not what its entry shows."""
    body, now = _body(entry), row.told
    found = {column for column, value in body.items() if column in now and not _is_same(value, now[column])}
    if "content_hash" in body and body["content_hash"] != content_hash(now):
        found.add("content")
    if entry.time != row.time and "time" in now:
        found.add("time")
    return sorted(found)


def _is_same(proven: object, now: object) -> bool:
    """Whether a row still says what its entry shows, which proves all of it but what was masked there."""
    if proven == now or not isinstance(proven, str) or not isinstance(now, str) or MASK not in proven:
        return proven == now
    first, *others, last = proven.split(MASK)
    if not now.startswith(first):
        return False
    at = len(first)
    for part in others:
        if (found := now.find(part, at)) < 0:
            return False
        at = found + len(part)
    return now.endswith(last) and len(now) - len(last) >= at
