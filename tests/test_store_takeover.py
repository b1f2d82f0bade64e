"""One program loses a book to another and gets it back: what was stored meanwhile is neither lost nor told wrongly."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from guardrails.audit import verify_store
from guardrails.findings import Level
from guardrails.past import Closes, Past
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change
from guardrails.store import lease, roles
from guardrails.store.books import book_of
from guardrails.store.bringing import Bringing
from guardrails.store.database import FILE, Database, open_database
from guardrails.store.evidence_head import HEAD_FILE
from guardrails.store.following import Published, publish
from guardrails.store.lease import Leases, Program, this_program
from guardrails.store.news import Numbers
from guardrails.store.roles import Roles
from guardrails.store.spool import Spool
from guardrails.store.upkeep import Retention, Upkeep
from guardrails.store.writer import Writer
from tests.books import NOW
from tests.stored import (
    HEALTHY,
    MATRIX_TEXT,
    Lock,
    ask,
    change,
    clock,
    eventually,
    moment,
    on_server,
    opened,
    path_of_levels,
    wait_for_parts,
)
from tests.test_store_lease import BOOK, MEMORY, hand, names, part

OK, BREACH = Level.OK, Level.BREACH
KEY = book_of(names(), "").key
NEVER = 100.0
"""seconds after which a program is taken for dead, longer than any test"""
Begin = Callable[..., Writer]


@pytest.fixture
def begin(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Starts programs on one database, each with a spool of its own unless it is given one."""
    wait_for_parts(monkeypatch)
    begun: list[tuple[Writer, Database]] = []

    def start(*, spool: Path | None = None, database: Database | None = None, **more: Any) -> Writer:
        database = database or opened(tmp_path, more.pop("busy_seconds", 5.0))
        options = {"every": 0, "retry_seconds": 0.02, "beat_seconds": 0.05, "dead_seconds": 0.2} | more
        writer = Writer(database, spool or tmp_path / f"spool-{len(begun)}", clock, **options)
        begun.append((writer, database))
        writer.start()
        return writer

    yield start
    for writer, database in begun:
        writer.stop(20)
        database.close()


def lose(folder: Path) -> None:
    """Another program takes every lease, and gives no sign of life after that."""
    change(folder, "UPDATE leases SET token = token + 1, run = 'other', host = 'laptop', beat = 0")


def keep(writer: Writer, snapshot: Snapshot) -> None:
    writer.keep(snapshot, MATRIX_TEXT, HEALTHY.portfolio, memory=MEMORY)
    assert writer.settled(20)


def in_regime(seconds: float, name: str, *changes: Change) -> Snapshot:
    return moment(seconds, regime=replace(HEALTHY.snapshot.regime, name=name), changes=changes)


def seconds_of(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows whose first values are times, as seconds after NOW."""
    zero = int(NOW.timestamp())
    return [tuple(v // 1_000_000 - zero if isinstance(v, int) else v for v in row) for row in ask(folder, query)]


def interlude(begin: Begin, folder: Path, first: Writer, level: Level, seconds: float) -> None:
    """`first` loses the book to a program that sees `level` and ends."""
    lose(folder)
    assert eventually(lambda: not part(first).watches)
    other = begin()
    assert eventually(lambda: part(other).watches)
    hand(other, level, seconds)
    other.stop(20)
    assert eventually(lambda: part(first).watches)


LATER = count(40)


def told(folder: Path, writer: Writer, level: Level) -> list[tuple[Any, ...]]:
    """The path of the levels when `writer` has handed over one cycle more, as the engine does again and again.

    The first may come before it has found that another wrote meanwhile, and is telemetry only.
    """
    hand(writer, level, next(LATER))
    return path_of_levels(folder)


# --- what is stored after a lease came back ---


def test_levels_go_on_from_what_another_program_stored_meanwhile(tmp_path: Path, begin: Begin) -> None:
    first = begin(dead_seconds=NEVER)
    assert part(first).watches
    hand(first, BREACH, 0)
    assert first.settled(20)
    interlude(begin, tmp_path, first, OK, 20)
    assert eventually(lambda: told(tmp_path, first, BREACH) == [(None, "BREACH"), ("BREACH", "OK"), ("OK", "BREACH")])


def test_they_do_so_too_when_the_program_was_asleep_meanwhile(tmp_path: Path, begin: Begin) -> None:
    asleep = begin(beat_seconds=NEVER, dead_seconds=NEVER)
    assert part(asleep).watches
    hand(asleep, BREACH, 0)
    assert asleep.settled(20)
    other = begin()
    assert eventually(lambda: part(other).watches)
    hand(other, OK, 20)
    other.stop(20)
    assert eventually(lambda: told(tmp_path, asleep, BREACH) == [(None, "BREACH"), ("BREACH", "OK"), ("OK", "BREACH")])


def test_no_row_of_telemetry_reaches_over_that_of_another_program(tmp_path: Path, begin: Begin) -> None:
    first = begin(dead_seconds=NEVER)
    assert part(first).watches
    hand(first, OK, 0)
    assert eventually(lambda: len(ask(tmp_path, "SELECT * FROM snapshots")) == 1)
    interlude(begin, tmp_path, first, BREACH, 20)
    hand(first, OK, 40)
    expected = [(0, 0, "OK"), (20, 20, "BREACH"), (40, 40, "OK")]
    query = "SELECT time, until, level FROM snapshots ORDER BY time"
    assert eventually(lambda: len(ask(tmp_path, query)) == 3 or seconds_of(tmp_path, query)[0][1] > 0)
    assert seconds_of(tmp_path, query) == expected


def test_a_change_of_regime_is_stored_once_when_the_next_program_tells_it_again(tmp_path: Path, begin: Begin) -> None:
    alarm = Change(NOW, "low_volatility", "crisis_mode", "VIX 40", ())
    first, second = begin(dead_seconds=NEVER), begin(dead_seconds=NEVER)
    assert part(first).watches
    assert not part(second).watches
    keep(first, in_regime(1, "crisis_mode", alarm))
    first.stop(20)
    assert eventually(lambda: part(second).watches)
    keep(second, in_regime(10, "crisis_mode", alarm))
    assert seconds_of(tmp_path, "SELECT time, old, new FROM regime_changes") == [(0, "low_volatility", "crisis_mode")]


def test_a_regime_that_changed_while_no_program_ran_is_stored_at_the_next_start(tmp_path: Path, begin: Begin) -> None:
    def run(seconds: float, regime: str) -> list[tuple[Any, ...]]:
        writer = begin()
        assert part(writer).watches
        for later in (0, 1):
            keep(writer, in_regime(seconds + later, regime))
        assert eventually(lambda: len(ask(tmp_path, "SELECT * FROM snapshots")) > len(runs))
        writer.stop(20)
        runs.append(seconds)
        return seconds_of(tmp_path, "SELECT time, old, new FROM regime_changes ORDER BY time")

    runs: list[float] = []
    assert run(0, "low_volatility") == []
    first = (60, "low_volatility", "crisis_mode")  # against the last row of snapshots
    assert run(60, "crisis_mode") == [first]
    assert run(120, "crisis_mode") == [first]
    second = (180, "crisis_mode", "neutral_volatility")  # against the last stored change
    assert run(180, "neutral_volatility") == [first, second]
    assert run(240, "neutral_volatility") == [first, second]


def test_what_another_program_showed_is_not_shown_after_a_lease_changed_hands(tmp_path: Path, begin: Begin) -> None:
    first, second = begin(dead_seconds=NEVER), begin(dead_seconds=NEVER)
    assert part(first).watches
    assert not part(second).watches
    hand(first, OK, 0)
    assert eventually(lambda: ask(tmp_path, "SELECT count(*) FROM latest") == [(1,)])
    first.stop(20)
    assert eventually(lambda: part(second).watches)
    assert ask(tmp_path, "SELECT * FROM latest") == []


# --- who may write ---


def test_a_lease_counts_as_confirmed_only_while_the_database_says_so(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    leases = Leases(database, Program("run-1", "desk", 1))
    assert leases.hold(BOOK, NOW).writes
    assert leases.confirmed() == {BOOK.key}
    lose(tmp_path)
    assert leases.holds(BOOK.key)  # at its last look
    assert leases.confirmed() == set()
    database.close()


def test_the_upkeep_of_a_program_that_lost_its_book_changes_nothing(tmp_path: Path, begin: Begin) -> None:
    database = opened(tmp_path)
    told: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread().name == "upkeep":
            told.append(statement.split(maxsplit=1)[0].upper())

    writer = begin(database=database, beat_seconds=NEVER, retention=Retention(tmp_path, 30, 0))
    assert part(writer).watches
    hand(writer, OK, 0)
    assert writer.settled(20)
    lose(tmp_path)
    days = ((date(2026, 11, 16), 6_000.0), (date(2026, 11, 17), 6_010.0))
    writer.fill(names(), "", Past(closes=(Closes("SPX", days, "test"),)))
    assert eventually(lambda: bool(told))
    assert not eventually(lambda: not {"INSERT", "UPDATE", "DELETE"}.isdisjoint(told), 0.5)
    assert ask(tmp_path, "SELECT * FROM market_closes") == []


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_the_stop_waits_until_the_upkeep_has_left_the_file(tmp_path: Path, begin: Begin) -> None:
    """Who leaves last folds the log into the file; after that the file alone is the whole history."""
    database, busy = opened(tmp_path), threading.Event()

    @event.listens_for(database.engine, "before_cursor_execute")
    def linger(*_: Any) -> None:
        if threading.current_thread().name == "upkeep" and not busy.is_set():
            busy.set()
            threading.Event().wait(0.5)

    writer = begin(database=database, retention=Retention(tmp_path, 30, 0))
    assert part(writer).watches
    writer.fill(names(), "", Past())
    assert busy.wait(20)
    writer.stop(20)
    database.close()
    assert not (tmp_path / f"{FILE}-wal").exists()


def test_a_book_that_is_no_longer_shown_is_free_for_others(tmp_path: Path, begin: Begin) -> None:
    writer = begin(dead_seconds=NEVER)
    assert writer.part(["demo"], "calm").watches
    assert writer.part(["demo"], "crash").watches
    query = "SELECT names, run IS NULL FROM leases JOIN books USING (book) ORDER BY names"
    assert eventually(lambda: ask(tmp_path, query) == [("demo:calm", True), ("demo:crash", False)])


def test_a_program_whose_engine_has_ended_gives_its_lease_back(
    tmp_path: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = begin(dead_seconds=NEVER)
    assert part(writer).watches
    assert ask(tmp_path, "SELECT count(*) FROM leases") == [(1,)]
    with monkeypatch.context() as patch:
        patch.setattr(roles, "DEAD_SECONDS", 0.3)  # within which it is not asked again
        assert eventually(lambda: ask(tmp_path, "SELECT run FROM leases") == [(None,)])
    assert eventually(lambda: part(writer).watches and ask(tmp_path, "SELECT run FROM leases") != [(None,)])


def test_a_program_that_slept_past_its_lease_does_not_watch_beside_the_new_one(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep, other, monotonic = begin(dead_seconds=NEVER), begin(dead_seconds=NEVER), time.monotonic
    assert part(asleep).watches  # and is not asked again until the other watches
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 45)
    assert eventually(lambda: part(other).watches)
    hand(asleep, OK, 0)  # a cycle that was under way comes first
    assert not part(asleep).watches


def test_what_a_look_found_before_the_program_slept_counts_no_more(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, monotonic = opened(tmp_path), time.monotonic
    mine = Roles(database, Program("run-1", "desk", 1), clock)
    mine.want(names(), "")
    monkeypatch.setattr(mine, "_now", lambda: monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 45) or NOW)
    mine.look()  # takes the lease, and falls asleep
    assert not mine.writes
    assert mine.seconds_to_look() == 0
    database.close()


def test_a_refused_write_ends_the_part_at_once_and_is_no_problem_of_a_reader(tmp_path: Path, begin: Begin) -> None:
    asleep = begin(beat_seconds=NEVER, dead_seconds=NEVER)
    assert part(asleep).watches
    lose(tmp_path)
    assert part(asleep).watches  # it does not know yet
    hand(asleep, BREACH, 0)
    assert asleep.settled(20)
    assert eventually(lambda: not part(asleep).watches)
    assert eventually(lambda: asleep.health().problem == "")
    assert asleep.health().spooled > 0


def test_a_program_that_had_readers_follows_the_next_one(tmp_path: Path, begin: Begin) -> None:
    first, reader = begin(dead_seconds=NEVER, retry_seconds=2.0), begin(dead_seconds=NEVER)
    assert part(first).watches
    assert not part(reader).watches
    hand(first, OK, 0)
    assert eventually(lambda: ask(tmp_path, "SELECT count(*) FROM latest") == [(1,)])
    lose(tmp_path)
    assert eventually(lambda: not part(first).watches)
    hand(first, OK, 10)  # of a cycle that was under way
    [(token,)] = ask(tmp_path, "SELECT token FROM leases")
    database = opened(tmp_path)
    with database.writing(durable=True) as connection:
        publish(connection, KEY, token, Published(moment(20), MEMORY))
    database.close()

    def seen() -> datetime | None:
        published = part(first).published
        return None if published is None else published.snapshot.as_of

    assert eventually(lambda: seen() == moment(20).as_of)
    assert eventually(lambda: first.health().problem == "")


def test_that_rows_wait_on_the_disk_is_told_whatever_the_database_failed_at_first(tmp_path: Path, begin: Begin) -> None:
    writer = begin(busy_seconds=0.05, retry_seconds=NEVER)
    assert part(writer).watches
    lock = Lock(tmp_path)
    assert eventually(lambda: "does not say who writes" in writer.health().problem)
    hand(writer, OK, 0)
    assert writer.settled(20)  # bringing it is not tried before NEVER is over
    waiting = writer.health()
    assert waiting.spooled > 0
    assert f"{waiting.spooled} rows that must survive wait in spool.jsonl" in waiting.problem
    lock.release()


def test_a_full_disk_is_logged_once(tmp_path: Path, begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "blocked"
    blocked.touch()  # a file where the folder of the spool should be
    writer = begin(busy_seconds=0.01, spool=blocked)
    assert part(writer).watches
    lock = Lock(tmp_path)
    hand(writer, BREACH, 0)
    assert eventually(lambda: "nor can" in writer.health().problem)
    assert not eventually(lambda: caplog.text.count("takes no rows") > 2, 0.5)  # once for each of the two
    assert caplog.text.count("nor can") == 1
    lock.release()
    assert writer.settled(20)


def test_a_full_disk_is_told_beside_whatever_the_database_failed_at_first(
    tmp_path: Path, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "blocked"
    blocked.touch()
    writer = begin(busy_seconds=0.01, spool=blocked, beat_seconds=0.1, dead_seconds=NEVER, retry_seconds=0.5)
    assert part(writer).watches
    lock = Lock(tmp_path)
    assert eventually(lambda: "does not say who writes" in writer.health().problem)
    hand(writer, BREACH, 0)
    assert eventually(lambda: "does not say who writes (it is locked by another program); nor can" in caplog.text)
    assert not eventually(lambda: caplog.text.count("nor can") > 1, 0.7)  # also once it has been tried again
    lock.release()
    assert writer.settled(20)


def test_the_upkeep_outlives_a_database_that_is_down(tmp_path: Path, kind: str) -> None:
    database, is_down = opened(tmp_path), threading.Event()
    asked: list[bool] = []
    is_down.set()

    def mine() -> list[str]:
        asked.append(is_down.is_set())
        if is_down.is_set():
            raise ConnectionError
        return []

    upkeep = Upkeep(database, Retention(tmp_path, 30, 0), clock, mine, every=0.02)
    upkeep.start()
    assert eventually(lambda: "ConnectionError" in upkeep.problem)
    is_down.clear()
    assert eventually(lambda: upkeep.problem == "")
    assert asked[-1] is False
    upkeep.stop(5)
    assert upkeep.problem == ""
    database.close()


def test_an_upkeep_that_has_ended_is_a_problem(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = opened(tmp_path)
    upkeep = Upkeep(database, Retention(tmp_path, 30, 0), clock, list)
    monkeypatch.setattr(upkeep, "_run", lambda: None)
    upkeep.start()
    assert eventually(lambda: "the upkeep of the history has ended" in upkeep.problem)
    upkeep.stop(5)
    database.close()


def test_a_reader_that_cannot_reach_the_database_watches_itself(
    tmp_path: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = begin(dead_seconds=NEVER, busy_seconds=0.05), begin(dead_seconds=NEVER, busy_seconds=0.05)
    assert part(first).watches
    assert not part(second).watches
    monkeypatch.setattr(roles, "BLIND_SECONDS", 1.5)
    lock = Lock(tmp_path)
    assert eventually(lambda: part(second).watches)
    lock.release()
    assert eventually(lambda: not part(second).watches)


def test_a_reader_says_that_it_cannot_read_and_still_takes_over(tmp_path: Path, begin: Begin, kind: str) -> None:
    first, second = begin(dead_seconds=NEVER), begin(dead_seconds=NEVER)
    assert part(first).watches
    assert not part(second).watches
    hand(first, OK, 0)
    assert eventually(lambda: ask(tmp_path, "SELECT count(*) FROM latest") == [(1,)])
    damaged = "x'00000000000000aabb'" if kind == "sqlite" else "decode('00000000000000aabb', 'hex')"
    change(tmp_path, f"UPDATE latest SET time = time + 1, content = {damaged}")  # noqa: S608  # one of the two above
    assert eventually(lambda: "does not show what another program sees" in second.health().problem)
    assert "takes no rows" not in second.health().problem
    first.stop(20)
    assert eventually(lambda: part(second).watches)
    assert eventually(lambda: second.health().problem == "")  # it reads nobody any more


def test_what_nobody_reads_any_more_is_no_problem(tmp_path: Path, begin: Begin) -> None:
    first, reader = begin(dead_seconds=NEVER), begin(dead_seconds=NEVER)
    assert part(first).watches
    assert not part(reader).watches
    change(tmp_path, "ALTER TABLE latest RENAME TO away")
    assert eventually(lambda: first.health().problem == "" and ask(tmp_path, "SELECT count(*) FROM readers") == [(1,)])
    hand(first, OK, 0)
    assert eventually(lambda: "does not show others" in first.health().problem)
    reader.stop(20)
    assert eventually(lambda: first.health().problem == "")


def test_two_places_with_one_name_are_two_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers may bear the name of their machine, and number their processes each for itself."""
    here = this_program("run-1").host
    assert this_program("run-2").host == here
    assert here.partition("/")[0] == (platform.node() or "this machine")
    monkeypatch.setattr(lease, "_NAMESPACE", tmp_path / "pid")
    (tmp_path / "pid").symlink_to("pid:[1]")
    assert this_program("run-3").host != here


# --- spools ---


def test_rows_of_a_book_that_another_writes_do_not_hold_up_those_of_mine(tmp_path: Path, begin: Begin) -> None:
    first, second = begin(dead_seconds=NEVER), begin(spool=tmp_path / "mine", dead_seconds=NEVER)
    assert part(first).watches
    assert not part(second).watches
    hand(second, OK, 0)
    assert second.settled(20)
    waiting = second.health().spooled
    assert waiting > 0
    second.stop(20)
    third = begin(spool=tmp_path / "mine", dead_seconds=NEVER)  # the same program, with other sources
    assert third.part(["statement:x"]).watches
    sources = (replace(HEALTHY.snapshot.sources[0], name="statement:x"),)
    third.keep(moment(5, sources=sources), MATRIX_TEXT, HEALTHY.portfolio)
    key = book_of(["statement:x"], "").key
    assert eventually(lambda: ask(tmp_path, "SELECT count(*) FROM finding_transitions WHERE book = ?", key) != [(0,)])
    assert third.health().spooled == waiting


def test_a_long_spool_leaves_time_for_signs_of_life(tmp_path: Path, kind: str) -> None:
    spool = Spool(tmp_path)
    spool.append([("books", (f"b{n}", "x", n)) for n in range(1_200)])
    database, stored = opened(tmp_path), list[int]()
    leases = Leases(database, Program("run-1", "desk", 1))

    def between() -> None:
        stored.append(ask(tmp_path, "SELECT count(*) FROM books")[0][0])

    Bringing(database, leases, Numbers("run-1"), clock, between).bring(spool, [])
    assert stored == [500, 1_000, 1_200]
    spool.close()
    database.close()


# --- evidence of several machines ---


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_the_first_takeover_on_a_second_machine_is_no_problem_of_evidence(tmp_path: Path, begin: Begin) -> None:
    server = on_server(tmp_path)
    assert server is not None
    first, second = (
        begin(database=open_database(tmp_path / name, clock, server.url), dead_seconds=NEVER) for name in ("one", "two")
    )
    assert part(first).watches
    assert not part(second).watches
    hand(first, OK, 0)
    assert first.settled(20)
    first.stop(20)
    code, lines = verify_store(tmp_path / "two", server.url)
    assert (code, lines[1:]) == (
        0, [f"Note: {HEAD_FILE} is not on this machine, which never wrote: a cut end cannot be seen from here."]
    )  # fmt: skip
    assert eventually(lambda: part(second).watches)
    hand(second, BREACH, 10)
    assert second.settled(20)
    assert eventually((tmp_path / "two" / HEAD_FILE).exists)
    assert second.health().problem == ""
    for name in ("one", "two"):
        assert verify_store(tmp_path / name, server.url)[0] == 0
