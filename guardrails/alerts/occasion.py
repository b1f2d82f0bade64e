"""What a step decides by (`Occasion`), and what it decides about one alert (`Case`), from stage to stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from guardrails import calendar
from guardrails.alerts.course import Course
from guardrails.alerts.families import family_of
from guardrails.alerts.state import AlertState
from guardrails.alerts.values import Alert, Reason, Severity
from guardrails.matrix.alerts import AlertRules, QuietHours

_NEWS = (Reason.FIRST, Reason.WORSENED, Reason.BACK)
_WATCHED = ("source_state", "engine")
_VITAL = ("margin", "loss", "expiry")


@dataclass(frozen=True, slots=True)
class Occasion:
    """The clock, the rules in the form they are used in, and what was said before."""

    now: datetime
    rules: AlertRules
    channels: tuple[str, ...]
    """names of all that are configured"""
    first: tuple[str, ...]
    """those that are told first"""
    settle: tuple[timedelta, ...]
    """by rank of the severity; a worse one never waits longer than a milder one"""
    calm: timedelta
    repeat: tuple[timedelta, ...]
    """by rank of the severity; zero is never"""
    quiet: bool
    """quiet hours are on"""
    families: Mapping[str, datetime]
    """when each was last told of"""
    loudness: Mapping[str, Severity]
    """and the worst that was told then"""
    budget: int
    """messages that are left of this day's budget"""
    digest_since: datetime | None
    begun: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One alert in the course of a step."""

    alert: Alert
    course: Course
    facts: tuple[tuple[Reason, str], ...] = ()
    """what became of it in this step, with words; each is an event"""
    over: bool = False
    """it is resolved"""
    say: Reason | None = None
    """what is to be said about it, unless it is held"""
    held: Reason | None = None
    """why it is not said"""
    held_by: str = ""
    """the identity of the alert that holds it back"""
    lists: tuple[int, ...] = ()
    """places of the escalations that are due"""

    @property
    def is_open(self) -> bool:
        """Whether it is neither settling nor over."""
        return not self.over and self.alert.fired is not None

    @property
    def speaks(self) -> bool:
        """Whether something is said about it, as far as the stages have come."""
        return self.say is not None and self.held is None


Stage = Callable[[Sequence[Case], Occasion], list[Case]]
"""a step's decisions in order: cases in, the same cases out"""


def occasion_of(state: AlertState, now: datetime, rules: AlertRules, channels: Sequence[str]) -> Occasion:
    """What a step at `now` decides by."""
    waits = rules.settle_seconds
    minutes = rules.repeat_minutes
    told = state.told_today if state.day == calendar.exchange_date(now) else 0
    return Occasion(
        now=now,
        rules=rules,
        channels=tuple(channels),
        first=first_channels(rules, channels),
        settle=tuple(
            timedelta(seconds=seconds)
            for seconds in accumulate((waits.watch, waits.unknown, waits.breach, waits.critical), min)
        ),
        calm=timedelta(seconds=rules.calm_seconds),
        repeat=tuple(
            timedelta(minutes=each) for each in (minutes.watch, minutes.unknown, minutes.breach, minutes.critical)
        ),
        quiet=is_quiet(rules.quiet_hours, now),
        families=state.families,
        loudness=state.loudness,
        budget=max(rules.daily_budget - told, 0),
        digest_since=state.digest_since,
        begun=state.begun,
    )


def first_channels(rules: AlertRules, channels: Sequence[str]) -> tuple[str, ...]:
    """Who is told first: the channels of the rules, else those that no escalation names; if none is configured, all."""
    escalated = {name for step in rules.escalation for name in step.channels}
    wanted = [name for name in channels if (name in rules.channels if rules.channels else name not in escalated)]
    return tuple(wanted or channels)


def is_quiet(hours: QuietHours | None, now: datetime) -> bool:
    """Whether quiet hours are on at `now`; they may pass midnight."""
    if hours is None:
        return False
    local = now.astimezone(calendar.NEW_YORK).time()
    if hours.begin <= hours.end:
        return hours.begin <= local < hours.end
    return local >= hours.begin or local < hours.end


def may_be_kept(severity: Severity, check: str, reason: Reason) -> bool:
    """Whether what is said may wait for the digest: not what `is_budgeted` never keeps, nor the first word that a
    source or the engine is silent, or that margin, a loss or an expiry cannot be judged."""
    if severity is Severity.UNKNOWN and reason in _NEWS and (check in _WATCHED or family_of(check) in _VITAL):
        return False
    return is_budgeted(severity, reason)


def is_budgeted(severity: Severity, reason: Reason) -> bool:
    """Whether the daily budget may keep this for the digest: never what is CRITICAL, nor that a BREACH is new, worse,
    back or not acknowledged."""
    if severity is Severity.CRITICAL:
        return False
    return severity is not Severity.BREACH or reason in (Reason.REPEAT, Reason.RESOLVED)


def channels_for(alert: Alert, occasion: Occasion) -> tuple[str, ...]:
    """Who hears of it: whoever was told of it before, and unless it is over those that are told first."""
    wanted = {*alert.reached, *occasion.first}
    return tuple(name for name in occasion.channels if name in wanted)


def reached_by(alert: Alert, occasion: Occasion) -> tuple[str, ...]:
    """Who hears that it is over: whoever was told of it; those that are told first when that is not known."""
    return tuple(name for name in occasion.channels if name in alert.reached) or occasion.first
