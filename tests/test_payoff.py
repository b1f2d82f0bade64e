"""Payoff curves by hand: what a vertical, a straddle and a covered call do, and how likely a profit is.

Premiums come from the Black-Scholes formula written here, with a rate of zero; everything else is arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.stress.book import Book, book_of
from guardrails.stress.outcome import outcome
from guardrails.stress.part import Axis, axis_of, part_of
from guardrails.stress.payoff import (
    Curve,
    at_expiry,
    break_evens,
    curve,
    greatest,
    last_days,
    least,
    open_pnl,
    profitable,
)
from guardrails.stress.probability import at_the_money, carry_of, chance_of_profit, expected_move, with_report
from guardrails.stress.surface import surface
from guardrails.values import Metrics, Observed, Position
from tests.books import NOW, TASTY, book, future, market, option, stock

N = NormalDist()
CLOSE = datetime(2026, 12, 18, 21, 0, tzinfo=UTC)
"""16:00 in New York on the day the options below expire"""
YEARS = (CLOSE - NOW).total_seconds() / 31_536_000
GREEKS = "0.5 0.01 0.2 -0.1"


def premium(spot: float, strike: float, vol: float, right: str, years: float = YEARS) -> float:
    """Black-Scholes without rate or dividends."""
    deviation = vol * math.sqrt(years)
    d1 = math.log(spot / strike) / deviation + deviation / 2
    call = spot * N.cdf(d1) - strike * N.cdf(d1 - deviation)
    return call if right == "C" else call - spot + strike


def listed(strike: float, right: str, quantity: float, vol: float = 0.2, **more: object) -> Position:
    """SPX options, European, a month to go."""
    symbol = f"SPXW  261218{right}{int(strike * 1000):08d}"
    return option(symbol, quantity, f"{GREEKS} {vol}", **more)


def made(*positions: Position) -> tuple[Book, Axis]:
    """The book of SPX options at 6,000, and its axis."""
    portfolio = book(*positions)
    return book_of(portfolio), axis_of(portfolio, "SPX")


def ends(whole: Book, axis: Axis) -> Curve:
    found = at_expiry(whole, axis)
    assert found is not None
    assert found.certain
    return found


def level(move: float) -> float:
    return 6000.0 * (1.0 + move)


def test_a_short_put_spread_by_hand() -> None:
    """-1 5800P, +1 5700P: the credit is the most gained, width minus credit the most lost, strike minus credit even."""
    whole, axis = made(listed(5800, "P", -1), listed(5700, "P", 1))
    credit = premium(6000, 5800, 0.2, "P") - premium(6000, 5700, 0.2, "P")
    line = ends(whole, axis)
    assert [level(move) for move in break_evens(line.move, line.low)] == pytest.approx([5800 - credit], abs=1e-6)
    most, worst = greatest(line.move, line.low), least(line.move, line.low)
    assert most.amount == pytest.approx(100 * credit)
    assert level(most.move) == pytest.approx(6000)  # reached already now, and from 5,800 up
    assert worst.amount == pytest.approx(-100 * (100 - credit))
    assert level(worst.move) == pytest.approx(5700)


def test_a_long_straddle_by_hand() -> None:
    whole, axis = made(listed(6000, "C", 2), listed(6000, "P", 2))
    paid = premium(6000, 6000, 0.2, "C") + premium(6000, 6000, 0.2, "P")
    line = ends(whole, axis)
    assert [level(m) for m in break_evens(line.move, line.low)] == pytest.approx([6000 - paid, 6000 + paid], abs=1e-6)
    worst, most = least(line.move, line.low), greatest(line.move, line.low)
    assert (worst.amount, level(worst.move)) == (pytest.approx(-200 * paid), pytest.approx(6000))
    assert not most.limited
    assert level(most.move) == pytest.approx(6000)  # from the strike on it only goes up


def test_a_short_straddle_has_no_limit_above_its_strike_and_one_at_zero() -> None:
    whole, axis = made(listed(6000, "C", -1), listed(6000, "P", -1))
    line = ends(whole, axis)
    worst = least(line.move, line.low)
    assert worst.amount == -math.inf
    assert level(worst.move) == pytest.approx(6000)
    only_put, _ = made(listed(5500, "P", -1))
    line = ends(only_put, axis)
    worst = least(line.move, line.low)
    assert worst.amount == pytest.approx(-100 * (5500 - premium(6000, 5500, 0.2, "P")), rel=1e-9)
    assert worst.move == -1.0


def test_a_covered_call_by_hand() -> None:
    """100 AAPL at 250 and -1 260C: even at 250 - premium, most gained 10 + premium, most lost 250 - premium."""
    portfolio = book(
        stock("AAPL", 100, 250.0), option("AAPL  261218C00260000", -1, f"{GREEKS} 0.3"), at=market(AAPL=250.0)
    )
    whole, axis = book_of(portfolio), axis_of(portfolio, "AAPL")
    paid = premium(250, 260, 0.3, "C")
    line = ends(whole, axis)
    assert [250 * (1 + move) for move in break_evens(line.move, line.low)] == pytest.approx([250 - paid], abs=1e-6)
    most, worst = greatest(line.move, line.low), least(line.move, line.low)
    assert (most.amount, 250 * (1 + most.move)) == (pytest.approx(100 * (10 + paid)), pytest.approx(260))
    assert (worst.amount, worst.move) == (pytest.approx(-100 * (250 - paid)), -1.0)


def test_counted_from_what_was_paid_the_breakeven_is_that_of_the_ticket() -> None:
    """5700P sold at 30.00, now marked 12.00: even at 5,670, and 1,800 dollars are made already."""
    sold = listed(5700, "P", -1, mark=12.0, average_price=30.0)
    whole, axis = made(sold)
    made_already = open_pnl(whole)
    assert made_already == pytest.approx(1800)
    assert float(whole.base[0]) == pytest.approx(12.0)  # at the volatility of its mark, which is not the one told
    line = ends(whole, axis).shifted(1800)
    assert [level(move) for move in break_evens(line.move, line.low)] == pytest.approx([5670])
    unpriced, _ = made(replace(sold, average_price=None))
    assert open_pnl(unpriced) is None


def test_today_is_nothing_without_a_move_and_the_model_with_one() -> None:
    whole, axis = made(listed(5800, "P", -3))
    line = curve(whole, axis, np.array([-0.05, 0.0, 0.02]))
    assert line.low[1] == pytest.approx(0.0, abs=1e-9)
    by_hand = -300 * (premium(5700, 5800, 0.2, "P") - premium(6000, 5800, 0.2, "P"))
    assert line.low[0] == pytest.approx(by_hand, rel=1e-9)


def test_on_the_index_every_underlying_moves_by_its_beta() -> None:
    """A call on a stock of beta 2 at 250, struck at 275: it bends where the index is up 5 %."""
    portfolio = book(option("AAPL  261218C00275000", 1, f"{GREEKS} 0.3"), at=market({"AAPL": 2.0}, AAPL=250.0))
    whole, axis = book_of(portfolio), axis_of(portfolio)
    assert (axis.group, axis.name, axis.level) == ("", "SPX", 6000.0)
    paid = premium(250, 275, 0.3, "C")
    line = ends(whole, axis)
    assert break_evens(line.move, line.low) == pytest.approx((0.05 + paid / 500,), abs=1e-9)
    assert np.isclose(line.move, 0.05).any()


def test_a_beta_that_is_not_known_gives_a_band_and_two_breakevens() -> None:
    portfolio = book(
        stock("AAPL", 100, 250.0), option("AAPL  261218P00240000", 1, f"{GREEKS} 0.3"), at=market(AAPL=250.0)
    )
    line = at_expiry(book_of(portfolio), axis_of(portfolio))
    assert line is not None
    assert not line.certain
    at = int(np.searchsorted(line.move, 0.02))
    assert line.low[at] < line.high[at]


def test_what_a_part_is_worth_does_not_depend_on_what_else_was_chosen() -> None:
    """A row that borrowed its volatility from a neighbour keeps it when the neighbour is left out."""
    lender, borrower = listed(5800, "P", -1), listed(5700, "P", 1)
    borrower = replace(borrower, greeks=None, mark=20.0)
    other = stock("AAPL", 50, 250.0, TASTY)
    portfolio = book(lender, borrower, other, at=market({"AAPL": 1.2}, AAPL=250.0))
    whole, axis = book_of(portfolio), axis_of(portfolio)
    moves = np.array([-0.1, -0.02, 0.03])
    parts = [
        part_of(whole, np.array(rows)) for rows in ([True, False, False], [False, True, False], [False, False, True])
    ]
    together = sum(curve(part, axis, moves).low for part in parts)
    assert together == pytest.approx(curve(whole, axis, moves).low)
    for part in parts:
        assert {len(getattr(part, f.name)) for f in fields(Book) if isinstance(getattr(part, f.name), np.ndarray)} == {
            1
        }
        assert len(part.portfolio.positions) == len(part.options.strike) == 1


def test_profit_lies_between_the_zeros_and_goes_on_where_the_line_does() -> None:
    x = np.array([-0.5, 0.0, 0.5])
    assert profitable(x, np.array([1.0, 0.0, 1.0])) == ((-1.0, pytest.approx(0.0)), (pytest.approx(0.0), math.inf))
    assert profitable(x, np.array([-1.0, 1.0, -1.0])) == ((pytest.approx(-0.25), pytest.approx(0.25)),)
    assert profitable(x, np.array([-3.0, -2.0, -1.0])) == ((pytest.approx(1.0), math.inf),)
    assert profitable(x, np.array([-1.0, -1.0, -1.0])) == ()
    assert profitable(x, np.zeros(3)) == ()


def test_the_chance_of_a_profit_is_that_of_the_closed_form() -> None:
    """A long call pays when the price ends above strike + premium: N(d2) at that price."""
    whole, axis = made(listed(6100, "C", 1))
    even = 6100 + premium(6000, 6100, 0.2, "C")
    days = last_days(whole)
    assert days is not None
    deviation = 0.18 * math.sqrt(YEARS)
    by_hand = N.cdf((math.log(6000 / even) + (0.03 - 0.18**2 / 2) * YEARS) / deviation)
    line = ends(whole, axis)
    assert chance_of_profit(line, 0.18, days, 0.03) == pytest.approx((by_hand, by_hand), abs=1e-9)
    short, _ = made(listed(6100, "C", -1))
    assert chance_of_profit(ends(short, axis), 0.18, days, 0.03)[0] == pytest.approx(1 - by_hand, abs=1e-9)
    assert np.isnan(chance_of_profit(line, 0.18, 0.0)).all()
    assert np.isnan(chance_of_profit(line, math.nan, 10.0)).all()


def test_the_expected_move_is_one_standard_deviation() -> None:
    down, up = expected_move(0.2, 365.0 / 4)
    assert (down, up) == (pytest.approx(math.exp(-0.1) - 1), pytest.approx(math.exp(0.1) - 1))
    assert expected_move(0.2, 0.0) == (0.0, 0.0)


def test_the_volatility_at_the_money_comes_from_the_book_else_from_what_is_published() -> None:
    whole, axis = made(listed(6000, "C", -1, 0.15), listed(5000, "P", 1, 0.4))
    found = at_the_money(whole, axis, 30.0)
    assert found is not None
    assert (found.value, found.words) == (0.15, "implied volatility of SPXW 18Dec26 6000C, 15.0 %")
    wings, _ = made(listed(5000, "P", 1, 0.25))
    found = at_the_money(wings, axis, 30.0)
    assert found is not None
    assert (found.value, found.words) == (0.17, "VIX 17.0")
    portfolio = book(option("AAPL  261218P00150000", 1, f"{GREEKS} 0.3"), at=market(AAPL=250.0))
    assert at_the_money(book_of(portfolio), axis_of(portfolio, "AAPL"), 30.0) is None


def test_the_drift_is_the_carry_of_the_options() -> None:
    portfolio = book(listed(6000, "C", 1), at=replace(market(), risk_free=Observed(0.04, NOW, "test")))
    assert carry_of(book_of(portfolio), axis_of(portfolio, "SPX")) == pytest.approx(0.04)
    assert carry_of(book_of(book(stock("SPY", 1, 600.0))), axis_of(portfolio)) == 0.0


def test_without_options_there_is_no_expiry_and_without_a_price_no_level() -> None:
    portfolio = book(stock("SPY", 10, 600.0))
    assert at_expiry(book_of(portfolio), axis_of(portfolio)) is None
    bare = book(future("/CLZ26", 1, 60.0, 1000.0))
    assert axis_of(bare, "/CL") == Axis("/CL", "/CLZ26", 60.0)
    assert axis_of(bare, "TSLA") == Axis("TSLA", "TSLA", None)
    assert axis_of(bare, "TSLA").at(0.1) is None


def test_a_surface_is_the_outcome_in_its_cells_and_close_to_it_between_them() -> None:
    whole, axis = made(listed(5800, "P", -2), listed(5600, "P", 3, 0.25), listed(6200, "C", -1, 0.15))
    moves, rises = np.linspace(-0.3, 0.1, 21), np.array([-0.05, 0.0, 0.05, 0.1, 0.2, 0.3, 0.5])
    found = surface(whole, axis, moves, rises, 5.0)
    low, high = found.at(moves[[0, 7]], rises[[2, 6]])
    for i, move in enumerate(moves[[0, 7]]):
        for j, rise in enumerate(rises[[2, 6]]):
            exact = outcome(whole, [axis.shock(float(move), float(rise), 5.0)]).total(0)
            assert (low[i, j], high[i, j]) == (pytest.approx(exact.low), pytest.approx(exact.high))
    up = np.linspace(0.45, -0.04, 21)
    between = found.along(up).low
    exact_line = curve(whole, axis, moves, up, 5.0).low
    assert between == pytest.approx(exact_line, abs=0.01 * float(np.abs(exact_line).max()))
    assert found.along(0.2).low == pytest.approx(found.low[:, 4])
    assert found.along(9.9).low == pytest.approx(found.low[:, -1])  # no further than was computed


def test_the_surface_of_one_underlying_moves_it_alone_whatever_its_beta() -> None:
    """AAPL of beta 2 beside SPY: on its own axis AAPL falls 10 %, not 20 %, and SPY stays."""
    portfolio = book(
        stock("AAPL", 100, 250.0), option("AAPL  261218P00240000", -1, f"{GREEKS} 0.3"), stock("SPY", 50, 600.0),
        at=market({"AAPL": 2.0}, AAPL=250.0),
    )  # fmt: skip
    whole, axis = book_of(portfolio), axis_of(portfolio, "AAPL")
    found = surface(whole, axis, np.array([-0.1, 0.0]), np.array([-0.02, 0.0, 0.1, 0.2]), 0.0)
    put = premium(225, 240, 0.3, "P") - premium(250, 240, 0.3, "P")
    assert found.low[0, 1] == pytest.approx(-2500 - 100 * put, rel=1e-3)  # American, at a rate of zero
    assert found.along(0.1).low == pytest.approx(curve(whole, axis, found.move, 0.1).low)


@given(
    st.lists(
        st.tuples(st.sampled_from("CP"), st.integers(1000, 1400).map(lambda n: n * 5), st.integers(-3, 3)),
        min_size=1,
        max_size=6,
    )
)
def test_no_point_of_any_book_lies_beyond_its_extremes(legs: list[tuple[str, int, int]]) -> None:
    whole, axis = made(*(listed(strike, right, quantity) for right, strike, quantity in legs))
    line = ends(whole, axis)
    most, worst = greatest(line.move, line.low), least(line.move, line.low)
    slack = 1e-6 * max(1.0, float(np.abs(line.low).max()))
    assert line.low.max() <= most.amount + slack
    assert line.low.min() >= worst.amount - slack
    calls = sum(quantity for right, _, quantity in legs if right == "C")
    assert most.limited is (calls <= 0)
    assert worst.limited is (calls >= 0)
    for low, high in profitable(line.move, line.low):
        assert low < high


def test_a_report_before_the_horizon_counts_by_itself() -> None:
    """Held: AAPL 250 at the money, 40 % to 18 December (30.23 days), report after the close of 1 December.

    Realised volatility is 20 %, so the move implied for the report is sqrt(0.4^2 y - 0.2^2 (y - 1 day)). To 4 December
    the variance is the rest of the option's, spread over its life, for 16 days, and the report.
    """
    held = option("AAPL  261218C00250000", 1, f"{GREEKS} 0.4", mark=12.0)
    told = Metrics("AAPL", NOW, "test", earnings=date(2026, 12, 1), earnings_time="after close", hv_30d=0.2)
    at = replace(market(AAPL=250.0), metrics={"AAPL": told})
    portfolio = book(held, at=at)
    whole, axis = book_of(portfolio), axis_of(portfolio, "AAPL")
    vol = at_the_money(whole, axis, 16.0)
    assert vol is not None
    years, day_of = float(whole.options.years[0]), 1 / 365
    report = 0.16 * years - 0.04 * (years - day_of)
    wanted = (0.16 - report / years) * 16 / 365 + report
    found = with_report(whole, axis, 16.0, vol)
    assert found.value**2 * 16 / 365 == pytest.approx(wanted, rel=1e-3)
    assert f"{100 * math.sqrt(report):.1f} % implied for the report on 2026-12-01" in found.report
    assert with_report(whole, axis, 10.0, vol) is vol  # 28 November: before the report
    unknown = replace(at, metrics={"AAPL": replace(told, earnings=date(2026, 12, 20))})
    late = book_of(book(held, at=unknown))
    assert "of which nothing is implied" in with_report(late, axis, 40.0, vol).report
