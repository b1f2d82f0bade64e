"""What tastytrade's order records say, one by one: states, packages, prices, and records that replace one another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tastytrade.fees import fees_of
from adapters.tastytrade.fills import instant, told
from adapters.tastytrade.replaced import joined
from adapters.tastytrade.sheets import Sheet
from guardrails.orders import OrderState

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
PUT, CALL = "SPXW  261218P05650000", "SPXW  261218C06300000"


def leg(symbol: str, action: str, quantity: Any, remaining: Any = None, *fills: dict[str, Any]) -> dict[str, Any]:
    rest = quantity if remaining is None else remaining
    return {
        "instrument-type": "Equity Option", "symbol": symbol, "action": action, "quantity": quantity,
        "remaining-quantity": rest, "fills": list(fills),
    }  # fmt: skip


def fill(name: str, quantity: float, price: float = 4.5) -> dict[str, Any]:
    at = "2026-11-23T15:59:58.123+00:00"
    return {"fill-id": name, "quantity": str(quantity), "fill-price": str(price), "filled-at": at}


def record(number: int, status: str = "Live", legs: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    fields = {name.replace("_", "-"): value for name, value in more.items()}
    return {
        "id": number, "status": status, "price": "9.1", "price-effect": "Credit", "time-in-force": "Day", "size": 2,
        "cancellable": True, "updated-at": 1795449600000, "external-identifier": "pg-1",
        "legs": [leg(PUT, "Sell to Open", 2), leg(CALL, "Sell to Open", 4)] if legs is None else legs, **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Received", "WORKING"), ("Routed", "WORKING"), ("In Flight", "WORKING"), ("Contingent", "WORKING"),
        ("Live", "WORKING"), ("Replace Requested", "WORKING"), ("Cancel Requested", "CANCEL_REQUESTED"),
        ("Filled", "FILLED"), ("Cancelled", "CANCELLED"), ("Expired", "CANCELLED"), ("Removed", "CANCELLED"),
        ("Rejected", "REJECTED"), ("CANCELLED", "CANCELLED"), ("Canceled", "CANCELLED"), ("filled", "FILLED"),
        ("IN_FLIGHT", "WORKING"), ("In-Flight", "WORKING"), ("cancel_requested", "CANCEL_REQUESTED"),
        ("LIVE", "WORKING"), ("partially-removed", "UNKNOWN"),
        ("Partially Removed", "UNKNOWN"), ("Something New", "UNKNOWN"), (None, "UNKNOWN"),
    ],
)  # fmt: skip
def test_every_status_is_a_state_and_an_unheard_one_is_unknown(status: str, state: str) -> None:
    found = told(record(1, status), "5WT00001", NOW).order
    assert found.state == state
    assert found.time == datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
    if status == "Expired":
        assert found.words == "Expired"


def test_packages_are_in_lowest_terms_and_filled_as_far_as_the_slowest_leg() -> None:
    found = told(record(1), "5WT00001", NOW).order
    assert ([each.ratio for each in found.legs], found.quantity, found.filled, found.limit) == (
        [-1, -2],
        2.0,
        0.0,
        -9.1,
    )
    legs = [
        leg(PUT, "Sell to Open", 2, 0, fill("a", 1), fill("b", 1)),
        leg(CALL, "Sell to Open", "4.0", "2.0", fill("c", 2)),
    ]
    part = told(record(1, legs=legs), "5WT00001", NOW)
    assert (part.order.state, part.order.filled, part.order.remaining) == (OrderState.PARTIAL, 1.0, 1.0)
    assert [(each.quantity, each.price) for each in part.fills] == [(-1.0, 4.5), (-1.0, 4.5), (-2.0, 4.5)]
    assert part.order.words == "legs filled: 2 of 2 SPXW 18Dec26 5650P, 2 of 4 SPXW 18Dec26 6300C"
    alone = told(record(1, "Cancelled", [legs[0], leg(CALL, "Sell to Open", 4)]), "5WT00001", NOW).order
    assert (alone.filled, alone.words) == (0.0, "legs filled: 2 of 2 SPXW 18Dec26 5650P, 0 of 4 SPXW 18Dec26 6300C")
    assert part.fills[0].time == datetime(2026, 11, 23, 15, 59, 58, 123000, tzinfo=UTC)
    twice = told(record(1, legs=[leg(PUT, "Sell to Open", 2, 1, fill("a", 1), fill("a", 1))]), "5WT00001", NOW)
    assert (twice.order.filled, len(twice.fills)) == (1.0, 1)


@pytest.mark.parametrize(
    "legs",
    [
        [], "none", [None], [leg("???", "Sell to Open", 1)], [leg(PUT, "Sideways", 1)], [leg(PUT, "Sell to Open", "x")],
        [leg(PUT, "Sell to Open", 0)], [leg(PUT, "Sell to Open", 1.5)], [leg(PUT, "Sell to Open", None)],
        [leg(PUT, "Sell to Open", 1), leg(PUT, "Buy to Open", 1)], [leg(PUT, "Sell to Open", 1), 7],
    ],
)  # fmt: skip
def test_legs_that_cannot_be_read_are_none_with_a_reason(legs: Any) -> None:
    found = told(record(1, legs=legs), "5WT00001", NOW)
    assert (found.order.legs, bool(found.order.unread), found.fills) == ((), True, ())
    assert found.order.state is OrderState.WORKING


def test_a_price_without_its_effect_is_not_known() -> None:
    assert told(record(1, price_effect=None), "5WT00001", NOW).order.limit is None
    assert told(record(1, price_effect="Debit"), "5WT00001", NOW).order.limit == 9.1
    assert told(record(1, price=None), "5WT00001", NOW).order.limit is None
    assert told(record(1, price="0.0", price_effect=None), "5WT00001", NOW).order.limit == 0.0


def test_a_time_may_be_text_or_milliseconds() -> None:
    assert instant(1795449600000) == instant("2026-11-23T16:00:00+00:00") == NOW
    odd: object
    for odd in (None, "", "noon", True, float("nan"), 1e300, [], "2026-11-23T16:00:00"):
        assert instant(odd) is None


def one(*records: dict[str, Any]) -> tuple[OrderState, float, float, str, str]:
    orders, _ = joined(told(each, "5WT00001", NOW) for each in records)
    (order,) = orders
    return order.state, order.quantity, order.filled, order.reference, order.key


def test_records_that_replace_one_another_are_one_order() -> None:
    done = [leg(PUT, "Sell to Open", 2, 1, fill("a", 1))]
    rest = [leg(PUT, "Sell to Open", 1)]
    old = record(1, "Cancelled", done, replacing_order_id=2)
    new = record(2, "Live", rest, replaces_order_id=1, external_identifier=None)
    expected = (OrderState.PARTIAL, 2.0, 1.0, "2", "pg-1")
    assert one(old, new) == one(new, old) == expected
    assert one({**old, "replacing-order-id": None}, new) == expected
    assert one(old, {**new, "replaces-order-id": None}) == expected
    alive = record(1, "Replace Requested", replacing_order_id=2)
    assert one(alive, record(2, "Received", replaces_order_id=1))[3] == "1"  # the one that can be filled now
    filled = record(1, "Filled", [leg(PUT, "Sell to Open", 2, 0, fill("a", 2))])
    aborted = record(2, "Rejected", [leg(PUT, "Sell to Open", 2)], replaces_order_id=1, reject_reason="filled")
    assert one(filled, aborted) == (OrderState.FILLED, 2.0, 2.0, "1", "pg-1")
    kept = record(1, "Live", replacing_order_id=None)
    assert one(kept, record(2, "Rejected", replaces_order_id=1))[:4] == (OrderState.WORKING, 2.0, 0.0, "1")


def test_an_order_whose_replacement_is_not_listed_yet_is_unknown_and_not_cancelled() -> None:
    assert one(record(1, "Cancelled", replacing_order_id=2))[0] is OrderState.UNKNOWN
    assert one(record(1, "Cancelled"))[0] is OrderState.CANCELLED


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(0, 5)), max_size=5))
def test_whatever_replaces_whatever_nothing_is_lost_and_it_ends(links: list[tuple[int, int, int]]) -> None:
    parts = [
        told(record(number, replaces_order_id=old or None, replacing_order_id=new or None), "5WT00001", NOW)
        for number, old, new in links
    ]
    orders, _ = joined(parts)
    assert {order.reference for order in orders} <= {str(number) for number, _, _ in links}
    assert bool(orders) == bool(links)


def test_fees_are_those_of_the_execution_or_of_the_only_trade() -> None:
    rows = [
        {"order-id": 1, "symbol": PUT, "ext-exec-id": "x1", "commission": "1.0", "commission-effect": "Debit",
         "clearing-fees": "0.1", "clearing-fees-effect": "Debit"},
        {"order-id": 1, "symbol": PUT, "ext-exec-id": "x2", "commission": "2.0", "commission-effect": "Debit"},
        {"order-id": 1, "symbol": CALL, "commission": "0.5", "commission-effect": "Debit"},
        {"order-id": 2, "symbol": CALL, "commission": "n/a"},
    ]  # fmt: skip
    fees = fees_of(rows)
    puts = [{**fill("a", 1), "ext-exec-id": "x1"}, {**fill("b", 1), "ext-exec-id": "x2"}]
    legs = [leg(PUT, "Sell to Open", 2, 0, *puts), leg(CALL, "Sell to Open", 4, 0, fill("c", 4))]
    assert [each.fees for each in told(record(1, "Filled", legs), "5WT00001", NOW, fees).fills] == [1.1, 2.0, 0.5]
    assert [each.fees for each in told(record(2, "Filled", legs), "5WT00001", NOW, fees).fills][2] is None


def test_legs_and_pieces_that_share_an_execution_id_share_its_fees() -> None:
    """Two pieces of the put paid 3.00 in all, by 1 and 2 contracts; other legs' are not theirs."""
    shared = {"ext-exec-id": "0"}
    pieces = [{**fill("f1", 1), **shared}, {**fill("f2", 2), **shared}]
    legs = [leg(PUT, "Sell to Open", 3, "0", *pieces), leg(CALL, "Sell to Open", 3, "0", {**fill("f3", 3), **shared})]

    def trade(order: int, symbol: str, paid: str) -> dict[str, Any]:
        fees = {"commission": paid, "commission-effect": "Debit"}
        return {"order-id": order, "symbol": symbol, "ext-exec-id": "0", **fees}

    rows = [trade(1, PUT, "1.5"), trade(1, PUT, "1.5"), trade(1, CALL, "4.0"), trade(2, CALL, "8.0")]
    filled = record(1, "Filled", legs)
    assert [each.fees for each in told(filled, "5WT00001", NOW, fees_of(rows)).fills] == [1.0, 2.0, 4.0]
    assert [each.fees for each in told(filled, "5WT00001", NOW, fees_of(rows[1:])).fills] == [None, None, 4.0]


@pytest.mark.parametrize("status", ["Cancelled", "Expired", "Removed", "Rejected"])
def test_what_ended_unfilled_has_nothing_remaining_and_nothing_filled(status: str) -> None:
    legs = [leg(PUT, "Sell to Open", 2, "0"), leg(CALL, "Sell to Open", 4, "0")]
    assert told(record(1, status, legs), "5WT00001", NOW).order.filled == 0
    begun = [leg(PUT, "Sell to Open", 2, "0", fill("a", 1)), leg(CALL, "Sell to Open", 4, "0", fill("b", 2))]
    assert told(record(1, status, begun), "5WT00001", NOW).order.filled == 1
    assert told(record(1, "Filled", legs), "5WT00001", NOW).order.filled == 2


def test_two_executions_under_one_fill_id_are_two_and_one_listed_twice_is_one() -> None:
    first, second = (fill("F", 1, price) | {"ext-exec-id": name} for name, price in (("11", 30.0), ("12", 30.2)))
    second["filled-at"] = "2026-11-23T15:59:59.000+00:00"
    before = told(record(7, legs=[leg(PUT, "Sell to Open", 2, 1, first)]), "5WT00001", NOW)
    after = told(record(7, "Filled", legs=[leg(PUT, "Sell to Open", 2, 0, second, first, first)]), "5WT00001", NOW)
    assert sorted((each.quantity, each.price) for each in after.fills) == [(-1.0, 30.0), (-1.0, 30.2)]
    assert [each for each in after.fills if each.execution == before.fills[0].execution] == [before.fills[0]]


@pytest.mark.parametrize("listed_before", [0, 1])
def test_an_order_that_comes_back_without_its_key_is_ours_by_the_number_we_were_answered(listed_before: int) -> None:
    bare = {name: value for name, value in record(7).items() if name != "external-identifier"}
    sheet = Sheet("5WT00001")
    if listed_before:
        sheet.keep({**bare, "updated-at": 1795449600500})
    sheet.own("7", "pg-7")
    for later in (bare, {**bare, "status": "Cancelled", "updated-at": 1795449601000}):
        sheet.keep(later)
        (found,), _ = sheet.said(NOW)
        assert (found.key, found.sender) == ("pg-7", "")
    assert found.state is OrderState.CANCELLED
