"""Leave of a person to pass one limit: only what the matrix names, only while it is in force, never what is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from guardrails.gate.ground import Ground
from guardrails.gate.values import Override, Reason, Verdict
from guardrails.matrix.orders import OVERRIDABLE
from guardrails.safety import Cause, SafetyState

_LIMITS = ("limit_newly_breached", "limit_worsened")
_NAMES = {"order_notional": "order_size"}
"""guards that go by the name of another"""
_STATES = (SafetyState.NORMAL, SafetyState.NO_NEW_RISK)
_LIFTED = (Cause.PERSON, Cause.REJECTS)
"""what set NO_NEW_RISK when an override passes it; daily loss, doubt and a STOP file never yield"""


def overridden(reasons: Sequence[Reason], ground: Ground) -> tuple[Reason, ...]:
    """`reasons` with those that an override in force lets pass as warnings, marked.

    NO_NEW_RISK yields with them, when a person or a run of rejects set it and the override was given after that;
    nothing yields in REDUCE_ONLY and STOPPED.
    """
    if ground.safety.state not in _STATES:
        return tuple(reasons)
    used: list[Override] = []
    found = []
    for reason in reasons:
        leave = None if reason.verdict is not Verdict.BLOCK else override_for(reason, ground)
        if leave is not None:
            used.append(leave)
            reason = _passed(reason, f"overridden by {leave.author} until {leave.until:%H:%M} UTC: {leave.reason}")  # noqa: PLW2901  # the same reason, marked
        found.append(reason)
    safety = ground.safety
    since = safety.since
    if used and safety.cause in _LIFTED and all(since is None or one.begun >= since for one in used):
        found = [
            _passed(each, "an override was given since") if each.code == "safety_state" else each for each in found
        ]
    return tuple(found)


def override_name(reason: Reason) -> str:
    """What an override of `reason` is called in the matrix: the limit, else the guard itself; empty when nothing is."""
    if reason.code in _LIMITS:
        return reason.check
    return "" if reason.check else _NAMES.get(reason.code, reason.code)


def override_for(reason: Reason, ground: Ground) -> Override | None:
    """The override in force that lets `reason` pass; None when there is none or the matrix does not allow it."""
    name = override_name(reason)
    if reason.unknown or name not in OVERRIDABLE or name not in ground.limits.matrix.orders.overridable:
        return None
    return next((one for one in ground.overrides if one.check == name and _fits(one, reason, ground)), None)


def _fits(override: Override, reason: Reason, ground: Ground) -> bool:
    in_force = override.ended is None and override.begun <= ground.now < override.until
    return in_force and override.subject in ("", reason.subject)


def _passed(reason: Reason, words: str) -> Reason:
    return replace(reason, verdict=Verdict.WARN, overridden=True, message=f"{reason.message} ({words}.)")
