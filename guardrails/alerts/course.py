"""How a problem moves between the severities, and since when: what settling, easing and resolving are decided by.

For each severity it is known since when the problem has been at or above it, or below it. What cannot be seen moves
nothing down: UNKNOWN says nothing about BREACH and CRITICAL, so a BREACH that becomes UNKNOWN goes on as one, and
one that was getting better is not getting better while it cannot be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guardrails.alerts.values import Problem, Severity

_ALL = len(Severity)
_SEEN_BY_UNKNOWN = Severity.UNKNOWN.rank + 1


@dataclass(frozen=True, slots=True)
class Course:
    """Where a problem stands."""

    height: int
    """how many severities it is at or above, from WATCH upwards: 0 is right, 4 is CRITICAL"""
    crossed: tuple[datetime, ...]
    """by rank of the severity: when it came above, or when it was first seen below"""
    veiled: int = _ALL
    """rank of the lowest severity of which it cannot be seen now whether it is below"""
    unseen: datetime | None = None
    """when it could last not be seen, of a BREACH or CRITICAL"""

    def earlier(self, by: timedelta) -> Course:
        """The same with all times moved back."""
        unseen = None if self.unseen is None else self.unseen - by
        return replace(self, crossed=tuple(time - by for time in self.crossed), unseen=unseen)

    def settled(self, waits: tuple[timedelta, ...], now: datetime) -> int:
        """Rank of the worst severity that it has been at or above for as long as `waits` asks by rank; -1 for none."""
        for rank in range(self.height - 1, -1, -1):
            if now - self.crossed[rank] >= waits[rank]:
                return rank
        return -1

    def eased(self, rank: int, calm: timedelta, now: datetime) -> int:
        """What is left of severity `rank` as it was below it, and those under it, for `calm`; -1 when it is over."""
        while self.height <= rank < self.veiled and now - self.crossed[rank] >= calm:
            rank -= 1
        return rank


def begun(problem: Problem, now: datetime) -> Course:
    """The course of a problem that is seen for the first time."""
    return Course(problem.severity.rank + 1, (now,) * _ALL)


def moved(course: Course, problem: Problem | None, held: Severity, now: datetime, *, unseen: bool) -> Course:
    """`course` after the problem was looked at: None is right, or only absent when it is `unseen`.

    `held` is the severity it counts as.
    """
    if problem is None:
        height, seen = (course.height, 0) if unseen else (0, _ALL)
    elif problem.severity is Severity.UNKNOWN:
        height, seen = max(course.height, _SEEN_BY_UNKNOWN), _SEEN_BY_UNKNOWN
    else:
        height, seen = problem.severity.rank + 1, _ALL
    veiled = _ALL if seen == _ALL else max(seen, height)
    dark = seen < _ALL and held.rank >= Severity.BREACH.rank
    if height == course.height and veiled == course.veiled and not dark:
        return course
    low, high = min(height, course.height), max(height, course.height)
    crossed = tuple(
        now if low <= rank < high or course.veiled <= rank < veiled else time
        for rank, time in enumerate(course.crossed)
    )
    return Course(height, crossed, veiled, now if dark else course.unseen)
