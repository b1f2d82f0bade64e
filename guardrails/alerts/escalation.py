"""When nobody acknowledges a BREACH or CRITICAL in time, the next people are told, list by list.

A list counts from when people were first asked to acknowledge: told first that it is a BREACH or CRITICAL, or told
anew after it got worse or was silenced; then, and when it becomes CRITICAL, the lists begin anew. While it looks better
than a BREACH nobody more is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails.alerts.occasion import Case, Occasion
from guardrails.alerts.values import Alert, Reason, Severity
from guardrails.matrix.alerts import AlertRules, Escalation

_PEOPLE = (Reason.HELD_INHIBITED, Reason.HELD_SILENCE, Reason.HELD_ACKNOWLEDGED)


def escalate(cases: Sequence[Case], occasion: Occasion) -> list[Case]:
    """Find which lists are due; of what is right at the moment none is."""
    if not occasion.rules.escalation:
        return list(cases)
    return [_escalated(case, occasion) if _may_escalate(case) else case for case in cases]


def channels_of(step: Escalation, channels: Sequence[str]) -> tuple[str, ...]:
    """Who is told by this list; all there are when none of it is configured."""
    return tuple(name for name in channels if name in step.channels) or tuple(channels)


def next_list(alert: Alert, rules: AlertRules, after: int) -> int | None:
    """Place of the first list from `after` on that concerns this alert; None when there is none."""
    if alert.severity.rank < Severity.BREACH.rank:
        return None
    critical = alert.severity is Severity.CRITICAL
    places = range(after, len(rules.escalation))
    return next((place for place in places if critical or not rules.escalation[place].only_critical), None)


def escalates_at(alert: Alert, place: int, rules: AlertRules) -> datetime | None:
    """When the list at `place` is told of an alert; None while nobody was asked to acknowledge it."""
    return None if alert.asked is None else alert.asked + timedelta(minutes=rules.escalation[place].after_minutes)


def is_asked(alert: Alert) -> bool:
    """Whether somebody was told that it is a BREACH or CRITICAL; of a WATCH nobody is asked to take it."""
    return alert.told_severity is not None and alert.told_severity.rank >= Severity.BREACH.rank


def _may_escalate(case: Case) -> bool:
    told = is_asked(case.alert) or case.speaks
    broken = case.course.height > Severity.BREACH.rank
    return case.is_open and told and broken and case.held not in _PEOPLE and not case.alert.problem.news


def _escalated(case: Case, occasion: Occasion) -> Case:
    alert, rules = case.alert, occasion.rules
    if case.speaks and (alert.asked is None or not is_asked(alert)):
        alert = replace(alert, asked=occasion.now)
    due, place = [], next_list(alert, rules, alert.escalations)
    while place is not None:
        at = escalates_at(alert, place, rules)
        if at is None or at > occasion.now:
            break
        due.append(place)
        place = next_list(alert, rules, place + 1)
    return replace(case, lists=tuple(due)) if due else case
