"""Greeks of our own for the options no vendor serves now: one pass of the model over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from guardrails.columns import Mask
from guardrails.instruments import Instrument
from guardrails.pricing import Array, styles
from guardrails.terms import Terms, terms_of
from guardrails.values import Greeks, Market

TICK = 0.05
"""an option price within this of its intrinsic value carries no volatility; it moves like its underlying"""


@dataclass(frozen=True, slots=True)
class Need:
    """One option that needs the model: priced from `vol` (fraction a year), else from the price `target`."""

    row: int
    instrument: Instrument
    spot: float
    vol: float | None
    target: float | None
    source: str
    time: datetime
    twin: Instrument | None = None
    """the option whose price `target` is, when it is not its own: the other right of the same strike and expiry"""


def closed_form(needs: Sequence[Need], market: Market, now: datetime) -> Mapping[int, Greeks | None]:
    """Greeks by row, None where no volatility fits the price."""
    if not needs:
        return {}
    spot = np.array([need.spot for need in needs])
    own = terms_of([need.instrument for need in needs], spot, market, now)
    vols = _vols(needs, own, market, now)
    found = styles.sensitivities(own.options, own.styles, vols)
    parity = _at_parity(needs, own, vols)
    results: dict[int, Greeks | None] = {}
    for place, need in enumerate(needs):
        values = (found.delta[place], found.gamma[place], found.vega[place], found.theta[place])
        if parity[place]:
            delta = float(own.options.sign[place])
            results[need.row] = Greeks(delta, 0.0, 0.0, 0.0, None, need.source, need.time, 0.0)
        elif all(math.isfinite(value) for value in values):
            delta, gamma, vega, theta = (float(value) for value in values)
            iv, rho = float(vols[place]), float(found.rho[place])
            results[need.row] = Greeks(delta, gamma, vega, theta, iv, need.source, need.time, rho)
        else:
            results[need.row] = None
    return results


def _vols(needs: Sequence[Need], own: Terms, market: Market, now: datetime) -> Array:
    """The volatility of each need: given, or implied by its price or that of its twin; NaN where none is."""
    vols = np.array([math.nan if need.vol is None else need.vol for need in needs])
    asked = np.flatnonzero(np.isnan(vols))
    if not len(asked):
        return vols
    wanted = [needs[row] for row in asked.tolist()]
    targets = np.array([math.nan if need.target is None else need.target for need in wanted])
    options, style = own.options.at(asked), own.styles.at(asked)
    if any(need.twin is not None for need in wanted):
        terms = terms_of([need.twin or need.instrument for need in wanted], options.spot, market, now)
        options, style = terms.options, terms.styles
    vols[asked] = styles.implied_vol(options, style, targets)
    return vols


def _at_parity(needs: Sequence[Need], own: Terms, vols: Array) -> Mask:
    """Options in the money whose own price is their intrinsic value, which fits no volatility."""
    targets = np.array([math.nan if need.target is None or need.twin is not None else need.target for need in needs])
    intrinsic = own.options.sign * (own.options.spot - own.options.strike)
    near = np.abs(targets - intrinsic) <= np.maximum(TICK, 0.005 * intrinsic)
    return np.asarray(np.isnan(vols) & (intrinsic > 0) & near, dtype=bool)
