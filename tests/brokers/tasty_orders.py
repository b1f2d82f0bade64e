"""Orders: dry runs are answered and counted; a real one is refused and written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.brokers.tasty_accounts import balance, owner, stamp
from tests.brokers.tasty_book import Row
from tests.brokers.tasty_lists import listed
from tests.brokers.tasty_wire import Answer, Refused, Request, data

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

PER_CONTRACT = 250.0
"""dollars of buying power each contract or share of a dry run takes"""
FEE = 1.13
"""dollars each contract of a dry run costs: 1.00 commission, 0.10 clearing, 0.03 regulatory"""


def live(tasty: Tasty, request: Request, number: str) -> Answer:
    """Today's orders of the account."""
    rows = [_order(tasty, number, row) for row in owner(tasty, number).get("orders_live", [])]
    return listed(tasty, request, "orders_live", rows)


def dry_run(tasty: Tasty, request: Request, number: str) -> Answer:
    """Buying power effect, fees and warnings of an order that stays undone."""
    owner(tasty, number)
    told = request.json()
    legs = told.get("legs") or []
    if not legs:
        raise Refused(422, "validation_error", "legs is missing")
    unknown = [leg.get("symbol") for leg in legs if leg.get("symbol") not in tasty.book.instruments]
    if unknown:
        raise Refused(422, "instrument_validation_failed", f"Instruments not found: {unknown}")
    tasty.dry_runs.append(told)
    units = sum(float(leg.get("quantity") or 0) for leg in legs)
    cost, fees = PER_CONTRACT * units, FEE * units
    had = float(balance(tasty, number)["derivative-buying-power"])
    effect = {
        "change-in-margin-requirement": f"{cost:.2f}", "change-in-margin-requirement-effect": "Debit",
        "change-in-buying-power": f"{cost + fees:.2f}", "change-in-buying-power-effect": "Debit",
        "current-buying-power": f"{had:.2f}", "current-buying-power-effect": "Credit",
        "new-buying-power": f"{abs(had - cost - fees):.2f}",
        "new-buying-power-effect": "Credit" if had >= cost + fees else "Debit",
        "isolated-order-margin-requirement": f"{cost:.2f}", "isolated-order-margin-requirement-effect": "Debit",
        "is-spread": len(legs) > 1, "impact": f"{cost + fees:.2f}", "effect": "Debit",
    }  # fmt: skip
    charged = {"commission": 1.0, "clearing-fees": 0.1, "regulatory-fees": 0.03, "proprietary-index-option-fees": 0.0}
    fee_rows: Row = {f"{key}": f"{each * units:.2f}" for key, each in charged.items()} | {"total-fees": f"{fees:.2f}"}
    fee_rows |= {f"{key}-effect": "Debit" if float(size) else "None" for key, size in dict(fee_rows).items()}
    answer = {
        "buying-power-effect": effect, "fee-calculation": fee_rows, "order": _order(tasty, number, told),
        "warnings": _warnings(tasty, number, legs),
    }  # fmt: skip
    return data(answer, context=request.path)


def _warnings(tasty: Tasty, number: str, legs: list[Row]) -> list[Row]:
    """The warning about closing what is not held, which a real order would turn into opening."""
    held = tasty.book.positions[number]
    return [
        {"code": "closing_with_no_position", "message": f"You have no position in {leg['symbol']} to close"}
        for leg in legs if "Close" in leg.get("action", "") and leg["symbol"] not in held
    ]  # fmt: skip


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


def refuse(tasty: Tasty, request: Request, *_: str) -> Answer:
    """403 for everything that would trade; written down in `Tasty.orders`, which must stay empty."""
    tasty.orders.append({"method": request.method, "path": request.path, "body": request.json()})
    raise Refused(403, "not_permitted", "This stand-in never trades")
