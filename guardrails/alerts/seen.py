"""Cycles that wait for the desk: none of the queue's work is the engine's while the desk keeps up."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from guardrails.alerts.problems import problems_of
from guardrails.alerts.settling import step_of
from guardrails.alerts.values import Severity
from guardrails.matrix.alerts import AlertRules
from guardrails.snapshot import Snapshot

log = logging.getLogger(__name__)

MOST = 100
"""moments of their own; beyond, the oldest give way, those with something CRITICAL last"""
_Grades = frozenset[tuple[str, str, int]] | None
"""how bad each problem is, by identity; None where it cannot be told"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One cycle."""

    snapshot: Snapshot
    rules: AlertRules
    time: datetime
    """when it was handed over"""
    at: float
    """and by the steady clock"""
    generation: int
    """which watch it belongs to"""


class SeenQueue:
    """In order; when the desk lags, of several in a row in which all is as bad only the first and the last remain."""

    def __init__(self, clock: Callable[[], datetime], most: int = MOST) -> None:
        self._clock, self._most = clock, most
        self._guard = threading.Lock()
        self._waiting: deque[tuple[Seen, _Grades]] = deque()
        """the first without its grades until they are asked for: mostly nothing comes behind it"""
        self._lost = 0
        """moments unlike those before them that gave way"""

    def put(self, snapshot: Snapshot, rules: AlertRules, generation: int, at: float) -> None:
        """Queue one more."""
        with self._guard:
            seen = Seen(snapshot, rules, self._clock(), at, generation)
            if not self._waiting:
                self._waiting.append((seen, None))
                return
            if len(self._waiting) == 1:
                self._waiting[0] = self._waiting[0][0], _grades(self._waiting[0][0])
            grades = _grades(seen)
            if grades is not None and [known for _, known in list(self._waiting)[-2:]] == [grades, grades]:
                self._waiting.pop()
            self._waiting.append((seen, grades))
            if len(self._waiting) > self._most:
                quiet = (place for place in range(self._most) if not _is_loud(self._waiting[place][1]))
                del self._waiting[next(quiet, 0)]
                self._lost += 1

    def take(self) -> tuple[list[Seen], datetime]:
        """All that wait, and the time: not before that of any of them, nor after that of any to come."""
        with self._guard:
            taken = [seen for seen, _ in self._waiting]
            self._waiting.clear()
            if self._lost:
                log.critical("%d cycles came while the alerts lagged, and were not looked at", self._lost)
                self._lost = 0
            return taken, self._clock()


def _grades(seen: Seen) -> _Grades:
    """By severity, and by the steps over the limit."""
    try:
        return frozenset(
            (problem.identity, problem.severity.value, step_of(problem, seen.rules.worse_by))
            for problem in problems_of(seen.snapshot, seen.time, seen.rules)
            if not problem.right
        )
    except Exception:  # the desk says what is wrong with it; here nobody is to wait or to fail
        return None


def _is_loud(grades: _Grades) -> bool:
    return grades is None or any(severity == Severity.CRITICAL.value for _, severity, _ in grades)
