"""The writer: nothing that must survive is lost, telemetry is dropped and counted, and nobody ever waits for it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from guardrails import reserve
from guardrails.audit import verify_file
from guardrails.execution.values import FlattenRun, RunState
from guardrails.findings import Level
from guardrails.gate.values import Override
from guardrails.orders_now import OrdersNow
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change
from guardrails.store.database import FILE, Database, open_database
from guardrails.store.evidence_head import HEAD_FILE
from guardrails.store.metadata import StoreError
from guardrails.store.spool import Spool, waiting_rows
from guardrails.store.writer import Writer
from tests.books import NOW
from tests.stored import (
    HEALTHY,
    MATRIX_TEXT,
    Lock,
    ask,
    clock,
    eventually,
    finding,
    hand,
    moment,
    on_server,
    opened,
    path_of_levels,
)
from tests.traded import record

OK, WATCH, UNKNOWN, BREACH = Level.OK, Level.WATCH, Level.UNKNOWN, Level.BREACH
PATH = [(None, "OK"), ("OK", "BREACH"), ("BREACH", "OK"), ("OK", "BREACH")]
Begin = Callable[..., Writer]


@pytest.fixture
def begin(tmp_path: Path, kind: str) -> Iterator[Begin]:
    """Starts a writer on the database in tmp_path; all are stopped at the end."""
    writers: list[tuple[Writer, Database]] = []

    def start(busy_seconds: float = 5.0, *, spool: Path | None = None, run: bool = True, **more: Any) -> Writer:
        database = opened(tmp_path, busy_seconds)
        writer = Writer(database, spool or tmp_path, clock, **{"retry_seconds": 0.02, **more})
        writers.append((writer, database))
        if run:
            writer.start()
        return writer

    yield start
    for writer, database in writers:
        writer.stop(20)
        database.close()


def at(level: Level, n: float, **changes: Any) -> Snapshot:
    """The healthy book with one finding, n seconds after NOW; its value is n."""
    return moment(n, findings=(finding(level, float(n)),), **changes)


def flips(writer: Writer, count: int, first: int = 0) -> None:
    """`count` Snapshots in each of which the level has changed."""
    for n in range(first, first + count):
        hand(writer, at((OK, BREACH)[n % 2], n))


def values(folder: Path) -> list[float]:
    return [row[0] for row in ask(folder, "SELECT value FROM finding_transitions ORDER BY id")]


# --- what is kept ---


def test_it_keeps_every_table_by_itself(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    change = Change(NOW, "low_volatility", "neutral_volatility", "VIX 17", ())
    hand(writer, moment(changes=(change,)))
    writer.stop(20)
    for table in ("books", "matrix_versions", "session_starts", "regime_changes", "finding_transitions", "snapshots",
                  "positions", "greek_snapshots", "underlying_totals", "account_values"):  # fmt: skip
        assert ask(tmp_path, f"SELECT count(*) FROM {table}")[0][0] > 0, table  # noqa: S608  # names above
    assert ask(tmp_path, "SELECT content FROM matrix_versions") == [(MATRIX_TEXT,)]
    assert writer.health().problem == ""
    assert writer.health().queued == 0


def test_every_change_of_a_level_is_kept_in_order(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    for n, level in enumerate((OK, OK, WATCH, WATCH, UNKNOWN, OK)):
        hand(writer, at(level, n))
    hand(writer, moment(6, findings=()))
    assert writer.settled(20)
    assert path_of_levels(tmp_path) == [
        (None, "OK"), ("OK", "WATCH"), ("WATCH", "UNKNOWN"), ("UNKNOWN", "OK"), ("OK", None),
    ]  # fmt: skip


@pytest.mark.parametrize(("seconds", "rows"), [(14, 1), (15, 2)])
def test_telemetry_is_kept_every_fifteen_seconds(tmp_path: Path, begin: Begin, seconds: int, rows: int) -> None:
    writer = begin()
    hand(writer, at(OK, 0))
    totals = replace(HEALTHY.snapshot.totals, vega_per_point=-1.0)
    hand(writer, replace(at(OK, 0, totals=totals), as_of=NOW + timedelta(seconds=seconds)))
    writer.stop(20)
    assert len(ask(tmp_path, "SELECT * FROM snapshots")) == rows


def test_telemetry_is_kept_at_once_when_a_level_changes(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    hand(writer, at(OK, 0))
    hand(writer, replace(at(BREACH, 2), level=BREACH))
    writer.stop(20)
    assert ask(tmp_path, "SELECT level FROM snapshots ORDER BY time") == [("OK",), ("BREACH",)]


def test_telemetry_goes_on_when_the_clock_is_set_back(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    for seconds in (3600, 3615, 0, 2, 15):
        hand(writer, replace(at(OK, 0), as_of=NOW + timedelta(seconds=seconds)))
        assert writer.settled(20)
    hand(writer, replace(at(BREACH, 0), as_of=NOW + timedelta(seconds=16)))
    writer.stop(20)
    starts = [(row[0] - ask(tmp_path, "SELECT min(time) FROM snapshots")[0][0]) // 1_000_000
              for row in ask(tmp_path, "SELECT time FROM snapshots ORDER BY time")]  # fmt: skip
    assert starts == [0, 16, 3600]  # the moment of 15 s said nothing new: the row of 0 s holds until then
    # once more at 0 s: what was told of a time that is yet to come says nothing of now
    assert path_of_levels(tmp_path) == [(None, "OK"), (None, "OK"), ("OK", "BREACH")]


def test_each_book_is_kept_apart(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    for scenario in ("calm", "crash", "calm"):
        source = replace(HEALTHY.snapshot.sources[0], name="demo")
        hand(writer, at(OK if scenario == "calm" else BREACH, 1, sources=(source,)), scenario)
    writer.stop(20)
    query = "SELECT names, old, new FROM finding_transitions JOIN books USING (book) ORDER BY id"
    assert ask(tmp_path, query) == [("demo:calm", None, "OK"), ("demo:crash", None, "BREACH")]


def test_a_second_run_goes_on_where_the_first_stopped(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    both = (finding(OK), finding(OK, subject="account:x"), finding(OK, subject="account:y"))
    hand(writer, moment(0, findings=both))
    writer.stop(20)
    writer = begin()
    hand(writer, moment(60, findings=(finding(BREACH), both[1])))
    writer.stop(20)
    assert path_of_levels(tmp_path) == [(None, "OK"), ("OK", "BREACH")]
    assert path_of_levels(tmp_path, "account:x") == [(None, "OK")]
    assert path_of_levels(tmp_path, "account:y") == [(None, "OK"), ("OK", None)]
    assert len(ask(tmp_path, "SELECT * FROM session_starts")) == 2
    assert len(ask(tmp_path, "SELECT * FROM matrix_versions")) == 1


def test_a_false_matrix_is_a_problem_until_the_right_one_comes(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    hand(writer, at(OK, 0), text="another")
    assert f"matrix in force, {HEALTHY.snapshot.matrix_version}, is not kept" in writer.health().problem
    hand(writer, at(OK, 1))
    assert writer.health().problem == ""
    writer.stop(20)
    assert path_of_levels(tmp_path) == [(None, "OK")]
    assert ask(tmp_path, "SELECT content FROM matrix_versions") == [(MATRIX_TEXT,)]


def test_handing_over_nonsense_does_not_raise(begin: Begin) -> None:
    writer = begin()
    hand(writer, moment(positions=()))  # not the Portfolio it was made from
    writer.keep(None, MATRIX_TEXT, HEALTHY.portfolio)  # type: ignore[arg-type]
    assert "the last snapshot was not kept (AttributeError)" in writer.health().problem
    hand(writer, moment(1))
    assert writer.settled(20)
    assert eventually(lambda: writer.health().dropped == 1)
    assert writer.health().problem == ""


# --- a database that does not take it ---


def test_nobody_waits_for_a_database_that_hangs(tmp_path: Path, begin: Begin) -> None:
    """Another program holds the lock for three seconds; all is handed over before it lets go."""
    writer = begin(busy_seconds=30.0, max_moments=5)
    lock = Lock(tmp_path)
    flips(writer, 50)
    assert not writer.settled(0)
    assert writer.health().dropped >= 50 - 5 - 1
    assert not Event().wait(3)
    assert values(tmp_path) == []
    lock.release()
    assert writer.settled(20)
    assert values(tmp_path) == list(range(50))
    assert writer.health().spooled == 0


def test_what_must_survive_waits_on_the_disk_while_the_database_is_locked(tmp_path: Path, begin: Begin) -> None:
    writer = begin(busy_seconds=0.01)
    lock = Lock(tmp_path)
    flips(writer, 20)
    assert writer.settled(20)  # on the disk, although the lock is still held
    assert writer.health().spooled >= 20
    assert eventually(lambda: "locked by another program" in writer.health().problem)
    assert values(tmp_path) == []
    assert [row[8] for name, row in waiting_rows(tmp_path) if name == "finding_transitions"] == list(range(20))
    assert eventually(lambda: writer.health().dropped > 0)
    lock.release()
    assert eventually(lambda: writer.health().spooled == 0)
    flips(writer, 3, first=20)
    assert eventually(lambda: values(tmp_path) == list(range(23)))
    assert eventually(lambda: writer.health().problem == "")
    assert waiting_rows(tmp_path) == []
    assert (tmp_path / "spool.jsonl").stat().st_mode & 0o777 == 0o600


def test_the_writer_rests_while_the_database_is_away(tmp_path: Path, begin: Begin) -> None:
    """Signs of life that are due do not keep it busy. What counts is the processor's time, not that of the clock."""
    writer = begin(busy_seconds=0.01, retry_seconds=30.0, beat_seconds=0.05)
    assert writer.part([row.name for row in HEALTHY.snapshot.sources]).watches
    lock = Lock(tmp_path)
    hand(writer, at(OK, 0))
    assert eventually(lambda: writer.health().problem != "")
    assert writer._thread is not None
    assert writer._thread.ident is not None
    busy = time.pthread_getcpuclockid(writer._thread.ident)
    before = time.clock_gettime(busy)
    assert not eventually(lambda: time.clock_gettime(busy) - before > 0.2, 1.0)
    lock.release()


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_a_problem_stays_while_one_table_takes_nothing_and_another_does(tmp_path: Path, begin: Begin) -> None:
    writer = begin(busy_seconds=0.05, beat_seconds=0.05)
    assert writer.part([row.name for row in HEALTHY.snapshot.sources]).watches
    hand(writer, at(OK, 0))
    assert writer.settled(20)
    server = on_server(tmp_path)
    assert server is not None
    with server.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE finding_transitions IN EXCLUSIVE MODE")
        hand(writer, at(BREACH, 5))
        assert eventually(lambda: "takes no rows" in writer.health().problem)
        beats, said = ask(tmp_path, "SELECT beat FROM leases")[0][0], list[str]()

        def has_beaten() -> bool:
            said.append(writer.health().problem)
            return bool(ask(tmp_path, "SELECT beat FROM leases")[0][0] > beats + 4)

        assert eventually(has_beaten)
        assert all("takes no rows" in problem for problem in said)
        other.execute("ROLLBACK")
    assert eventually(lambda: writer.health().problem == "")
    assert path_of_levels(tmp_path) == [(None, "OK"), ("OK", "BREACH")]


def test_evidence_that_is_no_unicode_text_is_stored(tmp_path: Path, begin: Begin) -> None:
    """Half of a pair, as a broker's cut text may end in: https://www.unicode.org/faq/utf_bom.html#utf16-7."""
    writer = begin()
    odd = replace(finding(BREACH), message="cut \ud83d", evidence={"name \ud83d": ["\udc00", {"x": "\ud83d"}]})
    hand(writer, moment(findings=(odd,)))
    assert writer.settled(20)
    stored = ask(tmp_path, "SELECT message, evidence FROM finding_transitions WHERE check_name = 'vega'")
    assert stored == [("cut ?", '{"name ?": ["?", {"x": "?"}]}')]
    assert writer.health().refused == 0


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_full_disk_is_outlived(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    hand(writer, at(OK, 0))
    assert writer.settled(20)
    database = writer._database
    limit = [ask(tmp_path, "PRAGMA page_count")[0][0]]
    event.listen(database.engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count = {limit[0]}"))
    database.engine.dispose()
    flips(writer, 400, first=1)
    assert writer.settled(20)
    assert eventually(lambda: "the disk is full" in writer.health().problem)
    limit[0] = 1_000_000
    database.engine.dispose()
    assert eventually(lambda: writer.health().spooled == 0)
    assert sorted(values(tmp_path)) == list(range(401))
    assert values(tmp_path) == list(range(401))


def test_a_file_that_could_not_be_opened_at_the_start_is_opened_when_it_can_be(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    database = open_database(tmp_path, clock, patient=True)
    writer = Writer(database, tmp_path / "spool", clock, retry_seconds=0.02)
    writer.start()
    flips(writer, 2)
    assert writer.settled(20)
    assert writer.health().spooled > 0
    assert "takes no rows" in writer.health().problem
    assert "a folder stands in its place" in writer.health().problem
    with pytest.raises(StoreError, match="a folder stands in its place"):  # what was done before is not known
        writer.open_deeds(["ibkr"], "", NOW)
    (tmp_path / FILE).rmdir()
    assert eventually(lambda: writer.health().spooled == 0)
    assert values(tmp_path) == [0.0, 1.0]
    assert eventually(lambda: writer.health().problem == "")
    writer.stop(20)
    database.close()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_database_that_is_taken_away_is_begun_again(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    flips(writer, 2)
    assert writer.settled(20)
    (tmp_path / FILE).rename(tmp_path / "elsewhere.db")
    flips(writer, 2, first=2)
    assert writer.settled(20)
    assert eventually((tmp_path / FILE).exists)
    assert values(tmp_path) == [2.0, 3.0]
    hand(writer, at(BREACH, 4))  # the new file knows nothing yet: everything is handed over again
    assert writer.settled(20)
    assert ask(tmp_path, "SELECT count(*) FROM matrix_versions") == [(1,)]
    assert "taken away" in writer.health().problem


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_new_file_is_told_at_once_which_orders_may_live(tmp_path: Path, begin: Begin) -> None:
    """Else the next start would take them for orders of somebody else."""
    writer, sources = begin(), [row.name for row in HEALTHY.snapshot.sources]
    leave = Override("ov-1", "short_vega", "portfolio", "Ann", "rolls at three", NOW, NOW + timedelta(hours=1))
    run = FlattenRun("run-1", NOW, "Ann", RunState.RUNNING, "{}", NOW)
    orders = OrdersNow(NOW, records=(record("g-1"),), overrides=(leave,), runs=(run,))

    def keep(level: Level, n: float) -> None:
        writer.keep(at(level, n), MATRIX_TEXT, HEALTHY.portfolio, orders=orders)
        assert writer.settled(20)

    assert writer.hand_deeds(sources, "", [record("g-1"), leave, run]).wait(20)
    keep(OK, 0)
    assert ask(tmp_path, "SELECT count(*) FROM orders") == [(1,)]  # a file that knows it is not told again
    (tmp_path / FILE).rename(tmp_path / "elsewhere.db")
    keep(BREACH, 1)  # finds that it is gone
    keep(OK, 2)
    again = writer.open_deeds(sources, "", NOW)
    assert ([one.key for one in again.orders], again.overrides, len(again.runs)) == (["g-1"], (leave,), 1)
    keep(BREACH, 3)
    assert ask(tmp_path, "SELECT count(*) FROM orders") == [(1,)]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_database_damaged_while_in_use_is_kept_aside(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    flips(writer, 2)
    assert writer.settled(20)
    database = writer._database
    assert eventually(lambda: len(ask(tmp_path, "SELECT * FROM snapshots")) == 2)
    assert eventually(lambda: database.engine.pool.checkedout() == 0)  # it is committed before it is let go
    database.close()  # folds the log into the file, which is opened again with the next row
    path = tmp_path / FILE
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    flips(writer, 2, first=2)
    assert writer.settled(20)
    assert eventually(lambda: writer.health().spooled == 0)
    assert values(tmp_path) == [2.0, 3.0]
    assert len(list(tmp_path.glob(f"{FILE}.corrupt-*"))) == 1
    assert "was damaged; it is kept as" in writer.health().problem


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_the_end_of_the_evidence_goes_aside_with_its_damaged_file(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    flips(writer, 3)
    writer.stop(20)
    writer._database.close()  # folds the log into the file
    before = (tmp_path / HEAD_FILE).read_bytes()
    (tmp_path / FILE).write_bytes(b"once upon a time " * 1000)
    writer = begin()
    flips(writer, 1, first=3)
    assert writer.settled(20)
    assert eventually((tmp_path / HEAD_FILE).exists)
    assert [path.read_bytes() for path in tmp_path.glob(f"{HEAD_FILE}.corrupt-*")] == [before]
    writer.stop(20)
    assert "evidence-head" not in writer.health().problem
    code, lines = verify_file(tmp_path / FILE)
    assert (code, len(lines)) == (0, 1), lines


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_head_of_the_evidence_that_was_taken_away_is_logged(
    tmp_path: Path, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    """It is written anew with the next row, and what is wrong now no longer tells of it."""
    writer = begin()
    flips(writer, 2)
    assert writer.settled(20)
    assert caplog.messages == []
    (tmp_path / HEAD_FILE).unlink()
    flips(writer, 1, first=2)
    assert writer.settled(20)
    flips(writer, 1, first=3)
    assert writer.settled(20)
    told = [line for line in caplog.messages if HEAD_FILE in line]
    assert ["did not know them; what was cut before now cannot be seen" in line for line in told] == [True]
    assert writer.health().problem == ""


def test_rows_wait_in_memory_while_neither_database_nor_spool_can_be_written(tmp_path: Path, begin: Begin) -> None:
    blocked = tmp_path / "blocked"
    blocked.touch()  # a file where the folder should be
    writer = begin(busy_seconds=0.01, spool=blocked)
    lock = Lock(tmp_path)
    flips(writer, 150)
    assert eventually(lambda: "nor can" in writer.health().problem)
    assert not writer.settled(0.05)
    assert writer.health().queued >= 150
    lock.release()
    assert writer.settled(20)
    assert values(tmp_path) == list(range(150))


def test_a_full_memory_is_said_and_the_level_is_told_when_there_is_room(tmp_path: Path, begin: Begin) -> None:
    writer = begin(run=False, max_rows=12)
    flips(writer, 40)
    waiting = writer.health()
    assert waiting.lost > 0
    assert f"{waiting.lost} changes found no room in memory" in waiting.problem
    assert waiting.dropped > 0
    writer.start()
    assert writer.settled(20)
    hand(writer, at(BREACH, 50))
    hand(writer, at(OK, 51))
    writer.stop(20)
    told = path_of_levels(tmp_path)
    assert [old for old, _ in told] == [None, *(new for _, new in told[:-1])]  # no step is told wrongly
    assert told[-1][1] == "OK"


# --- the stop ---


def test_the_stop_writes_what_waits(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    flips(writer, 300)
    writer.stop(30)
    assert values(tmp_path) == list(range(300))
    assert writer.health().queued == 0


def test_the_stop_does_not_wait_for_a_hanging_database(tmp_path: Path, begin: Begin) -> None:
    """What waits goes to the spool instead, and from there into the database at the next start, once."""
    writer = begin(busy_seconds=30.0)
    lock = Lock(tmp_path)
    flips(writer, 5)
    writer.stop(0.1)
    assert waiting_rows(tmp_path)
    lock.release()  # now the old thread may write them too
    assert writer._thread is not None
    writer._thread.join(20)
    again = begin()
    assert eventually(lambda: again.health().spooled == 0)
    assert values(tmp_path) == list(range(5))


def test_it_can_be_started_again(tmp_path: Path, begin: Begin) -> None:
    writer = begin()
    writer.start()
    flips(writer, 2)
    writer.stop(20)
    flips(writer, 2, first=2)
    writer.start()
    assert writer.settled(20)
    assert values(tmp_path) == [0.0, 1.0, 2.0, 3.0]
    assert writer.health().problem == ""


def test_a_writer_that_was_never_started_keeps_what_it_was_given(tmp_path: Path, begin: Begin) -> None:
    writer = begin(run=False)
    flips(writer, 3)
    writer.stop(20)
    writer = begin()
    assert eventually(lambda: writer.health().spooled == 0)
    assert values(tmp_path) == [0.0, 1.0, 2.0]


# --- rows that are refused, and the spool itself ---


def test_a_row_that_no_database_takes_does_not_hold_up_the_others(tmp_path: Path, begin: Begin) -> None:
    spool = Spool(tmp_path)
    row = ("books", ("b", "x", 1))
    spool.append([row, ("books", ("c", None, 2)), ("nothing", (1,)), ("books", (1,)), ("books", ("d", "y", 3))])
    spool.close()
    with (tmp_path / "spool.jsonl").open("r+b", buffering=0) as file:
        file.seek(reserve.lines_end(file))
        file.write(b"\x00\x00 no row\n" + b"[" * 100_000 + b"\n")
    writer = begin()
    hand(writer, at(OK, 0))
    assert writer.settled(20)
    assert ask(tmp_path, "SELECT book FROM books WHERE length(book) = 1 ORDER BY book") == [("b",), ("d",)]
    assert path_of_levels(tmp_path) == [(None, "OK")]
    assert len((tmp_path / "refused.jsonl").read_bytes().splitlines()) == 5
    assert "5 rows were refused" in writer.health().problem


def test_the_spool_survives_its_owner_without_half_a_line(tmp_path: Path) -> None:
    rows = [("books", ("b", "ä\n", n)) for n in range(3)]
    spool = Spool(tmp_path)
    spool.append(rows[:2])
    spool.close()
    with (tmp_path / "spool.jsonl").open("r+b", buffering=0) as file:
        file.seek(reserve.lines_end(file))
        file.write(b'["books",["b","half')  # a crash within an append
    spool = Spool(tmp_path)
    assert spool.count == 2
    spool.append(rows[2:])
    assert [row for batch in spool.batches() for row in batch] == rows
    assert (spool.count, waiting_rows(tmp_path)) == (0, [])
    spool.close()


def test_what_the_database_did_not_take_stays_in_the_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([("books", ("b", "x", n)) for n in range(1200)])
    taken = []

    def take() -> None:
        for batch in spool.batches():
            if len(taken) == 2:
                raise OperationalError("", None, sqlite3.OperationalError())
            taken.append(batch)

    with pytest.raises(OperationalError):
        take()
    assert sum(map(len, taken)) + spool.count == 1200
    left = [row for batch in spool.batches() for row in batch]
    assert [row for batch in taken for row in batch] + left == [("books", ("b", "x", n)) for n in range(1200)]
    spool.close()


def test_the_spool_is_bounded_and_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=40)
    spool.append([("books", ("b", "x", 1))])  # ["books",["b","x",1]] and a line feed: 22 bytes
    with pytest.raises(StoreError, match="holds 22 of at most 40 bytes, and the next rows take 22"):
        spool.append([("books", ("b", "x", 2))])
    assert spool.count == 1
    spool.close()


def test_two_programs_spool_into_files_of_their_own(tmp_path: Path) -> None:
    one, two = Spool(tmp_path), Spool(tmp_path)
    one.append([("books", ("b", "one", 1))])
    two.append([("books", ("b", "two", 2))])
    assert one.path != two.path
    assert list(one.batches()) == [[("books", ("b", "one", 1))]]
    one.close()
    two.close()
    later = Spool(tmp_path)
    assert list(later.batches()) == [[("books", ("b", "two", 2))]]
    later.close()


def test_a_spool_that_is_cut_or_taken_away_goes_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    row = ("books", ("b", "x", 1))
    spool.append([row] * 3)
    (tmp_path / "spool.jsonl").unlink()
    spool.append([row])
    assert list(spool.batches()) == [[row]]
    spool.close()


def test_programs_that_share_one_spool_take_no_row_from_each_other(tmp_path: Path) -> None:
    """As on Windows, where no file is locked; here there are more programs than files."""
    rows = [("books", ("b", "x", n)) for n in range(4)]
    first, *others, tenth = (Spool(tmp_path) for _ in range(10))
    assert tenth.path == first.path
    first.append(rows[:1])
    tenth.append(rows[1:2])
    first.append(rows[2:3])
    assert waiting_rows(tmp_path) == rows[:3]
    taken = []
    for batch in tenth.batches():
        taken += batch
        if rows[3] not in waiting_rows(tmp_path):
            first.append(rows[3:])  # it is there before the file is emptied
    assert set(rows) <= {*taken, *waiting_rows(tmp_path)}
    for spool in (first, *others, tenth):
        list(spool.batches())
        spool.close()
    assert waiting_rows(tmp_path) == []


def test_half_a_line_at_the_end_does_not_keep_a_spool_from_being_emptied(tmp_path: Path) -> None:
    (tmp_path / "spool.jsonl").write_bytes(b'["books",["b","x",1]]\n["books",["b","half')
    spool = Spool(tmp_path)
    assert list(spool.batches()) == [[("books", ("b", "x", 1))]]
    assert (list(spool.batches()), waiting_rows(tmp_path)) == ([], [])
    spool.close()


def test_rows_sent_twice_are_stored_once(tmp_path: Path, begin: Begin, kind: str) -> None:
    """A crash between the commit and the emptying of the spool."""
    writer = begin(busy_seconds=0.01)
    lock = Lock(tmp_path)
    flips(writer, 4)
    assert writer.settled(20)
    content = (tmp_path / "spool.jsonl").read_bytes()
    lock.release()
    assert eventually(lambda: writer.health().spooled == 0)
    writer.stop(20)
    (tmp_path / "spool.jsonl").write_bytes(content)
    again = begin()
    assert eventually(lambda: again.health().spooled == 0)
    assert values(tmp_path) == list(range(4))
    if kind == "sqlite":
        assert ask(tmp_path, "PRAGMA integrity_check") == [("ok",)]
        assert ask(tmp_path, "PRAGMA foreign_key_check") == []
