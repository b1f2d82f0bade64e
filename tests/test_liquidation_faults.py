"""What an account's excess liquidity must not hide: strikes, segments, sold options on futures, figures far apart."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.stress.accounts import AccountAfter, accounts_after, margined
from guardrails.stress.liquidation import STRIKES, distances, strikes_held
from guardrails.values import Account, Greeks, Margin, MarginView, Position
from tests.books import IBKR, NOW, account, future, market, stock
from tests.stressed import standing, stressed

WHERE = market(**{"/ESZ26": 6000.0})


def after(*positions: Position, owner: Account, at: float = -0.10) -> AccountAfter:
    (found,) = accounts_after(standing(stressed(*positions, at=WHERE, accounts=[owner])), [at])
    return found


def es_option(
    strike: int, right: Right, held: float, iv: float, mark: float, *, root: str = "EW2", day: int = 11, month: int = 12
) -> Position:
    expiry = date(2026, month, day)
    symbol = f"./{root}Z26 {expiry:%y%m%d}{right.value}{strike}"
    kind = Instrument(Kind.FUTURE_OPTION, symbol, "/ESZ26", root, expiry, Decimal(strike), right, Settlement.CASH_PM)
    greeks = Greeks(-0.08, 0.0003, 2.0, -1.0, iv, "test", NOW)
    return Position(IBKR, kind, held, 50.0, "test", NOW, mark=mark, mark_time=NOW, greeks=greeks)


def test_an_excess_that_is_gone_between_two_round_returns_is_found_at_the_strike() -> None:
    """Ten ES sold at 6,000 and 20 calls at 6,750 bought, a day to run: 300,000 is lost at +10 %, as much at +15 %
    (450,000 less 20 x 50 x 150), but 375,000 at the strike, +12.5 %.
    """
    calls = es_option(6750, Right.CALL, 20, 0.2, 0.05, root="E3D", day=19, month=11)
    owner = account(net_liquidation=360_000.0, excess=340_000.0, margin_by_underlying={"/ES": 20_000.0})
    stress = standing(stressed(future("/ESZ26", -10, 6000.0, 50.0), calls, at=WHERE, accounts=[owner]))
    assert [accounts_after(stress, [at])[0].excess[0].low > 0 for at in (0.10, 0.125, 0.15)] == [True, False, True]
    assert strikes_held(stress.book) == (0.125,)
    (found,) = distances(stress)
    assert found.up is not None
    assert 340.0 / 3_000.0 <= found.up <= 0.117  # the calls are worth a little before the strike


def test_of_many_strikes_the_largest_are_searched_and_none_out_of_reach() -> None:
    held = [es_option(5000 + 10 * place, Right.PUT, -1, 0.24, 16.0) for place in range(60)]
    far, large = es_option(9000, Right.CALL, -50, 0.24, 0.5), es_option(4200, Right.PUT, -50, 0.24, 0.5)
    found = strikes_held(standing(stressed(*held, far, large, at=WHERE, accounts=[account()])).book)
    assert len(found) == STRIKES
    assert -0.3 in found  # 4,200 over 6,000
    assert min(abs(strike) for strike in found) == pytest.approx(0.068)  # 5,590; 9,000 is 50 % up, beyond +40 %
    assert max(found) < 0


# --- segments ---


def split(securities: tuple[float, float], commodities: tuple[float, float]) -> Account:
    """An account whose segments have this (maintenance, excess)."""
    rows = (
        Margin(MarginView.CURRENT, name, sum(figures), *figures)
        for name, figures in (("securities", securities), ("commodities", commodities))
    )
    maintenance, excess = securities[0] + commodities[0], securities[1] + commodities[1]
    total = Margin(MarginView.CURRENT, "total", maintenance + excess, maintenance, excess)
    return replace(account(net_liquidation=maintenance + excess, excess=excess), margins=(total, *rows))


def test_a_short_segment_is_not_hidden_by_what_the_other_has_to_spare() -> None:
    """400 SPY at 600 are 240,000, a quarter is 60,000: a tenth less takes 24,000 and frees 6,000."""
    owner = split((60_000.0, 1_000.0), (40_000.0, 99_000.0))
    held = (stock("SPY", 400, 600.0), future("/ESZ26", 1, 6000.0, 50.0))
    found = after(*held, owner=owner)
    assert (found.segment, found.now, found.maintenance) == ("securities", 1_000.0, 60_000.0)
    assert found.excess[0].known == pytest.approx(1_000.0 - 24_000.0 + 6_000.0)
    assert found.name == "IBKR •••4567 (securities segment)"
    (zero,) = distances(standing(stressed(*held, at=WHERE, accounts=[owner])))
    assert zero.down is not None
    assert -1_000.0 / 180_000.0 - 1e-9 <= zero.down <= 0.0  # 240,000 x - 60,000 x = 1,000


def test_futures_are_held_against_their_own_segment() -> None:
    """One ES loses 6,000 x 50 x 10 % = 30,000 and its margin stays."""
    owner = split((60_000.0, 100_000.0), (20_000.0, 25_000.0))
    found = after(stock("SPY", 400, 600.0), future("/ESZ26", 1, 6000.0, 50.0), owner=owner)
    assert (found.segment, found.excess[0].known) == ("commodities", pytest.approx(-5_000.0))


def test_an_empty_segment_is_no_matter() -> None:
    found = after(stock("SPY", 400, 600.0), owner=split((60_000.0, 50_000.0), (0.0, 0.0)))
    assert found.excess[0].known == pytest.approx(50_000.0 - 18_000.0)


# --- options sold on futures ---


def puts(held: float, figure: float = 50_000.0) -> AccountAfter:
    owner = account(net_liquidation=400_000.0, excess=400_000.0 - figure, margin_by_underlying={"/ES": figure})
    return after(es_option(5400, Right.PUT, held, 0.24, 16.0), owner=owner)


def test_the_margin_of_sold_options_grows_as_they_come_to_the_money_and_that_of_bought_ones_does_not() -> None:
    sold = puts(-10)
    # 10 puts at the money in 5,400: 8 % less takes at most 432 points from each; part of it is time value
    assert 100_000.0 < sold.estimate[0].low <= 10 * 50 * 432.0
    assert sold.estimate[0].low == sold.estimate[0].high
    assert puts(10).estimate[0].known == 50_000.0


def test_it_never_falls_below_the_brokers_figure() -> None:
    owner = account(net_liquidation=400_000.0, excess=350_000.0, margin_by_underlying={"/ES": 50_000.0})
    found = after(es_option(5400, Right.PUT, -10, 0.24, 16.0), owner=owner, at=0.05)
    assert found.estimate[0].known == pytest.approx(50_000.0)


def test_sold_options_without_a_figure_of_the_broker_are_not_known() -> None:
    found = after(es_option(5400, Right.PUT, -10, 0.24, 16.0), owner=account(net_liquidation=400_000.0))
    assert found.excess[0].low == -math.inf
    assert "/ES" in found.reason


def test_the_figure_of_a_hedged_product_grows_by_dollars_and_not_by_a_wild_ratio() -> None:
    """A spread of 10 points can lose 10 x 50 x 10 = 5,000; the broker asks for 50,000."""
    owner = account(net_liquidation=400_000.0, excess=350_000.0, margin_by_underlying={"/ES": 50_000.0})
    held = (es_option(5400, Right.PUT, -10, 0.24, 16.0), es_option(5390, Right.PUT, 10, 0.24, 15.5))
    assert 50_000.0 <= after(*held, owner=owner).estimate[0].low <= 55_000.0


# --- what the broker says and what we say ---


def test_a_net_liquidation_of_zero_is_zero() -> None:
    rows = (Margin(MarginView.CURRENT, "total", 0.0, 0.0, 0.0),)
    owner = account(net_liquidation=50_000.0, excess=0.0, margins=rows)
    (one,) = margined(standing(stressed(stock("SPY", 1, 600.0), accounts=[owner])).book)
    assert one.told.net_liquidation == 0.0


def test_a_broker_who_asks_many_times_our_estimate_leaves_it_unknown_within_bounds() -> None:
    """10 SPY: a quarter of 6,000 is 1,500, the broker asks for 58,500, 39 times that; a tenth less takes 600."""
    found = after(stock("SPY", 10, 600.0), owner=account(net_liquidation=100_000.0, excess=41_500.0))
    assert found.reason == "the broker asks 39 times our estimate: the estimate says little"
    # of margin at least 39 x 1,350, at most 58,500 - 150
    assert (found.estimate[0].low, found.estimate[0].high) == (pytest.approx(52_650.0), pytest.approx(58_350.0))
    assert (found.excess[0].low, found.excess[0].high) == (pytest.approx(41_050.0), pytest.approx(46_750.0))


@pytest.mark.parametrize(("name", "share"), [("912797XX0", 0.06), ("037833AR1", 0.20)])
def test_a_bond_is_margined_by_its_market_value(name: str, share: float) -> None:
    bond = Position(IBKR, Instrument(Kind.BOND, name, name), 100_000.0, 0.01, "test", NOW, mark=99.0, mark_time=NOW)
    minimum = 99_000.0 * share
    owner = account(net_liquidation=200_000.0, excess=200_000.0 - minimum)
    (one,) = margined(standing(stressed(bond, accounts=[owner])).book)
    assert (one.made.amount, one.reason) == (pytest.approx(minimum), "")
    assert "bond, by the published minimum" in one.made.by_underlying[0].words or one.made.rule.value == "portfolio"
    (short,) = margined(standing(stressed(replace(bond, quantity=-100_000.0), accounts=[owner])).book)
    assert "sold short" in short.reason
