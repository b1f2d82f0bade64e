"""Sums by underlying group, underlying, expiry bucket and account."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from guardrails.columns import Index
from guardrails.exposures import Exposures
from guardrails.intervals import Interval, Measure
from guardrails.snapshot.book import GroupRow


def rows_by_group(e: Exposures) -> tuple[GroupRow, ...]:
    """Sums by underlying group (`SPX` for SPX, SPY and /ES)."""
    size = len(e.groups)
    weighted = [measure.by(e.group_of_underlying, size) for measure in (e.beta_delta(), e.beta_gamma())]
    return _rows(e.groups, e.group, e, weighted)


def rows_by_underlying(e: Exposures) -> tuple[GroupRow, ...]:
    """Sums by underlying."""
    return _rows(e.columns.underlyings, e.columns.underlying, e, [e.beta_delta(), e.beta_gamma()])


def rows_by_class(names: Sequence[str], index: Index, e: Exposures) -> tuple[GroupRow, ...]:
    """For classes that cut through underlyings; -1 is in none."""
    weighted = [e.beta_delta_by(index, len(names)), e.beta_gamma_by(index, len(names))]
    return _rows(names, index, e, weighted)


def _rows(names: Sequence[str], index: Index, e: Exposures, weighted: Sequence[Measure]) -> tuple[GroupRow, ...]:
    size = len(names)
    inside = np.where(index < 0, size, index)
    delta, vega, vega_30d, theta = (m.by(inside, size + 1) for m in (e.delta, e.vega, e.vega_30d, e.theta))
    counts = np.bincount(inside, minlength=size + 1)
    columns = (delta, *weighted, vega, vega_30d, theta)
    return tuple(_group_row(name, [c.at(i) for c in columns], int(counts[i])) for i, name in enumerate(names))


def _group_row(name: str, sums: Sequence[Interval], positions: int) -> GroupRow:
    delta, beta_delta, gamma, vega, vega_30d, theta = (interval.known for interval in sums)
    return GroupRow(name, delta, beta_delta, gamma, vega, vega_30d, theta, positions)
