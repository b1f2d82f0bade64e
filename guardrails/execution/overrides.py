"""Overrides: leave of a person to pass one limit for a while, where the matrix allows it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails.gate.overriding import override_name
from guardrails.gate.values import Impact, Override
from guardrails.matrix.orders import OrderRules
from guardrails.requests import Request
from guardrails.safety import SafetyState
from guardrails.values import finite

_OPEN = (SafetyState.NORMAL, SafetyState.NO_NEW_RISK)


def in_force(overrides: Iterable[Override], now: datetime) -> tuple[Override, ...]:
    """Those that count at `now`."""
    return tuple(one for one in overrides if one.ended is None and one.begun <= now < one.until)


def lapsed(overrides: Iterable[Override], now: datetime) -> tuple[Override, ...]:
    """Those whose time is over and that nobody ended, as ended."""
    return tuple(replace(one, ended=one.until) for one in overrides if one.ended is None and now >= one.until)


def begun(key: str, request: Request, rules: OrderRules, state: SafetyState, now: datetime) -> Override:
    """What `request` asks for; ValueError with a sentence when the matrix or the safety state does not allow it."""
    check, reason, minutes = (request.body.get(name, "").strip() for name in ("check", "reason", "minutes"))
    if state not in _OPEN:
        raise ValueError(f"In {state.value} overrides do not count; only exits and hedges pass.")
    if check not in rules.overridable:
        allowed = ", ".join(rules.overridable) or "nothing"
        raise ValueError(f"The risk matrix does not let {check[:60] or 'nothing'} be overridden; it allows {allowed}.")
    if not reason:
        raise ValueError("An override needs a reason.")
    length = finite(minutes)
    if length is None or not 1 <= length <= rules.override_minutes:
        raise ValueError(f"An override lasts 1 to {rules.override_minutes:g} minutes, not {minutes[:20] or 'nothing'}.")
    until = now + timedelta(minutes=length)
    return Override(key, check, request.body.get("subject", ""), request.author, reason, now, until)


def used_by(impact: Impact, overrides: Iterable[Override], now: datetime) -> tuple[Override, ...]:
    """Those that let the order of `impact` through."""
    passed = [reason for reason in impact.reasons if reason.overridden]
    return tuple(
        one
        for one in in_force(overrides, now)
        if any(
            one.check in (override_name(reason), reason.check) and one.subject in ("", reason.subject)
            for reason in passed
        )
    )
