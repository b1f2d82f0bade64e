"""The volatility of an option that has none of its own: that of the nearest strike on the same expiry."""

from __future__ import annotations

import numpy as np

from guardrails.columns import Array, Columns, Mask
from guardrails.pricing import Options


def fill_from_neighbours(vol: Array, options: Options, columns: Columns) -> tuple[Array, Mask]:
    """`vol` with gaps filled from the same underlying and expiry, nearest in ln(strike); and which rows were."""
    wanting = np.flatnonzero(columns.is_option & np.isnan(vol) & np.isfinite(options.strike))
    filled, assumed = vol.copy(), np.zeros(len(vol), dtype=bool)
    known = np.isfinite(vol) & columns.is_option
    for row in wanting:
        same = known & (columns.underlying == columns.underlying[row]) & (columns.expiry == columns.expiry[row])
        places = np.flatnonzero(same)
        if len(places):
            distance = np.abs(np.log(options.strike[places] / options.strike[row]))
            filled[row], assumed[row] = vol[places[np.argmin(distance)]], True
    return filled, assumed
