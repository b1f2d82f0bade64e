"""Requests from an app that reads to the program that watches: done at most once, and nobody is left without a word."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from guardrails.requests import Answer, Kind, Request, Said
from guardrails.store.asking import MOST_ASKED, PATIENCE, Asking
from guardrails.store.books import book_of
from guardrails.store.database import Database
from guardrails.store.lease import Leases, Program
from guardrails.store.metadata import StoreError
from guardrails.store.taking import KEPT, Taking
from guardrails.store.writer import Writer
from tests.books import NOW, TASTY
from tests.stored import HEALTHY, Lock, ask, change, clock, eventually, opened, wait_for_parts

SOURCES = [row.name for row in HEALTHY.snapshot.sources]
BOOK = book_of(SOURCES)


class Clock:
    """Only passes when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def set(self, seconds: float) -> None:
        self.now = NOW + timedelta(seconds=seconds)


def wish(key: str = "k1", author: str = "Ann", **body: str) -> Request:
    """Valid for 15 s from NOW."""
    told = body or {"alert": "vega portfolio", "note": "rolling it"}
    return Request(key, NOW, NOW + timedelta(seconds=15), author, Kind.ACKNOWLEDGE.value, told)


def done(key: str = "k1", words: str = "acknowledged") -> Answer:
    return Answer(key, NOW + timedelta(seconds=1), Said.DONE, words)


def said(answer: Answer | None) -> Said | None:
    return None if answer is None else answer.said


class Two:
    """An app that asks and a program that watches, on one database; each with its own clock."""

    def __init__(self, folder: Path) -> None:
        self.database: Database = opened(folder, busy_seconds=0.05)
        self.here, self.there = Clock(), Clock()
        self.leases = Leases(self.database, Program("watch", "desk", os.getpid()))
        assert self.leases.hold(BOOK, NOW).writes
        self.asking = Asking(self.database, "app", self.here)
        self.taking = Taking(self.database, self.leases, "watch", self.there)

    def ask(self, request: Request) -> None:
        self.asking.ask(request, BOOK)
        self.asking.pass_on()

    def take(self) -> list[Request]:
        self.taking.take(BOOK.key)
        return self.taking.requests()

    def say(self, answer: Answer) -> Answer | None:
        self.taking.answer(answer)
        self.taking.reply()
        self.asking.pass_on()
        return self.asking.answered(answer.key)


@pytest.fixture
def two(tmp_path: Path, kind: str) -> Iterator[Two]:
    both = Two(tmp_path)
    yield both
    both.database.close()


# --- there and back ---


def test_a_request_arrives_as_it_was_asked_and_its_answer_comes_back(two: Two) -> None:
    two.ask(wish())
    assert two.take() == [wish()]
    assert two.asking.answered("k1") is None
    assert two.say(done()) == done()
    assert not two.asking.waits


def test_it_is_taken_once(two: Two) -> None:
    two.ask(wish())
    two.asking.pass_on()
    assert two.take() == [wish()]
    assert two.take() == []
    after_a_crash = Taking(two.database, two.leases, "watch", two.there)
    after_a_crash.take(BOOK.key)
    assert after_a_crash.requests() == []


def test_a_program_without_the_lease_takes_nothing(two: Two, tmp_path: Path) -> None:
    two.ask(wish())
    change(tmp_path, "UPDATE leases SET token = token + 1, run = 'other'")
    assert two.take() == []
    assert ask(tmp_path, "SELECT taken_by FROM requests") == [(None,)]


def test_requests_of_another_book_are_left(two: Two, tmp_path: Path) -> None:
    other = book_of(["demo"], "calm")
    change(tmp_path, f"INSERT INTO books VALUES ('{other.key}', '{other.names}', 1)")  # noqa: S608  # ours
    two.asking.ask(wish(), other)
    two.asking.pass_on()
    assert two.take() == []
    assert ask(tmp_path, "SELECT taken_by FROM requests") == [(None,)]


def test_several_are_taken_in_the_order_of_their_time(two: Two) -> None:
    later = Request("k0", NOW + timedelta(seconds=1), NOW + timedelta(seconds=16), "Bob", "acted", {"alert": "x"})
    two.ask(later)
    two.ask(wish("k1"))
    assert [request.key for request in two.take()] == ["k1", "k0"]


# --- too late ---


def test_one_that_nobody_took_in_time_is_taken_back_before_it_is_called_expired(two: Two, tmp_path: Path) -> None:
    two.ask(wish())
    two.here.set(14.9)
    two.asking.pass_on()
    assert two.asking.answered("k1") is None
    two.here.set(15)
    two.asking.pass_on()
    assert said(two.asking.answered("k1")) is Said.EXPIRED
    assert ask(tmp_path, "SELECT taken_by FROM requests") == [("app",)]
    two.there.set(-100)  # a clock behind would still think it valid
    assert two.take() == []


def test_one_that_was_taken_is_never_called_expired(two: Two) -> None:
    two.ask(wish())
    assert two.take() == [wish()]
    two.here.set(15)
    two.asking.pass_on()
    two.asking.pass_on()
    assert two.asking.answered("k1") is None
    two.here.set(20)
    assert two.say(done()) == done()


def test_one_whose_answer_never_comes_is_called_unknown(two: Two) -> None:
    two.ask(wish())
    assert two.take() == [wish()]
    two.here.set(14.9 + PATIENCE.total_seconds())
    two.asking.pass_on()
    assert two.asking.answered("k1") is None
    two.here.set(15 + PATIENCE.total_seconds())
    assert said(two.asking.answered("k1")) is Said.UNKNOWN
    assert "may have been done" in getattr(two.asking.answered("k1"), "words", "")


def test_the_watching_program_does_not_do_what_is_too_late_by_its_clock(two: Two) -> None:
    two.ask(wish())
    two.there.set(15)
    assert two.take() == []
    two.asking.pass_on()
    assert said(two.asking.answered("k1")) is Said.EXPIRED


def test_what_was_taken_and_fetched_too_late_is_not_handed_out(two: Two) -> None:
    two.ask(wish())
    two.taking.take(BOOK.key)
    two.there.set(15)
    assert two.taking.requests() == []
    two.taking.reply()
    two.asking.pass_on()
    assert said(two.asking.answered("k1")) is Said.EXPIRED


# --- a database that fails ---


def test_one_that_the_database_did_not_take_expires_here_and_never_arrives(two: Two, tmp_path: Path) -> None:
    two.asking.ask(wish(), BOOK)
    lock = Lock(tmp_path)
    for seconds in (0, 14):
        two.here.set(seconds)
        with pytest.raises(Exception, match="lock"):
            two.asking.pass_on()
        assert two.asking.answered("k1") is None
    two.here.set(15)
    assert said(two.asking.answered("k1")) is Said.EXPIRED
    lock.release()
    two.asking.pass_on()
    assert ask(tmp_path, "SELECT * FROM requests") == []


def test_one_that_the_database_takes_late_but_in_time_arrives(two: Two, tmp_path: Path) -> None:
    two.asking.ask(wish(), BOOK)
    lock = Lock(tmp_path)
    with pytest.raises(Exception, match="lock"):
        two.asking.pass_on()
    lock.release()
    two.asking.pass_on()
    assert two.take() == [wish()]


class Doubtful:
    """A database whose connection breaks when a commit was sent: whether it came through is not known here."""

    def __init__(self, real: Database, *, stores: bool) -> None:
        self._real, self._stores, self.broken = real, stores, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[Connection]:
        with self._real.writing(durable=durable) as connection:
            yield connection
            if self.broken and not self._stores:
                connection.rollback()
        if self.broken:
            raise StoreError("the server has not answered")


@pytest.mark.parametrize("stores", [True, False])
def test_a_commit_of_which_nothing_was_heard_is_settled_by_the_database(two: Two, *, stores: bool) -> None:
    database = Doubtful(two.database, stores=stores)
    asking = Asking(database, "app", two.here)
    asking.ask(wish(), BOOK)
    with pytest.raises(StoreError):
        asking.pass_on()
    two.here.set(15)
    assert asking.answered("k1") is None  # it may have been taken
    database.broken = False
    asking.pass_on()
    assert said(asking.answered("k1")) is Said.EXPIRED
    assert two.take() == []


def test_a_commit_of_which_nothing_was_heard_may_be_tried_again(two: Two) -> None:
    database = Doubtful(two.database, stores=True)
    asking = Asking(database, "app", two.here)
    asking.ask(wish(), BOOK)
    with pytest.raises(StoreError):
        asking.pass_on()
    database.broken = False
    assert two.take() == [wish()]
    asking.pass_on()
    assert two.take() == []


# --- what is stored, and how long ---


def test_account_numbers_are_masked(two: Two, tmp_path: Path) -> None:
    two.ask(wish(author=f"Ann {TASTY.number}", note=f"close all of {TASTY.number}"))
    assert two.take()[0].body == {"note": "close all of •••0001"}
    two.say(done(words=f"closed in {TASTY.number}"))
    rows = ask(tmp_path, "SELECT author, body FROM requests") + ask(tmp_path, "SELECT words FROM answers")
    assert rows == [("Ann •••0001", '{"note": "close all of •••0001"}'), ("closed in •••0001",)]


@pytest.mark.parametrize("body", ["{", "[]", '{"alert": 1}'])
def test_one_that_cannot_be_read_is_refused_and_holds_up_no_other(two: Two, tmp_path: Path, body: str) -> None:
    two.ask(wish())
    two.ask(wish("k2"))
    change(tmp_path, f"UPDATE requests SET body = '{body}' WHERE key = 'k1'")  # noqa: S608  # one of the three above
    assert [request.key for request in two.take()] == ["k2"]
    two.asking.pass_on()
    assert said(two.asking.answered("k1")) is Said.REFUSED


def test_rows_are_deleted_after_a_day(two: Two, tmp_path: Path) -> None:
    two.ask(wish())
    two.take()
    two.say(done())
    for seconds, left in ((KEPT.total_seconds(), 2), (KEPT.total_seconds() + 2, 1)):
        two.there.set(seconds)
        two.ask(Request(f"k{seconds}", NOW + KEPT, NOW + 2 * KEPT, "Ann", "acted", {}))
        two.take()
        assert ask(tmp_path, "SELECT count(*) FROM requests WHERE key = 'k1'") == [(left - 1,)]
        assert ask(tmp_path, "SELECT count(*) FROM answers") == [(left - 1,)]


def test_an_answer_to_what_was_not_asked_through_the_store_is_passed_over(two: Two, tmp_path: Path) -> None:
    two.taking.answer(done("asked in this app"))
    assert not two.taking.owes


def test_what_cannot_be_asked_is_refused_at_once(two: Two) -> None:
    two.asking.ask(wish(), None)
    assert said(two.asking.answered("k1")) is Said.REFUSED
    for n in range(MOST_ASKED + 1):
        two.asking.ask(wish(f"n{n}"), BOOK)
    assert said(two.asking.answered(f"n{MOST_ASKED - 1}")) is None
    assert said(two.asking.answered(f"n{MOST_ASKED}")) is Said.REFUSED


# --- two programs ---


@pytest.fixture
def pair(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Writer, Writer]]:
    """One that watches and one that reads."""
    wait_for_parts(monkeypatch)
    databases = opened(tmp_path), opened(tmp_path)
    first, second = (
        Writer(database, tmp_path / str(n), clock, retry_seconds=0.02, beat_seconds=0.05, dead_seconds=100)
        for n, database in enumerate(databases)
    )
    first.start()
    assert first.part(SOURCES).watches
    second.start()
    assert eventually(lambda: not second.part(SOURCES).watches)
    yield first, second
    for writer, database in ((second, databases[1]), (first, databases[0])):
        writer.stop(20)
        database.close()


def asked_now(key: str) -> Request:
    return Request(key, clock(), clock() + timedelta(seconds=15), "Ann", "silence", {"alert": "vega portfolio"})


def test_what_is_asked_in_a_reader_is_done_by_the_program_that_watches(pair: tuple[Writer, Writer]) -> None:
    watch, app = pair
    app.ask(asked_now("k1"))
    found: list[Request] = []
    assert eventually(lambda: bool(found.extend(watch.requests()) or found))
    assert found == [asked_now("k1")]
    assert app.answered("k1") is None
    watch.answer(Answer("k1", clock(), Said.REFUSED, "a silence needs a reason."))
    expected = Answer("k1", clock(), Said.REFUSED, "a silence needs a reason.")
    assert eventually(lambda: app.answered("k1") == expected)
    assert (watch.health().problem, app.health().problem) == ("", "")


def test_what_nobody_fetched_is_answered_when_the_watch_ends(pair: tuple[Writer, Writer], tmp_path: Path) -> None:
    watch, app = pair
    app.ask(asked_now("k1"))
    assert eventually(lambda: ask(tmp_path, "SELECT count(*) FROM requests WHERE taken_by IS NOT NULL") == [(1,)])
    watch.stop(20)
    assert eventually(lambda: said(app.answered("k1")) is Said.EXPIRED)


def test_a_reader_that_took_over_does_itself_what_it_asked(pair: tuple[Writer, Writer], tmp_path: Path) -> None:
    watch, app = pair
    watch.stop(20)
    assert eventually(lambda: app.part(SOURCES).watches)
    app.ask(asked_now("k1"))
    found: list[Request] = []
    assert eventually(lambda: bool(found.extend(app.requests()) or found))
    app.answer(Answer("k1", clock(), Said.DONE, "silenced"))
    assert eventually(lambda: said(app.answered("k1")) is Said.DONE)


def test_a_problem_of_passing_on_is_said_until_it_is_over(pair: tuple[Writer, Writer], tmp_path: Path) -> None:
    _, app = pair
    change(tmp_path, "ALTER TABLE requests RENAME TO away")
    app.ask(asked_now("k1"))
    assert eventually(lambda: "does not pass on what persons ask" in app.health().problem)
    change(tmp_path, "ALTER TABLE away RENAME TO requests")
    assert eventually(lambda: app.health().problem == "")
    assert json.loads(ask(tmp_path, "SELECT body FROM requests")[0][0]) == {"alert": "vega portfolio"}


def test_a_problem_of_what_has_expired_is_no_longer_said(tmp_path: Path) -> None:
    holder, database, time = opened(tmp_path), opened(tmp_path), Clock()
    assert Leases(holder, Program("watch", "desk", os.getpid())).hold(BOOK, NOW).writes
    app = Writer(database, tmp_path / "spool", time, retry_seconds=0.02, beat_seconds=0.05, dead_seconds=100)
    app.start()
    assert eventually(lambda: not app.part(SOURCES).watches)
    change(tmp_path, "ALTER TABLE requests RENAME TO away")
    app.ask(wish())
    assert eventually(lambda: "does not pass on" in app.health().problem)
    time.set(15)
    assert said(app.answered("k1")) is Said.EXPIRED
    assert eventually(lambda: app.health().problem == "")
    app.stop(20)
    for one in (holder, database):
        one.close()
