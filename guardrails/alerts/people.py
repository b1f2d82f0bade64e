"""What people say about an alert: that they have it, that they do not want to hear of it, that they did something.

An acknowledgement ends when it gets worse and when it is over. A silence ends at its time and when it gets worse; while
it runs it also holds for an alert that was over and comes back no worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from guardrails.alerts.occasion import Case, Occasion
from guardrails.alerts.state import AlertState, Step, ended
from guardrails.alerts.values import Acknowledgement, Alert, Event, Reason, Silence


def silence_stage(cases: Sequence[Case], occasion: Occasion) -> list[Case]:
    """Hold back what is silenced; end the silences whose time is over, and those of what got worse."""
    return [_silenced(case, occasion) if case.alert.silence and case.is_open else case for case in cases]


def acknowledge_stage(cases: Sequence[Case], occasion: Occasion) -> list[Case]:  # noqa: ARG001  # as every stage
    """Hold back what somebody has; end the acknowledgements of what got worse."""
    return [_acknowledged(case) if case.is_open else case for case in cases]


def acknowledge(state: AlertState, identity: str, author: str, note: str, now: datetime) -> Step:
    """Somebody has it; it is told again when it gets worse or comes back. ValueError when it is not open."""
    alert = replace(
        _open_alert(state, identity),
        acknowledgement=Acknowledgement(author, now, note.strip()),
        held=Reason.HELD_ACKNOWLEDGED,
        held_by="",
        owed=None,
    )
    if alert.silence is not None:
        alert = replace(alert, held=Reason.HELD_SILENCE)
    return _said(state, alert, Reason.ACKNOWLEDGED, author, note, now)


def silence(state: AlertState, identity: str, author: str, reason: str, until: datetime, now: datetime) -> Step:
    """Nobody hears of it before `until` unless it gets worse. ValueError without a reason, or when `until` is past."""
    alert = _open_alert(state, identity)
    if not reason.strip():
        raise ValueError("a silence needs a reason, so that whoever looks later understands it: say why")
    if until.tzinfo is None or until <= now:
        raise ValueError(f"a silence ends in the future, but {until.isoformat()} is not after {now.isoformat()}")
    silenced = replace(
        ended(alert), silence=Silence(author, now, until, reason.strip()), held=Reason.HELD_SILENCE, owed=None
    )
    return _said(state, silenced, Reason.SILENCED, author, reason, now)


def unsilence(state: AlertState, identity: str, author: str, now: datetime) -> Step:
    """It is heard of again, in the next step if it is still wrong. ValueError when it is not silenced."""
    alert = _open_alert(state, identity)
    if alert.silence is None:
        raise ValueError(f"{identity} is not silenced: its silence may have ended; look at the page again")
    loud = replace(ended(alert), held=None, held_by="", owed=Reason.BACK)
    return _said(state, loud, Reason.UNSILENCED, author, "", now)


def acted(state: AlertState, identity: str, author: str, note: str, now: datetime) -> Step:
    """It led to an action: those are counted. ValueError when it is not open."""
    return _said(state, replace(_open_alert(state, identity), acted=True), Reason.ACTED, author, note, now)


def _open_alert(state: AlertState, identity: str) -> Alert:
    alert = state.alerts.get(identity)
    if alert is None or alert.fired is None:
        raise ValueError(f"no alert {identity!r} is open: it may be over; look at the page again")
    return alert


def _said(state: AlertState, alert: Alert, reason: Reason, author: str, words: str, now: datetime) -> Step:
    event = Event(now, alert, alert.state, reason, author, words.strip())
    return Step(replace(state, alerts={**state.alerts, alert.identity: alert}), (event,))


def _is_worse(case: Case) -> bool:
    """Whether it got worse, and not only because something else is wrong."""
    worsened = case.alert.owed is Reason.WORSENED or any(reason is Reason.WORSENED for reason, _ in case.facts)
    return worsened and case.held is not Reason.HELD_INHIBITED


def _silenced(case: Case, occasion: Occasion) -> Case:
    alert = case.alert
    if alert.silence is None:
        return case
    late, worse = alert.silence.until <= occasion.now, _is_worse(case)
    if not late and not worse:
        return case if case.held else replace(case, held=Reason.HELD_SILENCE)
    words = "it got worse" if worse else "its time is over"
    # whoever looks reads first that the silence ended, then why it is told
    facts = ((Reason.UNSILENCED, words), *case.facts)
    alert = replace(ended(alert), owed=Reason.BACK, asked=None, escalations=0)
    return replace(case, alert=replace(alert, acknowledgement=None) if worse else alert, facts=facts)


def _acknowledged(case: Case) -> Case:
    alert = case.alert
    if alert.acknowledgement is None:
        return case
    if _is_worse(case):
        return replace(case, alert=replace(alert, acknowledgement=None, asked=None, escalations=0))
    return case if case.held else replace(case, held=Reason.HELD_ACKNOWLEDGED)
