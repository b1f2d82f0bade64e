"""What the pages say of stress where something is missing or looks like another thing."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from guardrails.assess import assess
from guardrails.findings import Level
from guardrails.memory import Memory
from guardrails.portfolio import Portfolio
from guardrails.pricing import compiled
from guardrails.stress.accounts import accounts_after
from guardrails.stress.near_expiry import doubling
from guardrails.stress.part import axis_of
from guardrails.stress.payoff import Curve, at_zero, break_evens, greatest
from guardrails.stress.probability import chance_of_profit
from guardrails.stress.standing import standing_of
from guardrails.stress.surface import Surface, revaluable
from guardrails.summary.stress import stress_now
from guardrails.values import AccountId, Market, Price
from pages import _heatmap, _payoff
from pages._scenarios import Bench
from pages._stress import liquidation_words, of_each, worst_words
from tests.books import IBKR, MATRIX, NOW, account, market, option, stock, view
from tests.stressed import standing, stress_limits, stressed
from tests.test_pages import Start, shown, start, words

__all__ = ["start"]  # a fixture

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
PUT = option("SPXW  261218P05800000", -2, "-0.20 0.001 0.50 -0.10 0.20", mark=40.0)
TWIN = AccountId("IBKR", "U9990004567")
"""ends as IBKR does"""


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    compiled.prepare()


def no_vix() -> Market:
    return replace(market(VXX=40.0), vix=None, vix3m=None)


# --- a fund of VIX futures without a VIX: nobody knows where it goes ---


def test_what_has_no_value_after_a_move_is_named_and_the_rest_is_drawn(start: Start) -> None:
    start(view(stock("VXX", 100, 40.0), PUT, at=no_vix()))
    at = shown("scenarios.py")
    assert not at.exception
    said = words(at)
    assert "1 position cannot be revalued: VXX" in said
    assert "The curves and the map are without them" in said
    assert len(at.get("vega_lite_chart")) == 2
    assert "without 1 not revalued" in said


def test_where_nothing_can_be_revalued_there_is_no_line_at_zero(start: Start) -> None:
    start(view(option("NVDA  261218C00200000", -1), stock("VXX", 100, 40.0), at=no_vix()))
    at = shown("scenarios.py")
    assert not at.exception
    said = words(at)
    assert "2 positions cannot be revalued" in said
    assert "There is no curve and no map" in said
    assert not at.get("vega_lite_chart")
    assert "nothing of what is chosen can be revalued" in said
    assert "Break-even" not in said


def test_by_itself_the_fund_moves_as_far_as_it_is_moved() -> None:
    """Its own price is what moves then, whatever VIX is."""
    portfolio = stressed(stock("VXX", 100, 40.0), PUT, at=no_vix())
    book = standing(portfolio).book
    assert list(revaluable(book, axis_of(portfolio))) == [False, True]
    assert list(revaluable(book, axis_of(portfolio, "VIX"))) == [True, True]
    assert Bench(book, axis_of(portfolio)).unvalued == ("VXX",)


def test_a_line_that_is_not_known_says_nothing_of_ends_zeros_or_chances() -> None:
    move = np.array([-0.1, 0.0, 0.1])
    for hole in (np.nan, np.inf, -np.inf):
        line = np.array([5.0, 1.0, hole])
        curve = Curve(move, line, line)
        assert not curve.known
        assert np.isnan(chance_of_profit(curve, 0.2, 30.0)).all()
        assert break_evens(move, line) == ()
        assert np.isnan(greatest(move, line).amount)
        assert np.isnan(at_zero(move, line))
        drawn = _payoff.lines_data(axis_of(stressed()), {_payoff.TODAY: curve}, (), (-0.1, 0.1))
        assert drawn[drawn["kind"] == "line"]["low"].isna().to_list() == [False, False, True]


@pytest.mark.parametrize(
    ("low", "high", "said"), [(-np.inf, np.inf, "?"), (np.nan, np.nan, "?"), (-np.inf, -3e3, "at most −$3.0k")]
)
def test_a_cell_of_the_map_that_is_not_known_says_so(low: float, high: float, said: str) -> None:
    moves, rises = np.array([-0.05, 0.0]), np.array([-0.05, 0.0, 0.05, 0.1])
    least, most = np.zeros((2, 4)), np.zeros((2, 4))
    least[0, 0], most[0, 0] = low, high
    found = Surface(moves, rises, least, most)
    data = _heatmap.heat_data(axis_of(stressed()), found, moves, None, "light").set_index(["move", "rise"])
    assert data.loc[("−5 %|5,700", "−5 points"), "text"] == said
    assert data.loc[("−5 %|5,700", "−5 points"), "fill"] == _heatmap.shade(0.0, "light")
    assert not found.along(0.0).known


def test_gamma_whose_doubling_cannot_be_computed_is_unknown() -> None:
    book = standing(stressed(PUT)).book
    assert doubling(book, "SPX").gamma is not None
    found = doubling(replace(book, vol=np.array([np.nan])), "SPX")
    assert (found.gamma, found.reason) == (None, "its value after a move is not known")


# --- the level of the index ---


def held(price: Price | None, *, is_open: bool = True) -> Portfolio:
    """700 AAPL at 200, beta 1.2, in an account with 20,000 of excess."""
    where = market({"AAPL": 1.2}, AAPL=200.0)
    prices = {name: one for name, one in where.prices.items() if name != "SPX"}
    where = replace(where, prices=prices if price is None else {**prices, "SPX": price})
    owner = account(IBKR, 100_000.0, 20_000.0)
    portfolio = stressed(stock("AAPL", 700, 200.0), accounts=[owner], at=where)
    return replace(portfolio, market_open=is_open)


# excess now is 20,000 and maintenance 80,000 for an estimate of 35,000: 16/7 of it, which the loss sets free in part:
# 20,000 - 168,000 x + 16/7 x 42,000 x is zero at x = 20,000 / 72,000
DOWN = -20_000 / 72_000


@pytest.mark.parametrize(
    ("price", "closed", "level"),
    [
        (Price(4_000.0, NOW - timedelta(minutes=5), "test"), "", 4_000.0),
        (Price(4_000.0, NOW - timedelta(minutes=5, seconds=1), "test"), "", None),
        (Price(4_000.0, NOW - timedelta(days=3), "test"), "closed", 4_000.0),
        (None, "", None),
    ],
)
def test_a_distance_is_said_in_levels_only_where_the_index_is_of_now(
    price: Price | None, closed: str, level: float | None
) -> None:
    now = stress_now(held(price, is_open=not closed))
    (row,) = now.accounts
    assert now.index == level
    assert row.down == pytest.approx(DOWN, abs=0.0006)
    assert (row.zero_down, row.reason) == (None if level is None else pytest.approx(level * (1 + DOWN), abs=3), "")
    said = liquidation_words(row)
    assert "−27.7 %" in said or "−27.8 %" in said
    assert ("not known" in said) == (level is None)
    assert ("SPX" in worst_words(now)) == (level is not None)


# --- whose is whose ---


def test_two_accounts_whose_numbers_end_alike_each_have_their_own_distance(start: Start) -> None:
    owners = [account(IBKR, 200_000.0, 20_000.0), account(TWIN, 200_000.0, 190_000.0)]
    engine = start(view(stock("SPY", 800, 600.0), stock("SPY", 10, 600.0, TWIN), accounts=owners))
    said = words(shown("risk.py"))
    tiles = [line for line in said.splitlines() if "ero excess" in line or "No zero of excess" in line]
    assert len(tiles) == 2
    assert tiles[0] != tiles[1]
    assert engine.latest is not None
    accounts, stress = engine.latest.accounts, engine.latest.stress
    assert of_each(accounts, stress) == list(stress.accounts)
    assert of_each(accounts, replace(stress, accounts=stress.accounts[1:])) == [None, None]
    assert of_each(accounts, replace(stress, accounts=())) == [None, None]


def test_an_excess_is_an_interval_whatever_the_broker_contradicts() -> None:
    """Worth 1,000 by its net liquidation, 20,000 by its excess and maintenance: nothing is proven, nothing cleared."""
    portfolio = stressed(stock("SPY", 1, 600.0), accounts=[account(IBKR, 1_000.0, 20_000.0)])
    torn = replace(portfolio.accounts[0].margins[0], net_liquidation=1_000.0, maintenance=150.0, excess=20_000.0)
    owner = replace(portfolio.accounts[0], margins=(torn,))
    (found,) = accounts_after(standing(stressed(stock("SPY", 1, 600.0), accounts=[owner])), [-0.10, 0.05])
    assert all(excess.low <= excess.high for excess in found.excess)
    # 20,150 - 60 - 135, and worth no more than 1,000 - 60
    assert (found.excess[0].low, found.excess[0].high) == (pytest.approx(940.0), pytest.approx(19_955.0))


# --- while nothing can be computed ---


@pytest.mark.parametrize("how", ["compiling", "exception"])
def test_what_is_broken_keeps_its_subject_while_it_cannot_be_computed(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alerts and history key on check and subject: a breach whose subject is gone reads as over."""
    views = [view(stock("SPY", 1000, 600.0), accounts=[account()])]
    before = assess(views, MATRIX, Memory(), NOW)
    if how == "exception":
        monkeypatch.setattr("guardrails.stress.standing.book_of", lambda *_: 1 / 0)
    after = assess(views, MATRIX, before.memory, NOW + timedelta(seconds=2), compiling=how == "compiling")
    made, left = (
        {(f.check, f.subject): f.level for f in found.snapshot.findings if f.check.startswith("stress")}
        for found in (before, after)
    )
    assert Level.BREACH in made.values()
    assert set(made) == set(left)
    assert set(left.values()) == {Level.UNKNOWN}


def test_an_error_of_every_cycle_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ArithmeticError("of this test")

    whole = stressed(stock("SPY", 1, 600.0))
    monkeypatch.setattr("guardrails.stress.standing.book_of", broken)
    monkeypatch.setattr("guardrails.summary.account_stress.distances", broken)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert "ArithmeticError" in str(standing_of(whole, stress_limits()))
            assert "ArithmeticError" in stress_now(whole).accounts[0].reason
    for words_of in ("the book cannot be revalued", "the distance to liquidation cannot be computed"):
        (told,) = [one for one in caplog.records if words_of in one.getMessage()]
        assert told.exc_info
