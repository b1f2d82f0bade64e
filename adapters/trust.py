"""Whether a broker's row can be believed: what every row goes through before it becomes a Position, whoever sent it.

A figure that cannot be true is taken out and named in `reasons`, which makes the row UNKNOWN; a figure that is merely
remarkable is kept and named in `notes`. Nothing is repaired by guessing: a multiplier is never assumed to be 100.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date

from guardrails.instruments import Instrument, Kind
from guardrails.products import FUTURES, FutureSpec, product_root
from guardrails.values import Position

ONE_BY_DEFINITION = (Kind.EQUITY, Kind.CRYPTO, Kind.CASH)
NO_CURRENCY = "XXX"
"""ISO 4217 for none: what stands where a record names no currency, so that nothing converts from it"""
_VALUE_TOLERANCE = 0.02
"""a broker's value and quantity × multiplier × price may differ by their rounding, not by more than this share"""
_PRICE_ROUNDING = 0.01
"""brokers print prices to a cent or finer, values to a dollar or finer"""


@dataclass(frozen=True, slots=True)
class Multiplier:
    """What one contract is worth per 1.00 of price: the value, where it comes from, and what is wrong or remarkable."""

    value: float | None
    source: str = "record"
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def multiplier(instrument: Instrument, stated: float | None) -> Multiplier:
    """The multiplier of the record, 1 for shares, coins and cash, else of the futures table; else None and a reason."""
    if stated is not None and not (math.isfinite(stated) and stated > 0):
        return Multiplier(None, "", (f"multiplier {stated:g} is not above zero",))
    if instrument.kind in ONE_BY_DEFINITION:
        if stated not in (None, 1.0):
            return Multiplier(None, "", (f"multiplier {stated:g} contradicts {instrument.kind.value}, which has 1",))
        return Multiplier(1.0)
    if stated is not None:
        return Multiplier(stated)
    spec = future_spec(instrument)
    if spec is None:
        return Multiplier(None, "", ("no multiplier in the record and none may be assumed",))
    if spec.quoted_in_cents:
        return Multiplier(None, "", (f"no multiplier in the record and {spec.root} may be in cents or in dollars",))
    return Multiplier(spec.multiplier, "table", (), (f"multiplier {spec.multiplier:g} from the table of {spec.root}",))


def per_face(value: float | None, quantity: float | None, price: float | None) -> Multiplier:
    """Multiplier of a bond or bill, per unit of face value: the row's own value says it (0.01 for a price per 100)."""
    if value is None or not (quantity or 0.0) * (price or 0.0):
        return Multiplier(None, "", ("no value that says what its price is per",))
    return Multiplier(abs(value / ((quantity or 0.0) * (price or 0.0))))


def future_spec(instrument: Instrument) -> FutureSpec | None:
    """The product facts of a future, or of the future an option is struck on; None for everything else."""
    if instrument.kind not in (Kind.FUTURE, Kind.FUTURE_OPTION):
        return None
    return FUTURES.get(product_root(instrument.underlying or instrument.symbol))


def vetted(position: Position, today: date) -> Position:
    """`position` with what cannot be true taken out and named; `today` is the exchange date expiry is judged by."""
    return _expired(_priced(_counted(position)), today)


def _counted(position: Position) -> Position:
    if position.quantity is None and not any("quantity" in reason for reason in position.reasons):
        return _doubted(position, "no quantity")
    if position.instrument.kind is Kind.OTHER and not position.reasons:
        return _doubted(position, f"{position.instrument.symbol or 'this row'} is of no kind that has a risk model")
    return position


def _priced(position: Position) -> Position:
    """Prices below zero are impossible but for futures, which have traded there (CL on 2020-04-20 at -37.63)."""
    held = position
    for name in ("mark", "bid", "ask", "average_price"):
        value: float | None = getattr(position, name)
        if value is None or value >= 0:
            continue
        if position.instrument.kind is Kind.FUTURE:
            held = noted(held, f"{_words(name)} {value:g} is below zero")
        else:
            held = _doubted(held, f"{_words(name)} {value:g} is below zero")
            held = replace(
                held,
                mark=None if name == "mark" else held.mark,
                bid=None if name == "bid" else held.bid,
                ask=None if name == "ask" else held.ask,
                average_price=None if name == "average_price" else held.average_price,
            )
    if held.bid is not None and held.ask is not None and held.bid > held.ask:
        held = replace(_doubted(held, f"bid {held.bid:g} is above ask {held.ask:g}"), bid=None, ask=None)
    return held


def _words(name: str) -> str:
    return name.replace("_", " ")


def _expired(position: Position, today: date) -> Position:
    expiry = position.instrument.expiry
    return _doubted(position, f"expired on {expiry}") if expiry is not None and expiry < today else position


def contradicted(position: Position, value: float | None) -> Position:
    """`position` with a reason when the broker's own `value` is not quantity × multiplier × mark.

    Futures are left alone: brokers print their notional, their open profit or zero under the same heading.
    """
    figures = (position.quantity, position.multiplier, position.mark)
    if value is None or None in figures or position.instrument.kind in (Kind.FUTURE, Kind.OTHER):
        return position
    quantity, factor, mark = (figure or 0.0 for figure in figures)
    expected = quantity * factor * mark
    rounding = 1.0 + abs(quantity * factor) * _PRICE_ROUNDING / 2
    if abs(value - expected) <= max(_VALUE_TOLERANCE * abs(expected), rounding):
        return position
    return _doubted(position, f"value {value:g} contradicts {quantity:g} × {factor:g} × {mark:g} = {expected:g}")


def _doubted(position: Position, reason: str) -> Position:
    return replace(position, reasons=(*position.reasons, reason))


def noted(position: Position, note: str) -> Position:
    """`position` with one more note."""
    return replace(position, notes=(*position.notes, note))
