"""Two programs with one store: one watches, the other shows what that one sees, and watches when it ends."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from guardrails import engine as engine_room
from guardrails import http
from guardrails.alerts.values import AlertsNow
from guardrails.awake import Awake
from guardrails.engine import Engine, EngineSettings
from guardrails.errors import SourceError
from guardrails.findings import Level
from guardrails.matrix import MatrixFile
from guardrails.memory import Memory, write_memory
from guardrails.outages import is_fresh
from guardrails.recording import STATE_FILE
from guardrails.store.books import book_of
from guardrails.store.database import Database
from guardrails.store.following import Published, publish
from guardrails.store.lease import Leases, Program
from guardrails.store.writer import Writer
from pages import _moment
from tests.books import NOW
from tests.healthy import SHIPPED
from tests.stored import HEALTHY, ask, change, opened, wait_for_parts
from tests.test_engine import QUICK, STOP_SECONDS, TEXT, Clock, Desk, cycles, first, shown, until
from tests.test_store_takeover import NEVER, lose

Start = Callable[..., Engine]


@pytest.fixture
def start(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts programs, each with a folder of its own, on one database.

    None takes another for dead, however long that one is kept from giving a sign: it ends when the test says so. And
    none watches because the database is slow to say who does.
    """
    monkeypatch.setattr(engine_room, "STOP_TIMEOUT_SECONDS", STOP_SECONDS)
    wait_for_parts(monkeypatch)
    begun: list[tuple[Engine, Database]] = []

    def begin(source: Desk, clock: Clock | None = None, text: str = TEXT, **more: Any) -> Engine:
        database, clock = opened(tmp_path), clock or Clock()
        folder = tmp_path / f"program-{len(begun)}"
        folder.mkdir(exist_ok=True)
        matrix = folder / "risk_matrix.yaml"
        matrix.write_text(text, encoding="utf-8")
        writer = Writer(
            database, folder / "spool", clock, every=0, retry_seconds=0.02, beat_seconds=0.05, dead_seconds=NEVER
        )
        settings = EngineSettings(folder, QUICK, 600.0, first_words_seconds=0.5)
        engine = Engine((source,), MatrixFile.open(matrix), settings, clock, writer, **more)
        begun.append((engine, database))
        engine.start()
        return engine

    yield begin
    for engine, database in begun:
        engine.stop()
        database.close()


def give_back(folder: Path) -> None:
    """The program that took every lease ends."""
    change(folder, "UPDATE leases SET run = NULL")


def test_the_second_program_leaves_the_brokers_alone_and_shows_what_the_first_sees(start: Start) -> None:
    desks = Desk(), Desk()
    watching = start(desks[0])
    first(watching)
    reading = start(desks[1])
    until(lambda: reading.latest is not None and reading.latest == watching.latest)
    assert reading.health().watched_by  # never shown as seen by itself
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
    until((tmp_path / "program-0" / "risk_snapshot.json").exists)
    reading.stop()
    assert not (tmp_path / "program-1" / "risk_snapshot.json").exists()


def test_a_program_that_lost_the_lease_lets_go_of_its_brokers_and_reads(start: Start, tmp_path: Path) -> None:
    desk = Desk()
    engine = start(desk)
    first(engine)
    # as another machine would, while this one was asleep
    change(tmp_path, "UPDATE leases SET token = token + 1, run = 'other', host = 'laptop', beat = 0")
    until(lambda: engine.health().watched_by.startswith("laptop"))
    until(lambda: desk.closed == 1)
    asked = desk.asked
    give_back(tmp_path)
    until(lambda: not engine.health().watched_by)
    until(lambda: desk.asked > asked)


# --- a program that slept ---


class Steady:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Told:
    """Who makes alerts, and writes down what the engine says."""

    def __init__(self) -> None:
        self.now = AlertsNow(NOW)
        self.said: list[str] = []

    def start(self) -> None: ...
    def see(self, snapshot: object, rules: object) -> None: ...
    def do(self, request: object) -> None: ...
    def answer(self, key: str) -> None: ...
    def stop(self, seconds: float) -> None: ...
    def begin(self, sources: object, scenario: str) -> None:
        self.said.append("begin")

    def idle(self) -> None:
        self.said.append("idle")


def test_a_program_that_slept_asks_who_watches_before_it_goes_on(start: Start) -> None:
    alerts, steady, clock = Told(), Steady(), Clock()
    awake = Awake(steady)
    engine = start(Desk(), clock, desk=alerts, awake=awake)
    first(engine)
    clock.time, before = NOW + timedelta(seconds=45), engine.health().watching_since
    steady.at += 45
    until(lambda: alerts.said == ["begin", "idle", "begin"])
    until(lambda: not awake.slept)
    since = engine.health().watching_since
    assert (before, since) == (NOW, clock.time)  # a watch of its own: nothing was watched in between
    cycles(engine, 5)
    assert alerts.said == ["begin", "idle", "begin"]


def test_a_program_that_slept_past_its_lease_tells_nothing_more(start: Start, tmp_path: Path) -> None:
    alerts, steady = Told(), Steady()
    engine = start(Desk(), desk=alerts, awake=Awake(steady))
    first(engine)
    lose(tmp_path)
    steady.at += 45
    until(lambda: engine.health().watched_by.startswith("laptop"))
    until(lambda: engine.health().watching_since is None)  # it is known first who watches, then acted upon
    until(lambda: alerts.said[-1] == "idle")
    assert alerts.said[:2] == ["begin", "idle"]


def test_nothing_is_told_until_the_part_is_confirmed_but_for_a_few_seconds_only() -> None:
    steady = Steady()
    awake = Awake(steady)
    assert not awake.holds()  # nobody watches yet
    awake.confirm(awake.now())
    steady.at += 15
    assert not awake.holds()
    steady.at += 30
    asked_at = awake.now()
    assert awake.holds()
    awake.confirm(asked_at - 45)  # asked before it slept
    assert awake.holds()
    steady.at += 3.9
    assert awake.holds()
    steady.at += 0.1
    assert not awake.holds()  # rather twice than never
    awake.confirm(asked_at)
    assert not awake.holds()
    steady.at += 16
    assert awake.holds()


def remembered(folder: Path) -> None:
    """What the first program knows of its accounts when it starts."""
    (folder / "program-0").mkdir()
    write_memory(folder / "program-0" / STATE_FILE, ["test"], HEALTHY.memory)


def test_what_was_heard_before_another_program_watched_is_not_judged_as_of_now(start: Start, tmp_path: Path) -> None:
    remembered(tmp_path)
    desk, clock = Desk(), Clock()
    engine = start(desk, clock)
    assert first(engine).level is Level.OK
    lose(tmp_path)
    until(lambda: desk.closed == 1)
    desk.hanging.set()  # to connect again takes its time
    give_back(tmp_path)
    clock.time = NOW + timedelta(seconds=25)
    until(lambda: shown(engine).as_of == clock.time)
    assert shown(engine).level is Level.UNKNOWN
    assert shown(engine).positions == ()


def test_memory_that_another_program_left_days_ago_does_not_replace_a_newer_one(start: Start, tmp_path: Path) -> None:
    remembered(tmp_path)
    database, book = opened(tmp_path), book_of(["test"], "")
    Leases(database, Program("ended", "elsewhere", 1)).hold(book, NOW)
    old = replace(HEALTHY.snapshot, as_of=NOW - timedelta(days=3))
    with database.writing(durable=True) as connection:
        publish(connection, book.key, 1, Published(old, Memory()))
    database.close()
    desk = Desk()
    engine = start(desk)
    until(lambda: engine.health().watched_by)
    give_back(tmp_path)
    until(lambda: desk.asked > 0)
    assert first(engine).as_of == NOW
    assert engine._last.memory.accounts == HEALTHY.memory.accounts


def test_what_a_clock_ahead_of_ours_has_seen_is_not_fresh(start: Start) -> None:
    first(start(Desk()))
    reading = start(Desk(), Clock(NOW - timedelta(hours=1)))
    until(lambda: reading.health().watched_by and reading.latest is not None)
    status, _, content = http.readyz(reading)
    assert status == 503
    assert not json.loads(content)["engine"]["fresh"]


@pytest.mark.parametrize(("seconds", "fresh"), [(-10, True), (-11, False)])
def test_clocks_may_differ_by_as_much_as_an_age(seconds: float, *, fresh: bool) -> None:
    assert is_fresh(NOW - timedelta(seconds=seconds), NOW, 2.0) is fresh


def test_a_reader_has_no_problems_of_brokers_that_it_no_longer_reads(start: Start, tmp_path: Path) -> None:
    desk = Desk()
    engine = start(desk)
    first(engine)
    desk.says = SourceError("IBKR refuses")
    until(lambda: any(said.startswith("read ") for said in engine.health().problems))
    lose(tmp_path)
    until(lambda: engine.health().watched_by)
    until(lambda: not any(said.startswith("read ") for said in engine.health().problems))


def test_a_reader_does_not_say_that_its_files_cannot_be_written(start: Start, tmp_path: Path) -> None:
    desk = Desk()
    engine = start(desk)
    first(engine)
    file = tmp_path / "program-0" / STATE_FILE
    until(file.exists)
    cycles(engine, 5)
    file.unlink()
    (file / "in the way").mkdir(parents=True)
    desk.says = SourceError("gone")  # a change of level is written at once
    until(lambda: not engine.health().store_writable)
    cycles(engine, 5)  # no level moves any more, so nothing is being written
    lose(tmp_path)
    until(lambda: engine.health().watched_by)
    until(lambda: engine.health().store_writable)
    shutil.rmtree(file)


@pytest.mark.parametrize("same", [True, False])
def test_limits_are_not_read_aloud_from_a_file_that_the_watching_program_does_not_have(
    start: Start, *, same: bool
) -> None:
    watching = start(Desk())
    first(watching)
    reading = start(Desk(), text=TEXT if same else SHIPPED)
    until(lambda: reading.health().watched_by and reading.latest is not None)
    assert _moment.read(reading).matrix == (watching.matrix if same else None)
    assert _moment.read(watching).matrix == watching.matrix
