"""What is said of an alert after all stages, and the events that its timeline shows of the step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from guardrails.alerts.escalation import channels_of, is_asked
from guardrails.alerts.occasion import Case, Occasion, channels_for, reached_by
from guardrails.alerts.values import Alert, Event, Notice, Reason, State


def said(case: Case, occasion: Occasion) -> tuple[Case, Alert, tuple[Notice, ...]]:
    """The alert after the step, and what is said about it; a notice has the alert as it was before it was told."""
    alert = case.alert
    if alert.fired is None:
        return case, alert, ()
    notices: list[Notice] = []
    if case.speaks and case.say is not None:
        names = reached_by(alert, occasion) if case.over else channels_for(alert, occasion)
        notices.append(Notice(alert, Reason.RESOLVED if case.over else case.say, names))
    elif (alert.held, alert.held_by) != (case.held, case.held_by):
        alert = replace(alert, held=case.held, held_by=case.held_by)
    for place in case.lists:
        alert = replace(alert, escalations=place + 1, escalated=occasion.now)
        names = channels_of(occasion.rules.escalation[place], occasion.channels)
        notices.append(Notice(alert, Reason.ESCALATED, names))
    if notices:
        alert = _told(alert, notices, occasion.now, itself=case.speaks)
    return case, alert, tuple(notices)


def events_of(case: Case, alert: Alert, now: datetime) -> Iterator[Event]:
    """Everything that became of an alert in a step, each once: what happened to it, then why it is told or held, then
    that the next people were told. The first event of its life says why it is told, or why not; that it is over is the
    last, also when people hear of it later.
    """
    reasons = dict(case.facts)
    if alert.fired is None or (case.over and not reasons):
        return
    fires = Reason.FIRST in reasons
    if case.speaks and case.say is not None:
        reasons.pop(Reason.FIRST, None)
        reasons.setdefault(Reason.RESOLVED if case.over else case.say, "")
    elif case.held is not None and not case.over and (fires or case.held is not case.alert.held):
        reasons.pop(Reason.FIRST, None)
        reasons[case.held] = case.held_by
    if case.lists:
        reasons[Reason.ESCALATED] = ""
    state = State.RESOLVED if case.over else alert.state
    for reason, words in reasons.items():
        yield Event(now, alert, state, reason, words=words)


def _told(alert: Alert, notices: list[Notice], now: datetime, *, itself: bool) -> Alert:
    """`alert` after it was told; `itself` unless only the next people were."""
    names = (name for notice in notices for name in notice.channels)
    reached = tuple(dict.fromkeys((*alert.reached, *names)))
    alert = replace(alert, told=now, times_told=alert.times_told + len(notices), reached=reached)
    if not itself:
        return alert
    asked = alert.asked if alert.asked is not None and is_asked(alert) else now
    known = alert.told_severity
    if known is None or (alert.severity.rank, alert.step) >= (known.rank, alert.told_step):
        alert = replace(alert, told_severity=alert.severity, told_step=alert.step, loudest=now)
    return replace(alert, asked=asked, owed=None, held=None, held_by="")
