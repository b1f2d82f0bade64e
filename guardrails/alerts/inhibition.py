"""What follows from something else that is wrong is not told beside it. It mutes the message, never the light.

Only what is UNKNOWN can be a mere consequence: a BREACH or CRITICAL is told whatever else is wrong. It is one when it
says so itself, or while people hear of its cause, when that is of the same broker or stops the whole program: of a
cause that somebody has acknowledged or silenced nothing else follows. What began before its would-be cause is not its
consequence. When the cause is over, what is still wrong is told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guardrails.alerts.families import family_of
from guardrails.alerts.occasion import Case, Occasion
from guardrails.alerts.problems import blinds, broker_of
from guardrails.alerts.values import Alert, Problem, Reason, Severity

BEFORE = timedelta(seconds=5)
"""a cause may be seen so much later than its consequence: sources are read one after the other"""
_UNKNOWN = Severity.UNKNOWN
_MEASURED = frozenset({"data", "greeks", "concentration", "stress", "regime"})
"""families that rest on quotes, Greeks and positions; margin, loss and expiry of an account are muted only where they
say themselves that they follow"""


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While `cause` is UNKNOWN or worse, what it mutes: of its own broker, or all when it is of no source."""

    cause: str
    """a check"""
    families: frozenset[str] = frozenset()
    checks: frozenset[str] = frozenset()
    tasks: tuple[str, ...] = ()
    """tasks of the engine, for the source of the cause"""


TABLE = (
    Inhibition("source_state", _MEASURED, frozenset({"account_data"}), ("task:read ", "task:hear ")),
    Inhibition("engine", _MEASURED, frozenset({"account_data"})),
    Inhibition("account_data"),
)
"""each row also mutes what says itself that it follows. Halted trading has no row: nothing that is found today follows
from it"""
_CAUSES = frozenset(row.cause for row in TABLE)


def inhibit(cases: Sequence[Case], occasion: Occasion) -> list[Case]:  # noqa: ARG001  # as every stage
    """Hold back what follows from another alert, open or settling."""
    causes = [
        (row, sorted(found, key=_since))
        for row in TABLE
        if (found := [case.alert for case in cases if case.alert.problem.check == row.cause and _is_cause(case, row)])
    ]
    if not causes:
        return list(cases)
    recovering = {
        case.alert.identity
        for case in cases
        if case.alert.problem.check in _CAUSES and not case.over and not case.course.height
    }
    return [
        _inhibited(case, causes, recovering) if case.is_open and case.alert.severity is _UNKNOWN else case
        for case in cases
    ]


def _is_cause(case: Case, row: Inhibition) -> bool:
    alert = case.alert
    if case.over or alert.severity.rank < _UNKNOWN.rank or (alert.fired is None and not case.course.height):
        return False
    if row.cause == "account_data":
        return alert.severity is _UNKNOWN  # a margin call explains nothing
    return row.cause != "engine" or blinds(replace(alert.problem, severity=alert.severity))


def _inhibited(case: Case, causes: Sequence[tuple[Inhibition, list[Alert]]], recovering: AbstractSet[str]) -> Case:
    """`case` held back by the last cause that was there when it began, or, as figures come in one by one, by the one it
    followed from until that is over."""
    alert = case.alert
    if alert.held is Reason.HELD_INHIBITED and alert.held_by in recovering:
        return replace(case, held=Reason.HELD_INHIBITED, held_by=alert.held_by)
    began = case.course.crossed[_UNKNOWN.rank] + BEFORE
    for row, found in causes:
        there = found[: bisect_right(found, began, key=_since)]
        cause = _cause(alert.problem, row, there)
        if cause is not None:
            if any(reason is Reason.WORSENED for reason, _ in case.facts):
                alert = replace(alert, owed=Reason.WORSENED)  # should it outlive its cause
            return replace(case, alert=alert, held=Reason.HELD_INHIBITED, held_by=cause.identity)
    return case


def _cause(problem: Problem, row: Inhibition, there: Sequence[Alert]) -> Alert | None:
    """The last of the alerts `there` that mutes this problem by `row`."""
    if not there or problem.check == row.cause:
        return None
    if problem.check == "engine":
        names = {problem.subject.removeprefix(task) for task in row.tasks if problem.subject.startswith(task)}
        return next((one for one in reversed(there) if one.problem.subject.removeprefix("source:") in names), None)
    if problem.follows:
        return there[-1]
    if problem.check not in row.checks and family_of(problem.check) not in row.families:
        return None
    broker = broker_of(problem.subject)
    return next((one for one in reversed(there) if _is_heard(one) and _source_of(one.problem) in ("", broker)), None)


def _is_heard(cause: Alert) -> bool:
    return cause.acknowledgement is None and cause.silence is None


def _source_of(problem: Problem) -> str:
    """The source that a cause is of, in small letters; nothing when it stops the whole program."""
    kind, _, name = problem.subject.partition(":")
    if kind == "task":
        name = name.partition(" ")[2]
    return name.casefold()


def _since(alert: Alert) -> datetime:
    return alert.since
