"""What follows from something else that is wrong is not told beside it. It mutes the message, never the light.

Only what is UNKNOWN can be a mere consequence: a BREACH or CRITICAL is told whatever else is wrong. What began before
its would-be cause is not its consequence. When the cause is over, what is still wrong is told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guardrails.alerts.families import family_of
from guardrails.alerts.occasion import Case, Occasion
from guardrails.alerts.problems import blinds
from guardrails.alerts.values import Alert, Problem, Reason, Severity

BEFORE = timedelta(seconds=5)
"""a cause may be seen so much later than its consequence: sources are read one after the other"""
_UNKNOWN = Severity.UNKNOWN
_MEASURED = frozenset({"data", "greeks", "concentration", "stress", "regime"})
"""families that rest on quotes, Greeks and positions; margin, loss and expiry of an account are muted only where they
say themselves that they follow"""


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While `cause` is UNKNOWN or worse, what it mutes."""

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


def inhibit(cases: Sequence[Case], occasion: Occasion) -> list[Case]:  # noqa: ARG001  # as every stage
    """Hold back what follows from another alert, open or settling."""
    causes = [
        (row, sorted(found, key=_since))
        for row in TABLE
        if (found := [case.alert for case in cases if case.alert.problem.check == row.cause and _is_cause(case, row)])
    ]
    if not causes:
        return list(cases)
    return [_inhibited(case, causes) if case.is_open and case.alert.severity is _UNKNOWN else case for case in cases]


def _is_cause(case: Case, row: Inhibition) -> bool:
    alert = case.alert
    if case.over or alert.severity.rank < _UNKNOWN.rank:
        return False
    if row.cause == "account_data":
        return alert.severity is _UNKNOWN  # a margin call explains nothing
    return row.cause != "engine" or blinds(replace(alert.problem, severity=alert.severity))


def _inhibited(case: Case, causes: Sequence[tuple[Inhibition, list[Alert]]]) -> Case:
    """`case` held back by the last cause that was there when it began."""
    alert = case.alert
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
    mutes = problem.follows or problem.check in row.checks or family_of(problem.check) in row.families
    return there[-1] if mutes else None


def _since(alert: Alert) -> datetime:
    return alert.since
