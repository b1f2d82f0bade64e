"""What the store costs: writing a moment, handing it over, packing it, reading a year of it, showing it to others.

A moment is 1,000 positions, every figure of which has moved (`history_size.Wandering`). All contenders write the same
rows into the same tables of one database, one after the other in turns, in the transaction that `Database.writing`
gives, and what each has stored is compared before anything is timed. Making tuples or dictionaries is in no timing but
that of `Telemetry.keep`, which begins with a Snapshot.
"""

from __future__ import annotations

import json
import os
import statistics
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from benchmarks import book
from benchmarks.assessment import MATRIX
from benchmarks.history_size import OPEN, Wandering
from benchmarks.live import ROOT
from benchmarks.store_places import Clock, places
from benchmarks.store_reading import evidence, year
from benchmarks.store_two import published
from benchmarks.timing import Row, medians, ms
from guardrails.assess import Assessment, Inputs, assess
from guardrails.memory import Memory
from guardrails.snapshot import to_json
from guardrails.store import inserts
from guardrails.store.books import book_of
from guardrails.store.captures import PERIOD, capture_row
from guardrails.store.database import Database
from guardrails.store.lease import Leases, Program
from guardrails.store.metadata import micros
from guardrails.store.packing import unpacked
from guardrails.store.schema import ACCOUNT_VALUES, GREEK_SNAPSHOTS, SNAPSHOTS, UNDERLYING_TOTALS
from guardrails.store.telemetry import Moment, Telemetry
from guardrails.store.writer import Writer

POSITIONS, TURNS, SECONDS = 1_000, 60, 15
TABLES = (SNAPSHOTS, GREEK_SNAPSHOTS, UNDERLYING_TOTALS, ACCOUNT_VALUES)
BOOK = book_of([book.SOURCE])
FASTER, WRITES, LOOP_MS = 3.0, 10.0, 10.0
"""goals: times the peer, synchronous writes, and what may be on the engine's loop"""
Rows = Mapping[Table, list[Any]]
Put = Callable[[Connection, Rows], None]


def store() -> list[Row]:
    """All rows of this part."""
    return [
        *writing("SQLite"),
        *writing("PostgreSQL"),
        *handing(),
        *packing(),
        *year(),
        *published("SQLite"),
        *published("PostgreSQL"),
        *evidence(),
    ]


def ours(connection: Connection, rows: Rows) -> None:
    """As `Telemetry` does."""
    for table, each in rows.items():
        inserts.insert(connection, table, each)


def dictionaries(connection: Connection, rows: Rows) -> None:
    """As SQLAlchemy's documentation does."""
    for table, each in rows.items():
        connection.execute(insert(table), each)


def writing(kind: str) -> Iterator[Row]:
    """One moment into the database, ours against SQLAlchemy's `insert()` at the same durability."""
    with places([kind]) as kinds:
        for place in kinds:
            database = place.open(time.monotonic())
            taken = _in_turns(database)
            database.close()
            written = _synchronous_write(place.folder)
    name = f"{kind}: {POSITIONS:,} positions, all changed"
    yield Row(f"{name}: whole `Telemetry.keep`, from a Snapshot, NORMAL", ms(taken["keep"]))
    for level in ("NORMAL", "FULL"):
        fast, slow = taken[f"ours, {level}"], taken[f"dictionaries, {level}"]
        yield Row(f"{name}: inserting alone, {level}; insert() with dictionaries", f"{ms(fast)}; {ms(slow)}, "
                  f"{slow / fast:.1f}x", f">= {FASTER:.0f}x", slow / fast >= FASTER)  # fmt: skip
    if kind == "SQLite":
        many = taken["ours, FULL"] / written
        yield Row(f"{name}: inserting, FULL, against one synchronous write of 4 kB", f"{ms(written)}, {many:.0f}x",
                  f"<= {WRITES:.0f}x", many <= WRITES)  # fmt: skip


def _in_turns(database: Database) -> dict[str, float]:
    """Median milliseconds of each contender."""
    wandering, leases = Wandering(), Leases(database, Program("bench", "here", os.getpid()))
    assert leases.hold(BOOK, OPEN).writes
    telemetry = Telemetry(database, leases.check)
    contenders: dict[str, tuple[Put, bool]] = {
        f"{name}, {level}": (put, level == "FULL")
        for level in ("NORMAL", "FULL")
        for name, put in (("ours", ours), ("dictionaries", dictionaries))
    }
    taken: dict[str, list[float]] = {name: [] for name in ("keep", *contenders)}
    for turn in range(-2, TURNS):
        moment = Moment(BOOK, wandering.at(OPEN + timedelta(seconds=SECONDS * (turn + 2))), wandering.owners)
        began = time.perf_counter()
        assert telemetry.keep(moment)
        took = {"keep": time.perf_counter() - began}
        first = micros(moment.snapshot.as_of)
        rows = stored(database, first)
        assert len(rows[GREEK_SNAPSHOTS]) == POSITIONS
        order = list(contenders)[turn % 4 :] + list(contenders)[: turn % 4]
        for place, name in enumerate(order, start=1):
            put, durable = contenders[name]
            given = at(rows, first + place, dicts=put is dictionaries)
            took[name] = _put(database, put, given, durable=durable)
            if turn < 0:
                assert same(stored(database, first + place), at(rows, first + place))
        if turn >= 0:
            for name, seconds in took.items():
                taken[name].append(seconds)
    return {name: statistics.median(seconds) * 1000.0 for name, seconds in taken.items()}


def _put(database: Database, put: Put, rows: Rows, *, durable: bool) -> float:
    """Seconds of one transaction."""
    began = time.perf_counter()
    with database.writing(durable=durable) as connection:
        put(connection, rows)
    return time.perf_counter() - began


def stored(database: Database, time_: int) -> dict[Table, list[Any]]:
    """All rows of the moment `time_`, tuples in the order of the columns."""
    with database.reading() as connection:
        return {
            table: [tuple(row) for row in connection.execute(select(*table.c).where(table.c.time == time_))]
            for table in TABLES
        }


def at(rows: Rows, time_: int, *, dicts: bool = False) -> dict[Table, list[Any]]:
    """The same rows of another moment, as tuples or dictionaries."""
    moved = {}
    for table, each in rows.items():
        names = inserts.columns(table)
        place = names.index("time")
        later = [(*row[:place], time_, *row[place + 1 :]) for row in each]
        moved[table] = [dict(zip(names, row, strict=True)) for row in later] if dicts else later
    return moved


def same(some: Rows, others: Rows) -> bool:
    return all(sorted(some[table], key=repr) == sorted(others[table], key=repr) for table in TABLES)


def _synchronous_write(folder: Path) -> float:
    """Median milliseconds of appending 4 kB to a file and waiting for the disk."""
    taken, block = [], os.urandom(4096)
    with (folder / "block").open("wb", buffering=0) as file:
        for _ in range(300):
            began = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000.0


def handing() -> Iterator[Row]:
    """`Writer.keep` on the calling thread, every 0.1 s, while the writer's own thread writes."""
    matrix, found = (ROOT / "risk_matrix.yaml").read_text(encoding="utf-8"), list(_moments(80))
    with places(["SQLite"]) as kinds:
        for place in kinds:
            database = place.open(time.monotonic())
            writer = Writer(database, place.folder / "spool", Clock(time.monotonic()))
            writer.start()
            assert writer.part([book.SOURCE]).watches
            taken = []
            for each, inputs in found:
                began = time.perf_counter()
                writer.keep(each.snapshot, matrix, each.portfolio, inputs=inputs, memory=each.memory)
                taken.append((time.perf_counter() - began) * 1000.0)
                time.sleep(0.1)
            writer.stop()
            database.close()
    usual, worst = statistics.median(taken[1:]), max(taken[1:])
    yield Row(f"{POSITIONS:,} positions: handing a Snapshot to the store, on the engine's loop",
              f"median {ms(usual)}, worst {ms(worst)} of {len(taken) - 1}; the first {ms(taken[0])}",
              f"< {LOOP_MS:.0f} ms", max(taken) < LOOP_MS)  # fmt: skip


def _moments(count: int) -> Iterator[tuple[Assessment, Inputs]]:
    memory, view = Memory(), book.view(POSITIONS)
    for n in range(count):
        inputs = Inputs((view,), memory, book.NOW + timedelta(seconds=2 * n))
        found = assess(inputs.views, MATRIX, inputs.memory, inputs.now)
        memory = found.memory
        yield found, inputs


def packing() -> Iterator[Row]:
    """A whole moment packed as the store does it, against plain JSON and zlib."""
    found, inputs = next(iter(_moments(1)))

    def pack() -> Sequence[Any]:
        return capture_row(BOOK.key, PERIOD, inputs, found.snapshot)

    def plain() -> tuple[bytes, bytes]:
        return tuple(zlib.compress(json.dumps(asdict(each), default=str).encode()) for each in (inputs, found.snapshot))  # type: ignore[return-value]  # two of them

    ours_, theirs = pack(), plain()
    assert unpacked(ours_[-1]) == to_json(found.snapshot)
    assert len(json.loads(zlib.decompress(theirs[1]))["positions"]) == POSITIONS
    taken = medians({"ours": pack, "plain": plain})
    ratio = taken["plain"] / taken["ours"]
    yield Row(f"{POSITIONS:,} positions: packing a whole moment, account numbers taken out",
              f"{ms(taken['ours'])}, {(len(ours_[-1]) + len(ours_[-2])) / 1000:.0f} kB")  # fmt: skip
    yield Row(f"{POSITIONS:,} positions: the same by dataclasses.asdict, json and zlib, numbers left in",
              f"{ms(taken['plain'])}, {sum(map(len, theirs)) / 1000:.0f} kB, {ratio:.1f}x ours")  # fmt: skip


if __name__ == "__main__":
    for row in store():
        print(row, flush=True)
