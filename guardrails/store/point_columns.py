"""The rows behind the points of a chart, read into columns that numpy holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Subquery, Table, select
from sqlalchemy.sql import Select

from guardrails.store.columns import LIVE
from guardrails.store.points import MARKS, Points, blocks, chosen, given, thinned
from guardrails.store.quarters import QUARTERS


@dataclass(frozen=True, slots=True)
class _Query:
    """Gives three columns of text, then whole numbers, then figures, see `Columns`."""

    rows: Select[Any]
    whole: int
    """how many columns of whole numbers"""
    figures: int
    """how many columns of figures"""


@cache
def _every_row(table: Table, names: tuple[str, ...]) -> _Query:
    """Made once: SQLAlchemy takes a millisecond for it."""
    return _query(table, MARKS, names, None)


def _query(table: Table, points: Points, names: Sequence[str], groups: Subquery | None) -> _Query:
    c, is_old = table.c, table is QUARTERS
    whole: list[ColumnElement[Any]] = [c.time, c.last if is_old else c.until]
    figures: list[ColumnElement[Any]] = [c[name] for name in names]
    if groups is not None:
        g = groups.c
        whole += [g.begins, g.ends, g.gap, g.rows, g.unknown]
        figures += [g.low, g.high]
    elif is_old:
        whole.append(c.first)
        figures += [c.net_liquidation_low, c.net_liquidation_high]
    rows = select(c.level, c.regime, c.matrix_version, *whole, *figures).order_by(c.time)
    if groups is None:
        rows = rows.where(chosen(table, points))
    else:
        mine = c.book == points.book if is_old else (c.book == points.book) & (c.origin == LIVE)
        rows = rows.join(groups, groups.c.key == c.time).where(mine)
    return _Query(rows, len(whole), len(figures))


@dataclass(frozen=True, slots=True)
class Columns:
    """What `read` found; each row of `whole` and of `figures` is a column of the database."""

    texts: tuple[list[str], list[str], list[str]]
    """level, regime and version of the matrix"""
    whole: npt.NDArray[np.int64]
    """key and end; of quarters and thinned rows also the first time told of; of what is thinned also the last one, the
    longest gap, how many rows, and how many of unknown worth"""
    figures: npt.NDArray[np.float64]
    """those asked for; of quarters and thinned rows also lowest and highest net liquidation"""


def read(connection: Connection, table: Table, points: Points, names: Sequence[str]) -> Columns:
    """The columns `names` of the rows of `quarters` or `snapshots` that become `points`, in order of time.

    Figures are taken out of few rows at a time: out of a year at once it takes half as long again.
    """
    groups = thinned(table, points)
    query = _every_row(table, tuple(names)) if groups is None else _query(table, points, names, groups)
    once: dict[str, str] = {}
    """every text by itself: few of them come again and again"""
    texts: tuple[list[str], list[str], list[str]] = ([], [], [])
    whole, figures = [np.empty((query.whole, 0), np.int64)], [np.empty((query.figures, 0))]
    middle = len(texts) + query.whole
    for rows in blocks(connection, query.rows, given(points)):
        columns = list(zip(*rows, strict=True))
        for told, more in zip(texts, columns, strict=False):
            told.extend(map(once.setdefault, more, more))
        whole.append(_turned(columns[len(texts) : middle], np.int64))
        figures.append(_turned(columns[middle:], np.float64))  # None becomes NaN
    return Columns(texts, np.concatenate(whole, axis=1), np.concatenate(figures, axis=1))


def _turned(columns: Sequence[Sequence[Any]], kind: type[Any]) -> npt.NDArray[Any]:
    """`columns` one below the other; numpy takes a flat stream of numbers in half the time."""
    return np.fromiter(chain.from_iterable(columns), kind).reshape(len(columns), -1)
