"""Orders: what-if answers, real orders, and what was open, completed or traded already.

A real order is written down in `Tws.orders` and refused, unless the stand-in takes orders: then `tws_desk` has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.brokers import tws_messages as messages
from tests.brokers.tws_book import Row
from tests.brokers.tws_wire import UNSET, VERSION_NO_FA_PROFILE, Asked, Fields, frame

if TYPE_CHECKING:
    from tests.brokers.tws_session import Session

BAG_ID = 28812380
"""the contract number IBKR gives every combination"""
READ_ONLY = "Error validating request.-'bI' : cause - The API interface is currently in Read-Only mode."
MARGINS = ("initMargin", "maintMargin", "equityWithLoan")
ACCOUNT_TAGS = ("InitMarginReq", "MaintMarginReq", "EquityWithLoanValue")


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order as it came over the wire."""

    order_id: int
    contract: Asked
    legs: tuple[tuple[str, ...], ...]
    """per leg: conId, ratio, action, exchange, openClose, shortSaleSlot, designatedLocation, exemptCode"""
    action: str
    quantity: float
    order_type: str
    limit: str
    tif: str
    account: str
    ref: str
    what_if: bool
    outside_rth: bool = False


def read_order(fields: Fields, version: int) -> PlacedOrder:
    """The order in a placeOrder message: read up to the what-if flag, past everything optional before it."""
    order_id, contract, _ = fields.whole(), fields.contract(), fields.take(2)
    action, quantity, order_type, limit, _aux, tif, _oca, account = fields.take(8)
    _, _, ref = fields.take(3)
    outside_rth = fields.take(8)[6] == "1"  # transmit to hidden
    legs: tuple[tuple[str, ...], ...] = ()
    if contract.secType == "BAG":
        legs = tuple(tuple(fields.take(8)) for _ in range(fields.whole()))
        fields.take(fields.whole())  # prices per leg
        fields.take(2 * fields.whole())  # routing parameters
    fields.take(7 if version >= VERSION_NO_FA_PROFILE else 8)
    fields.take(22)  # modelCode to volatilityType
    if fields.take(2)[0]:  # delta neutral order type, its price
        fields.take(8)
    if 0 < float(fields.take(7)[-1] or 0) < UNSET:  # scale price increment
        fields.take(7)
    if fields.take(4)[-1]:  # hedge type
        fields.take(1)
    fields.take(4)
    if fields.flag():  # delta neutral contract
        fields.take(3)
    if fields.word():  # algorithm
        fields.take(2 * fields.whole())
    fields.take(1)
    what_if = fields.flag()
    return PlacedOrder(
        order_id, contract, legs, action, float(quantity), order_type, limit, tif, account, ref, what_if, outside_rth
    )  # fmt: skip


def place_order(session: Session, fields: Fields) -> None:
    """A what-if is answered, a real order is written down and refused."""
    order = read_order(fields, session.version)
    tws = session.tws
    (tws.what_ifs if order.what_if else tws.orders).append(order)
    if tws.desk is not None and not order.what_if and not tws.hit("read_only_api"):
        tws.desk.take(session, order)
    elif not order.what_if or tws.hit("read_only_api"):
        session.send(messages.error(order.order_id, 321, READ_ONLY))
    elif not tws.hit("mute_whatif"):
        _preview(session, order)


def _preview(session: Session, order: PlacedOrder) -> None:
    refusal = why_not(session, order)
    kind = (session.tws.hit("whatif_answer") or {}).get("kind", "")
    if refusal:
        session.send(messages.error(order.order_id, *refusal))
    elif kind == "rejected":
        words = "Order rejected - reason:We are unable to accept your order. Your Available Funds are insufficient."
        session.send(messages.error(order.order_id, 201, words))
    else:
        if kind == "warning_first":
            words = "Your order price is capped by the exchange. Review before transmitting."
            session.send(open_order(as_row(order), unset() | {"warningText": words}, session))
        states = {"sentinel": unset(), "null": dict.fromkeys(unset(), "null")}
        session.send(open_order(as_row(order), states.get(kind) or margins(session, order), session))


def why_not(session: Session, order: PlacedOrder) -> tuple[int, str] | None:
    """Why IBKR would neither preview nor take this order, or None."""
    tws = session.tws
    numbers = [int(leg[0] or 0) for leg in order.legs] or [order.contract.con_id]
    if order.contract.secType == "BAG" and not order.legs:
        return 321, "Error validating request.-'bI' : cause - Invalid combination legs"
    if any(number not in tws.book.contracts or tws.hit("contract_unknown", number) for number in numbers):
        return 200, "No security definition has been found for the request"
    if not order.contract.exchange or any(not leg[3] for leg in order.legs):
        return 321, "Error validating request.-'bI' : cause - Missing order exchange"
    if not order.account and len(tws.book.accounts) > 1:
        return 435, "You must specify an account."
    if order.account and order.account not in tws.book.accounts:
        return 321, "Error validating request.-'bI' : cause - The account code is required for this operation."
    return None


def margins(session: Session, order: PlacedOrder) -> dict[str, str]:
    """Margins before, change and after: the account's own figures plus the book's change per unit times quantity."""
    book = session.tws.book
    account = order.account or next(iter(book.accounts))
    told = book.what_if.get("by_contract", {}).get(order.contract.con_id or BAG_ID, {})
    per_unit = {**book.what_if.get("per_unit", {}), **told}
    state: dict[str, str] = {}
    for name, tag in zip(MARGINS, ACCOUNT_TAGS, strict=True):
        try:
            before = float(book.accounts[account][tag, book.currencies[account]])
        except (KeyError, ValueError):  # the account has no such figure, or a test made it unreadable
            continue
        change = float(per_unit.get(name, 0)) * order.quantity
        state |= {f"{name}Before": f"{before}", f"{name}Change": f"{change}", f"{name}After": f"{before + change}"}
    fees = {name: str(per_unit[name]) for name in ("commission", "minCommission", "maxCommission") if name in per_unit}
    currency = per_unit.get("commissionCurrency", "USD")
    return unset() | state | fees | {"commissionCurrency": currency, "warningText": per_unit.get("warningText", "")}


def unset() -> dict[str, Any]:
    """Every figure of an order state as IBKR leaves it when it has none."""
    names = [f"{name}{when}" for name in MARGINS for when in ("Before", "Change", "After")]
    return dict.fromkeys([*names, "commission", "minCommission", "maxCommission"], UNSET)


def as_row(order: PlacedOrder) -> Row:
    """A what-if order echoed back, as an open order row."""
    return {
        "orderId": order.order_id, "permId": 0, "account": order.account, "asked": order.contract, "legs": order.legs,
        "action": order.action, "totalQuantity": order.quantity, "orderType": order.order_type,
        "lmtPrice": order.limit, "tif": order.tif, "orderRef": order.ref, "status": "PreSubmitted", "whatIf": True,
    }  # fmt: skip


def _contract(row: Row, session: Session) -> list[object]:
    """The contract of an order row: from the book, or echoed as it was asked for."""
    if "asked" not in row and "conId" in row:
        known = session.tws.book.contracts[row["conId"]]
        return messages.contract(known, row.get("exchange", "SMART"))
    asked = row.get("asked")
    if asked is not None:
        return [asked.con_id or BAG_ID, *asked[1:8], *asked[9:]]
    return [BAG_ID, row["symbol"], "BAG", "", 0.0, "", "", "SMART", "USD", row["symbol"], "COMB"]


def _start(row: Row, session: Session) -> list[object]:
    """Contract and terms, alike in open and completed orders."""
    return [
        *_contract(row, session),
        row["action"],
        float(row["totalQuantity"]),
        row.get("orderType", "LMT"),
        row.get("lmtPrice", 0.0),
        row.get("auxPrice", 0.0),
        row.get("tif", "DAY"),
        "",  # ocaGroup
        row["account"],
        "",  # openClose
        0,  # origin
        row.get("orderRef", ""),
    ]


def _legs(row: Row) -> list[object]:
    """Description and legs of a combination, no prices per leg, no routing parameters."""
    legs = [leg if isinstance(leg, (tuple, list)) else _leg(leg) for leg in row.get("legs", ())]
    return ["", len(legs), *(field for leg in legs for field in leg), 0, 0]


def _leg(leg: Row) -> tuple[object, ...]:
    return leg["conId"], leg.get("ratio", 1), leg["action"], leg.get("exchange", "SMART"), 0, 0, "", -1


def open_order(row: Row, state: Row, session: Session) -> bytes:
    """An open order (5), or the answer to a what-if when the row says so."""
    told = [state.get(f"{name}{when}", UNSET) for when in ("Before", "Change", "After") for name in MARGINS]
    fees = [state.get(name, UNSET) for name in ("commission", "minCommission", "maxCommission")]
    return frame(
        5, row["orderId"], *_start(row, session), row.get("clientId", session.client_id), row["permId"],
        0, 0, 0.0, "",  # outsideRth, hidden, discretionaryAmt, goodAfterTime
        "", "", "", "",  # deprecated share allocation, faGroup, faMethod, faPercentage
        *([] if session.version >= VERSION_NO_FA_PROFILE else [""]),
        "", "", "", "", "",  # modelCode, goodTillDate, rule80A, percentOffset, settlingFirm
        0, "", -1, 0,  # shortSaleSlot, designatedLocation, exemptCode, auctionStrategy
        "", "", "", "", "", "",  # startingPrice, stockRefPrice, delta, stockRangeLower and Upper, displaySize
        0, 0, 0, "", 3,  # blockOrder, sweepToFill, allOrNone, minQty, ocaType
        0, 0, "", 0, 0,  # eTradeOnly, firmQuoteOnly, nbboPriceCap, parentId, triggerMethod
        "", 0, "", "",  # volatility, volatilityType, deltaNeutralOrderType, deltaNeutralAuxPrice
        0, 0, "", "", "", "",  # continuousUpdate, referencePriceType, trailing (2), basisPoints (2)
        *_legs(row),
        "", "", "", "",  # scale sizes (2), scalePriceIncrement, hedgeType
        0, "", "IB", 0, 0, "",  # optOut, clearing (2), notHeld, delta neutral contract, algoStrategy
        0, int(row.get("whatIf", 0)), row["status"], *told, *fees,
        state.get("commissionCurrency", ""), state.get("warningText", ""),
        0, 0, 0,  # randomizeSize, randomizePrice, number of conditions
        "None", "", "", "", "", "", "", 0,  # adjusted order (8)
        "", "", "", 0.0, 0, 0, 0, 0,  # softDollarTier (3), cashQty, flags
        "", "", 0, "", "", "", "", "",  # duration, postToAts, autoCancelParent, minimum and peg sizes (5)
    )  # fmt: skip


def completed_order(row: Row, session: Session) -> bytes:
    """A completed order (101): no order id, no total quantity, the filled quantity is right."""
    return frame(
        101, *_start({**row, "totalQuantity": 0}, session), row["permId"],
        0, 0, 0.0, "",  # outsideRth, hidden, discretionaryAmt, goodAfterTime
        "", "", "",  # faGroup, faMethod, faPercentage
        *([] if session.version >= VERSION_NO_FA_PROFILE else [""]),
        "", "", "", "", "",  # modelCode, goodTillDate, rule80A, percentOffset, settlingFirm
        0, "", -1,  # shortSaleSlot, designatedLocation, exemptCode
        "", "", "", "", "", "",  # startingPrice, stockRefPrice, delta, stockRangeLower and Upper, displaySize
        0, 0, "", 3, 0,  # sweepToFill, allOrNone, minQty, ocaType, triggerMethod
        "", 0, "", "",  # volatility, volatilityType, deltaNeutralOrderType, deltaNeutralAuxPrice
        0, 0, "", "",  # continuousUpdate, referencePriceType, trailStopPrice, trailingPercent
        *_legs(row),
        "", "", "", "",  # scale sizes (2), scalePriceIncrement, hedgeType
        "", "IB", 0, 0, "",  # clearing (2), notHeld, delta neutral contract, algoStrategy
        0, row["status"], 0, 0, 0,  # solicited, randomize (2), number of conditions
        "", "", 0.0, 0, 0, "",  # trailStopPrice, lmtPriceOffset, cashQty, flags (2), autoCancelDate
        float(row["filledQuantity"]), 0, 0, "", 0, 0, 0,
        row["completedTime"], row["completedStatus"],
        "", "", "", "", "",  # minimum and peg sizes
    )  # fmt: skip


def order_status(row: Row) -> bytes:
    """The status (3) that follows an open order."""
    filled = float(row.get("filled", 0))
    left = float(row["totalQuantity"]) - filled
    return frame(
        3, row["orderId"], row["status"], filled, left, float(row.get("avgFillPrice", 0)), row["permId"],
        0, 0.0, row.get("clientId", 0), "", 0.0,
    )  # fmt: skip


def _send_open(session: Session, rows: list[Row]) -> None:
    if session.tws.hit("read_only_api"):
        session.send(messages.error(-1, 321, READ_ONLY))
        return
    for row in rows:
        session.send(open_order(row, unset(), session))
        session.send(order_status(row))
    session.send(frame(53, 1))


def req_open_orders(session: Session, fields: Fields) -> None:
    """Open orders of this client id."""
    _send_open(session, [row for row in session.tws.book.open_orders if row.get("clientId", 0) == session.client_id])


def req_all_open_orders(session: Session, fields: Fields) -> None:
    """Open orders of every client and of people at TWS."""
    _send_open(session, session.tws.book.open_orders)


def cancel_order(session: Session, fields: Fields) -> None:
    """Asked for by number; only a client's own."""
    fields.word()
    if session.tws.desk is not None:
        session.tws.desk.cancel_asked(session, fields.whole())


def req_completed_orders(session: Session, fields: Fields) -> None:
    if session.tws.hit("read_only_api"):
        session.send(messages.error(-1, 321, READ_ONLY))
        return
    for row in session.tws.book.completed_orders:
        session.send(completed_order(row, session))
    session.send(frame(102))


ANSWERS: dict[str, Callable[[Session, Fields], None]] = {
    "placeOrder": place_order,
    "cancelOrder": cancel_order,
    "reqOpenOrders": req_open_orders,
    "reqAllOpenOrders": req_all_open_orders,
    "reqCompletedOrders": req_completed_orders,
}
