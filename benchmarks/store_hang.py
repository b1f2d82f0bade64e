"""A database that hangs under a running engine: what the engine notices, what waits, what is lost.

A real engine with the demo, whose market turns every second, in this process. SQLite is locked by another process; the
PostgreSQL server is stopped with SIGSTOP, all its processes, and goes on later.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr
from sqlalchemy import text

from adapters.demo import DemoSource
from benchmarks.store_places import Place, Told, missing, places
from benchmarks.store_program import Start, Witness, engine_of, restless
from benchmarks.timing import Row, ms
from guardrails.audit import verify_store
from guardrails.engine import Engine
from guardrails.store.sqlite import FILE

PERIOD, CALM_SECONDS, DRAIN_SECONDS = 0.2, 15.0, 30.0
LOOK_SECONDS = 0.002
_LOCK = """import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""
STORED = text("SELECT time, check_name, subject, new FROM finding_transitions ORDER BY id")


@dataclass(slots=True)
class Watched:
    """What was seen of an engine for a while."""

    gaps: list[float] = field(default_factory=list)
    """seconds between the ends of two cycles"""
    lengths: list[float] = field(default_factory=list)
    """seconds each cycle took by its own account"""
    spooled: int = 0
    queued: int = 0
    kept: float | None = None
    """seconds until nothing waited any more"""

    def __str__(self) -> str:
        gap, worst, length = statistics.median(self.gaps), max(self.gaps), statistics.median(self.lengths)
        return f"median {gap:.3f} s, worst {worst:.3f} s of {len(self.gaps)}; a cycle takes {ms(length * 1000)}"


def hang(seconds: float, kind: str) -> Iterator[Row]:
    """The rows of the table."""
    with places([kind]) as kinds:
        for place in kinds:
            yield from _hung(place, seconds)


def _hung(place: Place, seconds: float) -> Iterator[Row]:
    start = Start(str(place.folder), str(place.folder), time.monotonic(), period=PERIOD)
    source = DemoSource()
    database = place.open(start.began)
    engine, writer = engine_of(start, database, source)
    engine.start()
    with restless(source, start):
        _watch(engine, writer, 5.0)
        before = _watch(engine, writer, CALM_SECONDS)
        with hanging(place):
            told = -len(writer.told)
            during = _watch(engine, writer, seconds)
            told += len(writer.told)
        after = _watch(engine, writer, DRAIN_SECONDS)
    engine.stop()
    health = writer.health()
    with database.reading() as connection:
        stored: list[Told] = [list(row) for row in connection.execute(STORED)]
    database.close()
    wrong = missing(writer.told, stored) + ([] if len(stored) == len(writer.told) else ["more or less than was told"])
    code, lines = verify_store(place.folder, SecretStr(place.url) if place.url else None)
    name = f"{place.kind} hangs for {seconds:.0f} s, engine every {PERIOD} s"
    yield Row(f"{name}: between cycles, before", str(before))
    worst = max(during.gaps)
    limit = PERIOD + 0.5
    yield Row(f"{name}: between cycles, meanwhile", str(during), f"worst < {limit:.2f} s", worst < limit)
    worst = max(after.gaps)
    yield Row(f"{name}: between cycles, afterwards", str(after), f"worst < {limit:.2f} s", worst < limit)
    yield Row(f"{name}: handing over on the engine's loop, worst", ms(max(writer.seconds) * 1000))
    yield Row(
        f"{name}: most rows in the spool, in memory; moments dropped",
        f"{during.spooled}, {during.queued}; {health.dropped}",
    )
    kept = "not in time" if after.kept is None else f"{after.kept:.1f} s"
    yield Row(f"{name}: from its end until nothing waits", f"{kept}; {told} changes were told meanwhile")
    bad = f"; {len(wrong)}: {wrong[:3]}" if wrong else ""
    yield Row(
        f"{name}: changes told, stored in order, lost",
        f"{len(writer.told)}, {len(stored)}, {health.lost + health.refused}{bad}",
        "none lost",
        not wrong and not health.lost and not health.refused,
    )
    yield Row(f"{name}: evidence", lines[0], "verifies", code == 0)


def _watch(engine: Engine, writer: Witness, seconds: float) -> Watched:
    """Look at the engine for `seconds`."""
    seen, cycles, last = Watched(), engine.health().cycles, 0.0
    began = now = time.perf_counter()
    while now < began + seconds:
        health, store, now = engine.health(), writer.health(), time.perf_counter()
        if health.cycles != cycles:
            if last:
                seen.gaps.append(now - last)
                seen.lengths.append(health.cycle_seconds or 0.0)
            cycles, last = health.cycles, now
        seen.spooled, seen.queued = max(seen.spooled, store.spooled), max(seen.queued, store.queued)
        if seen.kept is None and not store.spooled and not store.queued:
            seen.kept = now - began
        time.sleep(LOOK_SECONDS)
    seen.gaps.append(time.perf_counter() - max(last, began))  # a cycle that has not come yet counts too
    return seen


@contextmanager
def hanging(place: Place) -> Iterator[None]:
    """The database does not answer until the end of the block."""
    if place.server is not None:
        place.server.freeze()
        try:
            yield
        finally:
            place.server.thaw()
        return
    command = [sys.executable, "-c", _LOCK, str(place.folder / FILE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None  # it was asked for
        other.stdout.readline()
        yield
        other.communicate()
