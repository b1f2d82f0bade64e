"""Cycles that wait for the desk: none of the queue's work is the engine's while the desk keeps up."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from guardrails.findings import Level
from guardrails.matrix.alerts import AlertRules
from guardrails.snapshot import Snapshot

log = logging.getLogger(__name__)

MOST = 100
"""moments with levels of their own; beyond, the oldest give way"""


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
    """In order; when the desk lags, of several in a row with the same levels only the first and the last remain."""

    def __init__(self, clock: Callable[[], datetime], most: int = MOST) -> None:
        self._clock, self._most = clock, most
        self._guard = threading.Lock()
        self._waiting: deque[tuple[Seen, frozenset[tuple[str, str, Level]] | None]] = deque()
        self._lost = 0
        """moments whose levels had changed and that gave way"""

    def put(self, snapshot: Snapshot, rules: AlertRules, generation: int, at: float) -> None:
        """Queue one more."""
        with self._guard:
            seen = Seen(snapshot, rules, self._clock(), at, generation)
            if not self._waiting:
                self._waiting.append((seen, None))
                return
            levels = _levels(seen)
            same = len(self._waiting) > 1 and self._waiting[-1][1] == levels
            if same and (self._waiting[-2][1] or _levels(self._waiting[-2][0])) == levels:
                self._waiting.pop()
            self._waiting.append((seen, levels))
            if len(self._waiting) > self._most:
                self._waiting.popleft()
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


def _levels(seen: Seen) -> frozenset[tuple[str, str, Level]]:
    findings = seen.snapshot.findings
    return frozenset(
        (finding.check, finding.subject, finding.level)
        for finding in findings
        if finding.level.rank >= Level.WATCH.rank
    )
