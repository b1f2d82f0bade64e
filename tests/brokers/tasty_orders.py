"""The routes of orders: dry runs are answered and counted; real orders are taken only where the stand-in trades.

Otherwise they are refused. Every request that would trade is written down in `Tasty.orders` either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.brokers.tasty_accounts import balance, owner, stamp
from tests.brokers.tasty_book import Row
from tests.brokers.tasty_exchange import FEES, PER_CONTRACT
from tests.brokers.tasty_lists import listed
from tests.brokers.tasty_wire import Answer, Refused, Request, data, document

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty


def live(tasty: Tasty, request: Request, number: str) -> Answer:
    """Today's orders of the account, and those that still work."""
    rows = [_order(tasty, number, row) for row in owner(tasty, number).get("orders_live", [])]
    hidden = tasty.hit("orders_unlisted")
    return listed(tasty, request, "orders_live", [*([] if hidden else tasty.exchange.of(number)), *rows])


def one(tasty: Tasty, request: Request, number: str, order: str) -> Answer:
    """One order."""
    owner(tasty, number)
    return data(tasty.exchange.one(number, order), context=request.path)


def place(tasty: Tasty, request: Request, number: str) -> Answer:
    """Take an order, or refuse it before it has a number."""
    told = _checked(tasty, request, number)
    if failed := tasty.hit("preflight"):
        return _preflight(failed.get("code", "margin_check_failed"), failed.get("message", "Not enough buying power"))
    try:
        row = tasty.exchange.place(number, told)
    except Refused as refused:
        return _preflight(refused.code, str(refused))
    effect, fees = _effect(tasty, number, told["legs"])
    answer = {"order": row, "buying-power-effect": effect, "fee-calculation": fees, "warnings": [], "errors": []}
    return document(201, {"data": answer, "context": request.path})


def replace(tasty: Tasty, request: Request, number: str, order: str) -> Answer:
    """Put a new order in place of a working one."""
    _log(tasty, request)
    owner(tasty, number)
    return data(tasty.exchange.replace(number, order, request.json()), context=request.path)


def cancel(tasty: Tasty, request: Request, number: str, order: str) -> Answer:
    """Ask for a cancellation."""
    _log(tasty, request)
    owner(tasty, number)
    return data(tasty.exchange.cancel(number, order), context=request.path)


def dry_run(tasty: Tasty, request: Request, number: str) -> Answer:
    """Buying power effect, fees and warnings of an order that stays undone."""
    owner(tasty, number)
    told = _valid(tasty, request.json())
    tasty.dry_runs.append(told)
    effect, fees = _effect(tasty, number, told["legs"])
    if odd := tasty.hit("dry_run_odd"):
        effect |= odd.get("effect", {})
    answer = {
        "buying-power-effect": effect, "fee-calculation": fees, "order": _order(tasty, number, told),
        "warnings": _warnings(tasty, number, told["legs"]),
    }  # fmt: skip
    return data(answer, context=request.path)


def refuse(tasty: Tasty, request: Request, *_: str) -> Answer:
    """403 for everything else that would trade."""
    _log(tasty, request)
    raise Refused(403, "not_permitted", "This stand-in never trades")


def _log(tasty: Tasty, request: Request) -> None:
    """Write a request down; 403 where nothing trades."""
    tasty.orders.append({"method": request.method, "path": request.path, "body": request.json()})
    if not tasty.trades:
        raise Refused(403, "not_permitted", "This stand-in never trades")


def _checked(tasty: Tasty, request: Request, number: str) -> Row:
    _log(tasty, request)
    owner(tasty, number)
    return _valid(tasty, request.json())


def _valid(tasty: Tasty, told: Row) -> Row:
    """An order that can be read; 422 for others."""
    legs = told.get("legs") or []
    if not legs:
        raise Refused(422, "validation_error", "legs is missing")
    unknown = [leg.get("symbol") for leg in legs if leg.get("symbol") not in tasty.book.instruments]
    if unknown:
        raise Refused(422, "instrument_validation_failed", f"Instruments not found: {unknown}")
    if told.get("order-type") == "Limit" and float(told.get("price") or 0) and "price-effect" not in told:
        raise Refused(422, "validation_error", "price-effect is missing")
    return told


def _preflight(code: str, message: str) -> Answer:
    inner = [{"code": code, "message": message}]
    outer = {"code": "preflight_check_failure", "message": "One or more preflight checks failed", "errors": inner}
    return document(422, {"error": outer})


def _effect(tasty: Tasty, number: str, legs: list[Row]) -> tuple[Row, Row]:
    """Buying power effect and fees: what is held more takes margin, what is held less gives it back."""
    held = tasty.book.positions[number]
    cost = sum(PER_CONTRACT * _more(float(held.get(leg["symbol"], {}).get("quantity", 0)), leg) for leg in legs)
    units = sum(float(leg.get("quantity") or 0) for leg in legs)
    charged = sum(FEES.values()) * units
    had = float(balance(tasty, number)["derivative-buying-power"])
    left, change = had - cost - charged, -cost - charged
    sized = {
        "change-in-margin-requirement": -cost, "change-in-buying-power": change, "current-buying-power": had,
        "new-buying-power": left, "isolated-order-margin-requirement": -PER_CONTRACT * units,
    }  # fmt: skip
    effect = {key: text for name, size in sized.items() for key, text in _signed(name, size).items()}
    rest = {"is-spread": len(legs) > 1, "impact": f"{abs(change):.2f}", "effect": _word(change)}
    sizes = {**{name: each * units for name, each in FEES.items()}, "proprietary-index-option-fees": 0.0}
    fees = {key: text for name, size in sizes.items() for key, text in _signed(name, -size).items()}
    return effect | rest, fees | _signed("total-fees", -charged)


def _more(held: float, leg: Row) -> float:
    change = float(leg.get("quantity") or 0) * (1 if str(leg.get("action")).startswith("Buy") else -1)
    return abs(held + change) - abs(held)


def _signed(name: str, size: float) -> Row:
    return {name: f"{abs(size):.2f}", f"{name}-effect": _word(size)}


def _word(size: float) -> str:
    return "None" if not size else "Credit" if size > 0 else "Debit"


def _warnings(tasty: Tasty, number: str, legs: list[Row]) -> list[Row]:
    """The warning about closing what is not held, which a real order would turn into opening."""
    held = tasty.book.positions[number]
    return [
        {"code": "closing_with_no_position", "message": f"You have no position in {leg['symbol']} to close"}
        for leg in legs
        if "Close" in leg.get("action", "") and not float(held.get(leg["symbol"], {}).get("quantity", 0))
    ]


def _order(tasty: Tasty, number: str, told: Row) -> Row:
    legs: list[dict[str, Any]] = told.get("legs") or []
    first = tasty.book.known(legs[0]["symbol"]) if legs else None
    now = stamp(tasty.clock())
    return {
        "account-number": number, "time-in-force": "Day", "order-type": "Limit", "size": "1",
        "underlying-symbol": (first or {}).get("underlying-symbol", (first or {}).get("symbol", "")),
        "underlying-instrument-type": "Equity", "status": "Received", "cancellable": True, "editable": True,
        "edited": False, "updated-at": now, "received-at": now, **told,
    }  # fmt: skip
