"""A plan to close, worked out before anything is done: what is cancelled, closed, left, what it costs and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from guardrails.orders import Order, Preview

Number = float | None


class Scope(StrEnum):
    """What is to be closed."""

    SHORT_OPTIONS = "short_options"
    """every short option; longs stay"""
    UNDERLYING = "underlying"
    EXPIRY = "expiry"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks to be closed."""

    scope: Scope = Scope.SHORT_OPTIONS
    underlying: str = ""
    """group name as on the pages (`SPX`), for Scope.UNDERLYING"""
    expiry: date | None = None
    whole_packages: bool = True
    """close what was opened together as one order; else shorts alone first"""
    accounts: tuple[str, ...] = ()
    """`IBKR •••4567`; empty: all"""


@dataclass(frozen=True, slots=True)
class PlannedCancel:
    """A working order that is cancelled first."""

    account: str
    reference: str
    words: str
    cancellable: bool
    """False: it belongs to somebody else; a person must cancel it there"""


@dataclass(frozen=True, slots=True)
class PlannedClose:
    """One closing order, in the place in which it is sent."""

    number: int
    order: Order
    """at its first limit"""
    title: str
    """as a person would type it: `BUY 2 × SPXW 18Dec26 5700P to close, limit 8.50`"""
    account: str
    mid: Number
    natural: Number
    cap: Number
    """the limit is never walked beyond it; as in `Order.limit`"""
    cost_at_mid: Number
    """dollars; positive is paid"""
    cost_at_natural: Number
    stress_removed: Number
    """dollars of the worst stress loss that go with it"""
    per_dollar: Number
    """`stress_removed` per dollar of cost over mid"""
    why_here: str = ""
    preview: Preview | None = None
    """what the broker says it would free; None: not asked yet"""
    by_hand: str = ""
    """why this program cannot send it, so that a person enters it at the broker; empty when it can"""
    owner: str = ""
    """`guardrails.memory.account_key` of the account: what a plan read from the store is matched by, as its
    `order.account` is then without a number"""


@dataclass(frozen=True, slots=True)
class Left:
    """What is not closed, and why."""

    account: str
    label: str
    quantity: Number
    """signed; None when it is not known"""
    why: str
    """`worth 0.05 or less without a bid`, `no quote`, `market closed until 09:30 ET`, `a long that stays`, ..."""
    stuck: bool
    """it was wanted, but cannot be closed now"""


@dataclass(frozen=True, slots=True)
class HedgeOffer:
    """An index trade that takes the delta off meanwhile; never sent by itself."""

    order: Order
    title: str
    beta_delta_before: Number
    beta_delta_after: Number


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it; a plan is of the positions it was made for."""

    key: str
    time: datetime
    wish: Wish
    cancels: tuple[PlannedCancel, ...]
    closes: tuple[PlannedClose, ...]
    left: tuple[Left, ...]
    hedges: tuple[HedgeOffer, ...]
    cost_at_mid: Number
    cost_at_natural: Number
    phrase: str
    """what a person types to confirm: `CLOSE 7 SHORTS`; empty when there is nothing to close"""
    fingerprint: str
    """of the positions and working orders it was made for"""
    trading: str = ""
    """why it can only be printed (trading is off), in words; empty when it can be done"""
    problems: tuple[str, ...] = ()
    """what a person must know first: positions that are not confirmed, a feed that is down"""
