"""Many minutes of writing, telling quarters, moving to files and reading at an accelerated pace: does anything grow?

A clock that runs 600 times as fast, so that a day takes less than three minutes. Ten times a second all figures move,
two positions of a hundred are exchanged for others, and levels flap. There are 1,000 others, all seen within the first
minute, so that caches which have a bound are full by then. A second program reads what is published, and this one reads
a chart of all that is there, once a second.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import psutil
from sqlalchemy import text

from benchmarks import book
from benchmarks.assessment import MATRIX
from benchmarks.live import ROOT, RSS_GROWTH
from benchmarks.store_places import Place, places
from benchmarks.store_program import Another, Start
from benchmarks.timing import Row
from guardrails.assess import Assessment, Inputs, assess
from guardrails.memory import Memory
from guardrails.store import history
from guardrails.store.books import book_of
from guardrails.store.database import Database
from guardrails.store.health import StoreHealth
from guardrails.store.upkeep import Retention
from guardrails.store.writer import Writer
from guardrails.symbols import contracts

POSITIONS, PACE, MOMENT_SECONDS, EXCHANGED, OTHERS = 100, 600.0, 0.1, 2, 1_000
BLOCKS_GROWTH = 1.02
BOOK = book_of([book.SOURCE]).key
_SIZE = text(
    "SELECT (SELECT count(*) FROM snapshots), (SELECT count(*) FROM quarters), (SELECT count(*) FROM positions), "
    "(SELECT count(*) FROM archives)"
)
_NAMES = {"threads": "threads", "files": "open files", "blocks": "blocks of memory in use", "rss_mb": "resident MB"}


@dataclass(frozen=True, slots=True)
class Pace:
    """A clock that runs faster."""

    began: float

    def __call__(self) -> datetime:
        return book.NOW + timedelta(seconds=(time.monotonic() - self.began) * PACE)


@dataclass(frozen=True, slots=True)
class Held:
    """What the process holds at one moment of rest."""

    seconds: float
    threads: int
    files: int
    rss_mb: float
    blocks: int
    """of memory in use by Python objects"""
    snapshots: int
    quarters: int
    positions: int
    """rows in the database"""
    archived: int
    """files moved to"""
    store_mb: float


class Restless:
    """A book in which a few positions are exchanged at every moment."""

    def __init__(self, clock: Pace) -> None:
        self._clock, self._memory = clock, Memory()
        self._view = book.view(POSITIONS)
        self._held = list(self._view.positions)
        self._count = 0

    def next(self) -> tuple[Assessment, Inputs]:
        """One moment later."""
        now = self._clock()
        for n in range(EXCHANGED):
            place = (self._count * EXCHANGED + n) % POSITIONS
            new = contracts.equity(f"ZZ{(self._count * EXCHANGED + n) % OTHERS}")
            self._held[place] = replace(self._held[place], instrument=new, mark=20.0)
        self._count += 1
        held = [replace(each, quantity=(each.quantity or 0.0) * (1 + self._count % 7)) for each in self._held]
        told = replace(self._view, source=replace(self._view.source, time=now), positions=tuple(held))
        inputs = Inputs((told,), self._memory, now)
        found = assess(inputs.views, MATRIX, inputs.memory, now)
        self._memory = found.memory
        return found, inputs


def soak(minutes: int, kind: str) -> Iterator[Row]:
    """The rows of the table, and the figures of every minute on standard error."""
    with places([kind]) as kinds:
        for place in kinds:
            table, health = _soaked(place, minutes)
    # the first files bring the library that writes them, its threads and its buffers
    first, last = next((held for held in table if held.archived), table[0]), table[-1]
    for name, most in (("threads", 1.0), ("files", 1.0), ("blocks", BLOCKS_GROWTH), ("rss_mb", RSS_GROWTH)):
        begun, ended = getattr(first, name), getattr(last, name)
        goal = "no growth" if most == 1.0 else f"< {most - 1:.0%} more"
        yield Row(f"{kind}, {minutes} min soak: {_NAMES[name]}, after the first files and at the end",
                  f"{begun:,} and {ended:,}", goal, ended <= begun * most)  # fmt: skip
    rows = f"{last.snapshots:,} moments, {last.quarters:,} quarters, {last.positions:,} positions"
    yield Row(f"{kind}, {minutes} min soak: held at the end", f"{rows}, {last.archived} files; {last.store_mb:.0f} MB")
    told = f"{health.lost}, {health.refused}, {health.dropped}, {health.spooled}"
    yield Row(f"{kind}, {minutes} min soak: lost, refused, dropped, in the spool",
              told + (f"; {health.problem}" if health.problem else ""), "none lost",
              not (health.lost or health.refused or health.spooled))  # fmt: skip


def _soaked(place: Place, minutes: int) -> tuple[list[Held], StoreHealth]:
    clock = Pace(time.monotonic())
    database, restless = place.open(clock.began), Restless(clock)
    retention = Retention(place.folder, raw_days=1, archive_days=2)
    writer = Writer(database, place.folder / "spool", clock, retention=retention)
    writer.start()
    matrix = (ROOT / "risk_matrix.yaml").read_text(encoding="utf-8")
    assert writer.part([book.SOURCE]).watches
    table: list[Held] = []
    start = Start(str(place.folder / "second"), str(place.folder), clock.began, source="bench")
    with Another(start, place.url) as second:
        chart = clock.began
        for minute in range(1, minutes + 1):
            while time.monotonic() < clock.began + 60.0 * minute:
                began = time.monotonic()
                found, inputs = restless.next()
                writer.keep(found.snapshot, matrix, found.portfolio, inputs=inputs, memory=found.memory)
                if began - chart > 1.0:
                    chart = began
                    with database.reading() as connection:
                        history.totals(connection, BOOK, book.NOW, clock())
                time.sleep(max(0.0, MOMENT_SECONDS - (time.monotonic() - began)))
            second.lines[:] = second.lines[-100:]
            table.append(_held(place, database, clock))
            print(json.dumps(asdict(table[-1])), file=sys.stderr, flush=True)
        shown = second.lines[-1]["as_of"]
    assert shown is not None
    writer.settled(30.0)
    health = writer.health()
    writer.stop()
    database.close()
    return table, health


def _held(place: Place, database: Database, clock: Pace) -> Held:
    """Taken at rest."""
    time.sleep(2.0)
    gc.collect()
    process = psutil.Process()
    with database.reading() as connection:
        snapshots, quarters, positions, archived = connection.execute(_SIZE).one()
    size = sum(path.stat().st_size for path in place.folder.rglob("*") if path.is_file()) / 1e6
    return Held(
        round(time.monotonic() - clock.began), process.num_threads(), process.num_fds(),
        round(process.memory_info().rss / 1e6, 1), sys.getallocatedblocks(),
        snapshots, quarters, positions, archived, round(size, 1),
    )  # fmt: skip
