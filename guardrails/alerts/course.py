"""How a problem moves between the severities, and since when: what settling, easing and resolving are decided by.

For each severity it is known since when the problem has been at or above it, or below it. What cannot be seen moves
nothing down: UNKNOWN says nothing about BREACH and CRITICAL, so a BREACH that becomes UNKNOWN goes on as one, and
one that was getting better is not getting better while it cannot be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    rose: tuple[datetime | None, ...] = (None,) * _ALL
    """by rank: since when it had been above before it was last below; None when it never was"""

    def earlier(self, by: timedelta) -> Course:
        """The same with all times moved back."""
        unseen = None if self.unseen is None else self.unseen - by
        rose = tuple(None if time is None else time - by for time in self.rose)
        return replace(self, crossed=tuple(time - by for time in self.crossed), unseen=unseen, rose=rose)

    def settled(self, waits: tuple[timedelta, ...], now: datetime) -> int:
        """Rank of the worst severity that it has been at or above for as long as `waits` asks by rank; -1 for none."""
        for rank in range(self.height - 1, -1, -1):
            if now - self.crossed[rank] >= waits[rank]:
                return rank
        return -1

    def is_forgotten(self, rank: int, waits: Sequence[timedelta], now: datetime) -> bool:
        """Of what is below severity `rank`: whether it was that for so long that it had not been there before."""
        before = self.rose[rank]
        return before is None or now - self.crossed[rank] >= min(waits[rank], self.crossed[rank] - before)

    def eased(self, rank: int, calm: timedelta, now: datetime) -> int:
        """What is left of severity `rank` as it was below it, and those under it, for `calm`; -1 when it is over."""
        while self.height <= rank < self.veiled and now - self.crossed[rank] >= calm:
            rank -= 1
        return rank


def begun(problem: Problem, now: datetime) -> Course:
    """The course of a problem that is seen for the first time."""
    return Course(problem.severity.rank + 1, (now,) * _ALL)


def moved(
    course: Course, problem: Problem | None, held: Severity, waits: Sequence[timedelta], now: datetime, *, unseen: bool
) -> Course:
    """`course` after the problem was looked at: None is right, or only absent when it is `unseen`.

    `held` is the severity it counts as. What was below a severity for less long than `waits` asks by rank, and than it
    had been there before, was there all the time: a feed that speaks for two seconds of each thirty counts as silent.
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
    crossed, rose = list(course.crossed), list(course.rose)
    for rank in range(_ALL):
        if height <= rank < course.height:
            rose[rank], crossed[rank] = crossed[rank], now
        elif course.height <= rank < height:
            before = rose[rank]
            crossed[rank] = now if before is None or course.is_forgotten(rank, waits, now) else before
        elif course.veiled <= rank < veiled:
            crossed[rank] = now
    return Course(height, tuple(crossed), veiled, now if dark else course.unseen, tuple(rose))
