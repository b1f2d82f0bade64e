"""An Order as tastytrade takes it: price beside its effect, and for each leg whether it opens or closes.

A leg that only shrinks what is held closes, every other one opens; one that would do both is refused, because the API
has no action for it. An order that closes anything carries the strict validation, without which tastytrade would turn
a close of what is no longer held into an opening (tastytrade facts 5). Futures are bought and sold, without either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from math import isnan, nan
from typing import Any

from adapters.tastytrade.api import Record
from adapters.tastytrade.contracts import described
from adapters.tastytrade.rows import quantity
from guardrails import calendar
from guardrails.errors import NotSentError, SymbolError
from guardrails.instruments import Instrument, Kind
from guardrails.orders import Order, OrderType, TimeInForce
from guardrails.symbols import tastytrade as symbols

SENDER = "portfolio-guardrails"
"""what an order says of where it comes from"""
TYPES: Mapping[Kind, str] = {
    Kind.EQUITY: "Equity",
    Kind.OPTION: "Equity Option",
    Kind.INDEX_OPTION: "Equity Option",
    Kind.FUTURE: "Future",
    Kind.FUTURE_OPTION: "Future Option",
}
"""instrument type of what orders are sent for"""
TIMES: Mapping[TimeInForce, str] = {TimeInForce.DAY: "Day", TimeInForce.GTC: "GTC"}
STRICT = {"strict-position-effect-validation": True}


@dataclass(frozen=True, slots=True)
class Held:
    """What one account holds, as it was read at one moment."""

    quantities: Mapping[str, float] = field(default_factory=dict)
    """signed, by `Instrument.key`; NaN where a position is listed whose size cannot be read"""
    symbols: Mapping[str, str] = field(default_factory=dict)
    """as tastytrade spells it in its positions, by key"""


def held_of(records: Sequence[Record], now: datetime) -> Held:
    """What the position records of one account come to."""
    today = calendar.exchange_date(now)
    quantities: dict[str, float] = {}
    names: dict[str, str] = {}
    for record in records:
        symbol, size = str(record.get("symbol") or ""), quantity(record)
        key = _key(symbol, str(record.get("instrument-type") or ""), today)
        doubtful = size is None or key in quantities  # listed twice it may be counted twice
        quantities[key] = nan if doubtful or size is None else size
        names[key] = symbol
    return Held({key: size for key, size in quantities.items() if size != 0}, names)


@lru_cache(maxsize=8192)  # some hundred symbols, read again before every order
def _key(symbol: str, kind: str, today: date) -> str:
    instrument, _ = described({"symbol": symbol, "instrument-type": kind}, today)
    return instrument.key


def document(order: Order, key: str, held: Held) -> dict[str, Any]:
    """The order as JSON; NotSentError when tastytrade has no such order, or a leg would both close and open."""
    if order.type is OrderType.MOC:
        raise NotSentError("tastytrade has no orders at the close: name a limit, or send it at the market.")
    if len(order.legs) > 1 and any(leg.instrument.kind is Kind.EQUITY for leg in order.legs):
        raise NotSentError("tastytrade takes shares only in an order of their own: send them apart from the options.")
    legs = [_leg(leg.instrument, leg.ratio * order.quantity, held) for leg in order.legs]
    closes = any(leg["action"].endswith("Close") for leg in legs)
    return {
        **priced(order.limit),
        "time-in-force": TIMES[order.time_in_force],
        "legs": legs,
        "source": SENDER,
        **({"external-identifier": key} if key else {}),
        **({"advanced-instructions": STRICT} if closes else {}),
    }


def replacement(key: str, limit: float, time_in_force: str, *, closes: bool) -> dict[str, Any]:
    """The JSON that gives a working order another limit; its legs are not named anew."""
    return {
        **priced(limit),
        "time-in-force": time_in_force,
        "source": SENDER,
        **({"external-identifier": key} if key else {}),
        **({"advanced-instructions": STRICT} if closes else {}),
    }


def priced(limit: float | None) -> dict[str, str]:
    """Type and price: what we pay is a debit. A price of zero has no effect."""
    if limit is None:
        return {"order-type": "Market"}
    price = Decimal(str(limit))
    effect = {} if not price else {"price-effect": "Debit" if price > 0 else "Credit"}
    return {"order-type": "Limit", "price": format(abs(price), "f"), **effect}


def action(instrument: Instrument, change: float, held: Held) -> str:
    """What a leg that trades `change` is called over what is held; NotSentError when it has no one name."""
    side = "Buy" if change > 0 else "Sell"
    if instrument.kind is Kind.FUTURE:
        return side
    have = held.quantities.get(instrument.key, 0.0)
    if isnan(have):
        raise NotSentError(f"{instrument.label}: how many are held cannot be read, so neither to open nor to close.")
    if have * change >= 0:
        return f"{side} to Open"
    if abs(change) > abs(have):
        raise NotSentError(
            f"{instrument.label}: {change:+g} would turn the {have:+g} that are held into {have + change:+g}; "
            "tastytrade takes closing and opening only in two orders."
        )
    return f"{side} to Close"


def _leg(instrument: Instrument, change: int, held: Held) -> dict[str, Any]:
    if instrument.kind not in TYPES:
        raise NotSentError(f"{instrument.label}: this program sends no orders for a {instrument.kind.value}.")
    try:
        symbol = held.symbols.get(instrument.key) or symbols.format(instrument)
    except SymbolError as error:
        raise NotSentError(str(error)) from None
    return {
        "instrument-type": TYPES[instrument.kind],
        "symbol": symbol,
        "action": action(instrument, change, held),
        "quantity": abs(change),
    }
