"""The volatility of an option that has none of its own: that of the nearest strike on the same expiry.

Only of a row that can be trusted, and near by: further off the skew is a guess, and a wing sold would look cheap. An
option that moves one to one with its underlying is nearly all intrinsic value, so for it any strike will do.
"""

from __future__ import annotations

import numpy as np

from guardrails.columns import Array, Columns, Mask
from guardrails.neighbour_strikes import NEAR
from guardrails.pricing import Options


def fill_from_neighbours(vol: Array, options: Options, columns: Columns) -> tuple[Array, Mask]:
    """`vol` with gaps filled from the same underlying and expiry, nearest in ln(strike); and which rows were."""
    one_to_one = (np.abs(columns.delta) == 1.0) & (columns.gamma == 0.0)
    wanting = np.flatnonzero(columns.is_option & np.isnan(vol) & np.isfinite(options.strike))
    filled, assumed = vol.copy(), np.zeros(len(vol), dtype=bool)
    known = np.isfinite(vol) & columns.is_option & ~columns.doubtful
    for row in wanting:
        same = known & (columns.underlying == columns.underlying[row]) & (columns.expiry == columns.expiry[row])
        places = np.flatnonzero(same)
        if len(places):
            distance = np.abs(np.log(options.strike[places] / options.strike[row]))
            nearest = int(np.argmin(distance))
            if distance[nearest] <= NEAR or one_to_one[row]:
                filled[row], assumed[row] = vol[places[nearest]], True
    return filled, assumed
