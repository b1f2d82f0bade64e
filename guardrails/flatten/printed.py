"""A plan as it is entered by hand at the brokers, and as a file: one line per order, in the order they are sent in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from guardrails import wording
from guardrails.flatten.values import Plan, PlannedClose
from guardrails.instruments import Kind
from guardrails.orders import Leg, Order

COLUMNS = ("step", "what", "account", "action", "quantity", "symbol", "label", "price", "cap", "note")


def title_of(order: Order) -> str:
    """As a person would type it: `BUY 2 × SPXW 18Dec26 5700P to close, limit 8.50`."""
    legs = " + ".join(leg_words(leg, order.quantity) for leg in order.legs)
    together = " as one order" if len(order.legs) > 1 else ""
    return f"{legs} to close{together}, {price_words(order)}"


def leg_words(leg: Leg, packages: int) -> str:
    """`BUY 2 × SPXW 18Dec26 5700P`."""
    return f"{'BUY' if leg.ratio > 0 else 'SELL'} {abs(leg.ratio) * packages:,} × {leg.instrument.label}"


def price_words(order: Order) -> str:
    """`limit 8.50`; of a package with the side: `limit 8.50 debit`."""
    if order.limit is None:
        return "at the market"
    return limit_words(order, order.limit)


def limit_words(order: Order, limit: float) -> str:
    """`limit 8.50` for `limit`; of a package `8.50 debit` is paid for one, `8.50 credit` received."""
    if len(order.legs) > 1:
        return f"limit {_price(order, abs(limit))} {'debit' if limit >= 0 else 'credit'}"
    return f"limit {_price(order, limit if order.legs[0].ratio > 0 else -limit)}"


def _price(order: Order, price: float) -> str:
    digits = 2 if order.legs[0].instrument.kind is not Kind.FUTURE else 4
    text = wording.number(price, digits)
    return text if digits == 2 else text.rstrip("0").rstrip(".")


def as_text(plan: Plan) -> str:
    """The plan to print and to enter by hand."""
    head = (
        f"Flatten plan of {plan.time:%Y-%m-%d %H:%M:%S} UTC. Prices are of then: look at the market before each order."
    )
    return "\n".join([head, *plan.problems, *_lines(plan)]) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    if plan.cancels:
        yield "\nFirst cancel, and wait until each is confirmed:"
    for cancel in plan.cancels:
        where = "" if cancel.cancellable else " (of another program: cancel it there)"
        yield f"  [ ] {cancel.account}: {cancel.words}{where}"
    if plan.closes:
        yield "\nThen enter one after the other; sell a long only when the short it covers is closed:"
    for close in plan.closes:
        worst = "" if close.cap is None else f"; {limit_words(close.order, close.cap)} at worst"
        yield f"  [ ] {close.number}. {close.account}: {close.title}{worst}"
        yield f"        {close.why_here}"
    if plan.left:
        yield "\nNot closed:"
    for one in plan.left:
        yield f"  {one.account}: {wording.quantity(one.quantity)} {one.label}: {one.why}"


def as_csv(plan: Plan) -> str:
    """The same as a table with one row per leg, cancellation and line that is left."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cancel in plan.cancels:
        note = cancel.words if cancel.cancellable else f"{cancel.words} (of another program: cancel it there)"
        writer.writerow(["", "cancel", cancel.account, "CANCEL", "", cancel.reference, "", "", "", safe(note)])
    for close in plan.closes:
        writer.writerows(_legs(close))
    for one in plan.left:
        amount = "" if one.quantity is None else f"{one.quantity:g}"
        writer.writerow(["", "left", one.account, "", amount, "", safe(one.label), "", "", safe(one.why)])
    return out.getvalue()


def _legs(close: PlannedClose) -> Iterator[list[object]]:
    order = close.order
    for leg in order.legs:
        side = "BUY TO CLOSE" if leg.ratio > 0 else "SELL TO CLOSE"
        yield [
            close.number, "close", close.account, side, abs(leg.ratio) * order.quantity, leg.instrument.symbol,
            leg.instrument.label,
            "" if order.limit is None else f"{order.limit:g}", "" if close.cap is None else f"{close.cap:g}",
            safe(close.why_here),
        ]  # fmt: skip


def safe(words: str) -> str:
    """Words that no spreadsheet takes for a formula."""
    return f"'{words}" if words[:1] in ("=", "+", "-", "@", "\t") else words
