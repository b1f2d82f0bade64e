"""Old rows move to files and back to readers: nothing is deleted that is not in a file, wherever it breaks off."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from guardrails.past import Closes, Past
from guardrails.store.archive import first_kept, next_due, read_archive, retire
from guardrails.store.archive_list import archived
from guardrails.store.archive_products import EXPOSURES, folded, unfolded
from guardrails.store.archive_rows import KINDS, day_bounds
from guardrails.store.books import Book
from guardrails.store.columns import BACKFILL
from guardrails.store.database import FILE, Database
from guardrails.store.inserts import columns
from guardrails.store.metadata import StoreError, micros
from guardrails.store.packing import packed
from guardrails.store.quarters import QUARTERS
from guardrails.store.rollup import roll_up
from guardrails.store.schema import BOOKS, GREEK_SNAPSHOTS, POSITIONS, REGIME_CHANGES
from guardrails.store.sharing import CAPTURES, LEASES
from guardrails.store.upkeep import Retention, Upkeep
from tests.postgres import Server
from tests.stored import Lock, OnServer, ask, change, eventually, opened
from tests.test_store_rollup import (
    BOOK,
    DAY,
    OTHER,
    QUARTERS_OF_THAT_DAY,
    A,
    account,
    at,
    begun,
    everything,
    keep_a_day,
    put,
    snapshot,
    told,
    underlying,
)

OLD = date(2026, 11, 18)
LATER = datetime(2026, 11, 24, 22, tzinfo=UTC)
"""Tuesday after the close: Friday, Monday and Tuesday are the last three sessions"""
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
"""a row of this day shows that the clock of the next one is right"""
TABLES = tuple(kind.name for kind in KINDS)
LINE = {"account_hash": A, "key": "option:SPX", "source": "ibkr", "nth": 1, "symbol": "SPXW", "label": "SPXW 6000 P",
        "kind": "option", "underlying": "SPX", "expiry": "2026-12-18"}  # fmt: skip


class CrashError(Exception):
    """Stands for the end of the program."""


def keep_an_old_day(database: Database) -> None:
    keep_a_day(database)
    for book, position in ((BOOK, 1), (OTHER, 2)):
        put(database, POSITIONS, {**LINE, "book": book})
        greeks(database, at("14:30:05"), position, 250.5)
        greeks(database, at("15:29"), position, None, level=None)
    snapshot(database, at("14:30:05"), complete=1, book=OTHER)


def greeks(database: Database, time: int, position: int, mark: float | None, **values: Any) -> None:
    row = {"time": time, "position": position, "mark": mark, "delta": 0.1, "vega_per_point": 1 / 3, **values}
    put(database, GREEK_SNAPSHOTS, row)


def crashes(
    folder: Path, fill: Callable[[Database], None], run: Callable[[Database], object]
) -> Iterator[tuple[Path, Database]]:
    """A filled database per statement of `run` that writes, each broken off before it and opened again."""
    first = begun(folder / "first")
    fill(first)
    first.close()
    for n in range(1, 10_000):
        place, count = folder / str(n), 0
        place.mkdir()
        shutil.copy(folder / "first" / FILE, place / FILE)
        database = opened(place)

        def fail(_connection: Any, _cursor: Any, statement: str, *_: Any, last: int = n) -> None:
            nonlocal count
            count += statement.startswith(("INSERT", "UPDATE", "DELETE"))
            if count == last:
                raise CrashError

        event.listen(database.engine, "before_cursor_execute", fail)
        try:
            run(database)
        except CrashError:
            database.close()
            yield place, opened(place)
        else:
            database.close()
            assert n > 10
            return


def rows_in_database(folder: Path, table: str, book: str = BOOK) -> Counter[Any]:
    """By their key columns."""
    kind = next(kind for kind in KINDS if kind.name == table)
    keys = ", ".join(kind.keys)
    whose = "position IN (SELECT position FROM positions WHERE book = ?)" if table == "greek_snapshots" else "book = ?"
    live = " AND origin = 'live'" if "origin" in kind.table.c else ""
    return Counter(ask(folder, f"SELECT {keys} FROM {table} WHERE {whose}{live}", book))  # noqa: S608  # names here


def rows_in_files(folder: Path, table: str, book: str = BOOK) -> Counter[Any]:
    """The same of the files that are listed, read by nothing of ours."""
    kind = next(kind for kind in KINDS if kind.name == table)
    found: Counter[Any] = Counter()
    for (file,) in ask(folder, "SELECT file FROM archives WHERE name = ? AND book = ? AND bytes > 0", table, book):
        path = folder / file
        if not path.exists():  # it was listed, and the program ended before the file had its name
            (path,) = path.parent.glob(f"{path.name}.*.part")
        content = pq.read_table(path, columns=list(kind.keys), partitioning=None)
        columns = [
            column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()
            for column in (content[name] for name in kind.keys)
        ]
        found.update(zip(*columns, strict=True))
    return found


def kept(folder: Path, book: str = BOOK) -> dict[str, Counter[Any]]:
    """Every row that there is, in the database or in a file."""
    return {t: rows_in_database(folder, t, book) | rows_in_files(folder, t, book) for t in TABLES}


@pytest.mark.usefixtures("kind")
def test_the_rows_of_an_old_day_are_in_files_and_no_longer_in_the_database(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    young = at("15:00", datetime(2026, 11, 20, tzinfo=UTC))
    snapshot(database, young, complete=1)
    before = kept(tmp_path)
    files = retire(database, tmp_path, 3, 0, LATER)
    assert [(file.book, file.name, file.rows) for file in files] == [
        (BOOK, "greek_snapshots", 2), (BOOK, "underlying_totals", 7), (BOOK, "account_values", 7),
        (BOOK, "snapshots", 7), (OTHER, "greek_snapshots", 2), (OTHER, "snapshots", 1),
    ]  # fmt: skip
    assert kept(tmp_path) == before
    assert [sum(rows_in_database(tmp_path, table).values()) for table in TABLES] == [0, 0, 0, 1]
    assert ask(tmp_path, "SELECT time FROM snapshots") == [(young,)]
    assert told(tmp_path)[:3] == QUARTERS_OF_THAT_DAY
    assert ask(tmp_path, "SELECT DISTINCT removed FROM archives") == [(1,)]
    after = everything(tmp_path)
    assert retire(database, tmp_path, 3, 0, LATER) == []
    assert everything(tmp_path) == after
    database.close()


def test_a_file_can_be_read_by_itself_and_by_its_owner_only(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    retire(database, tmp_path, 3, 0, LATER)
    path = tmp_path / "archive" / BOOK / "2026-11-18" / "greek_snapshots.parquet"
    file = pq.read_table(path, partitioning=None)
    row = file.to_pylist()[0]
    assert row["time"] == datetime(2026, 11, 18, 14, 30, 5, tzinfo=UTC)
    assert (row["symbol"], row["label"], row["expiry"], row["account"]) == (
        "SPXW",
        "SPXW 6000 P",
        "2026-12-18",
        "•••4567",
    )
    assert (row["mark"], row["delta"], row["iv"]) == (250.5, 0.1, None)
    assert b"vega_per_point = quantity * multiplier * usd_rate * vega" in file.schema.metadata[b"exposures"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in list(path.parents)[:3]} == {0o700}
    assert {each.suffix for each in path.parent.iterdir()} == {".parquet"}
    database.close()


@pytest.mark.usefixtures("kind")
def test_every_double_is_read_back_exactly(tmp_path: Path) -> None:
    database = begun(tmp_path)
    put(database, POSITIONS, LINE)
    names = [name for name in columns(GREEK_SNAPSHOTS) if name not in ("time", "position", "level", "greeks_source")]
    values = {name: (-1.0) ** n * (n + 1) / 7.0 for n, name in enumerate(names)}
    snapshot(database, at("14:30"), complete=1)
    greeks(database, at("14:30"), 1, greeks_source="model", **values)
    greeks(database, at("14:31"), 1, **{**dict.fromkeys(names), "mark": 0.0})
    retire(database, tmp_path, 3, 0, LATER)
    with database.reading() as connection:
        first, second = read_archive(tmp_path, connection, BOOK, "greek_snapshots", OLD).to_pylist()
    assert {name: first[name] for name in names} == values
    assert {second[name] for name in names if name != "mark"} == {None}
    assert second["mark"] == 0.0
    assert first["greeks_source"] == "model"
    database.close()


def test_wherever_it_breaks_off_nothing_is_lost_and_the_next_run_ends_it(tmp_path: Path) -> None:
    whole = begun(tmp_path / "whole")
    keep_two_moments(whole)
    expected = kept(tmp_path / "whole")
    retire(whole, tmp_path / "whole", 3, 0, LATER)
    quarters = everything(tmp_path / "whole")
    whole.close()

    def run(database: Database) -> None:
        retire(database, database.folder, 3, 0, LATER)

    for folder, database in crashes(tmp_path, keep_two_moments, run):
        assert kept(folder) == expected
        retire(database, folder, 3, 0, LATER)
        assert {table: rows_in_files(folder, table) for table in TABLES} == expected
        assert not any(rows_in_database(folder, table) for table in TABLES)
        assert ask(folder, "SELECT DISTINCT removed FROM archives") == [(1,)]
        assert everything(folder) == quarters
        database.close()


def keep_two_moments(database: Database) -> None:
    put(database, POSITIONS, LINE)
    for time in (at("14:44"), at("14:45")):
        snapshot(database, time, complete=1)
        greeks(database, time, 1, 9.0)
        underlying(database, time, "SPX", 1, 1.0)
        account(database, time, A, 0.5)


@pytest.mark.usefixtures("kind")
def test_what_a_killed_program_left_half_written_is_in_nobodys_way(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    before = kept(tmp_path)
    folder = tmp_path / "archive" / BOOK / "2026-11-18"
    folder.mkdir(parents=True)
    for name in ("greek_snapshots.parquet.part", "snapshots.parquet"):
        (folder / name).write_bytes(b"PAR1")
    retire(database, tmp_path, 3, 0, LATER)
    assert kept(tmp_path) == before
    assert not list(folder.glob("*.part"))
    assert (folder / "snapshots.parquet").read_bytes() == b"PAR1"  # not ours to overwrite: nobody lists it
    snapshot(database, at("15:00", MONDAY))
    retire(database, tmp_path, 3, 1, LATER)
    assert not folder.exists()
    database.close()


@pytest.mark.usefixtures("kind")
def test_a_row_that_comes_when_its_day_is_in_a_file_is_joined_to_it(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    retire(database, tmp_path, 3, 0, LATER)
    quarters = told(tmp_path)
    for n, text in enumerate(("17:00", "18:00")):
        snapshot(database, at(text), complete=1, level="BREACH")
        greeks(database, at(text), 1, 9.0)
        greeks(database, at("14:30:05"), 1, 9.0)  # the same row once more: what is in the file stands
        before = kept(tmp_path)
        retire(database, tmp_path, 3, 0, LATER)
        assert kept(tmp_path) == before
        with database.reading() as connection:
            marks = read_archive(tmp_path, connection, BOOK, "greek_snapshots", OLD)["mark"].to_pylist()
        assert sorted(marks, key=str) == sorted([250.5, None, *[9.0] * (n + 1)], key=str)
        assert len(list((tmp_path / "archive" / BOOK / "2026-11-18").glob("greek*"))) == 1
    assert told(tmp_path)[:3] == quarters
    assert [row[0] for row in told(tmp_path)[3:]] == ["17:00:00", "18:00:00"]
    database.close()


def test_a_damaged_file_is_named_and_nothing_more_is_deleted_by_it(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    for _, broken in crashes_at_deletion(tmp_path / "broken"):
        query = "SELECT file FROM archives WHERE name = 'greek_snapshots' AND book = ?"
        file = ask(broken.folder, query, BOOK)[0][0]
        content = bytearray((broken.folder / file).read_bytes())
        content[len(content) // 2] ^= 1
        (broken.folder / file).write_bytes(content)
        before = rows_in_database(broken.folder, "greek_snapshots")
        with pytest.raises(StoreError, match=r"greek_snapshots\.parquet is damaged"):
            retire(broken, broken.folder, 3, 0, LATER)
        assert rows_in_database(broken.folder, "greek_snapshots") == before
        assert rows_in_database(broken.folder, "greek_snapshots", OTHER) == Counter()  # the other book goes on
        with broken.reading() as connection, pytest.raises(StoreError, match="damaged"):
            read_archive(broken.folder, connection, BOOK, "greek_snapshots", OLD)
        (broken.folder / file).unlink()
        with broken.reading() as connection, pytest.raises(StoreError, match="it is not there"):
            read_archive(broken.folder, connection, BOOK, "greek_snapshots", OLD)
        broken.close()
    with database.reading() as connection, pytest.raises(StoreError, match="younger ones are in the database"):
        read_archive(tmp_path, connection, BOOK, "snapshots", OLD)
    database.close()


def crashes_at_deletion(folder: Path) -> Iterator[tuple[Path, Database]]:
    """Broken off before the first row left."""
    database = begun(folder)
    keep_an_old_day(database)

    def fail(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE FROM greek_snapshots"):
            raise CrashError

    event.listen(database.engine, "before_cursor_execute", fail)
    with pytest.raises(CrashError):
        retire(database, folder, 3, 0, LATER)
    event.remove(database.engine, "before_cursor_execute", fail)
    yield folder, database


def test_without_a_place_for_files_everything_stays(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    (tmp_path / "archive").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"greek_snapshots\.parquet cannot be written"):
        retire(database, tmp_path, 3, 0, LATER)
    assert ask(tmp_path, "SELECT count(*) FROM greek_snapshots") == [(4,)]
    assert ask(tmp_path, "SELECT count(*) FROM archives") == [(0,)]
    assert told(tmp_path) == QUARTERS_OF_THAT_DAY
    database.close()


def test_of_many_days_that_cannot_be_moved_three_are_named(tmp_path: Path) -> None:
    database = begun(tmp_path)
    for day in range(10, 15):
        snapshot(database, at("15:00", datetime(2026, 11, day, tzinfo=UTC)), complete=1)
    (tmp_path / "archive").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"2026-11-10.*2026-11-11.*2026-11-12.* And 2 more\.$") as found:
        retire(database, tmp_path, 3, 0, LATER)
    assert "2026-11-13" not in str(found.value)
    database.close()


def test_on_a_full_disk_everything_stays_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """The system refuses every byte of a file beyond the first thousand."""
    database = begun(tmp_path)
    keep_an_old_day(database)
    roll_up(database, LATER)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StoreError, match="every row stays in the database"):
            retire(database, tmp_path, 3, 0, LATER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert ask(tmp_path, "SELECT count(*) FROM greek_snapshots") == [(4,)]
    assert list((tmp_path / "archive").rglob("*.p*")) == []
    assert len(retire(database, tmp_path, 3, 0, LATER)) == 6
    database.close()


@pytest.mark.usefixtures("kind")
def test_files_are_deleted_by_age_and_the_list_says_so(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    snapshot(database, at("15:00", MONDAY))  # so that it is seen to be the 24th
    retire(database, tmp_path, 3, 0, LATER)
    path = tmp_path / "archive" / BOOK / "2026-11-18" / "snapshots.parquet"
    assert retire(database, tmp_path, 3, 6, LATER) == []  # the 18th is six days before the 24th
    assert path.exists()
    gone = retire(database, tmp_path, 3, 5, LATER)
    assert (len(gone), {file.bytes for file in gone}) == (6, {0})
    assert not path.parent.exists()
    with database.reading() as connection:
        listed = archived(connection, BOOK)
        assert [(file.name, file.rows, file.bytes) for file in listed] == [
            ("account_values", 7, 0), ("greek_snapshots", 2, 0), ("snapshots", 7, 0), ("underlying_totals", 7, 0),
        ]  # fmt: skip
        with pytest.raises(StoreError, match="deleted for its age"):
            read_archive(tmp_path, connection, BOOK, "snapshots", OLD)
    assert retire(database, tmp_path, 3, 5, LATER) == []
    assert told(tmp_path)[:-1] == QUARTERS_OF_THAT_DAY
    database.close()


@pytest.mark.usefixtures("kind")
def test_a_row_that_comes_when_the_file_of_its_day_was_deleted_for_its_age_gets_a_file(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    snapshot(database, at("15:00", MONDAY))
    retire(database, tmp_path, 3, 5, LATER)
    snapshot(database, at("18:00"), complete=1)
    before = kept(tmp_path)
    for _ in range(2):  # the second run has nothing left to do
        retire(database, tmp_path, 3, 0, LATER)
        assert kept(tmp_path) == before
        assert sum(rows_in_files(tmp_path, "snapshots").values()) == 1
    retire(database, tmp_path, 3, 5, LATER)
    assert not list((tmp_path / "archive" / BOOK).iterdir())
    database.close()


@pytest.mark.usefixtures("kind")
def test_a_clock_that_runs_years_ahead_deletes_no_file_on_its_first_day(tmp_path: Path) -> None:
    """Also when the program writes at the time it pretends, and when all rows left the database on that day."""
    database, years = begun(tmp_path), timedelta(days=3650)
    keep_an_old_day(database)
    snapshot(database, at("15:00", MONDAY))
    retire(database, tmp_path, 3, 6, LATER)
    held = set(tmp_path.rglob("*.parquet"))
    assert len(held) == 6
    for _ in range(2):
        snapshot(database, at("14:00", MONDAY + timedelta(days=1) + years))
        retire(database, tmp_path, 3, 6, LATER + years)
        assert held < set(tmp_path.rglob("*.parquet"))
    retire(database, tmp_path, 3, 6, LATER)
    assert held < set(tmp_path.rglob("*.parquet"))
    database.close()


@pytest.mark.usefixtures("kind")
def test_backfilled_rows_stay(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    snapshot(database, at("12:00"), origin=BACKFILL)
    account(database, at("12:00"), A, None, origin=BACKFILL)
    retire(database, tmp_path, 3, 0, LATER)
    assert (
        ask(tmp_path, "SELECT origin FROM snapshots UNION ALL SELECT origin FROM account_values") == [(BACKFILL,)] * 2
    )
    database.close()


def capture(time: int, cause: str = "level", level: str = "OK", book: str = BOOK) -> dict[str, Any]:
    content = {"levels": "{}", "inputs": b"", "snapshot": b""}
    return {"book": book, "time": time, "cause": cause, "level": level, **content}


def captured(folder: Path, book: str = BOOK) -> list[int]:
    return [time for (time,) in ask(folder, "SELECT time FROM captures WHERE book = ? ORDER BY time", book)]


@pytest.mark.usefixtures("kind")
def test_of_old_captures_the_last_of_each_quarter_and_the_first_change_at_each_level_are_kept(tmp_path: Path) -> None:
    """Also where the level of a moment that merely came with time is the worst."""
    database, young = begun(tmp_path), datetime(2026, 11, 20, tzinfo=UTC)
    rows = [
        ("14:30", "period", "BREACH", False), ("14:31", "level", "OK", True), ("14:32", "level", "OK", False),
        ("14:33", "level", "BREACH", True), ("14:34", "level", "WATCH", True), ("14:35", "level", "BREACH", False),
        ("14:44", "period", "OK", True),
        ("14:45", "period", "OK", False), ("14:50", "level", "OK", True), ("14:59", "level", "OK", True),
        ("15:00", "period", "OK", True),
    ]  # fmt: skip
    recent = [at(text, young) for text in ("15:00", "15:01", "15:02")]
    put(database, CAPTURES, *(capture(at(text), cause, level) for text, cause, level, _ in rows))
    put(database, CAPTURES, *(capture(time) for time in recent))
    put(database, CAPTURES, capture(at("14:31"), "period", book=OTHER))
    for _ in range(2):
        retire(database, tmp_path, 3, 0, LATER)
        assert captured(tmp_path) == [*(at(text) for text, _, _, stays in rows if stays), *recent]
        assert captured(tmp_path, OTHER) == [at("14:31")]
    database.close()


@pytest.mark.usefixtures("kind")
def test_of_old_captures_the_first_change_in_each_regime_is_kept(tmp_path: Path) -> None:
    database = begun(tmp_path)
    for number, (text, new) in enumerate((("14:20", "calm"), ("14:33", "stressed"), ("14:35", "calm")), 1):
        put(database, REGIME_CHANGES, {"run": "r", "number": number, "time": at(text), "old": None, "new": new,
                                       "cause": "", "targets": "[]"})  # fmt: skip
    texts = ("14:31", "14:32", "14:33", "14:34", "14:35", "14:36")
    put(database, CAPTURES, *(capture(at(text)) for text in texts))
    for _ in range(2):
        retire(database, tmp_path, 3, 0, LATER)
        assert captured(tmp_path) == [at(text) for text in ("14:31", "14:33", "14:36")]
    database.close()


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not told"])
def test_the_first_change_in_a_regime_that_counts_from_a_time_before_it_was_known_is_kept(
    tmp_path: Path, *, is_told: bool
) -> None:
    """The close of an evening that is read in the morning: until then the calmer one was in force."""
    database = begun(tmp_path)
    put(database, REGIME_CHANGES, {"run": "r", "number": 1, "time": at("14:20"), "old": "calm", "new": "stressed",
                                   "cause": "", "targets": "[]"})  # fmt: skip
    if is_told:
        for text, regime in (("14:15", "calm"), ("14:30", "stressed"), ("14:45", "stressed")):
            times = {"time": at(text), "first": at(text), "last": at(text)}
            put(database, QUARTERS, {**times, "regime": regime})
    found = [("14:31", "calm"), ("14:33", "calm"), ("14:35", "stressed"), ("14:36", "stressed"), ("14:44", "stressed"),
             ("14:46", "stressed"), ("14:47", "stressed"), ("14:48", "stressed")]  # fmt: skip
    for text, regime in found:
        seen = packed(json.dumps({"regime": {"name": regime}}, separators=(",", ":")).encode())
        put(database, CAPTURES, {**capture(at(text)), "snapshot": seen})
    for _ in range(2):
        retire(database, tmp_path, 3, 0, LATER)
        assert captured(tmp_path) == [at(text) for text in ("14:31", "14:35", "14:44", "14:46", "14:48")]
    database.close()


def test_a_level_that_flaps_all_day_leaves_three_moments_a_quarter_of_an_hour(tmp_path: Path) -> None:
    """Every ten seconds of a session of six and a half hours: 2,340 moments, in 26 quarters."""
    database, first = begun(tmp_path), at("14:30")
    flaps = (capture(first + n * 10_000_000, level=("OK", "BREACH")[n % 2]) for n in range(2_340))
    put(database, CAPTURES, *flaps)
    retire(database, tmp_path, 3, 0, LATER)
    assert len(captured(tmp_path)) == 26 * 3
    database.close()


def test_a_clock_that_runs_years_ahead_takes_no_whole_moment_of_a_recent_day(tmp_path: Path) -> None:
    database, recent = begun(tmp_path), [at("15:00", MONDAY), at("15:01", MONDAY)]
    old = [time - 6 * 24 * 3_600_000_000 for time in recent]
    row = {"cause": "period", "levels": "{}", "inputs": b"", "snapshot": b""}
    put(database, CAPTURES, *({**row, "time": time} for time in (*old, *recent)))
    for time in (old[0], recent[0]):
        snapshot(database, time, complete=1)
    for ahead in (timedelta(days=3650), timedelta()):
        retire(database, tmp_path, 3, 0, LATER + ahead)
        assert ask(tmp_path, "SELECT time FROM captures ORDER BY time") == [(old[1],), (recent[0],), (recent[1],)]
    database.close()


def test_the_file_of_the_database_shrinks_where_it_was_made_to(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as made:
        made.executescript("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
    database = opened(tmp_path)
    put(database, BOOKS, {"book": BOOK})
    for n in range(300):
        snapshot(database, at("14:30") + n, complete=1, limits=json.dumps("x" * 10_000))
    retire(database, tmp_path, 3, 0, LATER)
    assert ask(tmp_path, "PRAGMA freelist_count") == [(0,)]
    assert ask(tmp_path, "PRAGMA page_count")[0][0] * 4096 < 1_000_000
    database.close()


@pytest.mark.parametrize(
    ("day", "begin", "hours"),
    [
        (date(2026, 11, 18), "2026-11-18T05:00", 24),
        (date(2026, 11, 1), "2026-11-01T04:00", 25),  # clocks go back
        (date(2026, 3, 8), "2026-03-08T05:00", 23),  # and forward
    ],
)
def test_an_exchange_day_is_that_of_new_york(tmp_path: Path, day: date, begin: str, hours: int) -> None:
    first = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    assert day_bounds(day) == (micros(first), micros(first + timedelta(hours=hours)))
    database = begun(tmp_path)
    end = first + timedelta(hours=hours)
    for time in (first - timedelta(microseconds=1), first, end - timedelta(microseconds=1), end):
        snapshot(database, micros(time), complete=1)
    retire(database, tmp_path, 1, 0, first + timedelta(days=10))
    with database.reading() as connection:
        found = {file.day: file.rows for file in archived(connection, BOOK)}
    assert found == {day - timedelta(days=1): 1, day: 2, day + timedelta(days=1): 1}
    database.close()


@pytest.mark.parametrize(
    ("now", "raw_days", "first"),
    [
        ("2026-11-24T22:00", 3, "2026-11-20"),  # Tuesday, Monday, Friday
        ("2026-11-24T14:00", 1, "2026-11-23"),  # before the bell of Tuesday
        ("2026-11-22T12:00", 1, "2026-11-20"),  # a Sunday: Friday was the last session
        ("2026-11-28T12:00", 2, "2026-11-25"),  # half-day on the 27th, Thanksgiving on the 26th
        ("2026-11-02T21:30", 2, "2026-10-30"),  # the clocks had gone back on Sunday
    ],
)
def test_sessions_are_counted_not_days(now: str, raw_days: int, first: str) -> None:
    assert first_kept(raw_days, datetime.fromisoformat(now).replace(tzinfo=UTC)) == date.fromisoformat(first)


@pytest.mark.parametrize(
    ("last", "due"),
    [
        ("2026-11-24T21:29", "2026-11-24T21:30"),  # half an hour after 16:00 in New York
        ("2026-11-24T21:30", "2026-11-25T21:30"),
        ("2026-11-24T15:00", "2026-11-24T21:30"),
        ("2026-11-25T21:30", "2026-11-27T18:30"),  # over Thanksgiving to the half-day
        ("2026-10-30T20:30", "2026-11-02T21:30"),  # the clocks go back in between
        ("2026-11-21T12:00", "2026-11-23T21:30"),
    ],
)
def test_it_is_due_half_an_hour_after_each_close(last: str, due: str) -> None:
    before, expected = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (last, due))
    assert next_due(before, before) == next_due(before, before + timedelta(days=30)) == expected


def test_it_is_due_at_once_when_it_never_ran_or_the_clock_was_set_back() -> None:
    assert next_due(None, LATER) == LATER
    assert next_due(LATER + timedelta(seconds=1), LATER) == LATER


days = st.lists(
    st.tuples(st.integers(0, 9 * 24 * 3600), st.sampled_from([BOOK, OTHER]), st.booleans()), max_size=12, unique=True
)


@given(days, st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_files_and_database_together_hold_what_was_written(moments: list[Any], raw_days: int) -> None:
    """Moments within nine days, in any order, some after a first run."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        database = begun(folder)
        put(database, POSITIONS, LINE, {**LINE, "book": OTHER})
        for part in (moments[: len(moments) // 2], moments[len(moments) // 2 :]):
            for seconds, book, whole in part:
                time = micros(DAY) + seconds * 1_000_000
                snapshot(database, time, complete=int(whole), book=book)
                greeks(database, time, 1 if book == BOOK else 2, float(seconds))
                underlying(database, time, "SPX", 1, 1.0, book=book)
            retire(database, folder, raw_days, 0, DAY + timedelta(days=9))
        first = day_bounds(first_kept(raw_days, DAY + timedelta(days=9)))[0]
        for book in (BOOK, OTHER):
            times = Counter({micros(DAY) + seconds * 1_000_000 for seconds, whose, _ in moments if whose == book})
            for table in ("snapshots", "greek_snapshots", "underlying_totals"):
                place = 0 if table == "greek_snapshots" else 1
                inside, outside = (
                    Counter({key[place]: n for key, n in rows(folder, table, book).items()})
                    for rows in (rows_in_database, rows_in_files)
                )
                assert inside + outside == times
                assert inside == Counter({time for time in times if time >= first})
        database.close()


def row_of_position(**values: float | None) -> pa.Table:
    """One row of a file of positions; what is not given is unknown."""
    row = {field.name: values.get(field.name) for field in KINDS[0].schema if pa.types.is_floating(field.type)}
    return pa.table({name: pa.array([value], pa.float64()) for name, value in row.items()})


def test_an_exposure_that_is_the_product_of_its_row_takes_no_room() -> None:
    """Worked by hand: -3 puts of 100 at 6000.25, Greeks that are exact in binary, so that every product is."""
    known = {
        "quantity": -3.0, "multiplier": 100.0, "spot": 6000.25, "beta": 1.5, "delta": -0.25, "gamma": 0.5, "vega": 8.0,
        "theta": -1.25, "delta_dollars": 450_018.75, "beta_delta_dollars": 675_028.125, "vega_per_point": -2400.0,
        "theta_per_day": 375.0, "gamma_1pct_dollars": -3 * 100.0 * 6000.25 * 0.5 * 6000.25 * 0.01 * 1.5 * 1.5,
    }  # fmt: skip
    dollars, euros = row_of_position(**known), dict(known)
    for name in ("delta_dollars", "beta_delta_dollars", "vega_per_point", "theta_per_day"):
        euros[name] *= 1.0625
    euros["gamma_1pct_dollars"] = -3 * 100.0 * 1.0625 * 6000.25 * 0.5 * 6000.25 * 0.01 * 1.5 * 1.5
    for table, rate in ((dollars, 1.0), (row_of_position(**euros), 1.0625)):
        (row,) = folded(table).to_pylist()
        assert {row[f"{name}_off"] for name in EXPOSURES} == {0}
        assert row["usd_rate"] == rate
        assert unfolded(folded(table)).equals(table)


@given(st.lists(st.fixed_dictionaries({name: st.none() | st.floats() for name in row_of_position().column_names})))
@settings(max_examples=200, deadline=None)
def test_whatever_the_exposures_are_they_come_back_to_the_last_bit(rows: list[dict[str, float | None]]) -> None:
    table = pa.concat_tables([row_of_position(), *(row_of_position(**row) for row in rows)])
    there, back = (
        [table[name].combine_chunks().fill_null(0.0).to_numpy().tobytes() for name in EXPOSURES]
        for table in (table, unfolded(folded(table)))
    )
    assert there == back
    assert [table[name].null_count for name in EXPOSURES] == [
        unfolded(folded(table))[name].null_count for name in EXPOSURES
    ]


def test_a_file_of_an_older_version_is_read_and_joined(tmp_path: Path) -> None:
    """Such a file has the exposures themselves, and no column of a later version."""
    database = begun(tmp_path)
    keep_an_old_day(database)
    retire(database, tmp_path, 3, 0, LATER)
    with database.reading() as connection:
        rows = read_archive(tmp_path, connection, BOOK, "greek_snapshots", OLD)
    path = tmp_path / "archive" / BOOK / "2026-11-18" / "greek_snapshots.parquet"
    pq.write_table(rows.drop_columns(["iv"]), path)
    written = sha256(path.read_bytes()).hexdigest()
    change(tmp_path, f"UPDATE archives SET hash = '{written}' WHERE file LIKE '%{BOOK}%greek%'")  # noqa: S608  # ours
    for late in (False, True):
        if late:
            snapshot(database, at("17:00"), complete=1)
            greeks(database, at("17:00"), 1, 9.0)
            retire(database, tmp_path, 3, 0, LATER)
        with database.reading() as connection:
            found = read_archive(tmp_path, connection, BOOK, "greek_snapshots", OLD)
        assert found.schema.equals(rows.schema)
        assert found["iv"].null_count == 2 + late
        assert found["vega_per_point"].to_pylist() == [1 / 3] * (2 + late)
        assert found["mark"].to_pylist() == [250.5, None, *[9.0] * late]
    database.close()


def test_two_programs_that_move_one_day_at_once_lose_nothing(tmp_path: Path) -> None:
    """The second one begins when the first has written its files and not listed them; the first is overtaken."""
    database, other = begun(tmp_path), opened(tmp_path)
    keep_an_old_day(database)
    before, begun_once = kept(tmp_path), False

    def meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal begun_once
        if statement.startswith("SELECT archives") and any((tmp_path / "archive").rglob("*.part")) and not begun_once:
            begun_once = True
            assert len(retire(other, tmp_path, 3, 0, LATER)) == 6

    event.listen(database.engine, "before_cursor_execute", meanwhile)
    retire(database, tmp_path, 3, 0, LATER)
    assert begun_once
    assert kept(tmp_path) == before
    assert sum(sum(rows_in_files(tmp_path, table).values()) for table in TABLES) == 23
    assert len(list((tmp_path / "archive").rglob("*.*"))) == 6
    database.close()
    other.close()


def test_what_another_program_writes_when_a_day_is_listed_is_not_swept_away(tmp_path: Path) -> None:
    """It may be listed by then; what was there before that cannot be."""
    database, folder = begun(tmp_path), tmp_path / "archive" / BOOK / "2026-11-18"
    keep_an_old_day(database)
    folder.mkdir(parents=True)
    (folder / "greek_snapshots.parquet.0a.part").write_bytes(b"PAR1")

    def meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE FROM greek_snapshots"):
            (folder / "greek_snapshots-2.parquet.0b.part").write_bytes(b"PAR1")

    event.listen(database.engine, "before_cursor_execute", meanwhile)
    retire(database, tmp_path, 3, 0, LATER)
    assert [path.name for path in folder.glob("*.part")] == ["greek_snapshots-2.parquet.0b.part"]
    database.close()


def test_a_replaced_file_that_cannot_be_deleted_keeps_nothing_else_from_being_moved(tmp_path: Path) -> None:
    """As on Windows, while somebody reads it; here a folder stands in its place."""
    database = begun(tmp_path)
    keep_an_old_day(database)
    retire(database, tmp_path, 3, 0, LATER)
    snapshot(database, at("17:00"), complete=1)
    greeks(database, at("17:00"), 1, 9.0)
    old = tmp_path / "archive" / BOOK / "2026-11-18" / "greek_snapshots.parquet"

    def meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE FROM greek_snapshots") and old.is_file():
            old.unlink()
            old.mkdir()

    event.listen(database.engine, "before_cursor_execute", meanwhile)
    assert [file.name for file in retire(database, tmp_path, 3, 0, LATER)] == ["greek_snapshots", "snapshots"]
    assert not any(rows_in_database(tmp_path, table) for table in TABLES)
    database.close()


def test_a_row_that_comes_while_its_day_is_written_is_told(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    came = False

    def meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal came
        if statement.startswith("SELECT greek_snapshots") and not came:
            came = True
            writer = opened(tmp_path)
            snapshot(writer, at("17:00"), complete=1, level="BREACH")
            writer.close()

    event.listen(database.engine, "before_cursor_execute", meanwhile)
    retire(database, tmp_path, 3, 0, LATER)
    assert rows_in_files(tmp_path, "snapshots")[BOOK, at("17:00"), "live"] == 1
    assert told(tmp_path)[3:] == [("17:00:00", "17:00:00", "17:00:00", "BREACH", None, None, None)]
    database.close()


def test_a_file_that_cannot_be_deleted_keeps_nobody_else_from_being_moved(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_an_old_day(database)
    snapshot(database, at("15:00", MONDAY))
    retire(database, tmp_path, 3, 0, LATER)
    path = tmp_path / "archive" / BOOK / "2026-11-18" / "snapshots.parquet"
    path.unlink()
    path.mkdir()
    snapshot(database, at("14:31"), complete=1, book=OTHER)
    with pytest.raises(StoreError, match=r"snapshots\.parquet is older than it should be kept and cannot be deleted"):
        retire(database, tmp_path, 3, 5, LATER)
    assert not rows_in_database(tmp_path, "snapshots", OTHER)
    database.close()


def test_files_of_another_folder_that_were_said_to_be_deleted_are_deleted_when_their_program_is_back(
    tmp_path: Path,
) -> None:
    """With a server, files are in the folder of the program that wrote them, and any may find them too old."""
    database = begun(tmp_path / "here")
    keep_an_old_day(database)
    snapshot(database, at("15:00", MONDAY))
    retire(database, tmp_path / "here", 3, 0, LATER)
    assert len(retire(database, tmp_path / "there", 3, 5, LATER)) == 6
    assert len(list(tmp_path.rglob("*.parquet"))) == 6
    assert retire(database, tmp_path / "here", 3, 5, LATER) == []
    assert not list(tmp_path.rglob("*.parquet"))
    database.close()


@pytest.mark.parametrize(("table", "column"), [("snapshots", "level"), ("greek_snapshots", "mark")])
def test_rows_that_make_no_sense_keep_no_other_book_and_no_other_day_from_being_moved(
    tmp_path: Path, table: str, column: str
) -> None:
    """A level that no program of ours knows; a text in place of a number, which SQLite takes."""
    database = begun(tmp_path)
    keep_an_old_day(database)
    change(tmp_path, f"UPDATE {table} SET {column} = 'PURPLE' WHERE time = {at('14:30:05')}"  # noqa: S608  # ours
                     + (" AND position = 1" if table == "greek_snapshots" else f" AND book = '{BOOK}'"))  # fmt: skip
    snapshot(database, at("15:00", datetime(2026, 11, 19, tzinfo=UTC)), complete=1)
    before = rows_in_database(tmp_path, "greek_snapshots")
    with pytest.raises(StoreError, match=r"rows of 2026-11-18 stay in .*, they cannot be moved"):
        retire(database, tmp_path, 3, 0, LATER)
    assert rows_in_database(tmp_path, "greek_snapshots") == before
    assert ask(tmp_path, "SELECT DISTINCT book, day, name FROM archives WHERE removed = 1 ORDER BY 1, 2, 3") == [
        (BOOK, "2026-11-19", "snapshots"), (OTHER, "2026-11-18", "greek_snapshots"), (OTHER, "2026-11-18", "snapshots"),
    ]  # fmt: skip
    assert not list(tmp_path.rglob("*.part"))
    database.close()


def test_one_that_is_started_before_it_has_come_to_its_end_goes_on(tmp_path: Path) -> None:
    database, busy, gate = opened(tmp_path), Event(), Event()
    put(database, BOOKS, {"book": BOOK})

    def clock() -> datetime:
        busy.set()
        assert gate.wait(20)
        return LATER

    upkeep = Upkeep(database, Retention(tmp_path, 3, 0), clock, lambda: {BOOK}, every=0.05)
    upkeep.start()
    assert busy.wait(20)
    upkeep.stop(0.0)
    upkeep.start()
    gate.set()
    busy.clear()
    assert busy.wait(20)
    for closes in ((date(2026, 11, 17), 20.0), (OLD, 21.0)):
        upkeep.past(Book(BOOK, "test"), Past(closes=(Closes("VIX", (closes,), "file:vix.csv"),)))
    assert eventually(lambda: ask(tmp_path, "SELECT count(*) FROM market_closes") == [(2,)])
    upkeep.stop(20)
    database.close()


def test_a_past_that_finds_the_database_locked_is_filled_in_when_it_is_free(tmp_path: Path) -> None:
    database = opened(tmp_path, 0.01)
    put(database, BOOKS, {"book": BOOK})
    past = Past(closes=(Closes("VIX", ((date(2026, 11, 17), 20.0), (OLD, 21.0)), "file:vix.csv"),))
    upkeep = Upkeep(database, Retention(tmp_path, 3, 0), lambda: LATER, lambda: {BOOK}, every=0.05)
    lock = Lock(tmp_path)
    upkeep.past(Book(BOOK, "test"), past)
    upkeep.start()
    assert eventually(lambda: "past: it is locked" in upkeep.problem)
    lock.release()
    assert eventually(lambda: ask(tmp_path, "SELECT count(*) FROM market_closes") == [(2,)])
    assert eventually(lambda: upkeep.problem == "")
    upkeep.stop(20)
    database.close()


@pytest.mark.usefixtures("kind")
def test_a_book_without_positions_is_moved_like_any_other(tmp_path: Path) -> None:
    database = begun(tmp_path)
    snapshot(database, at("14:30"), complete=1, net_liquidation=5.0)
    account(database, at("14:30"), A, 0.5)
    assert [(file.name, file.rows) for file in retire(database, tmp_path, 3, 0, LATER)] == [
        ("account_values", 1), ("snapshots", 1),
    ]  # fmt: skip
    assert told(tmp_path) == [("14:30:00", "14:30:00", "14:30:00", "OK", 5.0, 5.0, 5.0)]
    database.close()


@pytest.mark.parametrize(("run", "dead_seconds", "kept_up"), [(None, 1e9, True), ("r", 0.1, True), ("r", 1e9, False)])
def test_a_book_that_no_program_writes_any_more_is_kept_up(
    tmp_path: Path, run: str | None, dead_seconds: float, *, kept_up: bool
) -> None:
    """Given back; without a sign of life; and one that another program writes."""
    database = begun(tmp_path)
    keep_an_old_day(database)
    put(database, LEASES, {"token": 1, "run": run, "host": "desk", "pid": 1, "beat": 7})
    keep = Retention(tmp_path, 3, 0)
    upkeep = Upkeep(database, keep, lambda: LATER, lambda: {OTHER}, every=0.05, dead_seconds=dead_seconds)
    upkeep.start()
    moved = "SELECT DISTINCT book FROM archives WHERE removed = 1 ORDER BY book"
    expected = [(BOOK,), (OTHER,)] if kept_up else [(OTHER,)]
    ended = "SELECT count(*) FROM archives WHERE removed = 0"
    assert eventually(lambda: (ask(tmp_path, moved), ask(tmp_path, ended)) == (expected, [(0,)]))
    upkeep.stop(20)
    assert upkeep.problem == ""
    assert ask(tmp_path, moved) == expected
    assert told(tmp_path) == (QUARTERS_OF_THAT_DAY if kept_up else [])
    database.close()


def test_empty_months_are_dropped_on_a_server_and_no_other(tmp_path: Path, postgres: Server) -> None:
    """Rows of August stay, as they were written for a book that is not kept up; those of September were moved."""
    with OnServer(postgres, tmp_path) as place:
        database = begun(tmp_path)
        for position, (book, month) in enumerate(((OTHER, 8), (BOOK, 9), (BOOK, 11)), 1):
            day = datetime(2026, month, 18, tzinfo=UTC)
            put(database, POSITIONS, {**LINE, "book": book, "key": f"option:{month}"})
            snapshot(database, at("15:00", day), complete=1, book=book)
            greeks(database, at("15:00", day), position, 9.0)
        months = "SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid AND relkind = 'r' ORDER BY 1"
        before = [name for (name,) in place.ask(months)]
        assert {f"greek_snapshots_2026_{month}" for month in ("08", "09", "10", "11", "12")} <= set(before)
        retire(database, tmp_path, 3, 0, LATER, {BOOK})
        gone = [name for name in before if name[-7:] in ("2026_09", "2026_10")]
        assert [name for (name,) in place.ask(months)] == [name for name in before if name not in gone]
        assert place.ask("SELECT count(*) FROM greek_snapshots") == [(1,)]
        greeks(database, at("15:00", datetime(2026, 9, 19, tzinfo=UTC)), 2, 8.0)  # a late row makes its month anew
        assert place.ask("SELECT count(*) FROM greek_snapshots_2026_09") == [(1,)]
        database.close()
