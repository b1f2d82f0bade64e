"""American puts where the yield is below a rate below zero: one exercises between two boundaries, neither too high nor
too low, and the method of one boundary does not hold.

Such rates are rare (a rate below zero at a cost of holding that is lower still), so a slow and safe method serves: a
binomial tree whose last step is the closed form, at two sizes and extrapolated (M. Broadie and J. Detemple, "American
option valuation", Review of Financial Studies 9(4), 1996, there BBSR). Only what early exercise adds is taken from it.
Spots of a level differ by the forward's growth and even steps of the logarithm, so that probabilities stay in 0..1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from guardrails.pricing.columns import Array
from guardrails.pricing.normal import normal_cdf

STEPS = 100
"""of the smaller tree; the other has twice as many"""
BLOCK = 256
"""puts at a time"""


class Early(NamedTuple):
    """What early exercise adds to puts struck at 1 on the spot s, as columns."""

    premium: Array
    first: Array
    """s times the first derivative by s"""
    second: Array
    """s^2 times the second"""
    exercised: Array
    """1 where one exercises at once"""


def early(spot: Array, years: Array, rate: Array, held: Array, vol: Array) -> Early:
    """Columns in, columns out; years and vol above 0, any rates. Errors are about 1e-5 of the strike at 30 % a year."""
    found = np.empty((4, spot.size))
    with np.errstate(all="ignore"):
        for start in range(0, spot.size, BLOCK):
            part = slice(start, start + BLOCK)
            put = (spot[part], years[part], rate[part], held[part], vol[part])
            coarse, fine = _tree(*put, STEPS), _tree(*put, 2 * STEPS)
            found[:, part] = 2.0 * fine - coarse
            found[3, part] = fine[3]
    return Early(np.maximum(found[0], 0.0), found[1], found[2], found[3])


def european(spot: Array, years: Array | float, rate: Array, held: Array, vol: Array) -> Array:
    """European puts struck at 1."""
    sd = vol * np.sqrt(years)
    up = (np.log(spot) + (rate - held) * years) / sd + 0.5 * sd
    return np.asarray(np.exp(-rate * years) * normal_cdf(sd - up) - spot * np.exp(-held * years) * normal_cdf(-up))


def _tree(spot: Array, years: Array, rate: Array, held: Array, vol: Array, steps: int) -> Array:
    """Rows premium, first, second, exercised. The tree begins two steps early, so that three spots of now are in it."""
    dt = years / steps
    move = (vol * np.sqrt(dt))[:, None]
    up = 1.0 / (1.0 + np.exp(move))  # (1 - d) / (u - d) with d = 1 / u
    discount = np.exp(-rate * dt)[:, None]
    growth = ((rate - held) * dt)[:, None]
    logs = np.log(spot)[:, None]

    def spots(level: int) -> Array:
        return np.asarray(np.exp(logs + level * growth + move * np.arange(-level - 2, level + 3, 2)))

    near = spots(steps - 1)
    columns = (column[:, None] for column in (dt, rate, held, vol))
    kept = european(near, *columns)
    taken = np.maximum(kept, 1.0 - near)
    for level in reversed(range(steps - 1)):
        kept = discount * (kept[:, :-1] + up * (kept[:, 1:] - kept[:, :-1]))
        taken = discount * (taken[:, :-1] + up * (taken[:, 1:] - taken[:, :-1]))
        taken = np.maximum(taken, 1.0 - spots(level))
    added = taken - kept
    side = 2.0 * move[:, 0]
    first = (added[:, 2] - added[:, 0]) / (2.0 * side)
    curve = (added[:, 2] - 2.0 * added[:, 1] + added[:, 0]) / (side * side)
    return np.array([added[:, 1], first, curve - first, taken[:, 1] <= 1.0 - spot])
