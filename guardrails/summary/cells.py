"""From a cell of a column to a figure of the document: what is missing or not finite is null."""

from __future__ import annotations

import math


def exact(value: float, missing: bool) -> float | None:  # noqa: FBT001  # a column's cell and its mask
    """The figure of one cell of a column; None where its mask says it is missing."""
    return None if missing else number(value)


def number(value: float) -> float | None:
    """`value`, or None when it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None
