"""Whether an order is an exit: provable from quantities and contracts alone, without a price, a Greek or a margin.

    each leg trades against a position of its account, and never more than it holds
    working orders that would close the same take their part of it: together nothing may cross zero
    no short option of the account is covered less than before (`guardrails.gate.cover`), whatever rests and fills

A package that is closed as a whole is one exit. Only what is filled counts as filled.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from guardrails import wording
from guardrails.gate.cover import Cover, Holding
from guardrails.gate.ground import Ground
from guardrails.gate.holdings import Holdings, holdings_of
from guardrails.gate.working import NOT_SENT, Resting, resting
from guardrails.orders import Order, Trade

log = logging.getLogger(__name__)

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
    """Whether `order` is an exit; never raises.

    What cannot be proven is none. Buying back what is short takes no cover away, so it needs no proof of that.
    """
    try:
        return _exit_of(order, ground)
    except Exception as error:  # whatever the book holds: what is no part of the order must not keep it from being one
        log.exception("whether an order is an exit cannot be computed")
        return _bought_back(order, ground) or ExitTest(
            holds=False, why=f"whether it is an exit cannot be computed ({type(error).__name__}); see the log"
        )


def _bought_back(order: Order, ground: Ground) -> ExitTest | None:
    """Whether only short options are bought back, by quantities alone; None when they are not, or do not say."""
    account, told = order.account, ground.confirmed.get(order.account)
    ours = [one for one in ground.sent if one.state not in NOT_SENT]
    for trade in order.trades:
        key = trade.instrument.key
        rows = [
            one.quantity for one in ground.portfolio.positions if one.account == account and one.instrument.key == key
        ]
        held = [told.get(key, 0.0)] if told is not None else rows
        rests = [
            *(leg.ratio * one.remaining for one in ground.working for leg in one.legs if leg.instrument.key == key),
            *(leg.ratio * one.remaining for one in ours for leg in one.order.legs if leg.instrument.key == key),
        ]
        short = -sum(quantity for quantity in held if quantity is not None) - sum(max(each, 0.0) for each in rests)
        if None in held or not trade.instrument.is_option or not 0.0 < trade.quantity <= short + _SLACK:
            return None
    return ExitTest(holds=True, fits=order.quantity, confirmed=told is not None)


def _exit_of(order: Order, ground: Ground) -> ExitTest:
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
        if quantity is None or not math.isfinite(quantity):
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
        room = math.floor((free + _SLACK) / abs(leg.ratio)) if math.isfinite(free) else 0
        if room < order.quantity:
            closers |= dict.fromkeys(name for name, closed in same.items() if closed)
        fits = min(fits, room)
    return max(int(fits), 0), tuple(closers)


def uncovers(order: Order, ground: Ground) -> str:
    """Which short option `order` leaves less covered, one that it sells among them; empty when none is."""
    rests = tuple(one for one in resting(ground) if one.account == order.account)
    return _uncovered(order, holdings_of(order.account, ground, order, rests), rests)


def _uncovered(order: Order, held: Holdings, rests: Sequence[Resting]) -> str:
    """Which short option loses cover, whichever of the working orders fill; empty when none does."""
    if held.unreadable and any(trade.quantity < 0 or not trade.instrument.is_option for trade in order.trades):
        return f"{held.unreadable[0]} is held short and cannot be read: whether it stays covered is not known"
    changes, fills = _summed(order.trades), [_summed(one.trades) for one in rests]
    traded = {*changes, *(key for fill in fills for key in fill)}
    return Cover(
        Holding(order.account, instrument, held.quantity(key), held.multipliers.get(key))
        for key, instrument in held.instruments.items()
        if held.quantity(key) != 0.0 or key in traded
    ).lost(changes, fills)


def _summed(trades: Iterable[Trade]) -> Mapping[str, float]:
    total: dict[str, float] = {}
    for trade in trades:
        total[trade.instrument.key] = total.get(trade.instrument.key, 0.0) + trade.quantity
    return total
