"""Placing, changing and cancelling orders at IBKR: each once, and nothing of it is ever repeated here.

What is certain not to have been sent is a NotSentError; anything else is told by what IBKR says of the order.
"""

from __future__ import annotations

import asyncio

import ib_async

from adapters.ibkr import order_errors, whatif
from adapters.ibkr.heard_orders import HeardOrder
from adapters.ibkr.orders import Orders
from adapters.ibkr.session import Session
from guardrails.errors import NotSentError, OrderError, SourceError
from guardrails.orders import BrokerOrder, Order
from guardrails.redaction import redact
from guardrails.values import finite

LOOKUP_SECONDS = 3.0
"""for the contracts of legs, which are known already when the order was previewed"""
_KEY_LENGTH = 60
"""longer references are cut by some gateways, and a cut one would never be found again"""


def no_link(session: Session) -> str:
    """Why nothing can be sent through `session`, in words; empty when it can."""
    if not session.speaks:
        return "there is no connection to IBKR"
    if session.link_lost:
        return "TWS has lost its own link to IBKR"
    if session.silent:
        return "TWS does not answer"
    return ""


async def submit(session: Session, orders: Orders, order: Order, key: str) -> None:
    """Send `order` under `key`; NotSentError when it is certain that nothing was sent."""
    _check_key(orders, key)
    contracts = []
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            for leg in order.legs:
                known, reason = await orders.lookup.contract(session, leg.instrument)
                if known is None:
                    raise NotSentError(f"{leg.instrument.label}: {reason}; nothing was sent.")
                contracts.append(known.contract)
    except TimeoutError:
        raise NotSentError("IBKR did not say in time what the legs are; nothing was sent.") from None
    try:
        contract, sent = whatif.bag(order, contracts)
    except OrderError as error:
        raise NotSentError(f"{error} Nothing was sent.") from None
    sent.orderRef = key
    _check_key(orders, key)  # somebody may have been faster while the contracts were looked up
    if reason := no_link(session):
        raise NotSentError(f"{reason}; nothing was sent.")
    _place(session, orders, contract, sent)


def _check_key(orders: Orders, key: str) -> None:
    if not key or len(key) > _KEY_LENGTH or not key.isascii():
        raise NotSentError(f"the key has {len(key)} characters, 1 to {_KEY_LENGTH} of ASCII are allowed; nothing sent.")
    if orders.heard.of_key(key) is not None:  # not NotSentError: the order of that key may live
        raise SourceError("an order of this key was sent before; look at what became of it.")


def _place(session: Session, orders: Orders, contract: ib_async.Contract, sent: ib_async.Order) -> None:
    """Write the order to the socket, known by its number before the first answer can come."""
    sent.orderId = session.ib.client.getReqId()
    while orders.heard.is_taken(orders.client, sent.orderId):
        # TWS may begin its numbers anew, and under the number of an order that rests this would change that one
        sent.orderId = session.ib.client.getReqId()
    heard = HeardOrder(
        client=orders.client, order_id=sent.orderId, heard=orders.clock(), key=sent.orderRef, account=sent.account,
        contract=contract, action=sent.action, quantity=sent.totalQuantity, order_type=sent.orderType,
        limit=finite(sent.lmtPrice) if sent.orderType == "LMT" else None, time_in_force=sent.tif,
        routing=tuple((tag.tag, tag.value) for tag in sent.smartComboRoutingParams),
    )  # fmt: skip
    orders.heard.placed(heard)
    try:
        session.ib.placeOrder(contract, sent)
    except ConnectionError:  # raised by the client library before it writes anything
        orders.heard.forget(heard)
        raise NotSentError("the connection to IBKR was closed; nothing was sent.") from None
    except Exception as error:
        raise SourceError(f"whether the order was sent is not known ({type(error).__name__}).") from error


def cancel(session: Session, orders: Orders, order: BrokerOrder) -> None:
    """Ask for a cancellation; SourceError with the reason when that cannot be asked."""
    if reason := no_link(session):
        raise SourceError(f"The cancellation was not asked for: {reason}.")
    heard = _ours(orders, order)
    if heard is None:
        by = f"it was sent by {order.sender}" if order.sender else "IBKR has not told its number"
        raise SourceError(f"The order cannot be cancelled from here: {by}; cancel it in TWS.")
    try:
        session.ib.client.cancelOrder(heard.order_id)  # type: ignore[no-untyped-call]  # the library leaves it untyped
    except ConnectionError:
        raise SourceError("The cancellation was not asked for: the connection was closed.") from None
    heard.cancelling = True
    orders.note()


def reprice(session: Session, orders: Orders, order: BrokerOrder, limit: float) -> None:
    """Ask for another limit of a working order of ours: the same order again, under the same number."""
    if reason := no_link(session):
        raise NotSentError(f"{reason}; the limit was not changed.")
    heard = _ours(orders, order)
    if heard is None or heard.contract is None:
        raise NotSentError("the order is not one of this program that IBKR has told of; the limit was not changed.")
    if heard.status not in order_errors.WORKING or heard.doubt or heard.refused or heard.cancelling:
        raise NotSentError(f"the order is not known to be working ({heard.status or 'nothing told'}); nothing changed.")
    if heard.order_type != "LMT":
        raise NotSentError(f"it is a {heard.order_type} order and has no limit; nothing was changed.")
    heard.repricing = True
    try:
        # not IB.placeOrder: it refuses, after the message is written, to change what it wrongly thinks is cancelled
        session.ib.client.placeOrder(heard.order_id, heard.contract, _again(heard, limit))  # type: ignore[no-untyped-call]  # the library leaves it untyped
    except ConnectionError:
        heard.repricing = False
        raise NotSentError("the connection to IBKR was closed; the limit was not changed.") from None
    except Exception as error:
        raise SourceError(redact(f"whether the limit was changed is not known ({type(error).__name__}).")) from error


def _ours(orders: Orders, order: BrokerOrder) -> HeardOrder | None:
    """The order of this connection's number that `order` tells of."""
    for heard in reversed(orders.heard.orders):
        same = str(heard.perm_id) == order.reference if heard.perm_id else bool(order.key) and heard.key == order.key
        if same and heard.client == orders.client and heard.order_id > 0:
            return heard
    return None


def _again(heard: HeardOrder, limit: float) -> ib_async.Order:
    """The order as it rests at IBKR, with another limit."""
    return ib_async.Order(
        orderId=heard.order_id,
        clientId=heard.client,
        permId=heard.perm_id,
        action=heard.action,
        totalQuantity=heard.quantity,
        orderType="LMT",
        lmtPrice=limit if heard.action == "BUY" else 0.0 - limit,
        tif=heard.time_in_force,
        account=heard.account,
        orderRef=heard.key,
        transmit=True,
        outsideRth=False,
        smartComboRoutingParams=[ib_async.TagValue(tag, value) for tag, value in heard.routing],
    )
