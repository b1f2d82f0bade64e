"""Gamma and theta of the next two weeks by expiry and strike, and where short gamma doubles, against formulas."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from statistics import NormalDist

import numpy as np
import pytest

from guardrails.stress.book import book_of
from guardrails.stress.near_expiry import SEARCHED, doubling, gamma_along, near_expiry
from guardrails.stress.part import part_of
from tests.books import NOW, book, day, market, option, stock

N = NormalDist()
YEARS = (datetime(2026, 11, 27, 18, 0, tzinfo=UTC) - NOW).total_seconds() / 31_536_000
"""to 13:00 in New York on 27 November, the half-day after Thanksgiving"""


def dollar_gamma(spot: float, strike: float, vol: float, quantity: float) -> float:
    """Black-Scholes, rate zero: quantity x 100 x gamma x S^2 / 100."""
    deviation = vol * math.sqrt(YEARS)
    d1 = math.log(spot / strike) / deviation + deviation / 2
    return quantity * 100 * N.pdf(d1) / (spot * deviation) * spot**2 * 0.01


def test_sums_by_expiry_and_strike_leave_out_what_is_further_than_two_weeks() -> None:
    near, later = "SPXW  261127P05900000", "SPXW  261218P05900000"
    portfolio = book(
        option(near, -2, "-0.3 0.002 2 -1.5 0.2"),
        option("SPXW  261127C06200000", -1, "0.1 0.001 1 -0.5 0.2"),
        option("SPXW  261202P05900000", 1, "-0.3 0.001 2 -1 0.2"),
        option(later, -5, "-0.3 0.002 2 -1.5 0.2"),
        stock("SPY", 10, 600.0),
    )
    found = near_expiry(book_of(portfolio))
    assert [line.expiry for line in found.expiries] == [day("2026-11-27"), day("2026-12-02")]
    first = found.expiries[0]
    # 6000^2 / 100 = 360,000: -2 x 100 x 0.002 and -1 x 100 x 0.001
    assert first.gamma.known == pytest.approx(-0.5 * 360_000)
    assert first.theta.known == pytest.approx(2 * 150 + 50)
    assert first.contracts == -3
    assert [(line.name, line.strike, line.contracts) for line in found.strikes] == [
        ("SPX", 5900.0, -2.0), ("SPX", 6200.0, -1.0), ("SPX", 5900.0, 1.0),
    ]  # fmt: skip
    assert found.strikes[2].gamma.known == pytest.approx(36_000)


def test_an_option_without_greeks_makes_its_expiry_an_interval() -> None:
    bare = option("SPXW  261127P05900000", -1, mark=12.0)
    line = near_expiry(book_of(book(bare))).expiries[0]
    assert line.gamma.known is None
    assert line.gamma.low == -math.inf
    assert line.gamma.high == 0.0


def test_short_gamma_doubles_where_the_formula_says() -> None:
    portfolio = book(option("SPXW  261127P05700000", -1, "-0.1 0.001 1 -1 0.18"))
    (found,) = near_expiry(book_of(portfolio)).doublings
    now = dollar_gamma(6000, 5700, 0.18, -1)
    assert found.gamma == pytest.approx(now, rel=0.02)
    assert found.down is not None
    assert dollar_gamma(6000 * (1 + found.down), 5700, 0.18, -1) == pytest.approx(2 * now, rel=0.02)
    assert -SEARCHED < found.down < 0
    assert found.up is None  # further from the strike there is less of it


def test_long_gamma_has_no_such_level_and_what_cannot_be_revalued_says_so() -> None:
    assert near_expiry(book_of(book(option("SPXW  261127P05700000", 1, "-0.1 0.001 1 -1 0.18")))).doublings == ()
    bare = option("TSLA  261127C00400000", -1)
    (found,) = near_expiry(book_of(book(bare))).doublings
    assert found.gamma is None
    assert found.reason == "cannot be revalued: TSLA 27Nov26 400C"


def test_shares_and_index_options_of_one_group_double_together() -> None:
    """SPY 570P is a tenth of SPX 5700P: ten of them beside it, twice the gamma, the same place."""
    index, fund = option("SPXW  261127P05700000", -1, "-0.1 0.001 1 -1 0.18"), "SPY   261127P00570000"
    alone = doubling(book_of(book(index)), "SPX")
    both = book_of(book(index, option(fund, -10, "-0.1 0.01 0.1 -0.1 0.18")))
    together = doubling(both, "SPX")
    assert together.gamma == pytest.approx(2 * (alone.gamma or 0.0), rel=0.01)
    assert together.down == pytest.approx(alone.down, abs=0.002)
    only_fund = doubling(part_of(both, np.array([False, True])), "SPX")
    assert only_fund.gamma == pytest.approx(alone.gamma, rel=0.02)


def test_gamma_along_a_parabola_is_that_of_the_parabola() -> None:
    """P = 500 r^2: S^2 P'' / 100 = 1000 (1 + r)^2 / 100."""
    move = np.linspace(-0.1, 0.1, 9)
    assert gamma_along(move, 500 * move**2) == pytest.approx(10 * (1 + move[1:-1]) ** 2)


def test_an_option_that_does_not_say_when_it_expires_may_do_so_soon() -> None:
    dated = option("SPXW  261127P05700000", -1, "-0.1 0.001 1 -1 0.18")
    undated = replace(dated, instrument=replace(dated.instrument, expiry=None))
    found = near_expiry(book_of(book(undated, at=market())))
    assert [line.expiry for line in found.expiries] == [None]
