"""Which hours the time axis leaves out: those in which the market was closed and nothing was kept for long.

A silence while the market is open is never left out, and neither is a short one in closed hours: whoever keeps the
program running over night for futures wants to see where it failed.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta

import numpy as np
import pandas as pd

from guardrails import calendar
from guardrails.store.history import Interval, Times
from guardrails.store.metadata import micros, moment
from pages._history import Past, wall

LEAST = 6 * 3_600_000_000
"""microseconds; a shorter silence in closed hours stays a gap"""
MOST = 1_300
"""stretches that are left out, five years of nights; of more the longest, or a browser has too much to fold"""
_LATE, _MARGIN = 0.1, 0.03
"""a range of which the first tenth and more is empty is not drawn from its beginning, but from so much before"""
_CLOSES_COUNT = 5 * 86_400_000_000
"""microseconds; in a range as long, daily closes of VIX are something to see"""
_AROUND = timedelta(days=10)
"""longer than the exchange was ever closed in these years"""


@dataclass(frozen=True, slots=True)
class Axis:
    """The time that is drawn, in microseconds: from `begin` to `end` without `folds`, which lie inside, in order."""

    begin: int
    end: int
    folds: tuple[Interval, ...] = ()

    _hidden: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """how much the first folds hide together, from none of them on"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hidden", (0, *itertools.accumulate(last - first for first, last in self.folds)))

    def seen(self, span: Interval) -> int:
        """How much of `span` is drawn."""
        begin, end = (min(max(edge, self.begin), self.end) for edge in span)
        return max(end - self._hidden_before(end) - begin + self._hidden_before(begin), 0)

    def _hidden_before(self, time: int) -> int:
        nth = bisect_left(self.folds, (time, time))
        over = max(self.folds[nth - 1][1] - time, 0) if nth else 0
        return self._hidden[nth] - over

    def drawn(self, times: Sequence[int]) -> Times:
        """Where `times` stand, in milliseconds of New York time; what lies in a fold stands where that ends."""
        found = np.array(times, dtype=np.int64)
        for first, last in self.folds:
            found[(found > first) & (found < last)] = last
        return wall(found)

    @property
    def length(self) -> int:
        """How much time is drawn; at least one microsecond."""
        return max(self.seen((self.begin, self.end)), 1)

    def breaks(self) -> list[dict[str, list[str]]]:
        """The folds as Plotly takes them. What held until a fold begins is still drawn at its edge."""
        edges = wall(np.array(self.folds, dtype=np.int64).ravel())
        told = pd.DatetimeIndex((edges + np.tile([1, 0], len(self.folds))).astype("datetime64[ms]"))
        texts = [stamp.isoformat(sep=" ", timespec="milliseconds") for stamp in told]
        return [{"bounds": list(pair)} for pair in zip(texts[::2], texts[1::2], strict=True)]


def axis_of(past: Past) -> Axis:
    """The axis of `past`: from its first moment to its last one, closed hours without data left out."""
    begin, end = _first_shown(past), past.points.end
    covered = sorted([*past.totals.covered(), *((time, time) for time in past.records.time.tolist())])
    found = folds(covered, begin, end)
    if found and found[0][0] == begin:
        begin, found = found[0][1], found[1:]
    if found and found[-1][1] == end:
        end, found = found[-1][0], found[:-1]
    return Axis(begin, end, tuple(found))


def folds(covered: Sequence[Interval], begin: int, end: int) -> list[Interval]:
    """The stretches between `begin` and `end` that are left out, oldest first; `covered` is in order of time.

    A silence that goes on before `begin` is longer than is seen, and is left out whatever is seen of it.
    """
    silent = _between(covered, begin, end)
    found: list[Interval] = []
    nth = 0
    for first, last in closed_hours(begin, end):
        while nth < len(silent) and silent[nth][1] <= first:
            nth += 1
        for gap in silent[nth:]:
            if gap[0] >= last:
                break
            part = max(gap[0], first), min(gap[1], last)
            if part[1] - part[0] >= LEAST or part[0] == begin:
                found.append(part)
    return found if len(found) <= MOST else sorted(sorted(found, key=lambda part: part[0] - part[1])[:MOST])


def _between(covered: Sequence[Interval], begin: int, end: int) -> list[Interval]:
    """The stretches from `begin` to `end` outside `covered`, whose members may overlap."""
    found: list[Interval] = []
    reached = begin
    for first, last in (*covered, (end, end)):
        if min(first, end) > reached:
            found.append((reached, min(first, end)))
        reached = max(reached, last)
    return found


def closed_hours(begin: int, end: int) -> list[Interval]:
    """The stretches between closing and opening bells that touch the time from `begin` to `end`."""
    days = calendar.sessions_between(
        calendar.exchange_date(moment(begin)) - _AROUND, calendar.exchange_date(moment(end)) + _AROUND
    )
    bells = [tuple(micros(bell) for bell in calendar.session_bounds(day)) for day in days]
    hours = [(before[1], after[0]) for before, after in itertools.pairwise(bells)]
    return [(first, last) for first, last in hours if first < end and last > begin]


def _first_shown(past: Past) -> int:
    """Where the axis begins: with the range, or shortly before the first thing that is kept in it."""
    begin, end = past.points.begin, past.points.end
    told = [*past.totals.begin[:1].tolist(), *past.records.time[:1].tolist()]
    if end - begin >= _CLOSES_COUNT:  # closes of a year are a history, those of the day before are not
        told += [micros(calendar.at(date.fromisoformat(days[0][0]), time(16))) for days in past.closes.values() if days]
    first = max(min(told, default=begin), begin)
    return begin if first - begin < _LATE * (end - begin) else first - round(_MARGIN * (end - first))
