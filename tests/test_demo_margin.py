"""The demo brokers' requirements, worked by hand from the published minimums (domain facts 2.1)."""

from __future__ import annotations

from datetime import date

import pytest

from adapters.demo.book import IBKR, TASTYTRADE, Line
from adapters.demo.margin import Requirement, Stress, requirements
from adapters.demo.marks import Holding, Mark
from guardrails import symbols
from guardrails.instruments import Instrument

CALM = Stress.of(14.0)
TODAY = date(2026, 11, 18)


def held(
    text: str, quantity: float, price: float, spot: float, multiplier: float = 100.0, account: str = IBKR
) -> Holding:
    instrument: Instrument = symbols.parse(text, TODAY)
    mark = Mark(price, price, price, spot)
    return Holding(Line(account, "package", instrument, quantity, multiplier, 1.0), mark, mark)


def asked(*holdings: Holding, stress: Stress = CALM) -> Requirement:
    (requirement,) = requirements(holdings, stress)
    return requirement


def test_shares_ask_a_quarter_of_their_value() -> None:
    assert asked(held("SPY", 100, 680.0, 680.0, 1.0)).now == pytest.approx(17_000.0)


@pytest.mark.parametrize(
    ("symbol", "spot", "account", "expected"),
    [
        ("SPY   261218P00650000", 680.0, IBKR, 7_200.0),  # 15 % of 680 is 102, less 30 out of the money
        ("SPY   261218P00500000", 680.0, IBKR, 5_000.0),  # far out: 10 % of the strike
        ("SPY   261218C00710000", 680.0, IBKR, 7_200.0),
        ("SPY   261218C00900000", 680.0, IBKR, 6_800.0),  # far out: 10 % of the underlying
        ("AAPL  261218P00250000", 270.0, TASTYTRADE, 3_400.0),  # 20 % of 270 is 54, less 20
        ("SPXW  261218P06500000", 6800.0, IBKR, 72_000.0),  # 15 % of 6,800 is 1,020, less 300
        ("SPXW  261218P06500000", 6800.0, TASTYTRADE, 140_000.0),  # 25 % there: 1,700 less 300
    ],
)
def test_an_uncovered_short_option(symbol: str, spot: float, account: str, expected: float) -> None:
    assert asked(held(symbol, -1, 2.0, spot, account=account)).now == pytest.approx(expected)


def test_a_strangle_asks_for_its_dearer_side_only() -> None:
    put, call = held("SPY   261218P00650000", -2, 2.0, 680.0), held("SPY   261218C00720000", -2, 1.0, 680.0)
    assert asked(put, call).now == pytest.approx(14_400.0)  # the put: 2 x 7,200; the call would ask 2 x 6,800


def test_a_condor_asks_for_its_larger_loss_once() -> None:
    """Width 50 on both sides; the put spread shows 9.00 of its loss in its price, the call spread 3.00."""
    condor = (
        held("SPX   261218P06500000", -1, 20.0, 6800.0),
        held("SPX   261218P06450000", 1, 11.0, 6800.0),
        held("SPX   261218C07100000", -1, 7.0, 6800.0),
        held("SPX   261218C07150000", 1, 4.0, 6800.0),
    )
    assert asked(*condor).now == pytest.approx(4_700.0)  # (50 - 3) x 100, and not 4,100 + 4,700


def test_a_covered_call_asks_for_the_shares_only() -> None:
    shares, call = held("AAPL", 100, 270.0, 270.0, 1.0), held("AAPL  261218C00285000", -1, 1.4, 270.0)
    assert asked(shares, call).now == pytest.approx(6_750.0)


def test_a_second_call_is_not_covered_by_the_same_shares() -> None:
    shares, calls = held("AAPL", 100, 270.0, 270.0, 1.0), held("AAPL  261218C00285000", -2, 1.4, 270.0)
    assert asked(shares, calls).now == pytest.approx(6_750.0 + 3_900.0)  # 20 % of 270 is 54, less 15


def test_a_long_option_asks_for_its_value() -> None:
    assert asked(held("SPY   261218P00650000", 2, 3.0, 680.0)).now == pytest.approx(600.0)


def test_futures_are_cheaper_by_day_and_dearer_with_volatility() -> None:
    future = held("/ESZ26", -1, 6800.0, 6800.0, 50.0)
    calm, crisis = asked(future), asked(future, stress=Stress.of(45.0))
    assert calm.overnight == pytest.approx(22_440.0)  # 6.6 % of 340,000
    assert calm.now == pytest.approx(16_830.0)  # three quarters of it
    assert calm.commodities
    assert calm.now < calm.overnight < calm.ahead
    assert crisis.overnight == pytest.approx(33_660.0)  # half as much again at VIX 45
    assert crisis.ahead / crisis.overnight > calm.ahead / calm.overnight


def test_cash_asks_for_nothing() -> None:
    assert requirements([held("EUR/USD", 15_000, 1.16, 1.16, 1.0)], CALM) == ()
