"""Two programs with one store: one watches, the other shows what that one sees, and watches when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardrails.engine import Engine, EngineSettings
from guardrails.matrix import MatrixFile
from guardrails.store.database import Database
from guardrails.store.writer import Writer
from tests.healthy import SHIPPED
from tests.stored import ask, change, opened
from tests.test_engine import QUICK, Clock, Desk, cycles, first, until

Start = Callable[[Desk], Engine]


@pytest.fixture
def start(tmp_path: Path, kind: str) -> Iterator[Start]:
    """Starts programs, each with a folder of its own, on one database."""
    begun: list[tuple[Engine, Database]] = []
    matrix = tmp_path / "risk_matrix.yaml"
    matrix.write_text(SHIPPED, encoding="utf-8")

    def begin(desk: Desk) -> Engine:
        database, clock = opened(tmp_path), Clock()
        folder = tmp_path / f"program-{len(begun)}"
        writer = Writer(
            database, folder / "spool", clock, every=0, retry_seconds=0.02, beat_seconds=0.05, dead_seconds=1.0
        )
        settings = EngineSettings(folder, QUICK, 600.0)
        engine = Engine((desk,), MatrixFile.open(matrix), settings, clock, writer)
        begun.append((engine, database))
        engine.start()
        return engine

    yield begin
    for engine, database in begun:
        engine.stop()
        database.close()


def test_the_second_program_leaves_the_brokers_alone_and_shows_what_the_first_sees(start: Start) -> None:
    desks = Desk(), Desk()
    watching = start(desks[0])
    first(watching)
    reading = start(desks[1])
    until(lambda: reading.latest is not None and reading.latest == watching.latest)
    assert reading.health().watched_by
    assert not watching.health().watched_by
    assert desks[0].asked > 0
    assert desks[1].asked == 0


def test_the_second_watches_when_the_first_ends(start: Start, tmp_path: Path) -> None:
    desks = Desk(), Desk()
    watching = start(desks[0])
    first(watching)
    reading = start(desks[1])
    until(lambda: reading.latest is not None)
    assert desks[1].asked == 0
    watching.stop()
    until(lambda: desks[1].asked > 0)
    assert not reading.health().watched_by
    cycles(reading)
    assert ask(tmp_path, "SELECT count(*) FROM books") == [(1,)]


def test_a_reader_writes_no_files(start: Start, tmp_path: Path) -> None:
    watching = start(Desk())
    first(watching)
    reading = start(Desk())
    until(lambda: reading.latest is not None)
    reading.stop()
    assert not (tmp_path / "program-1" / "risk_snapshot.json").exists()
    assert (tmp_path / "program-0" / "risk_snapshot.json").exists()


def test_a_program_that_lost_the_lease_lets_go_of_its_brokers_and_reads(start: Start, tmp_path: Path) -> None:
    desk = Desk()
    engine = start(desk)
    first(engine)
    # as another machine would, while this one was asleep
    change(tmp_path, "UPDATE leases SET token = token + 1, run = 'other', host = 'laptop', beat = 0")
    until(lambda: engine.health().watched_by.startswith("laptop"))
    until(lambda: desk.closed == 1)
    asked = desk.asked
    until(lambda: not engine.health().watched_by)  # the other never gives a sign of life again
    until(lambda: desk.asked > asked)
