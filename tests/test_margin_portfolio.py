"""Portfolio margin against the Cboe comparison table of 2007 and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.columns import Array
from guardrails.margin import portfolio_margin
from guardrails.margin.legs import Leg
from tests.test_margin_strategy import IBM, SPX, option, stock


def intrinsic(leg: Leg, under: Array) -> Array:
    return np.maximum(leg.sign * (under - leg.strike), 0.0) if leg.is_option else under


def european(leg: Leg, under: Array) -> Array:
    """Deep in the money on 23 February 2007: 56 days at 5.25 %, dividends 1.8 % a year, no time value."""
    years = 56 / 365
    return leg.strike * math.exp(-0.0525 * years) - under * math.exp(-0.018 * years)


def total(legs: Sequence[Leg], valued: Callable[[Leg, Array], Array] = intrinsic) -> float:
    points = portfolio_margin.prices(legs)
    values = np.array([valued(leg, row) for leg, row in zip(legs, points, strict=True)])
    return portfolio_margin.requirement(legs, values).total


LONG_PUT, SHORT_CALL = option("IBM 070420 P 95", 100, 1.02, IBM), option("IBM 070420 C 105", -100, 0.40, IBM)
SHORT_PUT, LONG_CALL = option("IBM 070420 P 100", -100, 3.18, IBM), option("IBM 070420 C 100", 100, 1.68, IBM)


@pytest.mark.parametrize(
    ("legs", "published"),
    [  # each loses most at -15 %, where every option is worth its intrinsic value or nothing
        ([SHORT_PUT], 137_527.0),
        ([stock(10_000, IBM, "IBM"), LONG_PUT], 37_538.0),
        ([SHORT_PUT, LONG_CALL], 154_313.0),
        ([stock(10_000, IBM, "IBM"), LONG_PUT, SHORT_CALL], 33_522.0),
    ],
)
def test_shares_lose_most_15_percent_down(legs: list[Leg], published: float) -> None:
    assert total(legs) == pytest.approx(published, rel=0.002)


def test_the_index_loses_most_8_percent_down() -> None:
    assert total([option("SPX 070420 P 1460", -100, 22.55, SPX)], european) == pytest.approx(948_203, rel=0.01)


def test_200_long_options_need_at_least_37_50_each() -> None:
    """The table's long straddle: it cannot lose its price at the ends, but 200 x 37.50 is due."""
    legs = [option("IBM 070420 P 100", 100, 3.18, IBM), option("IBM 070420 C 100", 100, 1.68, IBM)]
    points = portfolio_margin.prices(legs)
    kept = np.array([np.full_like(row, leg.price) for leg, row in zip(legs, points, strict=True)])
    assert portfolio_margin.requirement(legs, kept).total == pytest.approx(7_500)


@pytest.mark.parametrize(
    ("leg", "down", "up"),
    [
        (option("SPX 261218 P 6000", -1, 50, 6000.0), 5520.0, 6360.0),
        (option("SPY 261218 P 600", -1, 5, 600.0), 552.0, 636.0),
        (option("RUT 261218 P 2000", -1, 20, 2000.0), 1800.0, 2200.0),
        (stock(100, 100.0, "AAPL"), 85.0, 115.0),
        (option("VIX 261216 C 20", -1, 1, 20.0), 16.0, 24.0),
        (stock(100, 100.0, "TQQQ"), 55.0, 145.0),
    ],
)
def test_valuation_points_are_ten_and_equally_far_apart(leg: Leg, down: float, up: float) -> None:
    points = portfolio_margin.prices([leg])[0]
    assert (len(points), points[0], points[-1]) == (10, pytest.approx(down), pytest.approx(up))
    assert np.diff(points) == pytest.approx((up - down) / 9)


def test_an_index_nets_with_its_etf_and_a_share_with_no_other() -> None:
    """1,000 SPY at 600 against one SPX put struck far in the money: what one loses the other gains."""
    spy, put = stock(1_000, 600.0, "SPY"), option("SPX 261218 P 9000", 1, 3000.0, 6000.0)
    assert total([spy, put]) == pytest.approx(37.50)
    long, short = stock(100, 100.0, "AAA"), stock(-100, 100.0, "BBB")
    assert total([long, short]) == pytest.approx(1_500 + 1_500)


def test_90_percent_of_a_gain_offsets_between_high_cap_indices() -> None:
    """SPY 600 x 100 loses 4,800 at -8 %; short QQQ of the same worth gains 4,800, of which 4,320 count; at +6 % the
    short loses 3,600 and 3,240 count. IWM is no high-cap index: 6,000 alone.
    """
    spy, qqq, iwm = stock(100, 600.0, "SPY"), stock(-120, 500.0, "QQQ"), stock(-240, 250.0, "IWM")
    assert total([spy, qqq]) == pytest.approx(480)
    assert total([spy, iwm]) == pytest.approx(4_800 + 6_000)
    found = portfolio_margin.requirement([spy, qqq], portfolio_margin.prices([spy, qqq]))
    assert [group.amount for group in found.groups] == pytest.approx([4_800, 3_600])
    assert found.offset == pytest.approx(7_920)


@pytest.mark.parametrize("wrong", [{"price": math.nan}, {"quantity": math.nan}, {"multiplier": math.nan}])
def test_what_is_not_known_is_unknown(wrong: dict[str, float]) -> None:
    legs = [stock(100, 100.0, "AAA"), replace(option("XYZ 261218 P 95", -1, 1.0, 100.0), **wrong)]
    found = portfolio_margin.requirement(legs, np.zeros((2, 10)) + 100.0)
    assert math.isnan(found.total)
    assert found.known == 0.0  # AAA stays at 100
    assert [math.isnan(group.amount) for group in found.groups] == [False, True]
    assert len(found.unknown) == 1
    assert np.isnan(portfolio_margin.at(legs, np.ones((2, 3)), np.ones((2, 3, 10)))).all()


def test_a_missing_theoretical_price_is_unknown() -> None:
    legs = [option("XYZ 261218 P 95", -1, 1.0, 100.0)]
    values = np.full((1, 10), 1.0)
    values[0, 3] = math.nan
    assert math.isnan(portfolio_margin.requirement(legs, values).total)
    assert np.isnan(portfolio_margin.at(legs, np.ones((1, 2)), np.stack([values, values], axis=1))).all()


def test_scenarios_are_margined_from_their_own_prices() -> None:
    """Shares at 80 and at 120 lose 15 % of that."""
    legs = [stock(100, 100.0, "AAA"), option("AAA 261218 P 50", 1, 0.0, 100.0)]
    price = np.array([[80.0, 120.0], [0.0, 0.0]])
    values = np.stack([price[0][:, None] * (1 + np.linspace(-0.15, 0.15, 10)), np.zeros((2, 10))])
    assert portfolio_margin.at(legs, price, values) == pytest.approx([1_200, 1_800])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["SPX", "NDX", "AAPL", "RUT"]), st.sampled_from("CP"),
                          st.integers(80, 120), st.sampled_from([-3, -1, 1, 2])), min_size=1, max_size=8))  # fmt: skip
def test_never_negative_never_below_the_minimum_and_splitting_never_helps(
    held: list[tuple[str, str, int, int]],
) -> None:
    legs = [option(f"{root} 261218 {right} {strike}", count, abs(100.0 - strike) + 2.0, 100.0)
            for root, right, strike, count in held]  # fmt: skip
    least = sum(abs(leg.quantity) * 37.5 for leg in legs)
    whole = total(legs)
    assert whole >= least - 1e-9
    half = len(legs) // 2
    apart = sum(total(part) for part in (legs[:half], legs[half:]) if part)
    assert whole <= apart + 1e-6
