"""What shocks do to single positions, worked by hand and by a Black-Scholes of the test's own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.portfolio import Portfolio
from guardrails.stress.book import book_of
from guardrails.stress.outcome import by_position, joined, outcome, picked
from guardrails.stress.scenarios import index_shock
from guardrails.stress.shocks import Shock
from guardrails.values import Observed
from tests.books import IBKR, NOW, TASTY, account, book, future, market, option, stock

DAYS = 30 + 5.5 / 24
"""from 15:30 UTC on 18 November to 16:00 in New York (21:00 UTC) on 18 December"""
PUT, CALL = "SPXW  261218P05800000", "SPXW  261218C06200000"
FALL = Shock("fall", -0.05, 0.08)


def black(sign: int, spot: float, strike: float, days: float, vol: float) -> float:
    """Black-Scholes without rates, written anew."""
    spread = vol * math.sqrt(days / 365)
    d1 = math.log(spot / strike) / spread + spread / 2
    phi = [0.5 * (1 + math.erf(sign * x / math.sqrt(2))) for x in (d1, d1 - spread)]
    return sign * (spot * phi[0] - strike * phi[1])


def pnl(portfolio: Portfolio, *shocks: Shock) -> list[float]:
    found = outcome(book_of(portfolio), shocks)
    totals = [found.total(place) for place in range(len(shocks))]
    assert all(total.known is not None for total in totals)
    return [total.low for total in totals]


def test_a_stock_moves_by_its_beta() -> None:
    at = market({"XYZ": 1.5}, XYZ=200.0)
    # 100 shares at 200: 20,000 x 1.5 x -5 % = -1,500; uniform: 20,000 x -5 % = -1,000
    held = book(stock("XYZ", 100, 200.0), at=at)
    assert pnl(held, FALL, replace(FALL, uniform=True)) == pytest.approx([-1_500.0, -1_000.0])


def test_a_future_moves_by_its_multiplier() -> None:
    # one ES at 6,000, 50 dollars a point: -5 % is -300 points, -15,000 dollars; short the same as a gain
    at = market(**{"/ESZ26": 6000.0})
    assert pnl(book(future("/ESZ26", 1, 6000.0, 50.0), at=at), FALL) == pytest.approx([-15_000.0])
    assert pnl(book(future("/ESZ26", -1, 6000.0, 50.0), at=at), FALL) == pytest.approx([15_000.0])


def test_a_short_put_loses_by_spot_and_volatility() -> None:
    held = book(option(PUT, -1, "-0.3 0.001 5 -1 0.20", mark=60.0))
    # the expiry is 30.2 days away: 8 points x (30 / 30.229)^0.4
    vol = 0.20 + 0.08 * (30 / DAYS) ** 0.4
    before = black(-1, 6000, 5800, DAYS, 0.20)
    after = black(-1, 5700, 5800, DAYS, vol)
    assert pnl(held, FALL) == pytest.approx([-100 * (after - before)], rel=1e-9)
    assert after - before > 100


def test_a_week_moves_further_than_a_year() -> None:
    names = ("SPXW  261125P05800000", "SPXW  271117P05800000")
    near, far = (book(option(name, -1, "-0.3 0.001 5 -1 0.20")) for name in names)
    more = Shock("vol", vol=0.10)
    week, year = 7 + 5.5 / 24, 364 + 5.5 / 24
    for held, days in ((near, week), (far, year)):
        vol = 0.20 + 0.10 * (30 / days) ** 0.4
        expected = -100 * (black(-1, 6000, 5800, days, vol) - black(-1, 6000, 5800, days, 0.20))
        assert pnl(held, more) == pytest.approx([expected], rel=1e-9)
        parallel = -100 * (black(-1, 6000, 5800, days, 0.30) - black(-1, 6000, 5800, days, 0.20))
        assert pnl(held, replace(more, parallel=True)) == pytest.approx([parallel], rel=1e-9)


def test_time_passes_and_expiry_leaves_the_intrinsic_value() -> None:
    held = book(option(PUT, -1, "-0.3 0.001 5 -1 0.20", mark=60.0))
    before = black(-1, 6000, 5800, DAYS, 0.20)
    after = black(-1, 6000, 5800, DAYS - 7, 0.20)
    assert pnl(held, Shock("week", days=7)) == pytest.approx([-100 * (after - before)], rel=1e-9)
    # 31 days on it has expired: worthless at 6,000, and 100 at 5,700
    assert pnl(held, Shock("month", days=31)) == pytest.approx([100 * before], rel=1e-9)
    assert pnl(held, Shock("both", -0.05, days=31)) == pytest.approx([100 * (before - 100)], rel=1e-9)


def test_a_short_straddle_loses_both_ways_and_a_long_put_gains_on_falls() -> None:
    straddle = book(
        option("SPXW  261218P06000000", -1, "-0.5 0.001 5 -1 0.17", mark=110.0),
        option("SPXW  261218C06000000", -1, "0.5 0.001 5 -1 0.17", mark=110.0),
    )
    down, up = pnl(straddle, index_shock(-0.08, 17.0), index_shock(0.08, 17.0))
    assert down < -20_000
    assert up < -10_000
    put = book(option(PUT, 1, "-0.3 0.001 5 -1 0.20", mark=60.0))
    falls = pnl(put, *(index_shock(step, 17.0) for step in (-0.01, -0.05, -0.20)))
    assert 0 < falls[0] < falls[1] < falls[2]


def test_volatility_of_a_name_moves_by_its_ratio_and_that_of_the_index_by_itself() -> None:
    # XYZ stands at 34 with VIX at 17: two points for one. SPX options of 34 still move one for one
    at = market({"XYZ": 1.0}, XYZ=6000.0)
    shares, index = "XYZ   261218P05800000", "SPXW  261218P05800000"
    more = Shock("vol", vol=0.10, parallel=True)
    single = book(option(shares, -1, "-0.3 0.001 5 -1 0.34"), at=at)
    expected = -100 * (black(-1, 6000, 5800, DAYS, 0.44) - black(-1, 6000, 5800, DAYS, 0.34))
    assert pnl(book(option(index, -1, "-0.3 0.001 5 -1 0.34")), more) == pytest.approx([expected])
    assert pnl(single, more)[0] < 1.8 * expected


def test_an_unknown_beta_widens_and_contains_every_known_one() -> None:
    at = market({"XYZ": 0.7}, XYZ=200.0)
    known = pnl(book(stock("XYZ", 100, 200.0), at=at), FALL)[0]
    vague = outcome(book_of(book(stock("XYZ", 100, 200.0), at=market(XYZ=200.0))), [FALL]).total(0)
    # bounded at beta 0 and 2: 20,000 x 2 x -5 % = -2,000
    assert (vague.low, vague.high, vague.known) == (pytest.approx(-2_000.0), pytest.approx(0.0), None)
    assert vague.low < known < vague.high


def test_a_certain_underlying_stays_certain_beside_an_unknown_beta() -> None:
    at = market({"XYZ": 1.5}, XYZ=200.0, ABC=50.0)
    found = outcome(book_of(book(stock("XYZ", 100, 200.0), stock("ABC", 10, 50.0), at=at)), [FALL])
    assert found.total(0, found.of_underlying("XYZ")).known == pytest.approx(-1_500.0)
    assert found.total(0, found.of_underlying("ABC")).known is None
    assert found.total(0).low == pytest.approx(-1_500.0 - 500 * 2 * 0.05)


def test_an_option_without_volatility_lies_between_what_it_can_be_worth() -> None:
    # a short call at 5.00 on XYZ at 200: after -5 % x 1.5 it is worth 0 to 185, American or not
    at = market({"XYZ": 1.5}, XYZ=200.0)
    held = book(option("XYZ   261218C00220000", -1, mark=5.0), at=at)
    found = outcome(book_of(held), [FALL]).total(0)
    assert (found.low, found.high) == (pytest.approx(-100 * (185 - 5)), pytest.approx(100 * 5.0))
    assert found.known is None


def test_a_missing_price_is_unbounded_and_not_zero() -> None:
    found = outcome(book_of(book(stock("XYZ", 100, None), at=market({"XYZ": 1.0}))), [FALL]).total(0)
    assert (found.low, found.high, found.missing) == (-math.inf, math.inf, True)
    assert np.isnan(by_position(book_of(book(stock("XYZ", 100, None))), [FALL])).all()


def test_accounts_are_told_apart() -> None:
    at = market({"XYZ": 1.0}, XYZ=200.0)
    held = book(
        stock("XYZ", 100, 200.0), stock("XYZ", -100, 200.0, account=TASTY), accounts=[account(), account(TASTY)], at=at
    )
    found = outcome(book_of(held), [FALL])
    assert found.total(0).known == 0.0
    assert found.total(0, found.of_account(IBKR)).known == pytest.approx(-1_000.0)
    assert found.total(0, found.of_account(TASTY)).known == pytest.approx(1_000.0)


def test_rates_move_the_forward() -> None:
    # a call worth its forward: deep in the money, one year, no volatility to speak of. Rate 4 % to 5 %:
    # S - K exp(-r T) rises by K x (exp(-0.04 T) - exp(-0.05 T)), T = 364.229 / 365
    at = replace(market(), risk_free=Observed(0.04, NOW, "test"))
    held = book(option("SPXW  271117C03000000", 1, "1 0 0 -1 0.05", mark=3100.0), at=at)
    years = (364 + 5.5 / 24) / 365
    expected = 100 * 3000 * (math.exp(-0.04 * years) - math.exp(-0.05 * years))
    assert pnl(held, Shock("rate", rate=0.01)) == pytest.approx([expected], rel=1e-6)


def test_only_the_named_group_moves_alone() -> None:
    at = market({"XYZ": 1.5, "ABC": 1.0}, XYZ=200.0, ABC=50.0)
    held = book(stock("XYZ", 100, 200.0), stock("ABC", 10, 50.0), at=at)
    assert pnl(held, Shock("alone", -0.10, alone="ABC")) == pytest.approx([-50.0])


def test_an_empty_book_loses_nothing() -> None:
    found = outcome(book_of(book()), [FALL])
    assert found.total(0).known == 0.0


def test_outcomes_can_be_taken_apart_and_put_together() -> None:
    at = market({"XYZ": 1.5}, XYZ=200.0)
    found = outcome(book_of(book(stock("XYZ", 100, 200.0), at=at)), [FALL, Shock("none")])
    again = joined(picked(found, [1]), picked(found, [0]))
    assert [shock.name for shock in again.shocks] == ["none", "fall"]
    assert [again.total(0).known, again.total(1).known] == [0.0, pytest.approx(-1_500.0)]


@given(st.floats(-0.5, 0.5), st.floats(-0.1, 1.2), st.floats(0, 60))
@settings(max_examples=40, deadline=None)
def test_together_is_the_sum_of_the_parts(index: float, vol: float, days: float) -> None:
    shock = Shock("any", index, vol, days)
    parts = [option(PUT, -2, "-0.3 0.001 5 -1 0.20", mark=60.0), option(CALL, 3, "0.3 0.001 5 -1 0.15", mark=40.0)]
    whole = pnl(book(*parts), shock)[0]
    assert whole == pytest.approx(sum(pnl(book(part), shock)[0] for part in parts), rel=1e-9, abs=1e-6)
    assert pnl(book(*parts), shock)[0] == whole
