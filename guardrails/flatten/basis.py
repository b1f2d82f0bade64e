"""What a plan was made for: positions and working orders, so that one of another book is not carried out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from guardrails import wording
from guardrails.flatten.scope import UNORDERED, of_account
from guardrails.flatten.values import Wish
from guardrails.memory import account_key
from guardrails.orders import BrokerOrder
from guardrails.portfolio import Portfolio
from guardrails.values import AccountId

Held = Mapping[AccountId, Mapping[str, float]]
"""signed quantities by `Instrument.key`, all of an account"""
Basis = Mapping[tuple[str, str, str], float | None]
"""quantity by (`position` or `order`, account, instrument or reference); None where it is not known"""
_NOT_TRADED = tuple(f"{kind.value}:" for kind in UNORDERED)
_TINY = 1e-9


def basis_of(portfolio: Portfolio, working: Sequence[BrokerOrder], wish: Wish, held: Held | None = None) -> Basis:
    """Everything in the accounts of `wish` that orders trade; `held` are fresh quantities that replace those known.

    An account is named as it may be written down, with a key of its own where two look alike.
    """
    found: dict[tuple[str, str, str], float | None] = {}
    fresh = held or {}
    for position in portfolio.positions:
        key = position.instrument.key
        if position.account in fresh or not of_account(position.account, wish) or key.startswith(_NOT_TRADED):
            continue
        place = ("position", _name(position.account), key)
        known = found.get(place, 0.0)
        found[place] = None if position.quantity is None or known is None else known + position.quantity
    for account, quantities in fresh.items():
        if of_account(account, wish):
            found |= {
                ("position", _name(account), key): quantity
                for key, quantity in quantities.items() if not key.startswith(_NOT_TRADED)
            }  # fmt: skip
    for order in working:
        if order.remaining > 0 and of_account(order.account, wish):
            found["order", _name(order.account), order.reference] = order.remaining
    return {place: quantity for place, quantity in found.items() if quantity is None or abs(quantity) > _TINY}


def fingerprint(basis: Basis) -> str:
    """The same for the same basis, another for any other."""
    rows = sorted(f"{'|'.join(place)}|{'?' if size is None else f'{size:.6f}'}" for place, size in basis.items())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def changes(before: Basis, after: Basis) -> tuple[str, ...]:
    """What is another now, in words, positions first; empty when nothing is."""
    places = sorted({*before, *after}, key=lambda place: (place[0] != "position", place))
    return tuple(
        _words(place, before.get(place, 0.0), after.get(place, 0.0))
        for place in places
        if before.get(place, 0.0) != after.get(place, 0.0)
    )


def _words(place: tuple[str, str, str], before: float | None, after: float | None) -> str:
    what, account, name = place
    shown = name.partition(":")[2] if what == "position" else f"order {name}, packages that still work"
    moved = f"{wording.quantity(before)} before, {wording.quantity(after)} now"
    return f"{account.partition('#')[0].strip()}: {' '.join(shown.split())}: {moved}"


def _name(account: AccountId) -> str:
    return f"{account} #{account_key(account)}"
