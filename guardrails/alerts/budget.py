"""The daily budget of messages, and the digest that tells what it kept back.

A message counts when everything in it is WATCH, UNKNOWN, a repeat or the end of something; one that only says what is
over counts for nothing, and is kept when nothing is left. CRITICAL is never kept back, nor is a BREACH that is new,
worse, back or not acknowledged, nor that a source or the engine is silent or that margin, a loss or an expiry cannot be
judged; with those goes whatever has the same family and channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails.alerts.families import family_of
from guardrails.alerts.occasion import Case, Occasion, channels_for, may_be_kept, reached_by
from guardrails.alerts.state import AlertState
from guardrails.alerts.values import Reason
from guardrails.matrix.alerts import AlertRules

_WAITS = (Reason.HELD_BUDGET, Reason.HELD_QUIET)


def digest(cases: Sequence[Case], occasion: Occasion) -> list[Case]:
    """Hold back what waits for the digest until that is due: after its wait, and when quiet hours are over."""
    kept = [case for case in cases if case.speaks and case.say is Reason.DIGEST]
    if not kept:
        return list(cases)
    wait = timedelta(minutes=occasion.rules.digest_minutes)
    late = occasion.digest_since is not None and occasion.now - occasion.digest_since >= wait
    morning = not occasion.quiet and any(case.alert.held is Reason.HELD_QUIET for case in kept)
    if late or morning:
        return list(cases)
    return [_waiting(case) if case.speaks and case.say is Reason.DIGEST else case for case in cases]


def budget(cases: Sequence[Case], occasion: Occasion) -> list[Case]:
    """Keep for the digest what this day's budget has no message left for, the worst going first."""
    speaking = [case for case in cases if case.speaks and case.say is not Reason.DIGEST]
    if not speaking:
        return list(cases)
    messages: dict[tuple[str, tuple[str, ...]], list[Case]] = {}
    for case in speaking:
        messages.setdefault(message_key(case, occasion), []).append(case)
    budgeted = [key for key, told in messages.items() if all(_may_be_kept(case) for case in told)]
    ends = [key for key in budgeted if all(case.over for case in messages[key])]
    counted = [key for key in budgeted if key not in ends]
    counted.sort(key=lambda key: -max(case.alert.severity.rank for case in messages[key]))
    kept = {*counted[occasion.budget :], *([] if occasion.budget else ends)}
    if not kept:
        return list(cases)
    held = {id(case) for key in kept for case in messages[key]}
    return [_kept(case) if id(case) in held else case for case in cases]


def message_key(case: Case, occasion: Occasion) -> tuple[str, tuple[str, ...]]:
    """Cases with the same are one message: the family, and who is told."""
    names = reached_by(case.alert, occasion) if case.over else channels_for(case.alert, occasion)
    return family_of(case.alert.problem.check), names


def digest_due(state: AlertState, rules: AlertRules) -> datetime | None:
    """When the next digest is due; None while there is nothing to tell in it. It comes earlier after quiet hours."""
    return None if state.digest_since is None else state.digest_since + timedelta(minutes=rules.digest_minutes)


def in_digest(state: AlertState) -> int:
    """Alerts that wait for the digest."""
    return sum(alert.owed is Reason.DIGEST for alert in (*state.alerts.values(), *state.over.values()))


def _may_be_kept(case: Case) -> bool:
    return case.say is not None and may_be_kept(case.alert.severity, case.alert.problem.check, case.say)


def _waiting(case: Case) -> Case:
    why = case.alert.held
    return replace(case, held=why if why in _WAITS else Reason.HELD_BUDGET)


def _kept(case: Case) -> Case:
    return replace(case, alert=replace(case.alert, owed=Reason.DIGEST), held=Reason.HELD_BUDGET)
