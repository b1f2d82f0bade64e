"""The life of an order: which state may follow which, as a pure function of what is told.

    DRAFT -> APPROVED -> INTENT_SAVED -> SENT -> WORKING -> PARTIAL -> FILLED
                              |            |        |          |
                              |            |        +----------+-> CANCEL_REQUESTED -> CANCELLED
                              +------------+--------+----------+-> REJECTED
                              +------------+--------+----------+-> UNKNOWN

A broker repeats itself, skips steps and tells them out of order, so any later state may follow directly and a repeated
word changes nothing. What is filled never becomes less. Out of a final state leads one way only: a fill that came
before the cancellation (`is_late_fill`), and only executions prove it. Whatever contradicts this raises
IllegalTransitionError; the order is then in doubt (`doubt`), which is a state of its own and not an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from guardrails.errors import GuardrailsError
from guardrails.execution.values import OrderRecord
from guardrails.orders import BrokerOrder, OrderState
from guardrails.values import finite

_EPSILON = 1e-9
"""of a package: fills are sums of floats"""
_NOT_CANCELLED = "Its cancellation was asked for, and {broker} still calls it working: cancel it again if it is to go."
_WORDS = 500
"""characters that are kept of what was said"""


class IllegalTransitionError(GuardrailsError):
    """What is told of an order cannot follow what is known of it."""


class Step(StrEnum):
    """What this program or a person does with an order."""

    APPROVE = "approve"
    SAVE = "save"
    """its intent is handed over to be kept"""
    SEND = "send"
    """the broker took it without a word against it"""
    NOT_SENT = "not sent"
    """it is certain that nothing of it reached the broker"""
    ASK_CANCEL = "ask to cancel"
    CANCEL_NOT_ASKED = "cancel not asked"
    """the request for its cancellation did not reach the broker"""
    DOUBT = "doubt"
    """it is not known what became of it"""
    RESOLVE = "resolve"
    """a person has looked and says that it does not live at the broker"""


@dataclass(frozen=True, slots=True)
class Event:
    """A step, with words for a person."""

    step: Step
    words: str = ""


@dataclass(frozen=True, slots=True)
class Executed:
    """What the executions of an order prove (`guardrails.execution.fills`)."""

    packages: float
    average: float | None = None
    fees: float | None = None
    excess: str = ""
    """what was executed beyond the order, in words; empty when nothing"""


_S = OrderState
_LIVES = frozenset({_S.WORKING, _S.PARTIAL, _S.CANCEL_REQUESTED})
_ENDS = frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED})
_TOLD = _LIVES | _ENDS
LEGAL: Mapping[OrderState, frozenset[OrderState]] = MappingProxyType({
    _S.DRAFT: frozenset({_S.APPROVED}),
    _S.APPROVED: frozenset({_S.INTENT_SAVED}),
    _S.INTENT_SAVED: _TOLD | {_S.SENT, _S.UNKNOWN},
    _S.SENT: _TOLD | {_S.UNKNOWN},
    _S.WORKING: _TOLD | {_S.UNKNOWN},
    _S.PARTIAL: _TOLD | {_S.UNKNOWN},
    _S.CANCEL_REQUESTED: _TOLD | {_S.UNKNOWN},
    _S.UNKNOWN: _TOLD,
    _S.CANCELLED: frozenset({_S.PARTIAL, _S.FILLED, _S.UNKNOWN}),
    _S.REJECTED: frozenset({_S.UNKNOWN}),
    _S.FILLED: frozenset({_S.UNKNOWN}),
})  # fmt: skip
"""what may follow; a state may always follow itself"""

_BY_STEP: Mapping[Step, tuple[frozenset[OrderState], OrderState]] = MappingProxyType({
    Step.APPROVE: (frozenset({_S.DRAFT}), _S.APPROVED),
    Step.SAVE: (frozenset({_S.APPROVED}), _S.INTENT_SAVED),
    Step.NOT_SENT: (frozenset({_S.INTENT_SAVED}), _S.REJECTED),
    Step.ASK_CANCEL: (_LIVES | {_S.INTENT_SAVED, _S.SENT}, _S.CANCEL_REQUESTED),
    Step.DOUBT: (_TOLD | {_S.INTENT_SAVED, _S.SENT}, _S.UNKNOWN),
})  # fmt: skip
"""from which states, to which"""


def step(record: OrderRecord, told: BrokerOrder | Event, now: datetime) -> OrderRecord:
    """`record` after `told`, the same object when nothing is new; IllegalTransitionError when it cannot be.

    A broker's word that it is filled beyond the order makes it UNKNOWN, with the words.
    """
    return _own(record, told, now) if isinstance(told, Event) else _told(record, told, now)


def executed(record: OrderRecord, proof: Executed, now: datetime) -> OrderRecord:
    """`record` after all its executions so far; the same object when nothing is new. Never raises.

    `is_late_fill` is the one way out of a final state.
    """
    filled = max(record.filled, proof.packages)
    if proof.excess:
        return doubt(replace(record, filled=filled, average=proof.average, fees=proof.fees), proof.excess, now)
    state = record.state
    if proof.packages >= record.order.quantity - _EPSILON and state is not _S.FILLED:
        state = _S.FILLED
    elif filled > record.filled + _EPSILON and state in (_S.INTENT_SAVED, _S.SENT, _S.WORKING):
        state = _S.PARTIAL
    detail = "filled before the cancellation reached the exchange" if is_late_fill(record, proof) else record.detail
    after = replace(record, filled=filled, detail=detail, average=proof.average, fees=proof.fees)
    if state is record.state:
        return record if after == record else replace(after, changed=now)
    if state not in LEGAL[record.state]:
        return doubt(after, f"it was {record.state.value} and has executions all the same", now)
    asked = None if state.is_over else after.cancel_asked
    return replace(after, state=state, changed=now, doubt_since=None, cancel_asked=asked)


def is_late_fill(record: OrderRecord, proof: Executed) -> bool:
    """Whether a cancelled order was filled further after all: the fill beat the cancellation."""
    return record.state is _S.CANCELLED and proof.packages > record.filled + _EPSILON


def doubt(record: OrderRecord, words: str, now: datetime) -> OrderRecord:
    """`record` as one of which it is not known what became; the same object when that stands there already."""
    detail = words[:_WORDS]
    if record.state is _S.UNKNOWN and record.detail == detail:
        return record
    return replace(record, state=_S.UNKNOWN, changed=now, detail=detail, doubt_since=record.doubt_since or now)


def _own(record: OrderRecord, event: Event, now: datetime) -> OrderRecord:
    detail = event.words[:_WORDS] or record.detail
    if event.step is Step.DOUBT and record.state is _S.UNKNOWN:
        return doubt(record, event.words or record.detail, now)
    if event.step is Step.SEND:
        # the broker may have spoken of it before the call came back
        return replace(record, state=_S.SENT, changed=now) if record.state is _S.INTENT_SAVED else record
    if event.step is Step.CANCEL_NOT_ASKED:
        if record.state is not _S.CANCEL_REQUESTED:
            return record
        lives = _S.PARTIAL if record.filled else _S.WORKING
        return replace(record, state=lives, changed=now, detail=detail, cancel_asked=None)
    if event.step is Step.RESOLVE:
        if record.state is not _S.UNKNOWN:
            raise IllegalTransitionError(f"it is {record.state.value}: only an order in doubt can be resolved.")
        done = _S.FILLED if record.filled >= record.order.quantity - _EPSILON else _S.CANCELLED
        return replace(record, state=done, changed=now, detail=detail, doubt_since=None, cancel_asked=None)
    before, after = _BY_STEP[event.step]
    if record.state not in before:
        raise IllegalTransitionError(f"it is {record.state.value}: to {event.step.value} is not possible then.")
    if event.step is Step.DOUBT:
        return doubt(record, event.words, now)
    asked = (record.cancel_asked or now) if event.step is Step.ASK_CANCEL else record.cancel_asked
    return replace(record, state=after, changed=now, detail=detail, cancel_asked=asked)


def _told(record: OrderRecord, told: BrokerOrder, now: datetime) -> OrderRecord:
    quantity, claimed = record.order.quantity, finite(told.filled) or 0.0
    record = _identified(record, told)
    if claimed > quantity + _EPSILON:
        words = f"{told.account.broker} says {claimed:g} of {quantity} packages are filled: more than were ordered"
        return doubt(replace(record, filled=max(record.filled, claimed)), words, now)
    is_short = _EPSILON < claimed < quantity - _EPSILON and record.filled < quantity - _EPSILON
    if told.state is _S.FILLED and is_short and record.state not in _ENDS:
        words = f"{told.account.broker} calls it filled, and says {claimed:g} of {quantity} packages"
        return doubt(replace(record, filled=max(record.filled, claimed)), words, now)
    if record.state is _S.FILLED or (record.state is _S.UNKNOWN and record.filled > quantity + _EPSILON):
        return record
    state = _heard(record, told, claimed)
    if state is None:
        vague = told.state is _S.UNKNOWN and told.words and not record.state.is_over
        return replace(record, detail=told.words[:_WORDS]) if vague else record
    filled = max(record.filled, claimed)
    if state is record.state:
        words = told.words[:_WORDS] or record.detail
        new = replace(record, filled=filled, detail=words, limit=_limit(record, told))
        return record if new == record else replace(new, changed=now)
    if record.state in _ENDS or state not in LEGAL[record.state]:
        raise IllegalTransitionError(
            f"it was {record.state.value}, and {told.account.broker} says {state.value}"
            f"{': ' + told.words[:200] if told.words else ''}"
        )
    words = told.words[:_WORDS]
    if record.cancel_asked is not None and state in (_S.WORKING, _S.PARTIAL):
        words = f"{_NOT_CANCELLED.format(broker=told.account.broker)} {words}".strip()[:_WORDS]
    return replace(
        record,
        state=state,
        filled=quantity if state is _S.FILLED else filled,
        changed=now,
        detail=words,
        doubt_since=None,
        cancel_asked=(record.cancel_asked or now) if state is _S.CANCEL_REQUESTED else None,
        limit=_limit(record, told),
    )


def _heard(record: OrderRecord, told: BrokerOrder, claimed: float) -> OrderState | None:
    """The state the broker's word stands for, given what is known; None when it says nothing new."""
    known, said = record.state, told.state
    if said not in _TOLD:
        return None
    if claimed >= record.order.quantity - _EPSILON:
        return _S.FILLED  # whatever it calls the order
    if said in _ENDS:
        return said
    if known is _S.UNKNOWN and said is _S.CANCEL_REQUESTED and record.cancel_asked is not None:
        return None  # that it is requested is what has lasted too long
    if known is _S.CANCEL_REQUESTED:
        return known  # it works until the cancellation is confirmed
    if said is _S.CANCEL_REQUESTED:
        return said
    # a broker also calls partial what has legs filled and no whole package
    return _S.PARTIAL if said is _S.PARTIAL or max(claimed, record.filled) > _EPSILON else _S.WORKING


def _identified(record: OrderRecord, told: BrokerOrder) -> OrderRecord:
    if not told.reference or told.reference in record.references:
        return record
    return replace(record, references=(*record.references, told.reference))


def _limit(record: OrderRecord, told: BrokerOrder) -> float | None:
    limit = finite(told.limit)
    return record.limit if limit is None else limit
