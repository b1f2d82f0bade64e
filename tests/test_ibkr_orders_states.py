"""What IBKR says about an order and what it means: statuses, errors, executions and costs; by hand, not connected."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import ib_async
import pytest

from adapters.ibkr import order_states
from adapters.ibkr.directory import Directory
from adapters.ibkr.gateway import Gateway
from adapters.ibkr.heard_orders import HeardOrder, HeardOrders, identity
from adapters.ibkr.lookup import Lookup
from adapters.ibkr.orders import Orders
from adapters.ibkr.session import Session
from guardrails.instruments import Instrument, Kind
from guardrails.orders import Leg, OrderState
from guardrails.symbols import occ

NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
LONG, SHORT = occ.parse("SPXW  261218P05800000"), occ.parse("SPXW  261218P05750000")
SHARE = Instrument(Kind.EQUITY, "AAPL", "AAPL", "AAPL")
KNOWN = {1: LONG, 2: SHORT, 3: SHARE}
UNSET = 1.7976931348623157e308


def bag(*legs: tuple[int, int, str]) -> ib_async.Contract:
    found = [
        ib_async.ComboLeg(conId=number, ratio=ratio, action=side, exchange="SMART") for number, ratio, side in legs
    ]
    return ib_async.Contract(secType="BAG", conId=28812380, symbol="SPX", currency="USD", comboLegs=found)


def told(heard: HeardOrders, contract: ib_async.Contract, status: str = "Submitted", **order: object) -> HeardOrder:
    """An open order of client 17 as IBKR lists it."""
    given = {
        "clientId": 17, "orderId": 5, "permId": 900, "action": "BUY", "totalQuantity": 4.0, "orderType": "LMT",
        "lmtPrice": 2.5, "tif": "DAY", "account": "DU1234567", "orderRef": "K", **order,
    }  # fmt: skip
    sent = ib_async.Order(**given)  # type: ignore[arg-type]  # values are the test's
    return heard.open_order(sent.orderId, contract, sent, ib_async.OrderState(status=status), NOW)


def executed(heard: HeardOrders, name: str, number: int, shares: float, **more: object) -> None:
    given = {
        "execId": name, "time": NOW, "acctNumber": "DU1234567", "side": "BOT", "shares": shares, "price": 1.0,
        "permId": 900, "clientId": 17, "orderRef": "K", **more,
    }  # fmt: skip
    kind = "BAG" if number == 28812380 else "OPT"
    contract = ib_async.Contract(secType=kind, conId=number, currency="USD")
    heard.execution(contract, ib_async.Execution(**given))  # type: ignore[arg-type]  # values are the test's


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("PendingSubmit", 0, "WORKING"),
        ("ApiPending", 0, "WORKING"),
        ("PreSubmitted", 0, "WORKING"),
        ("Submitted", 0, "WORKING"),
        ("Submitted", 1, "PARTIAL"),
        ("Submitted", 4, "FILLED"),  # a status may be skipped
        ("PendingCancel", 1, "CANCEL_REQUESTED"),
        ("Cancelled", 1, "CANCELLED"),
        ("ApiCancelled", 0, "CANCELLED"),
        ("Inactive", 0, "UNKNOWN"),  # it can come back
        ("Filled", 3, "UNKNOWN"),  # its executions say otherwise
        ("Filled", 4, "FILLED"),
        ("Something", 0, "UNKNOWN"),
    ],
)
def test_a_status_with_what_is_filled(status: str, filled: float, state: str) -> None:
    order = told(HeardOrders(), bag((1, 1, "BUY")), status)
    assert order_states.state_of(order, filled).value == state


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        ([201], "REJECTED"),
        ([10349], "WORKING"),
        ([399], "WORKING"),
        ([2109], "WORKING"),
        ([202], "CANCELLED"),
        ([202, 10148], "UNKNOWN"),
        ([10147], "UNKNOWN"),
        ([161], "UNKNOWN"),
        ([103], "UNKNOWN"),
        ([77777], "UNKNOWN"),  # nobody knows what it means
        ([110], "UNKNOWN"),  # of an order that rests, and no change was asked for
    ],
)
def test_an_error_about_an_order_that_worked(codes: list[int], state: str) -> None:
    order = told(HeardOrders(), bag((1, 1, "BUY")))
    for code in codes:
        order.told_error(code, "words", NOW)
    assert order_states.state_of(order, 0).value == state
    order.told_status("Submitted", NOW)  # the next status settles it
    assert order_states.state_of(order, 0) is OrderState.WORKING


@pytest.mark.parametrize(("code", "state"), [(110, "REJECTED"), (321, "REJECTED"), (435, "REJECTED"), (399, "UNKNOWN")])
def test_an_error_before_any_status(code: int, state: str) -> None:
    order = HeardOrder(17, 5, NOW, key="K", quantity=4)
    assert not order.is_told
    order.told_error(code, "for account DU1234567", NOW)
    assert order.is_told
    assert order_states.state_of(order, 0).value == state
    assert order.words == [f"{code}: for account •••4567"]


def test_a_refused_change_leaves_the_order_working() -> None:
    order = told(HeardOrders(), bag((1, 1, "BUY")))
    order.repricing = True
    order.told_error(110, "off tick", NOW)
    assert (order_states.state_of(order, 0), order.repricing) == (OrderState.WORKING, False)
    order.repricing = True
    order.told_error(201, "no margin", NOW)
    assert order_states.state_of(order, 0) is OrderState.UNKNOWN


@pytest.mark.parametrize(
    ("action", "limit", "ratios", "paid"),
    [
        ("BUY", 2.5, (1, -2), 2.5),  # 2.50 paid for +1 -2
        ("BUY", -2.5, (1, -2), -2.5),  # 2.50 received for it
        ("SELL", 2.5, (-1, 2), -2.5),  # sold for 2.50: -1 +2, received
        ("SELL", -2.5, (-1, 2), 2.5),  # 2.50 paid to be rid of it
    ],
)
def test_a_sold_package_is_turned_round(action: str, limit: float, ratios: tuple[int, int], paid: float) -> None:
    heard = HeardOrders()
    told(heard, bag((1, 1, "BUY"), (2, 2, "SELL")), action=action, lmtPrice=limit)
    (order,) = order_states.broker_orders(heard, KNOWN.get, 17)
    assert [(leg.instrument, leg.ratio) for leg in order.legs] == [(LONG, ratios[0]), (SHORT, ratios[1])]
    assert order.limit == paid


@pytest.mark.parametrize(("order_type", "limit"), [("LMT", 2.5), ("STP LMT", 2.5), ("MKT", None), ("STP", None)])
def test_only_a_limit_is_a_limit(order_type: str, limit: float | None) -> None:
    heard = HeardOrders()
    told(heard, bag((1, 1, "BUY")), orderType=order_type)
    (order,) = order_states.broker_orders(heard, KNOWN.get, 17)
    assert order.limit == limit
    assert ("order type" in order.words) == (order_type not in ("LMT", "MKT"))


def test_packages_are_counted_by_their_own_executions_or_by_the_slowest_leg() -> None:
    heard = HeardOrders()
    told(heard, bag((1, 1, "BUY"), (2, 2, "SELL")))
    executed(heard, "a.01", 1, 3.0)
    executed(heard, "b.01", 2, 2.0, side="SLD")
    (order,) = order_states.broker_orders(heard, KNOWN.get, 17)
    assert (order.filled, order.state) == (1, OrderState.PARTIAL)
    executed(heard, "c.01", 28812380, 3.0)
    (order,) = order_states.broker_orders(heard, KNOWN.get, 17)
    assert order.filled == 3


def test_what_an_execution_cost() -> None:
    heard = HeardOrders()
    for name in "abcd":
        executed(heard, f"{name}.01", 1, 1.0)
    for name, amount, currency in (("a", 1.25, "USD"), ("b", UNSET, "USD"), ("c", 1.25, "EUR")):
        heard.commission(ib_async.CommissionReport(f"{name}.01", amount, currency))
    found, unread = order_states.fills_of(heard, KNOWN.get, {})
    # told; not known to IBKR yet; in another currency than the price; not told
    assert ([fill.fees for fill in found], unread) == ([1.25, None, None, None], 0)


def test_an_execution_that_cannot_be_read_is_counted_as_such() -> None:
    heard = HeardOrders()
    executed(heard, "a.01", 99, 1.0)
    executed(heard, "b.01", 1, 1.0, side="?")
    executed(heard, "c.01", 1, 1.0, price=UNSET)
    assert order_states.fills_of(heard, KNOWN.get, {}) == ((), 3)


def test_the_identity_of_an_execution() -> None:
    assert identity("0000e0d5.66f2a1b3.01.02") == ("0000e0d5.66f2a1b3.01", 2)
    assert identity("odd") == ("odd", 0)
    heard = HeardOrders()
    executed(heard, "a.02", 1, 1.0)
    executed(heard, "a.01", 1, 9.0)  # came late
    assert [fill.execution.shares for fill in heard.fills.values()] == [1.0]


def test_who_sent_an_order() -> None:
    heard = HeardOrders()
    told(heard, bag((1, 1, "BUY")), permId=1)
    told(heard, bag((1, 1, "BUY")), permId=2, clientId=5, orderId=6)
    told(heard, bag((1, 1, "BUY")), permId=3, clientId=0, orderId=0)
    for number, key in ((4, ""), (5, "K5")):
        done = ib_async.Order(permId=number, orderRef=key, action="BUY", filledQuantity=1.0, account="DU1234567")
        heard.completed_order(bag((1, 1, "BUY")), done, ib_async.OrderState(status="Filled"), NOW)
    executed(heard, "x.01", 1, 1.0, permId=5, clientId=9)
    orders = order_states.broker_orders(heard, KNOWN.get, 17)
    assert [(one.sender, one.cancellable) for one in orders] == [
        ("", True), ("client 5", False), ("TWS", False), ("TWS", False), ("client 9", False),
    ]  # fmt: skip


def test_a_number_that_is_used_again_is_another_order() -> None:
    heard = HeardOrders()
    told(heard, bag((1, 1, "BUY")), permId=1, orderRef="old")
    told(heard, bag((1, 1, "BUY")), permId=2, orderRef="new")
    heard.error(17, 5, 201, "no", NOW)
    orders = order_states.broker_orders(heard, KNOWN.get, 17)
    assert [(one.key, one.state.value) for one in orders] == [("old", "WORKING"), ("new", "REJECTED")]


def test_an_order_told_under_the_number_of_one_just_sent_is_another() -> None:
    """TWS began its numbers anew: the resting order must not take the key, nor its legs, of the new one."""
    heard = HeardOrders()
    heard.placed(HeardOrder(17, 5, NOW, key="new", contract=bag((2, 1, "BUY")), action="BUY", quantity=4))
    rests = told(heard, bag((1, 1, "BUY")), permId=1, orderRef="old")
    heard.error(17, 5, 103, "Duplicate order id", NOW)
    orders = order_states.broker_orders(heard, KNOWN.get, 17)
    assert [(one.key, one.state.value, one.legs) for one in orders] == [
        ("new", "UNKNOWN", (Leg(SHORT, 1),)), ("old", "WORKING", (Leg(LONG, 1),)),
    ]  # fmt: skip
    assert heard.is_taken(17, 5)
    assert not heard.is_taken(17, 6)
    assert told(heard, bag((1, 1, "BUY")), permId=1, orderRef="old") is rests


def test_an_order_that_becomes_inactive_without_a_word_is_looked_up_once() -> None:
    """Among the completed orders it was rejected; else it may come back. Lists that repeat it are not asked again."""

    async def work() -> None:
        session = Session(Gateway(), lambda: NOW, lambda: None)
        Orders(Lookup(Directory()), lambda: NOW, 17).listen(session)
        order = ib_async.Order(orderId=5, clientId=17, permId=900, action="BUY", totalQuantity=4.0, orderRef="K")
        looked = []
        for status in ("Submitted", "Inactive"):
            session.moved.clear()
            session.ib.wrapper.openOrder(5, bag((1, 1, "BUY")), order, ib_async.OrderState(status=status))
            looked.append(session.moved.is_set())
        session.moved.clear()
        session.on_listing()
        session.ib.wrapper.openOrder(5, bag((1, 1, "BUY")), order, ib_async.OrderState(status="Inactive"))
        assert [*looked, session.moved.is_set()] == [False, True, False]

    asyncio.run(work())


def test_a_status_of_what_was_never_ordered_makes_no_order_of_it() -> None:
    """A preview may be told with a status and a number of IBKR's own; no list would ever end the doubt about it."""
    heard = HeardOrders()
    assert heard.order_status(9, "PreSubmitted", 0.0, 901, 17, "", NOW) is None
    assert heard.orders == []


def test_an_execution_without_its_account_is_one_of_the_orders_account() -> None:
    heard, memory = HeardOrders(), {}  # type: ignore[var-annotated]  # filled by what is tested
    executed(heard, "x.01", 1, 1.0, acctNumber="", orderRef="")
    assert order_states.fills_of(heard, KNOWN.get, memory) == ((), 1)  # whose it is nobody has said
    told(heard, bag((1, 1, "BUY")))
    (fill,), unread = order_states.fills_of(heard, KNOWN.get, memory)
    assert (fill.account.number, fill.key, fill.quantity, unread) == ("DU1234567", "K", 1.0, 0)
    executed(heard, "x.01", 1, 1.0, acctNumber="DU7654321")  # read again, it names one
    (fill,), _ = order_states.fills_of(heard, KNOWN.get, memory)
    assert (fill.account.number, len(heard.fills)) == ("DU7654321", 1)


def test_an_order_nobody_answered_for_loses_its_number_with_the_connection() -> None:
    """The number is given to the next request, and an error about that is none about the order."""
    heard = HeardOrders()
    heard.placed(HeardOrder(17, 5, NOW, key="K", quantity=4))
    heard.session_begins()
    assert heard.error(17, 5, 354, "no market data", NOW) is None
    found = told(heard, bag((1, 1, "BUY")))
    assert (len(heard.orders), found.key, found.is_told) == (1, "K", True)


def test_what_is_over_is_forgotten_the_next_day() -> None:
    heard = HeardOrders()
    told(heard, bag((1, 1, "BUY")), "Cancelled", permId=1, orderId=1)
    told(heard, bag((1, 1, "BUY")), "Submitted", permId=2, orderId=2)
    executed(heard, "a.01", 1, 1.0)
    heard.prune(lambda time: time.date() == date(2026, 11, 19))
    assert [order.perm_id for order in heard.orders] == [2]
    assert heard.fills == {}


def completed(heard: HeardOrders, status: str, filled: float, total: float = 0.0) -> HeardOrder:
    """An order of today that is over: IBKR tells it without number and without quantity."""
    sent = ib_async.Order(
        permId=900, action="BUY", totalQuantity=total, filledQuantity=filled, orderType="LMT", lmtPrice=2.5,
        account="DU1234567", orderRef="K",
    )  # fmt: skip
    told_of = heard.completed_order(bag((1, 1, "BUY")), sent, ib_async.OrderState(status=status), NOW)
    assert told_of is not None
    return told_of


@pytest.mark.parametrize(("status", "state"), [("Cancelled", "CANCELLED"), ("Filled", "FILLED")])
def test_an_order_that_is_over_and_was_never_seen_before_is_not_filled_because_a_part_of_it_was(
    status: str, state: str
) -> None:
    heard = HeardOrders()
    order = completed(heard, status, 3.0)
    assert order_states.state_of(order, 3.0).value == state
    again = completed(heard, status, 3.0)
    assert (again, order_states.state_of(again, 3.0).value) == (order, state)


def test_a_fill_that_beat_the_cancellation_is_one_where_the_quantity_is_known() -> None:
    heard = HeardOrders()
    told(heard, bag((1, 1, "BUY")))
    assert order_states.state_of(completed(heard, "Cancelled", 4.0), 4.0).value == "FILLED"
