"""From what IBKR said of an order to what it is: state, legs and limit in this house's signs, executions; pure.

A BAG that is sold has every leg turned round, and its price is received; a price below zero turns that round again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import ib_async

from adapters.ibkr import order_errors, rows
from adapters.ibkr.heard_orders import HeardFill, HeardOrder, HeardOrders
from guardrails.instruments import Instrument
from guardrails.orders import BrokerOrder, Fill, Leg, OrderState
from guardrails.values import AccountId, finite

_BAG = "BAG"
_ENOUGH = 1e-9
Instruments = Callable[[int], Instrument | None]
"""what a contract number stands for, None while that is not known"""


def state_of(order: HeardOrder, filled: float) -> OrderState:
    """What has become of an order of which `filled` packages are executed; UNKNOWN when IBKR's words leave that open.

    Executions count more than any status, a status more than an error before it, and a doubt more than a status.
    """
    is_cut = order.is_least and order.status in order_errors.CANCELLED
    if 0 < order.quantity <= filled + _ENOUGH and not is_cut:
        return OrderState.FILLED
    if order.status in order_errors.CANCELLED:
        return OrderState.REJECTED if order.refused and not filled else OrderState.CANCELLED
    if order.doubt or order.status == order_errors.FILLED:  # filled without the executions that make it so
        return OrderState.UNKNOWN
    if order.refused:
        return OrderState.CANCELLED if filled else OrderState.REJECTED
    if order.withdrawn:
        return OrderState.CANCELLED
    if order.status == order_errors.INACTIVE:
        return OrderState.REJECTED if order.completed else OrderState.UNKNOWN
    if order.status == order_errors.PENDING_CANCEL:
        return OrderState.CANCEL_REQUESTED
    if order.status not in order_errors.WORKING:
        return OrderState.UNKNOWN
    if order.cancelling:
        return OrderState.CANCEL_REQUESTED
    return OrderState.PARTIAL if filled else OrderState.WORKING


def broker_orders(heard: HeardOrders, instruments: Instruments, client: int) -> tuple[BrokerOrder, ...]:
    """Every order IBKR has said anything of; `client` is the number of this connection."""
    executed = _shares(heard.fills.values())
    clients = {fill.execution.permId: fill.execution.clientId for fill in heard.fills.values()}
    return tuple(
        _order(one, executed.get(one.perm_id, {}), instruments, _sender(one, client, clients.get(one.perm_id)))
        for one in heard.orders
        if one.is_told
    )


def _shares(fills: Iterable[HeardFill]) -> Mapping[int, Mapping[int, float]]:
    """Executed by IBKR's number of the order and contract; every combination is the contract 0."""
    executed: defaultdict[int, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    for fill in fills:
        contract = 0 if fill.contract.secType == _BAG else fill.contract.conId
        executed[fill.execution.permId][contract] += fill.execution.shares
    return executed


def _packages(order: HeardOrder, executed: Mapping[int, float]) -> float:
    """Packages executed: of a combination its own rows count, never those of its legs beside them."""
    contract = order.contract
    if contract is None or not order.perm_id:
        return 0.0
    if contract.secType != _BAG:
        return executed.get(contract.conId, 0.0)
    by_leg = [executed.get(leg.conId, 0.0) / leg.ratio for leg in contract.comboLegs or () if leg.ratio]
    return max(executed.get(0, 0.0), min(by_leg, default=0.0))


def _order(heard: HeardOrder, executed: Mapping[int, float], instruments: Instruments, sender: str) -> BrokerOrder:
    legs, unread = legs_of(heard, instruments)
    filled = max(heard.filled, _packages(heard, executed))
    state = state_of(heard, filled)
    return BrokerOrder(
        account=AccountId(rows.BROKER, heard.account),
        reference=str(heard.perm_id) if heard.perm_id else f"client {heard.client} order {heard.order_id}",
        key=heard.key,
        legs=legs,
        quantity=heard.quantity,
        filled=filled,
        state=state,
        limit=_limit(heard),
        time_in_force=heard.time_in_force,
        sender=sender,
        cancellable=not sender and heard.order_id > 0 and not state.is_over,
        words=_words(heard, state),
        time=heard.heard,
        unread=unread,
    )


def _words(heard: HeardOrder, state: OrderState) -> str:
    words = list(heard.words)
    if heard.order_type not in ("", "LMT", "MKT", "MOC"):
        words.insert(0, f"order type {heard.order_type}")
    if state is OrderState.UNKNOWN and heard.doubt and heard.doubt not in " ".join(words):
        words.append(heard.doubt)
    elif state is OrderState.UNKNOWN and heard.status == order_errors.INACTIVE:
        words.append("IBKR calls it Inactive: it was rejected, or is held and may come back")
    return "; ".join(words)


def _sender(heard: HeardOrder, client: int, executed_for: int | None) -> str:
    """Who sent it, empty when this client did. Orders that are over name nobody, but their executions do."""
    if heard.order_id > 0:
        told = heard.client
    elif not heard.completed:
        return "TWS"  # an order of a person has no number of a client's
    elif executed_for is None:
        return "" if heard.key else "TWS"
    else:
        told = executed_for
    if told == client and (heard.order_id > 0 or heard.key):
        return ""
    return "TWS" if told in (0, client) else f"client {told}"


def _limit(heard: HeardOrder) -> float | None:
    """Of one package with the legs as they are told here: positive is paid."""
    if heard.limit is None:
        return None
    return heard.limit if heard.action == "BUY" else 0.0 - heard.limit


def legs_of(heard: HeardOrder, instruments: Instruments) -> tuple[tuple[Leg, ...], str]:
    """What one package trades, or nothing and why."""
    contract = heard.contract
    if contract is None:
        return (), "IBKR has not said what it trades"
    if heard.action not in ("BUY", "SELL", "SSHORT", "SLONG"):
        return (), f"its side is {heard.action[:20]!r}"
    side = 1 if heard.action == "BUY" else -1
    if contract.secType != _BAG:
        instrument = instruments(contract.conId)
        if instrument is None:
            return (), f"contract {contract.conId} is not known"
        return (Leg(instrument, side),), ""
    legs = []
    for leg in contract.comboLegs or ():
        instrument = instruments(leg.conId)
        if instrument is None:
            return (), f"contract {leg.conId} of one leg is not known"
        legs.append(Leg(instrument, side * leg.ratio * (1 if leg.action == "BUY" else -1)))
    return (tuple(legs), "") if legs else ((), "IBKR did not name the legs of the combination")


def contracts_of(heard: HeardOrders) -> dict[int, ib_async.Contract | None]:
    """Every contract that must be known to tell what is ordered and executed."""
    found: dict[int, ib_async.Contract | None] = {}
    for order in heard.orders:
        contract = order.contract
        if contract is not None and contract.secType == _BAG:
            found.update((leg.conId, None) for leg in contract.comboLegs or ())
        elif contract is not None:
            found[contract.conId] = contract
    for fill in heard.fills.values():
        if fill.contract.secType != _BAG:
            found[fill.contract.conId] = fill.contract
    return found


Memory = dict[str, tuple[HeardFill, ib_async.CommissionReport | None, tuple[str, str], Fill]]
"""executions that were translated, with what they were made from"""


def fills_of(heard: HeardOrders, instruments: Instruments, memory: Memory) -> tuple[tuple[Fill, ...], int]:
    """The executions of instruments, combinations' own rows left out, and how many could not be read.

    `memory` is brought up to date: only what is new is translated again.
    """
    owners = {order.perm_id: (order.key, order.account) for order in heard.orders if order.perm_id}
    found, unread = [], 0
    for root, fill in heard.fills.items():
        if fill.contract.secType == _BAG:
            continue
        report, owner = heard.reports.get(fill.execution.execId), owners.get(fill.execution.permId, ("", ""))
        known = memory.get(root)
        if known is not None and known[0] is fill and known[1] is report and known[2] == owner:
            found.append(known[3])
            continue
        told = _fill(root, fill, report, instruments(fill.contract.conId), owner)
        if told is None:
            unread += 1
        else:
            memory[root] = fill, report, owner, told
            found.append(told)
    return tuple(sorted(found, key=lambda one: (one.time, one.execution))), unread


def _fill(
    root: str,
    fill: HeardFill,
    report: ib_async.CommissionReport | None,
    instrument: Instrument | None,
    owner: tuple[str, str],
) -> Fill | None:
    """One execution; `owner` is key and account of the order it belongs to, for what it does not say itself."""
    told, account = fill.execution, fill.execution.acctNumber or owner[1]
    price, shares = finite(told.price), finite(told.shares)
    if instrument is None or price is None or shares is None or told.side not in ("BOT", "SLD") or not account:
        return None
    currency = fill.contract.currency or "USD"
    fees = None if report is None or report.currency not in ("", currency) else finite(report.commission)
    return Fill(
        execution=root,
        revision=fill.revision,
        account=AccountId(rows.BROKER, account),
        instrument=instrument,
        quantity=shares if told.side == "BOT" else -shares,
        price=price,
        time=_utc(told.time),
        key=told.orderRef or owner[0],
        reference=str(told.permId) if told.permId else "",
        fees=fees,
        currency=currency,
    )


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)
