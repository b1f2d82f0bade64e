"""The part of the stand-in that takes orders: a book of orders, fills by a script, and every way an answer goes astray.

Each placeOrder that came over the wire stands in `log`, so that a test can prove that nothing was sent twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.brokers import tws_messages as messages
from tests.brokers import tws_orders
from tests.brokers.tws_answers import NEW_YORK
from tests.brokers.tws_book import Row, multiplier
from tests.brokers.tws_orders import BAG_ID, PlacedOrder

if TYPE_CHECKING:
    from tests.brokers.tws import Tws
    from tests.brokers.tws_session import Session

FEE = 1.25
"""of one contract, unless the test says otherwise"""
OVER = ("Filled", "Cancelled", "Inactive")
TIF_PRESET = "Order TIF was set to DAY based on order preset."
REJECTED = "Order rejected - reason:The following order violates the available funds of account {account}."


@dataclass(frozen=True, slots=True)
class Sent:
    """One message about an order, as it arrived."""

    what: str
    """new, modify, cancel"""
    client: int
    order_id: int
    ref: str
    quantity: float = 0.0
    price: str = ""


class Desk:
    """Orders of all clients. Every method runs on the stand-in's own thread (`Tws.on_desk`)."""

    def __init__(self, tws: Tws) -> None:
        self.tws = tws
        self.log: list[Sent] = []
        self._perm = 910_000_000
        self._execution = 0
        self._pending: list[Row] = []

    # what clients ask

    def take(self, session: Session, order: PlacedOrder) -> None:
        """A new order, or a change of one that rests."""
        client = session.client_id or 0
        row = self._find(client, order.order_id)
        what = "new" if row is None else "modify"
        self.log.append(Sent(what, client, order.order_id, order.ref, order.quantity, order.limit))
        self.tws.next_id = max(self.tws.next_id, order.order_id + 1)  # TWS tells whoever comes back an unused number
        if self.tws.hit("lose_order"):  # the link breaks before TWS has read it
            self.log[-1] = replace(self.log[-1], what="lost")
            session.drop()
        elif row is not None:
            self._change(session, row, order)
        else:
            self._take_new(session, order, client)

    def _take_new(self, session: Session, order: PlacedOrder, client: int) -> None:
        tws = self.tws
        refusal = tws_orders.why_not(session, order)
        rejected = tws.hit("reject_order")
        if tws.hit("duplicate_id"):
            refusal = (103, "Duplicate order id")
        if refusal is not None:
            session.send(messages.error(order.order_id, *refusal))
            return
        self._perm += 1
        row = tws_orders.as_row(order) | {
            "clientId": client, "permId": self._perm, "whatIf": False, "filled": 0.0, "avgFillPrice": 0.0,
            "status": "PreSubmitted" if tws.hit("hold_order") else "Submitted",
        }  # fmt: skip
        if rejected is not None:
            self._reject(session, row, order, rejected)
            return
        tws.book.open_orders.append(row)
        if tws.hit("lose_reply"):  # taken, but nobody is told
            session.drop()
            return
        if tws.hit("mute_order"):
            return
        if tws.hit("tif_preset"):
            session.send(messages.error(order.order_id, 10349, TIF_PRESET))
            if tws.hit("tif_preset_only"):
                return
        self._tell(row)
        if tws.hit("tif_preset_after"):
            session.send(messages.error(order.order_id, 10349, TIF_PRESET))
        warning = tws.hit("order_warning")
        if warning is not None:
            words = str(warning.get("words", "Order Message: it will not be placed before the market opens."))
            session.send(messages.error(order.order_id, int(warning.get("code", 399)), words))
        fill = tws.hit("fill_orders")
        if fill is not None:
            left = float(row["totalQuantity"])
            self._fill(row, min(float(fill.get("quantity", left)), left), None)

    def _reject(self, session: Session, row: Row, order: PlacedOrder, how: Row) -> None:
        is_quiet = how.get("quiet", False)
        if not is_quiet:
            words = str(how.get("words", REJECTED)).format(account=order.account)
            session.send(messages.error(order.order_id, int(how.get("code", 201)), words))
        row["status"] = "Inactive"
        if how.get("status", True):
            self._tell(row)
        if is_quiet:
            self._over(row, "Inactive")

    def _change(self, session: Session, row: Row, order: PlacedOrder) -> None:
        refused = self.tws.hit("reject_change")
        if row["status"] in OVER:
            session.send(messages.error(order.order_id, 104, "Cannot modify a filled order."))
        elif refused is not None:
            code = int(refused.get("code", 110))
            words = "The price does not conform to the minimum price variation for this contract."
            session.send(messages.error(order.order_id, code, words))
        else:
            row.update(lmtPrice=order.limit, totalQuantity=order.quantity)
            if not self.tws.hit("mute_order"):
                self._tell(row)

    def cancel_asked(self, session: Session, order_id: int) -> None:
        """A client's wish; it may come too late."""
        client = session.client_id or 0
        row = self._find(client, order_id)
        self.log.append(Sent("cancel", client, order_id, "" if row is None else row["orderRef"]))
        if row is None:
            session.send(
                messages.error(order_id, 10147, f"OrderId {order_id} that needs to be cancelled is not found.")
            )
        elif row["status"] in OVER:
            words = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {row['status']}."
            session.send(messages.error(order_id, 10148, words))
        elif self.tws.hit("fill_on_cancel"):
            self._fill(row, float(row["totalQuantity"]) - row["filled"], None)
            words = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: Filled."
            session.send(messages.error(order_id, 10148, words))
        elif self.tws.hit("slow_cancel"):
            row["status"] = "PendingCancel"
            self._tell(row)
        elif not self.tws.hit("mute_cancel"):
            self._cancelled(row)

    # what a test does

    def fill(self, ref: str, quantity: float | None = None, price: float | None = None) -> None:
        """Execute packages of the open order with this orderRef: all that is left, at its limit, unless told."""
        row = self.row(ref)
        left = float(row["totalQuantity"]) - row["filled"]
        self._fill(row, left if quantity is None else quantity, price)

    def cancel(self, ref: str) -> None:
        """The exchange, or a person at TWS, cancels; also what was asked for and not confirmed yet."""
        self._cancelled(self.row(ref))

    def reject(self, ref: str, code: int = 201, words: str = REJECTED) -> None:
        """IBKR refuses an order that it took before."""
        row = self.row(ref)
        row["status"] = "Inactive"
        self._to_owner(row, messages.error(row["orderId"], code, words.format(account=row["account"])))
        self._tell(row)
        self._over(row, "Inactive")

    def place_elsewhere(self, client: int, **told: Any) -> None:
        """An order of another client, or of a person at TWS (client 0), as a row of the book."""
        self._perm += 1
        number = 0 if client == 0 else self._perm % 1000
        self.tws.book.open_orders.append(
            {"orderId": number, "clientId": client, "permId": self._perm, "status": "Submitted", "filled": 0.0, **told}
        )

    def correct(self, exec_id: str, price: float) -> None:
        """An execution's price was wrong: the same execution again with a higher last part."""
        row = next(one for one in self.tws.book.executions if one["execId"] == exec_id)
        root, _, last = exec_id.rpartition(".")
        corrected = {**row, "execId": f"{root}.{int(last) + 1:02d}", "price": price}
        self.tws.book.executions[self.tws.book.executions.index(row)] = corrected
        self._tell_execution(corrected)

    def report_commissions(self) -> None:
        """Send what the fault `late_commission` has held back."""
        held, self._pending = self._pending, []
        for row in held:
            self._to_client(row["clientId"], messages.commission(row))

    def row(self, ref: str) -> Row:
        """The last order with this orderRef, open or over; KeyError when there is none."""
        rows = [*self.tws.book.completed_orders, *self.tws.book.open_orders]
        found = next((row for row in reversed(rows) if row.get("orderRef") == ref), None)
        if found is None:
            raise KeyError(ref)
        return found

    # how it is done

    def _find(self, client: int, order_id: int) -> Row | None:
        rows = [*self.tws.book.open_orders, *self.tws.book.completed_orders]
        own = (row for row in rows if row.get("clientId") == client and row.get("orderId") == order_id)
        return next(own, None)

    def _to_client(self, client: int, message: bytes) -> None:
        for session in self.tws.sessions:
            if session.client_id == client:
                session.send(message)

    def _to_owner(self, row: Row, message: bytes) -> None:
        self._to_client(row.get("clientId", 0), message)

    def _tell(self, row: Row) -> None:
        """The order, then its status, as TWS does after every change."""
        for session in self.tws.sessions:
            if session.client_id == row.get("clientId", 0):
                session.send(tws_orders.open_order(row, tws_orders.unset(), session))
                session.send(tws_orders.order_status(row))

    def _cancelled(self, row: Row) -> None:
        row["status"] = "Cancelled"
        self._to_owner(row, messages.error(row["orderId"], 202, "Order Canceled - reason:"))
        self._to_owner(row, tws_orders.order_status(row))
        self._over(row, "Cancelled")

    def _over(self, row: Row, status: str) -> None:
        book = self.tws.book
        book.open_orders[:] = [one for one in book.open_orders if one is not row]
        at = f"{self.tws.clock().astimezone(NEW_YORK):%H:%M:%S} US/Eastern"
        row |= {"filledQuantity": row["filled"], "completedTime": at, "completedStatus": status, "status": status}
        book.completed_orders.append(row)

    def _fill(self, row: Row, quantity: float, price: float | None) -> None:
        """Executions of the package and its legs, then the status; positions and money follow."""
        told = float(row["lmtPrice"] or 0) if row["orderType"] == "LMT" else self.tws.book.mark(self._legs(row)[0][0])
        at = price if price is not None else told or 0.0
        row["filled"] += quantity
        done = row["filled"] >= float(row["totalQuantity"])
        row |= {"avgFillPrice": at, "status": "Filled" if done else "Submitted"}
        executions = self._executions(row, quantity, at)
        self.tws.book.executions.extend(executions)
        status_first = self.tws.hit("status_before_executions")
        if status_first:
            self._to_owner(row, tws_orders.order_status(row))
        for execution in executions:
            self._tell_execution(execution)
        if not status_first and not self.tws.hit("no_fill_status"):
            self._tell(row)
        if done:
            self._over(row, "Filled")
        for execution in executions:
            self._move(execution)

    def _legs(self, row: Row) -> list[tuple[int, int]]:
        """Contract and signed ratio of each leg, by the side of the order."""
        side = 1 if row["action"] == "BUY" else -1
        legs = row.get("legs") or ()
        if not legs:
            return [(row["asked"].con_id if "asked" in row else row["conId"], side)]
        return [(int(leg[0]), side * int(leg[1]) * (1 if leg[2] == "BUY" else -1)) for leg in legs]

    def _executions(self, row: Row, quantity: float, price: float) -> list[Row]:
        legs = self._legs(row)
        side = 1 if row["action"] == "BUY" else -1
        if not row.get("legs"):
            return [self._execution_row(row, legs[0][0], legs[0][1] * quantity, price)]
        marks = [self.tws.book.mark(con_id) or 0.0 for con_id, _ in legs]
        # the marks of all legs but the last, which takes what is left of the package's price
        rest = side * price - sum(ratio * mark for (_, ratio), mark in zip(legs[:-1], marks, strict=False))
        prices = [*marks[:-1], rest / legs[-1][1]]
        bag = self._execution_row(row, BAG_ID, side * quantity, price)
        bag["commission"] = None
        own = [
            self._execution_row(row, con, ratio * quantity, at) for (con, ratio), at in zip(legs, prices, strict=True)
        ]
        return own if self.tws.hit("no_bag_execution") else [bag, *own]

    def _execution_row(self, row: Row, con_id: int, signed: float, price: float) -> Row:
        self._execution += 1
        return {
            "execId": f"0000abcd.{self._execution:08x}.01.01", "orderId": row["orderId"], "permId": row["permId"],
            "clientId": row.get("clientId", 0), "account": row["account"], "conId": con_id,
            "side": "BOT" if signed > 0 else "SLD", "shares": abs(signed), "price": round(price, 6),
            "time": f"{self.tws.clock().astimezone(NEW_YORK):%H:%M:%S}", "orderRef": row.get("orderRef", ""),
            "commission": FEE * abs(signed),
        }  # fmt: skip

    def _tell_execution(self, row: Row) -> None:
        traded = self.tws.book.contracts[row["conId"]]
        for session in self.tws.sessions:
            if session.client_id == row["clientId"]:
                when = self.tws.clock().astimezone(NEW_YORK)
                session.send(messages.execution(-1, row, traded, when, session.version))
        if self.tws.hit("late_commission"):
            self._pending.append(row)
        elif row["commission"] is not None:
            self._to_client(row["clientId"], messages.commission(row))

    def _move(self, execution: Row) -> None:
        """Position and cash after an execution; the package itself holds nothing."""
        if execution["conId"] == BAG_ID or self.tws.hit("late_positions"):
            return
        book, account, con_id = self.tws.book, execution["account"], execution["conId"]
        signed = execution["shares"] if execution["side"] == "BOT" else -execution["shares"]
        size = multiplier(book.contracts[con_id])
        held, cost = book.positions.get((account, con_id), (0.0, 0.0))
        opening = held * signed >= 0
        total = held * cost + signed * execution["price"] * size if opening else 0.0
        quantity = held + signed
        if book.contracts[con_id]["secType"] != "FUT":
            self._pay(account, signed * execution["price"] * size + execution["commission"])
        book.positions.setdefault((account, con_id), (0.0, 0.0))
        self.tws.set_position(account, con_id, quantity, total / quantity if opening and quantity else cost)

    def _pay(self, account: str, amount: float) -> None:
        values, currency = self.tws.book.accounts[account], self.tws.book.currencies[account]
        for tag, money in (("TotalCashValue", currency), ("CashBalance", currency), ("CashBalance", "BASE")):
            if (tag, money) in values:
                self.tws.set_value(account, tag, f"{float(values[tag, money]) - amount:.2f}", money)
