"""The order book of the stand-in: orders with tastytrade's own states, fills, and what they do to the account.

    Received -> Routed -> Live -> Filled            Rejected, Cancelled, Expired on the way

There is no status for a part that is filled. What fills is decided by `Exchange.manner` and by `Tasty.fill`. Everything
here runs on the stand-in's own thread.
"""

from __future__ import annotations

import asyncio
from copy import deepcopy
from math import gcd
from typing import TYPE_CHECKING, Any

from tests.brokers.tasty_accounts import balance, position, stamp
from tests.brokers.tasty_book import Row
from tests.brokers.tasty_wire import Refused

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

ALIVE = ("Received", "Routed", "Live", "Replace Requested", "Cancel Requested")
STEP = 0.02
"""seconds between two states"""
PER_CONTRACT = 250.0
"""dollars of margin each contract or share that is held takes"""
FEES = {"commission": 1.0, "clearing-fees": 0.1, "regulatory-fees": 0.03}
"""dollars for each contract"""
FIRST = 700_001
MANNERS = ("never", "marketable", "always")
_VALUES = {"Equity": "equity", "Equity Option": "derivative", "Future Option": "futures-derivative"}


class Exchange:
    """Every order of every account, by number."""

    def __init__(self, tasty: Tasty) -> None:
        self.tasty = tasty
        self.manner = "never"
        """which orders fill by themselves once they are live: never, marketable, always"""
        self.rows: dict[int, Row] = {}
        self.removals: list[str] = []
        self._next = FIRST

    def of(self, number: str) -> list[Row]:
        """The orders of one account, the latest first."""
        return [row for row in reversed(self.rows.values()) if row["account-number"] == number]

    def one(self, number: str, order: int | str) -> Row:
        """An order of the account; 404 when it has none of that number."""
        row = self.rows.get(int(order)) if str(order).isdigit() else None
        if row is None or row["account-number"] != number:
            raise Refused(404, "record_not_found", "Couldn't find Order")
        return row

    # from clients

    def place(self, number: str, told: Row, **more: Any) -> Row:
        """Take a new order; Refused when its preflight fails."""
        legs = [self._leg(number, leg, told) for leg in told["legs"]]
        size = gcd(*(int(float(leg["quantity"])) for leg in legs))
        first = self.tasty.book.instruments[legs[0]["symbol"]]
        plain = {key: value for key, value in told.items() if key not in ("legs", "advanced-instructions", "behavior")}
        row: Row = {
            "id": self._next, "account-number": number, "size": size, "status": "Received", "cancellable": True,
            "editable": True, "edited": False, "underlying-symbol": first.get("underlying-symbol", first["symbol"]),
            "underlying-instrument-type": "Equity", "received-at": stamp(self.tasty.clock()), **plain, "legs": legs,
            **more,
        }  # fmt: skip
        self._next += 1
        self.rows[row["id"]] = row
        self._stamp(row)
        if rejected := self.tasty.hit("orders_rejected"):
            self._later(STEP, self.reject, row, str(rejected.get("reason", "Exchange rejected the order")))
        else:
            self._later(STEP, self._route, row)
        return row

    def cancel(self, number: str, order: str) -> Row:
        """Ask for a cancellation; 422 when the order is over."""
        row = self.one(number, order)
        if row["status"] not in ALIVE:
            raise Refused(422, "invalid_order_status", f"The order is {row['status']} and cannot be cancelled")
        self._state(row, "Cancel Requested", cancellable=False)
        if self.tasty.hit("fill_on_cancel"):
            self._later(STEP, self.fill, row, None)
        elif slow := self.tasty.hit("cancel_slow"):
            if "seconds" in slow:
                self._later(slow["seconds"], self.cancelled, row)
        else:
            self._later(STEP, self.cancelled, row)
        return row

    def replace(self, number: str, order: str, told: Row) -> Row:
        """Put a new order in place of one that works; a fill of that one aborts it."""
        old = self.one(number, order)
        if old["status"] not in ("Received", "Routed", "Live"):
            raise Refused(422, "invalid_order_status", f"The order is {old['status']} and cannot be replaced")
        kept: Row = {key: old[key] for key in ("time-in-force", "order-type", "underlying-symbol") if key in old}
        legs = [{**leg, "quantity": leg["remaining-quantity"], "fills": []} for leg in old["legs"]]  # the rest of it
        plain = {key: value for key, value in told.items() if key != "advanced-instructions"}
        new: Row = {
            "id": self._next, "account-number": number, "status": "Received", "cancellable": True, "editable": True,
            "edited": False, "underlying-instrument-type": "Equity", "received-at": stamp(self.tasty.clock()),
            **kept, **plain, "legs": deepcopy(legs), "replaces-order-id": old["id"],
            "size": gcd(*(int(leg["quantity"]) for leg in legs)),
        }  # fmt: skip
        self._next += 1
        self.rows[new["id"]] = new
        self._stamp(new)
        if self.tasty.hit("replace_aborted"):
            self._later(STEP, self.fill, old, None)
            self._later(2 * STEP, self.reject, new, "The original order was filled")
            return new
        self._state(old, "Replace Requested", **{"replacing-order-id": new["id"]})
        self._later(STEP, self.cancelled, old)
        self._later(2 * STEP, self._route, new)
        return new

    # its own course

    def reject(self, row: Row, reason: str) -> None:
        """The venue turns it away."""
        self._state(row, "Rejected", cancellable=False, **{"reject-reason": reason})

    def cancelled(self, row: Row) -> None:
        """It is cancelled, unless it is over already."""
        if row["status"] in ALIVE:
            self._state(row, "Cancelled", cancellable=False)

    def expire(self, row: Row) -> None:
        """Its day is over."""
        self._state(row, "Expired", cancellable=False)

    def fill(self, row: Row, packages: float | None, leg: int | None = None, price: float | None = None) -> None:
        """Fill packages (all that is left when None), of all legs or one; nothing of an order that is over."""
        if row["status"] not in ALIVE:
            return
        for place, each in enumerate(row["legs"]):
            if leg is not None and place != leg:
                continue
            ratio = each["quantity"] / row["size"]
            units = each["remaining-quantity"] if packages is None else ratio * packages
            self._fill_leg(row, each, min(units, each["remaining-quantity"]), price)
        done = all(not each["remaining-quantity"] for each in row["legs"])
        self._state(row, "Filled" if done else row["status"], **({"cancellable": False} if done else {}))

    def _route(self, row: Row) -> None:
        if row["status"] == "Received":
            self._state(row, "Routed")
            self._later(STEP, self._live, row)

    def _live(self, row: Row) -> None:
        if row["status"] != "Routed":
            return
        self._state(row, "Live", **{"live-at": stamp(self.tasty.clock())})
        if self.manner == "always" or (self.manner == "marketable" and self._marketable(row)):
            self._later(STEP, self.fill, row, None)

    def _marketable(self, row: Row) -> bool:
        """Whether the limit pays what the other side asks for."""
        natural = 0.0
        for leg in row["legs"]:
            told = self.tasty.book.market.get(leg["symbol"], {})
            side = told.get("ask" if leg["action"].startswith("Buy") else "bid")
            if side is None:
                return False
            natural += (1 if leg["action"].startswith("Buy") else -1) * side * leg["quantity"] / row["size"]
        if row.get("order-type") == "Market":
            return True
        limit = float(row["price"]) * (-1 if row.get("price-effect") == "Credit" else 1)
        return limit >= natural - 1e-9

    def _fill_leg(self, row: Row, leg: Row, units: float, price: float | None) -> None:
        if units <= 0:
            return
        symbol, sign = leg["symbol"], 1 if leg["action"].startswith("Buy") else -1
        alone = len(row["legs"]) == 1 and "price" in row
        paid = price if price is not None else float(row["price"]) if alone else self.tasty.book.price(symbol) or 0.0
        leg["remaining-quantity"] -= units
        name = f"{row['id']}_{row['legs'].index(leg)}_{len(leg['fills']) + 1}"
        leg["fills"].append(
            {
                "fill-id": f"F{name}", "quantity": units, "fill-price": f"{paid:.4f}", "ext-exec-id": f"X{name}",
                "filled-at": stamp(self.tasty.clock()), "ext-group-fill-id": f"G{row['id']}",
                "destination-venue": "STAND_IN",
            }
        )  # fmt: skip
        self._charge(row, leg, units, paid, f"X{name}")
        late = self.tasty.hit("ledger_late")
        self._later(
            late.get("seconds", 0.5) if late else 0.0, self._book, row["account-number"], symbol, sign * units, paid
        )

    def _charge(self, row: Row, leg: Row, units: float, paid: float, execution: str) -> None:
        """The transaction of a fill, with its fees."""
        effect = "Debit" if leg["action"].startswith("Buy") else "Credit"
        account = self.tasty.book.accounts[row["account-number"]]
        fees = {name: f"{each * units:.3f}" for name, each in FEES.items()}
        account.setdefault("transactions", []).append(
            {
                "id": 10_000 + len(account["transactions"]), "date": "+0d", "transaction-type": "Trade",
                "transaction-sub-type": leg["action"], "description": f"{leg['action']} {leg['symbol']}",
                "value": f"{paid * units:.2f}", "value-effect": effect,
                "symbol": leg["symbol"], "instrument-type": leg["instrument-type"], "action": leg["action"],
                "quantity": f"{units:g}", "price": f"{paid:g}", "order-id": row["id"], "ext-exec-id": execution,
                **fees, **{f"{name}-effect": "Debit" for name in fees},
            }
        )  # fmt: skip

    # the account

    def _book(self, number: str, symbol: str, change: float, paid: float) -> None:
        """Positions and balance after a trade."""
        tasty = self.tasty
        told, held = (
            tasty.book.instruments[symbol],
            tasty.book.positions[number].setdefault(symbol, {"quantity": 0.0, "average-open-price": paid}),
        )
        before = float(held["quantity"])
        after, factor = before + change, float(told.get("multiplier", 1))
        if before * change >= 0 and after:
            held["average-open-price"] = (before * held["average-open-price"] + change * paid) / after
        held["quantity"] = after
        account = tasty.book.accounts[number]["balance"]
        mark = tasty.book.price(symbol) or paid
        units, kind = abs(after) - abs(before), _VALUES.get(told["instrument-type"])
        fees = sum(FEES.values()) * abs(change)
        if kind is not None:
            for side, sign in (("long", 1), ("short", -1)):
                moved = (max(sign * after, 0) - max(sign * before, 0)) * mark * factor
                _add(account, f"{side}-{kind}-value", moved)
            _add(account, "cash-balance", -change * paid * factor - fees)
        else:
            _add(account, "futures-margin-requirement", PER_CONTRACT * units)
            _add(account, "cash-balance", -fees)
        gain = change * (mark - paid) * factor - fees
        for name in ("net-liquidating-value", "margin-equity"):
            _add(account, name, gain)
        for name in ("maintenance-requirement", "reg-t-margin-requirement", "used-derivative-buying-power"):
            _add(account, name, PER_CONTRACT * units)
        for name in ("maintenance-excess", "derivative-buying-power"):
            _add(account, name, gain - PER_CONTRACT * units)
        tasty.notify("CurrentPosition", number, position(tasty, number, symbol, marks=False))
        tasty.notify("AccountBalance", number, balance(tasty, number))

    def _leg(self, number: str, leg: Row, told: Row) -> Row:
        """A leg as it is kept: closing what is not held opens, unless the order is strict about it."""
        symbol, action, size = leg["symbol"], leg["action"], int(float(leg["quantity"]))
        if action.endswith("Close"):
            held = float(self.tasty.book.positions[number].get(symbol, {}).get("quantity", 0))
            covered = -held if action.startswith("Buy") else held
            if covered < size:
                strict = (told.get("advanced-instructions") or {}).get("strict-position-effect-validation")
                if strict:
                    raise Refused(422, "position_effect_invalid", f"No position of {size} to close in {symbol}")
                action = action.replace("Close", "Open")
        kind = self.tasty.book.instruments[symbol]["instrument-type"]
        return {"instrument-type": kind, "symbol": symbol, "action": action, "quantity": size,
                "remaining-quantity": size, "fills": []}  # fmt: skip

    # words

    def _state(self, row: Row, status: str, **more: Any) -> None:
        row |= {"status": status, **more}
        if status not in ALIVE:
            row["terminal-at"] = stamp(self.tasty.clock())
        self._stamp(row)

    def _stamp(self, row: Row) -> None:
        """Date a change and announce it."""
        row["updated-at"] = max(int(self.tasty.clock().timestamp() * 1000), row.get("updated-at", 0) + 1)
        told = deepcopy(row)
        if self.tasty.hit("notices_one_leg"):
            told["legs"] = [*told["legs"][:1], *({**leg, "fills": []} for leg in told["legs"][1:])]
        for _ in range(2 if self.tasty.hit("notices_repeat") else 1):
            self.tasty.notify("Order", row["account-number"], told)

    def _later(self, seconds: float, work: Any, *told: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, work, *told)


def _add(account: Row, name: str, dollars: float) -> None:
    account[name] = f"{float(account.get(name, 0.0)) + dollars:.2f}"
