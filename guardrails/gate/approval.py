"""What an approval rests on, and whether it still does: positions, matrix, regime, safety state and price.

A tick does not void it; what would have changed the verdict does. That it also ends after half a minute is the business
of whoever keeps it. Everything is judged again when the order is sent, so this only tells a person why to look again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from guardrails import wording
from guardrails.gate.ground import Ground
from guardrails.gate.package_price import TICKS, price_of
from guardrails.gate.values import Impact
from guardrails.instruments import Kind
from guardrails.orders import Order
from guardrails.safety import SafetyState
from guardrails.values import finite

TOLERANCE = 0.02
"""fraction of the mid, five ticks at least, by which a package may move"""
_CASH = f"{Kind.CASH.value}:"


@dataclass(frozen=True, slots=True)
class Basis:
    """What was so when the order was approved."""

    order: Order
    matrix_version: str
    regime: str
    overlay: bool | None
    safety: SafetyState
    positions: Mapping[str, float | None]
    """of the order's account, by `Instrument.key`; None is not known"""
    mid: float | None
    """of one package"""
    tick: float


def basis_of(order: Order, ground: Ground, impact: Impact) -> Basis:
    """What the approval of `order` by `impact`, made on `ground`, rests on."""
    return Basis(
        order=order,
        matrix_version=impact.matrix_version,
        regime=ground.limits.regime,
        overlay=ground.limits.overlay,
        safety=ground.safety.state,
        positions=_positions(order, ground),
        mid=impact.mid,
        tick=price_of(order, ground.portfolio).tick,
    )


def moved(basis: Basis, ground: Ground) -> str:
    """Why the approval no longer holds, in words; empty while it does."""
    limits = ground.limits
    if limits.matrix.version != basis.matrix_version:
        return "the risk matrix was changed"
    if limits.regime != basis.regime:
        return f"the regime changed from {wording.plain(basis.regime)} to {wording.plain(limits.regime)}"
    if limits.overlay is not basis.overlay and limits.overlay is not False:
        return "the term structure now blocks new short vega"
    if ground.safety.state.rank > basis.safety.rank:
        return f"the safety state is now {ground.safety.state}"
    return _other_positions(basis, ground) or _other_price(basis, ground)


def _other_positions(basis: Basis, ground: Ground) -> str:
    now = _positions(basis.order, ground)
    for key in sorted({*basis.positions, *now}):
        before, after = basis.positions.get(key, 0.0), now.get(key, 0.0)
        if not _same(before, after):
            name = key.partition(":")[2]
            return f"the position in {name} changed from {wording.quantity(before)} to {wording.quantity(after)}"
    return ""


def _same(before: float | None, after: float | None) -> bool:
    """Fractions of shares come with what binary digits make of them."""
    first, second = finite(before), finite(after)
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-9)


def _other_price(basis: Basis, ground: Ground) -> str:
    mid = price_of(basis.order, ground.portfolio).mid
    if basis.mid is None:
        return ""  # it was approved without one, as an exit may be
    if mid is None:
        return "the package is no longer quoted"
    most = max(TOLERANCE * abs(basis.mid), TICKS * basis.tick)
    if abs(mid - basis.mid) > most + 1e-9:
        return f"the package moved from {basis.mid:.2f} to {mid:.2f}, at most {most:.2f}"
    return ""


def _positions(order: Order, ground: Ground) -> Mapping[str, float | None]:
    """Quantities of the order's account, confirmed where they are; cash, and what is flat, left out."""
    told = ground.confirmed.get(order.account)
    if told is not None:
        return {key: quantity for key, quantity in told.items() if quantity and not key.startswith(_CASH)}
    held: dict[str, float | None] = {}
    for position in ground.portfolio.positions:
        key, quantity = position.instrument.key, position.quantity
        if position.account == order.account and position.instrument.kind is not Kind.CASH:
            so_far = held.get(key, 0.0)
            held[key] = None if quantity is None or so_far is None else so_far + quantity
    return {key: quantity for key, quantity in held.items() if quantity != 0}
