"""Leave to send exactly one order once: a token that a second click, a second tab and a rerun cannot use again."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from guardrails.gate.values import Approval
from guardrails.orders import Order

LASTS = timedelta(seconds=30)
_REMEMBERED = 1_000
"""tokens, used ones too"""

_Basis = TypeVar("_Basis")


@dataclass(slots=True)
class _Given(Generic[_Basis]):
    order: Order
    basis: _Basis
    expires_at: datetime
    is_used: bool = False


class Approvals(Generic[_Basis]):
    """Belongs to one thread; nothing of it survives a restart, so that what was approved before must be seen again."""

    def __init__(self, make_token: Callable[[], str] = lambda: secrets.token_urlsafe(18)) -> None:
        self._make_token = make_token
        self._given: OrderedDict[str, _Given[_Basis]] = OrderedDict()

    def give(self, order: Order, basis: _Basis, now: datetime) -> Approval:
        """Leave to send `order`, which was judged on `basis`."""
        token = self._make_token()
        self._given[token] = _Given(order, basis, now + LASTS)
        while len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        return Approval(token, now + LASTS)

    def take(self, token: str, order: Order, now: datetime) -> _Basis:
        """What `order` was approved on; from then on the token is used. ValueError says why it cannot be used."""
        given = self._given.get(token)
        if given is None:
            raise ValueError("This approval is not known: simulate the order again.")
        if given.is_used:
            raise ValueError("This approval was used: simulate the order again.")
        given.is_used = True
        if now > given.expires_at:
            raise ValueError(f"This approval has expired after {LASTS.seconds} s: simulate the order again.")
        if order != given.order:
            raise ValueError("This approval is of another order: simulate this one.")
        return given.basis
