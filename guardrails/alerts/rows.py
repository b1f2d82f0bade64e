"""The open alerts as a page shows them."""

from __future__ import annotations

from datetime import datetime, timedelta

from guardrails.alerts.budget import digest_due
from guardrails.alerts.escalation import escalates_at, next_list
from guardrails.alerts.families import family_of
from guardrails.alerts.state import AlertState
from guardrails.alerts.values import Alert, AlertRow, Reason
from guardrails.matrix.alerts import AlertRules

_STOPPED = (Reason.HELD_INHIBITED, Reason.HELD_ACKNOWLEDGED)


def rows(state: AlertState, rules: AlertRules, now: datetime) -> tuple[AlertRow, ...]:
    """What has fired and is not over, worst first, then the oldest."""
    fired = [alert for alert in state.alerts.values() if alert.fired is not None]
    fired.sort(key=lambda alert: (-alert.severity.rank, alert.since, alert.identity))
    return tuple(_row(alert, alert.fired, state, rules, now) for alert in fired if alert.fired is not None)


def _row(alert: Alert, fired: datetime, state: AlertState, rules: AlertRules, now: datetime) -> AlertRow:
    held = alert.acknowledgement
    place = next_list(alert, rules, alert.escalations)
    waits = alert.held in (None, Reason.HELD_TOGETHER, Reason.HELD_BUDGET)
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
        owner="" if held is None else held.author,
        note="" if held is None else held.note,
        silence=alert.silence,
        past_silences=alert.past_silences,
        escalations=alert.escalations if place is None else place,
        flaps=alert.flaps,
        held=alert.held,
        held_by=alert.held_by,
        next_told=_next_told(alert, state, rules, now),
        escalates=escalates_at(alert, place, rules) if place is not None and waits else None,
        acted=alert.acted,
    )


def _next_told(alert: Alert, state: AlertState, rules: AlertRules, now: datetime) -> datetime | None:
    """When it is told again if nothing changes; None when it is not, or when that hangs on something else."""
    if alert.silence is not None:
        return alert.silence.until
    if alert.held in _STOPPED or alert.acknowledgement is not None:
        return None
    if alert.owed is Reason.DIGEST:
        return digest_due(state, rules)
    if alert.held is Reason.HELD_GRACE:
        return alert.problem.grace_until
    if alert.held is Reason.HELD_TOGETHER:
        told = state.families.get(family_of(alert.problem.check), now)
        return told + timedelta(minutes=rules.family_minutes)
    minutes = getattr(rules.repeat_minutes, alert.severity.name.lower())
    if not minutes or alert.told is None or alert.problem.news:
        return None
    return alert.told + timedelta(minutes=minutes)
