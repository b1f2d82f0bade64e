"""Orders whose price was changed: tastytrade puts a new record in place of the old one. Here they are one order, under
one key, whose fills are those of all its records (tastytrade facts 5); pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from adapters.tastytrade.fills import SENDER, Told
from guardrails.orders import BrokerOrder, Fill, OrderState


def joined(parts: Iterable[Told]) -> tuple[list[BrokerOrder], list[Fill]]:
    """The orders and fills of all records of one account, those that replace one another as one order."""
    orders: list[BrokerOrder] = []
    fills: list[Fill] = []
    for chain in chains(parts):
        key = next((part.order.key for part in chain if part.order.key), "")
        sender = "" if key else SENDER
        orders.append(replace(_one(chain), key=key, sender=sender))
        fills += [replace(fill, key=key) for part in chain for fill in part.fills]
    return orders, fills


def chains(parts: Iterable[Told]) -> list[list[Told]]:
    """Records in groups of which each replaces the one before it."""
    by_reference = {part.order.reference: part for part in parts}
    after = {part.replaced_by: part.order.reference for part in by_reference.values() if part.replaced_by}
    before = {
        part.order.reference: part.replaces or after.get(part.order.reference, "") for part in by_reference.values()
    }
    later = {old: new for new, old in before.items() if old in by_reference and old != new}
    found, seen = [], set()
    for reference in by_reference:
        if before[reference] in by_reference and before[reference] != reference:
            continue
        chain: list[Told] = []
        here: str | None = reference
        while here is not None and here not in seen:
            seen.add(here)
            chain.append(by_reference[here])
            here = later.get(here)
        found.append(chain)
    circular = [[by_reference[reference]] for reference in by_reference if reference not in seen]
    return found + circular


def _one(chain: Sequence[Told]) -> BrokerOrder:
    """The order a chain of records stands for: the first of them that is not over, for only that can be filled now.

    When all are over: the filled one, else the last that was not rejected: a rejected replacement changed nothing.
    """
    last = chain[-1]
    missing = last.replaced_by and last.order.state is OrderState.CANCELLED
    if missing:  # it lives on under another number that has not been told of yet
        waits = replace(last.order, state=OrderState.UNKNOWN, words="replaced by an order that is not listed yet")
        return _summed(waits, chain)
    alive = [part.order for part in chain if not part.order.state.is_over]
    ended = [part.order for part in chain if part.order.state is OrderState.FILLED]
    rest = [part.order for part in reversed(chain) if part.order.state is not OrderState.REJECTED]
    order = (*alive, *ended, *rest, last.order)[0]
    if order is not last.order and last.order.words and last.order.state.is_over:
        order = replace(order, words=f"the new price was not taken: {last.order.words}")
    return _summed(order, chain)


def _summed(order: BrokerOrder, chain: Sequence[Told]) -> BrokerOrder:
    """`order` with what the other records of its chain filled before."""
    others = sum(part.order.filled for part in chain if part.order.reference != order.reference)
    if not others:
        return order
    state = OrderState.PARTIAL if order.state is OrderState.WORKING else order.state
    return replace(order, quantity=order.quantity + others, filled=order.filled + others, state=state)
