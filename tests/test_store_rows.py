"""What is stored is what the Snapshot said: every figure by its name, unknown as null, changes only once."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from guardrails.findings import Finding, Level
from guardrails.memory import account_key
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change
from guardrails.store import rows
from guardrails.store.books import Owners, book_of, owners_of
from guardrails.store.metadata import micros, moment
from guardrails.store.news import Numbers, Seen, news_of
from guardrails.store.telemetry import Moment, Telemetry
from guardrails.store.texts import document, text
from tests.books import IBKR, NOW, TASTY
from tests.healthy import AAPL_PUT, NEAR_PUT, SPX_PUT, healthy
from tests.stored import HEALTHY, MATRIX_TEXT, Lock, OnServer, ask, finding, opened
from tests.stored import moment as healthy_at

BOOK = book_of(["test"])
OWNERS = owners_of(HEALTHY.portfolio)
TIMES = itertools.count(1)

figures = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1.7976931348623157e308, 1e299, 5e-324]),
)
names = st.text(st.characters(), max_size=8)  # any code point, lone surrogates and NUL among them


def seen(value: float | None) -> float | None:
    """What a reader must find: the number, or nothing when it says nothing (1.797e308 is a broker's 'not set')."""
    return None if value is None or not math.isfinite(value) or abs(value) >= 1e300 else value


def fill(drawn: Callable[[], Any], row: Any, *fields: str) -> Any:
    return replace(row, **{name: drawn() for name in fields})


@st.composite
def snapshots(draw: st.DrawFn) -> tuple[Snapshot, Owners]:
    """The healthy book with anything missing or absurd, and any part of it not held."""

    def one() -> float | None:
        return draw(figures)

    base = HEALTHY.snapshot
    held = draw(st.sets(st.integers(0, len(base.positions) - 1)))
    positions = tuple(
        replace(fill(one, base.positions[n], *GREEKS), level=draw(st.sampled_from(Level)), label=draw(names))
        for n in sorted(held)
    )
    totals = replace(fill(one, base.totals, *TOTALS), bounds={draw(names): (one(), one())}, known_part={"x": one()})
    findings = [
        Finding(draw(names), draw(names), draw(st.sampled_from(Level)), one(), one(), "USD", one(), draw(names),
                {draw(names): one(), "list": (one(), draw(names))}, one())
        for _ in range(draw(st.integers(0, 3)))
    ]  # fmt: skip
    snapshot = replace(
        base,
        as_of=NOW + timedelta(seconds=next(TIMES)),
        positions=positions,
        totals=totals,
        findings=tuple(findings),
        accounts=tuple(fill(one, row, *MONEY) for row in base.accounts),
        underlyings=tuple(fill(one, row, *SUMS) for row in base.underlyings[: draw(st.integers(0, 3))]),
        level=draw(st.sampled_from(Level)),
    )
    return snapshot, replace(OWNERS, positions=tuple(OWNERS.positions[n] for n in sorted(held)))


# fmt: off
GREEKS = ("quantity", "multiplier", "mark", "spot", "beta", "delta", "gamma", "vega", "theta", "iv", "delta_dollars",
          "beta_delta_dollars", "gamma_1pct_dollars", "vega_per_point", "theta_per_day", "day_pnl", "open_pnl")
TOTALS = ("net_liquidation", "delta_dollars", "beta_delta_dollars", "beta_delta_spx", "beta_delta_spy",
          "gamma_1pct_dollars", "vega_per_point", "vega_30d_per_point", "theta_per_day", "theta_vega_ratio")
SUMS = ("delta_dollars", "beta_delta_dollars", "gamma_1pct_dollars", "vega_per_point", "vega_30d_per_point",
        "theta_per_day")
MONEY = ("net_liquidation", "excess_liquidity", "excess_look_ahead", "cushion", "maintenance", "buying_power",
         "day_pnl", "day_pnl_broker", "sma")
# fmt: on


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Telemetry]]:
    folder = tmp_path_factory.mktemp("store")
    with ExitStack() as stack:
        if request.param == "postgres":
            stack.enter_context(OnServer(request.getfixturevalue("postgres"), folder))
        database = opened(folder)
        stack.callback(database.close)
        yield folder, Telemetry(database)


def held_at(folder: Path, time: int) -> dict[Any, dict[str, Any]]:
    """Positions as they were at `time`: all of the last complete moment, and what changed since."""
    (start,) = ask(folder, "SELECT max(time) FROM snapshots WHERE complete = 1 AND time <= ?", time)[0]
    names = ("account_hash", "key", "level", *GREEKS)
    query = f"""SELECT {", ".join(names)} FROM greek_snapshots JOIN positions USING (position)
                WHERE time BETWEEN ? AND ? ORDER BY time"""  # noqa: S608  # names above
    found: dict[Any, dict[str, Any]] = {}
    for row in ask(folder, query, start, time):
        found[row[:2]] = dict(zip(names[2:], row[2:], strict=True))
    return {key: row for key, row in found.items() if row["level"] is not None}


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_snapshot_can_be_stored_and_read_back(store: tuple[Path, Telemetry], data: st.DataObject) -> None:
    folder, telemetry = store
    snapshot, owners = data.draw(snapshots())
    assert telemetry.keep(Moment(BOOK, snapshot, owners))
    time = micros(snapshot.as_of)
    assert held_at(folder, time) == {
        (owner, row.key): {"level": row.level.value, **{name: seen(getattr(row, name)) for name in GREEKS}}
        for owner, row in zip(owners.positions, snapshot.positions, strict=True)
    }
    counts = ("count_ok", "count_watch", "count_unknown", "count_breach")
    query = f"SELECT level, {', '.join((*TOTALS, *counts))} FROM snapshots WHERE time <= ? AND until >= ?"  # noqa: S608  # names above
    by_level = [f.level for f in snapshot.findings]
    assert ask(folder, query, time, time) == [
        (snapshot.level.value, *(seen(getattr(snapshot.totals, name)) for name in TOTALS),
         *map(by_level.count, (Level.OK, Level.WATCH, Level.UNKNOWN, Level.BREACH)))
    ]  # fmt: skip
    last = "FROM {} WHERE {} = ? AND time <= ? ORDER BY time DESC LIMIT 1"
    for row in snapshot.underlyings:
        query = f"SELECT {', '.join(SUMS)} {last.format('underlying_totals', 'underlying')}"
        assert ask(folder, query, row.name, time)[0] == tuple(seen(getattr(row, name)) for name in SUMS)
    for owner, row in zip(owners.accounts, snapshot.accounts, strict=True):
        query = f"SELECT {', '.join(MONEY)} {last.format('account_values', 'account_hash')}"
        assert ask(folder, query, owner, time)[0] == tuple(seen(getattr(row, name)) for name in MONEY)


@given(before=snapshots(), after=snapshots())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_transitions_lead_from_one_to_the_other(
    before: tuple[Snapshot, Owners], after: tuple[Snapshot, Owners]
) -> None:
    old, new = rows.levels(before[0]), rows.levels(after[0])
    told = rows.transitions(old, after[0], BOOK)
    assert rows.transitions(new, after[0], BOOK) == []
    state = {key: level.value for key, level in old.items()}
    for row in told:
        key = (str(row[2]), str(row[3]))
        assert row[4] == state.get(key)
        assert row[4] != row[5]
        if row[5] is None:
            del state[key]
        else:
            state[key] = str(row[5])
    assert state == {key: level.value for key, level in new.items()}
    findings = after[0].findings
    assert {(text(f.check), text(f.subject)) for f in findings} == set(new)
    assert all(new[text(f.check), text(f.subject)].rank >= f.level.rank for f in findings)


def test_what_has_not_changed_is_stored_once(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    telemetry = Telemetry(database)
    for seconds in range(0, 150, 15):
        assert telemetry.keep(Moment(BOOK, healthy_at(seconds), OWNERS))
    assert ask(tmp_path, "SELECT time, until, complete FROM snapshots") == [
        (micros(NOW), micros(NOW + timedelta(seconds=135)), 1)
    ]
    assert ask(tmp_path, "SELECT count(*) FROM greek_snapshots") == [(5,)]
    database.close()


def test_only_what_has_changed_is_stored_and_what_is_gone_is_said(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    telemetry = Telemetry(database)
    telemetry.keep(Moment(BOOK, healthy_at(), OWNERS))
    first, second, *rest = HEALTHY.snapshot.positions
    moved = healthy_at(15, positions=(first, replace(second, mark=251.0), *rest))
    telemetry.keep(Moment(BOOK, moved, OWNERS))
    sold = healthy_at(30, positions=moved.positions[1:])
    telemetry.keep(Moment(BOOK, sold, replace(OWNERS, positions=OWNERS.positions[1:])))
    changes = ask(tmp_path, """SELECT time, key, greek_snapshots.level, mark FROM greek_snapshots JOIN positions
                               USING (position) WHERE time > ? ORDER BY time""", micros(NOW))  # fmt: skip
    assert changes == [
        (micros(moved.as_of), second.key, "OK", 251.0),
        (micros(sold.as_of), first.key, None, None),
    ]
    assert ask(tmp_path, "SELECT complete FROM snapshots ORDER BY time") == [(1,), (0,), (0,)]
    database.close()


def test_everything_is_written_every_quarter_of_an_hour(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    telemetry = Telemetry(database)
    for seconds in (0, 899, 900):
        telemetry.keep(Moment(BOOK, healthy_at(seconds), OWNERS))
    ends = ask(
        tmp_path, "SELECT (time - ?) / 1000000, (until - ?) / 1000000, complete FROM snapshots", *[micros(NOW)] * 2
    )
    assert ends == [(0, 899, 1), (900, 900, 1)]
    assert ask(tmp_path, "SELECT count(*) FROM greek_snapshots") == [(10,)]
    database.close()


def test_a_clock_set_back_loses_and_overwrites_nothing(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    telemetry = Telemetry(database)
    assert telemetry.keep(Moment(BOOK, healthy_at(3600), OWNERS))
    assert telemetry.keep(Moment(BOOK, healthy_at(0, level=Level.WATCH), OWNERS))
    assert not telemetry.keep(Moment(BOOK, healthy_at(3600, level=Level.BREACH), OWNERS))
    stored = ask(tmp_path, "SELECT level, complete FROM snapshots ORDER BY time")
    assert stored == [("WATCH", 1), ("OK", 1)]
    database.close()


def test_the_same_line_twice_in_one_account_is_kept_twice(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    first = HEALTHY.snapshot.positions[0]
    twice = healthy_at(positions=(first, replace(first, quantity=7.0)))
    Telemetry(database).keep(Moment(BOOK, twice, replace(OWNERS, positions=OWNERS.positions[:1] * 2)))
    query = "SELECT nth, quantity FROM greek_snapshots JOIN positions USING (position) ORDER BY nth"
    assert ask(tmp_path, query) == [(1, 100.0), (2, 7.0)]
    database.close()


def test_a_line_sold_and_bought_again_between_others_keeps_its_number(tmp_path: Path, kind: str) -> None:
    """Rows are written by number, whatever the order of the Snapshot; each with the figures of its own line."""
    database = opened(tmp_path)
    telemetry = Telemetry(database)
    held, owners = HEALTHY.snapshot.positions, OWNERS.positions
    books = [held, held[:1] + held[2:], held[::-1]]
    owned = [owners, owners[:1] + owners[2:], owners[::-1]]
    for n, (positions, keys) in enumerate(zip(books, owned, strict=True)):
        moved = tuple(replace(row, mark=100.0 * n + held.index(row)) for row in positions)
        telemetry.keep(Moment(BOOK, healthy_at(15 * n, positions=moved), replace(OWNERS, positions=keys)))
    stored = ask(tmp_path, """SELECT greek_snapshots.time, account_hash, key, mark FROM greek_snapshots
                              JOIN positions USING (position) ORDER BY greek_snapshots.time, position""")  # fmt: skip
    lines = [(owner, row.key) for owner, row in zip(owners, held, strict=True)]
    marks = [[0.0, 1.0, 2.0, 3.0, 4.0], [100.0, None, 102.0, 103.0, 104.0], [200.0, 201.0, 202.0, 203.0, 204.0]]
    assert stored == [
        (micros(NOW + timedelta(seconds=15 * n)), *line, mark)
        for n, each in enumerate(marks)
        for line, mark in zip(lines, each, strict=True)
    ]
    database.close()


def test_after_a_failure_everything_is_written_again(tmp_path: Path, kind: str) -> None:
    """Whether a transaction that failed was committed is not always known."""
    database = opened(tmp_path, busy_seconds=0.01)
    telemetry = Telemetry(database)
    telemetry.keep(Moment(BOOK, healthy_at(0), OWNERS))
    lock = Lock(tmp_path)
    with pytest.raises(OperationalError):
        telemetry.keep(Moment(BOOK, healthy_at(15), OWNERS))
    lock.release()
    telemetry.keep(Moment(BOOK, healthy_at(30), OWNERS))
    start = micros(NOW)
    stored = ask(tmp_path, "SELECT time, until, complete FROM snapshots ORDER BY time")
    assert stored == [(start, start, 1), (start + 30_000_000, start + 30_000_000, 1)]
    assert ask(tmp_path, "SELECT count(*) FROM greek_snapshots") == [(10,)]
    database.close()


@pytest.mark.parametrize("order", [(Level.BREACH, Level.OK), (Level.OK, Level.BREACH)])
def test_the_worst_of_two_verdicts_on_one_subject_counts(order: tuple[Level, Level]) -> None:
    told = rows.transitions({}, healthy_at(findings=tuple(finding(level) for level in order)), BOOK)
    assert [row[5] for row in told] == ["BREACH"]


def test_memory_is_bounded_by_what_is_held(tmp_path: Path, kind: str) -> None:
    """A book that trades other lines all day: what is remembered is the last moment, not the day."""
    database = opened(tmp_path)
    telemetry = Telemetry(database)
    for n in range(50):
        row = replace(HEALTHY.snapshot.positions[0], key=f"equity:{n}")
        telemetry.keep(Moment(BOOK, healthy_at(n, positions=(row,)), replace(OWNERS, positions=OWNERS.positions[:1])))
    last = telemetry._last
    assert last is not None
    assert (len(last.lines), len(last.figures.greeks)) == (1, 1)
    assert ask(tmp_path, "SELECT count(*) FROM positions") == [(50,)]
    database.close()


def test_accounts_are_hashes_and_masks_never_numbers(tmp_path: Path, kind: str) -> None:
    database = opened(tmp_path)
    Telemetry(database).keep(Moment(BOOK, healthy_at(), OWNERS))
    assert ask(tmp_path, "SELECT account_hash, account, broker FROM account_values ORDER BY broker") == [
        (account_key(IBKR), "•••4567", "IBKR"), (account_key(TASTY), "•••0001", "tastytrade"),
    ]  # fmt: skip
    assert {row[0] for row in ask(tmp_path, "SELECT account_hash FROM positions")} == {
        account_key(IBKR), account_key(TASTY),
    }  # fmt: skip
    database.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert IBKR.number.encode() not in content
    assert TASTY.number.encode() not in content


def test_texts_that_others_wrote_are_redacted() -> None:
    """Assembled here so that no scanner takes them for real ones."""
    number = "U" + "1234567"
    said = finding(Level.UNKNOWN, subject="source:ibkr")
    said = replace(said, message=f"account {number} refused", evidence={"detail": [f"{number} is closed"], number: 1})
    (row,) = rows.transitions({}, healthy_at(findings=(said,)), BOOK)
    assert number not in repr(row)
    assert "account •••4567 refused" in row
    assert book_of([f"statement:/home/x/{number}.csv"]).names == "statement:/home/x/•••4567.csv"


def test_documents_are_json_whatever_is_in_them() -> None:
    value = {"b": math.nan, "a": (1, NOW, Level.OK, None), "c": {IBKR.broker: math.inf}, "d": "x\x00\ud800"}
    assert json.loads(document(value)) == {
        "a": [1, "2026-11-18T15:30:00Z", "OK", None], "b": None, "c": {"IBKR": None}, "d": "x??",
    }  # fmt: skip


def test_each_set_of_sources_is_a_book_of_its_own() -> None:
    books = [
        book_of(["demo"], "calm"), book_of(["demo"], "crash"), book_of(["ibkr"]), book_of(["ibkr", "tastytrade"]),
    ]  # fmt: skip
    assert len({book.key for book in books}) == 4
    assert book_of(["tastytrade", "ibkr"], "calm") == books[3]
    assert books[0].names == "demo:calm"


def test_session_starts_are_told_when_they_change() -> None:
    told = rows.session_starts((), OWNERS, BOOK, HEALTHY.snapshot)
    opened_at = datetime(2026, 11, 17, 21, 30, tzinfo=UTC)  # 17 hours before the bell, as the healthy book has it
    start = ("2026-11-18", "USD", 500_000.0, micros(opened_at), "test", 0.0)
    assert [row[6:] for row in told] == [start, start]
    assert rows.session_starts(OWNERS.starts, OWNERS, BOOK, HEALTHY.snapshot) == []
    deposit = (*OWNERS.starts[0][:-1], 5_000.0)
    moved = replace(OWNERS, starts=(deposit, OWNERS.starts[1]))
    assert [row[-1] for row in rows.session_starts(OWNERS.starts, moved, BOOK, HEALTHY.snapshot)] == [5_000.0]


def test_regime_changes_are_told_once_and_oldest_first() -> None:
    first = Change(NOW, "low_volatility", "neutral_volatility", "VIX 16", ("max vega",))
    second = Change(NOW + timedelta(hours=1), "neutral_volatility", "crisis_mode", "VIX 40", ())
    both = healthy_at(changes=(second, first))
    assert [(row[4], row[6]) for row in rows.regime_changes((), both, BOOK)] == [
        ("neutral_volatility", '["max vega"]'),
        ("crisis_mode", "[]"),
    ]
    assert [row[4] for row in rows.regime_changes((first,), both, BOOK)] == ["crisis_mode"]


def test_news_are_only_what_is_new() -> None:
    numbers = Numbers("run")
    snapshot = healthy_at()
    news, after = news_of(Seen(), snapshot, MATRIX_TEXT, OWNERS, BOOK, numbers)
    tables = [name for name, _ in news.rows]
    assert news.first
    assert tables[:4] == ["books", "matrix_versions", "session_starts", "session_starts"]
    assert tables.count("finding_transitions") == len(rows.levels(snapshot))
    again, _ = news_of(after, healthy_at(2), MATRIX_TEXT, OWNERS, BOOK, numbers)
    assert (again.rows, again.first) == ((), False)
    other, _ = news_of(after, healthy_at(2), MATRIX_TEXT, OWNERS, book_of(["demo"]), numbers)
    assert other.first
    assert len(other.rows) == len(news.rows)


def test_a_matrix_is_never_stored_under_a_false_hash() -> None:
    news, after = news_of(Seen(), healthy_at(), MATRIX_TEXT + "\n", OWNERS, BOOK, Numbers("run"))
    assert "matrix_versions" not in {name for name, _ in news.rows}
    news, _ = news_of(after, healthy_at(2), MATRIX_TEXT, OWNERS, BOOK, Numbers("run"))
    assert [name for name, _ in news.rows] == ["books", "matrix_versions"]


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # bounds are naive by hypothesis' rule
def test_times_are_exact(time: datetime) -> None:
    assert moment(micros(time)) == time
    assert micros(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005


@pytest.mark.parametrize("name", [SPX_PUT, NEAR_PUT, AAPL_PUT])
def test_an_unknown_greek_is_null_and_its_row_says_unknown(tmp_path: Path, kind: str, name: str) -> None:
    result = healthy().position(name, greeks=None, mark=None, bid=None, ask=None).assess()
    database = opened(tmp_path)
    Telemetry(database).keep(Moment(BOOK, result.snapshot, owners_of(result.portfolio)))
    stored = ask(tmp_path, """SELECT greek_snapshots.level, delta, vega, delta_dollars FROM greek_snapshots
                              JOIN positions USING (position) WHERE key LIKE ?""", f"%{name}")  # fmt: skip
    assert stored == [("UNKNOWN", None, None, None)]
    assert ask(tmp_path, "SELECT delta_dollars, level FROM snapshots") == [(None, "UNKNOWN")]
    database.close()
