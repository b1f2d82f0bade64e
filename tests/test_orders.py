"""Orders and previews: both sides of every rule an order has to keep, and what a preview may claim."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.errors import OrderError
from guardrails.instruments import Instrument, Kind, Right
from guardrails.order_json import read_order
from guardrails.orders import Figure, Leg, Order, OrderType, Preview, PriceRule, TimeInForce
from guardrails.values import AccountId

ACCOUNT = AccountId("IBKR", "DU1234567")
NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)


def put(strike: int) -> Instrument:
    symbol = f"SPXW  261218P{strike * 1000:08d}"
    return Instrument(Kind.INDEX_OPTION, symbol, "SPX", "SPXW", date(2026, 12, 18), Decimal(strike), Right.PUT)


def order(*ratios: int, quantity: int = 1, limit: float | None = -1.0) -> Order:
    """Puts 5000, 5010, ... in these ratios."""
    legs = tuple(Leg(put(5000 + 10 * number), ratio) for number, ratio in enumerate(ratios))
    return Order(ACCOUNT, legs, quantity, limit)


@pytest.mark.parametrize(
    "ratios",
    [(1,), (-1,), (1, -1), (1, -2, 1), (1, -1, -1, 1), (2, -3), (100, -1), (4, 6, 9)],
)
def test_packages_in_lowest_terms(ratios: tuple[int, ...]) -> None:
    assert [leg.ratio for leg in order(*ratios).legs] == list(ratios)


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ((), "1 to 4 legs, this one has 0"),
        ((1, 1, 1, 1, -1), "1 to 4 legs, this one has 5"),
        ((2,), "common factor"),
        ((-5,), "common factor"),
        ((2, -2), "common factor"),
        ((3, -6, 3), "common factor"),
        ((0,), "ratio 0"),
        ((1, 0), "ratio 0"),
        ((0, 0), "ratio 0"),
    ],
)
def test_other_packages_are_refused(ratios: tuple[int, ...], words: str) -> None:
    with pytest.raises(OrderError, match=words):
        order(*ratios)


def test_one_instrument_stands_in_one_leg() -> None:
    with pytest.raises(OrderError, match="two legs"):
        Order(ACCOUNT, (Leg(put(5000), 1), Leg(put(5000), -2)), 1)


def test_one_key_is_one_instrument_however_it_was_described() -> None:
    with pytest.raises(OrderError, match="two legs"):
        Order(ACCOUNT, (Leg(put(5000), 1), Leg(replace(put(5000), strike=None), -2)), 1)


def test_at_least_one_package() -> None:
    assert order(1, quantity=1).quantity == 1
    for quantity in (0, -1):
        with pytest.raises(OrderError, match=f"quantity is {quantity}, it must be at least 1"):
            order(1, quantity=quantity)


@pytest.mark.parametrize("limit", [0.0, -1.25, 5.5, 1e299, -1e299])
def test_a_price_may_be_paid_or_received(limit: float) -> None:
    assert order(1, limit=limit).limit == limit


@pytest.mark.parametrize(
    "limit", [float("nan"), float("inf"), float("-inf"), 1.7976931348623157e308, -1.7976931348623157e308]
)
def test_what_is_no_price_is_refused(limit: float) -> None:
    with pytest.raises(OrderError, match="not a price"):
        order(1, limit=limit)


SHARE = Instrument(Kind.EQUITY, "SPY", "SPY", "SPY")
FUTURE = Instrument(Kind.FUTURE, "/ESZ26", "/ESZ26", "/ES")


@pytest.mark.parametrize("instrument", [SHARE, FUTURE], ids=["share", "future"])
@pytest.mark.parametrize(("at_close", "kind"), [(False, OrderType.MARKET), (True, OrderType.MOC)])
def test_one_share_or_future_may_take_any_price(instrument: Instrument, at_close: bool, kind: OrderType) -> None:  # noqa: FBT001  # a parameter of the table
    assert Order(ACCOUNT, (Leg(instrument, -1),), 5, at_close=at_close).type is kind


@pytest.mark.parametrize("legs", [(Leg(put(5000), 1),), (Leg(SHARE, 100), Leg(put(5000), 1))], ids=["option", "mixed"])
def test_options_and_packages_need_a_limit(legs: tuple[Leg, ...]) -> None:
    for at_close in (False, True):
        with pytest.raises(OrderError, match="with a limit only"):
            Order(ACCOUNT, legs, 1, at_close=at_close)
    assert Order(ACCOUNT, legs, 1, 2.5).type is OrderType.LIMIT


def test_an_order_at_the_close_has_no_limit() -> None:
    with pytest.raises(OrderError, match=r"leave the limit 2\.5 out"):
        Order(ACCOUNT, (Leg(SHARE, 1),), 1, 2.5, at_close=True)


def test_trades_are_what_all_of_it_changes() -> None:
    """Three packages of +1/-2: three bought and six sold."""
    assert [trade.quantity for trade in order(1, -2, quantity=3).trades] == [3.0, -6.0]


@pytest.mark.parametrize(
    ("price", "up", "expected"),
    [
        (2.98, True, 3.0),  # by a nickel below three
        (2.98, False, 2.95),
        (3.02, True, 3.1),  # by a dime from there on
        (8.41, True, 8.5),
        (8.41, False, 8.4),
        (-8.41, True, -8.4),  # a credit: up is to receive less
        (-8.41, False, -8.5),
        (8.4, True, 8.4),
        (0.0, True, 0.0),
    ],
)
def test_a_price_is_rounded_to_the_step_of_its_size_in_the_direction_asked(
    price: float,
    up: bool,  # noqa: FBT001  # as above
    expected: float,
) -> None:
    rule = PriceRule(((Decimal(0), Decimal("0.05")), (Decimal(3), Decimal("0.10"))))
    assert rule.rounded(price, up=up) == expected
    assert rule.fits(expected)
    assert rule.fits(price) is (price == expected)


def test_an_order_rests_for_the_day_unless_told_otherwise() -> None:
    assert order(1).time_in_force is TimeInForce.DAY


def test_an_order_does_not_tell_its_account() -> None:
    assert "DU1234567" not in repr(order(1, -1))


@given(st.lists(st.integers(-200, 200), max_size=6), st.integers(-2, 5))
def test_an_order_is_possible_exactly_when_every_rule_holds(ratios: list[int], quantity: int) -> None:
    possible = 1 <= len(ratios) <= 4 and 0 not in ratios and gcd(*ratios) == 1 and quantity >= 1
    try:
        order(*ratios, quantity=quantity)
    except OrderError:
        assert not possible
    else:
        assert possible


def test_excess_is_equity_less_maintenance_margin() -> None:
    """100,000 of equity less 30,000 required leave 70,000."""
    known = Preview(NOW, maintenance_margin=Figure(after=30_000.0), equity_with_loan=Figure(after=100_000.0))
    assert known.excess_after == 70_000.0


@pytest.mark.parametrize(
    "preview",
    [
        Preview(NOW),
        Preview(NOW, maintenance_margin=Figure(after=30_000.0)),
        Preview(NOW, equity_with_loan=Figure(after=100_000.0)),
        Preview(NOW, maintenance_margin=Figure(30_000.0, 0.0), equity_with_loan=Figure(100_000.0, 0.0)),
        Preview(
            NOW,
            maintenance_margin=Figure(after=30_000.0),
            equity_with_loan=Figure(after=100_000.0),
            unknown="initial margin after is missing",
        ),
    ],
    ids=["nothing", "no equity", "no margin", "before only", "known in part"],
)
def test_excess_is_unknown_when_any_part_is(preview: Preview) -> None:
    assert preview.excess_after is None


def test_one_leg_sold_has_its_quantity_as_packages() -> None:
    """Two contracts of one leg are two packages of one, whichever side."""
    told = {
        "account": "IBKR •••4567",
        "limit_price": -1.5,
        "legs": [{"symbol": "SPY   261218C00600000", "side": "SELL", "quantity": 2}],
    }
    order, _ = read_order(told, [AccountId("IBKR", "DU1234567")], date(2026, 11, 20))
    assert (order.quantity, order.legs[0].ratio, order.trades[0].quantity) == (2, -1, -2.0)
