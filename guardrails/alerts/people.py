"""What people say about an alert: that they have it, that they do not want to hear of it, that they did something.

An acknowledgement ends when it gets worse and when it is over. A silence ends at its time and when it gets worse; while
it runs it also holds for an alert that was over and comes back no worse. Worse is what is worse than it was when it was
taken, which is why nobody takes what they have not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails import wording
from guardrails.alerts.occasion import Case, Occasion
from guardrails.alerts.state import AlertState, Step, ended
from guardrails.alerts.values import Acknowledgement, Alert, Event, Reason, Severity, Shown, Silence

LONGEST = timedelta(days=7)
"""of a silence"""


def silence_stage(cases: Sequence[Case], occasion: Occasion) -> list[Case]:
    """Hold back what is silenced; end the silences whose time is over, and those of what got worse."""
    return [_silenced(case, occasion) if case.alert.silence and case.is_open else case for case in cases]


def acknowledge_stage(cases: Sequence[Case], occasion: Occasion) -> list[Case]:  # noqa: ARG001  # as every stage
    """Hold back what somebody has; end the acknowledgements of what got worse."""
    return [_acknowledged(case) if case.is_open else case for case in cases]


def acknowledge(
    state: AlertState, identity: str, author: str, note: str, now: datetime, shown: Shown | None = None
) -> Step:
    """Somebody has it; it is told again when it gets worse or comes back.

    ValueError when it is not open, or no longer what was `shown`. Without `shown` a person knows what was told.
    """
    alert = replace(
        _taken(_open_alert(state, identity), shown, now),
        acknowledgement=Acknowledgement(author, now, note.strip()),
        held=Reason.HELD_ACKNOWLEDGED,
        held_by="",
    )
    if alert.silence is not None:
        alert = replace(alert, held=Reason.HELD_SILENCE)
    return _said(state, alert, Reason.ACKNOWLEDGED, author, note, now)


def silence(
    state: AlertState,
    identity: str,
    author: str,
    reason: str,
    until: datetime,
    now: datetime,
    shown: Shown | None = None,
) -> Step:
    """Nobody hears of it before `until` unless it gets worse.

    ValueError without a reason, when `until` is past or more than `LONGEST` away, and as `acknowledge`.
    """
    alert = _taken(_open_alert(state, identity), shown, now)
    if not reason.strip():
        raise ValueError("a silence needs a reason, so that whoever looks later understands it: say why")
    if until.tzinfo is None or until <= now:
        raise ValueError(f"a silence ends in the future, but {until.isoformat()} is not after {now.isoformat()}")
    if until - now > LONGEST:
        raise ValueError(f"a silence lasts at most 7 days, but {until.isoformat()} is later: choose an earlier end")
    silenced = replace(ended(alert), silence=Silence(author, now, until, reason.strip()), held=Reason.HELD_SILENCE)
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


def _taken(alert: Alert, shown: Shown | None, now: datetime) -> Alert:
    """`alert` as what a person knows, from which on it may get worse; what they have not seen is still owed."""
    if shown is None and alert.told is not None and alert.is_beyond_told:
        return replace(alert, owed=Reason.WORSENED)
    if shown is not None and shown.fired != alert.fired:
        raise ValueError(
            "it was over and is back since what you saw: nothing was done; look at it again and take it then"
        )
    if shown is not None and (alert.severity.rank, alert.step) > (shown.severity.rank, shown.step):
        raise ValueError(
            f"it is worse than what you saw ({_words(shown.severity, alert)}): nothing was done; look at it again and "
            "take it then"
        )
    step = alert.step if alert.lower_since is None else alert.lower_step
    return replace(
        alert, step=step, lower_since=None, told_severity=alert.severity, told_step=step, loudest=now, owed=None
    )


def _words(seen: Severity, alert: Alert) -> str:
    if seen is not alert.severity:
        return f"{seen.value} then, {alert.severity.value} now"
    return f"{seen.value}, now {wording.amount(alert.problem.value, alert.problem.unit)}"


def _said(state: AlertState, alert: Alert, reason: Reason, author: str, words: str, now: datetime) -> Step:
    event = Event(now, alert, alert.state, reason, author, words.strip())
    return Step(replace(state, alerts={**state.alerts, alert.identity: alert}), (event,))


def _is_worse(case: Case) -> bool:
    """Whether it got worse, and not only because something else is wrong."""
    rank = case.alert.severity.rank
    is_said = rank >= Severity.BREACH.rank or case.course.height > rank  # a milder one is not, while it gets better
    owed = is_said and case.alert.owed is Reason.WORSENED
    worsened = owed or any(reason is Reason.WORSENED for reason, _ in case.facts)
    return worsened and case.alert.is_beyond_told and case.held is not Reason.HELD_INHIBITED


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
