"""The totals of a book over a range of time, as columns for charts and downloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from sqlalchemy import Connection, Table

from guardrails.store.point_columns import Columns, read
from guardrails.store.points import (
    MOST_POINTS,
    Points,
    every_row,
    fewer,
    held_at_most,
    silences,
    thinned,
)
from guardrails.store.quarters import QUARTER_MICROS, QUARTERS
from guardrails.store.schema import SNAPSHOTS

Times = npt.NDArray[np.int64]
Figures = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Interval = tuple[int, int]
"""microseconds"""

CHARTED = (
    "net_liquidation", "beta_delta_dollars", "beta_delta_spx", "theta_per_day", "theta_vega_ratio", "vix", "vix3m",
)  # fmt: skip
EVERY_FIGURE = (
    *CHARTED, "delta_dollars", "beta_delta_spy", "gamma_1pct_dollars", "vega_per_point", "vega_30d_per_point",
)  # fmt: skip
_MISSED = 2
"""periods without a row after which the program is taken not to have run"""
_AROUND = 21
"""neighbouring rows whose usual distance is taken for that of the program that wrote them"""
_SLOWEST = 900_000_000
"""microseconds; no program is set to write its rows at a longer distance"""


@dataclass(frozen=True, slots=True)
class Totals:
    """Points in order of time, as columns of one length; NaN is unknown."""

    key: Times
    """time of the row the figures were read from"""
    time: Times
    """moment of the figures"""
    until: Times
    """they held until then, because nothing had changed"""
    begin: Times
    """first and last moment that the rows of a point tell of"""
    end: Times
    apart: Mask
    """before or within this point nothing was kept for a while: a line must not lead there"""
    level: tuple[str, ...]
    """of everything, as it is stored; the worst within a quarter"""
    regime: tuple[str, ...]
    matrix_version: tuple[str, ...]
    low: Figures
    """extremes of net liquidation within the point"""
    high: Figures
    figures: Mapping[str, Figures]
    rows: Times
    """how many each point tells of"""
    unknown: Times
    """how many among them have no known net liquidation"""
    silent: tuple[Interval, ...]
    """the stretches between and within points in which nothing was kept, oldest first"""

    def covered(self) -> list[Interval]:
        """The stretches of time in which the program ran, oldest first."""
        if not len(self.key):
            return []
        begins = [int(self.begin[0]), *(end for _, end in self.silent)]
        ends = [*(begin for begin, _ in self.silent), int(self.end[-1])]
        return list(zip(begins, ends, strict=True))


def totals(
    connection: Connection,
    book: str,
    begin: datetime,
    end: datetime,
    period_seconds: float = 15.0,
    names: Sequence[str] = CHARTED,
    most: int = MOST_POINTS,
) -> tuple[Points, Totals]:
    """The figures `names` from `begin` to before `end`, about `most` points at most, and which rows they are of.

    Net liquidation must be the first of `names`; `period_seconds` is how often a row is written.
    """
    points = every_row(connection, book, begin, end, period_seconds, most)
    found = totals_at(connection, points, names)
    if len(found.key) > most and not points.raw_width:  # counting first would take half as long again
        points = fewer(connection, points, most)
        found = totals_at(connection, points, names)
    return points, found


def totals_at(connection: Connection, points: Points, names: Sequence[str] = CHARTED) -> Totals:
    """The figures `names` of these points; net liquidation must be the first."""
    old = _part(connection, QUARTERS, points, names) if points.raw_from > points.begin else None
    new = _part(connection, SNAPSHOTS, points, names) if points.raw_from < points.end else None
    if old is not None and new is not None:
        return _joined(old, new, points)
    return old or new or _empty(names)


def _part(connection: Connection, table: Table, points: Points, names: Sequence[str]) -> Totals:
    found = _totals(read(connection, table, points, names), table, points, names)
    if thinned(table, points) is None:
        return found
    if not len(found.key):
        return found
    allowed = _allowed(found.begin, found.end, points, is_old=table is QUARTERS)
    start = points.begin if table is QUARTERS else points.raw_from
    silent = np.array(silences(connection, table, points, int(allowed.min())), np.int64).reshape(-1, 2)
    there = np.searchsorted(found.begin, silent[:, 1], side="right").clip(1) - 1  # the points that they end in
    told = silent[(silent[:, 1] > start) & (silent[:, 1] - silent[:, 0] > allowed[there])]
    return replace(found, silent=tuple((max(begin, start), end) for begin, end in told.tolist()))


def _totals(found: Columns, table: Table, points: Points, names: Sequence[str]) -> Totals:
    is_old, (key, until, *more) = table is QUARTERS, found.whole
    figures = dict(zip(names, found.figures, strict=False))
    low = high = net = figures[names[0]]
    if len(found.figures) > len(names):
        low, high = found.figures[len(names) :]
    begin = more[0] if more else key
    if len(more) > 1:
        end, gap, many, unknown = more[1:]
    else:
        end = until
        gap, many = _gaps(key, begin, end, points, is_old=is_old), np.ones_like(key)
        unknown = np.isnan(net).astype(np.int64)
    # a row that was written before the range begins holds when it begins
    start = points.begin if is_old else points.raw_from
    if not is_old:
        begin = np.maximum(begin, start)
    apart = gap > _allowed(begin, end, points, is_old=is_old)
    silent = zip((begin - gap)[apart].tolist(), begin[apart].tolist(), strict=True)
    level, regime, version = found.texts
    return Totals(
        key, np.maximum(until if is_old else key, start), np.maximum(until, start), begin, end, apart, tuple(level),
        tuple(regime), tuple(version), low, high, figures, many, unknown, tuple(silent),
    )  # fmt: skip


def _empty(names: Sequence[str]) -> Totals:
    none, nothing = np.empty(0, np.int64), np.empty(0)
    return Totals(
        none, none, none, none, none, none > 0, (), (), (), nothing, nothing, dict.fromkeys(names, nothing), none, none,
        (),
    )  # fmt: skip


def _gaps(key: Times, begin: Times, end: Times, points: Points, *, is_old: bool) -> Times:
    """Microseconds before each row in which nothing was kept, as `guardrails.store.points` tells of thinned ones."""
    gap = np.zeros_like(key)
    gap[1:] = begin[1:] - end[:-1]
    if is_old:
        gap[1:][(np.diff(key) <= QUARTER_MICROS) & (gap[1:] <= held_at_most(points))] = 0
    return gap


def _allowed(begin: Times, end: Times, points: Points, *, is_old: bool) -> Times:
    """How long a program that runs may have been without a row before each. Of quarters only what is longer is told."""
    if is_old:
        return np.zeros_like(begin)
    usual = np.zeros_like(begin)
    if len(begin) > _AROUND:  # rows may have been written at another distance then: what most around them keep
        distances = np.sort(sliding_window_view(begin[1:] - end[:-1], _AROUND), axis=1)[:, _AROUND // 2]
        usual = distances[(np.arange(len(begin)) - 1 - _AROUND // 2).clip(0, len(distances) - 1)]
    return _MISSED * np.maximum(points.period, np.minimum(usual, _SLOWEST))


def _joined(old: Totals, new: Totals, points: Points) -> Totals:
    """One after the other."""
    apart = np.concatenate((old.apart, new.apart))
    between: list[Interval] = []
    if len(old.key) and len(new.key):
        first, last = int(new.begin[0]), int(old.end[-1])
        allowed = int(_allowed(new.begin, new.end, points, is_old=False)[0])
        # a row that held into the first quarter of rows would be the first of them
        if first - last > held_at_most(points) or first - max(last, points.raw_from) > allowed:
            apart[len(old.key)] = True
            between = [(last, first)]
    arrays = {
        name: np.concatenate((getattr(old, name), getattr(new, name)))
        for name in ("key", "time", "until", "begin", "end", "low", "high", "rows", "unknown")
    }
    return Totals(
        **arrays,
        apart=apart,
        level=old.level + new.level,
        regime=old.regime + new.regime,
        matrix_version=old.matrix_version + new.matrix_version,
        figures={name: np.concatenate((part, new.figures[name])) for name, part in old.figures.items()},
        silent=(*old.silent, *between, *new.silent),
    )
