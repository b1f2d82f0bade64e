"""The History page and its picture: what is drawn, what is said of what is missing, and that nothing ticks."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from guardrails import calendar
from guardrails.findings import Level
from guardrails.store.books import book_of, owners_of
from guardrails.store.columns import BACKFILL
from guardrails.store.database import Database
from guardrails.store.history_findings import Lane, Segment
from guardrails.store.metadata import micros
from guardrails.store.news import Numbers, Seen, news_of
from guardrails.store.proof import insert_proven
from guardrails.store.quarters import ACCOUNT_QUARTERS
from guardrails.store.rollup import roll_up
from guardrails.store.schema import ACCOUNT_VALUES, BOOKS, MATRIX_VERSIONS, SNAPSHOTS
from guardrails.store.telemetry import Moment, Telemetry
from guardrails.values import SourceState
from pages import _charts, _downloads, _history, _history_table, _history_words, _lanes, _paths
from pages._downloads import KINDS
from pages._engine import Stored
from pages._history import Past
from tests.books import NOW
from tests.healthy import SHIPPED, healthy
from tests.past import Player, months_before, play_session, records_before
from tests.stored import ask, opened
from tests.test_pages import Start, book, shown, start, words
from tests.test_past import queries
from tests.test_store_history import OWNER, close_of, of_quarter, put, raw
from tests.test_store_history import account as account_row

__all__ = ["start"]  # a fixture

BOOK = book_of(("test",))
VERSION = "m1"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store of the book that the pages of these tests show."""
    kept = opened(tmp_path)
    put(kept, BOOKS, (BOOK.key, BOOK.names, 0))
    yield kept
    kept.close()


def minutes(kept: Database, *told: tuple[int, float | None], regime: str = "low_volatility", **more: Any) -> None:
    """Rows so many minutes before NOW, each of which held for a minute."""
    put(
        kept, SNAPSHOTS,
        *(
            raw(NOW - timedelta(minutes=ago), net, NOW - timedelta(minutes=ago - 1), BOOK.key, regime=regime, **more)
            for ago, net in told
        ),
    )  # fmt: skip


def read(kept: Database, back: timedelta = timedelta(days=1), book_key: str = BOOK.key, most: int = 7000) -> Past:
    with kept.reading() as connection:
        return _history.read(connection, book_key, NOW - back, NOW, 15.0, most)


def trace(figure: Any, name: str) -> Any:
    return next(each for each in figure.data if each.name == name)


def line(figure: Any, name: str) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in trace(figure, name).y]


# --- the picture ---


def test_lines_break_where_nothing_was_kept_and_where_nothing_is_known(database: Database) -> None:
    minutes(database, (60, 100.4), (59, 101.0), (40, 90.0), (39, None), (38, 91.0), (37, 92.0))
    past = read(database)
    drawn = line(_charts.figure_of(past), "Net liquidation")
    # each value leads from its time to where it held; a null stands for the 18 silent minutes and for the unknown row
    assert drawn == [100.0, 100.0, 101.0, 101.0, None, 90.0, 90.0, None, None, 91.0, 91.0, 92.0, 92.0]
    assert past.totals.unknown.sum() == 1
    assert len(_history.gaps(past.totals.covered())) == 1


def test_a_value_alone_between_unknown_ones_is_drawn_as_a_dot(database: Database) -> None:
    put(database, SNAPSHOTS, raw(NOW - timedelta(minutes=9), 5.0, book=BOOK.key))
    figure = _charts.figure_of(read(database))
    dots = [each for each in figure.data if each.name == "Net liquidation" and each.mode == "markers"]
    assert [list(each.y) for each in dots] == [[5.0]]


def test_an_equal_reading_makes_an_equal_picture(database: Database) -> None:
    minutes(database, (60, 100.4), (59, 101.0))
    assert _charts.figure_of(read(database)).to_json() == _charts.figure_of(read(database)).to_json()


def test_the_axis_shows_new_york_clocks_also_when_they_change() -> None:
    # 2026-11-01 06:00 UTC: New York clocks go from 01:59:59 EDT back to 01:00 EST
    summer, winter = datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    shown_as = _history.wall(np.array([micros(summer), micros(winter)]))
    assert shown_as[0] == shown_as[1] == micros(datetime(2026, 11, 1, 1, 30, tzinfo=UTC)) // 1000
    assert _history.moment_at(int(shown_as[0])) == winter
    assert _history.moment_at("2026-11-17 10:32:00") == datetime(2026, 11, 17, 15, 32, tzinfo=UTC)


def test_a_line_does_not_run_backwards_in_the_hour_that_comes_twice(database: Database) -> None:
    night = datetime(2026, 11, 1, 5, 50, tzinfo=UTC)
    put(
        database, SNAPSHOTS,
        *(raw(night + timedelta(minutes=i), float(i), night + timedelta(minutes=i + 1), BOOK.key) for i in range(20)),
    )  # fmt: skip
    with database.reading() as connection:
        past = _history.read(connection, BOOK.key, night, night + timedelta(hours=1), 15.0)
    path = _paths.path_of(past.totals)
    steps = np.diff(path.x)
    back = np.flatnonzero(steps < 0)
    assert len(back) == 1
    assert path.index[back[0]] == -1 or path.index[back[0] + 1] == -1


def test_regimes_bands_and_cushion_limit_are_those_of_the_matrix_then_in_force(database: Database) -> None:
    put(database, MATRIX_VERSIONS, (BOOK.key, VERSION, SHIPPED, 0))
    spans = (
        (1400, 900, {"regime": "low_volatility", "theta_vega_ratio": 0.3}),
        (500, 250, {"regime": "crisis_mode", "matrix_version": "lost"}),
        (240, 0, {"regime": "crisis_mode", "matrix_version": "lost"}),
    )
    for since, until, more in spans:
        put(
            database, SNAPSHOTS,
            raw(NOW - timedelta(minutes=since), 1.0, NOW - timedelta(minutes=until), BOOK.key, **more),
        )  # fmt: skip
    past = read(database)
    found = [(run.regime, run.limits is None, (run.end - run.begin) // 60_000_000) for run in past.runs]
    # nothing is claimed of the 400 minutes between
    assert found == [("low_volatility", False, 500), ("crisis_mode", True, 250), ("crisis_mode", True, 240)]
    figure = _charts.figure_of(past)
    words_of_bands = [shape.label.text for shape in figure.layout.shapes if shape.label.text]
    assert "no data" not in words_of_bands  # the market was closed in all of those 400 minutes
    assert {"low_volatility", "crisis_mode", "green", "red"} <= set(words_of_bands)
    green = next(shape for shape in figure.layout.shapes if shape.label.text == "green")
    assert (green.y0, green.y1) == (0.25, 0.4)  # theta_vega_ratio of the shipped file
    assert [value for value in trace(figure, "least allowed").y if value is not None] == [20.0, 20.0]


def test_limits_are_drawn_as_share_and_as_value_and_limit(database: Database) -> None:
    told = json.dumps(
        {"short_vega portfolio": [-50.0, -40.0, "USD/pt", "BREACH"], "gamma portfolio": [-1.0, 0.0, "x", ""]}
    )
    minutes(database, (3, 1.0), (2, 1.0), limits=told)
    past = read(database)
    figure = _charts.figure_of(past)
    assert set(line(figure, "Vega")) == {125.0}
    assert set(line(figure, "Gamma")) == {300.0}  # anything against a limit of zero is drawn at the top
    figure = _charts.figure_of(past, "short_vega")
    assert (set(line(figure, "Vega")), set(line(figure, "limit"))) == ({-50.0}, {-40.0})


def test_a_limit_on_both_sides_is_drawn_on_both_sides(database: Database) -> None:
    minutes(database, (3, 1.0), limits=json.dumps({"beta_delta portfolio": [-150.0, 100.0, "USD", "BREACH"]}))
    past = read(database)
    assert set(line(_charts.figure_of(past), "Delta")) == {150.0}  # percent
    figure = _charts.figure_of(past, "beta_delta")
    drawn = [set(line(figure, name)) for name in ("Delta", "limit", "limit below zero")]
    assert drawn == [{-150.0}, {100.0}, {-100.0}]


def silent_source(kept: Database) -> None:
    """Two moments at which all is well, then six at which the source is down and the last good figures stand."""
    telemetry, numbers, seen = Telemetry(kept), Numbers("0" * 16), Seen()
    well = healthy()
    down = replace(well, source=replace(well.source, state=SourceState.DOWN, time=None))
    for i in range(8):
        result = (well if i < 2 else down).assess()
        snapshot = replace(result.snapshot, as_of=NOW - timedelta(minutes=9 - i))
        owners = owners_of(result.portfolio)
        news, seen = news_of(seen, snapshot, SHIPPED, owners, BOOK, numbers)
        with kept.writing(durable=False) as connection:
            insert_proven(connection, news.rows)
        telemetry.keep(Moment(BOOK, snapshot, owners))


@pytest.mark.parametrize("rolled_up", [False, True], ids=["rows", "quarters"])
def test_the_last_good_figures_of_a_silent_source_are_not_drawn_as_known(
    database: Database, *, rolled_up: bool
) -> None:
    silent_source(database)
    if rolled_up:
        roll_up(database, NOW + timedelta(minutes=15))
        with database.writing(durable=False) as connection:
            connection.execute(SNAPSHOTS.delete())
            connection.execute(ACCOUNT_VALUES.delete())
    past = read(database)
    known = past.totals.figures["net_liquidation"][past.current.book]
    stale = past.totals.figures["net_liquidation"][~past.current.book]
    assert len(stale) > 0
    assert not np.isnan(stale).any()  # the last good figure is there, and drawn as what it is
    figure = _charts.figure_of(past)
    for name in ("Net liquidation", f"{past.accounts[0].broker} {past.accounts[0].account}"):
        dotted = trace(figure, f"{name}: {_paths.LAST_GOOD}")
        assert (dotted.opacity, dotted.line.dash) == (0.55, "1px,5px")
        assert not np.isnan(np.array(dotted.y, dtype=float)).all()
        assert np.isnan(np.array(trace(figure, name).y, dtype=float)).all() == (not len(known))
    use = next(each for each in past.limits if each.check == "beta_delta").use()
    assert np.isnan(use[~past.current.book]).all()
    said = _history_words.about(past, NOW)
    assert f"{len(stale)} point{'' if len(stale) == 1 else 's'} not current (dotted: last good figure" in said
    assert "last good ones" in _history_words.summary(past)
    table = _downloads.table_of("Totals", past, Stored(database, BOOK.key))
    assert table.column("current").to_pylist() == past.current.book.tolist()
    assert table.column("level").to_pylist()[-1] == "UNKNOWN"


def test_a_caption_on_quarters_speaks_of_their_last_moments(database: Database) -> None:
    start, second = NOW.replace(minute=0), timedelta(seconds=15)
    put(
        database,
        SNAPSHOTS,
        *(raw(start + i * second, worth, book=BOOK.key) for i, worth in enumerate((9.0, None, 8.0))),
    )
    roll_up(database, NOW)
    with database.writing(durable=False) as connection:
        connection.execute(SNAPSHOTS.delete())
    past = read(database)
    said = _history_words.about(past, NOW)
    assert "net liquidation known at the last moment of every quarter of an hour" in said
    assert "lines show its last moment" in " ".join(_history_words.left_out(past))


def test_no_breach_is_claimed_of_a_time_whose_changes_are_not_read(database: Database) -> None:
    minutes(database, *((ago, 1.0) for ago in range(60, 0, -1)))
    judged = [Lane("gamma", "", (Segment(0, 1, Level.OK),))]
    assert "No breach. " in _history_words.summary(replace(read(database), lanes=judged))
    past = replace(read(database), lanes=judged, lanes_from=micros(NOW - timedelta(minutes=30)))
    assert "No breach since" in _history_words.summary(past)
    assert "Wed 18 Nov 10:00 ET, what was before is not known." in _history_words.summary(past)


def test_records_of_days_that_do_not_follow_each_other_are_not_joined(database: Database) -> None:
    for day in (2, 3, 17):
        put(database, ACCOUNT_QUARTERS, of_quarter(close_of(day), OWNER, float(day), origin=BACKFILL, book=BOOK.key))
    figure = _charts.figure_of(read(database, timedelta(days=30)))
    assert list(trace(figure, "from the broker's records").y) == [2.0, 3.0, None, 17.0]


def test_theta_over_delta_is_not_told_while_delta_is_about_zero(database: Database) -> None:
    for ago, delta in ((9, 999.0), (8, 1001.0), (7, None)):
        minutes(
            database, (ago, 100_000.0), beta_delta_dollars=delta, beta_delta_spx=2.0, theta_per_day=10.0
        )  # 1 % of 100,000 is 1,000
    known = _history.theta_per_delta(read(database).totals)
    assert [None if np.isnan(value) else value for value in known] == [None, 5.0, None]


def lanes_of(*levels: str) -> list[Lane]:
    return [
        Lane(
            f"check{i}",
            "portfolio",
            (Segment(i * 10, i * 10 + 10, Level(level), 3.0, 2.0, "USD", f"says {level}", "m1"),),
        )
        for i, level in enumerate(levels)
    ]


def test_only_checks_that_were_ever_worse_than_ok_have_a_lane() -> None:
    assert [lane.worst for lane in _lanes.lanes_shown(lanes_of("OK", "WATCH", "UNKNOWN", "BREACH"))] == [
        Level.WATCH, Level.UNKNOWN, Level.BREACH,
    ]  # fmt: skip


def test_what_is_pointed_at_says_sign_word_message_value_limit_and_matrix() -> None:
    (lane,) = lanes_of("BREACH")
    said = _lanes.says(lane.segments[0], lane)
    for part in ("✖ BREACH", "says BREACH", "$3, limit $2", "matrix m1"):
        assert part in said
    risky = Lane("gamma", "", (Segment(0, 1, Level.OK, message="<script>"),))
    assert "<script>" not in _lanes.says(risky.segments[0], risky)


def test_a_flapping_lane_is_told_by_the_worst_of_each_stretch() -> None:
    parts = tuple(
        Segment(i, i + 1, Level.BREACH if i == 777 else Level.OK if i % 2 else Level.WATCH) for i in range(3000)
    )
    drawn = _lanes.drawn(Lane("gamma", "", parts), (0, 3000))
    assert len(drawn) <= _lanes.MOST_SEGMENTS
    assert any(part.level is Level.BREACH and part.begin <= 777 < part.end for part in drawn)
    assert not any(part.level is Level.OK for part in drawn)  # each stretch of ten held a WATCH


def test_a_lane_of_many_segments_claims_nothing_of_the_time_without_data() -> None:
    # three years of twenty minutes a day, half of the first days' at WATCH
    day, ten = 86_400_000_000, 600_000_000
    parts = tuple(
        Segment(d * day + k * ten, d * day + (k + 1) * ten, Level.WATCH if k and d < 50 else Level.OK)
        for d in range(3 * 365)
        for k in range(2)
    )
    lane = Lane("gamma", "", parts)
    drawn = Lane("gamma", "", tuple(_lanes.drawn(lane, (0, 3 * 365 * day))))
    assert len(drawn.segments) <= _lanes.MOST_SEGMENTS
    known = sum(lane.seconds(level) for level in Level)
    assert sum(drawn.seconds(level) for level in Level) == known
    assert drawn.seconds(Level.WATCH) >= lane.seconds(Level.WATCH)


def accounts_changed(kept: Database) -> None:
    """A second account with 50 is there for the last ten minutes of an hour but five."""
    minutes(kept, (60, 100.0), (59, 100.0), (58, 150.0), (5, 150.0), (4, 100.0))
    first, second = "0f" * 8, "1e" * 8
    at = [NOW - timedelta(minutes=ago) for ago in (60, 59, 58, 5, 4)]
    own = [account_row(when, first, net_liquidation=100.0, book=BOOK.key) for when in at]
    other = [account_row(when, second, net_liquidation=50.0, book=BOOK.key, account="•••0001") for when in at[2:4]]
    put(kept, ACCOUNT_VALUES, *own, *other)


def test_accounts_that_come_and_go_are_named_where_they_did_and_are_no_gain_and_no_loss(database: Database) -> None:
    accounts_changed(database)
    # the first account has to be there for a quarter of an hour before another one comes to it
    before = NOW - timedelta(minutes=90)
    put(database, SNAPSHOTS, raw(before, 100.0, before, BOOK.key))
    put(database, ACCOUNT_VALUES, account_row(before, "0f" * 8, net_liquidation=100.0, book=BOOK.key))
    past = read(database)
    figure = _charts.figure_of(past)
    named = [note.text for note in figure.layout.annotations if "•••0001" in note.text]
    assert named == ["<b>+ IBKR •••0001</b> 09:32", "<b>− IBKR •••0001</b> 10:26"]
    lines_ = [shape.x0 for shape in figure.layout.shapes if shape.line.dash == "longdashdot"]
    assert len(set(lines_)) == 2
    assert set(line(figure, "Drawdown")) == {None, 0.0}
    told = "IBKR •••0001 came Wed 18 Nov 09:32 ET with $50; IBKR •••0001 went Wed 18 Nov 10:26 ET with $50."
    assert told in _history_words.left_out(past)[0]
    assert told in _history_words.summary(past)


# --- the page ---


def caption(at: AppTest) -> str:
    return " ".join(element.value for element in at.caption)


def chart(at: AppTest) -> Any:
    found = at.get("plotly_chart")
    return found[0] if found else None


def test_without_a_database_the_page_says_so(start: Start) -> None:
    start(book())
    at = shown("history.py")
    assert "No history is kept" in words(at)
    assert chart(at) is None


def test_before_the_first_row_the_page_says_what_will_come(start: Start, database: Database) -> None:
    start(book(), database=database)
    said = words(shown("history.py"))
    assert "Nothing has been kept yet" in said


def test_a_range_without_data_says_where_there_is_some(start: Start, database: Database) -> None:
    put(database, SNAPSHOTS, raw(NOW - timedelta(days=40), 1.0, book=BOOK.key))
    start(book(), database=database)
    said = words(shown("history.py"))
    assert "Nothing was kept in this range" in said
    assert "Fri 9 Oct" in said


def test_the_caption_counts_points_gaps_and_what_is_unknown(start: Start, database: Database) -> None:
    minutes(database, (60, 100.0), (59, None), (40, 90.0))
    start(book(), database=database)
    at = shown("history.py")
    said = caption(at)
    assert "3 points" in said
    assert "1 gap without data (18 min)" in said
    assert "net liquidation unknown in 1 row" in said
    assert "every kept row" in said
    assert chart(at) is not None


def test_a_single_moment_does_not_say_that_nothing_was_judged(start: Start, database: Database) -> None:
    put(database, SNAPSHOTS, raw(NOW - timedelta(seconds=9), 5.0, NOW - timedelta(seconds=9), BOOK.key))
    start(book(), database=database)
    said = words(shown("history.py"))
    assert "Only one moment is kept yet" in said
    assert "Nothing was judged" not in said


def test_nothing_is_read_or_drawn_anew_before_refresh_or_another_range(start: Start, database: Database) -> None:
    engine = start(book(), database=database)
    minutes(database, (60, 100.0), (59, 101.0))
    at = shown("history.py")
    spec = chart(at).proto.spec
    minutes(database, (30, 102.0))
    engine.now.time = NOW + timedelta(minutes=1)  # type: ignore[attr-defined]  # the clock of these tests
    with queries() as asked:
        at.run()
    assert not [query for query in asked if "net_liquidation" in query]
    assert chart(at).proto.spec == spec
    next(button for button in at.button if button.label == "Refresh").click().run()
    assert chart(at).proto.spec != spec
    assert "3 points" in caption(at)


def test_the_chart_is_told_in_words_for_those_who_do_not_see_it(start: Start, database: Database) -> None:
    minutes(database, (60, 100.0), (59, 50.0), (58, 75.0))
    start(book(), database=database)
    said = chart(shown("history.py")).proto.alt
    assert "from $100 to $75, lowest $50, highest $100" in said
    assert "Deepest drawdown 50 %" in said


def test_no_breach_is_told_of_what_was_never_judged_or_not_known(database: Database) -> None:
    minutes(database, (60, 100.0), (59, 101.0))
    past = read(database)
    assert "No limit was judged." in _history_words.summary(past)
    parts = (Segment(0, 1, Level.OK), Segment(1, 2, Level.UNKNOWN))
    lanes = [Lane("gamma", "", parts), Lane("theta_cap", "", parts[:1])]
    said = _history_words.summary(replace(past, lanes=lanes))
    assert "No breach, but not always known: Gamma for a 1 % move." in said
    broken = replace(past, lanes=lanes, totals=replace(past.totals, level=("OK", "BREACH")))
    assert "Breaches at 1 point, of which the checks are not told." in _history_words.summary(broken)


def table_rows(at: AppTest) -> list[list[str]]:
    """The texts of the cells of the table, row by row."""
    body = next(element.proto.body for element in at.get("html") if 'class="pg-table"' in element.proto.body)
    rows = [row for row in body.split("<tr>") if "</tr>" in row]
    return [[re.sub("<[^>]*>", "", cell).strip() for cell in re.findall("<t[hd].*?</t[hd]>", row)] for row in rows]


def test_the_charts_are_a_table_too(start: Start, database: Database) -> None:
    minutes(
        database,
        (60, 100.0),
        (59, 50.0),
        (
            58,
            None,
        ),
        (1, 75.0),
        level="WATCH",
    )
    start(book(), database=database)
    head, last, first = table_rows(shown("history.py"))
    assert head[:5] == ["Hour", "At the end", "lowest", "highest", "Drawdown, deepest"]
    assert last == ["Wed 18 Nov 10:00 ET", "$75", "$75", "$75", "25 %", "unknown", "unknown", "◐ WATCH", ""]
    assert first == [
        "Wed 18 Nov 09:00 ET", "unknown", "$50", "$100", "50 %", "unknown", "unknown", "◐ WATCH", "unknown in 1 row",
    ]  # fmt: skip


def test_a_long_range_is_a_table_of_days_and_says_where_figures_are_the_last_good_ones(database: Database) -> None:
    minutes(database, (3000, 100.0), (59, 90.0))
    past = read(database, timedelta(days=7))
    past = replace(past, current=replace(past.current, book=np.array([True, False])))
    told = _history_table.table(past)
    assert told.index("Wed 18 Nov 2026") < told.index("Mon 16 Nov 2026")
    assert "last good figures at 1 point" in told


def test_a_moment_of_the_past_is_shown_on_the_risk_page(start: Start, database: Database) -> None:
    minutes(database, (60, 100.0), (59, 101.0))
    start(book(), database=database)
    at = shown("history.py")
    local = (NOW - timedelta(hours=2)).astimezone(calendar.NEW_YORK)
    at.date_input(key="history_day").set_value(local.date())
    at.time_input(key="history_time").set_value(local.time())
    at = next(button for button in at.button if button.label.startswith("Show Risk")).click().run()
    assert at.session_state["past_asked"] == NOW - timedelta(hours=2)


def test_a_database_that_cannot_be_read_is_a_sentence(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes(database, (60, 100.0))
    start(book(), database=database)
    with database.writing(durable=False) as connection:
        connection.exec_driver_sql("DROP TABLE finding_transitions")
    said = words(shown("history.py"))
    assert "cannot be read now" in said
    assert "DROP" not in said


def test_a_database_that_failed_is_not_waited_for_again_at_every_look(start: Start, database: Database) -> None:
    minutes(database, (60, 100.0))
    engine = start(book(), database=database)
    with database.writing(durable=False) as connection:
        connection.exec_driver_sql("ALTER TABLE finding_transitions RENAME TO gone")
    at = shown("history.py")
    with database.writing(durable=False) as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO finding_transitions")
    with queries() as asked:
        at.run()
    assert not [query for query in asked if "finding_transitions" in query]
    assert "cannot be read now" in words(at)
    engine.now.time = NOW + timedelta(seconds=11)  # type: ignore[attr-defined]  # the clock of these tests
    at.run()
    assert "cannot be read now" not in words(at)
    assert chart(at) is not None


# --- downloads ---


def test_downloads_hold_every_row_of_the_range_and_null_for_unknown(database: Database) -> None:
    minutes(database, (60, 100.25), (59, None), (40, 90.0))
    past = read(database, most=2)
    table = _downloads.table_of("Totals", past, Stored(database, BOOK.key))
    assert table.column("net_liquidation_dollars").to_pylist() == [100.25, None, 90.0]
    rows = list(csv.DictReader(io.StringIO(_downloads.as_csv(table).decode())))
    assert [row["net_liquidation_dollars"] for row in rows] == ["100.25", "", "90"]
    assert rows[0]["time_utc"] == "2026-11-18 14:30:00.000000Z"
    again = pq.read_table(io.BytesIO(_downloads.as_parquet(table)))
    assert again.equals(table)
    assert (
        pq.ParquetFile(io.BytesIO(_downloads.as_parquet(table))).metadata.row_group(0).column(0).compression == "ZSTD"
    )


# --- what the demo really played ---

ON_PLAYED = pytest.mark.xdist_group("played")
"""in one process, so that it is played once"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, datetime]]:
    """The demo for three hours at a step of two minutes: calm, a sleep, a selloff, a feed that falls silent."""
    kept = opened(tmp_path_factory.mktemp("played"))
    player = Player(kept, compiling=True)
    day = calendar.session_of(NOW)
    hours = timedelta(hours=1)
    play_session(
        player, day, timedelta(minutes=2), [(hours, "selloff"), (2 * hours, "stale")],
        [(0.3 * hours, 0.7 * hours)], 3 * hours,
    )  # fmt: skip
    months_before(kept, day, 30)
    records_before(kept, calendar.previous_session(day) - timedelta(days=60), 5)
    yield kept, calendar.session_bounds(day)[0] + 3 * hours
    kept.close()


def of_demo(played: tuple[Database, datetime], back: timedelta) -> Past:
    kept, end = played
    with kept.reading() as connection:
        return _history.read(connection, book_of(("demo",), "calm").key, end - back, end, 120.0)


UNITS = ("_utc", "_dollars", "_fraction", "_units", "_points", "_ratio", "_per_day", "_per_point", "exchange_day")


@ON_PLAYED
@pytest.mark.parametrize("write", [_downloads.as_csv, _downloads.as_parquet])
def test_files_say_the_units_of_their_columns_and_what_the_database_says(
    played: tuple[Database, datetime], write: Any
) -> None:
    kept, end = played
    past = of_demo(played, timedelta(hours=3))
    files = {kind: frame_of(write(_downloads.table_of(kind, past, Stored(kept, past.points.book)))) for kind in KINDS}
    for kind, frame in files.items():
        figures = [name for name in frame.columns if frame[name].dtype.kind == "f"]
        assert [name for name in figures if not name.endswith(UNITS) and "unit" not in frame.columns] == [], kind
        assert all(str(frame[name].dt.tz) == "UTC" for name in frame.columns if name.endswith("_utc")), kind
    since = micros(end - timedelta(hours=3))
    told = ask(
        kept.folder, "SELECT time, net_liquidation, vix, vega_per_point FROM snapshots WHERE time >= ? AND book = ? "
        "AND origin = 'live' ORDER BY time", since, past.points.book,
    )  # fmt: skip
    totals = files["Totals"][files["Totals"]["time_utc"] >= pd.Timestamp(since, unit="us", tz="UTC")]
    for nth, name in enumerate(("net_liquidation_dollars", "vix_points", "vega_dollars_per_point"), 1):
        np.testing.assert_array_equal(totals[name], [np.nan if row[nth] is None else row[nth] for row in told])
    assert [time.value // 1000 for time in totals["time_utc"]] == [row[0] for row in told]
    last = files["Accounts"].groupby("account")["net_liquidation_dollars"].last()
    assert last.sum() == pytest.approx(told[-1][1])


def frame_of(content: bytes) -> pd.DataFrame:
    """A file as pandas opens it."""
    if content[:4] == b"PAR1":
        return pd.read_parquet(io.BytesIO(content))
    frame = pd.read_csv(io.BytesIO(content))
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name in frame.columns if name.endswith("_utc")})


@ON_PLAYED
def test_a_selloff_of_the_demo_shows_gap_breach_unknown_and_the_change_of_regime(
    played: tuple[Database, datetime],
) -> None:
    past = of_demo(played, timedelta(hours=3))
    assert len(_history.gaps(past.totals.covered())) == 1
    (gap,) = _history.gaps(past.totals.covered())
    assert 20 * 60 < (gap[1] - gap[0]) / 1e6 < 28 * 60
    lanes = {lane.check: lane for lane in past.lanes}
    assert past.lanes[0].worst is Level.BREACH
    assert lanes["beta_delta"].worst is Level.BREACH
    assert any(part.level is Level.UNKNOWN for part in lanes["source_state"].segments)
    assert [turn.new for turn in past.turns][-1] == "high_volatility"
    assert [name for name, _ in groupby(run.regime for run in past.runs)] == ["low_volatility", "high_volatility"]
    assert not any(run.begin < gap[1] and run.end > gap[0] for run in past.runs)
    for lane in past.lanes:
        assert not any(part.begin < gap[1] and part.end > gap[0] for part in lane.segments)
    assert float(np.nanmax(past.below_peak)) > 0.02  # its losses are bounded: most of what it is short is covered


@ON_PLAYED
def test_the_accounts_of_the_demo_add_up_to_the_book(played: tuple[Database, datetime]) -> None:
    for back in (timedelta(hours=3), timedelta(days=20)):
        past = of_demo(played, back)
        summed = sum(line.net_liquidation for line in past.accounts)
        known = ~np.isnan(past.totals.figures["net_liquidation"])
        assert np.allclose(np.asarray(summed)[known], past.totals.figures["net_liquidation"][known])


@ON_PLAYED
def test_months_are_drawn_from_quarters_and_records_dashed_before_them(played: tuple[Database, datetime]) -> None:
    past = of_demo(played, timedelta(days=200))
    figure = _charts.figure_of(past)
    records = trace(figure, "from the broker's records")
    assert records.line.dash == "dash"
    assert len(records.x) == 5
    assert past.points.raw_from < past.points.end
    assert max(len(each.x) for each in figure.data if each.x is not None) < 3 * 7000
