"""What the gate says of an order: what it would do, and whether it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from guardrails.findings import Level
from guardrails.orders import Order

Number = float | None


class Verdict(StrEnum):
    """ALLOW; WARN asks for a reason; BLOCK is not sent."""

    ALLOW = "ALLOW"
    WARN = "WARN"
    BLOCK = "BLOCK"


class OrderKind(StrEnum):
    """What an order is by its effect, never by its intention."""

    EXIT = "EXIT"
    """every leg only shrinks a position, none crosses zero, no short option loses cover"""
    HEDGE = "HEDGE"
    """the worst stress loss improves, no hard measure newly breaches, none that is breached worsens, and the broker
    says that excess stays above zero; options sold without cover are none, as what they may lose lies beyond every
    shock"""
    NEW_RISK = "NEW_RISK"


@dataclass(frozen=True, slots=True)
class Reason:
    """One named reason for a verdict."""

    code: str
    """stable name of the guard or of what is told: `limit_newly_breached`, `margin_unknown`, `duplicate`, ..."""
    verdict: Verdict
    """what this reason alone makes of the order; ALLOW: worth knowing"""
    message: str
    """one sentence: what, which value, which bound, what to do"""
    check: str = ""
    """the check, where a limit is concerned"""
    subject: str = ""
    overridden: bool = False
    """it would block, but an override that the matrix allows is in force"""
    follows: str = ""
    """code of the reason that this one follows from; empty when it stands for itself"""
    unknown: bool = False
    """it refuses because something is not known, which no override lifts"""


@dataclass(frozen=True, slots=True)
class FindingChange:
    """One verdict of a check without and with the order."""

    check: str
    subject: str
    level_before: Level
    level_after: Level
    value_before: Number
    value_after: Number
    limit: Number
    """with the order"""
    unit: str
    advisory: bool = False
    limit_before: Number = None
    headroom_before: Number = None
    headroom_after: Number = None
    message: str = ""
    """of the Finding with the order"""


@dataclass(frozen=True, slots=True)
class MarginChange:
    """Margins of the order's account, as the broker says; never an estimate of ours."""

    source: str
    """`ibkr`, `tastytrade`, `demo`; empty when nobody was asked"""
    initial_before: Number = None
    initial_after: Number = None
    maintenance_before: Number = None
    maintenance_after: Number = None
    excess_after: Number = None
    commission: Number = None
    currency: str = ""
    unknown: str = ""
    """why the margin is not known; empty when it is"""
    words: tuple[str, ...] = ()
    """the broker's own"""
    at_least: bool = False
    """whether `excess_after` is the buying power left, of a broker that does not say the excess: never more than it"""


@dataclass(frozen=True, slots=True)
class StressChange:
    """The worst P&L over all shocks the limits name, and over the curve, in dollars; None when it is not known."""

    worst_before: Number = None
    worst_after: Number = None
    shock_before: str = ""
    shock_after: str = ""
    curve: tuple[tuple[float, Number, Number], ...] = ()
    """(index return, P&L before, P&L after) along the curve"""


@dataclass(frozen=True, slots=True)
class Measures:
    """Totals of the book, as in `guardrails.snapshot.Totals`; None when they are not known."""

    net_liquidation: Number = None
    delta_dollars: Number = None
    beta_delta_dollars: Number = None
    gamma_1pct_dollars: Number = None
    vega_per_point: Number = None
    vega_30d_per_point: Number = None
    theta_per_day: Number = None
    cash: Number = None
    """of the order's account"""


@dataclass(frozen=True, slots=True)
class Approval:
    """Leave to send exactly this order, once."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LegLine:
    """One leg as a person reads it."""

    side: str
    """`BUY` or `SELL`"""
    quantity: float
    symbol: str
    label: str
    held_before: Number
    held_after: Number
    bid: Number = None
    ask: Number = None
    delta: Number = None
    iv: Number = None


@dataclass(frozen=True, slots=True)
class Impact:
    """What an order would do, and the verdict."""

    time: datetime
    order: Order
    title: str
    """exactly what would be sent: `SELL 2 × SPXW 18Dec26 5700P/5600P at 8.40 credit, DAY, IBKR •••4567`"""
    verdict: Verdict
    kind: OrderKind
    reasons: tuple[Reason, ...]
    """worst first"""
    legs: tuple[LegLine, ...]
    findings: tuple[FindingChange, ...]
    """every one that moves or is not OK, worst first"""
    before: Measures
    after: Measures
    margin: MarginChange
    stress: StressChange
    max_quantity: int | None
    """most packages that would pass; None when it was not looked for (the order passes) or is not known"""
    mid: Number = None
    """of one package, signed as a limit"""
    natural: Number = None
    """what one package costs at once: bought at the ask, sold at the bid"""
    flags: tuple[str, ...] = ()
    """events inside the life of what is traded: expiry alarm, earnings, ex-dividend, in words"""
    working: str = ""
    """the subset of working orders it was judged with, in words; empty when there are none"""
    approval: Approval | None = None
    matrix_version: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """what else decided, by name"""


@dataclass(frozen=True, slots=True)
class Override:
    """Leave of a person to pass one limit for a while; only where the matrix allows it."""

    key: str
    check: str
    subject: str
    """empty: every subject of the check"""
    author: str
    reason: str
    begun: datetime
    until: datetime
    ended: datetime | None = None
    """before its time"""
    used: tuple[str, ...] = ()
    """keys of the orders it let through"""
