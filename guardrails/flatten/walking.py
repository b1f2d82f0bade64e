"""A flatten on its way, as values: what each order of the plan is at, what has been told, what is to be done next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from guardrails.execution.life import Step
from guardrails.execution.values import FlattenRun, OrderRecord, RunState
from guardrails.flatten.values import Plan, PlannedClose
from guardrails.gate.cover import Holding
from guardrails.memory import account_key
from guardrails.orders import BrokerOrder, Order, OrderState, PriceRule
from guardrails.values import AccountId

IN_DOUBT = "it is not known what became of it: it is not sent again, look at the broker"


class At(StrEnum):
    """Where one closing order is."""

    WAITING = "waiting"
    SENDING = "sending"
    """handed to the gate, which has not answered yet"""
    LIVE = "live"
    """there is a record of it"""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Line:
    """One order of the plan."""

    number: int
    order: Order
    """as planned; as sent once it was, with what was still held"""
    cap: float | None
    at: At = At.WAITING
    key: str = ""
    """of its record"""
    first: float | None = None
    """the limit it began with"""
    step: int = 0
    stepped: datetime | None = None
    """when its limit was last set"""
    tries: int = 0
    """times it was handed to the gate"""
    tried: datetime | None = None
    withdrawn: datetime | None = None
    """when its cancellation was last asked for"""
    why: str = ""
    """why it waits, or was not sent, or ended without being filled"""


@dataclass(frozen=True, slots=True)
class Cancelling:
    """A working order that has to go first."""

    account: AccountId
    reference: str
    cancellable: bool
    asked: datetime | None = None
    """for the first time"""
    again: datetime | None = None
    """for the last time"""
    settled: bool = False
    why: str = ""
    """why it may still work"""
    unheard: bool = False
    """whether that is because its broker was away: it is asked again when it answers"""


@dataclass(frozen=True, slots=True)
class WalkState:
    """All of one run; replaced whole at every step."""

    key: str
    plan: Plan
    lines: tuple[Line, ...]
    cancels: tuple[Cancelling, ...]
    begun: datetime
    changed: datetime
    """when anything of it last moved"""
    stopping: bool = False
    done: bool = False
    flat: bool = False
    """only fresh positions make it so"""
    words: str = ""
    """what fresh positions say at the end"""
    asked: Mapping[AccountId, datetime] = field(default_factory=dict)
    """when the positions of an account were last asked for"""

    @property
    def state(self) -> RunState:
        """As it is kept."""
        return RunState.DONE if self.done else RunState.CANCELLING if self.stopping else RunState.RUNNING

    @property
    def accounts(self) -> tuple[AccountId, ...]:
        """Those in which it trades."""
        return tuple(dict.fromkeys(line.order.account for line in self.lines))

    @property
    def orders(self) -> Mapping[str, str]:
        """Key of the record by number of the plan's order."""
        return {str(line.number): line.key for line in self.lines if line.key}


@dataclass(frozen=True, slots=True)
class Held:
    """Everything one account holds."""

    time: datetime
    """when it was asked for"""
    holdings: tuple[Holding, ...]
    confirmed: bool
    """by the broker just now; else what was last known"""
    problem: str = ""
    """why it is not confirmed"""


@dataclass(frozen=True, slots=True)
class Working:
    """Orders of every sender in one account."""

    time: datetime
    orders: tuple[BrokerOrder, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What is known at one moment; what is not known is absent."""

    records: Mapping[str, OrderRecord] = field(default_factory=dict)
    """of this run, by key"""
    working: Mapping[AccountId, Working] = field(default_factory=dict)
    held: Mapping[AccountId, Held] = field(default_factory=dict)
    shut: Mapping[str, str] = field(default_factory=dict)
    """why an instrument does not trade now, by `Instrument.key`"""
    rules: Mapping[int, PriceRule] = field(default_factory=dict)
    """the venue's own, by number of the order"""
    away: frozenset[AccountId] = frozenset()
    """whose broker does not answer now"""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask for a working order that is not of this run to be cancelled."""

    account: AccountId
    reference: str


@dataclass(frozen=True, slots=True)
class Read:
    """Ask for the positions of an account anew."""

    account: AccountId


@dataclass(frozen=True, slots=True)
class Send:
    """Hand an order to the gate, once; `answered` tells what came of it."""

    number: int
    order: Order


@dataclass(frozen=True, slots=True)
class Reprice:
    """Ask for another limit of a working order of the run."""

    number: int
    key: str
    limit: float


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Ask for an order of the run to be cancelled."""

    number: int
    key: str


Action = Cancel | Read | Send | Reprice | Withdraw


def begun(key: str, plan: Plan, working: Sequence[BrokerOrder], now: datetime) -> WalkState:
    """A run of `plan`, of which nothing has been done yet; what a person enters by hand is not part of it.

    `working` are the orders that the plan cancels, with their accounts.
    """
    named = {(cancel.account, cancel.reference) for cancel in plan.cancels}
    cancels = tuple(
        Cancelling(order.account, order.reference, order.cancellable)
        for order in working
        if (str(order.account), order.reference) in named and order.remaining > 0
    )
    return WalkState(key, plan, tuple(_line(one) for one in plan.closes if not one.by_hand), cancels, now, now)


def resumed(run: FlattenRun, plan: Plan, working: Sequence[BrokerOrder], records: Sequence[OrderRecord]) -> WalkState:
    """A run taken up after a restart: no order of it that has a record is sent again.

    Records that the run did not come to note are recognised by their legs, in the order in which they were made.
    """
    state = begun(run.key, plan, working, run.time)
    lines = [replace(line, key=run.orders.get(str(line.number), "")) for line in state.lines]
    state = replace(state, lines=tuple(lines), stopping=run.state is RunState.CANCELLING, changed=run.changed)
    return adopted(state, records)


def adopted(state: WalkState, records: Sequence[OrderRecord]) -> WalkState:
    """`state` in which every record of the run belongs to a line."""
    lines = {line.number: line for line in state.lines}
    known = {line.key for line in state.lines if line.key}
    strays = [one for one in records if one.flatten == state.key and one.key not in known and not is_unsent(one)]
    for record in sorted(strays, key=lambda one: one.created):
        owner = record.owner or account_key(record.order.account)  # one read back may have no number yet
        free = [line for line in lines.values() if not line.key and account_key(line.order.account) == owner]
        same = [line for line in free if line.order.legs == record.order.legs] or [
            line for line in free if set(record.order.legs) <= set(line.order.legs)
        ]
        if same:
            line = min(same, key=lambda one: (one.at is not At.SENDING, one.number))
            lines[line.number] = replace(line, key=record.key)
    by_key = {one.key: one for one in records}
    return replace(state, lines=tuple(_met(line, by_key.get(line.key)) for line in lines.values()))


def answered(state: WalkState, number: int, now: datetime, key: str = "", refused: str = "") -> WalkState:
    """`state` once the gate has answered a Send: with the `key` of the record, or why nothing was sent."""
    line = next(one for one in state.lines if one.number == number)
    after = replace(line, at=At.LIVE, key=key, why="") if key else replace(line, at=At.WAITING, key="", why=refused)
    return with_line(replace(state, changed=now), after)


def is_unsent(record: OrderRecord) -> bool:
    """Whether it is certain that nothing of it reached its broker: another may be made in its place."""
    never = record.state is OrderState.REJECTED and record.detail.startswith(Step.NOT_SENT.value)
    return never and not record.references and not record.filled


def with_line(state: WalkState, line: Line) -> WalkState:
    """`state` with one line replaced."""
    return replace(state, lines=tuple(line if one.number == line.number else one for one in state.lines))


def heard(state: WalkState, records: Mapping[str, OrderRecord], now: datetime) -> WalkState:
    """`state` after what the records say."""
    met = adopted(state, tuple(records.values()))
    lines = tuple(_ended(line, records.get(line.key)) for line in met.lines)
    return state if lines == state.lines else replace(met, lines=lines, changed=now)


def _line(close: PlannedClose) -> Line:
    return Line(close.number, close.order, close.cap)


def _met(line: Line, record: OrderRecord | None) -> Line:
    """A line whose record was found: it goes on from the limit that was asked last."""
    if record is None or line.at in (At.LIVE, At.OVER):
        return line
    limit = record.order.limit if record.limit is None else record.limit
    order = replace(record.order, account=line.order.account)
    return replace(line, at=At.LIVE, order=order, first=limit, step=0, stepped=record.changed)


def _ended(line: Line, record: OrderRecord | None) -> Line:
    if line.at is not At.LIVE or record is None:
        return line
    if record.state is OrderState.UNKNOWN:
        return replace(line, why=IN_DOUBT)
    if not record.state.is_over:
        return replace(line, why="") if line.why == IN_DOUBT else line
    if is_unsent(record):
        return replace(line, at=At.WAITING, key="", why=record.detail)
    if record.state is OrderState.FILLED:
        return replace(line, at=At.OVER, why="")
    rest = f", {record.filled:g} of {record.order.quantity} filled" if record.filled else ""
    return replace(line, at=At.OVER, why=f"{record.state.value}{rest}{': ' if record.detail else ''}{record.detail}")
