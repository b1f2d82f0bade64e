"""Which changes of the safety state are allowed, to whom and when; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from guardrails import calendar
from guardrails.safety import Cause, Safety, SafetyChange, SafetyState

PROGRAM = "the program"
_PASSING = (Cause.UNRECONCILED,)
"""ends by itself, so it needs no cooling-off and gives way to any other cause"""
_STAYING = (Cause.DAILY_LOSS,)
"""remains the cause until NORMAL, whoever sets another state meanwhile: no override ever passes it"""
_LEAVE = {
    SafetyState.NO_NEW_RISK: "Exits and hedges pass. Under Stop, on every page, a person sets NORMAL",
    SafetyState.REDUCE_ONLY: "Exits and hedges pass. Under Stop, on every page, a person sets NORMAL",
    SafetyState.STOPPED: "Nothing is sent. Under Stop, on every page, a person sets REDUCE_ONLY at any time",
}


def set_by_person(
    safety: Safety, new: SafetyState, author: str, reason: str, now: datetime, cooling_off: timedelta, why_not: str = ""
) -> SafetyChange:
    """What a person asks for; ValueError with a sentence when it cannot be.

    Stricter is always allowed, and so is every step but that to NORMAL, which waits for the end of the cooling-off and
    is refused for `why_not`, when it is not empty.
    """
    if not reason.strip():
        raise ValueError("Say why: the reason is kept in the journal.")
    if new is safety.state and safety.cause in (Cause.PERSON, *_STAYING):
        raise ValueError(f"It is {new.value} already.")
    cause = safety.cause if safety.cause in _STAYING and new is not SafetyState.NORMAL else Cause.PERSON
    if new.rank >= safety.state.rank:
        return _changed(safety, new, cause, author, reason, now, _later(safety, now, cooling_off))
    if new is SafetyState.NORMAL:
        if safety.until is not None and now < safety.until:
            raise ValueError(f"NORMAL is open again at {_clock(safety.until)}: the cooling-off has not ended.")
        if why_not:
            raise ValueError(f"NORMAL is not open: {why_not}")
        return _changed(safety, new, Cause.PERSON, author, reason, now, None)
    return _changed(safety, new, cause, author, reason, now, safety.until)


def set_by_program(
    safety: Safety, new: SafetyState, cause: Cause, reason: str, now: datetime, cooling_off: timedelta
) -> SafetyChange | None:
    """What the program asks for; None when that would change nothing: it never makes a state looser."""
    takes_over = new is safety.state and safety.cause in _PASSING and cause not in _PASSING
    if new.rank <= safety.state.rank and not takes_over:
        return None
    until = safety.until if cause in _PASSING else _later(safety, now, cooling_off)
    return _changed(safety, new, cause, PROGRAM, reason, now, until)


def passed(safety: Safety, cause: Cause, now: datetime) -> SafetyChange | None:
    """The return to NORMAL once `cause`, which ends by itself, has ended; None when something else set the state."""
    if safety.cause is not cause or cause not in _PASSING or safety.state is SafetyState.NORMAL:
        return None
    if safety.until is not None and now < safety.until:
        return None
    return _changed(safety, SafetyState.NORMAL, cause, PROGRAM, "every order is accounted for again", now, None)


def is_same(one: Safety, other: Safety) -> bool:
    """Whether both tell of one change; texts may have been redacted on the way."""
    return (one.state, one.since, one.count) == (other.state, other.since, other.count)


def is_later(one: Safety, other: Safety) -> bool:
    """Whether `one` is known to have come after `other`: by the clock and by the count of changes.

    A clock may have been set back, and two programs may have counted on from one change: where the two do not agree
    nothing is proven. A state that nobody ever set came before every other.
    """
    if one.since is None or other.since is None:
        return one.since is not None
    return one.since > other.since and one.count > other.count


def in_doubt(one: Safety, other: Safety, now: datetime) -> SafetyChange:
    """What counts when it cannot be told which of two states came later: the stricter one, and of both what holds
    longer. A person steps out of it as out of any other.
    """
    loose, strict = sorted((one, other), key=lambda each: (each.state.rank, each.cause not in _PASSING, each.count))
    halts = loose.cause in _STAYING and loose.state is not SafetyState.NORMAL
    until = max((each.until for each in (one, other) if each.until is not None), default=None)
    held = " and ".join(f"{each.state.value} since {_clock(each.since or now)}" for each in (strict, loose))
    why = strict.reason or "no reason was given"
    reason = f"{why} ({held}: which came later cannot be told, so the stricter counts)"
    base = replace(loose, count=max(one.count, other.count))
    cause = loose.cause if halts else strict.cause
    return _changed(base, strict.state, cause, strict.author or PROGRAM, reason, now, until)


def _later(safety: Safety, now: datetime, cooling_off: timedelta) -> datetime:
    """The end of the cooling-off: never before the one that runs already."""
    return max(now + cooling_off, safety.until or now)


def _changed(
    safety: Safety, new: SafetyState, cause: Cause, author: str, reason: str, now: datetime, until: datetime | None
) -> SafetyChange:
    leave = _LEAVE.get(new, "")
    if leave and cause in _PASSING:
        leave = "It ends by itself once it is known what became of every order; the blotter names them"
    elif leave and cause is Cause.UNACKNOWLEDGED:
        leave = f"Acknowledge the alert on the Alerts page. {leave}"
    if leave and cause not in _PASSING and until is not None and now < until:
        leave += f", {'NORMAL ' if new is SafetyState.STOPPED else ''}not before {_clock(until)}"
    leave = f"{leave}." if leave else ""
    after = Safety(new, now, cause, author, reason.strip(), until, leave, safety.count + 1)
    return SafetyChange(now, safety.state, after)


def _clock(time: datetime) -> str:
    return f"{time.astimezone(calendar.NEW_YORK):%a %d %b %H:%M} ET"
