"""Replays of what the store holds; it is only read, in many short transactions, so that nobody waits for a replay."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DatabaseError

from guardrails.comparison import Comparison, compare
from guardrails.errors import MatrixError
from guardrails.matrix import RiskMatrix, parse
from guardrails.replay import Judged, Judging, Matrices
from guardrails.replay_processes import replay_parts
from guardrails.store.captures import Captured, captures
from guardrails.store.faults import reason
from guardrails.store.metadata import StoreError, micros, moment
from guardrails.store.read_only import opened_file, state_of
from guardrails.store.schema import MATRIX_VERSIONS
from guardrails.store.sharing import CAPTURES

Reading = Callable[[], AbstractContextManager[Connection]]
"""one transaction to read in, as `Database.reading`"""
Seen = Callable[[int, int], None]
"""told after every moment: how many were judged, and of how many"""

log = logging.getLogger(__name__)

_AT_ONCE = 100
_INSTANT = timedelta(microseconds=1)


def _one(_moments: int) -> int:
    return 1


def replay_stored(
    reading: Reading,
    book: str,
    begin: datetime,
    end: datetime,
    matrix: RiskMatrix | None,
    seen: Seen,
    *,
    revalue: bool = False,
    processes: Callable[[int], int] = _one,
) -> Comparison:
    """The moments of `book` from `begin` to before `end` judged again, under `matrix` or under those then in force.

    `revalue`: what the book would lose under shocks is measured again. `processes` says how many may judge so many
    moments; the answer is the same. StoreError when the database cannot be read.
    """
    try:
        with reading() as connection:
            matrices, count = matrices_of(connection, book), count_of(connection, book, begin, end)
        judging = Judging(matrix, matrices, revalue=revalue)
        with closing(replay_parts(stored(reading, book, begin, end), judging, processes(count))) as judged:
            return compare(_counted(judged, count, seen))
    except DatabaseError as error:
        raise StoreError(f"what is stored cannot be read: {reason(error)}.") from error


def stored(reading: Reading, book: str, begin: datetime, end: datetime) -> Iterator[Captured]:
    """The captures from `begin` to before `end`, oldest first; no transaction is open while one is handed out."""
    while True:
        with reading() as connection:
            batch = list(islice(captures(connection, book, begin, end), _AT_ONCE))
        yield from batch
        if len(batch) < _AT_ONCE:
            return
        begin = batch[-1].time + _INSTANT


def matrices_of(connection: Connection, book: str) -> Matrices:
    """Every matrix that was ever in force and can still be read, by version."""
    c = MATRIX_VERSIONS.c
    found: dict[str, RiskMatrix] = {}
    for version, content in connection.execute(select(c.hash, c.content).where(c.book == book)):
        try:
            matrix = parse(content, f"matrix {version}")
        except MatrixError as error:
            log.warning("a stored matrix is not read by this version of the program: %s", error)
            continue
        if matrix.version == version:
            found[version] = matrix
    return found


def count_of(connection: Connection, book: str, begin: datetime, end: datetime) -> int:
    """How many moments are stored from `begin` to before `end`."""
    c = CAPTURES.c
    query = select(func.count()).where(c.book == book, c.time >= micros(begin), c.time < micros(end))
    return int(connection.execute(query).scalar_one())


def last_capture(reading: Reading, book: str) -> datetime | None:
    """When the last moment of `book` was stored; None when none is. StoreError when it cannot be read."""
    try:
        with reading() as connection:
            last = connection.execute(select(func.max(CAPTURES.c.time)).where(CAPTURES.c.book == book)).scalar()
    except DatabaseError as error:
        raise StoreError(f"what is stored cannot be read: {reason(error)}.") from error
    return None if last is None else moment(last)


@contextmanager
def file_to_read(path: Path) -> Iterator[Reading]:
    """The SQLite file at `path` to be read, and nothing left beside it. StoreError when there is none, or when a file
    that nobody used was written meanwhile, for then what was read may be torn."""
    if not path.is_file():
        raise StoreError(f"There is no database at {path}. Give --database PATH, or set GUARDRAILS_DATA_DIR.")
    used, *before = state_of(path)
    yield partial(opened_file, path, alone=not used)
    if not used and before != list(state_of(path)[1:]):
        raise StoreError(f"{path} was written while it was read, so the answer may be wrong; run it again.")


def _counted(judged: Iterator[Judged], count: int, seen: Seen) -> Iterator[Judged]:
    for place, one in enumerate(judged, start=1):
        yield one
        seen(place, max(count, place))
