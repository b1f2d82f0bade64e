"""What was judged over time: limits at every point, and the level of every check and subject as lanes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, select

from guardrails.findings import Level
from guardrails.store.columns import LIVE
from guardrails.store.history import Figures, Interval, Totals
from guardrails.store.points import Points, chosen, fetch, thinned
from guardrails.store.quarters import MARKET_CLOSES, QUARTERS
from guardrails.store.schema import MATRIX_VERSIONS, REGIME_CHANGES, SNAPSHOTS
from guardrails.store.transitions import MOST_TRANSITIONS, transitions

TWO_SIDED = ("beta_delta",)
"""checks that hold the size of a figure against their limit, whatever its sign"""


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One measure and its limit at the points of a `Totals`; NaN is unknown, or not held against a limit then.

    What was judged UNKNOWN is unknown, also where a number stood beside it.
    """

    check: str
    subject: str
    unit: str
    value: Figures
    limit: Figures

    def use(self) -> Figures:
        """Share of the limit that is used; infinite where the limit is zero and something is held against it."""
        value, limit = self.value, self.limit
        if self.check in TWO_SIDED:
            value, limit = np.abs(value), np.abs(limit)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.maximum(value / limit, 0.0)
        share = np.where((limit == 0) & (value == 0), 0.0, share)
        return np.where((limit == 0) & (value != 0) & ~np.isnan(value), np.inf, share)


def worst_of(found: Sequence[LimitLine], check: str) -> LimitLine | None:
    """Of the portfolio's lines of `check` the one that uses most of its limit, at every point; None without any.

    Where one of them is unknown the worst is, unless another one is over its limit: that is proven.
    """
    own = [line for line in found if line.check == check and line.subject.startswith("portfolio")]
    if len(own) < 2:
        return own[0] if own else None
    values, limits = np.array([line.value for line in own]), np.array([line.limit for line in own])
    use = np.array([line.use() for line in own])
    unknown = (np.isnan(use) & ~np.isnan(limits)).any(axis=0)
    use[np.isnan(use)] = -np.inf
    place = np.expand_dims(use.argmax(axis=0), 0)
    value, limit = (np.take_along_axis(each, place, axis=0)[0] for each in (values, limits))
    value[unknown & ~(use.max(axis=0) > 1.0)] = np.nan
    return LimitLine(check, "portfolio", own[0].unit, value, limit)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time at one level; times in microseconds. The figures are those of its beginning."""

    begin: int
    end: int
    level: Level
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    message: str = ""
    matrix_version: str = ""
    evidence: str = ""
    """JSON"""


@dataclass(frozen=True, slots=True)
class Lane:
    """The levels of one check and subject, oldest first; between segments nothing is known."""

    check: str
    subject: str
    segments: tuple[Segment, ...]

    @property
    def worst(self) -> Level:
        """The worst level in it."""
        return max((segment.level for segment in self.segments), key=lambda level: level.rank)

    def seconds(self, level: Level) -> float:
        """How long it was at `level`."""
        return sum(segment.end - segment.begin for segment in self.segments if segment.level is level) / 1e6


@dataclass(frozen=True, slots=True)
class Turn:
    """A change of regime; time in microseconds."""

    time: int
    old: str | None
    new: str
    cause: str


def limits(connection: Connection, points: Points, at: Totals) -> list[LimitLine]:
    """Every measure that was held against a limit, at the points `at`, which were read for `points`."""
    found: dict[str, tuple[Figures, Figures, str]] = {}
    where = {int(key): i for i, key in enumerate(at.key)}
    for table, begin, end in ((QUARTERS, points.begin, points.raw_from), (SNAPSHOTS, points.raw_from, points.end)):
        for key, content in _contents(connection, table, points) if begin < end else ():
            place = where.get(key)
            if place is None or not content:
                continue
            for name, (value, limit, unit, *level) in json.loads(content).items():
                if name not in found:
                    found[name] = (np.full(len(at.key), np.nan), np.full(len(at.key), np.nan), unit)
                if value is not None and level != [Level.UNKNOWN.value]:
                    found[name][0][place] = value
                if limit is not None:
                    found[name][1][place] = limit
    lines = []
    for name, (values, bounds, unit) in sorted(found.items()):
        check, _, subject = name.partition(" ")
        lines.append(LimitLine(check, subject, unit, values, bounds))
    return lines


def _contents(connection: Connection, table: Table, points: Points) -> list[tuple[Any, ...]]:
    """Key and JSON of every row that is a point."""
    c, groups = table.c, thinned(table, points)
    query = select(c.time, c.limits)
    if groups is None:
        return fetch(connection, query.where(chosen(table, points)))
    own = c.book == points.book if table is QUARTERS else (c.book == points.book) & (c.origin == LIVE)
    return fetch(connection, query.join(groups, groups.c.key == c.time).where(own))


def lanes(
    connection: Connection, book: str, begin: int, end: int, covered: Sequence[Interval], most: int = MOST_TRANSITIONS
) -> tuple[list[Lane], int]:
    """A lane per check and subject, worst first, and the time from which they are complete; microseconds.

    `covered` are the stretches in which the program ran: no level is carried over a time outside them.
    """
    rows, complete_from = transitions(connection, book, begin, end, most)
    told: dict[tuple[str, str], list[Segment]] = {}
    for row in rows:
        told.setdefault((row[1], row[2]), []).append(_segment(row, complete_from))
    found = [Lane(*subject, tuple(_cut(_closed(segments, end), covered))) for subject, segments in sorted(told.items())]
    return sorted((lane for lane in found if lane.segments), key=_worst_first), complete_from


def _worst_first(lane: Lane) -> tuple[int, float, str, str]:
    return -lane.worst.rank, -lane.seconds(lane.worst), lane.check, lane.subject


def _segment(row: tuple[Any, ...], begin: int) -> Segment:
    """A row of `transitions` as a segment without an end; NOT_APPLICABLE: the finding is not made any more."""
    time, _, _, new, *figures = row
    return Segment(max(time, begin), 0, _level(new), *figures)


def _level(stored: str | None) -> Level:
    if stored is None:
        return Level.NOT_APPLICABLE
    try:
        return Level(stored)
    except ValueError:  # of a later version of the program
        return Level.UNKNOWN


def _closed(segments: Sequence[Segment], end: int) -> Iterable[Segment]:
    """Each until the next one begins, without what was not judged."""
    ends = [*(segment.begin for segment in segments[1:]), end]
    for segment, until in zip(segments, ends, strict=True):
        if segment.level is not Level.NOT_APPLICABLE and until > segment.begin:
            yield replace(segment, end=until)


def _cut(segments: Iterable[Segment], covered: Sequence[Interval]) -> Iterable[Segment]:
    """The parts of `segments` that lie in `covered`; both in order of time."""
    first = 0
    for segment in segments:
        while first < len(covered) and covered[first][1] <= segment.begin:
            first += 1
        for begin, end in covered[first:]:
            if begin >= segment.end:
                break
            if (start := max(begin, segment.begin)) < (stop := min(end, segment.end)):
                yield replace(segment, begin=start, end=stop)


def by_check(found: Iterable[Lane]) -> list[Lane]:
    """One lane per check: at every moment its worst subject, whose name the messages hold."""
    grouped: dict[str, list[Lane]] = {}
    for lane in found:
        grouped.setdefault(lane.check, []).append(lane)
    merged = [lanes[0] if len(lanes) == 1 else _merged(lanes) for lanes in grouped.values()]
    return sorted(merged, key=_worst_first)


def _merged(found: Sequence[Lane]) -> Lane:
    edges = sorted({edge for lane in found for segment in lane.segments for edge in (segment.begin, segment.end)})
    starts: dict[int, list[Segment]] = {}
    for lane in found:
        for segment in lane.segments:
            starts.setdefault(segment.begin, []).append(segment)
    alive: list[Segment] = []
    result: list[Segment] = []
    for begin, end in itertools.pairwise(edges):
        alive = [segment for segment in (*alive, *starts.get(begin, ())) if segment.end > begin]
        if not alive:
            continue
        worst = max(alive, key=lambda segment: (segment.level.rank, -segment.begin))
        if result and result[-1].end == begin and replace(worst, begin=0, end=0) == replace(result[-1], begin=0, end=0):
            result[-1] = replace(result[-1], end=end)
        else:
            result.append(replace(worst, begin=begin, end=end))
    return Lane(found[0].check, "", tuple(result))


def turns(connection: Connection, book: str, begin: int, end: int) -> list[Turn]:
    """The changes of regime from `begin` to before `end`, oldest first."""
    c = REGIME_CHANGES.c
    query = select(c.time, c.old, c.new, c.cause).where(c.book == book, c.time >= begin, c.time < end)
    return [Turn(*row) for row in fetch(connection, query.order_by(c.time, c.id))]


def closes(connection: Connection, book: str, first: str, last: str) -> Mapping[str, list[tuple[str, float | None]]]:
    """Official closes by symbol from the exchange day `first` to `last` (ISO dates), oldest first."""
    c = MARKET_CLOSES.c
    query = select(c.symbol, c.day, c.close).where(c.book == book, c.day >= first, c.day <= last)
    found: dict[str, list[tuple[str, float | None]]] = {}
    for symbol, day, close in fetch(connection, query.order_by(c.symbol, c.day)):
        found.setdefault(symbol, []).append((day, close))
    return found


def matrices(connection: Connection, book: str, versions: Iterable[str]) -> Mapping[str, str]:
    """The text of each matrix, by version; those that were not kept are left out."""
    c = MATRIX_VERSIONS.c
    query = select(c.hash, c.content).where(c.book == book, c.hash.in_(sorted(set(versions))))
    return {version: content for version, content in fetch(connection, query)}  # noqa: C416  # rows are any tuples to mypy
