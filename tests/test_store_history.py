"""What the History page reads: points, gaps, accounts, limits, lanes, drawdown; every figure here is worked by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.findings import Level
from guardrails.store import drawdown, history, history_accounts, history_findings
from guardrails.store.columns import BACKFILL, LIVE
from guardrails.store.history_findings import Lane, Segment
from guardrails.store.inserts import insert
from guardrails.store.metadata import micros
from guardrails.store.points import MOST_POINTS, Points, first_moment
from guardrails.store.quarters import ACCOUNT_QUARTERS, MARKET_CLOSES, QUARTER_MICROS, QUARTERS
from guardrails.store.rows import limits_of
from guardrails.store.schema import (
    ACCOUNT_VALUES,
    BOOKS,
    FINDING_TRANSITIONS,
    REGIME_CHANGES,
    SESSION_STARTS,
    SNAPSHOTS,
)
from tests.healthy import healthy
from tests.past import row_of
from tests.stored import opened

BOOK, OTHER = "bookbookbook", "otherbook"
T0 = datetime(2026, 11, 17, 15, 0, tzinfo=UTC)
"""a quarter of an hour begins then"""
Q = timedelta(minutes=15)
LAST = 15_000_000
"""microseconds before the end of a quarter at which its last row was written"""
OWNER, SECOND = "0f" * 8, "1e" * 8


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[Any]:
    """An open database with two books, in a file or on a server."""
    database = filled(opened(tmp_path))
    yield database
    database.close()


@pytest.fixture
def file(tmp_path: Path) -> Any:
    return filled(opened(tmp_path))


def filled(database: Any) -> Any:
    put(database, BOOKS, (BOOK, "test", 0), (OTHER, "other", 0))
    return database


def put(database: Any, table: Any, *rows: Any) -> None:
    with database.writing(durable=False) as connection:
        insert(connection, table, rows)


def raw(at: datetime, net: float | None, until: datetime | None = None, book: str = BOOK, **more: Any) -> Any:
    """A row of `snapshots`."""
    values: dict[str, Any] = {
        "book": book, "time": micros(at), "origin": LIVE, "until": micros(until or at), "complete": 1, "level": "OK",
        "regime": "low_volatility", "safety_state": "NORMAL", "market_open": 1, "matrix_version": "m1",
        "net_liquidation": net, "bounds": "{}", "known_part": "{}", "count_ok": 1, "count_watch": 0,
        "count_unknown": 0, "count_breach": 0, "count_not_applicable": 0,
    }  # fmt: skip
    return row_of(SNAPSHOTS, **values | more)


def quarter(at: datetime, net: float | None, low: float | None = None, high: float | None = None, **more: Any) -> Any:
    """A row of `quarters` whose last figures are 15 s before its end."""
    values: dict[str, Any] = {
        "book": BOOK, "time": micros(at), "first": micros(at), "last": micros(at + Q) - LAST, "level": "OK",
        "regime": "low_volatility", "safety_state": "NORMAL", "market_open": 1, "matrix_version": "m1",
        "net_liquidation": net, "net_liquidation_low": net if low is None else low,
        "net_liquidation_high": net if high is None else high,
    }  # fmt: skip
    return row_of(QUARTERS, **values | more)


def read(database: Any, begin: datetime, end: datetime, most: int = MOST_POINTS) -> tuple[Points, history.Totals]:
    with database.reading() as connection:
        return history.totals(connection, BOOK, begin, end, 15.0, most=most)


def shown(values: Any) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def test_quarters_lead_up_to_the_rows_and_rows_go_on_from_there(store: Any) -> None:
    # quarters 15:00 and 15:15; rows from 15:30 on; a row of another book
    put(store, QUARTERS, quarter(T0, 100.0, 90.0, 110.0), quarter(T0 + Q, 101.0))
    start = T0 + 2 * Q
    put(
        store, SNAPSHOTS, raw(start, 102.0), raw(start + timedelta(seconds=15), 103.0),
        raw(start, 9.0, book=OTHER),
    )  # fmt: skip
    points, totals = read(store, T0, T0 + 4 * Q)
    assert shown(totals.figures["net_liquidation"]) == [100.0, 101.0, 102.0, 103.0]
    assert (shown(totals.low)[0], shown(totals.high)[0]) == (90.0, 110.0)
    assert not totals.apart.any()
    assert (points.raw_from, points.raw_width) == (micros(start), 0)
    assert totals.covered() == [(micros(T0), micros(start + timedelta(seconds=15)))]


def test_a_quarter_that_is_told_and_still_has_its_rows_is_one_time_in_a_short_range(store: Any) -> None:
    put(store, QUARTERS, quarter(T0, 100.0, last=micros(T0 + timedelta(minutes=10))))
    put(store, SNAPSHOTS, *(raw(T0 + i * timedelta(minutes=5), 100.0 + i) for i in range(3)))
    _, totals = read(store, T0, T0 + Q)
    assert shown(totals.figures["net_liquidation"]) == [100.0, 101.0, 102.0]


def test_a_row_that_began_before_the_range_holds_when_it_begins(store: Any) -> None:
    put(
        store, SNAPSHOTS, raw(T0, 100.0, T0 + timedelta(minutes=10)), raw(T0 + timedelta(minutes=10, seconds=15), 101.0)
    )
    _, totals = read(store, T0 + timedelta(minutes=5), T0 + Q)
    assert shown(totals.figures["net_liquidation"]) == [100.0, 101.0]
    assert totals.time[0] == micros(T0 + timedelta(minutes=5))


@pytest.mark.parametrize(("silence", "broken"), [(30, False), (31, True)])
def test_more_than_two_periods_without_a_row_break_the_line(store: Any, silence: int, *, broken: bool) -> None:
    times = [T0 + timedelta(seconds=15 * i) for i in range(4)]
    later = times[-1] + timedelta(seconds=silence)
    put(store, SNAPSHOTS, *(raw(t, 1.0) for t in [*times, later, later + timedelta(seconds=15)]))
    _, totals = read(store, T0, T0 + Q)
    assert totals.apart.tolist() == [False] * 4 + [broken, False]


@pytest.mark.parametrize("most", [MOST_POINTS, 200])
def test_rows_that_were_written_at_another_distance_than_now_have_gaps_of_their_own(store: Any, most: int) -> None:
    # for six hours a row a minute, six missing; as long one each quarter of a minute, two missing
    slow = [T0 + timedelta(minutes=i) for i in range(360) if not 20 <= i < 26]
    start = T0 + 24 * Q
    quick = [start + timedelta(seconds=15 * i) for i in range(1440) if i not in (1200, 1201)]
    put(store, SNAPSHOTS, *(raw(t, 1.0) for t in [*slow, *quick]))
    points, totals = read(store, T0, T0 + 48 * Q, most=most)
    assert (points.raw_width > 0) is (most == 200)
    assert totals.silent == (
        (micros(T0 + timedelta(minutes=19)), micros(T0 + timedelta(minutes=26))),
        (micros(start + timedelta(seconds=15 * 1199)), micros(start + timedelta(seconds=15 * 1202))),
    )
    assert int(totals.apart.sum()) == 2


def test_a_missing_quarter_is_a_gap_and_unknown_is_not_zero(store: Any) -> None:
    put(store, QUARTERS, quarter(T0, 100.0), quarter(T0 + Q, None), quarter(T0 + 3 * Q, 103.0))
    _, totals = read(store, T0, T0 + 4 * Q)
    assert shown(totals.figures["net_liquidation"]) == [100.0, None, 103.0]
    assert totals.apart.tolist() == [False, False, True]
    assert int(totals.unknown.sum()) == 1
    assert totals.covered() == [
        (micros(T0), micros(T0 + 2 * Q) - LAST),
        (micros(T0 + 3 * Q), micros(T0 + 4 * Q) - LAST),
    ]


def test_thinned_points_keep_extremes_gaps_and_unknown_rows(store: Any) -> None:
    # eight quarters, two per point; the third is missing, the fifth unknown, the sixth had the lowest value
    rows = [quarter(T0 + i * Q, 100.0 + i) for i in range(8) if i not in (2, 4)]
    put(store, QUARTERS, *rows, quarter(T0 + 4 * Q, None))
    put(store, QUARTERS, quarter(T0 - Q, 55.0))  # before the range
    with store.writing(durable=False) as connection:
        connection.execute(
            QUARTERS.update().where(QUARTERS.c.time == micros(T0 + 5 * Q)).values(net_liquidation_low=7.0)
        )
    points, totals = read(store, T0, T0 + 8 * Q, most=4)
    assert points.quarter_width == 2 * QUARTER_MICROS
    assert shown(totals.figures["net_liquidation"]) == [101.0, 103.0, 105.0, 107.0]
    assert shown(totals.low) == [100.0, 103.0, 7.0, 106.0]
    assert shown(totals.high) == [101.0, 103.0, 105.0, 107.0]
    assert totals.apart.tolist() == [False, True, False, False]
    assert totals.unknown.tolist() == [0, 0, 1, 0]
    assert totals.rows.tolist() == [2, 1, 2, 2]


def test_a_gap_within_a_thinned_point_breaks_the_line_and_limits_are_those_of_its_end(store: Any) -> None:
    # six quarters, three per point; the middle one of the second point is missing
    told = [json.dumps({"gamma portfolio": [-float(i), -10.0, "USD", "OK"]}) for i in range(6)]
    put(store, QUARTERS, *(quarter(T0 + i * Q, 1.0, limits=told[i]) for i in range(6) if i != 4))
    points, totals = read(store, T0, T0 + 6 * Q, most=2)
    assert totals.apart.tolist() == [False, True]
    with store.reading() as connection:
        (line,) = history_findings.limits(connection, points, totals)
    assert shown(line.value) == [-2.0, -5.0]


def test_an_old_row_that_was_left_behind_does_not_hide_the_quarters_after_it(store: Any) -> None:
    day = timedelta(days=10)
    told = [quarter(T0 + k * Q, 100.0) for k in range(960)]
    put(store, QUARTERS, *told, quarter(T0 + day, 100.0, last=micros(T0 + day) + LAST))
    put(store, SNAPSHOTS, raw(T0, 100.0), raw(T0 + day, 100.0), raw(T0 + day + timedelta(seconds=15), 100.0))
    points, totals = read(store, T0, T0 + day + Q)
    assert points.raw_from == micros(T0 + day)
    assert len(totals.key) == 962
    assert totals.covered() == [(micros(T0), micros(T0 + day) + LAST)]


def test_every_row_of_many_keeps_its_own_figures_and_texts(store: Any) -> None:
    """More than are taken at a time; every seventh is not known, and the matrix changes in between."""
    told = [(T0 + k * Q, None if k % 7 == 3 else 1000.0 + k, f"m{k // 90}") for k in range(400)]
    put(store, QUARTERS, *(quarter(at, net, matrix_version=matrix, vix=15.0 + at.hour) for at, net, matrix in told))
    _, totals = read(store, T0, T0 + 400 * Q)
    assert totals.key.tolist() == [micros(at) for at, _, _ in told]
    assert totals.until.tolist() == [micros(at + Q) - LAST for at, _, _ in told]
    for column in (totals.figures["net_liquidation"], totals.low, totals.high):
        assert shown(column) == [net for _, net, _ in told]
    assert shown(totals.figures["vix"]) == [15.0 + at.hour for at, _, _ in told]
    assert list(totals.matrix_version) == [matrix for _, _, matrix in told]
    assert set(totals.level) == {"OK"}
    assert (int(totals.rows.sum()), int(totals.unknown.sum())) == (400, 57)


def test_a_silence_longer_than_a_row_can_hold_is_a_gap_between_quarters_that_follow_each_other(store: Any) -> None:
    minute = timedelta(minutes=1)
    put(store, QUARTERS, quarter(T0, 100.0, last=micros(T0 + minute)))
    put(store, QUARTERS, quarter(T0 + Q, 90.0, first=micros(T0 + 29 * minute)))
    put(store, FINDING_TRANSITIONS, moved(1, T0, None, "OK"))
    points, totals = read(store, T0, T0 + 4 * Q)
    assert totals.apart.tolist() == [False, True]
    with store.reading() as connection:
        (lane,), _ = history_findings.lanes(connection, BOOK, points.begin, points.end, totals.covered())
    assert at(lane) == [(0, 1, "OK"), (29, 29, "OK")]


def test_a_figure_that_held_a_quarter_of_an_hour_over_a_weekend_is_no_gap(store: Any) -> None:
    # one row a quarter: each held until shortly before the next, which quarters do not tell
    put(store, QUARTERS, *(quarter(T0 + k * Q, 1.0, last=micros(T0 + k * Q)) for k in range(4)))
    _, totals = read(store, T0, T0 + 4 * Q)
    assert not totals.apart.any()
    assert len(totals.covered()) == 1


def test_thinned_points_cover_only_the_time_in_which_the_program_ran(store: Any) -> None:
    # an hour on, an hour off: two or three quarters a point
    ran = [T0 + k * Q for k in range(160) if k // 4 % 2 == 0]
    put(store, QUARTERS, *(quarter(each, 100.0) for each in ran))
    points, totals = read(store, T0, T0 + 160 * Q, most=40)
    assert points.quarter_width > QUARTER_MICROS
    hour = timedelta(hours=1)
    assert totals.covered() == [(micros(T0 + 2 * k * hour), micros(T0 + (2 * k + 1) * hour) - LAST) for k in range(20)]


def test_thinned_rows_cover_only_the_time_in_which_the_program_ran(store: Any) -> None:
    # of each quarter rows for three minutes and one shortly before its end
    steps = [*range(12), 59]
    put(store, SNAPSHOTS, *(raw(T0 + k * Q + timedelta(seconds=15 * i), 1.0) for k in range(8) for i in steps))
    _, totals = read(store, T0, T0 + 8 * Q, most=20)
    assert sum(end - begin for begin, end in totals.covered()) == (8 * 165 + 7 * 15) * 1_000_000


def test_rows_that_are_not_rolled_up_yet_are_thinned_too(store: Any) -> None:
    put(store, SNAPSHOTS, *(raw(T0 + timedelta(seconds=15 * i), 100.0 - i) for i in range(120)))
    points, totals = read(store, T0, T0 + 2 * Q, most=50)
    assert points.raw_width == QUARTER_MICROS
    # 60 rows a quarter: the figures of the last, the extremes of all
    assert shown(totals.figures["net_liquidation"]) == [41.0, -19.0]
    assert (shown(totals.low), shown(totals.high)) == ([41.0, -19.0], [100.0, 40.0])
    assert not totals.apart.any()


def test_an_empty_book_has_no_points_and_no_first_moment(store: Any) -> None:
    points, totals = read(store, T0, T0 + Q)
    with store.reading() as connection:
        assert first_moment(connection, BOOK) is None
        assert history_accounts.accounts(connection, points, totals) == []
        assert history_findings.limits(connection, points, totals) == []
        assert history_findings.lanes(connection, BOOK, points.begin, points.end, totals.covered())[0] == []
    assert (len(totals.key), totals.covered()) == (0, [])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=60), st.integers(5, 30))
def test_no_point_ever_lies_in_a_silence_and_none_is_lost(steps: list[int], most: int) -> None:
    import tempfile  # noqa: PLC0415  # a folder per example

    with tempfile.TemporaryDirectory() as folder:
        database = filled(opened(Path(folder)))
        times = np.cumsum(steps).tolist()
        put(database, SNAPSHOTS, *(raw(T0 + timedelta(seconds=t), float(t)) for t in times))
        end = T0 + timedelta(seconds=times[-1] + 1)
        _, totals = read(database, T0, end, most=most)
        database.close()
    assert int(totals.rows.sum()) == len(times)
    assert np.nanmin(totals.low) == times[0]
    assert np.nanmax(totals.high) == times[-1]
    inside = [any(b <= micros(T0 + timedelta(seconds=t)) <= e for b, e in totals.covered()) for t in times]
    assert all(inside)


def account(at: datetime, owner: str, **more: Any) -> Any:
    values = {
        "book": BOOK,
        "time": micros(at),
        "account_hash": owner,
        "origin": LIVE,
        "broker": "IBKR",
        "currency": "USD",
    }
    return row_of(ACCOUNT_VALUES, **values | {"account": "•••4567", "level": "OK"} | more)


def of_quarter(at: datetime, owner: str, net: float, **more: Any) -> Any:
    values = {"book": BOOK, "time": micros(at), "account_hash": owner, "origin": LIVE, "broker": "IBKR"}
    return row_of(
        ACCOUNT_QUARTERS,
        **values | {"account": "•••4567", "currency": "USD", "source": "x", "net_liquidation": net} | more,
    )


def test_an_account_holds_its_last_value_until_it_changes_or_goes(store: Any) -> None:
    times = [T0 + timedelta(seconds=15 * i) for i in range(4)]
    put(store, SNAPSHOTS, *(raw(t, 1.0) for t in times))
    put(
        store, ACCOUNT_VALUES,
        account(times[0], OWNER, net_liquidation=200.0, cushion=0.4, excess_look_ahead=50.0),
        account(times[2], OWNER, net_liquidation=100.0, cushion=0.3, excess_look_ahead=None),
        account(times[1], SECOND, account="•••0001", net_liquidation=10.0),
        account(times[3], SECOND, account="•••0001", level=None),
    )  # fmt: skip
    points, totals = read(store, T0, T0 + Q)
    with store.reading() as connection:
        second, first = history_accounts.accounts(connection, points, totals)
    assert shown(first.net_liquidation) == [200.0, 200.0, 100.0, 100.0]
    assert shown(first.cushion) == [0.4, 0.4, 0.3, 0.3]
    assert shown(first.look_ahead) == [0.25, 0.25, None, None]
    assert shown(second.net_liquidation) == [None, 10.0, 10.0, None]


def test_the_cushion_of_a_quarter_is_the_lowest_within_it(store: Any) -> None:
    put(store, QUARTERS, *(quarter(T0 + i * Q, 1.0) for i in range(4)))
    put(
        store, ACCOUNT_QUARTERS,
        *(of_quarter(T0 + i * Q, OWNER, 100.0, cushion=0.5, cushion_low=0.5 - i / 10) for i in range(3)),
    )  # fmt: skip
    for most, expected in ((10, [0.5, 0.4, 0.3, None]), (2, [0.4, None])):
        points, totals = read(store, T0, T0 + 4 * Q, most=most)
        with store.reading() as connection:
            (line,) = history_accounts.accounts(connection, points, totals)
        assert shown(np.round(line.cushion, 9)) == expected


def close_of(day: int) -> datetime:
    """The quarter before the close of a November day of 2026."""
    return datetime(2026, 11, day, 20, 45, tzinfo=UTC)


def test_records_fill_only_days_on_which_every_account_has_one_and_nothing_was_live(store: Any) -> None:
    for day, owners in ((10, (OWNER,)), (11, (OWNER, SECOND)), (12, (OWNER, SECOND))):
        put(store, ACCOUNT_QUARTERS, *(of_quarter(close_of(day), each, 100.0, origin=BACKFILL) for each in owners))
    put(store, QUARTERS, quarter(close_of(12), 222.0))
    points, totals = read(store, close_of(9), close_of(13))
    with store.reading() as connection:
        records = history_accounts.backfilled(connection, points, totals)
        assert first_moment(connection, BOOK) == micros(close_of(10))
    assert records.time.tolist() == [micros(close_of(11) + Q)]
    assert shown(records.net_liquidation) == [200.0]
    assert "On 1 day a broker's record is missing" in records.words[0]


def test_records_of_one_broker_are_not_the_worth_of_a_book_of_two(store: Any) -> None:
    put(store, BOOKS, ("two", "ibkr,tastytrade", 0))
    put(store, ACCOUNT_QUARTERS, of_quarter(close_of(10), OWNER, 100.0, origin=BACKFILL, book="two"))
    for sources, many in ((0, 0), (1, 1)):
        if sources:
            both = of_quarter(close_of(10), SECOND, 50.0, origin=BACKFILL, book="two", broker="tastytrade")
            put(store, ACCOUNT_QUARTERS, both)
        with store.reading() as connection:
            points, totals = history.totals(connection, "two", close_of(9), close_of(13))
            records = history_accounts.backfilled(connection, points, totals)
        assert len(records.time) == many
        assert ("tastytrade no account" in " ".join(records.words)) is not bool(sources)


def test_records_in_another_currency_are_not_added_up(store: Any) -> None:
    put(store, ACCOUNT_QUARTERS, of_quarter(close_of(10), OWNER, 100.0, origin=BACKFILL, currency="EUR"))
    points, totals = read(store, close_of(9), close_of(13))
    with store.reading() as connection:
        records = history_accounts.backfilled(connection, points, totals)
    assert not len(records.time)
    assert "IBKR •••4567 (EUR)" in records.words[0]


def test_limits_step_with_the_regime_and_what_is_unknown_stays_so(store: Any) -> None:
    told = [
        {"short_vega portfolio": [-50.0, -100.0, "USD/pt", "OK"]},
        {"short_vega portfolio": [None, -80.0, "USD/pt", ""]},
    ]
    told.append(
        {"short_vega portfolio": [-120.0, -80.0, "USD/pt", "BREACH"], "beta_delta portfolio": [0.0, 0.0, "USD", "OK"]}
    )
    put(store, QUARTERS, *(quarter(T0 + i * Q, 1.0, limits=json.dumps(each)) for i, each in enumerate(told)))
    points, totals = read(store, T0, T0 + 4 * Q)
    with store.reading() as connection:
        delta, vega = history_findings.limits(connection, points, totals)
    assert (vega.check, vega.subject, vega.unit) == ("short_vega", "portfolio", "USD/pt")
    assert shown(vega.limit) == [-100.0, -80.0, -80.0]
    assert shown(vega.use()) == [0.5, None, 1.5]
    assert shown(delta.use()) == [None, None, 0.0]


@pytest.mark.parametrize(("value", "limit", "use"), [(-150.0, 100.0, 1.5), (150.0, 100.0, 1.5), (-5.0, 0.0, np.inf)])
def test_delta_uses_its_limit_on_both_sides(value: float, limit: float, use: float) -> None:
    line = history_findings.LimitLine("beta_delta", "portfolio", "USD", np.array([value]), np.array([limit]))
    assert line.use().tolist() == [use]
    other = history_findings.LimitLine("short_vega", "portfolio", "USD/pt", np.array([150.0]), np.array([-100.0]))
    assert other.use().tolist() == [0.0]  # only short vega is held against a limit


def test_a_short_delta_as_the_program_stores_it_uses_its_limit(file: Any) -> None:
    found = healthy().position("SPY", quantity=-200_000.0).assess().snapshot
    told = json.dumps(limits_of(found))
    put(file, QUARTERS, quarter(T0, 1.0, limits=told))
    points, totals = read(file, T0, T0 + Q)
    with file.reading() as connection:
        line = next(each for each in history_findings.limits(connection, points, totals) if each.check == "beta_delta")
    assert line.value[0] < 0
    assert line.use()[0] > 1


def test_a_limit_that_could_not_be_judged_has_no_known_use(file: Any) -> None:
    told = {"gamma portfolio": [-1.0, -10.0, "x", "UNKNOWN"], "short_vega portfolio": [-90.0, -80.0, "x", "BREACH"]}
    put(file, QUARTERS, quarter(T0, 1.0, limits=json.dumps(told)))
    points, totals = read(file, T0, T0 + Q)
    with file.reading() as connection:
        gamma, vega = history_findings.limits(connection, points, totals)
    assert (shown(gamma.use()), shown(gamma.limit), shown(vega.use())) == ([None], [-10.0], [1.125])


def moved(number: int, at: datetime, old: str | None, new: str | None, subject: str = "portfolio", **more: Any) -> Any:
    values = {
        "run": "r", "number": number, "book": BOOK, "time": micros(at), "check_name": "gamma", "subject": subject,
        "old": old, "new": new, "unit": "USD", "message": f"number {number}", "evidence": "{}", "matrix_version": "m1",
    }  # fmt: skip
    return row_of(FINDING_TRANSITIONS, **values | more)


def at(lane: Lane) -> list[tuple[int, int, str]]:
    """Begin and end of each segment in minutes after T0, and its level."""
    return [
        ((s.begin - micros(T0)) // 60_000_000, (s.end - micros(T0)) // 60_000_000, s.level.value) for s in lane.segments
    ]


def covered(*minutes: tuple[int, int]) -> list[tuple[int, int]]:
    return [(micros(T0 + timedelta(minutes=a)), micros(T0 + timedelta(minutes=b))) for a, b in minutes]


def test_a_lane_begins_with_the_level_from_before_and_is_not_carried_over_a_silence(store: Any) -> None:
    put(
        store, FINDING_TRANSITIONS,
        moved(1, T0 - timedelta(days=3), None, "OK"),
        moved(2, T0 + timedelta(minutes=10), "OK", "BREACH"),
        moved(3, T0 + timedelta(minutes=40), "BREACH", "WATCH"),
    )  # fmt: skip
    with store.reading() as connection:
        (lane,), complete = history_findings.lanes(
            connection, BOOK, micros(T0), micros(T0 + timedelta(hours=1)), covered((0, 20), (30, 60))
        )
    assert at(lane) == [(0, 10, "OK"), (10, 20, "BREACH"), (30, 40, "BREACH"), (40, 60, "WATCH")]
    assert lane.seconds(Level.BREACH) == 1200.0
    assert complete == micros(T0)


def test_a_finding_that_is_no_longer_made_ends_its_lane(store: Any) -> None:
    put(store, FINDING_TRANSITIONS, moved(1, T0, None, "BREACH"), moved(2, T0 + timedelta(minutes=5), "BREACH", None))
    with store.reading() as connection:
        (lane,), _ = history_findings.lanes(connection, BOOK, micros(T0), micros(T0 + Q), covered((0, 15)))
    assert at(lane) == [(0, 5, "BREACH")]


def test_a_level_of_a_later_version_is_unknown(file: Any) -> None:
    put(file, FINDING_TRANSITIONS, moved(1, T0, None, "PURPLE"))
    with file.reading() as connection:
        (lane,), _ = history_findings.lanes(connection, BOOK, micros(T0), micros(T0 + Q), covered((0, 15)))
    assert lane.worst is Level.UNKNOWN


def test_of_too_many_changes_the_newest_are_read_and_the_rest_is_not_claimed(file: Any) -> None:
    path = ["OK", "WATCH"] * 5
    put(file, FINDING_TRANSITIONS, *(moved(i, T0 + timedelta(minutes=i), None, new) for i, new in enumerate(path)))
    with file.reading() as connection:
        (lane,), complete = history_findings.lanes(
            connection, BOOK, micros(T0), micros(T0 + Q), covered((0, 15)), most=4
        )
    # the level that stood when the newest four changes began is told with them
    assert at(lane)[:2] == [(5, 6, "WATCH"), (6, 7, "OK")]
    assert complete == micros(T0 + timedelta(minutes=5))


def test_a_breach_that_stands_is_shown_also_when_another_check_changes_too_often(file: Any) -> None:
    flapping = (moved(2 + i, T0 + timedelta(minutes=1 + i), None, ("OK", "WATCH")[i % 2]) for i in range(60))
    put(file, FINDING_TRANSITIONS, moved(1, T0, None, "BREACH", "account:A"), *flapping)
    end = T0 + 10 * Q
    with file.reading() as connection:
        found, complete = history_findings.lanes(
            connection, BOOK, micros(T0) - 1, micros(end), covered((0, 150)), most=50
        )
    assert complete == micros(T0 + timedelta(minutes=10))
    assert (found[0].subject, at(found[0])) == ("account:A", [(10, 150, "BREACH")])


def test_the_level_before_the_range_is_the_latest_by_time_not_by_writing(store: Any) -> None:
    minute = timedelta(minutes=1)
    # the second had waited in a spool; of two at one time the one stored last counts
    put(
        store, FINDING_TRANSITIONS,
        moved(1, T0 + 10 * minute, "OK", "BREACH"), moved(2, T0 + 5 * minute, None, "OK"),
        moved(3, T0, None, "BREACH", "other"), moved(4, T0, "BREACH", "WATCH", "other"),
    )  # fmt: skip
    with store.reading() as connection:
        found, _ = history_findings.lanes(
            connection, BOOK, micros(T0 + 20 * minute), micros(T0 + 60 * minute), covered((20, 60))
        )
    assert [(lane.subject, lane.worst) for lane in found] == [("portfolio", Level.BREACH), ("other", Level.WATCH)]


def segments(*told: tuple[int, int, str]) -> tuple[Segment, ...]:
    return tuple(Segment(a, b, Level(level), message=level) for a, b, level in told)


def test_the_lane_of_a_check_is_the_worst_of_its_subjects_at_every_moment() -> None:
    one = Lane("gamma", "a", segments((0, 10, "OK"), (10, 20, "BREACH")))
    two = Lane("gamma", "b", segments((5, 12, "UNKNOWN"), (15, 30, "WATCH")))
    other = Lane("vega", "a", segments((0, 30, "OK")))
    first, second = history_findings.by_check([other, one, two])
    assert [(s.begin, s.end, s.level.value) for s in first.segments] == [
        (0, 5, "OK"), (5, 10, "UNKNOWN"), (10, 20, "BREACH"), (20, 30, "WATCH"),
    ]  # fmt: skip
    assert second.check == "vega"


def test_lanes_come_worst_first(store: Any) -> None:
    put(
        store, FINDING_TRANSITIONS,
        moved(1, T0, None, "WATCH", "a"), moved(2, T0, None, "OK", "b"), moved(3, T0, None, "UNKNOWN", "c"),
        moved(4, T0, None, "BREACH", "d"),
    )  # fmt: skip
    with store.reading() as connection:
        found, _ = history_findings.lanes(connection, BOOK, micros(T0), micros(T0 + Q), covered((0, 15)))
    assert [lane.subject for lane in found] == ["d", "c", "a", "b"]


def test_regime_changes_and_closes_of_the_range(store: Any) -> None:
    put(
        store, REGIME_CHANGES,
        ("r", 1, BOOK, micros(T0), LIVE, "low_volatility", "crisis_mode", "VIX 31", "[]", "m1"),
        ("r", 2, BOOK, micros(T0 + Q), LIVE, "crisis_mode", "low_volatility", "VIX 12", "[]", "m1"),
    )  # fmt: skip
    put(
        store,
        MARKET_CLOSES,
        (BOOK, "VIX", "2026-11-16", 14.0, BACKFILL, "x"),
        (BOOK, "VIX", "2026-11-17", 15.0, LIVE, "x"),
    )
    with store.reading() as connection:
        (turn,) = history_findings.turns(connection, BOOK, micros(T0), micros(T0 + Q))
        closes = history_findings.closes(connection, BOOK, "2026-11-17", "2026-11-30")
    assert (turn.old, turn.new, turn.cause) == ("low_volatility", "crisis_mode", "VIX 31")
    assert closes == {"VIX": [("2026-11-17", 15.0)]}


def start(number: int, when: datetime, flows: float | None, **more: Any) -> Any:
    values = {
        "run": "r", "number": number, "book": BOOK, "time": micros(when), "origin": LIVE, "account_hash": OWNER,
        "account": "•••4567", "broker": "IBKR", "session": "2026-11-17", "currency": "USD", "net_liquidation": 1.0,
        "source": "x", "cash_flows": flows,
    }  # fmt: skip
    return row_of(SESSION_STARTS, **values | more)


def test_flows_are_told_anew_in_every_session_and_unknown_ones_are_said(store: Any) -> None:
    put(
        store, SESSION_STARTS,
        start(1, T0, 0.0), start(2, T0 + Q, -30.0), start(3, T0 + 2 * Q, -30.0),
        start(4, T0 + timedelta(days=1), 0.0, session="2026-11-18"),
        start(5, T0, 7.0, currency="EUR", account_hash=SECOND),
        start(6, T0, None, account_hash="2d" * 8),
    )  # fmt: skip
    with store.reading() as connection:
        flows = drawdown.flows(connection, BOOK, micros(T0 + timedelta(days=2)))
    assert (flows.time.tolist(), flows.amount.tolist()) == ([micros(T0 + Q)], [-30.0])
    assert "(EUR)" in flows.words[0]
    assert "unknown in 1" in flows.words[1]


def below_peak(database: Any, points: Points, totals: history.Totals) -> list[float | None]:
    with database.reading() as connection:
        before = drawdown.highs_before(connection, points)
        flows = drawdown.flows(connection, BOOK, points.end)
    found = drawdown.drawdown(totals.figures["net_liquidation"], drawdown.highs(totals), flows, before)
    return shown(np.round(found, 12))


def test_a_withdrawal_is_no_drawdown_and_a_loss_after_it_is_measured_from_the_lowered_peak() -> None:
    # 100, then 30 are taken out, then a loss of 7: (100 - 30 - 63) / 70 = 10 %; then nothing known; then a new peak
    # of 80, and a loss of 8 from there: 10 %
    times = np.arange(6, dtype=np.int64)
    worth = np.array([100.0, 70.0, 63.0, np.nan, 80.0, 72.0])
    flows = drawdown.Flows(np.array([1], dtype=np.int64), np.array([-30.0]), ())
    earlier = np.array([-1], dtype=np.int64)
    before, within = drawdown.Highs(earlier, earlier, np.array([50.0])), drawdown.Highs(times, times, worth)
    below = drawdown.drawdown(worth, within, flows, before)
    assert shown(np.round(below, 12)) == [0.0, 0.0, 0.1, None, 0.0, 0.1]


def test_a_withdrawal_within_a_quarter_is_no_drawdown(store: Any) -> None:
    # 100, after five minutes 50 are taken out: the quarter ends at 50 with a high of 100; the next one loses 5
    put(store, QUARTERS, quarter(T0, 50.0, 50.0, 100.0), quarter(T0 + Q, 45.0, 45.0, 50.0))
    put(store, SESSION_STARTS, start(1, T0, 0.0), start(2, T0 + timedelta(minutes=5), -50.0))
    points, totals = read(store, T0, T0 + 4 * Q)
    assert below_peak(store, points, totals) == [0.0, 0.1]
    # the same when the first quarter is before the range
    points, totals = read(store, T0 + Q, T0 + 4 * Q)
    assert below_peak(store, points, totals) == [0.1]


def test_an_account_that_comes_does_not_hide_a_drawdown_and_one_that_goes_makes_none(store: Any) -> None:
    # one account falls from 100 to 80; a second comes with 50 and both stand still; the second goes again
    times = [T0 + timedelta(seconds=15 * i) for i in range(5)]
    put(
        store,
        SNAPSHOTS,
        *(raw(t, worth, complete=0) for t, worth in zip(times, (100.0, 80.0, 130.0, 80.0, 75.0), strict=True)),
    )
    put(
        store, ACCOUNT_VALUES,
        account(times[0], OWNER, net_liquidation=100.0), account(times[1], OWNER, net_liquidation=80.0),
        account(times[4], OWNER, net_liquidation=75.0),
        account(times[2], SECOND, net_liquidation=50.0), account(times[3], SECOND, level=None),
    )  # fmt: skip
    points, totals = read(store, T0, T0 + Q)
    # 100 - 80 = 20 of 100; with 50 more 20 of 150; without them 20, then 25 of 100
    assert below_peak(store, points, totals) == [0.0, 0.2, 0.133333333333, 0.2, 0.25]


def test_accounts_come_and_go_in_old_quarters_too(store: Any) -> None:
    put(store, QUARTERS, *(quarter(T0 + i * Q, worth) for i, worth in enumerate((100.0, 140.0, 90.0))))
    put(
        store, ACCOUNT_QUARTERS, *(of_quarter(T0 + i * Q, OWNER, worth) for i, worth in enumerate((100.0, 90.0, 90.0))),
        of_quarter(T0 + Q, SECOND, 50.0),
    )  # fmt: skip
    points, totals = read(store, T0, T0 + 4 * Q)
    # a loss of 10: of 100 + 50, then of 100
    assert below_peak(store, points, totals) == [0.0, 0.066666666667, 0.1]


def test_an_account_that_is_away_for_a_while_makes_no_drawdown_and_its_loss_meanwhile_is_one(store: Any) -> None:
    # one account stands at 100; a second with 50 goes, and comes back with 35
    times = [T0 + timedelta(seconds=15 * i) for i in range(5)]
    put(
        store,
        SNAPSHOTS,
        *(raw(t, worth, complete=0) for t, worth in zip(times, (150.0, 100.0, 100.0, 135.0, 135.0), strict=True)),
    )
    put(
        store, ACCOUNT_VALUES, account(times[0], OWNER, net_liquidation=100.0),
        account(times[0], SECOND, net_liquidation=50.0), account(times[1], SECOND, level=None),
        account(times[3], SECOND, net_liquidation=35.0),
    )  # fmt: skip
    points, totals = read(store, T0, T0 + Q)
    assert below_peak(store, points, totals) == [0.0, 0.0, 0.0, 0.1, 0.1]
    with store.reading() as connection:
        moved = drawdown.flows(connection, BOOK, points.end).changes
    assert [(change.time, change.owner, change.worth, change.came) for change in moved] == [
        (micros(times[1]), SECOND, 50.0, False), (micros(times[3]), SECOND, 35.0, True),
    ]  # fmt: skip


def test_an_account_that_brings_more_than_it_took_makes_no_gain(store: Any) -> None:
    # the book falls from 150 to 135; then an account goes with 50 and comes back with 80: 15 of 180 are still lost
    times = [T0 + i * Q for i in range(4)]
    put(store, QUARTERS, *(quarter(t, worth) for t, worth in zip(times, (150.0, 135.0, 85.0, 165.0), strict=True)))
    put(
        store, ACCOUNT_QUARTERS,
        *(of_quarter(t, OWNER, worth) for t, worth in zip(times, (100.0, 85.0, 85.0, 85.0), strict=True)),
        *(of_quarter(times[i], SECOND, worth) for i, worth in ((0, 50.0), (1, 50.0), (3, 80.0))),
    )  # fmt: skip
    points, totals = read(store, T0, T0 + 5 * Q)
    assert below_peak(store, points, totals) == [0.0, 0.1, 0.15, round(15 / 180, 12)]


def test_an_account_of_which_nothing_is_known_has_not_gone(store: Any) -> None:
    # a restart while its broker is silent: the book is not known without it, and what it lost meanwhile is a loss
    times = [T0 + timedelta(seconds=15 * i) for i in range(3)]
    put(store, SNAPSHOTS, *(raw(t, worth) for t, worth in zip(times, (150.0, None, 120.0), strict=True)))
    put(
        store, ACCOUNT_VALUES, *(account(t, OWNER, net_liquidation=100.0) for t in times),
        account(times[0], SECOND, net_liquidation=50.0), account(times[2], SECOND, net_liquidation=20.0),
    )  # fmt: skip
    points, totals = read(store, T0, T0 + Q)
    assert below_peak(store, points, totals) == [0.0, None, 0.2]
    with store.reading() as connection:
        assert drawdown.flows(connection, BOOK, points.end).changes == ()


def test_with_whom_the_history_begins_none_came(store: Any) -> None:
    put(store, QUARTERS, *(quarter(T0 + i * Q, worth) for i, worth in enumerate((100.0, 150.0, 150.0))))
    put(
        store, ACCOUNT_QUARTERS, *(of_quarter(T0 + i * Q, OWNER, 100.0) for i in range(3)),
        *(of_quarter(T0 + i * Q, SECOND, 50.0) for i in (1, 2)),
    )  # fmt: skip
    with store.reading() as connection:
        moved = drawdown.flows(connection, BOOK, micros(T0 + 4 * Q)).changes
    assert [(change.time, change.owner, change.came) for change in moved] == [(micros(T0 + Q), SECOND, True)]


def test_the_peak_is_that_of_all_that_was_kept_before_the_range(store: Any) -> None:
    put(store, QUARTERS, quarter(T0 - 2 * Q, 90.0, 80.0, 200.0), quarter(T0, 100.0))
    points, totals = read(store, T0, T0 + Q)
    assert below_peak(store, points, totals) == [0.5]


def test_days_are_those_of_new_york(store: Any) -> None:
    late = datetime(2026, 11, 11, 1, 0, tzinfo=UTC)  # still the tenth there
    put(store, ACCOUNT_QUARTERS, of_quarter(late, OWNER, 5.0, origin=BACKFILL))
    put(store, QUARTERS, quarter(close_of(11), 1.0))
    points, totals = read(store, close_of(9), close_of(13))
    with store.reading() as connection:
        assert len(history_accounts.backfilled(connection, points, totals).time) == 1
    assert history_accounts._day(micros(late)) == date(2026, 11, 10)
