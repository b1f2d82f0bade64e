"""The life of the alerts: from what is wrong at one moment and what was known to what each has become, why, and whom to
tell. Pure: the clock is a parameter, nothing is sent or stored here.

    settle -> inhibit -> silence -> acknowledge -> dedup -> grace -> quiet hours -> family -> digest -> budget
           -> escalate -> group

Every stage takes the cases and returns them; one that holds a case back says why (`Alert.held`), and that is an event
when it changes. A case that no stage holds is told. Rather twice than never: what is doubtful is told.

    what is seen                what changes                                     event
    something is wrong          settles, then is told, or held                   first notice, or why it is held
    it gets worse               told at once; acknowledgement and silence end    worsened
    it was better for the calm  counts as better, nobody is told                 eased
    a BREACH cannot be seen     stays what it was                                was broken, and cannot be seen now
    it was right for the calm   over, told to whoever heard of it                resolved
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime

from guardrails import calendar
from guardrails.alerts.budget import budget, digest, digest_due, in_digest
from guardrails.alerts.course import Course
from guardrails.alerts.escalation import escalate
from guardrails.alerts.families import family_of
from guardrails.alerts.grouping import Group, grouped
from guardrails.alerts.inhibition import inhibit
from guardrails.alerts.occasion import Case, Stage, first_channels, may_be_kept, occasion_of
from guardrails.alerts.people import acknowledge, acknowledge_stage, acted, silence, silence_stage, unsilence
from guardrails.alerts.rows import rows
from guardrails.alerts.saying import events_of, said
from guardrails.alerts.settling import settle
from guardrails.alerts.state import AlertState, Past, Step, earlier, remembered, rewound
from guardrails.alerts.telling import dedup, family, grace, quiet_hours
from guardrails.alerts.values import Alert, Notice, Problem, Reason, Severity
from guardrails.matrix.alerts import AlertRules

__all__ = [
    "STAGES", "AlertState", "Step", "acknowledge", "acted", "digest_due", "first_channels", "in_digest", "resume",
    "rows", "silence", "step", "unsilence",
]  # fmt: skip

STAGES: tuple[Stage, ...] = (
    inhibit,
    silence_stage,
    acknowledge_stage,
    dedup,
    grace,
    quiet_hours,
    family,
    digest,
    budget,
    escalate,
)
"""what may hold a case back, in order; the first that does is why"""


def step(
    state: AlertState, problems: Sequence[Problem], now: datetime, rules: AlertRules, channels: Sequence[str]
) -> Step:
    """What becomes of everything at `now`; `channels` are the names of all that are configured."""
    state = rewound(state, now)
    state = replace(state, past=remembered(state.past, now)) if state.past else state
    occasion = occasion_of(state, now, rules, channels)
    cases = settle(state, problems, occasion)
    for stage in STAGES:
        cases = stage(cases, occasion)
    told = [said(case, occasion) for case in cases]
    kept = [notice for case, _, own in told for notice in own if _is_of_digest(case, notice)]
    notices = [notice for case, _, own in told for notice in own if not _is_of_digest(case, notice)]
    groups = grouped(notices, kept, together=not state.begun)
    after = _after(state, [(case, alert) for case, alert, _ in told], now, is_digest_told=bool(kept))
    spent = sum(_is_counted(group, {id(notice) for notice in kept}) for group in groups)
    events = tuple(event for case, alert, _ in told for event in events_of(case, alert, now))
    return Step(replace(after, told_today=after.told_today + spent), events, groups)


def resume(alerts: Sequence[Alert], told_today: int, now: datetime) -> AlertState:
    """What is known after a restart: the open `alerts` as they were stored, and the messages that count of this day.

    What was told is not told again. Times after `now`, of a clock that was ahead, are taken for `now`, and whatever was
    getting better does so from now on.
    """
    known = [_as_of(alert, now) for alert in alerts if alert.fired is not None]
    families: dict[str, datetime] = {}
    loudness: dict[str, Severity] = {}
    for alert in known:
        if alert.told is not None:
            name, severity = family_of(alert.problem.check), alert.told_severity or Severity.WATCH
            if name not in families or families[name] < alert.told:
                families[name], loudness[name] = alert.told, severity
            elif families[name] == alert.told:
                loudness[name] = max(loudness[name], severity, key=lambda one: one.rank)
    return AlertState(
        alerts={alert.identity: alert for alert in known},
        courses={alert.identity: _course(alert, now) for alert in known},
        families=families,
        loudness=loudness,
        day=calendar.exchange_date(now),
        told_today=told_today,
        digest_since=now if any(alert.owed is Reason.DIGEST for alert in known) else None,
        last=now,
    )


def _as_of(alert: Alert, now: datetime) -> Alert:
    times = (alert.since, alert.last_wrong, alert.fired, alert.told, alert.asked, alert.escalated)
    latest = max(time for time in times if time is not None)
    return replace(earlier(alert, latest - now) if latest > now else alert, eased_at=None, lower_since=None)


def _course(alert: Alert, now: datetime) -> Course:
    dark = alert.problem.severity is Severity.UNKNOWN and alert.severity.rank >= Severity.BREACH.rank
    return Course(alert.severity.rank + 1, (alert.since,) * len(Severity), unseen=now if dark else None)


def _after(state: AlertState, told: Sequence[tuple[Case, Alert]], now: datetime, *, is_digest_told: bool) -> AlertState:
    """What is known after the step, but for the messages that it made."""
    day = calendar.exchange_date(now)
    alive = [(case, alert) for case, alert in told if not case.over]
    over = {alert.identity: alert for case, alert in told if case.over and case.say is not None and not case.speaks}
    alerts = {alert.identity: alert for _, alert in alive}
    waits = any(alert.owed is Reason.DIGEST for alert in (*alerts.values(), *over.values()))
    since = now if is_digest_told or state.digest_since is None else state.digest_since
    families, loudness = dict(state.families), dict(state.loudness)
    for name, severity in _spoken(told).items():
        families[name], loudness[name] = now, severity
    return AlertState(
        alerts=alerts,
        courses={alert.identity: case.course for case, alert in alive},
        over=over,
        past=_past(state, told, now),
        families=families,
        loudness=loudness,
        day=day,
        told_today=state.told_today if state.day == day else 0,
        digest_since=since if waits else None,
        last=now,
        begun=True,
    )


def _is_of_digest(case: Case, notice: Notice) -> bool:
    """Whether it is said in the digest; that the next people are told never is."""
    return case.say is Reason.DIGEST and notice.reason is not Reason.ESCALATED


def _is_counted(group: Group, kept: AbstractSet[int]) -> bool:
    """Whether a message counts against the budget; a digest, whose notices are `kept` by id, does not, nor does one
    that only says what is over: twenty ends must not cost the warnings of the day."""
    own = [notice for notice in group if id(notice) not in kept]
    news = any(notice.reason is not Reason.RESOLVED for notice in own)
    return news and all(may_be_kept(notice.alert.severity, notice.alert.problem.check, notice.reason) for notice in own)


def _spoken(told: Sequence[tuple[Case, Alert]]) -> dict[str, Severity]:
    """The families that are told of, each with the worst of it; that something is over is the mildest."""
    found: dict[str, Severity] = {}
    for case, alert in told:
        if case.speaks and case.say is not Reason.DIGEST:
            name = family_of(alert.problem.check)
            severity = Severity.WATCH if case.over else alert.severity
            found[name] = max(severity, found.get(name, severity), key=lambda one: one.rank)
    return found


def _past(state: AlertState, told: Sequence[tuple[Case, Alert]], now: datetime) -> dict[str, Past]:
    """What is remembered of what is over."""
    found = dict(state.past)
    for case, alert in told:
        if case.over and case.facts and not (alert.problem.news and not alert.silence):
            found[alert.identity] = Past(
                alert.severity, alert.step, alert.silence, alert.past_silences, now, alert.relapses
            )
        elif case.facts:
            found.pop(alert.identity, None)  # it is back, and has its silences itself
    return found
