"""What is known of an order from the gate to its end, and what is written down about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from guardrails.gate.values import Override
from guardrails.orders import Fill, Order, OrderState
from guardrails.safety import SafetyChange

Number = float | None

MANUAL, FLATTEN = "MANUAL", "FLATTEN"
"""tags; a suggestion's is `SUGGESTION` and its identity"""


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order of ours, replaced whole at every step; all of it survives a restart."""

    key: str
    """unique, at most 20 characters of [A-Za-z0-9-]; what the broker gets as `orderRef` or `external_identifier`"""
    order: Order
    state: OrderState
    created: datetime
    changed: datetime
    author: str
    origin: str
    """`ticket`, `api`, `flatten`, `cli`"""
    tag: str = MANUAL
    rationale: str = ""
    verdict: str = ""
    kind: str = ""
    """`guardrails.gate.values.OrderKind`"""
    reasons: tuple[str, ...] = ()
    """codes of the gate's reasons"""
    overrides: tuple[str, ...] = ()
    """keys of the overrides it used"""
    filled: float = 0.0
    """packages"""
    average: Number = None
    """price of one filled package, as in `Order.limit`; None while it is not known"""
    fees: Number = None
    references: tuple[str, ...] = ()
    """the broker's identities of it, oldest first"""
    limit: Number = None
    """as last asked of the broker; `order.limit` is that of the approval"""
    detail: str = ""
    """for a person: what the broker said last, why it is unknown"""
    before: BookThen | None = None
    """the book when it was approved"""
    doubt_since: datetime | None = None
    """since when it is not known what became of it"""
    cancel_asked: datetime | None = None
    """since when its cancellation is asked for and not confirmed"""
    flatten: str = ""
    """key of the flatten run it belongs to"""
    replaces: str = ""
    """key of the order it was sent in place of, which was cancelled first"""
    owner: str = ""
    """`guardrails.memory.account_key` of the account: what a record read from the store is matched by, as its
    `order.account` is then without a number"""

    @property
    def remaining(self) -> float:
        """Packages that may still be filled."""
        return 0.0 if self.state.is_over else max(self.order.quantity - self.filled, 0.0)


@dataclass(frozen=True, slots=True)
class BookThen:
    """The book at one moment, as far as a journal tells of it; None is not known."""

    time: datetime
    regime: str
    vix: Number
    spx: Number
    net_liquidation: Number
    beta_delta_dollars: Number
    gamma_1pct_dollars: Number
    vega_per_point: Number
    theta_per_day: Number
    findings: Mapping[str, str] = field(default_factory=dict)
    """level by `check subject`, of all that is WATCH or worse"""


class JournalKind(StrEnum):
    """What an entry tells."""

    FILL = "fill"
    """all executions of one order so far"""
    OUTSIDE = "outside"
    """executions of an order that did not come through the gate"""
    ASSIGNMENT = "assignment"
    """an option that was assigned, exercised or expired, and the shares it brought or took"""
    NOTE = "note"
    SAFETY = "safety"
    OVERRIDE = "override"
    FLATTEN = "flatten"
    BLOCKED = "blocked"
    """an order that was refused at submit"""
    CHANGE = "change"
    """a position that changed and nothing said why: it stands until something does, or a person accepts it"""


@dataclass(frozen=True, slots=True)
class JournalLeg:
    """One instrument of an entry; `quantity` is signed, `price` of one unit."""

    key: str
    label: str
    quantity: float
    price: Number
    fees: Number
    execution: tuple[str, ...] = ()
    """identities of the executions in it"""
    dollars_per_point: Number = None
    """US dollars of one unit per 1.00 of its price: the multiplier times the rate of its currency; None: not known"""
    held: Number = None
    """of it in the account before; None is not known"""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One thing that was done; written again under the same key whenever more of it is known."""

    key: str
    time: datetime
    kind: JournalKind
    author: str
    words: str
    """the rationale, the note, the reason"""
    book: str = ""
    tag: str = MANUAL
    order_key: str = ""
    account: str = ""
    """broker and masked number"""
    underlying: str = ""
    legs: tuple[JournalLeg, ...] = ()
    quantity: float = 0.0
    """packages filled"""
    price: Number = None
    """of one package: positive was paid"""
    net: Number = None
    """dollars received (positive) or paid (negative), fees taken off"""
    fees: Number = None
    trade: str = ""
    """identity of the trade it belongs to: an opening and all its rolls, adjustments, closings and assignments"""
    before: BookThen | None = None
    after: BookThen | None = None
    """once the fill is in the book"""
    owner: str = ""
    """`guardrails.memory.account_key` of the account: two may share a mask"""
    stands: bool = False
    """of a CHANGE: nothing has explained it and nobody has accepted it"""


class RunState(StrEnum):
    """How a flatten run stands."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    """a person stopped it; working orders of it are being cancelled"""
    DONE = "done"
    """nothing is left to do; `words` say what fresh positions say"""


@dataclass(frozen=True, slots=True)
class FlattenRun:
    """One flatten, from the confirmation on; survives a restart."""

    key: str
    time: datetime
    author: str
    state: RunState
    plan: str
    """JSON of `guardrails.flatten.values.Plan`"""
    changed: datetime
    words: str = ""
    orders: Mapping[str, str] = field(default_factory=dict)
    """key of the order record by number of the plan's closing order"""
    notes: Mapping[str, str] = field(default_factory=dict)
    """by number, why an order of the plan waits, was not sent, or ended without being filled"""
    flat: bool = False
    """fresh positions show nothing any more of what was to be closed"""


Deed = OrderRecord | Fill | JournalEntry | Override | SafetyChange | FlattenRun
"""what must survive; rows of one call go into one transaction"""


@dataclass(frozen=True, slots=True)
class OpenDeeds:
    """What a program that begins to watch needs of the time before."""

    orders: tuple[OrderRecord, ...] = ()
    """those that are not over, and those that changed since the session began"""
    fills: tuple[Fill, ...] = ()
    """since the session began"""
    safety: SafetyChange | None = None
    """the last one"""
    overrides: tuple[Override, ...] = ()
    """that are in force or were used since the session began"""
    runs: tuple[FlattenRun, ...] = ()
    """that are not done"""
    entries: tuple[JournalEntry, ...] = ()
    """of the last days, without an `after`, and the last of every open trade"""
