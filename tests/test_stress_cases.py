"""One shock position by position: the parts are the whole, the worst comes first, what is not known is a range."""

from __future__ import annotations

import math

import numpy as np
import pytest

from guardrails.stress.book import book_of
from guardrails.stress.cases import case_of, gap_case, spreads_case
from guardrails.stress.gaps import single_name_gaps
from guardrails.stress.outcome import outcome
from guardrails.stress.part import model_against_market
from guardrails.stress.scenarios import index_shock
from guardrails.stress.shocks import Shock
from tests.books import book, market, option, stock
from tests.test_stress_grid import mixed

GREEKS = "-0.20 0.001 0.50 -0.10 0.20"


def test_positions_add_up_to_the_outcome_and_the_worst_comes_first() -> None:
    portfolio = book(stock("SPY", 100, 600.0), option("SPXW  261218P05800000", -1, GREEKS), stock("SPY", -10, 600.0))
    whole, shock = book_of(portfolio), index_shock(-0.05, 17.0)
    case = case_of(whole, shock)
    assert case.low.sum() == pytest.approx(outcome(whole, [shock]).total(0).low)
    assert case.low[[0, 2]] == pytest.approx([-3000.0, 300.0])  # 100 x 600 x -5 %, and a tenth of it short
    assert case.low[1] < -3000
    assert case.worst_first() == [1, 0, 2]


def test_a_row_on_a_beta_that_is_not_known_is_a_range_and_one_that_nothing_bounds_comes_first() -> None:
    portfolio = book(stock("XYZ", 100, 50.0), stock("ABC", 10, None), at=market(XYZ=50.0))
    case = case_of(book_of(portfolio), Shock("", -0.10))
    assert (case.low[0], case.high[0]) == (pytest.approx(-1000.0), 0.0)  # beta 2 and beta 0 of 5,000 dollars
    assert (case.low[1], case.high[1]) == (-math.inf, math.inf)
    assert case.worst_first() == [1, 0]
    assert case.total.missing


def test_of_one_of_everything_the_short_put_is_worst_and_what_gains_is_last() -> None:
    whole = book_of(mixed())
    labels = [position.instrument.label for position in whole.portfolio.positions]
    case = case_of(whole, Shock("", -0.10, 0.20))
    worst_first = [labels[row] for row in case.worst_first() if case.low[row] < 0]
    assert worst_first[0] == "SPXW 18Dec26 5800P"
    assert {"/ESZ26", "ABC 18Dec26 45P"}.isdisjoint(worst_first)
    # what has no volatility is there with its bound, because it may lose
    up = case_of(whole, Shock("", 0.10))
    bare = labels.index("ABC 27Nov26 60C")
    assert up.low[bare] < 0
    assert up.low[bare] < up.high[bare]


def test_the_gap_is_that_of_the_worst_name_and_none_without_names() -> None:
    portfolio = book(
        stock("AAPL", 100, 250.0), stock("XYZ", -200, 50.0), stock("SPY", 100, 600.0), at=market(AAPL=250.0, XYZ=50.0)
    )
    whole = book_of(portfolio)
    case = gap_case(whole)
    assert case is not None
    assert case.shock.alone == "AAPL"
    assert case.total.known == pytest.approx(-3750.0)  # 25,000 x -15 %; the short 10,000 would lose 1,500 going up
    assert case.total.low == pytest.approx(single_name_gaps(whole).outcome.total(0).low)
    assert case.low == pytest.approx([-3750.0, 0.0, 0.0])
    assert gap_case(book_of(book(stock("SPY", 100, 600.0)))) is None


def test_wide_spreads_cost_every_option_and_nothing_else() -> None:
    """1.00 wide, five times as wide: half of it four times more, 2.00 a share, of 200."""
    quoted = {"bid": 9.5, "ask": 10.5, "mark": 10.0}
    case = spreads_case(book_of(book(option("SPXW  261218P05800000", -2, GREEKS, **quoted), stock("SPY", 9, 600.0))))
    assert case.low == pytest.approx([-400.0, 0.0])
    assert case.total.known == pytest.approx(-400.0)


def test_model_against_market_is_gross_over_gross() -> None:
    whole = book_of(book(option("SPXW  261218P05800000", -1, GREEKS, mark=40.0), stock("SPY", 100, 600.0)))
    apart = abs(float(whole.as_told[0]) - 40.0)
    assert model_against_market(whole) == pytest.approx(apart / 40.0)
    assert model_against_market(book_of(book(stock("SPY", 100, 600.0)))) is None
    assert np.isfinite(whole.base).all()
