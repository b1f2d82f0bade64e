"""P&L in columns of a table: one where it is known exactly, two where it is a range; what nothing bounds is empty."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from guardrails.snapshot.book import Number


def case_table(low: Sequence[float], high: Sequence[float]) -> dict[str, list[Number]]:
    """Columns of dollars: `P&L`, or `P&L at least` and `P&L at most` as soon as one row is a range."""
    least, most = [_finite(value) for value in low], [_finite(value) for value in high]
    if all(a is not None and b is not None and abs(a - b) < 0.5 for a, b in zip(least, most, strict=True)):
        return {"P&L": least}
    return {"P&L at least": least, "P&L at most": most}


def case_formats(table: pd.DataFrame) -> dict[str, ColumnConfig]:
    """How the columns of `case_table` are written."""
    dollars = st.column_config.NumberColumn(format="localized", step=1, help="US dollars from now, worst first.")
    return {name: dollars for name in table.columns if name.startswith("P&L")}


def _finite(value: float) -> Number:
    return value + 0.0 if math.isfinite(value) else None
