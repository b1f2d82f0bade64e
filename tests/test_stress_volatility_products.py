"""VIX products under shocks: they follow volatility in points, and short calls on it lose when the market falls."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from guardrails.intervals import Interval
from guardrails.stress.book import book_of
from guardrails.stress.outcome import outcome
from guardrails.stress.scenarios import index_shock
from guardrails.stress.shocks import Shock
from guardrails.stress.volatility_products import future_level, responses
from guardrails.values import Position
from tests.books import book, day, future, market, option, stock

AT = market(VIX=17.0, VXX=50.0, SVXY=40.0, UVXY=20.0, **{"/VXF27": 18.0})
UP = Shock("vol", vol=0.10)


def total(position: Position, shock: Shock) -> Interval:
    return outcome(book_of(book(position, at=AT)), [shock]).total(0)


def test_a_future_at_its_expiry_is_vix_and_a_far_one_moves_less() -> None:
    least, most = responses(np.array([0.0, 30.0, 90.0]), 0.4)
    assert (least[0], most[0]) == (pytest.approx(1.0), 1.0)
    # at 30 days by hand: (60 x 2^-0.4 - 30 x 1) / 30 = 2^0.6 - 1 = 0.5157; most: VR(30) = 1
    assert (least[1], most[1]) == (pytest.approx(0.5157, abs=1e-4), pytest.approx(1.0))
    # at 90: 4^0.6 - 3^0.6 = 2.2974 - 1.9332 = 0.3642; most: (1/3)^0.4 = 0.6444
    assert (least[2], most[2]) == (pytest.approx(0.3642, abs=1e-4), pytest.approx(0.6444, abs=1e-4))


def test_a_month_of_variance_seen_from_vix_and_vix3m() -> None:
    # 93 x 19^2 - 30 x 17^2 = 33,573 - 8,670 = 24,903; over 63 days: sqrt(395.29) = 19.882
    assert future_level(AT) == pytest.approx(19.882, abs=1e-3)
    assert future_level(replace(AT, vix3m=None)) == 17.0
    assert math.isnan(future_level(replace(AT, vix=None)))


def test_a_vix_future_moves_in_points_and_not_by_a_beta() -> None:
    # /VXF27 expires on 20 January 2027: 63 days on. Least 3.1^0.6 - 2.1^0.6 = 1.9716 - 1.5608 = 0.4108;
    # most (30 / 63)^0.4 = 0.7433. Ten points of volatility, 1,000 dollars a point
    held = future("/VXF27", -1, 18.0, 1000.0)
    held = replace(held, instrument=replace(held.instrument, expiry=day("2027-01-20")))
    found = total(held, UP)
    assert (found.low, found.high) == (pytest.approx(-7_433, abs=1), pytest.approx(-4_108, abs=1))
    # a fall of the index by itself leaves it where it is
    assert total(held, Shock("index", -0.10)).known == 0.0


def test_a_vix_future_without_an_expiry_may_be_near_or_far() -> None:
    # most: at its end, ten points; least: 270 days off, 10^0.6 - 9^0.6 = 3.9811 - 3.7372 = 0.2439
    found = total(future("/VXF27", 1, 18.0, 1000.0), UP)
    assert (found.low, found.high) == (pytest.approx(2_439, abs=1), pytest.approx(10_000.0))


def test_short_vix_calls_lose_when_the_market_falls() -> None:
    held = option("VIX   261216C00025000", -10, "0.3 0.05 0.02 -0.01 0.90", mark=0.6)
    for fall in (-0.03, -0.10, -0.20):
        found = total(held, index_shock(fall, 17.0))
        assert found.low <= found.high < 0
    rally = total(held, index_shock(0.05, 17.0))
    assert rally.low > 0


def test_vxx_moves_by_the_future_and_its_inverse_the_other_way() -> None:
    # ten points x 0.5157 to 1 over a level of 19.882: +25.9 % to +50.3 %
    found = total(stock("VXX", 100, 50.0), UP)
    assert (found.low, found.high) == (pytest.approx(5_000 * 0.2594, abs=1), pytest.approx(5_000 * 0.5030, abs=1))
    inverse = total(stock("SVXY", 100, 40.0), UP)
    assert (inverse.low, inverse.high) == (
        pytest.approx(-4_000 * 0.2515, abs=1),
        pytest.approx(-4_000 * 0.1297, abs=1),
    )
    assert total(stock("UVXY", 100, 20.0), UP).high == pytest.approx(2_000 * 1.5 * 0.5030, abs=1)


def test_a_fund_on_a_level_nobody_knows_may_be_worth_anything() -> None:
    at = replace(AT, vix=None)
    found = outcome(book_of(book(stock("VXX", 100, 50.0), at=at)), [UP, Shock("none")])
    assert (found.total(0).low, found.total(0).high) == (-math.inf, math.inf)
    assert found.total(1).low == found.total(1).high == 0.0


def test_where_another_name_gaps_alone_volatility_stays() -> None:
    assert total(stock("VXX", 100, 50.0), Shock("gap", -0.15, alone="XYZ")).known == 0.0
