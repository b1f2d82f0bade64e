"""Which changes of the safety state are allowed, to whom and when; pure."""

from __future__ import annotations

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
    after = Safety(new, now, cause, author, reason.strip(), until, f"{leave}." if leave else "")
    return SafetyChange(now, safety.state, after)


def _clock(time: datetime) -> str:
    return f"{time.astimezone(calendar.NEW_YORK):%a %d %b %H:%M} ET"
