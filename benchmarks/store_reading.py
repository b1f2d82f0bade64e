"""Reading the store: a year of the History page's totals, and the evidence log written and verified."""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks import book
from benchmarks.assessment import MATRIX
from benchmarks.store_places import Clock
from benchmarks.timing import Row, medians, ms
from guardrails import calendar
from guardrails.assess import assess
from guardrails.audit import verify_file
from guardrails.memory import Memory
from guardrails.snapshot import Snapshot
from guardrails.store import history
from guardrails.store.books import book_of
from guardrails.store.database import Database, open_database
from guardrails.store.evidence import last_link
from guardrails.store.evidence_head import HEAD_FILE, keep_head
from guardrails.store.inserts import columns, insert
from guardrails.store.metadata import micros
from guardrails.store.proof import insert_proven
from guardrails.store.quarters import QUARTERS
from guardrails.store.rows import limits_of
from guardrails.store.schema import BOOKS, FINDING_TRANSITIONS, MATRIX_VERSIONS
from guardrails.store.spool import Sent
from guardrails.store.sqlite import FILE
from guardrails.store.texts import document

YEAR_ROWS, YEAR_GOAL = 6_552, 1.2
LINES = 1_000
ENTRIES, APART = 100_000, 300
BOOK = book_of([book.SOURCE])
_SAID = "Beta-weighted delta $502,101, limit $423,273 (119 % of the limit)."


def year() -> Iterator[Row]:
    """The totals of 252 sessions as the History page reads them, against sqlite3 alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = open_database(folder, Clock(time.monotonic()))
        begin, end = _fill(database)
        query, given = _same_rows(begin, end)
        with closing(sqlite3.connect(folder / FILE)) as plain, database.reading() as connection:

            def ours() -> history.Totals:
                return history.totals(connection, BOOK.key, begin, end)[1]

            def fetched() -> list[tuple[object, ...]]:
                return plain.execute(query, given).fetchall()

            def in_columns() -> list[np.ndarray]:
                turned = list(zip(*fetched(), strict=True))
                return [np.array(column, dtype=np.float64) for column in (*turned[:3], *turned[6:])]

            found, rows = ours(), fetched()
            assert len(rows) == YEAR_ROWS
            assert found.key.tolist() == [row[0] for row in rows]
            for place, (_, figures) in enumerate(found.figures.items(), start=6):
                assert figures.tolist() == [row[place] for row in rows]
            taken = medians({"ours": ours, "fetched": fetched, "in columns": in_columns})
        database.close()
    ratio = taken["ours"] / taken["fetched"]
    said = f"{ms(taken['ours'])}; {ms(taken['fetched'])}, ours {ratio:.2f} times that"
    yield Row(f"a year of totals, {YEAR_ROWS:,} rows as columns; sqlite3 `fetchall` of the same rows", said,
              f"<= {YEAR_GOAL} times", ratio <= YEAR_GOAL)  # fmt: skip
    columned = taken["ours"] / taken["in columns"]
    yield Row("the same; `fetchall` and numpy columns made of it",
              f"{ms(taken['in columns'])}, ours {columned:.2f} times that")  # fmt: skip


def _same_rows(begin: datetime, end: datetime) -> tuple[str, tuple[object, ...]]:
    """The very columns the History page reads of these quarters, each once, in plain SQL."""
    names = ("time", "last", "first", "level", "regime", "matrix_version", *history.CHARTED)
    wanted = ", ".join((*names, "net_liquidation_low", "net_liquidation_high"))
    query = f"SELECT {wanted} FROM quarters WHERE book = ? AND time >= ? AND time < ? ORDER BY time"  # noqa: S608  # our own names
    return query, (BOOK.key, micros(begin), micros(end))


def _fill(database: Database) -> tuple[datetime, datetime]:
    """A row for every quarter of 252 sessions; from where to where."""
    chance = np.random.default_rng(20261121)
    starts: list[datetime] = []
    day = calendar.session_on_or_before(book.NOW.date())
    while len(starts) < YEAR_ROWS:
        begin, end = calendar.session_bounds(day)
        count = int((end - begin) / timedelta(minutes=15))
        starts += [begin + timedelta(minutes=15 * n) for n in reversed(range(count))]
        day = calendar.session_on_or_before(day - timedelta(days=1))
    starts = sorted(starts[:YEAR_ROWS])
    names, rows, limits = columns(QUARTERS), [], document(limits_of(_judged()))
    for start in starts:
        made = dict(zip(names, chance.normal(1e5, 1e4, len(names)).tolist(), strict=True))
        first, last = micros(start), micros(start) + 885_000_000
        made |= {
            "book": BOOK.key, "time": first, "first": first, "last": last, "level": "WATCH", "overlay": None,
            "regime": "low_volatility", "safety_state": "NORMAL", "market_open": 1, "matrix_version": "m" * 12,
            "limits": limits,
        }  # fmt: skip
        rows.append(tuple(made[name] for name in names))
    with database.writing(durable=False) as connection:
        insert(connection, BOOKS, [(BOOK.key, BOOK.names, micros(starts[0]))])
        assert insert(connection, QUARTERS, rows) == YEAR_ROWS
    return starts[0], starts[-1] + timedelta(minutes=15)


def _judged() -> Snapshot:
    """A moment whose limits are as many as a real one's: how long a row is decides how many pages a year fills."""
    return assess([book.view(LINES)], MATRIX, Memory(), book.NOW).snapshot


def evidence() -> Iterator[Row]:
    """Appending to the log, alone and in one transaction, and verifying it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = open_database(folder, Clock(time.monotonic()))
        known: list[Sent] = [
            (BOOKS.name, (BOOK.key, BOOK.names, micros(book.NOW))),
            (MATRIX_VERSIONS.name, (BOOK.key, "m" * 12, "regimes: {}", micros(book.NOW))),
        ]
        with database.writing(durable=True) as connection:
            links = insert_proven(connection, known)
        with database.reading() as connection:
            assert keep_head(folder / HEAD_FILE, connection, links) == []
        apart = [_one(database, folder, n) for n in range(APART)]
        began = time.perf_counter()
        with database.writing(durable=True) as connection:
            for n in range(APART, ENTRIES):
                insert_proven(connection, [_change(n)])
        together = (time.perf_counter() - began) / (ENTRIES - APART)
        with database.reading() as connection:
            keep_head(folder / HEAD_FILE, connection, [last_link(connection, BOOK.key)])
        database.close()
        began = time.perf_counter()
        code, lines = verify_file(folder / FILE)
        taken = time.perf_counter() - began
        assert code == 0, lines
        size = (folder / FILE).stat().st_size / ENTRIES
    yield Row("evidence: one row with its entry and a transaction, FULL, and a head file of its own",
              ms(statistics.median(apart) * 1000.0))  # fmt: skip
    yield Row(
        "evidence: one of many rows with their entries in a transaction", f"{ms(together * 1000.0)}, {size:.0f} bytes"
    )
    yield Row(f"evidence: verifying {ENTRIES:,} entries and their rows", f"{taken:.2f} s")


def _change(n: int) -> Sent:
    """A change of level, as a row that is proven."""
    return FINDING_TRANSITIONS.name, (
        "bench", n, BOOK.key, micros(book.NOW) + n, "beta_delta", "portfolio", "OK", "BREACH", float(n), 423_273.0,
        -78_828.25, "USD", _SAID, "{}", None, "m" * 12,
    )  # fmt: skip


def _one(database: Database, folder: Path, n: int) -> float:
    began = time.perf_counter()
    with database.writing(durable=True) as connection:
        (link,) = insert_proven(connection, [_change(n)])
    with database.reading() as connection:
        assert keep_head(folder / HEAD_FILE, connection, [link]) == []
    return time.perf_counter() - began
