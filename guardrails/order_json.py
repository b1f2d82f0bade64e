"""Orders as people and programs write them down: JSON in, an Order out, and back.

    {"account": "IBKR •••4567", "order_type": "LIMIT", "limit_price": -8.40, "tif": "DAY", "rationale": "...",
     "legs": [{"symbol": "SPXW  261218P05700000", "side": "SELL", "quantity": 2},
              {"symbol": "SPXW  261218P05600000", "side": "BUY", "quantity": 2}]}

`limit_price` is of one package: positive you pay, negative you receive. Quantities have their greatest common divisor
taken out, which is the number of packages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from math import gcd
from typing import Any

from pydantic import TypeAdapter

from guardrails.errors import OrderError, SymbolError
from guardrails.gate.values import Impact, MarginChange, StressChange
from guardrails.orders import MAX_LEGS, Leg, Order, OrderType, TimeInForce
from guardrails.symbols import parse
from guardrails.values import AccountId, finite

_KEYS = ("account", "order_type", "limit_price", "tif", "legs", "rationale")
_LEG_KEYS = ("symbol", "side", "quantity")
_MOST = 1_000_000
"""of one leg; a slip of the finger, whatever the matrix says"""
_DEAREST = 10_000_000.0
"""limit of one package; nothing listed costs as much"""
_SIDES = {"BUY": 1, "SELL": -1}
_IMPACT: TypeAdapter[Impact] = TypeAdapter(Impact)


def parse_order(text: str | bytes, accounts: Sequence[AccountId], as_of: date) -> tuple[Order, str]:
    """The order and its rationale in a JSON text; OrderError says which part is wrong and what is expected."""
    try:
        told = json.loads(text, object_pairs_hook=each_once)
    except (ValueError, RecursionError):
        raise OrderError("the order is not JSON; write an object as docs/orders.md shows.") from None
    if not isinstance(told, dict):
        raise OrderError("the order is not a JSON object; write one as docs/orders.md shows.")
    return read_order(told, accounts, as_of)


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError where it names something twice, as nobody can say which is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object.")
    return found


def read_order(told: Mapping[str, Any], accounts: Sequence[AccountId], as_of: date) -> tuple[Order, str]:
    """The order and its rationale in a JSON object; OrderError as `parse_order`. `as_of` is the exchange date."""
    if unknown := [str(key)[:40] for key in told if key not in _KEYS]:
        raise OrderError(f"{', '.join(unknown)}: no such key; an order has {', '.join(_KEYS)}.")
    rationale = told.get("rationale", "")
    if not isinstance(rationale, str):
        raise OrderError("rationale is not a text.")
    kind = _one_of("order_type", told.get("order_type", OrderType.LIMIT), OrderType)
    limit = _limit(told.get("limit_price"), kind)
    quantity, legs = _legs(told.get("legs"), as_of)
    order = Order(
        account=account_named(told.get("account"), accounts),
        legs=legs,
        quantity=quantity,
        limit=limit,
        time_in_force=TimeInForce(_one_of("tif", told.get("tif", TimeInForce.DAY), TimeInForce)),
        at_close=kind == OrderType.MOC,
    )
    return order, rationale


def account_named(told: object, accounts: Sequence[AccountId]) -> AccountId:
    """The account that is meant by its full number or a masked form; OrderError unless it is exactly one."""
    known = ", ".join(str(one) for one in accounts) or "none yet"
    if not isinstance(told, str) or not told.strip():
        raise OrderError(f"account is missing; known are {known}.")
    name = told.strip()
    if exact := [one for one in accounts if one.number == name]:
        return exact[0]
    # beside our own mask people type dots, stars or nothing before the last four
    words = name.replace("*", "•").replace(".", "•").replace("…", "•")
    found = [
        one for one in accounts
        if words in (str(one), one.masked, f"{one.broker} •{one.number[-4:]}") or name == one.number[-4:]
    ]  # fmt: skip
    if len(found) == 1:
        return found[0]
    if found:
        raise OrderError("that masked account fits more than one; give its full number.")
    raise OrderError(f"no such account; known are {known}.")


def _one_of(key: str, told: object, values: type[OrderType] | type[TimeInForce]) -> str:
    names = [value.value for value in values]
    if not isinstance(told, str) or told not in names:
        raise OrderError(f"{key} is {str(told)[:20]!r}; write one of {', '.join(names)}.")
    return told


def _limit(told: object, kind: str) -> float | None:
    if kind != OrderType.LIMIT:
        if told is not None:
            raise OrderError(f"a {kind} order has no limit_price; leave it out.")
        return None
    price = None if isinstance(told, str) else finite(told)
    if price is None:
        raise OrderError("limit_price is missing or no number: positive you pay, negative you receive, per package.")
    if abs(price) > _DEAREST:
        raise OrderError(f"limit_price is {price:g}, at most {_DEAREST:,.0f} is taken.")
    return price


def _legs(told: object, as_of: date) -> tuple[int, tuple[Leg, ...]]:
    """Packages, and the legs of one."""
    if not isinstance(told, Sequence) or isinstance(told, str) or not 1 <= len(told) <= MAX_LEGS:
        raise OrderError(f"legs must be a list of 1 to {MAX_LEGS} legs.")
    read = [_leg(leg, number, as_of) for number, leg in enumerate(told, 1)]
    packages = gcd(*(leg.ratio for leg in read))
    return packages, tuple(replace(leg, ratio=leg.ratio // packages) for leg in read)


def _leg(told: object, number: int, as_of: date) -> Leg:
    where = f"leg {number}"
    if not isinstance(told, Mapping):
        raise OrderError(f"{where} is not an object with {', '.join(_LEG_KEYS)}.")
    if unknown := [str(key)[:40] for key in told if key not in _LEG_KEYS]:
        raise OrderError(f"{where}: {', '.join(unknown)}: no such key; a leg has {', '.join(_LEG_KEYS)}.")
    side, quantity, symbol = told.get("side"), told.get("quantity"), told.get("symbol")
    if not isinstance(side, str) or side not in _SIDES:
        raise OrderError(f"{where}: side is {str(side)[:20]!r}; write BUY or SELL.")
    size = None if isinstance(quantity, str) else finite(quantity)
    if size is None or not size.is_integer() or not 1 <= size <= _MOST:
        raise OrderError(f"{where}: quantity is {str(quantity)[:20]!r}; write a whole number of at least 1.")
    if not isinstance(symbol, str) or not symbol.strip():
        raise OrderError(f"{where}: symbol is missing.")
    try:
        instrument = parse(symbol, as_of)
    except SymbolError as error:
        raise OrderError(f"{where}: {error}") from None
    return Leg(instrument, _SIDES[side] * int(size))


def order_document(order: Order, rationale: str = "") -> dict[str, Any]:
    """`order` as it may be written down: its account masked."""
    told: dict[str, Any] = {
        "account": str(order.account),
        "order_type": order.type.value,
        "tif": order.time_in_force.value,
        "legs": [
            {
                "symbol": leg.instrument.symbol,
                "side": "BUY" if leg.ratio > 0 else "SELL",
                "quantity": abs(leg.ratio) * order.quantity,
            }
            for leg in order.legs
        ],
        "rationale": rationale,
    }
    if order.limit is not None:
        told["limit_price"] = order.limit
    return told


def impact_json(impact: Impact) -> str:
    """All of `impact`, for the pages; its account without a number."""
    hidden = replace(impact, order=replace(impact.order, account=impact.order.account.hidden))
    return _IMPACT.dump_json(hidden).decode()


def impact_of(text: str) -> Impact:
    """What `impact_json` wrote; ValueError when it is something else."""
    return _IMPACT.validate_json(text)


def impact_document(impact: Impact) -> dict[str, Any]:
    """The answer of `POST /api/simulate` and of `guardrails simulate --json`: a stable surface."""
    approval = impact.approval
    return {
        "verdict": impact.verdict.value,
        "kind": impact.kind.value,
        "reasons": [
            {"code": one.code, "check": one.check, "subject": one.subject, "message": one.message}
            for one in impact.reasons
        ],
        "max_quantity": impact.max_quantity,
        "findings": [
            {
                "check": one.check,
                "subject": one.subject,
                "level_before": one.level_before.value,
                "level_after": one.level_after.value,
                "value_before": one.value_before,
                "value_after": one.value_after,
                "limit": one.limit,
                "unit": one.unit,
            }
            for one in impact.findings
        ],
        "margin": _margin(impact.margin),
        "stress": _stress(impact.stress),
        "approval": None if approval is None else {
            "token": approval.token, "expires_at": approval.expires_at.isoformat(),
        },
        "title": impact.title,
        "as_of": impact.time.isoformat(),
        "matrix_version": impact.matrix_version,
    }  # fmt: skip


def _margin(margin: MarginChange) -> dict[str, Any]:
    return {
        "source": margin.source,
        "initial_before": margin.initial_before,
        "initial_after": margin.initial_after,
        "maintenance_before": margin.maintenance_before,
        "maintenance_after": margin.maintenance_after,
        "unknown": margin.unknown,
    }


def _stress(stress: StressChange) -> dict[str, Any]:
    return {"worst_before": stress.worst_before, "worst_after": stress.worst_after}
