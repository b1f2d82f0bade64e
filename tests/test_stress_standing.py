"""What is known of the book in every cycle: curve, trough, scenarios, ladder, and how it is written down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guardrails.portfolio import Portfolio
from guardrails.stress.book import book_of
from guardrails.stress.outcome import outcome
from guardrails.stress.scenarios import TITLES, index_shock
from guardrails.stress.standing import CURVE, TILES, Standing, standing_of
from guardrails.summary.stress import stress_now
from tests.books import book, future, market, option, stock, with_limits


def standing(portfolio: Portfolio) -> Standing:
    found = standing_of(portfolio, with_limits())
    assert isinstance(found, Standing)
    return found


def spread() -> Portfolio:
    """Short a put spread bought back twice below: the loss is greatest between the strikes and turns further down."""
    return book(
        option("SPXW  261125P05800000", -4, "-0.2 0.001 5 -1 0.17", mark=8.0),
        option("SPXW  261125P05500000", 5, "-0.1 0.001 5 -1 0.22", mark=1.0),
    )


def test_the_curve_is_the_index_with_the_volatility_that_comes_with_it() -> None:
    found = standing(spread())
    assert [shock.index for shock in found.curve.shocks] == list(CURVE)
    assert [shock.vol for shock in found.curve.shocks] == [index_shock(step, 17.0).vol for step in CURVE]
    assert set(TILES) < set(CURVE)
    assert found.curve.total(CURVE.index(0.0)).known == 0.0


def test_the_trough_lies_between_the_points_of_the_curve() -> None:
    found = standing(spread())
    place = min(range(len(CURVE)), key=lambda at: found.curve.total(at).low)
    assert 0 < place < len(CURVE) - 1
    trough = found.trough.shocks[0]
    assert CURVE[place - 1] < trough.index < CURVE[place + 1]
    assert found.trough.total(0).low <= found.curve.total(place).low
    # as low as a search a hundred times as fine finds it, to half a per cent
    fine = [index_shock(CURVE[place - 1] + (CURVE[place + 1] - CURVE[place - 1]) * k / 200, 17.0) for k in range(201)]
    searched = outcome(found.book, fine)
    deepest = min(searched.total(at).low for at in range(201))
    assert found.trough.total(0).low == pytest.approx(deepest, rel=0.005)


def test_a_book_that_loses_most_at_the_end_of_the_curve_says_the_end() -> None:
    at = market(**{"/ESZ26": 6000.0})
    found = standing(book(future("/ESZ26", 1, 6000.0, 50.0), at=at))
    assert found.trough.shocks[0].index == -0.40
    assert found.trough.total(0).known == pytest.approx(-120_000.0)


def test_all_named_scenarios_are_there_once() -> None:
    names = [shock.name for shock in standing(spread()).scenarios.shocks]
    assert sorted(names) == sorted(TITLES)


def test_the_ladder_is_what_the_limits_ask_for() -> None:
    found, stress = standing(spread()), with_limits().keys.stress
    assert stress is not None
    asked = sorted({rung.index for rung in stress.ladder} | set(stress.min_excess_after))
    assert found.ladder is not None
    assert [shock.index for shock in found.ladder.shocks] == asked
    for place, shock in enumerate(found.ladder.shocks):
        if shock.index in CURVE:
            assert found.ladder.total(place) == found.curve.total(CURVE.index(shock.index))
    bare = standing_of(spread(), with_limits(stress=None))
    assert isinstance(bare, Standing)
    assert bare.ladder is None


def test_what_cannot_be_revalued_is_counted_and_widens() -> None:
    at = market({"XYZ": 1.0}, XYZ=200.0)
    held = book(stock("XYZ", 100, 200.0), option("XYZ   261218C00220000", -1, mark=5.0), at=at)
    found = standing(held)
    assert list(found.unvalued) == [False, True]
    # one of two by number; 20,000 of 40,000 by notional
    assert found.unvalued_share == pytest.approx(0.5)
    now = stress_now(replace(held, stress=found))
    assert now.unvalued == ("XYZ 18Dec26 220C",)
    assert all(row.pnl is None for row in now.curve)


def test_the_snapshot_names_scenarios_worst_first_with_their_words() -> None:
    held = spread()
    now = stress_now(replace(held, stress=standing(held)))
    lows = [row.at_least for row in now.scenarios]
    assert lows == sorted(lows)
    rows = {row.name: row for row in now.scenarios}
    assert rows["february_2018"].title == "5 Feb 2018"
    assert "VIX 17.31 to 37.32" in rows["february_2018"].words
    assert "Proxies" in rows["black_monday_1987"].words
    assert now.index == 6000.0
    assert now.trough is not None
    assert any("Volatility follows the index" in sentence for sentence in now.assumptions)
    assert not any("VXX" in sentence for sentence in now.assumptions)


def test_an_unbounded_scenario_is_the_worst_and_null() -> None:
    held = book(stock("XYZ", 100, None), at=market({"XYZ": 1.0}))
    now = stress_now(replace(held, stress=standing(held)))
    assert now.trough is not None
    assert now.trough.at_least is None
    assert now.scenarios[0].at_least is None
    assert now.curve[0].pnl is None


def test_what_is_unbounded_in_one_scenario_is_not_in_all() -> None:
    # without a VIX nobody knows how far VXX moves with volatility; with rates, or a gap of another name, it does not
    held = book(stock("VXX", 10, 50.0), at=replace(market(VXX=50.0), vix=None))
    rows = {row.name: row for row in stress_now(replace(held, stress=standing(held))).scenarios}
    assert rows["vol_up"].at_least is None
    assert rows["rates_up"].pnl == 0.0


def test_an_empty_book_loses_nothing_anywhere() -> None:
    found = standing(book())
    assert all(found.curve.total(place).known == 0.0 for place in range(len(CURVE)))
    assert all(found.scenarios.total(place).known == 0.0 for place in range(len(found.scenarios.shocks)))
    assert found.unvalued_share == 0.0


def test_why_nothing_is_known_is_passed_on() -> None:
    now = stress_now(replace(book(), stress="the book has not been revalued"))
    assert now.reason == "the book has not been revalued"
    assert now.curve == ()


def test_the_same_book_gives_the_same_figures() -> None:
    one, other = (stress_now(replace(spread(), stress=standing(spread()))) for _ in range(2))
    assert one == other


def test_two_expiries_of_a_calendar_are_not_moved_alike() -> None:
    # long the far, short the near: a parallel shock flatters the calendar, the term response does not
    held = book_of(
        book(
            option("SPXW  261125P05900000", -1, "-0.4 0.001 3 -2 0.17", mark=40.0),
            option("SPXW  270617P05900000", 1, "-0.4 0.001 16 -1 0.17", mark=160.0),
        )
    )
    shock = index_shock(-0.05, 17.0)
    assert outcome(held, [shock]).total(0).low < outcome(held, [replace(shock, parallel=True)]).total(0).low
