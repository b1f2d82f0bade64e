"""Every word IBKR says of orders, kept as it was said, apart from what the client library makes of it.

The library calls an order cancelled after notices that only inform (10349), and working after refusals it takes for
warnings (321); it forgets everything with the socket. What a word means is decided in `order_states`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import ib_async

from adapters.ibkr import order_errors
from guardrails.redaction import redact
from guardrails.values import finite

_LAST_WORDS = 3


@dataclass(slots=True, eq=False)
class HeardOrder:
    """One order, whoever sent it, as IBKR last told of it."""

    client: int
    order_id: int
    heard: datetime
    """when anything was last said of it; before that, when it was sent"""
    perm_id: int = 0
    """IBKR's own number of it; 0 until it is told"""
    key: str = ""
    account: str = ""
    contract: ib_async.Contract | None = None
    action: str = ""
    quantity: float = 0.0
    is_least: bool = False
    """`quantity` is only what was filled of it: orders that are over come without, and more may have been ordered"""
    order_type: str = ""
    limit: float | None = None
    time_in_force: str = ""
    routing: tuple[tuple[str, str], ...] = ()
    status: str = ""
    """the last one IBKR told; empty: none yet"""
    filled: float = 0.0
    completed: bool = False
    """it stood among those that are over"""
    refused: bool = False
    """an error said that it was not taken; a status after that counts more"""
    withdrawn: bool = False
    """202: it was cancelled"""
    doubt: str = ""
    """why its last status may not hold any more; until IBKR speaks of it again"""
    cancelling: bool = False
    repricing: bool = False
    words: list[str] = field(default_factory=list)

    @property
    def is_told(self) -> bool:
        """Whether IBKR has said anything of it at all."""
        return bool(self.status or self.words)

    def say(self, text: str) -> None:
        """Keep the broker's own words, the last ones of them."""
        line = redact(text.strip())
        if line:
            self.words = [*(word for word in self.words if word != line), line][-_LAST_WORDS:]

    def told_status(self, status: str, now: datetime) -> None:
        """IBKR says what has become of it: earlier doubts and refusals are settled by it."""
        if not status:
            return
        if status in order_errors.WORKING:
            self.refused = self.withdrawn = False
        self.status, self.doubt, self.heard = status, "", now

    def told_error(self, code: int, text: str, now: datetime) -> None:
        """IBKR answers something about it with an error, which may be a mere notice."""
        self.say(f"{code}: {text}")
        self.heard = now
        meaning = order_errors.meaning(code, acknowledged=bool(self.status), changing=self.repricing)
        if meaning is order_errors.Meaning.CANCELLED:
            self.withdrawn, self.doubt = True, ""
        elif meaning is order_errors.Meaning.REFUSED:
            self.refused = True
        elif meaning is order_errors.Meaning.DOUBT:
            self.doubt = f"{code}"
            self.cancelling = self.cancelling and code not in order_errors.NOT_CANCELLED
        self.repricing = self.repricing and order_errors.is_passing(code)


@dataclass(frozen=True, slots=True)
class HeardFill:
    """One execution, of the last version that was told."""

    revision: int
    contract: ib_async.Contract
    execution: ib_async.Execution


class HeardOrders:
    """All orders and executions that were told of; outlives sessions."""

    def __init__(self) -> None:
        self.orders: list[HeardOrder] = []
        self.fills: dict[str, HeardFill] = {}
        """by the identity of the execution without its revision"""
        self.reports: dict[str, ib_async.CommissionReport] = {}
        """by the whole identity of the execution"""
        self._by_id: dict[tuple[int, int], HeardOrder] = {}
        self._by_perm: dict[int, HeardOrder] = {}
        self._listed: set[int] | None = None

    def placed(self, order: HeardOrder) -> None:
        """Note an order in the moment it is sent, so that an error about it is understood."""
        self.orders.append(order)
        self._by_id[order.client, order.order_id] = order

    def forget(self, order: HeardOrder) -> None:
        """An order that was not sent after all."""
        self.orders.remove(order)
        if self._by_id.get((order.client, order.order_id)) is order:
            del self._by_id[order.client, order.order_id]

    def find(self, client: int, order_id: int, perm_id: int = 0, key: str = "") -> HeardOrder | None:
        """The order of this identity. Numbers of a client may be used again, IBKR's own and our keys are not."""
        found = self._by_perm.get(perm_id) if perm_id else None
        if found is None and order_id > 0:
            found = self._by_id.get((client, order_id))
            if found is not None and ((perm_id and found.perm_id not in (0, perm_id)) or _is_other(key, found.key)):
                return None
        return found

    def is_taken(self, client: int, order_id: int) -> bool:
        """Whether an order of that number was ever sent or told of."""
        return any(one.client == client and one.order_id == order_id for one in self.orders)

    def of_key(self, key: str) -> HeardOrder | None:
        """The last order that bears `key`."""
        return next((one for one in reversed(self.orders) if one.key == key), None) if key else None

    def open_order(
        self,
        order_id: int,
        contract: ib_async.Contract,
        order: ib_async.Order,
        state: ib_async.OrderState,
        now: datetime,
    ) -> HeardOrder:
        """An order that IBKR lists as open, or tells about anew."""
        if self.find(order.clientId, order_id, order.permId, order.orderRef) is None:
            self._adopt(order.clientId, order_id, order.orderRef)
        found = self._made(order.clientId, order_id, order.permId, now, order.orderRef)
        _describe(found, contract, order)
        told = finite(order.totalQuantity)
        found.quantity, found.is_least = told or found.quantity, found.is_least and not told
        found.say(state.warningText or "")
        found.told_status(state.status, now)
        found.repricing = False
        if self._listed is not None:
            self._listed.add(id(found))
        return found

    def order_status(
        self, order_id: int, status: str, filled: float, perm_id: int, client: int, why_held: str, now: datetime
    ) -> HeardOrder | None:
        """The status of an order, which may repeat and may skip; None for one of which nothing else is known.

        It may be that of a preview, which never was an order: the lists tell of all that are.
        """
        if self.find(client, order_id, perm_id) is None:
            return None
        found = self._made(client, order_id, perm_id, now)
        found.filled = max(finite(filled) or 0.0, found.filled)
        found.say(f"held: {why_held}" if why_held else "")
        found.told_status(status, now)
        return found

    def completed_order(
        self, contract: ib_async.Contract, order: ib_async.Order, state: ib_async.OrderState, now: datetime
    ) -> HeardOrder | None:
        """An order of today that is over; it comes without number of its own and without quantity."""
        if not order.permId:
            return None
        found = self._made(0, 0, order.permId, now)
        if not found.contract:
            _describe(found, contract, order)
        found.key = found.key or order.orderRef
        found.filled = max(finite(order.filledQuantity) or 0.0, found.filled)
        told = finite(order.totalQuantity) or 0.0
        found.is_least = not told and (found.is_least or not found.quantity)
        found.quantity = max(found.quantity, told, found.filled)
        if not found.completed:
            found.say(state.completedStatus or "")
        found.completed = True
        found.told_status(state.status, now)
        return found

    def error(self, client: int, order_id: int, code: int, text: str, now: datetime) -> HeardOrder | None:
        """An error about an order of this client; None when it is about something else."""
        found = self._by_id.get((client, order_id)) if order_id > 0 else None
        if found is not None:
            found.told_error(code, text, now)
        return found

    def execution(self, contract: ib_async.Contract, execution: ib_async.Execution) -> bool:
        """Take in one execution; whether it says anything new. A correction has the same root and a higher end."""
        root, revision = identity(execution.execId)
        before = self.fills.get(root)
        if before is not None and before.revision >= revision:
            is_whole = before.revision > revision or before.execution.acctNumber or not execution.acctNumber
            if is_whole:  # else it was told without its account before
                return False
        self.fills[root] = HeardFill(revision, contract, execution)
        return True

    def commission(self, report: ib_async.CommissionReport) -> None:
        """What an execution cost."""
        self.reports[report.execId] = report

    @property
    def is_listing(self) -> bool:
        """Whether the open orders of every client are being told."""
        return self._listed is not None

    def listing_begins(self) -> None:
        """From now on the open orders of every client are told."""
        self._listed = set()

    def listing_ends(self, begun: datetime) -> None:
        """All open orders were told since `begun`: one that was known before and is not among them is in doubt."""
        listed, self._listed = self._listed, None
        if listed is None:
            return
        for order in self.orders:
            gone = id(order) not in listed and order.heard < begun
            if gone and order.status in order_errors.ALIVE:
                order.doubt = order.doubt or "IBKR no longer lists it"

    def session_begins(self) -> None:
        """Another connection: whether a cancellation or a change asked on the last was taken, statuses will tell."""
        for order in self.orders:
            order.cancelling = order.repricing = False
            if not order.is_told:  # it may never have arrived, and then its number is given to another request
                self._by_id.pop((order.client, order.order_id), None)

    def listing_failed(self) -> None:
        """The list of open orders was not told to its end: it says nothing of what is not on it."""
        self._listed = None

    def prune(self, is_today: Callable[[datetime], bool]) -> None:
        """Forget what is over and not of today; `is_today` tells it of a time."""
        kept = [one for one in self.orders if is_today(one.heard) or one.status in order_errors.ALIVE or one.doubt]
        gone = {id(one) for one in self.orders} - {id(one) for one in kept}
        if gone:
            self.orders = kept
            self._by_id = {place: one for place, one in self._by_id.items() if id(one) not in gone}
            self._by_perm = {place: one for place, one in self._by_perm.items() if id(one) not in gone}
        self.fills = {root: fill for root, fill in self.fills.items() if is_today(fill.execution.time)}
        ids = {fill.execution.execId for fill in self.fills.values()}
        # a report may come before its execution
        self.reports = {
            name: report for name, report in self.reports.items() if name in ids or len(self.reports) < 1000
        }

    def _adopt(self, client: int, order_id: int, key: str) -> None:
        """An order that was sent on an earlier connection and is told of only now."""
        found = self.of_key(key)
        if found is not None and not found.is_told and (found.client, found.order_id) == (client, order_id):
            self._by_id[client, order_id] = found

    def _made(self, client: int, order_id: int, perm_id: int, now: datetime, key: str = "") -> HeardOrder:
        found = self.find(client, order_id, perm_id, key)
        if found is None:
            found = HeardOrder(client, order_id, now)
            self.orders.append(found)
        if order_id > 0 and (found.order_id <= 0 or not found.is_told):
            found.client, found.order_id = client, order_id
        if perm_id:
            found.perm_id = perm_id
            self._by_perm[perm_id] = found
        if found.order_id > 0:
            place = found.client, found.order_id
            holder = self._by_id.get(place)
            # one that was sent a moment ago keeps its number: errors that bear it are about that one
            if holder is None or holder.is_told:
                self._by_id[place] = found
        return found


def _is_other(key: str, known: str) -> bool:
    """Whether two keys name two orders; one that is not told says nothing."""
    return bool(key and known) and key != known


def identity(exec_id: str) -> tuple[str, int]:
    """What stays the same when an execution is corrected, and the number of the correction."""
    root, _, last = exec_id.rpartition(".")
    return (root, int(last)) if root and last.isdecimal() else (exec_id, 0)


def _describe(found: HeardOrder, contract: ib_async.Contract, order: ib_async.Order) -> None:
    found.contract = found.contract or contract
    found.key = order.orderRef or found.key
    found.account = order.account or found.account
    found.action, found.order_type, found.time_in_force = order.action, order.orderType, order.tif
    found.limit = finite(order.lmtPrice) if order_errors.has_limit(order.orderType) else None
    found.routing = tuple((tag.tag, tag.value) for tag in order.smartComboRoutingParams or ()) or found.routing
