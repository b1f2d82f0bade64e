"""Do the tables still hold what the evidence log proves? Every row of theirs that was edited, deleted, put in, moved or
renumbered is named.

The log and every table are read beside each other, each once, a few hundred rows at a time; how they are held against
each other is told in `guardrails.audit_pairs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, func, inspect, select

from guardrails.audit_pairs import Claim, Kept, Pairs
from guardrails.store.evidence import Problem, Row
from guardrails.store.evidence_head import HEAD_FILE
from guardrails.store.proof import KINDS, PROVEN, identity, row_hash
from guardrails.store.read_only import schema_said
from guardrails.store.upgrade import HEAD

_AT_ONCE = 500
"""rows of one table held in memory"""
_CLAIM = re.compile(r'[{,]"row":"([^" ]+) ([0-9a-f]{64})"')
"""what the proof of a row says; within a text of the JSON every quotation mark stands behind a backslash"""
_TABLES = {kind: PROVEN[name] for name, kind in KINDS.items()}


class Rows:
    """The rows that are proven, of the database behind `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        there = inspect(connection)
        names = set(there.get_table_names())
        found = {
            name: [table.c[column["name"]] for column in there.get_columns(name) if column["name"] in table.c]
            for name, table in PROVEN.items()
            if name in names
        }
        self._columns = {name: columns for name, columns in found.items() if _is_told_apart(name, columns)}
        """those of an older schema are fewer; a table of which none can be told from another has lost its rows"""
        self._is_ours = schema_said(connection) == HEAD
        """then every table should be there"""
        self._pairs: dict[str, Pairs] = {}
        """of the book that is read now, by kind"""
        self._done: set[str] = set()
        """books that were read"""
        self.unproven = 0
        """rows of which only what their entry shows is proven"""
        self.late: list[tuple[str, int]] = []
        """book and row of the entries of an older version behind one of this version; the first of each book"""
        self._whole: set[str] = set()
        """books with an entry that proves its whole row"""

    def entry(self, row: Row, sound: bool) -> None:  # noqa: FBT001  # as `audit_chain.walk` calls it
        """Hold one entry of the log against its row; `sound`: its content gives its hash."""
        table = _TABLES.get(row.kind)
        if table is None:  # it proves no row of a table that this program knows
            return
        claim = _CLAIM.search(row.body)
        if claim is None and table.name not in self._columns and not self._is_ours:
            return
        if claim is not None:
            self._whole.add(row.book)
        elif row.book in self._whole and all(book != row.book for book, _ in self.late[-1:]):
            self.late.append((row.book, row.seq))
        who, what = (claim[1], claim[2]) if claim else ("", "")
        pairs = self._pairs.get(row.kind) or self._begun(row.book, row.kind)
        pairs.entry(Claim(row.seq, row.time, who, what, row.body, sound))

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

    def notes(self) -> list[str]:
        """What entries of an older version leave open; the proof of a whole row may also have been taken out of one."""
        if not self.unproven:
            return []
        what = "prove of their row what they show, neither its number nor the whole text of a message or matrix"
        return [
            f"{self.unproven:,} entries of an older version {what}",
            *(
                f"book {book!r}, row {seq}: from here on such entries stand behind others that prove all; if no older "
                f"version ran then, the log was written anew: hold it against a copy of {HEAD_FILE}"
                for book, seq in self.late
            ),
        ]

    def unread(self) -> set[str]:
        """Every book that has rows and was not read yet."""
        return {book for name in self._columns for book in self._books(name) if isinstance(book, str)} - self._done

    def nobodys(self) -> list[Problem]:
        """Tables with rows whose book is no text, which SQLite takes and nothing of ours ever finds."""
        strange = (name for name in self._columns if not all(isinstance(book, str) for book in self._books(name)))
        what = "has rows that name no book: they were put in"
        return [Problem(None, 0, 0, f"table {name} {what}") for name in strange]

    def _books(self, name: str) -> Sequence[object]:
        return self._connection.execute(select(PROVEN[name].c.book).distinct()).scalars().all()

    def _begun(self, book: str, kind: str) -> Pairs:
        table = _TABLES[kind]
        rows = self._read(table, self._columns[table.name], book) if table.name in self._columns else iter(())
        return self._pairs.setdefault(kind, Pairs(book, table.name, rows))

    def _read(self, table: Table, columns: Sequence[Column[Any]], book: str) -> Iterator[Kept]:
        is_counted = "id" in table.c
        of_book = func.coalesce(table.c.book, "") == book  # no index of the book: it would have to be sorted by number
        query = select(*columns).where(of_book).order_by(table.c.id if is_counted else table.c.first_used)
        names = [column.name for column in columns]
        for values in self._connection.execute(query.execution_options(yield_per=_AT_ONCE)):
            told = dict(zip(names, values, strict=True))
            place = told.pop("id", 0)
            time = told["time" if "time" in told else "first_used"]
            yield Kept(place, time, identity(table.name, told), row_hash(table.name, told), told)


def _is_told_apart(name: str, columns: Sequence[Column[Any]]) -> bool:
    """Whether the table has the columns by which one of its rows is found."""
    needed = {"id", "run", "number", "book", "time"} if "id" in PROVEN[name].c else {"hash", "book", "first_used"}
    return needed <= {column.name for column in columns}
