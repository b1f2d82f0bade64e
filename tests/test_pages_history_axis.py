"""The time axis of the History page, what stands above its charts, the marks of what was done, and where it stood."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from guardrails.execution.values import FlattenRun, RunState
from guardrails.findings import Level
from guardrails.orders import Fill
from guardrails.safety import Cause, Safety, SafetyChange, SafetyState
from guardrails.store.books import book_of
from guardrails.store.columns import BACKFILL
from guardrails.store.database import Database
from guardrails.store.deed_rows import deed_news
from guardrails.store.history_findings import Lane, LimitLine, Segment, worst_of
from guardrails.store.metadata import micros, moment
from guardrails.store.news import Numbers
from guardrails.store.proof import insert_proven
from guardrails.store.quarters import ACCOUNT_QUARTERS, MARKET_CLOSES
from guardrails.store.schema import ACCOUNT_VALUES, BOOKS, SNAPSHOTS
from guardrails.symbols import occ
from guardrails.values import AccountId
from pages import _charts, _deeds, _downloads, _folds, _frame, _history, _history_words, _standing
from pages._engine import Stored
from pages._history import Past
from tests.stored import opened
from tests.test_store_history import OWNER, account, of_quarter, put, raw

BOOK = book_of(("test",))
NOW = datetime(2026, 11, 18, 20, 0, tzinfo=UTC)
"""Wednesday 15:00 in New York, whose clocks show five hours less than UTC all that month"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    kept = opened(tmp_path)
    put(kept, BOOKS, (BOOK.key, BOOK.names, 0))
    yield kept
    kept.close()


def et(day: int, hour: float) -> int:
    """An hour of a November day in New York, in microseconds."""
    return micros(datetime(2026, 11, day, 5, tzinfo=UTC) + timedelta(hours=hour))


def ran(kept: Database, *spans: tuple[int, int], **more: Any) -> None:
    """One row for each span in which the program ran and nothing changed."""
    put(kept, SNAPSHOTS, *(raw(moment(begin), 100.0, moment(end), BOOK.key, **more) for begin, end in spans))


def read(kept: Database, begin: int, end: int) -> Past:
    with kept.reading() as connection:
        return _history.read(connection, BOOK.key, moment(begin), moment(end), 15.0)


# --- hours that are left out ---


def test_a_night_without_data_is_left_out_and_a_gap_while_the_market_is_open_stays() -> None:
    # off from 15:00 on Monday to 11:00 on Tuesday: the last hour and the first hour and a half were trading
    covered = [(et(16, 9.5), et(16, 15)), (et(17, 11), et(17, 16))]
    assert _folds.folds(covered, et(16, 9.5), et(17, 16)) == [(et(16, 16), et(17, 9.5))]
    axis = _folds.Axis(et(16, 9.5), et(17, 16), ((et(16, 16), et(17, 9.5)),))
    assert axis.seen((et(16, 15), et(17, 11))) == micros(datetime(1970, 1, 1, 2, 30, tzinfo=UTC))
    assert axis.length == micros(datetime(1970, 1, 1, 13, tzinfo=UTC))


@pytest.mark.parametrize(("hours", "left_out"), [(6.0, True), (5.999, False)])
def test_a_short_silence_over_night_stays_for_those_who_run_the_program_then(hours: float, *, left_out: bool) -> None:
    covered = [(et(16, 9.5), et(16, 20)), (et(16, 20 + hours), et(17, 16))]
    assert bool(_folds.folds(covered, et(16, 9.5), et(17, 16))) is left_out


def test_a_program_that_never_stops_has_its_nights_on_the_axis() -> None:
    assert _folds.folds([(et(13, 9.5), et(18, 16))], et(13, 9.5), et(18, 16)) == []


def test_a_holiday_and_a_half_day_are_known() -> None:
    # Thanksgiving is the 26th; on the 27th the exchange closes at one
    covered = [(et(25, 9.5), et(25, 16)), (et(27, 9.5), et(27, 13)), (et(30, 9.5), et(30, 16))]
    assert _folds.folds(covered, et(25, 9.5), et(30, 16)) == [(et(25, 16), et(27, 9.5)), (et(27, 13), et(30, 9.5))]


def test_a_silence_before_the_range_is_left_out_and_a_short_one_at_its_end_is_not() -> None:
    covered = [(et(17, 9.5), et(17, 16))]
    assert _folds.folds(covered, et(17, 7), et(17, 18)) == [(et(17, 7), et(17, 9.5))]


def test_what_overlaps_is_one_stretch_and_a_record_in_closed_hours_is_kept() -> None:
    covered = [(et(16, 9.5), et(17, 3)), (et(16, 16), et(16, 16)), (et(17, 3), et(17, 16))]
    assert _folds.folds(covered, et(16, 9.5), et(17, 16)) == []
    night = [(et(16, 9.5), et(16, 16)), (et(17, 0), et(17, 0)), (et(17, 9.5), et(17, 16))]
    assert _folds.folds(night, et(16, 9.5), et(17, 16)) == [(et(16, 16), et(17, 0)), (et(17, 0), et(17, 9.5))]


def test_no_point_is_drawn_within_hours_that_are_left_out(database: Database) -> None:
    ran(database, *((et(day, 9.5), et(day, 16)) for day in (12, 13, 16, 17)), (et(18, 9.5), et(18, 15)))
    put(database, ACCOUNT_QUARTERS, of_quarter(moment(et(11, 15.75)), OWNER, 9.0, origin=BACKFILL, book=BOOK.key))
    figure = _charts.figure_of(read(database, et(11, 0), et(18, 15)))
    breaks = [
        tuple(pd.Timestamp(edge).value // 1_000_000 for edge in each.bounds) for each in figure.layout.xaxis.rangebreaks
    ]
    assert len(breaks) == 5  # the axis begins with the close of the 11th; a weekend is one
    assert all(axis.rangebreaks == figure.layout.xaxis.rangebreaks for axis in figure.select_xaxes())
    for trace in figure.data:
        places = np.array([x for x in (trace.x if trace.type == "scatter" else trace.base) if x is not None])
        assert not any(((places >= first) & (places < last)).any() for first, last in breaks), trace.name
    closed = micros(datetime(2026, 11, 17, 16, tzinfo=UTC)) // 1000  # as New York clocks show it
    assert closed in next(trace for trace in figure.data if trace.name == "Net liquidation").x


def test_the_caption_counts_gaps_of_market_hours_and_says_what_is_left_out(database: Database) -> None:
    ran(database, (et(16, 9.5), et(16, 15.99)), (et(17, 9.5), et(17, 12)), (et(17, 13), et(17, 16)))
    said = _history_words.about(read(database, et(16, 9.5), et(17, 16)), NOW)
    assert "1 gap without data (1.0 h)" in said
    assert "18 h of closed hours without data left out" in said  # 17.5, rounded


def test_a_first_day_says_that_its_history_goes_back_further(database: Database) -> None:
    ran(database, (et(18, 14), et(18, 15)))
    day, first = read(database, et(17, 15), et(18, 15)), moment(et(2, 16))
    further = "the history goes back to Mon 2 Nov 16:00 ET: choose a longer one"
    assert further in _history_words.about(day, NOW, first)
    assert further not in _history_words.about(day, NOW, day.begin)
    ran(database, (et(17, 15), et(18, 14)))
    assert further not in _history_words.about(read(database, et(17, 15), et(18, 15)), NOW, first)


@pytest.mark.parametrize(("begin", "with_closes"), [(et(3, 15), True), (et(17, 15), False)])
def test_closes_filled_in_are_seen_in_a_range_of_days(database: Database, begin: int, *, with_closes: bool) -> None:
    ran(database, (et(18, 14.9), et(18, 15)))
    put(database, MARKET_CLOSES, *((BOOK.key, "VIX", f"2026-11-{day:02}", 17.0, BACKFILL, "a file") for day in (3, 17)))
    axis = _folds.axis_of(read(database, begin, et(18, 15)))
    assert (axis.begin == begin) is with_closes
    assert axis.begin <= et(18, 14.9)


def test_times_in_hours_that_are_left_out_stand_where_those_end() -> None:
    axis = _folds.Axis(et(16, 9.5), et(17, 16), ((et(16, 16), et(17, 9.5)),))
    shown = axis.drawn([et(16, 15), et(16, 16), et(16, 20), et(17, 10)]).tolist()
    assert [moment(place * 1000).strftime("%d %H:%M") for place in shown] == [
        "16 15:00", "16 16:00", "17 09:30", "17 10:00",
    ]  # fmt: skip


# --- what stands above the charts ---


def test_a_long_legend_takes_lines_of_its_own() -> None:
    assert [_frame.legend_lines(["IBKR •••4567"] * count, 600) for count in (0, 1, 5, 6, 11)] == [0, 1, 1, 2, 3]


def test_the_legend_of_four_accounts_stands_under_its_title(database: Database) -> None:
    ran(database, (et(18, 10), et(18, 15)))
    put(
        database, ACCOUNT_VALUES,
        *(
            account(
                moment(et(18, 10)), f"{nth}" * 16, book=BOOK.key, account=f"•••000{nth}", net_liquidation=100.0,
                cushion=0.3, excess_liquidity=40.0, excess_look_ahead=35.0, broker="tastytrade",
            )
            for nth in range(4)
        ),
    )  # fmt: skip
    figure = _charts.figure_of(read(database, et(18, 9.5), et(18, 15)))
    row = f"legend{_frame.CUSHIONS}"
    names = [trace.name for trace in figure.data if trace.legend == row and trace.showlegend is not False]
    accounts = [f"tastytrade •••000{nth}" for nth in range(4)]
    assert names == [*accounts, "whole account, now", "whole account, look-ahead"]
    lines = _frame.legend_lines(names)
    title = next(each for each in figure.layout.annotations if "Margin cushion" in each.text)
    assert lines == 2
    assert title.yshift > lines * _frame.LEGEND_PIXELS
    assert figure.layout[row].y == title.y == figure.layout[f"yaxis{_frame.CUSHIONS + 1}"].domain[1]


def test_charts_do_not_overlap(database: Database) -> None:
    ran(database, (et(18, 10), et(18, 15)))
    figure = _charts.figure_of(read(database, et(18, 9.5), et(18, 15)))
    domains = [figure.layout["yaxis" + _frame.axes_of(row)[1][1:]].domain for row in _frame.ROWS]
    for above, below in pairwise(domains):
        assert (above[0] - below[1]) * figure.layout.height >= _frame.TITLE_PIXELS + _frame.TICK_PIXELS


# --- the worst of several ---


def lines_of(*told: tuple[list[float], list[float]]) -> list[LimitLine]:
    return [
        LimitLine("stress_ladder", f"portfolio:SPX -{nth} %", "USD", np.array(value), np.array(limit))
        for nth, (value, limit) in enumerate(told)
    ]


def test_of_several_rungs_the_one_that_uses_most_is_drawn_with_its_own_limit() -> None:
    found = worst_of(lines_of(([-5.0, -1.0], [-10.0, -10.0]), ([-4.0, 3.0], [-5.0, -20.0])), "stress_ladder")
    assert found is not None
    assert (found.value.tolist(), found.limit.tolist()) == ([-4.0, -1.0], [-5.0, -10.0])
    assert found.use().tolist() == [0.8, 0.1]
    assert worst_of(lines_of(([1.0], [1.0])), "stress_scenarios") is None


def test_an_unknown_rung_hides_the_worst_unless_another_is_over_its_limit() -> None:
    nan = float("nan")
    # unknown beside 50 %; unknown beside 120 %, which is proven; not judged at all beside 50 %
    found = worst_of(lines_of(([-5.0, -12.0, -5.0], [-10.0] * 3), ([nan] * 3, [-5.0, -5.0, nan])), "stress_ladder")
    assert found is not None
    assert [None if np.isnan(use) else use for use in found.use()] == [None, 1.2, 0.5]


def test_the_stress_ladder_is_among_the_limits(database: Database) -> None:
    told = {"stress_ladder portfolio:SPX -5 %": [-50.0, -100.0, "USD", "OK"],
            "stress_ladder portfolio:SPX -20 %": [-90.0, -100.0, "USD", "WATCH"]}  # fmt: skip
    ran(database, (et(18, 10), et(18, 15)), limits=json.dumps(told))
    past = read(database, et(18, 9.5), et(18, 15))
    drawn = {trace.name: set(trace.y) for trace in _charts.figure_of(past).data}
    assert drawn["Stress ladder"] == {90.0}
    assert {-90.0} == next(set(t.y) for t in _charts.figure_of(past, "stress_ladder").data if t.name == "Stress ladder")


# --- what was done ---

IBKR = AccountId("IBKR", "U1234567")


def done(kept: Database, *deeds: tuple[int, Any]) -> None:
    """Store each as the program does, at its time."""
    numbers = Numbers("1" * 16)
    for time, deed in deeds:
        with kept.writing(durable=False) as connection:
            insert_proven(connection, deed_news(BOOK, [deed], numbers, moment(time)).rows)


def change(time: int, old: SafetyState, new: SafetyState, why: str = "hands off") -> tuple[int, SafetyChange]:
    return time, SafetyChange(moment(time), old, Safety(new, moment(time), Cause.PERSON, "Ann", why))


def test_a_stop_is_seen_on_the_time_line(database: Database) -> None:
    ran(database, (et(18, 9.5), et(18, 15)))
    done(
        database, change(et(17, 12), SafetyState.NORMAL, SafetyState.REDUCE_ONLY),
        change(et(18, 14 + 32 / 60), SafetyState.REDUCE_ONLY, SafetyState.STOPPED, "<b>enough</b>"),
    )  # fmt: skip
    figure = _charts.figure_of(read(database, et(18, 9.5), et(18, 15)))
    assert "<b>STOPPED</b> 14:32" in [each.text for each in figure.layout.annotations]
    bars = next(trace for trace in figure.data if trace.type == "bar" and trace.y[0] == _deeds.SAFETY)
    assert list(bars.text) == ["REDUCE_ONLY", "STOPPED"]  # the first from the beginning of the range
    spans = [(moment(base * 1000).strftime("%H:%M"), x / 60_000) for base, x in zip(bars.base, bars.x, strict=True)]
    assert spans == [("09:30", 302.0), ("14:32", 28.0)]
    assert "set by Ann: &lt;b&gt;enough" in bars.hovertext[1]
    lined = [shape for shape in figure.layout.shapes if shape.line.dash == "dash"]
    assert len(lined) == len(_frame.ROWS)


def test_a_book_that_was_always_normal_has_no_lane_of_deeds(database: Database) -> None:
    ran(database, (et(18, 9.5), et(18, 15)))
    done(database, change(et(17, 12), SafetyState.STOPPED, SafetyState.NORMAL))
    assert _deeds.lanes_of(read(database, et(18, 9.5), et(18, 15)).deeds) == []


def test_fills_and_flattens_are_marked_by_their_last_word(database: Database) -> None:
    ran(database, (et(18, 9.5), et(18, 15)))
    put_ = occ.parse("SPY   261218P00600000")
    sold = Fill("e1", 0, IBKR, put_, -2.0, 8.4, moment(et(18, 10)), "o1")
    run = FlattenRun("f1", moment(et(18, 12)), "Ann", RunState.RUNNING, "{}", moment(et(18, 12)), "7 shorts")
    done(
        database, (et(18, 10), sold), (et(18, 11), replace(sold, revision=1, price=8.5)),
        (et(18, 11), replace(sold, execution="e2", quantity=1.0, time=moment(et(18, 11)), key="")),
        (et(18, 12), run), (et(18, 12.5), replace(run, state=RunState.DONE, words="flat")),
    )  # fmt: skip
    past = read(database, et(18, 9.5), et(18, 15))
    assert [(fill.quantity, fill.price, fill.gated) for fill in past.deeds.fills] == [(-2, 8.5, True), (1, 8.4, False)]
    (flat,) = past.deeds.flattens
    assert (flat.time, flat.end, flat.words) == (et(18, 12), et(18, 12.5), "flat")
    marks = next(trace for trace in _charts.figure_of(past).data if (trace.name or "").startswith("▲"))
    assert list(marks.marker.symbol) == ["triangle-down", "triangle-up", "x"]
    assert f"sold 2 {put_.label}</b> at 8.50, IBKR •••4567" in marks.hovertext[0]
    assert "did not come through the gate" in marks.hovertext[1]
    assert "U1234567" not in "".join(marks.hovertext)


# --- where it stood ---


def stood(database: Database, *lanes: Lane, lanes_from: int = 0) -> list[_standing.Standing]:
    past = read(database, et(16, 9.5), et(17, 16))
    return _standing.standing(replace(past, lanes=list(lanes), lanes_from=lanes_from))


def lane(check: str, *parts: tuple[int, int, Level]) -> Lane:
    return Lane(check, "portfolio", tuple(Segment(*part) for part in parts))


def test_a_breach_goes_on_over_a_night_in_which_the_program_did_not_run(database: Database) -> None:
    ran(database, (et(16, 9.5), et(16, 16)), (et(17, 9.5), et(17, 16)))
    night = (et(16, 12), et(16, 16), Level.BREACH), (et(17, 9.5), et(17, 16), Level.BREACH)
    (one,) = stood(database, lane("gamma", (et(16, 9.5), et(16, 12), Level.OK), *night))
    assert (one.check, one.level, one.since, one.is_older) == ("gamma", Level.BREACH, et(16, 12), False)
    assert _standing.since(one, et(17, 16)) == "since Mon 16 Nov 12:00 ET (1 d)"
    (one,) = stood(database, lane("gamma", (et(16, 9.5), et(16, 16), Level.BREACH), night[1]))
    assert _standing.since(one, et(17, 16)) == "since before Mon 16 Nov 09:30 ET (more than 1 d)"


def test_another_level_or_a_time_in_which_it_was_not_judged_begins_anew(database: Database) -> None:
    ran(database, (et(16, 9.5), et(16, 16)), (et(17, 9.5), et(17, 16)))
    ends = (et(17, 12), et(17, 16), Level.BREACH)
    found = stood(
        database, lane("gamma", (et(17, 9.5), et(17, 12), Level.WATCH), ends),
        lane("theta_cap", (et(17, 9.5), et(17, 11), Level.BREACH), ends),
        lane("drawdown", (et(16, 9.5), et(17, 16), Level.OK)),
        lane("beta_delta", (et(16, 9.5), et(16, 16), Level.BREACH)),
        lane("short_vega", (et(17, 15), et(17, 16), Level.UNKNOWN)),
    )  # fmt: skip
    assert [(one.check, one.since) for one in found] == [
        ("gamma", et(17, 12)), ("theta_cap", et(17, 12)), ("short_vega", et(17, 15)),
    ]  # fmt: skip


# --- downloads ---


def test_no_text_of_a_csv_file_is_a_formula() -> None:
    bad = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "fine", None, "1-1"]
    table = pa.table({"message": pa.array(bad, pa.string()), "value": pa.array([-1.5] * 8 + [None])})
    rows = list(csv.DictReader(io.StringIO(_downloads.as_csv(table).decode(), newline="")))
    assert [row["message"] for row in rows] == [f"'{text}" for text in bad[:6] if text] + ["fine", "", "1-1"]
    assert [row["value"] for row in rows] == ["-1.5"] * 8 + [""]  # a number stays one
    assert table.column("message").to_pylist() == bad


def test_limits_are_handed_out_with_every_row_and_read_again_as_they_were(database: Database) -> None:
    told = {
        "gamma portfolio": [-50.0, -40.0, "USD per 1 %", "BREACH"],
        "short_vega portfolio": [5.0, -9.0, "x", "UNKNOWN"],
    }
    ran(database, (et(18, 10), et(18, 11)), (et(18, 11), et(18, 12)), limits=json.dumps(told))
    past = read(database, et(18, 9.5), et(18, 15))
    table = _downloads.table_of("Limits", past, Stored(database, BOOK.key))
    again = pd.read_csv(io.BytesIO(_downloads.as_csv(table)), parse_dates=["time_utc"])
    assert again["check"].tolist() == ["gamma", "gamma", "short_vega", "short_vega"]
    assert again["time_utc"].tolist()[:2] == [pd.Timestamp(moment(et(18, hour))) for hour in (10, 11)]
    assert again["value"].tolist()[:2] == [-50.0, -50.0]
    assert again["value"].isna().tolist() == [False, False, True, True]  # what was UNKNOWN is empty
    assert again["limit"].tolist() == [-40.0, -40.0, -9.0, -9.0]
    parquet = pd.read_parquet(io.BytesIO(_downloads.as_parquet(table)))
    assert str(parquet["time_utc"].dt.tz) == "UTC"
    pd.testing.assert_series_equal(parquet["value"], again["value"])
