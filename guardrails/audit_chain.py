"""The chain of evidence of one book: each row held against itself, the row before it and the head file; and where a row
came from that is not itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import Connection, select

from guardrails.store.evidence import EVIDENCE, ZEROS, Problem, Row, digest
from guardrails.store.evidence_head import HEAD_FILE
from guardrails.store.metadata import micros

TRACED = 200
"""rows that are not themselves whose origin is looked for"""
_TYPES = (str, int, int, str, str, str, str)
_TIMES = range(micros(datetime.min.replace(tzinfo=UTC)), micros(datetime.max.replace(tzinfo=UTC)))
_BEHEADED = "is not the first of a chain: it was put in, or the rows before it were cut"

Found = tuple[Problem, Row | None]
"""with the row whose content does not give its hash"""
Told = Callable[[Row, bool], None]
"""is told each row, and whether its content gives its hash"""


def walk(book: str, rows: Iterable[Row], known: tuple[int, str], tell: Told) -> Iterator[Found]:
    """Hold each row of one book against the row before it and against the head file."""
    name = book if isinstance(book, str) else repr(book)
    last, hashes = 0, {ZEROS}  # a row that was edited may still be known by its old hash
    for row in rows:
        if not isinstance(row.seq, int):
            yield Problem(name, last, last, "is followed by a row whose seq is no integer"), None
            continue
        mistyped = _mistyped(row)
        own = row.hash if mistyped else digest(row)
        if not mistyped:
            tell(row, own == row.hash)
        if row.seq != last + 1:
            yield _misplaced(name, row.seq, last), None
        elif row.before not in hashes and not (own != row.hash and _only_before(row, hashes)):
            what = "do not belong together: one was rewritten with a new hash, or put in" if last else _BEHEADED
            yield Problem(name, last or 1, row.seq, what), None
        if mistyped:
            yield Problem(name, row.seq, row.seq, f"edited: its {mistyped}"), None
        elif own != row.hash:
            yield Problem(name, row.seq, row.seq, "edited or put in: its content does not give its hash"), row
        if row.seq == known[0] and known[1] not in (row.hash, own):
            yield Problem(name, row.seq, row.seq, f"rewritten: {HEAD_FILE} knows it with another hash"), None
        hashes = {text for text in (row.hash, own) if isinstance(text, str)} | (hashes if row.seq == last else set())
        last = max(last, row.seq)
    if known[0] > last:
        yield cut_off(name, last, known[0]), None


def cut_off(book: str, last: int, count: int) -> Problem:
    """What is wrong where `last` is the last row and the head file counts `count`."""
    what = f"missing: {HEAD_FILE} counts {count:,}; the end was cut, or the database exchanged for an older one"
    return Problem(book, last + 1, count, what)


def traced(connection: Connection, found: list[Found]) -> list[Problem]:
    """The problems, with the place a row came from where another place gives it its hash."""
    strays = [row for _, row in found if row is not None]
    if not strays:
        return [problem for problem, _ in found]
    hashes = [row.hash for row in strays if row.hash.isascii()]
    same = select(EVIDENCE.c.book, EVIDENCE.c.seq).where(EVIDENCE.c.hash.in_(hashes))
    copies = connection.execute(same.limit(TRACED * 10))
    rows = ((p.book, seq) for p, _ in found if p.book is not None for seq in range(p.first, p.last + 1))
    broken = set(islice(rows, TRACED))
    twins = {(book, seq) for book, seq in copies if isinstance(book, str) and isinstance(seq, int)}
    twins -= {(row.book, row.seq) for row in strays}  # what is left is itself, so the other one is the copy
    return [problem if row is None else _origin(problem, row, broken, twins) for problem, row in found]


def _misplaced(book: str, seq: int, last: int) -> Problem:
    if seq > last + 1:
        return Problem(book, last + 1, seq - 1, "missing")
    what = "duplicated: it stands there twice" if seq == last > 0 else f"stands where row {last + 1} should be"
    return Problem(book, seq, seq, what)


def _mistyped(row: Row) -> str:
    """The first column that holds what `append` never writes there."""
    for name, value, kind in zip(row._fields, row, _TYPES, strict=True):
        if not isinstance(value, kind):
            return f"{name} is {'no integer' if kind is int else 'no text'}"
    return "" if row.time in _TIMES else "time is no moment"


def _only_before(row: Row, hashes: Iterable[str]) -> bool:
    """Whether `row` is itself but for what it says about the row before it."""
    return any(digest(row._replace(before=other)) == row.hash for other in hashes)


def _origin(problem: Problem, row: Row, broken: set[tuple[str, int]], twins: set[tuple[str, int]]) -> Problem:
    for book, seq in (*broken, (row.book, row.seq - 1), (row.book, row.seq + 1), *twins):
        if digest(row._replace(book=book, seq=seq)) == row.hash:
            how = "duplicated: a copy of" if (book, seq) in twins else "reordered: holds what was"
            of_book = "" if book == row.book else f" of book {book!r}"
            return replace(problem, what=f"{how} row {seq}{of_book}")
    return problem
