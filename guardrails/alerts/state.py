"""What the life of the alerts knows between two moments, and what a moment yields.

Bounded: open alerts, what is still to be said of those that are over, the silences of a day, what was over in an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from guardrails.alerts.course import Course
from guardrails.alerts.values import Acknowledgement, Alert, Event, Notice, Severity, Silence

REMEMBER = timedelta(days=1)
"""how long the silences of an alert that is over are remembered"""
SOON = timedelta(hours=1)
"""what is back within so long after it was over, or as bad as it was told within so long, flaps: it is no news"""
_KEPT = 5
"""past silences of one alert that are kept"""


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of an alert that is over, for when it comes back: its silences then count as before."""

    severity: Severity
    step: int
    silence: Silence | None
    """one that has not ended: it holds for what is not worse than it was"""
    past: tuple[Silence, ...]
    over: datetime
    """when the alert was resolved"""
    relapses: int = 0


@dataclass(frozen=True, slots=True)
class AlertState:
    """Everything `guardrails.alerts.life` knows; `AlertState()` knows nothing."""

    alerts: Mapping[str, Alert] = field(default_factory=dict)
    """by identity: open, or still settling"""
    courses: Mapping[str, Course] = field(default_factory=dict)
    """by identity, of the same alerts"""
    over: Mapping[str, Alert] = field(default_factory=dict)
    """by identity: resolved, which somebody who was told must still hear (`owed` says how)"""
    past: Mapping[str, Past] = field(default_factory=dict)
    """by identity, of alerts that are over"""
    families: Mapping[str, datetime] = field(default_factory=dict)
    """when the last message about each was made"""
    loudness: Mapping[str, Severity] = field(default_factory=dict)
    """and the worst it told of, apart from what was over"""
    day: date | None = None
    """New York, of `told_today`"""
    told_today: int = 0
    """messages that count against the budget"""
    digest_since: datetime | None = None
    """when the oldest of what the next digest will tell was put there; None when there is nothing to tell"""
    last: datetime | None = None
    """clock of the last step"""
    begun: bool = False
    """False before the first step: what is wrong then is told in one message"""


@dataclass(frozen=True, slots=True)
class Step:
    """What a moment yields."""

    state: AlertState
    events: tuple[Event, ...] = ()
    groups: tuple[tuple[Notice, ...], ...] = ()
    """each is one message; all notices of one have the same channels"""


def ended(alert: Alert) -> Alert:
    """`alert` with its silence among those that are past."""
    if alert.silence is None:
        return alert
    return replace(alert, silence=None, past_silences=(*alert.past_silences, alert.silence)[-_KEPT:])


def remembered(past: Mapping[str, Past], now: datetime) -> dict[str, Past]:
    """Those that are not forgotten: for an hour, silences for a day and as long as one runs."""
    return {
        name: known
        for name, known in past.items()
        if now - known.over < (REMEMBER if known.silence or known.past else SOON)
        or (known.silence is not None and known.silence.until > now)
    }


def rewound(state: AlertState, now: datetime) -> AlertState:
    """`state` for a clock that went back since the last step: everything is as long ago, or as far off, as it was.

    So no wait gets longer than it was. A clock that went forward needs nothing: waits and silences end early.
    """
    if state.last is None or now >= state.last:
        return state
    back = state.last - now
    return replace(
        state,
        alerts={name: earlier(alert, back) for name, alert in state.alerts.items()},
        courses={name: course.earlier(back) for name, course in state.courses.items()},
        over={name: earlier(alert, back) for name, alert in state.over.items()},
        past={
            name: replace(
                known,
                silence=None if known.silence is None else _earlier_silence(known.silence, back),
                past=tuple(_earlier_silence(silence, back) for silence in known.past),
                over=known.over - back,
            )
            for name, known in state.past.items()
        },
        families={name: told - back for name, told in state.families.items()},
        digest_since=None if state.digest_since is None else state.digest_since - back,
        last=now,
    )


def earlier(alert: Alert, by: timedelta) -> Alert:
    """`alert` with all its times moved back."""
    held = alert.acknowledgement
    return replace(
        alert,
        since=alert.since - by,
        last_wrong=alert.last_wrong - by,
        fired=_minus(alert.fired, by),
        told=_minus(alert.told, by),
        asked=_minus(alert.asked, by),
        escalated=_minus(alert.escalated, by),
        eased_at=_minus(alert.eased_at, by),
        loudest=_minus(alert.loudest, by),
        lower_since=_minus(alert.lower_since, by),
        acknowledgement=None if held is None else Acknowledgement(held.author, held.time - by, held.note),
        silence=None if alert.silence is None else _earlier_silence(alert.silence, by),
        past_silences=tuple(_earlier_silence(silence, by) for silence in alert.past_silences),
    )


def _earlier_silence(silence: Silence, by: timedelta) -> Silence:
    return replace(silence, time=silence.time - by, until=silence.until - by)


def _minus(time: datetime | None, by: timedelta) -> datetime | None:
    return None if time is None else time - by
