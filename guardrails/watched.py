"""For how long a stored moment speaks: until the next one, unless nobody watched in between.

Whole moments are stored once a minute in an open market, older ones are thinned to one in a quarter of an hour, and
there is one in a quarter of an hour in a closed market; changes of level add to them. So what is usual differs from
day to day, and is told here from the moments themselves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from guardrails import calendar

LONGEST = timedelta(minutes=30)
"""no moment speaks for longer, and none for less than this in a closed market"""
SHORTEST = timedelta(seconds=150)
"""what lies closer is never a hole: moments are stored at least a minute apart, but for changes of level"""
_TIMES = 2.5
"""a moment speaks for so many times the usual spacing: one moment that is left out is no hole"""
_RECENT = timedelta(hours=2)
"""of open market, from which the usual spacing is told"""


@dataclass(slots=True)
class Watch:
    """The moments of a range, oldest first, and when somebody watched."""

    times: list[datetime] = field(default_factory=list)
    _speaks: list[timedelta] = field(default_factory=list)
    """how long each but the last spoke at most while the market was open"""
    _recent: deque[timedelta] = field(default_factory=deque)
    """the last distances between two moments of one session"""
    _covered: timedelta = timedelta()
    """their sum"""

    def heard(self, time: datetime) -> timedelta | None:
        """Take one more moment; for how long the one before it spoke, None when it is the first."""
        held = self._held(self.times[-1], time) if self.times else None
        self.times.append(time)
        return held

    def is_whole(self, begin: datetime, until: datetime) -> bool:
        """Whether somebody watched from `begin` to `until` whenever the market was open."""
        sessions = sessions_in(begin, until)
        for nth in range(bisect_left(self.times, begin), len(self.times)):
            time, is_last = self.times[nth], nth == len(self.times) - 1
            following = until if is_last else min(self.times[nth + 1], until)
            if following - time > SHORTEST:
                most = self._most() if is_last else self._speaks[nth]
                if any(min(following, closed) - max(time, opened) > most for opened, closed in sessions):
                    return False
        return True

    def _held(self, begin: datetime, end: datetime) -> timedelta:
        apart = end - begin
        most = SHORTEST if apart <= SHORTEST else self._most()
        self._speaks.append(most)
        if not calendar.is_open(begin) or end > calendar.session_bounds(calendar.session_of(begin))[1]:
            return min(apart, LONGEST)
        if apart <= LONGEST:
            self._recent.append(apart)
            self._covered += apart
            while self._covered > _RECENT:
                self._covered -= self._recent.popleft()
        return min(apart, most)

    def _most(self) -> timedelta:
        """How long a moment of an open market speaks: half of the last hours lies in distances as long as usual, so
        neither a hole nor many changes of level move it."""
        passed = timedelta()
        for apart in sorted(self._recent, reverse=True):
            passed += apart
            if 2 * passed >= self._covered:
                return min(max(_TIMES * apart, SHORTEST), LONGEST)
        return LONGEST


def sessions_in(begin: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """Open and close of every session that has a part from `begin` to `until`, oldest first."""
    first, last = calendar.session_of(begin), calendar.session_of(until)
    days = (first, *calendar.sessions_between(first, last))
    bounds = [calendar.session_bounds(day) for day in days]
    return [(opened, closed) for opened, closed in bounds if opened < until and closed > begin]
