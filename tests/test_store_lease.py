"""One program writes a book, the others read: leases, signs of life, and the Snapshot that is shown to readers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from guardrails.findings import Level
from guardrails.memory import Memory
from guardrails.portfolio import AccountHistory
from guardrails.store.books import Book
from guardrails.store.database import Database
from guardrails.store.following import Published
from guardrails.store.lease import DEAD_SECONDS, GONE_SECONDS, LeaseError, Leases, Program, Role
from guardrails.store.roles import Part
from guardrails.store.writer import Writer
from tests.books import NOW
from tests.stored import (
    HEALTHY,
    MATRIX_TEXT,
    ask,
    clock,
    eventually,
    finding,
    moment,
    opened,
    path_of_levels,
    wait_for_parts,
)

OK, BREACH = Level.OK, Level.BREACH
BOOK = Book("b", "ibkr")
HERE, THERE = Program("run-1", "desk", os.getpid()), Program("run-2", "laptop", os.getpid())
MEMORY = Memory({"hash": AccountHistory(since=NOW)})


class Time:
    """A monotonic clock that only passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    database = opened(tmp_path)
    yield database
    database.close()


@pytest.fixture
def time() -> Time:
    return Time()


def pair(database: Database, time: Time) -> tuple[Leases, Leases]:
    return Leases(database, HERE, monotonic=time), Leases(database, THERE, monotonic=time)


def allowed(database: Database, leases: Leases) -> bool:
    with database.writing(durable=True) as connection:
        try:
            leases.check(connection, BOOK.key)
        except LeaseError:
            return False
    return True


def test_the_second_program_is_told_who_writes(database: Database, time: Time) -> None:
    first, second = pair(database, time)
    assert first.hold(BOOK, NOW) == Role(writes=True)
    assert second.hold(BOOK, NOW) == Role(writes=False, holder=f"desk, process {os.getpid()}")
    assert (allowed(database, first), allowed(database, second)) == (True, False)


def test_other_books_are_free(database: Database, time: Time) -> None:
    first, second = pair(database, time)
    first.hold(BOOK, NOW)
    assert second.hold(Book("c", "demo"), NOW).writes


def test_a_lease_that_was_given_back_is_taken_at_once(database: Database, time: Time) -> None:
    first, second = pair(database, time)
    first.hold(BOOK, NOW)
    first.give_back()
    assert second.hold(BOOK, NOW).writes
    assert not allowed(database, first)


def test_a_holder_that_gives_no_sign_loses_it_and_is_refused_when_it_wakes(database: Database, time: Time) -> None:
    first, second = pair(database, time)
    first.hold(BOOK, NOW)
    assert not second.hold(BOOK, NOW).writes
    time.now += DEAD_SECONDS - 0.1
    assert not second.hold(BOOK, NOW).writes
    time.now += 0.1
    assert second.hold(BOOK, NOW).writes
    assert not allowed(database, first)
    assert allowed(database, second)
    assert first.hold(BOOK, NOW) == Role(writes=False, holder=f"laptop, process {os.getpid()}")


def test_signs_of_life_keep_it(database: Database, time: Time) -> None:
    first, second = pair(database, time)
    for _ in range(10):
        assert first.hold(BOOK, NOW).writes
        assert not second.hold(BOOK, NOW).writes
        time.now += DEAD_SECONDS - 0.1


def test_a_clock_set_back_or_ahead_takes_nothing_away(database: Database, time: Time) -> None:
    first, second = pair(database, time)
    first.hold(BOOK, NOW)
    for hours in (-24, 24):
        assert not second.hold(BOOK, NOW + timedelta(hours=hours)).writes


def test_tokens_only_grow(database: Database, time: Time, tmp_path: Path) -> None:
    first, second = pair(database, time)
    for holder in (first, second, first, second):
        assert holder.hold(BOOK, NOW).writes
        holder.give_back()
    assert ask(tmp_path, "SELECT token FROM leases") == [(4,)]


def test_a_process_of_this_machine_that_has_ended_is_not_waited_for(database: Database, time: Time, kind: str) -> None:
    """With one file only: on a server two machines may bear one name."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    Leases(database, Program("run-0", "desk", ended.pid), monotonic=time).hold(BOOK, NOW)
    elsewhere, here = Leases(database, THERE, monotonic=time), Leases(database, HERE, monotonic=time)
    assert not elsewhere.hold(BOOK, NOW).writes
    assert here.hold(BOOK, NOW).writes == (kind == "sqlite")


def test_readers_are_known_until_they_are_silent(database: Database, time: Time, tmp_path: Path) -> None:
    first, second = pair(database, time)
    first.hold(BOOK, NOW)
    assert first.read == set()
    second.hold(BOOK, NOW)
    first.hold(BOOK, NOW)
    assert first.read == {BOOK.key}
    time.now += GONE_SECONDS
    first.hold(BOOK, NOW)
    assert first.read == set()
    assert ask(tmp_path, "SELECT * FROM readers") == []


# --- two writers ---

Begin = Callable[[], Writer]


@pytest.fixture
def begin(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Starts programs on one database, each with a database object and a writer of its own."""
    wait_for_parts(monkeypatch)
    begun: list[tuple[Writer, Database]] = []

    def start() -> Writer:
        database = opened(tmp_path)
        spool = tmp_path / f"spool-{len(begun)}"
        writer = Writer(database, spool, clock, every=0, retry_seconds=0.02, beat_seconds=0.05, dead_seconds=100.0)
        begun.append((writer, database))
        writer.start()
        return writer

    yield start
    for writer, database in begun:
        writer.stop(20)
        database.close()


def names() -> list[str]:
    return [row.name for row in HEALTHY.snapshot.sources]


def hand(writer: Writer, level: Level, seconds: float) -> None:
    snapshot = moment(seconds, findings=(finding(level),), level=level)
    writer.keep(snapshot, MATRIX_TEXT, HEALTHY.portfolio, memory=MEMORY)


def part(writer: Writer) -> Part:
    return writer.part(names())


def test_the_second_sees_what_the_first_does_and_takes_over_when_it_ends(tmp_path: Path, begin: Begin) -> None:
    first, second = begin(), begin()
    assert part(first).watches
    hand(first, OK, 0)
    assert not part(second).watches
    assert part(second).holder.endswith(f"process {os.getpid()}")
    hand(first, BREACH, 5)
    expected = Published(moment(5, findings=(finding(BREACH),), level=BREACH), MEMORY)
    assert eventually(lambda: part(second).published == expected)
    first.stop(20)
    assert eventually(lambda: part(second).watches)
    assert part(second).published == expected
    hand(second, OK, 10)
    assert second.settled(20)
    assert path_of_levels(tmp_path) == [(None, "OK"), ("OK", "BREACH"), ("BREACH", "OK")]


def test_nothing_is_published_while_nobody_reads(tmp_path: Path, begin: Begin) -> None:
    only = begin()
    assert part(only).watches
    hand(only, OK, 0)
    assert only.settled(20)
    assert eventually(lambda: ask(tmp_path, "SELECT beat FROM leases")[0][0] > 2)
    assert ask(tmp_path, "SELECT * FROM latest") == []


def test_what_a_program_without_the_lease_wants_to_keep_waits_in_its_spool(tmp_path: Path, begin: Begin) -> None:
    first, second = begin(), begin()
    assert part(first).watches
    assert not part(second).watches
    hand(second, BREACH, 0)
    assert second.settled(20)
    assert ask(tmp_path, "SELECT * FROM finding_transitions") == []
    assert second.health().spooled > 0
    assert eventually(lambda: second.health().problem == "")  # that another program writes is no fault
    first.stop(20)
    assert eventually(lambda: second.health().spooled == 0)
    assert path_of_levels(tmp_path) == [(None, "BREACH")]


def test_a_change_of_book_asks_anew(tmp_path: Path, begin: Begin) -> None:
    first, second = begin(), begin()
    assert part(first).watches
    assert not part(second).watches
    assert second.part(["other"]).watches
    assert second.part(["other"]).published is None


def test_a_database_that_does_not_answer_blinds_nobody(tmp_path: Path) -> None:
    writer = Writer(opened(tmp_path), tmp_path, clock)  # its thread does not run, so nobody is told anything
    assert writer.part(names()) == Part(watches=True)
    assert replace(writer.part(names()), holder="") == Part(watches=True)
    writer.stop(20)
