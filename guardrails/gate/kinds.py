"""Whether an order is an exit: provable from quantities and contracts alone, without a price, a Greek or a margin.

    each leg trades against a position of its account, and never more than it holds
    working orders that would close the same take their part of it: together nothing may cross zero
    no short option of the account is covered less than before (`guardrails.gate.cover`), whatever rests and fills

A package that is closed as a whole is one exit. Only what is filled counts as filled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from guardrails import wording
from guardrails.gate.cover import Held, lost_cover
from guardrails.gate.ground import Ground
from guardrails.gate.holdings import Holdings, holdings_of
from guardrails.gate.working import Resting, resting
from guardrails.orders import Order, Trade

_SLACK = 1e-9
"""contracts: what rounding may leave"""


@dataclass(frozen=True, slots=True)
class ExitTest:
    """What the test for an exit found."""

    holds: bool
    why: str = ""
    """why it is no exit, in words; empty when it is one"""
    resting: tuple[str, ...] = ()
    """working orders that would close the same; named when they alone make it no exit"""
    fits: int = 0
    """packages that could be closed beside what rests"""
    confirmed: bool = False
    """whether the positions were read from the broker just now"""


def exit_of(order: Order, ground: Ground) -> ExitTest:
    """Whether `order` is an exit."""
    rests = tuple(one for one in resting(ground) if one.account == order.account)
    held = holdings_of(order.account, ground, order, rests)
    if why := _against_nothing(order, held) or _uncovered(order, held, rests):
        return ExitTest(holds=False, why=why, confirmed=held.confirmed)
    fits, closers = _beside(order, held, rests)
    if fits >= order.quantity:
        return ExitTest(holds=True, fits=order.quantity, confirmed=held.confirmed)
    why = "with working orders that close the same it would cross zero"
    return ExitTest(holds=False, why=why, resting=closers, fits=fits, confirmed=held.confirmed)


def _against_nothing(order: Order, held: Holdings) -> str:
    """Which leg does not only shrink a position; empty when every one does."""
    for trade in order.trades:
        label, quantity = trade.instrument.label, held.quantity(trade.instrument.key)
        if quantity is None:
            return f"the quantity held of {label} is not known"
        if quantity * trade.quantity >= 0:
            return f"{label} is not held the other way round"
        if abs(trade.quantity) > abs(quantity) + _SLACK:
            return (
                f"only {wording.quantity(quantity)} of {label} is held, {wording.quantity(trade.quantity)} crosses zero"
            )
    return ""


def _beside(order: Order, held: Holdings, rests: Sequence[Resting]) -> tuple[int, tuple[str, ...]]:
    """Packages that fit beside the working orders that close the same, and those orders in words."""
    fits, closers = float(order.quantity), dict[str, None]()
    for leg in order.legs:
        key, sign = leg.instrument.key, math.copysign(1.0, leg.ratio)
        same = {one.name: max(sign * one.quantity_of(key), 0.0) for one in rests}
        free = abs(held.quantity(key) or 0.0) - sum(max(sign * one.quantity_of(key), 0.0) for one in rests)
        room = math.floor((free + _SLACK) / abs(leg.ratio))
        if room < order.quantity:
            closers |= dict.fromkeys(name for name, closed in same.items() if closed)
        fits = min(fits, room)
    return max(int(fits), 0), tuple(closers)


def _uncovered(order: Order, held: Holdings, rests: Sequence[Resting]) -> str:
    """Which short option loses cover, whichever of the working orders fill; empty when none does.

    Tried are: none of them, each by itself, and all that take cover away or sell options.
    """
    adverse = [
        one for one in rests if any(trade.quantity < 0 or not trade.instrument.is_option for trade in one.trades)
    ]
    worlds: list[Iterable[Resting]] = [(), *((one,) for one in adverse), adverse] if adverse else [()]
    if held.unreadable and any(trade.quantity < 0 or not trade.instrument.is_option for trade in order.trades):
        return f"{held.unreadable[0]} is held short and cannot be read: whether it stays covered is not known"
    return next((words for world in worlds if (words := _lost(order, held, world))), "")


def _lost(order: Order, held: Holdings, filled: Iterable[Resting]) -> str:
    first = _summed(trade for one in filled for trade in one.trades)
    then = _summed(order.trades)
    lines = []
    for key, instrument in held.instruments.items():
        quantity = held.quantity(key)
        before = None if quantity is None else quantity + first.get(key, 0.0)
        after = None if before is None else before + then.get(key, 0.0)
        if before is None or before or after:
            lines.append(Held(instrument, before, after, held.multipliers.get(key)))
    return lost_cover(lines)


def _summed(trades: Iterable[Trade]) -> Mapping[str, float]:
    total: dict[str, float] = {}
    for trade in trades:
        total[trade.instrument.key] = total.get(trade.instrument.key, 0.0) + trade.quantity
    return total
