"""What there is to say about each alert now, and the waits that it may be held by before it is said.

Dedup comes before the waits, so that what has nothing to say waits for nothing: the same severity and step is told
once, and then only when a repeat is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from guardrails.alerts.families import family_of
from guardrails.alerts.occasion import Case, Occasion, may_be_kept
from guardrails.alerts.values import Alert, Reason, Severity


def dedup(cases: Sequence[Case], occasion: Occasion) -> list[Case]:
    """What is to be said about every alert that nothing holds back."""
    found = []
    for case in cases:
        say = _due(case, occasion) if case.is_open and case.held is None else None
        found.append(case if say is None else replace(case, say=say))
    return found


def grace(cases: Sequence[Case], occasion: Occasion) -> list[Case]:
    """Hold back a BREACH that only the limits of another regime cause; not what is CRITICAL.

    One that looks better meanwhile stays held: it is told when it is one again after the grace, or as what it has
    eased to.
    """
    return [_held(case, Reason.HELD_GRACE) if _in_grace(case, occasion) else case for case in cases]


def quiet_hours(cases: Sequence[Case], occasion: Occasion) -> list[Case]:
    """Keep WATCH for the digest."""
    if not occasion.quiet:
        return list(cases)
    return [
        _held(case, Reason.HELD_QUIET, Reason.DIGEST) if case.speaks and case.alert.severity is Severity.WATCH else case
        for case in cases
    ]


def family(cases: Sequence[Case], occasion: Occasion) -> list[Case]:
    """Hold back what belongs to a family of which something at least as bad was just told; with what cannot wait goes
    all there is of its family."""
    wait = timedelta(minutes=occasion.rules.family_minutes)
    waiting = {name for name, told in occasion.families.items() if occasion.now - told < wait}
    if not waiting:
        return list(cases)
    waiting -= {family_of(case.alert.problem.check) for case in cases if _cannot_wait(case, occasion)}
    return [
        _held(case, Reason.HELD_TOGETHER)
        if case.speaks and case.say is not Reason.DIGEST and family_of(case.alert.problem.check) in waiting
        else case
        for case in cases
    ]


def is_at_worst(case: Case) -> bool:
    """Whether the problem is now as bad as the alert counts, as far as is seen; else it is getting better."""
    return case.course.height > case.alert.severity.rank


def _due(case: Case, occasion: Occasion) -> Reason | None:
    say, alert = _reason(case, occasion), case.alert
    waits = alert.owed is Reason.DIGEST and say is not None and may_be_kept(alert.severity, alert.problem.check, say)
    return Reason.DIGEST if waits else say


def _reason(case: Case, occasion: Occasion) -> Reason | None:
    """Why something is to be said; what is getting better has nothing to say, but a BREACH nobody was told of has."""
    alert = case.alert
    if alert.owed is Reason.BACK:
        return Reason.BACK if case.course.height else None
    worst = is_at_worst(case)
    if worst or alert.severity.rank >= Severity.BREACH.rank:
        if alert.told is None or alert.told_severity is None:
            return Reason.FIRST
        if alert.is_beyond_told:
            return Reason.WORSENED
    return Reason.REPEAT if worst and _repeats(alert, occasion) else None


def _repeats(alert: Alert, occasion: Occasion) -> bool:
    every = occasion.repeat[alert.severity.rank]
    return bool(every) and alert.told is not None and not alert.problem.news and occasion.now - alert.told >= every


def _in_grace(case: Case, occasion: Occasion) -> bool:
    until = case.alert.problem.grace_until
    better = case.alert.held is Reason.HELD_GRACE and not is_at_worst(case)
    return (
        (better or (until is not None and until > occasion.now))
        and case.speaks
        and not case.over
        and case.alert.severity is Severity.BREACH
    )


def _cannot_wait(case: Case, occasion: Occasion) -> bool:
    """CRITICAL waits for nothing, and nothing for what was milder."""
    if not case.speaks or case.over or case.say is Reason.DIGEST:
        return False
    before = occasion.loudness.get(family_of(case.alert.problem.check), Severity.CRITICAL)
    return case.alert.severity is Severity.CRITICAL or case.alert.severity.rank > before.rank


def _held(case: Case, why: Reason, owed: Reason | None = None) -> Case:
    """`case` held back; what is owed stays owed, which for what waits for the digest is the digest."""
    kept = owed or (case.alert.owed if case.say is Reason.DIGEST else case.say)
    alert = case.alert if case.alert.owed is kept else replace(case.alert, owed=kept)
    return replace(case, alert=alert, held=why)
