"""Orders from what is held: close, flip and roll a package. Pure: rows in, a Ticket or a sentence out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from math import gcd

from guardrails.instruments import Kind, Right
from guardrails.orders import MAX_LEGS, ChainExpiry, Order
from guardrails.snapshot.book import PositionRow
from guardrails.symbols import parse
from pages._ticket import BUY, MOST, SELL, Ticket, TicketLeg

_TRADED = {Kind.EQUITY, Kind.OPTION, Kind.INDEX_OPTION, Kind.FUTURE, Kind.FUTURE_OPTION}
_ROLLED = MAX_LEGS // 2
"""legs that can be closed and opened in one package"""


@dataclass(frozen=True, slots=True)
class Roll:
    """What is to be opened again on another expiry."""

    underlying: str
    expiry: date
    """that is closed"""
    root: str
    legs: tuple[tuple[str, int, Decimal, Right], ...]
    """(side, quantity of one package, strike, right) of what is opened"""


def closing(rows: Sequence[PositionRow]) -> Ticket | str:
    """The order that closes `rows`, without a limit; or why one order cannot."""
    if problem := _cannot(rows):
        return problem
    sizes = [abs(_whole(row)) for row in rows]
    packages = gcd(*sizes)
    legs = tuple(
        TicketLeg(SELL if _whole(row) > 0 else BUY, size // packages, row.symbol)
        for row, size in zip(rows, sizes, strict=True)
    )
    return Ticket(f"{rows[0].broker} {rows[0].account}", legs, packages)


def ticket_of(order: Order) -> Ticket:
    """`order` as the fields of the ticket hold it."""
    legs = tuple(TicketLeg(BUY if leg.ratio > 0 else SELL, abs(leg.ratio), leg.instrument.symbol) for leg in order.legs)
    tif = order.time_in_force.value
    return Ticket(str(order.account), legs, order.quantity, order.type.value, order.limit, tif)


def flipping(rows: Sequence[PositionRow]) -> Ticket | str:
    """The order after which as much is held the other way round; it crosses zero, so it is judged as new risk."""
    found = closing(rows)
    if isinstance(found, str):
        return found
    packages = 2 * found.packages
    return f"That is more than {MOST:,} packages." if packages > MOST else replace(found, packages=packages)


def rolling(rows: Sequence[PositionRow], as_of: date) -> tuple[Ticket, Roll] | str:
    """The closing half of a roll, and what is to be opened once its expiry is chosen; or why it cannot be rolled."""
    found = closing(rows)
    if isinstance(found, str):
        return found
    held = [parse(row.symbol, as_of) for row in rows]
    if any(not one.is_option for one in held) or len({(one.underlying, one.expiry) for one in held}) > 1:
        return "Only options of one underlying and one expiry can be rolled together."
    if len(rows) > _ROLLED:
        return f"A roll closes and opens each leg, and a package has at most {MAX_LEGS}: roll {_ROLLED} legs at a time."
    legs = tuple(
        (SELL if leg.side == BUY else BUY, leg.quantity, one.strike, one.right)
        for leg, one in zip(found.legs, held, strict=True)
        if one.strike is not None and one.right is not None
    )
    first = held[0]
    if first.expiry is None:
        return "It does not expire."
    return found, Roll(first.underlying, first.expiry, first.root, legs)


def expiry_after(roll: Roll, listed: Sequence[ChainExpiry]) -> ChainExpiry | None:
    """The next expiry after the one that is closed, of the same root where it has one; None when there is none."""
    later = sorted((one for one in listed if one.expiry > roll.expiry), key=lambda one: (one.expiry, one.root))
    return next((one for one in later if one.root == roll.root), later[0] if later else None)


def _cannot(rows: Sequence[PositionRow]) -> str:
    if not rows:
        return "Select a package first."
    if len({(row.broker, row.account) for row in rows}) > 1:
        return "An order belongs to one account: select packages of one account."
    if len(rows) > MAX_LEGS:
        return f"A package has at most {MAX_LEGS} legs, {len(rows)} are selected."
    if unread := [row.label for row in rows if row.kind not in _TRADED]:
        return f"{unread[0]} cannot be traded here."
    if unread := [row.label for row in rows if row.quantity is None or row.quantity % 1 or not row.quantity]:
        return f"The quantity of {unread[0]} is not known as a whole number."
    if large := [row.label for row in rows if abs(_whole(row)) > MOST]:
        return f"{large[0]}: more than {MOST:,} at once is too many for the ticket; type a part of it."
    if len({row.symbol for row in rows}) < len(rows):
        return "One instrument stands in two rows: close them one after the other."
    return ""


def _whole(row: PositionRow) -> int:
    return int(row.quantity or 0)
