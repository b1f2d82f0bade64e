"""Excess liquidity after a move of the index, and the level at which it is gone. Every figure is worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.stress.accounts import AccountAfter, accounts_after, margined
from guardrails.stress.liquidation import SEARCHED, TOLERANCE, Distance, distances
from guardrails.summary.account_stress import account_rows
from guardrails.values import Account, Margin, MarginView, Observed, Position
from tests.books import IBKR, NOW, TASTY, account, market, option, stock
from tests.stressed import standing, stressed


def broke(excess: float = 5_000.0, maintenance: float = 15_000.0) -> Account:
    """An account that is worth both together."""
    return account(IBKR, excess + maintenance, excess)


def after(*positions: Position, at: float, owner: Account, **more: object) -> AccountAfter:
    portfolio = stressed(*positions, accounts=[owner], **more)
    (found,) = accounts_after(standing(portfolio), [at])
    return found


def distance(*positions: Position, owner: Account, **more: object) -> Distance:
    (found,) = distances(standing(stressed(*positions, accounts=[owner], **more)))
    return found


# 100 SPY at 600 are worth 60,000; a quarter of it is maintenance (FINRA 4210): 15,000


def test_shares_by_hand() -> None:
    found = after(stock("SPY", 100, 600.0), at=-0.10, owner=broke())
    assert (found.rule, found.estimate_now, found.factor) == ("strategy", 15_000.0, 1.0)
    assert found.estimate[0].known == pytest.approx(13_500.0)  # a quarter of 54,000
    assert found.pnl[0].known == pytest.approx(-6_000.0)
    assert found.excess[0].known == pytest.approx(20_000.0 - 6_000.0 - 13_500.0)
    assert found.use(0) == pytest.approx(0.9)  # 4,500 of 5,000


def test_a_broker_who_asks_for_more_than_the_minimum_asks_for_more_after_the_move_too() -> None:
    found = after(stock("SPY", 100, 600.0), at=-0.10, owner=broke(50_000.0, 30_000.0))
    assert found.factor == 2.0
    assert found.excess[0].known == pytest.approx(80_000.0 - 6_000.0 - 2 * 13_500.0)


def test_a_broker_who_asks_for_less_is_taken_to_ask_for_the_minimum() -> None:
    found = after(stock("SPY", 100, 600.0), at=-0.10, owner=broke(90_000.0, 10_000.0))
    assert (found.rule, found.factor) == ("strategy", 1.0)  # 15,000 is nearer to 10,000 than 4,800 (8 %) is
    assert found.excess[0].known == pytest.approx(100_000.0 - 6_000.0 - 13_500.0)


def test_portfolio_margin_is_taken_where_it_is_nearer_to_the_brokers_figure() -> None:
    """The worst of ten prices down to -8 % of 60,000 is 4,800; after -10 % it is 8 % of 54,000."""
    found = after(stock("SPY", 100, 600.0), at=-0.10, owner=broke(20_000.0, 4_800.0))
    assert (found.rule, found.factor) == ("portfolio", pytest.approx(1.0))
    assert found.excess[0].known == pytest.approx(24_800.0 - 6_000.0 - 4_320.0)


def test_the_brokers_figure_is_kept_where_the_estimate_is_nothing() -> None:
    found = after(at=-0.10, owner=broke(5_000.0, 100.0))
    assert found.excess[0].known == pytest.approx(5_000.0)


def black_scholes_put(spot: float, strike: float, years: float, vol: float) -> float:
    """Without rate or dividend."""

    def normal(x: float) -> float:
        return math.erfc(-x / math.sqrt(2.0)) / 2.0

    d1 = (math.log(spot / strike) + vol * vol * years / 2.0) / (vol * math.sqrt(years))
    return strike * normal(vol * math.sqrt(years) - d1) - spot * normal(-d1)


def test_a_short_put_by_hand() -> None:
    """The options' loss is no loss of equity under the strategy rule: it is in the requirement, premium included.

    18 Dec 16:00 in New York is 30 days and 5.5 hours away. VIX is 17; at -10 % it rises by 10 + 0.115 x 100 points.
    """
    years = (30 + 5.5 / 24.0) / 365.0
    rise = 0.215 * (30.0 / (years * 365.0)) ** 0.4
    now, then = black_scholes_put(6000, 5500, years, 0.18), black_scholes_put(5400, 5500, years, 0.18 + rise)
    # of 6,000: 15 % is 900, 500 out of the money, so the floor of 10 % of the strike counts; of 5,400: 15 % is 810
    minimum_now, minimum_then = 100 * (now + 550.0), 100 * (then + 810.0)
    owner = broke(40_000.0, minimum_now)
    found = after(option("SPXW  261218P05500000", -1, "-0.1 0 0 0 0.18", mark=now), at=-0.10, owner=owner)
    assert found.rule == "strategy"
    assert found.estimate_now == pytest.approx(minimum_now)
    assert found.pnl[0].known == pytest.approx(-100 * (then - now), rel=1e-6)
    assert found.estimate[0].known == pytest.approx(minimum_then, rel=1e-6)
    assert found.excess[0].known == pytest.approx(40_000.0 + minimum_now - minimum_then, rel=1e-6)


# --- what is not known ---


def test_the_worst_of_the_views_counts() -> None:
    views = tuple(
        Margin(view, "total", 20_000.0, 20_000.0 - excess, excess)
        for view, excess in ((MarginView.CURRENT, 9_000.0), (MarginView.LOOK_AHEAD, 5_000.0))
    )
    owner = replace(broke(), margins=views, expected_views=(MarginView.CURRENT, MarginView.LOOK_AHEAD))
    found = after(stock("SPY", 100, 600.0), at=-0.10, owner=owner)
    assert (found.now, found.maintenance, found.reason) == (5_000.0, 15_000.0, "")
    lacking = replace(owner, margins=views[:1])
    found = after(stock("SPY", 100, 600.0), at=-0.10, owner=lacking)
    assert "look-ahead" in found.reason


def test_segments_add_up_where_no_total_is_reported() -> None:
    rows = (
        Margin(MarginView.CURRENT, "securities", 18_000.0, 14_000.0, 4_000.0),
        Margin(MarginView.CURRENT, "commodities", 2_000.0, 1_000.0, 1_000.0),
    )
    (found,) = margined(standing(stressed(stock("SPY", 100, 600.0), accounts=[replace(broke(), margins=rows)])).book)
    assert (found.told.excess, found.told.maintenance, found.told.net_liquidation) == (5_000.0, 15_000.0, 20_000.0)


def test_figures_in_another_currency_are_converted_or_unknown() -> None:
    owner = replace(broke(), currency="EUR")
    where = replace(market(), fx={"EUR": Observed(1.1, NOW, "test")})
    (one,) = margined(standing(stressed(accounts=[owner], at=where)).book)
    assert one.told.excess == pytest.approx(5_500.0)
    (one,) = margined(standing(stressed(accounts=[owner])).book)
    assert one.told.excess is None
    assert "no rate from EUR" in one.reason


BLIND = option("AAPL  270115C00015000", -1)
"""a short call at 15 on something that trades at 10, of which neither price nor volatility is known"""


def test_a_leg_without_a_price_leaves_only_what_the_account_may_be_worth() -> None:
    portfolio = stressed(BLIND, stock("SPY", 100, 600.0), accounts=[broke()], at=market(AAPL=10.0))
    (found,) = accounts_after(standing(portfolio), [-0.10])
    assert found.excess[0].low == -math.inf
    # worth 20,000, 6,000 lost on the shares, at most 10 a share to gain on a call that can be worth no more now
    assert found.excess[0].high == pytest.approx(20_000.0 - 6_000.0 + 1_000.0)
    assert "AAPL" in found.reason


def test_what_is_known_may_prove_a_shortfall() -> None:
    owner = account(IBKR, 4_000.0, 1_000.0)
    portfolio = stressed(BLIND, stock("SPY", 100, 600.0), accounts=[owner], at=market(AAPL=10.0))
    (found,) = accounts_after(standing(portfolio), [-0.10])
    assert found.excess[0].high == pytest.approx(-1_000.0)


def test_a_beta_that_is_not_known_widens_the_excess() -> None:
    owner = broke(50_000.0, 10_000.0)
    portfolio = stressed(stock("XYZ", 100, 100.0), accounts=[owner], at=market(XYZ=100.0))
    (found,) = accounts_after(standing(portfolio), [-0.10])
    # beta 0 to 2: worth 10,000 to 8,000, a quarter of it margin, times 4 as the broker asks for 10,000 instead of 2,500
    assert found.excess[0].low == pytest.approx(60_000.0 - 2_000.0 - 10_000.0)
    assert found.excess[0].high == pytest.approx(60_000.0 - 8_000.0)


# --- the distance ---


def test_the_level_below() -> None:
    """20,000 - 60,000 x - 15,000 (1 - x) is zero at x = 1/9."""
    found = distance(stock("SPY", 100, 600.0), owner=broke())
    assert found.down is not None
    assert -1 / 9 <= found.down <= -1 / 9 + TOLERANCE
    assert found.up is None
    assert found.reason == ""


def test_the_level_above() -> None:
    """Short 100 SPY ask for 30 %: 30,000 - 60,000 x - 18,000 (1 + x) is zero at x = 2/13."""
    found = distance(stock("SPY", -100, 600.0), owner=broke(12_000.0, 18_000.0))
    assert found.up is not None
    assert 2 / 13 - TOLERANCE <= found.up <= 2 / 13
    assert found.down is None


def test_the_row_says_levels_and_the_next_switch() -> None:
    switch = NOW.replace(hour=21)
    owner = replace(broke(), next_margin_change=switch)
    portfolio = stressed(stock("SPY", 100, 600.0), accounts=[owner])
    (row,) = account_rows(portfolio, 6_000.0)
    assert row.account == "IBKR •••4567"
    assert row.zero_down == pytest.approx(6_000.0 * 8 / 9, abs=6_000.0 * TOLERANCE)
    assert (row.zero_up, row.searched, row.next_margin_change, row.reason) == (None, SEARCHED, switch, "")
    assert (row.rule, row.estimate, row.maintenance, row.excess) == ("strategy", 15_000.0, 15_000.0, 5_000.0)


def test_one_account_dies_though_both_together_would_not() -> None:
    rich = account(TASTY, 1_000_000.0, 1_000_000.0)
    portfolio = stressed(stock("SPY", 100, 600.0), accounts=[broke(), rich])
    poor_row, rich_row = account_rows(portfolio, 6_000.0)
    assert poor_row.zero_down is not None
    assert (rich_row.zero_down, rich_row.zero_up) == (None, None)


def test_an_account_that_is_short_already_has_no_distance() -> None:
    found = distance(stock("SPY", 100, 600.0), owner=broke(-1.0, 15_000.0))
    assert (found.down, found.up) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        (account(IBKR, None), "the broker's margin figures (now) are missing"),
        (broke(90_000.0, 10_000.0), ""),
        (broke(1_000.0, 14_000.0 - 5_000.0), "above what the broker asks for"),
    ],
)
def test_why_it_is_not_known_is_said(owner: Account, reason: str) -> None:
    found = distance(stock("SPY", 100, 600.0), owner=owner)
    assert reason in found.reason
    if reason:
        assert (found.down, found.up) == (None, None)


def test_without_a_leg_price_there_is_no_distance() -> None:
    found = distance(BLIND, owner=broke(), at=market(AAPL=10.0))
    assert (found.down, found.up) == (None, None)
    assert "AAPL" in found.reason


def test_no_level_of_the_index_is_said() -> None:
    portfolio = stressed(stock("AAPL", 100, 250.0), accounts=[broke()], at=market({"AAPL": 1.0}, AAPL=250.0))
    (row,) = account_rows(portfolio, None)
    assert row.zero_down is None
    # 20,000 - 25,000 x - 15,000 / 6,250 x 6,250 (1 - x) is zero at x = 1/2
    assert row.down == pytest.approx(-0.5, abs=TOLERANCE)
    assert row.reason == ""


def test_nothing_is_told_before_the_book_has_been_revalued() -> None:
    assert account_rows(replace(stressed(accounts=[broke()]), stress="compiling"), 6_000.0) == ()


@settings(max_examples=15, deadline=None)
@given(st.integers(10, 200), st.integers(1, 100))
def test_more_shares_are_never_further_from_liquidation(held: int, more: int) -> None:
    """Of an account that is worth 60,000 and whose broker asks for the minimum."""

    def zero(count: int) -> float:
        owner = broke(60_000.0 - 150.0 * count, 150.0 * count)
        found = distance(stock("SPY", count, 600.0), owner=owner)
        return SEARCHED[0] if found.down is None else found.down

    assert zero(held + more) >= zero(held) - TOLERANCE
