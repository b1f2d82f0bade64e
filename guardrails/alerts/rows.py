"""The open alerts as a page shows them."""

from __future__ import annotations

from datetime import datetime, timedelta

from guardrails.alerts.budget import digest_due
from guardrails.alerts.course import Course
from guardrails.alerts.escalation import escalates_at, is_asked, next_list
from guardrails.alerts.families import family_of
from guardrails.alerts.occasion import Occasion, occasion_of
from guardrails.alerts.settling import calm_of
from guardrails.alerts.state import AlertState
from guardrails.alerts.values import Alert, AlertRow, Reason, Severity
from guardrails.matrix.alerts import AlertRules

_STOPPED = (Reason.HELD_INHIBITED, Reason.HELD_ACKNOWLEDGED)


def rows(state: AlertState, rules: AlertRules, now: datetime) -> tuple[AlertRow, ...]:
    """What has fired and is not over, worst first, then the oldest."""
    fired = [alert for alert in state.alerts.values() if alert.fired is not None]
    fired.sort(key=lambda alert: (-alert.severity.rank, alert.since, alert.identity))
    occasion = occasion_of(state, now, rules, ())
    return tuple(_row(alert, alert.fired, state, occasion) for alert in fired if alert.fired is not None)


def _row(alert: Alert, fired: datetime, state: AlertState, occasion: Occasion) -> AlertRow:
    held, rules = alert.acknowledgement, occasion.rules
    place = next_list(alert, rules, alert.escalations)
    waits = alert.held in (None, Reason.HELD_TOGETHER, Reason.HELD_BUDGET)
    course = state.courses.get(alert.identity)
    right, is_broken = _right_since(course), course is None or course.height > Severity.BREACH.rank
    return AlertRow(
        identity=alert.identity,
        check=alert.problem.check,
        subject=alert.problem.subject,
        family=family_of(alert.problem.check),
        severity=alert.severity,
        state=alert.state,
        problem=alert.problem,
        since=alert.since,
        fired=fired,
        told=alert.told,
        times_told=alert.times_told,
        step=alert.step,
        owner="" if held is None else held.author,
        note="" if held is None else held.note,
        silence=alert.silence,
        past_silences=alert.past_silences,
        escalations=alert.escalations if place is None else place,
        flaps=alert.flaps,
        held=alert.held,
        held_by=alert.held_by,
        next_told=None if right else _next_told(alert, state, occasion, course),
        escalates=escalates_at(alert, place, rules) if place is not None and waits and is_broken else None,
        right_since=right,
        over_at=None if right is None else right + calm_of(alert, occasion),
        acted=alert.acted,
        asked=alert.asked if is_asked(alert) else None,
    )


def _right_since(course: Course | None) -> datetime | None:
    """Since when nothing is wrong and that is seen; None while it is wrong, or cannot be seen."""
    is_right = course is not None and course.height == 0 < course.veiled
    return course.crossed[0] if course is not None and is_right else None


def _next_told(alert: Alert, state: AlertState, occasion: Occasion, course: Course | None) -> datetime | None:
    """When it is told again if nothing changes; None when it is not, or when that hangs on something else."""
    rules = occasion.rules
    if alert.silence is not None:
        return alert.silence.until
    if alert.held in _STOPPED or alert.acknowledgement is not None:
        return None
    if alert.owed is Reason.DIGEST:
        return digest_due(state, rules)
    if alert.held is Reason.HELD_GRACE:
        return alert.problem.grace_until
    if alert.held is Reason.HELD_TOGETHER:
        told = state.families.get(family_of(alert.problem.check), occasion.now)
        return told + timedelta(minutes=rules.family_minutes)
    minutes = getattr(rules.repeat_minutes, alert.severity.name.lower())
    is_better = course is not None and course.height <= alert.severity.rank  # what gets better is not repeated
    if not minutes or alert.told is None or alert.problem.news or is_better:
        return None
    return alert.told + timedelta(minutes=minutes)
