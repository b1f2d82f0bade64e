"""Estimates beside the broker's figures: which rule, which underlying, and what is not known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from guardrails.instruments import Instrument, Kind
from guardrails.margin import Leg, Rule, estimate, legs_of, portfolio_margin
from guardrails.margin.estimate import after, against_net_liquidation
from guardrails.values import Account, Margin, MarginView
from tests.books import IBKR, TASTY, account, book, future, market, stock
from tests.books import option as held_option
from tests.test_margin_strategy import option
from tests.test_margin_strategy import stock as shares

PUT = option("XYZ 261218 P 97", -1, 1.20, 100.0)
"""20 - 3 + 1.20 = 18.20 a unit"""
FUTURE = Leg(Instrument(Kind.FUTURE, "/ESZ26", "/ESZ26", "/ES"), 1, 50.0, 6000.0, 6000.0)


def told(maintenance: float | None, segment: str = "total", **more: object) -> Account:
    margin = Margin(MarginView.CURRENT, segment, 100_000.0, maintenance, None)
    return replace(account(IBKR), margins=(margin,), **more)  # type: ignore[arg-type]  # fields of an account


def at_points(*legs: Leg) -> np.ndarray:
    return np.array([np.maximum(leg.sign * (row - leg.strike), 0.0) if leg.is_option else row
                     for leg, row in zip(legs, portfolio_margin.prices(legs), strict=True)])  # fmt: skip


def test_it_says_the_rule_and_stands_beside_the_brokers_figure() -> None:
    made = estimate(told(1_900.0, margin_by_underlying={"XYZ": 1_875.0}), [PUT])
    assert made.amount == pytest.approx(1_820)
    assert made.broker_amount == 1_900.0
    assert [(part.underlying, part.amount, part.broker_amount) for part in made.by_underlying] == [
        ("XYZ", pytest.approx(1_820), 1_875.0)
    ]
    assert "20 % of 100.00 − 3.00 out of the money + 1.20 premium" in made.by_underlying[0].words
    assert "gross" in made.words


@pytest.mark.parametrize(
    ("broker", "rule", "amount"),
    [  # strategy 1,820; portfolio margin 97 - 85 - 1.20 = 1,080; their geometric mean is 1,402
        (1_410.0, Rule.STRATEGY, 1_820.0), (1_395.0, Rule.PORTFOLIO, 1_080.0), (5_000.0, Rule.STRATEGY, 1_820.0),
        (10.0, Rule.PORTFOLIO, 1_080.0), (None, Rule.STRATEGY, 1_820.0), (0.0, Rule.STRATEGY, 1_820.0),
    ],
)  # fmt: skip
def test_the_rule_is_the_one_nearer_to_the_brokers_figure(broker: float | None, rule: Rule, amount: float) -> None:
    made = estimate(told(broker), [PUT], at_points(PUT))
    assert (made.rule, made.amount) == (rule, pytest.approx(amount))
    if broker:
        assert "inferred" in made.words


def test_without_theoretical_prices_there_is_only_the_strategy_rule() -> None:
    made = estimate(told(1_080.0), [PUT])
    assert made.rule is Rule.STRATEGY
    assert "portfolio margin was not estimated" in made.words


def test_what_is_not_known_is_named_and_the_rest_is_no_more_than_a_part() -> None:
    blind = replace(option("ABC 261218 C 50", -1, 1.0, 50.0), price=math.nan)
    made = estimate(told(5_000.0), [PUT, blind, shares(100, 50.0, "ABC")])
    assert made.amount is None
    assert made.known == pytest.approx(1_820)
    parts = {part.underlying: part for part in made.by_underlying}
    assert parts["ABC"].amount is None
    assert parts["ABC"].words == "ABC 18Dec26 50C: its price is not known"
    assert made.unknown == ("ABC 18Dec26 50C: its price is not known",)


def test_futures_are_the_brokers_last_figure() -> None:
    commodities = Margin(MarginView.CURRENT, "commodities", 50_000.0, 15_000.0, 35_000.0)
    securities = Margin(MarginView.CURRENT, "securities", 50_000.0, 1_800.0, 48_200.0)
    ibkr = told(16_800.0)
    ibkr = replace(ibkr, margins=(*ibkr.margins, commodities, securities))
    tasty = told(17_000.0, margin_by_underlying={"/ESZ26": 15_000.0, "XYZ": 1_900.0})
    for who in (ibkr, tasty):
        made = estimate(who, [PUT, FUTURE])
        assert made.amount == pytest.approx(16_820)
        assert made.futures == 15_000.0
        assert made.by_underlying[-1].underlying == "/ES"
        assert "kept constant" in made.by_underlying[-1].words


def test_futures_without_a_brokers_figure_are_unknown_not_free() -> None:
    made = estimate(told(16_800.0), [PUT, FUTURE])
    assert made.amount is None
    assert made.futures is None
    assert made.known == pytest.approx(1_820)
    assert "/ES" in made.unknown[0]
    assert np.isnan(after(made, [PUT, FUTURE], np.ones((2, 1)), np.ones((2, 1)))).all()


def test_the_brokers_total_is_compared_without_its_futures() -> None:
    """17,000 less 15,600 for the future is 1,400, nearer to 1,080 by a hair; 17,000 itself would say strategy."""
    who = told(17_000.0, margin_by_underlying={"/ESZ26": 15_600.0})
    assert estimate(who, [PUT, FUTURE], np.vstack([at_points(PUT), np.zeros((1, 10))])).rule is Rule.PORTFOLIO


def test_names_that_are_no_futures_are_compared_before_the_total() -> None:
    """The total of 3,500 less 15,000 would be nothing; XYZ alone says 1,090."""
    who = told(3_500.0, margin_by_underlying={"/ESZ26": 15_000.0, "XYZ": 1_090.0})
    made = estimate(who, [PUT, FUTURE], np.vstack([at_points(PUT), np.zeros((1, 10))]))
    assert (made.rule, "$1,090" in made.words) == (Rule.PORTFOLIO, True)


def test_figures_in_another_currency_need_a_rate() -> None:
    euros = told(1_000.0, currency="EUR", margin_by_underlying={"XYZ": 1_000.0})
    assert estimate(euros, [PUT]).broker_amount is None
    made = estimate(euros, [PUT], usd_per_unit=1.10)
    assert made.broker_amount == pytest.approx(1_100)
    assert made.by_underlying[0].broker_amount == pytest.approx(1_100)


def test_the_brokers_names_of_one_class_are_added_under_the_portfolio_rule() -> None:
    legs = [option("SPX 261218 P 6000", -1, 60.0, 6000.0), shares(100, 600.0, "SPY")]
    who = told(40_000.0, margin_by_underlying={"SPX": 30_000.0, "SPY": 10_000.0, "QQQ": 1.0})
    made = estimate(who, legs, at_points(*legs))
    assert made.rule is Rule.PORTFOLIO
    assert [(part.underlying, part.broker_amount) for part in made.by_underlying] == [("SPX", 40_000.0)]


def test_an_empty_account_requires_nothing() -> None:
    made = estimate(told(0.0), [])
    assert (made.amount, made.by_underlying, made.unknown) == (0.0, (), ())


def test_after_a_shock_the_same_rule_counts_and_futures_stay() -> None:
    """At 90 with the put at 8: 26.00 a unit; futures 15,000; long and short options out of what equity counts."""
    made = estimate(told(17_000.0, margin_by_underlying={"/ESZ26": 15_000.0}), [PUT, FUTURE])
    price, spot = np.array([[8.0], [5500.0]]), np.array([[90.0], [5500.0]])
    required = after(made, [PUT, FUTURE], price, spot)
    assert required == pytest.approx([17_600])
    assert against_net_liquidation(made, [PUT, FUTURE], price, required) == pytest.approx([16_800])


def test_after_a_shock_under_the_portfolio_rule_needs_theoretical_prices() -> None:
    made = estimate(told(1_080.0), [PUT], at_points(PUT))
    price, spot = np.array([[10.0]]), np.array([[90.0]])
    assert np.isnan(after(made, [PUT], price, spot)).all()
    values = np.maximum(97.0 - 90.0 * (1 + np.linspace(-0.15, 0.15, 10)), 0.0).reshape(1, 1, 10)
    required = after(made, [PUT], price, spot, values)
    assert required == pytest.approx([100 * (97 - 76.5 - 10)])
    assert against_net_liquidation(made, [PUT], price, required) == pytest.approx(required)


def test_legs_are_read_from_one_account_of_the_portfolio() -> None:
    held = book(
        held_option("XYZ   261218P00097000", -1, "-0.3 0.02 0.1 -0.05", mark=1.2),
        stock("XYZ", 100, 100.0),
        stock("XYZ", 100, 100.0, account=TASTY),
        held_option("XYZ   261218C00105000", -1, mark=0.8, reasons=("contradictory",)),
        future("/ESZ26", 1, 6000.0, 50.0),
        at=market(XYZ=100.0),
    )
    legs = legs_of(held, IBKR)
    assert [(leg.instrument.symbol, leg.multiplier, leg.broker) for leg in legs] == [
        ("XYZ   261218P00097000", 100.0, "IBKR"), ("XYZ", 1.0, "IBKR"), ("XYZ   261218C00105000", 100.0, "IBKR"),
        ("/ESZ26", 50.0, "IBKR"),
    ]  # fmt: skip
    assert (legs[0].price, legs[0].spot, legs[1].price) == (1.2, 100.0, 100.0)
    assert math.isnan(legs[2].quantity)  # a row that cannot be trusted
    assert estimate(account(IBKR), legs).amount is None
