"""Greeks of our own for the options no vendor serves now: one array pass of the closed form over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from guardrails import pricing
from guardrails.instruments import Instrument, Kind, Right
from guardrails.values import Greeks, Market

TICK = 0.05
"""an option price within this of its intrinsic value carries no volatility; it moves like its underlying"""


@dataclass(frozen=True, slots=True)
class Need:
    """One option that needs the closed form: priced from `vol` (fraction a year), else from the price `target`."""

    row: int
    instrument: Instrument
    spot: float
    years: float
    vol: float | None
    target: float | None
    source: str
    time: datetime


def closed_form(needs: Sequence[Need], market: Market) -> Mapping[int, Greeks | None]:
    """Greeks by row, None where no volatility fits the price."""
    if not needs:
        return {}
    held = [need.instrument for need in needs]
    rate = np.full(len(needs), 0.0 if market.risk_free is None else market.risk_free.value)
    options = pricing.Options(
        sign=np.array([1.0 if instrument.right is Right.CALL else -1.0 for instrument in held]),
        spot=np.array([need.spot for need in needs]),
        strike=np.array([float(instrument.strike or 0) for instrument in held]),
        years=np.array([need.years for need in needs]),
        rate=rate,
        carry=np.where([instrument.kind is Kind.FUTURE_OPTION for instrument in held], 0.0, rate),
    )
    targets = np.array([math.nan if need.target is None else need.target for need in needs])
    given = np.array([math.nan if need.vol is None else need.vol for need in needs])
    vols = np.where(np.isnan(given), pricing.implied_vol(options, targets), given)
    found = pricing.sensitivities(options, vols)
    intrinsic = options.sign * (options.spot - options.strike)
    at_parity = np.isnan(vols) & (intrinsic > 0) & (np.abs(targets - intrinsic) <= np.maximum(TICK, 0.005 * intrinsic))
    results: dict[int, Greeks | None] = {}
    for place, need in enumerate(needs):
        values = (found.delta[place], found.gamma[place], found.vega[place], found.theta[place])
        if at_parity[place]:
            results[need.row] = Greeks(float(options.sign[place]), 0.0, 0.0, 0.0, None, need.source, need.time, 0.0)
        elif all(math.isfinite(value) for value in values):
            delta, gamma, vega, theta = (float(value) for value in values)
            results[need.row] = Greeks(
                delta, gamma, vega, theta, float(vols[place]), need.source, need.time, float(found.rho[place])
            )
        else:
            results[need.row] = None
    return results
