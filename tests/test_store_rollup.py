"""Quarters of an hour say what was true: worked by hand, and against a reader that knows every moment whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, delete

from guardrails.findings import Level
from guardrails.store.columns import BACKFILL, LIVE
from guardrails.store.database import FILE, Database
from guardrails.store.inserts import columns, insert
from guardrails.store.metadata import micros, moment
from guardrails.store.quarters import ACCOUNT_QUARTERS, QUARTER_MICROS, QUARTERS
from guardrails.store.rollup import roll_up, tell
from guardrails.store.schema import ACCOUNT_VALUES, BOOKS, SNAPSHOTS, UNDERLYING_TOTALS
from tests.stored import ask, on_server, opened

BOOK, OTHER = "a" * 12, "b" * 12
DAY = datetime(2026, 11, 18, tzinfo=UTC)
A, B = "a" * 16, "b" * 16
_TEXTS: Mapping[str, Any] = {
    "level": "OK", "regime": "low_volatility", "safety_state": "NORMAL", "matrix_version": "m1", "bounds": "{}",
    "known_part": "{}", "origin": LIVE, "market_open": 1, "complete": 0, "account": "•••4567", "broker": "IBKR",
    "currency": "USD", "positions": 1, "names": "test", "first_used": 0,
}  # fmt: skip


def at(text: str, day: datetime = DAY) -> int:
    """Microseconds of `14:30` or `14:30:05` UTC."""
    hours, minutes, seconds = (*map(int, text.split(":")), 0)[:3]
    return micros(day + timedelta(hours=hours, minutes=minutes, seconds=seconds))


def put(database: Database, table: Table, *rows: Mapping[str, Any]) -> None:
    """Rows by column; what is not given is of little interest, or unknown."""
    counts = {name: 0 for name in columns(table) if name.startswith("count_")}
    with database.writing(durable=False) as connection:
        full = [{**_TEXTS, **counts, "book": BOOK, **row} for row in rows]
        insert(connection, table, [tuple(row.get(name) for name in columns(table)) for row in full])


def snapshot(database: Database, time: int, **values: Any) -> None:
    put(database, SNAPSHOTS, {"time": time, "until": time, **values})


def underlying(database: Database, time: int, name: str, positions: int, delta: float | None, **values: Any) -> None:
    row = {"time": time, "underlying": name, "positions": positions, "delta_dollars": delta}
    put(database, UNDERLYING_TOTALS, {**row, **values})


def account(database: Database, time: int, owner: str, cushion: float | None, **values: Any) -> None:
    row = {"time": time, "account_hash": owner, "cushion": cushion, "net_liquidation": 60.0}
    put(database, ACCOUNT_VALUES, {**row, **values})


def begun(folder: Path) -> Database:
    """A database of two books, a copy of one that was made once."""
    if on_server(folder):
        return _with_books(opened(folder))
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_bytes(_first())
    return opened(folder)


def _with_books(database: Database) -> Database:
    for book in (BOOK, OTHER):
        put(database, BOOKS, {"book": book})
    return database


@cache
def _first() -> bytes:
    with TemporaryDirectory() as name:
        _with_books(opened(Path(name))).close()
        return (Path(name) / FILE).read_bytes()


def told(folder: Path, book: str = BOOK) -> list[tuple[Any, ...]]:
    rows = ask(
        folder,
        """SELECT time, first, last, level, net_liquidation, net_liquidation_low, net_liquidation_high
           FROM quarters WHERE book = ? ORDER BY time""",
        book,
    )
    return [(*(f"{moment(each):%H:%M:%S}" for each in row[:3]), *row[3:]) for row in rows]


def told_underlyings(folder: Path, book: str = BOOK) -> list[tuple[Any, ...]]:
    query = "SELECT time, underlying, positions, delta_dollars FROM underlying_quarters WHERE book = ? ORDER BY 1, 2"
    return [(f"{moment(row[0]):%H:%M}", *row[1:]) for row in ask(folder, query, book)]


def told_accounts(folder: Path, book: str = BOOK) -> list[tuple[Any, ...]]:
    query = """SELECT time, account_hash, net_liquidation, cushion, cushion_low FROM account_quarters
               WHERE book = ? AND origin = 'live' ORDER BY 1, 2"""
    return [(f"{moment(row[0]):%H:%M}", *row[1:]) for row in ask(folder, query, book)]


def everything(folder: Path) -> list[list[tuple[Any, ...]]]:
    return [ask(folder, f"SELECT * FROM {name} ORDER BY 1, 2, 3") for name in  # noqa: S608  # names here
            ("quarters", "underlying_quarters", "account_quarters")]  # fmt: skip


def keep_a_day(database: Database, book: str = BOOK) -> None:
    """Half an hour with an underlying that goes and returns, half an hour without the program, a quarter in alarm."""
    first, sold, again, bought = at("14:30:05"), at("14:44:50"), at("14:46:00"), at("14:50:00")
    snapshot(database, first, complete=1, net_liquidation=100.0, book=book)
    underlying(database, first, "SPX", 2, 10.0, book=book)
    underlying(database, first, "AAPL", 1, 5.0, book=book)
    account(database, first, A, 0.5, book=book)
    snapshot(database, at("14:35"), level="WATCH", net_liquidation=90.0, book=book)
    underlying(database, at("14:35"), "SPX", 2, 12.0, book=book)
    account(database, at("14:35"), A, 0.3, book=book)
    snapshot(database, sold, book=book)
    underlying(database, sold, "AAPL", 0, None, book=book)
    account(database, sold, A, 0.4, book=book)
    snapshot(database, again, complete=1, net_liquidation=110.0, book=book)
    underlying(database, again, "SPX", 2, 13.0, book=book)
    account(database, again, A, 0.45, book=book)
    snapshot(database, bought, net_liquidation=110.0, book=book)
    underlying(database, bought, "AAPL", 1, 7.0, book=book)
    alarm = at("15:20")
    snapshot(database, alarm, complete=1, level="BREACH", net_liquidation=95.0, book=book)
    underlying(database, alarm, "SPX", 1, 1.0, book=book)
    account(database, alarm, A, 0.1, book=book)
    account(database, alarm, B, None, net_liquidation=None, level="UNKNOWN", book=book)
    snapshot(database, at("15:29"), level="UNKNOWN", net_liquidation=97.0, book=book)
    account(database, at("15:29"), A, None, net_liquidation=None, level=None, currency="", book=book)


QUARTERS_OF_THAT_DAY = [
    ("14:30:00", "14:30:05", "14:44:50", "WATCH", None, 90.0, 100.0),
    ("14:45:00", "14:46:00", "14:50:00", "OK", 110.0, 110.0, 110.0),
    ("15:15:00", "15:20:00", "15:29:00", "BREACH", 97.0, 95.0, 97.0),
]


@pytest.mark.usefixtures("kind")
def test_a_day_with_a_gap_worked_by_hand(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_a_day(database)
    assert roll_up(database, DAY + timedelta(hours=15, minutes=30)) == 3
    assert told(tmp_path) == QUARTERS_OF_THAT_DAY
    assert told_underlyings(tmp_path) == [
        ("14:30", "SPX", 2, 12.0),  # AAPL was sold within it
        ("14:45", "AAPL", 1, 7.0),
        ("14:45", "SPX", 2, 13.0),
        ("15:15", "SPX", 1, 1.0),  # AAPL is not in the complete moment of 15:20
    ]
    assert told_accounts(tmp_path) == [
        ("14:30", A, 60.0, 0.4, 0.3),
        ("14:45", A, 60.0, 0.45, 0.45),
        ("15:15", B, None, None, None),  # A had gone by its end; unknown is null, not zero
    ]
    database.close()


def test_a_quarter_that_has_not_ended_is_not_told(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_a_day(database)
    assert roll_up(database, DAY + timedelta(hours=15, minutes=29, seconds=59)) == 2
    assert told(tmp_path) == QUARTERS_OF_THAT_DAY[:2]
    assert roll_up(database, DAY + timedelta(hours=15, minutes=30)) == 1
    assert told(tmp_path) == QUARTERS_OF_THAT_DAY
    database.close()


def test_telling_again_changes_nothing_and_telling_one_by_one_gives_the_same(tmp_path: Path) -> None:
    later, folders = DAY + timedelta(days=1), (tmp_path / "a", tmp_path / "b")
    for folder, most in zip(folders, (None, 1), strict=True):
        database = begun(folder)
        keep_a_day(database)
        assert [roll_up(database, later, most) for _ in range(4)] == ([3, 0, 0, 0] if most is None else [1, 1, 1, 0])
        database.close()
    assert everything(folders[0]) == everything(folders[1])


@pytest.mark.usefixtures("kind")
def test_a_row_that_holds_for_hours_is_told_in_every_quarter_it_touches(tmp_path: Path) -> None:
    database = begun(tmp_path)
    start = at("21:05")
    snapshot(database, start, until=at("23:10"), complete=1, net_liquidation=5.0, market_open=0)
    underlying(database, start, "SPX", 3, 8.0)
    account(database, start, A, 0.25)
    assert roll_up(database, DAY + timedelta(hours=23, minutes=14)) == 8  # 21:00 to 22:45; 23:00 has not ended
    assert roll_up(database, DAY + timedelta(hours=23, minutes=15)) == 1
    assert {row[1:] for row in told(tmp_path)} == {("21:05:00", "21:05:00", "OK", 5.0, 5.0, 5.0)}
    assert [row[0] for row in told(tmp_path)][-2:] == ["22:45:00", "23:00:00"]
    assert {row[1:] for row in told_underlyings(tmp_path)} == {("SPX", 3, 8.0)}
    assert len(told_underlyings(tmp_path)) == len(told_accounts(tmp_path)) == 9
    database.close()


def test_what_was_true_when_a_quarter_began_counts_for_its_extremes(tmp_path: Path) -> None:
    database = begun(tmp_path)
    begin, low = at("14:40"), at("14:44")
    snapshot(database, begin, complete=1, net_liquidation=50.0)
    account(database, begin, A, 0.9)
    snapshot(database, low, until=at("14:45"), level="BREACH", net_liquidation=40.0)
    account(database, low, A, 0.2)
    snapshot(database, at("14:46"), net_liquidation=70.0)
    account(database, at("14:46"), A, 0.6)
    roll_up(database, DAY + timedelta(hours=15))
    assert told(tmp_path)[1] == ("14:45:00", "14:44:00", "14:46:00", "BREACH", 70.0, 40.0, 70.0)
    assert told_accounts(tmp_path)[1] == ("14:45", A, 60.0, 0.6, 0.2)
    database.close()


@pytest.mark.usefixtures("kind")
def test_a_row_that_comes_late_is_told_within_the_hour_and_later_with_its_day(tmp_path: Path) -> None:
    database = begun(tmp_path)
    for text in ("12:00", "14:30", "14:45"):
        snapshot(database, at(text), complete=1)
    roll_up(database, DAY + timedelta(hours=15))
    for text in ("12:05", "14:50"):
        snapshot(database, at(text), level="BREACH")
    snapshot(database, at("15:00"), complete=1)
    assert roll_up(database, DAY + timedelta(hours=15, minutes=15)) == 2
    assert [row[3] for row in told(tmp_path)] == ["OK", "OK", "BREACH", "OK"]
    assert tell(database, BOOK, at("00:00"), at("23:45")) == 1
    assert [row[3] for row in told(tmp_path)] == ["BREACH", "OK", "BREACH", "OK"]
    database.close()


@pytest.mark.usefixtures("kind")
def test_an_underlying_that_a_late_row_takes_away_is_not_left_behind(tmp_path: Path) -> None:
    database = begun(tmp_path)
    snapshot(database, at("14:30"), complete=1)
    underlying(database, at("14:30"), "SPX", 1, 1.0)
    underlying(database, at("14:30"), "AAPL", 1, 1.0)
    account(database, at("14:30"), A, 0.5)
    account(database, at("14:30"), B, 0.5)
    roll_up(database, DAY + timedelta(hours=14, minutes=45))
    snapshot(database, at("14:44"))
    underlying(database, at("14:44"), "AAPL", 0, None)
    account(database, at("14:44"), B, None, level=None)
    assert tell(database, BOOK, at("14:30"), at("14:45")) == 1
    assert told_underlyings(tmp_path) == [("14:30", "SPX", 1, 1.0)]
    assert [row[1] for row in told_accounts(tmp_path)] == [A]
    database.close()


def test_a_told_quarter_is_not_told_from_fewer_rows(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_a_day(database)
    roll_up(database, DAY + timedelta(days=1))
    before = everything(tmp_path)
    for gone in (SNAPSHOTS.c.time < at("14:40"), SNAPSHOTS.c.time > at("15:25")):
        with database.writing(durable=False) as connection:
            connection.execute(delete(SNAPSHOTS).where(gone))
        assert tell(database, BOOK, at("00:00"), at("23:45")) == 0
    assert everything(tmp_path) == before
    database.close()


def test_what_was_over_before_a_quarter_or_a_new_start_within_it_does_not_count(tmp_path: Path) -> None:
    database = begun(tmp_path)
    for text, cushion in (("14:40", 0.1), ("14:44", 0.5), ("14:46", 0.6)):
        snapshot(database, at(text), complete=int(text == "14:40"))
        account(database, at(text), A, cushion)
    underlying(database, at("14:40"), "AAPL", 1, 1.0)
    account(database, at("14:40"), B, 0.9)
    roll_up(database, DAY + timedelta(hours=15))
    assert told_accounts(tmp_path)[2:] == [("14:45", A, 60.0, 0.6, 0.6), ("14:45", B, 60.0, 0.9, 0.9)]
    snapshot(database, at("14:50"), complete=1)
    account(database, at("14:50"), A, 0.7)
    assert tell(database, BOOK, at("14:45"), at("15:00")) == 1
    assert told_accounts(tmp_path)[2:] == [("14:45", A, 60.0, 0.7, 0.6)]  # B was not there at the new start
    assert told_underlyings(tmp_path) == [("14:30", "AAPL", 1, 1.0)]
    with database.writing(durable=False) as connection:
        connection.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.time == at("14:46")))
    assert tell(database, BOOK, at("14:45"), at("15:00")) == 0
    assert told(tmp_path)[1][1] == "14:46:00"
    database.close()


@pytest.mark.usefixtures("kind")
def test_backfilled_rows_are_neither_told_nor_touched(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_a_day(database)
    snapshot(database, at("15:05"), complete=1, origin=BACKFILL, level="BREACH")
    snapshot(database, at("14:40"), complete=1, origin=BACKFILL, net_liquidation=1.0)
    account(database, at("14:36"), A, 0.01, origin=BACKFILL)
    old = {"account_hash": A, "time": at("14:30"), "origin": BACKFILL, "net_liquidation": 3.0, "source": "file"}
    put(database, ACCOUNT_QUARTERS, old)
    roll_up(database, DAY + timedelta(days=1))
    snapshot(database, at("14:31"), level="BREACH")  # so that 14:30 is told again
    assert tell(database, BOOK, at("14:30"), at("14:45")) == 1
    assert [row[0] for row in told(tmp_path)] == [row[0] for row in QUARTERS_OF_THAT_DAY]
    assert told_accounts(tmp_path)[0] == ("14:30", A, 60.0, 0.4, 0.3)
    assert ask(tmp_path, "SELECT net_liquidation FROM account_quarters WHERE origin = 'backfill'") == [(3.0,)]
    database.close()


def test_books_do_not_mix(tmp_path: Path) -> None:
    database = begun(tmp_path)
    keep_a_day(database)
    snapshot(database, at("14:31"), complete=1, level="BREACH", net_liquidation=7.0, book=OTHER)
    underlying(database, at("14:31"), "QQQ", 1, 9.0, book=OTHER)
    assert roll_up(database, DAY + timedelta(days=1), books={OTHER}) == 1
    assert told(tmp_path) == []
    assert roll_up(database, DAY + timedelta(days=1)) == 3
    assert told(tmp_path) == QUARTERS_OF_THAT_DAY
    assert told(tmp_path, OTHER) == [("14:30:00", "14:31:00", "14:31:00", "BREACH", 7.0, 7.0, 7.0)]
    assert told_underlyings(tmp_path, OTHER) == [("14:30", "QQQ", 1, 9.0)]
    database.close()


def test_a_clock_that_ran_ahead_hides_no_later_quarter(tmp_path: Path) -> None:
    """Told while the clock was a day ahead; then it is set right."""
    database = begun(tmp_path)
    snapshot(database, at("14:30", DAY + timedelta(days=1)), complete=1)
    assert roll_up(database, DAY + timedelta(days=1, hours=15)) == 1
    keep_a_day(database)
    assert roll_up(database, DAY + timedelta(hours=15, minutes=30)) == 3
    database.close()


def test_a_crash_within_a_quarter_leaves_it_whole_or_not_told(tmp_path: Path) -> None:
    from tests.test_store_archive import crashes  # noqa: PLC0415  # the two test files share their pieces

    whole = begun(tmp_path / "whole")
    keep_a_day(whole)
    roll_up(whole, DAY + timedelta(days=1))
    expected = everything(tmp_path / "whole")
    whole.close()

    def run(database: Database) -> None:
        roll_up(database, DAY + timedelta(days=1))

    for folder, database in crashes(tmp_path, keep_a_day, run):
        for n, rows in enumerate(everything(folder)):
            assert set(rows) <= set(expected[n])
        roll_up(database, DAY + timedelta(days=1))
        assert everything(folder) == expected
        database.close()


@dataclass
class Seen:
    """What a reader of every whole moment would say of one quarter."""

    levels: list[str] = field(default_factory=list)
    cushions: dict[str, list[float]] = field(default_factory=dict)
    underlyings: dict[str, float] = field(default_factory=dict)
    accounts: dict[str, float | None] = field(default_factory=dict)


moments = st.lists(
    st.tuples(
        st.integers(1, 1200),  # seconds since the one before
        st.booleans(),  # the program was started again
        st.sampled_from(["OK", "WATCH", "UNKNOWN", "BREACH"]),
        st.dictionaries(st.sampled_from(["SPX", "AAPL", "QQQ"]), st.integers(0, 3).map(float)),
        st.dictionaries(st.sampled_from([A, B]), st.sampled_from([None, 0.1, 0.2, 0.3])),
    ),
    min_size=1,
    max_size=12,
)


@given(moments)
@settings(max_examples=40, deadline=None)
def test_any_day_is_told_as_one_who_saw_every_moment_would(day: list[Any]) -> None:
    with TemporaryDirectory() as name:
        database = begun(Path(name))
        expected = _keep(database, day)
        roll_up(database, DAY + timedelta(days=2))
        found = {row[0]: row[1] for row in ask(Path(name), "SELECT time, level FROM quarters")}
        assert found == {time: max(seen.levels, key=lambda each: Level(each).rank) for time, seen in expected.items()}
        sums = ask(Path(name), "SELECT time, underlying, delta_dollars FROM underlying_quarters")
        assert {row[:2]: row[2] for row in sums} == {
            (time, key): value for time, seen in expected.items() for key, value in seen.underlyings.items()
        }
        money = ask(Path(name), "SELECT time, account_hash, cushion, cushion_low FROM account_quarters")
        assert {row[:2]: row[2:] for row in money} == {
            (time, key): (value, min(seen.cushions.get(key, ()), default=None))
            for time, seen in expected.items()
            for key, value in seen.accounts.items()
        }
        database.close()


def _keep(database: Database, day: Iterable[Any]) -> dict[int, Seen]:
    """Write the moments as changes; whoever is as before holds on, as a row of `snapshots` does until its `until`."""
    expected: dict[int, Seen] = {}
    time, last, written, complete = at("14:00"), None, 0, 0
    for seconds, restart, level, names, owners in day:
        begin, time = time, time + seconds * 1_000_000
        now = (level, names, owners)
        whole = last is None or restart or time - complete >= QUARTER_MICROS
        if now == last and not whole:
            with database.writing(durable=False) as connection:
                connection.execute(SNAPSHOTS.update().where(SNAPSHOTS.c.time == written).values(until=time))
            for quarter in range(begin // QUARTER_MICROS + 1, time // QUARTER_MICROS + 1):
                _see(expected.setdefault(quarter * QUARTER_MICROS, Seen()), now)
            continue
        _write(database, time, now, ("", {}, {}) if whole or last is None else last, whole=whole)
        _see(expected.setdefault(time // QUARTER_MICROS * QUARTER_MICROS, Seen()), now)
        last, written, complete = now, time, time if whole else complete
    return expected


def _write(database: Database, time: int, now: Any, before: Any, *, whole: bool) -> None:
    snapshot(database, time, complete=int(whole), level=now[0])
    for name in now[1].keys() | before[1].keys():
        if now[1].get(name) != before[1].get(name):
            underlying(database, time, name, int(name in now[1]), now[1].get(name))
    for owner in now[2].keys() | before[2].keys():
        if owner not in before[2] or owner not in now[2] or now[2][owner] != before[2][owner]:
            account(database, time, owner, now[2].get(owner), level="OK" if owner in now[2] else None)


def _see(seen: Seen, now: Any) -> None:
    level, seen.underlyings, seen.accounts = now
    seen.levels.append(level)
    for owner, cushion in seen.accounts.items():
        if cushion is not None:
            seen.cushions.setdefault(owner, []).append(cushion)


@pytest.mark.usefixtures("kind")
def test_every_column_of_a_quarter_is_that_of_its_last_moment(tmp_path: Path) -> None:
    database = begun(tmp_path)
    names = [name for name in columns(QUARTERS) if name in SNAPSHOTS.c and name not in ("book", "time", "level")]
    values = {name: float(n) for n, name in enumerate(names)}
    values |= {"regime": "crisis_mode", "safety_state": "STOPPED", "matrix_version": "m2", "limits": "{}"}
    values |= {"overlay": 1, "market_open": 0}
    snapshot(database, at("14:30"), complete=1)
    snapshot(database, at("14:31"), **values)
    roll_up(database, DAY + timedelta(days=1))
    assert ask(tmp_path, f"SELECT {', '.join(names)} FROM quarters") == [tuple(values[name] for name in names)]  # noqa: S608  # names above
    database.close()
