"""What is wrong at one moment: the findings of a Snapshot that are not right, and what has just become of the regime.

Nothing is decided here but how loud it is. A problem that is seen to be right is told of only while not everything is
seen, as then what is missing must not be taken as over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from guardrails import calendar
from guardrails.alerts.families import REGIME_CHANGE, SAFETY_STATE, family_of
from guardrails.alerts.values import Problem, Severity
from guardrails.checks import NOT_CLEARED
from guardrails.findings import Finding, Level
from guardrails.matrix.alerts import AlertRules
from guardrails.snapshot import Change, Snapshot

NEWS_FOR = timedelta(days=4)
"""a change of regime is news for so long: one by Friday's close may be learned on the Tuesday after a long weekend"""
CYCLE = "task:cycle"
"""subject of the `engine` problem that no cycle comes at all"""
_READERS = (CYCLE, "task:assess", "task:read ", "task:hear ", "task:follow ")
"""tasks of the engine without which not everything is seen; those that keep, share or tidy are not among them"""
_LEVELS = {Level.WATCH: Severity.WATCH, Level.UNKNOWN: Severity.UNKNOWN, Level.BREACH: Severity.BREACH}
_LIMITED = {"NO_NEW_RISK": "only exits are taken", "REDUCE_ONLY": "only orders that reduce a position are taken"}
_STOPPED = "no order is taken"


def problems_of(snapshot: Snapshot, now: datetime, rules: AlertRules) -> tuple[Problem, ...]:
    """Everything that is wrong in `snapshot`, in its order; then the safety state, then news of the regime.

    A BREACH is CRITICAL when `rules` say so, when it is over its limit by as much as they say, and when it is a margin
    call, or an excess below zero, which is one in all but name.
    """
    wrong = [
        _problem(finding, _LEVELS[finding.level], now, rules)
        for finding in snapshot.findings
        if finding.level in _LEVELS
    ]
    if any(blinds(problem) for problem in wrong):
        wrong += [_right(finding) for finding in snapshot.findings if finding.level is Level.OK]
    return (*wrong, *_safety(snapshot), *_news(snapshot, now))


def blinds(problem: Problem) -> bool:
    """Whether not everything is seen because of it: a source does not speak, or the engine cannot read or assess."""
    if problem.right or problem.severity is Severity.WATCH:
        return False
    return problem.check == "source_state" or (problem.check == "engine" and problem.subject.startswith(_READERS))


def _problem(finding: Finding, severity: Severity, now: datetime, rules: AlertRules) -> Problem:
    problem = Problem(
        check=finding.check,
        subject=finding.subject,
        severity=severity,
        message=finding.message,
        value=finding.value,
        limit=finding.limit,
        unit=finding.unit,
        headroom=finding.headroom,
        data_age_seconds=finding.data_age_seconds,
        next_action=finding.next_action,
        follows=severity is Severity.UNKNOWN and NOT_CLEARED in finding.evidence,
        grace_until=_grace(finding, now),
    )
    critical = severity is Severity.BREACH and _is_critical(problem, rules)
    return replace(problem, severity=Severity.CRITICAL) if critical else problem


def _is_critical(problem: Problem, rules: AlertRules) -> bool:
    """Of a BREACH."""
    called = problem.check == "account_data"  # its only BREACH is a margin call
    broke = problem.check == "margin_cushion" and problem.value is not None and problem.value < 0
    # a book of one underlying is over its share every morning, which wakes nobody
    far = problem.overshoot >= rules.critical_over and family_of(problem.check) != "concentration"
    return called or broke or far or problem.check in rules.critical


def _right(finding: Finding) -> Problem:
    return Problem(finding.check, finding.subject, Severity.WATCH, finding.message, right=True)


def _grace(finding: Finding, now: datetime) -> datetime | None:
    """Until when a BREACH is not shouted because only the limit moved; None when it is or when that time is over."""
    if finding.level is not Level.BREACH or finding.evidence.get("cause") != "limit":
        return None
    told = finding.evidence.get("grace_until")
    try:
        until = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:  # a grace that cannot be read is none: it is shouted
        return None
    return until if until is not None and until.tzinfo is not None and until > now else None


def _safety(snapshot: Snapshot) -> Iterator[Problem]:
    """That trading is restricted or stopped; a state that is not known here is taken for the worst."""
    state = snapshot.safety_state
    if state == "NORMAL":
        return
    severity = Severity.BREACH if state in _LIMITED else Severity.CRITICAL
    text = f"The safety state is {state}: {_LIMITED.get(state, _STOPPED)}."
    action = "See why, then step back to NORMAL." if state in _LIMITED else "Step to REDUCE_ONLY to take risk off."
    yield Problem(SAFETY_STATE, "portfolio", severity, text, next_action=action)


def _news(snapshot: Snapshot, now: datetime) -> Iterator[Problem]:
    """One problem per change of regime of the last days, oldest first; each has a subject of its own."""
    for change in reversed(snapshot.changes):
        if change.old is not None and now - change.time < NEWS_FOR:
            yield _change(change)


def _change(change: Change) -> Problem:
    local = change.time.astimezone(calendar.NEW_YORK)
    limits = f" Limits now: {'; '.join(text.rstrip('.') for text in change.targets)}." if change.targets else ""
    return Problem(
        check=REGIME_CHANGE,
        subject=f"portfolio:{change.new}, {local.day} {local:%b %H:%M:%S} ET",
        severity=Severity.WATCH,
        message=f"The regime changed from {change.old} to {change.new}: {change.cause}.{limits}",
        next_action="Look at what is near or over the limits that are in force now.",
        news=True,
    )
