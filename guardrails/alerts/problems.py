"""What is wrong at one moment: the findings of a Snapshot that are not right, and what has just become of the regime.

Nothing is decided here but how loud it is. What is seen to be right, and which accounts are seen at all, is told of as
well: what is missing must not be taken as over where nobody looked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from textwrap import shorten

from guardrails import calendar
from guardrails.alerts.families import REGIME_CHANGE, SAFETY_STATE, family_of
from guardrails.alerts.regime_news import limits_now
from guardrails.alerts.values import Problem, Severity
from guardrails.checks import NOT_CLEARED
from guardrails.checks.stress import COMPILATION, WAITS_FOR
from guardrails.findings import Finding, Level
from guardrails.matrix.alerts import AlertRules
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change

NEWS_FOR = timedelta(days=4)
"""a change of regime is news for so long: one by Friday's close may be learned on the Tuesday after a long weekend"""
CYCLE = "task:cycle"
"""subject of the `engine` problem that no cycle comes at all"""
_READERS = (CYCLE, "task:assess", "task:read ", "task:hear ", "task:follow ")
"""tasks of the engine without which not everything is seen; those that keep, share or tidy are not among them"""
ACCOUNTS = Problem("account_data", "portfolio", Severity.WATCH, "Every account is named.", right=True)
"""says that the accounts which `account_data` names are all that are seen; what is about another is not seen"""
_ACCOUNT = re.compile(r"(?:account|position):([^•]+ •••[^\s:]+)")
COMPILE_SECONDS = 180.0
"""what waits for the pricing kernels is no news for so long: at the very first start they compile for up to a minute"""
_LEVELS = {Level.WATCH: Severity.WATCH, Level.UNKNOWN: Severity.UNKNOWN, Level.BREACH: Severity.BREACH}
_LONGEST_CAUSE = 90
"""characters of why the regime changed; what somebody wrote who set it by hand may have any length"""
_LIMITED = {"NO_NEW_RISK": "only exits are taken", "REDUCE_ONLY": "only orders that reduce a position are taken"}
_STOPPED = "no order is taken"


def problems_of(snapshot: Snapshot, now: datetime, rules: AlertRules) -> tuple[Problem, ...]:
    """Everything that is wrong in `snapshot`, in its order; then what is right, the safety state, news of the regime.

    A BREACH is CRITICAL when `rules` say so, when it is over its limit by as much as they say, and when it is a margin
    call, or an excess below zero, which is one in all but name.
    """
    wrong = [
        _problem(finding, _LEVELS[finding.level], now, rules)
        for finding in snapshot.findings
        if finding.level in _LEVELS
    ]
    right = [_right(finding) for finding in snapshot.findings if finding.level is Level.OK]
    return (*wrong, *right, ACCOUNTS, *_safety(snapshot), *_news(snapshot, now))


def blinds(problem: Problem) -> bool:
    """Whether not everything is seen because of it: a source does not speak, or the engine cannot read or assess."""
    if problem.right or problem.severity is Severity.WATCH:
        return False
    return problem.check == "source_state" or (problem.check == "engine" and problem.subject.startswith(_READERS))


def account_of(subject: str) -> str:
    """The account a subject is about, `IBKR •••4567`; nothing when it is about more than one."""
    found = _ACCOUNT.match(subject)
    return found[1] if found else ""


def broker_of(subject: str) -> str:
    """The broker of that account, in small letters; nothing when there is none."""
    return account_of(subject).partition(" •••")[0].casefold()


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
        concerns=_concerns(finding, severity),
        wait_seconds=_wait_seconds(finding, severity),
        watch=_watch(finding),
        grace_until=_grace(finding, now),
    )
    critical = severity is Severity.BREACH and _is_critical(problem, rules)
    return replace(problem, severity=Severity.CRITICAL) if critical else problem


def _concerns(finding: Finding, severity: Severity) -> tuple[str, ...]:
    """The underlyings of which a share cannot be known, where it is only those."""
    missing = finding.evidence.get("missing")
    if severity is not Severity.UNKNOWN or family_of(finding.check) != "concentration" or not isinstance(missing, list):
        return ()
    return tuple(f"underlying:{name}" for name in missing)


def _wait_seconds(finding: Finding, severity: Severity) -> float:
    compiles = severity is Severity.UNKNOWN and finding.evidence.get(WAITS_FOR) == COMPILATION
    return COMPILE_SECONDS if compiles else 0.0


def _watch(finding: Finding) -> float | None:
    bound = finding.evidence.get("watch_at")
    return float(bound) if isinstance(bound, int | float) else None


def _is_critical(problem: Problem, rules: AlertRules) -> bool:
    """Of a BREACH."""
    called = problem.check == "account_data"  # its only BREACH is a margin call
    broke = problem.check == "margin_cushion" and problem.value is not None and problem.value < 0
    # a book of one underlying is over its share every morning, and of a limit of zero nothing is so many times
    counts = problem.limit != 0 and family_of(problem.check) != "concentration"
    far = counts and problem.overshoot >= rules.critical_over
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
            yield _change(change, limits_now(snapshot, now) if change is snapshot.changes[0] else "")


def _change(change: Change, limits: str) -> Problem:
    """`limits` says what is over or near those that are in force now; nothing of a change that another has followed."""
    local = change.time.astimezone(calendar.NEW_YORK)
    why = shorten(change.cause, _LONGEST_CAUSE, placeholder=" …")
    return Problem(
        check=REGIME_CHANGE,
        subject=f"portfolio:{change.new}, {local.day} {local:%b %H:%M:%S} ET",
        severity=Severity.WATCH,
        message=f"The regime changed from {change.old} to {change.new}: {why}.{limits}",
        next_action="Look at what is near or over the limits that are in force now.",
        news=True,
    )
