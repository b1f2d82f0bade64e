"""The Scenarios page in every state a person can meet it in, and what Risk and Positions say of stress."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from guardrails.assess import Inputs, assess
from guardrails.findings import Finding, Level
from guardrails.instruments import Kind
from guardrails.intervals import Interval
from guardrails.matrix import parse
from guardrails.memory import Memory
from guardrails.pricing import compiled
from guardrails.snapshot.sources import SourceRow
from guardrails.snapshot.stress import AccountStressRow, StressNow, StressRow
from guardrails.store import rows
from guardrails.store.books import book_of as stored_book
from guardrails.store.captures import PERIOD, capture_row
from guardrails.store.database import Database, open_database
from guardrails.store.inserts import insert
from guardrails.store.schema import BOOKS, MATRIX_VERSIONS
from guardrails.store.sharing import CAPTURES
from guardrails.stress import COMPILING
from guardrails.stress.book import book_of
from guardrails.stress.near_expiry import Line, near_expiry
from guardrails.stress.part import axis_of
from guardrails.values import SourceState, View
from pages import _heatmap, _payoff
from pages._dollars import between, move_words, row_words, short
from pages._figures import chance_words
from pages._near_expiry import contracts_words
from pages._scenarios import Bench, Question
from pages._stress import (
    account_words,
    folded,
    if_it_moves,
    liquidation_words,
    statement_words,
    titled,
    worst_words,
)
from pages._tables import leg_table
from tests.books import NOW, TASTY, account, book, day, market, option, stock, view
from tests.stored import MATRIX_TEXT
from tests.test_pages import Start, shown, start, words

__all__ = ["start"]  # a fixture

PAGE = "scenarios.py"
GREEKS = "-0.20 0.001 0.50 -0.10 0.20"
STORED = stored_book(("test",))


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    """Compiled or loaded before any page is drawn: what a page does meanwhile has a test of its own."""
    compiled.prepare()


def a_book(*more: Any) -> View:
    """A put spread on the index and a covered call, over two accounts."""
    held = (
        option("SPXW  261218P05800000", -2, GREEKS, mark=40.0, average_price=55.0),
        option("SPXW  261218P05700000", 2, "-0.15 0.001 0.50 -0.10 0.22", mark=30.0, average_price=41.0),
        stock("AAPL", 100, 250.0, TASTY, average_price=230.0),
        option("AAPL  261127C00260000", -1, "0.3 0.02 0.2 -0.1 0.3", TASTY, mark=2.0, average_price=3.0),
    )
    return view(*held, *more, accounts=[account(), account(TASTY)], at=market({"AAPL": 1.2}, AAPL=250.0))


def opened(start: Start, words_of: View, **more: Any) -> AppTest:
    """The page on a book that the engine has revalued."""
    start(words_of, **more)
    return shown(PAGE)


def figures(at: AppTest) -> str:
    return next(e.proto.body for e in at.get("html") if "pg-figures" in e.proto.body)


def charts(at: AppTest) -> list[Any]:
    return list(at.get("vega_lite_chart"))


def table(at: AppTest, column: str) -> Any:
    return next(frame.value for frame in at.dataframe if column in frame.value.columns)


# --- what is shown ---


def test_a_book_has_curves_a_map_a_table_of_what_hurts_and_scenarios(start: Start) -> None:
    at = opened(start, a_book())
    said = words(at)
    assert "The book of 10:30:00 ET" in said
    assert said.count("Model vs broker now: ") >= 4
    assert len(charts(at)) == 2
    for name in ("P&amp;L: SPX 5,700 (−5 %)", "Break-even at expiry", "Most gained", "Most lost", "Chance of a profit"):
        assert name in figures(at)
    hurts = table(at, "Quantity")
    assert hurts["P&L"].is_monotonic_increasing
    assert len(hurts) == 4
    scenarios = table(at, "Scenario")
    assert {"19 Oct 1987", "One name gaps", "Spreads widen", "Index −20 %"} <= set(scenarios["Scenario"])
    assert "U0000004567" not in said
    assert "pg-silent" not in said


def test_the_figure_is_that_of_the_outcome_at_the_sliders(start: Start) -> None:
    """All 5 % down, parallel to nothing: volatility as the slider says, today."""
    engine = start(a_book())
    at = shown(PAGE)
    at.toggle(key="follow_index").set_value(False).run()
    at.slider(key="move_index").set_value(-10.0)
    at.slider(key="rise_index").set_value(12)
    at = at.slider(key="day").set_value(day("2026-11-18")).run()
    assert not at.exception
    assert engine.assessment is not None
    whole = book_of(engine.assessment.portfolio)
    bench = Bench(whole, axis_of(whole.portfolio))
    total = bench.asked(Question(-0.10, 0.12, False, day("2026-11-18"))).total  # noqa: FBT003  # a value's field
    assert f"<b>{short(total.low)}</b>" in figures(at)
    assert "SPX 5,400 (−10 %), volatility +12 points, now" in figures(at)


def test_one_underlying_moves_by_itself_and_its_volatility_does_not_follow(start: Start) -> None:
    at = opened(start, a_book())
    at = at.multiselect(key="pick_underlying").set_value(["AAPL"]).run()
    assert not at.exception
    assert "AAPL 237.50 (−5 %), volatility 0 points" in figures(at)
    assert at.toggle(key="follow_AAPL").disabled
    assert set(table(at, "Quantity")["What"]) == {"AAPL", "AAPL 27Nov26 260C"}
    # covered call: 100 x 10 gained to the strike, and the call's premium by the model
    assert "at 260.00" in figures(at)


def test_chosen_positions_and_accounts_narrow_the_part(start: Start) -> None:
    at = opened(start, a_book())
    chosen = next(name for name in at.multiselect(key="pick_position").options if "5700P" in name)
    at = at.multiselect(key="pick_position").set_value([chosen]).run()
    assert list(table(at, "Quantity")["What"]) == ["SPXW 18Dec26 5700P"]
    at = at.multiselect(key="pick_position").set_value([]).run()
    at = at.multiselect(key="pick_account").set_value(["tastytrade •••0001"]).run()
    assert set(table(at, "Quantity")["Account"]) == {"tastytrade •••0001"}
    assert "Showing tastytrade •••0001 only" in words(at)


def test_a_named_scenario_stands_in_for_the_sliders(start: Start) -> None:
    at = opened(start, a_book())
    at = at.selectbox(key="case_index").set_value("19 Oct 1987").run()
    assert "P&amp;L: 19 Oct 1987" in figures(at)
    assert not [one for one in at.slider if one.key in ("move_index", "rise_index", "day")]
    assert "Ring: 19 Oct 1987" in words(at) or "of 19 Oct 1987 lies beyond the chart" in words(at)
    scenarios = table(at, "Scenario").set_index("Scenario")["P&L at least"]  # nobody quotes: spreads are a range
    assert f"<b>{short(scenarios['19 Oct 1987'])}</b>" in figures(at)
    assert table(at, "Quantity")["P&L"].sum() == pytest.approx(scenarios["19 Oct 1987"])


def test_counted_from_what_was_paid_the_curves_move_by_the_open_pnl(start: Start) -> None:
    at = opened(start, a_book())
    before = figures(at)
    headline = bench_total(before)
    at = at.segmented_control(key="counted_from").set_value("what was paid").run()
    assert not at.exception
    assert "from what was paid" in figures(at)
    # (40 - 55) x -200 + (30 - 41) x 200 + (250 - 230) x 100 + (2 - 3) x -100 = 3,000 - 2,200 + 2,000 + 100
    assert bench_total(figures(at)) == pytest.approx(headline + 2_900, abs=100)
    unpaid = a_book(option("SPXW  261218P05500000", 1, GREEKS, mark=10.0))
    bench = Bench(book_of(book(*unpaid.positions, at=unpaid.market)), axis_of(book(at=market())))
    assert bench.opened() is None


def bench_total(html: str) -> float:
    """Dollars of the headline: `<b>−$1.2k</b>`."""
    found = html.split("<b>")[1].split("</b>", maxsplit=1)[0].replace("−", "-").replace("$", "").replace("+", "")
    return float(found.removesuffix("k")) * (1000.0 if found.endswith("k") else 1.0)


def test_the_page_opens_on_today(start: Start) -> None:
    at = opened(start, a_book())
    assert at.slider(key="day").value == day("2026-11-18")
    assert "points, now" in figures(at)


def test_volatility_stays_where_following_has_brought_it(start: Start) -> None:
    at = opened(start, a_book())
    headline = figures(at).split("</b>")[0]
    at = at.toggle(key="follow_index").set_value(False).run()
    assert at.slider(key="rise_index").value == pytest.approx(7.9, abs=3.0)
    assert (
        figures(at).split("volatility ")[1].split(" points")[0] == headline.split("volatility ")[1].split(" points")[0]
    )
    at = at.slider(key="rise_index").set_value(2.0).run()
    at = at.slider(key="move_index").set_value(-7.0).run()
    assert at.slider(key="rise_index").value == 2.0


def test_the_sliders_come_back_where_they_stood(start: Start) -> None:
    at = opened(start, a_book())
    at = at.slider(key="move_index").set_value(-12.0).run()
    at = at.selectbox(key="case_index").set_value("19 Oct 1987").run()
    said = words(at)
    assert "Ring: the sliders" not in said
    assert "the sliders" not in "".join(one.value for one in at.caption)
    at = at.selectbox(key="case_index").set_value("Index −5 %").run()
    assert "Ring: Index −5 %." in words(at)
    at = at.selectbox(key="case_index").set_value("the sliders").run()
    assert at.slider(key="move_index").value == -12.0


def test_the_count_is_of_what_is_chosen(start: Start) -> None:
    at = opened(start, a_book())
    assert "<span>4 positions</span>" in words(at)
    at = at.multiselect(key="pick_underlying").set_value(["AAPL"]).run()
    assert "<span>2 of 4 positions</span>" in words(at)


def test_a_chance_is_never_certain() -> None:
    assert [chance_words(share) for share in (0.0, 0.004, 0.01, 0.5, 0.99, 0.996, 1.0, math.nan)] == [
        "under 1 %", "under 1 %", "1 %", "50 %", "99 %", "over 99 %", "over 99 %", "not known",
    ]  # fmt: skip


def test_stress_of_a_silent_source_says_how_old_its_data_is(start: Start) -> None:
    silent = replace(
        a_book(), source=replace(a_book().source, state=SourceState.STALE, time=NOW - timedelta(minutes=9))
    )
    at = opened(start, silent)
    bar = next(e.proto.body for e in at.get("html") if "The book shown" in e.proto.body)
    assert "pg-silent" in bar
    assert "9 min" in bar
    assert "pg-figures pg-silent" in figures(at)
    assert sum("9 min" in one.value for one in at.caption) >= 3
    strip = next(e.proto.body for e in shown("risk.py").get("html") if "pg-moves" in e.proto.body)
    assert "pg-silent" in strip
    assert "test has gone silent: no data since 10:21:00 ET (9 min)" in strip


def test_a_statement_of_another_day_is_old_data() -> None:
    row = SourceRow("statement:a.csv", "file", 3 * 86_400.0, "")
    assert statement_words(row, NOW) == "statement:a.csv is of Sun 15 Nov 10:30 ET (3 d old)"
    assert statement_words(replace(row, age_seconds=60.0), NOW) == ""
    assert statement_words(replace(row, state="live"), NOW) == ""


def rung(name: str, level: Level, use: float, check: str = "stress_ladder") -> Finding:
    return Finding(check, f"portfolio:{name}", level, -1.0, -1.0, "USD", None, f"P&L at {name}.", {"use": use})


def test_rungs_fold_into_their_worst_and_accounts_do_not() -> None:
    found = [
        rung("SPX -5 %", Level.BREACH, 1.1), rung("SPX -20 %", Level.BREACH, 2.0), rung("SPX -3 %", Level.UNKNOWN, 0.0),
        rung("a", Level.BREACH, 1.0, "stress_excess"), rung("b", Level.BREACH, 1.0, "stress_excess"),
        rung("spreads_widen", Level.WATCH, 0.9, "stress_scenarios"),
    ]  # fmt: skip
    assert [one.message for one in folded(found)] == [
        "P&L at SPX -20 %. And 2 more rungs: 1 BREACH, 1 UNKNOWN.", "P&L at a.", "P&L at b.", "P&L at spreads_widen.",
    ]  # fmt: skip


def test_rungs_and_scenarios_are_called_as_a_person_calls_them() -> None:
    assert titled(rung("SPX -20 %", Level.OK, 0.1)).subject == "portfolio:SPX −20 %"
    assert titled(rung("spreads_widen", Level.OK, 0.1, "stress_scenarios")).subject == "portfolio:Spreads widen"
    other = rung("black_monday_1987", Level.OK, 0.1, "gamma")
    assert titled(other) is other


# --- what is not known ---


def test_what_cannot_be_revalued_is_named_and_makes_a_range(start: Start) -> None:
    at = opened(start, a_book(option("NVDA  261218C00200000", -1, account=TASTY)))
    said = words(at)
    assert "1 position cannot be revalued: NVDA 18Dec26 200C" in said
    assert "pg-unknown" in said
    hurts = table(at, "Quantity")
    assert {"P&L at least", "P&L at most"} <= set(hurts.columns)
    assert hurts.iloc[0]["What"] == "NVDA 18Dec26 200C"  # nothing bounds it: first
    assert np.isnan(hurts.iloc[0]["P&L at least"])
    assert "without 1 not revalued" in figures(at)
    assert "<b>?</b>" in figures(at) or "at most" in figures(at)


def test_a_beta_that_is_not_known_is_said_as_a_range(start: Start) -> None:
    shares = stock("XYZ", 400, 50.0, average_price=50.0)
    at = opened(start, view(shares, accounts=[account()], at=market(XYZ=50.0)))
    assert "XYZ 47.50 (−5 %)" in figures(at)  # one name alone needs no beta; with another the index moves both
    both = view(shares, stock("SPY", 10, 600.0), accounts=[account()], at=market(XYZ=50.0))
    bench_book = book(*both.positions, at=both.market)
    whole = book_of(bench_book)
    total = Bench(whole, axis_of(bench_book)).asked(Question(-0.05, 0.0, False, day("2026-11-18"))).total  # noqa: FBT003  # as above
    # beta 0 to 2 of 20,000 dollars at -5 %: 0 to -2,000; SPY: -300
    assert between(total.low, total.high) == "between −$2.3k and −$300"


def test_an_empty_book_is_not_called_flat_and_cash_moves_nothing(start: Start) -> None:
    said = words(opened(start, view(at=market())))
    assert "Nothing to revalue" in said
    start(a_book())
    at = shown(PAGE)
    groups = at.multiselect(key="pick_underlying").options
    assert groups == ["AAPL", "SPX"]


def test_before_the_first_answer_it_says_what_it_waits_for(start: Start) -> None:
    start(a_book(), run=False)
    said = words(shown(PAGE))
    assert "No data yet" in said
    assert "pg-silent" in said


def test_while_kernels_are_compiled_the_page_says_so_and_what_it_waits_for(start: Start) -> None:
    engine = start(a_book(), run=False)
    found = assess([a_book()], engine.matrix, Memory(), NOW, compiling=True)
    engine._last.see(found.snapshot, found)
    said = words(shown(PAGE))
    assert "The pricing kernels are being compiled" in said
    assert "$" not in said.split("The pricing kernels")[1]
    risk = words(shown("risk.py"))
    assert COMPILING in risk


def test_an_old_book_is_striped_and_says_how_old(start: Start) -> None:
    engine = start(a_book())
    engine.stop()
    engine.now.time += timedelta(minutes=7)  # type: ignore[attr-defined]  # the test's own clock
    at = shown(PAGE)
    bar = next(e.proto.body for e in at.get("html") if "The book shown" in e.proto.body)
    assert "pg-silent" in bar
    assert "7 min old" in bar
    assert "Refresh to" not in bar  # the engine has stopped: there is no later book to compute with
    assert "pg-figures pg-silent" in figures(at)


def test_without_any_book_the_page_says_why(start: Start, tmp_path: Path) -> None:
    engine = start(a_book(), run=False)
    engine._last.restore(assess([a_book()], engine.matrix, Memory(), NOW).snapshot)
    said = words(shown(PAGE))
    assert "Nothing can be revalued" in said
    assert "there is no database in which books are captured" in said
    with_store = open_database(tmp_path / "store", lambda: NOW)
    engine = start(a_book(), run=False, database=with_store)
    engine._last.restore(assess([a_book()], engine.matrix, Memory(), NOW).snapshot)
    assert "no moment is stored yet" in words(shown(PAGE))
    with_store.close()


# --- books made again from captures ---


def earlier(value: Any) -> Any:
    """The same as it was said an hour before: what is dated after its capture would not be believed."""
    if isinstance(value, datetime):
        return value - timedelta(hours=1)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: earlier(getattr(value, one.name)) for one in fields(value) if one.init})
    if isinstance(value, Mapping):
        return {key: earlier(one) for key, one in value.items()}
    return tuple(earlier(one) for one in value) if isinstance(value, tuple) else value


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Database]:
    """A store with the book as it was an hour ago."""
    database = open_database(tmp_path / "store", lambda: NOW)
    then = NOW - timedelta(hours=1)
    inputs = Inputs((earlier(a_book()),), Memory(), then)
    snapshot = assess(inputs.views, parse(MATRIX_TEXT), Memory(), then).snapshot
    with database.writing(durable=False) as connection:
        insert(connection, BOOKS, [rows.book_row(STORED, snapshot)])
        insert(connection, MATRIX_VERSIONS, [rows.matrix_row(STORED, snapshot, MATRIX_TEXT)])
        insert(connection, CAPTURES, [capture_row(STORED.key, PERIOD, inputs, snapshot)])
    yield database
    database.close()


def test_a_program_that_only_shows_computes_with_the_captured_book_and_says_so(start: Start, kept: Database) -> None:
    engine = start(a_book(), run=False, database=kept)
    engine._last.restore(assess([a_book()], engine.matrix, Memory(), NOW).snapshot)
    at = shown(PAGE)
    said = words(at)
    assert "the book as captured Wed 18 Nov 2026 09:30:00 ET" in said
    assert len(table(at, "Quantity")) == 4
    assert len(charts(at)) == 2
    assert "U0000004567" not in said


def test_the_past_is_revalued_from_its_capture(start: Start, kept: Database) -> None:
    start(a_book(), database=kept)
    at = shown("risk.py")
    local = (NOW - timedelta(hours=1, minutes=0)).replace(tzinfo=None) - timedelta(hours=5)
    at.datetime_input(key="past_first").set_value(local)
    at = at.button(key="past_open").click().run().switch_page(PAGE).run()
    assert not at.exception, at.exception
    said = words(at)
    assert "The book as captured Wed 18 Nov 2026 09:30:00 ET" in said
    assert "Nothing below is of now." in said
    assert not [one for one in at.button if one.label == "Refresh"]
    assert len(table(at, "Quantity")) == 4


def test_a_capture_that_cannot_be_read_shows_nothing_in_its_place(start: Start, kept: Database) -> None:
    with kept.writing(durable=False) as connection:
        connection.execute(CAPTURES.update().values(inputs=b"damaged"))
    engine = start(a_book(), run=False, database=kept)
    engine._last.restore(assess([a_book()], engine.matrix, Memory(), NOW).snapshot)
    said = words(shown(PAGE))
    assert "Nothing can be revalued" in said
    assert "is damaged and cannot be read" in said


# --- the pictures ---


def bench_of(*positions: Any, group: str = "", **prices: float) -> Bench:
    portfolio = book(*positions, at=market({"AAPL": 1.2}, **prices))
    return Bench(book_of(portfolio), axis_of(portfolio, group))


def test_sliders_change_the_data_of_a_chart_and_never_its_spec() -> None:
    bench = bench_of(option("SPXW  261218P05800000", -2, GREEKS), option("SPXW  261218P05700000", 2, GREEKS))
    specs, datas = set(), []
    for move, when in ((-0.05, "2026-11-20"), (-0.20, "2026-12-10")):
        asked = Question(move, bench.rise(move), True, day(when))  # noqa: FBT003  # as above
        lines = {_payoff.TODAY: bench.line(asked, bench.today), _payoff.CHOSEN: bench.line(asked, asked.day)}
        specs.add(repr(_payoff.payoff_spec(bench.axis, bench.reach(), "light")))
        specs.add(repr(_heatmap.heat_spec(bench.axis, "light")))
        datas.append(_payoff.lines_data(bench.axis, lines, (), bench.reach()))
    assert len(specs) == 2
    assert not datas[0].equals(datas[1])


def test_the_curves_agree_with_the_revaluation_of_their_points() -> None:
    bench = bench_of(option("SPXW  261218P05800000", -2, GREEKS), option("SPXW  261127C06200000", -1, GREEKS))
    asked = Question(-0.05, bench.rise(-0.05), True, day("2026-11-24"))  # noqa: FBT003  # as above
    line = bench.line(asked, asked.day)
    exact = bench.asked(asked).total.low
    assert float(np.interp(-0.05, line.move, line.low)) == pytest.approx(exact, abs=0.02 * abs(exact))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_cell_of_the_map_can_be_read(theme: str) -> None:
    for place in np.linspace(-1, 1, 41):
        fill = _heatmap.shade(float(place), theme)
        assert max(_heatmap.contrast(ink, fill) for ink in _heatmap.INKS) >= 4.5


def test_the_map_frames_the_sliders_and_says_both_ends_of_what_is_not_known() -> None:
    portfolio = book(stock("XYZ", 400, 50.0), stock("SPY", 10, 600.0), at=market(XYZ=50.0))
    bench = Bench(book_of(portfolio), axis_of(portfolio))
    found = bench.surface(day("2026-11-18"))
    data = _heatmap.heat_data(bench.axis, found, bench.columns(), bench.rise, "light")
    data = _heatmap.framed(data, found, bench.columns(), -0.05, 0.0)
    assert len(data) == 21 * 9
    here = data[data["here"]].iloc[0]
    assert (here["move"], here["rise"]) == ("−5 %|5,700", "0 points")
    assert here["text"] == "−$2.3k|−$300"
    assert data.groupby("move")["usual"].sum().eq(1).all()


def test_as_many_long_as_short_is_not_nothing() -> None:
    line = Line("", day("2026-11-20"), None, 0.0, Interval(0.0, 0.0), Interval(0.0, 0.0), 2.0, 2.0)
    assert contracts_words(line) == "2 long, 2 short"
    assert contracts_words(replace(line, contracts=1.0, long=3.0)) == "+1: 3 long, 2 short"
    assert contracts_words(replace(line, contracts=-2.0, long=0.0)) == "−2"
    assert contracts_words(replace(line, contracts=None)) is None
    held = book(option("SPXW  261120P05800000", -2, GREEKS), option("SPXW  261120P05700000", 2, GREEKS))
    (expiry,) = near_expiry(book_of(held)).expiries
    assert (expiry.contracts, expiry.long, expiry.short) == (0.0, 2.0, 2.0)


# --- Risk and Positions ---


def test_risk_shows_the_book_at_a_few_moves_and_its_worst(start: Start) -> None:
    start(a_book())
    said = words(shown("risk.py"))
    assert "If the market moves (with volatility)" in said
    block = said[said.index("pg-moves") :]
    for name in ("−5 %", "−3 %", "−1 %", "now", "+1 %", "+3 %", "worst: "):
        assert name in block
    assert "Model vs broker now: " in block


def test_risk_says_why_nothing_is_known_of_stress() -> None:
    why = "the book cannot be revalued (ValueError); see the log"
    assert "UNKNOWN" in if_it_moves(StressNow(reason=why))
    assert why in if_it_moves(StressNow(reason=why))
    assert "a version that did not revalue" in if_it_moves(StressNow())  # a moment stored before stress was known


def curve_row(index: float, low: float | None, high: float | None) -> StressRow:
    return StressRow(f"{index:+.0%}", index, 0.1, low if low == high else None, low, high)


def test_ranges_are_said_as_ranges() -> None:
    assert row_words(curve_row(-0.05, -31_200.0, -18_000.0)) == "between −$31k and −$18k"
    assert row_words(curve_row(-0.05, None, -18_000.0)) == "at most −$18k"
    assert row_words(curve_row(-0.05, None, None)) == "?"
    assert row_words(curve_row(-0.05, 4_260.0, 4_260.0)) == "+$4.3k"
    assert (short(0.2), short(-999.6), short(1_250_000.0)) == ("$0", "−$1.0k", "+$1.2M")
    assert (move_words(-0.085), move_words(0.0), move_words(0.03)) == ("−8.5 %", "0 %", "+3 %")
    stress = StressNow(
        index=6000.0, curve=(curve_row(-0.1, -5.0, -5.0),), trough=curve_row(-0.085, -46_000.0, -46_000.0)
    )
    assert worst_words(stress) == "−$46k at −8.5 % (SPX 5,490), volatility +10 points"
    assert worst_words(replace(stress, trough=stress.curve[0])).endswith("no further was looked")
    calm = replace(stress, trough=curve_row(0.0, 0.0, 0.0))
    assert worst_words(calm) == "no loss between −10 % and −10 %"


def account_row(**more: Any) -> AccountStressRow:
    row = AccountStressRow("IBKR •••4567", "strategy", 41_200.0, 39_800.0, 35_100.0, 5610.0, 6480.0, (-0.6, 0.4), None)
    row = replace(row, down=-0.065, up=0.08)
    return replace(row, **more)


def test_the_distance_to_liquidation_is_an_estimate_beside_the_brokers_margin() -> None:
    said = account_words(account_row(), "IBKR", StressNow())
    assert "Zero excess at −6.5 % (SPX 5,610) / +8 % (SPX 6,480), our estimate" in said
    assert "we estimate $41,200 (strategy rules), IBKR says $39,800" in said
    one_side = account_row(zero_up=None, up=None)
    assert liquidation_words(one_side) == "Zero excess at −6.5 % (SPX 5,610) / none up to +40 %, our estimate"
    nowhere = account_row(zero_down=None, zero_up=None, down=None, up=None)
    assert liquidation_words(nowhere) == "No zero of excess between −60 % and +40 %, our estimate"
    no_level = account_row(zero_down=None, zero_up=None)
    assert liquidation_words(no_level) == (
        "Zero excess at −6.5 % / +8 % (level of the S&P 500 not known), our estimate"
    )
    of_an_older_version = account_row(down=None, up=None)
    assert liquidation_words(of_an_older_version) == "Zero excess at SPX 5,610 / SPX 6,480, our estimate"
    unknown = account_row(reason="no margin figure")
    assert liquidation_words(unknown) == "Distance to zero excess not known: no margin figure"
    assert "not known: kernels" in account_words(None, "IBKR", StressNow(reason="kernels"))
    assert "not known: nothing was computed" in account_words(None, "IBKR", StressNow())


def test_positions_show_model_and_market_beside_each_other(start: Start) -> None:
    engine = start(a_book())
    assert engine.latest is not None
    legs = leg_table(engine.latest.positions, {}, 60.0).set_index("What")
    put = next(row for row in engine.latest.positions if row.label == "SPXW 18Dec26 5800P")
    assert put.model is not None
    assert float(legs.loc[put.label, "Model"]) == pytest.approx(put.model, abs=0.005)
    # -2 contracts, 100 each, marked 40
    assert float(legs.loc[put.label, "Model − market, $"]) == pytest.approx(-200 * (put.model - 40.0), abs=0.01)
    assert list(legs.loc["AAPL", ["Model", "Model − market, $"]]) == ["", ""]
    bare = replace(put, model=None, residual=None)
    assert leg_table([bare], {}, 60.0)["Model"].isna().all()
    assert bare.kind == Kind.INDEX_OPTION


def test_chances_rest_on_the_vix_where_nothing_is_held_at_the_money() -> None:
    bench = bench_of(option("SPXW  261218P05000000", -2, GREEKS))
    found = bench.volatility(30.0)
    assert found is not None
    assert found.words == "VIX 17.0"
    none = replace(bench.whole.portfolio, market=replace(bench.whole.portfolio.market, vix=None))
    assert Bench(replace(bench.whole, portfolio=none), bench.axis).volatility(30.0) is None


def test_a_move_of_the_index_has_no_place_on_the_axis_of_one_name(start: Start) -> None:
    at = opened(start, a_book())
    at = at.multiselect(key="pick_underlying").set_value(["AAPL"]).run()
    at = at.selectbox(key="case_AAPL").set_value("19 Oct 1987").run()
    assert not at.exception
    said = words(at)
    assert "No ring: 19 Oct 1987 moves the index and not AAPL by itself." in said
    assert "No frame: 19 Oct 1987 is not on it." in said
