"""Unit prices of options by the model that fits their style."""

from __future__ import annotations

import numpy as np

from guardrails import pricing
from guardrails.columns import Array, Mask
from guardrails.pricing import Options


def unit_prices(options: Options, american: Mask, vol: Array) -> Array:
    """Price of one unit by row; at expiry the intrinsic value, NaN where anything is missing."""
    with np.errstate(all="ignore"):
        value = np.full(len(vol), np.nan)
        alive = options.years > 0
        value[alive] = pricing.price(_rows(options, alive), vol[alive])
        intrinsic = np.maximum(options.sign * (options.spot - options.strike), 0.0)
        value = np.where(american, np.maximum(value, intrinsic), value)
        return np.where(options.years <= 0, intrinsic, value)


def _rows(options: Options, rows: Mask) -> Options:
    return Options(
        sign=options.sign[rows],
        spot=options.spot[rows],
        strike=options.strike[rows],
        years=options.years[rows],
        rate=options.rate[rows],
        carry=options.carry[rows],
    )
