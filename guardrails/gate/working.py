"""Orders that rest somewhere: whoever sent them, also ours of which the broker has not said anything yet.

What is filled of them is in the positions; what remains may be filled at any moment, or never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guardrails import wording
from guardrails.gate.ground import Ground
from guardrails.orders import Leg, OrderState, Trade
from guardrails.values import AccountId

NOT_SENT = (OrderState.DRAFT, OrderState.APPROVED)


@dataclass(frozen=True, slots=True)
class Resting:
    """What remains of one order."""

    account: AccountId
    legs: tuple[Leg, ...]
    packages: float
    """infinite where it is not known"""
    name: str
    """`BUY 2 SPXW 18Dec26 5700P (order 17 of TWS)`"""

    @property
    def trades(self) -> tuple[Trade, ...]:
        """What it changes when the rest of it is filled."""
        return tuple(Trade(self.account, leg.instrument, leg.ratio * self.packages) for leg in self.legs)

    def quantity_of(self, key: str) -> float:
        """Signed quantity of one instrument that it may still trade."""
        return sum(leg.ratio * self.packages for leg in self.legs if leg.instrument.key == key)


def resting(ground: Ground) -> tuple[Resting, ...]:
    """Every order that may still be filled and whose legs can be read."""
    told = [
        Resting(
            one.account, one.legs, one.remaining, _name(one.legs, one.remaining, one.reference or one.key, one.sender)
        )
        for one in ground.working
        if one.remaining > 0 and one.legs
    ]
    seen = {one.key for one in ground.working if one.key}
    ours = [
        Resting(
            _owner(one.order.account, ground),
            one.order.legs,
            one.remaining,
            _name(one.order.legs, one.remaining, one.key, ""),
        )
        for one in ground.sent
        if one.remaining > 0 and one.state not in NOT_SENT and one.key not in seen
    ]
    return (*told, *ours)


def unread(ground: Ground) -> tuple[str, ...]:
    """Working orders whose legs cannot be read, in words."""
    return tuple(
        f"order {one.reference} in {one.account}: {one.unread or 'its legs are not known'}"
        for one in ground.working
        if one.remaining > 0 and not one.legs
    )


def _owner(account: AccountId, ground: Ground) -> AccountId:
    """The account itself, of a record that was read from the store and has no number."""
    return next((one.id for one in ground.portfolio.accounts if one.id.hidden == account), account)


def _name(legs: Sequence[Leg], packages: float, reference: str, sender: str) -> str:
    parts = [
        f"{'BUY' if leg.ratio > 0 else 'SELL'} {wording.quantity(abs(leg.ratio * packages))} {leg.instrument.label}"
        for leg in legs
    ]
    by = f" of {sender}" if sender else ""
    return f"{', '.join(parts)} (order {reference}{by})"
