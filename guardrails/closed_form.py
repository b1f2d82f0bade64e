"""Greeks of our own for the options no vendor serves now: one pass of the model over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from guardrails.columns import Index, Mask
from guardrails.instruments import Instrument
from guardrails.pricing import Array, styles
from guardrails.terms import Terms, terms_of
from guardrails.twins import Told
from guardrails.values import Greeks, Market

TICK = 0.05
"""an option price within this of its intrinsic value carries no volatility; it moves like its underlying"""

_ALIKE = 1.000001
"""spreads that differ by less do so by rounding"""


@dataclass(frozen=True, slots=True)
class Need:
    """One option that needs the model: priced from `vol` (fraction a year), else from the price `target` or that of its
    twin."""

    row: int
    instrument: Instrument
    spot: float
    vol: float | None
    target: float | None
    source: str
    time: datetime
    half_spread: float = math.inf
    """of the quote whose middle `target` is; infinite where it is of none that could stand against the twin's"""
    twin: Told | None = None
    """what the other right of the same strike and expiry is quoted at, where that may say more"""


def closed_form(needs: Sequence[Need], market: Market, now: datetime) -> Mapping[int, Greeks | None]:
    """Greeks by row, None where no volatility fits the price."""
    if not needs:
        return {}
    spot = np.array([need.spot for need in needs])
    own = terms_of([need.instrument for need in needs], spot, market, now)
    vols, by_twin = _vols(needs, own, market, now)
    found = styles.sensitivities(own.options, own.styles, vols)
    parity = _at_parity(needs, own, vols)
    results: dict[int, Greeks | None] = {}
    for place, need in enumerate(needs):
        time = need.twin.time if by_twin[place] and need.twin is not None else need.time
        values = (found.delta[place], found.gamma[place], found.vega[place], found.theta[place])
        if parity[place]:
            delta = float(own.options.sign[place])
            results[need.row] = Greeks(delta, 0.0, 0.0, 0.0, None, need.source, time, 0.0)
        elif all(math.isfinite(value) for value in values):
            delta, gamma, vega, theta = (float(value) for value in values)
            iv, rho = float(vols[place]), float(found.rho[place])
            results[need.row] = Greeks(delta, gamma, vega, theta, iv, need.source, time, rho)
        else:
            results[need.row] = None
    return results


def _vols(needs: Sequence[Need], own: Terms, market: Market, now: datetime) -> tuple[Array, Mask]:
    """The volatility of each need, given or implied by its price or that of its twin, NaN where none is; and of which
    it is the twin's."""
    vols = np.array([math.nan if need.vol is None else need.vol for need in needs])
    asked = np.flatnonzero(np.isnan(vols))
    if len(asked):
        vols[asked] = styles.implied_vol(own.options.at(asked), own.styles.at(asked), _targets(needs)[asked])
    by_twin = np.zeros(len(needs), dtype=bool)
    twins = {row: needs[row].twin for row in asked.tolist()}
    told = {row: twin for row, twin in twins.items() if twin is not None}
    if told:
        rows = np.array(list(told))
        theirs = _by_twins(list(told.values()), rows, needs, (own, vols), market, now)
        by_twin[rows] = ~np.isnan(theirs)
        vols[rows] = np.where(by_twin[rows], theirs, vols[rows])
    return vols, by_twin


def _by_twins(
    twins: Sequence[Told], rows: Index, needs: Sequence[Need], asked: tuple[Terms, Array], market: Market, now: datetime
) -> Array:
    """The volatility implied by each twin of `rows`; NaN where none is, or where the own price says more.

    Each spread is in points of volatility: half of it over the vega that the option has at the twin's volatility.
    """
    own, vols = asked[0].at(rows), asked[1][rows]
    other = terms_of([twin.instrument for twin in twins], own.options.spot, market, now)
    theirs = styles.implied_vol(other.options, other.styles, np.array([twin.middle for twin in twins]))
    half = np.array([twin.half_spread for twin in twins])
    mine = _points(np.array([needs[row].half_spread for row in rows.tolist()]), own, theirs)
    return np.where(np.isnan(vols) | (_points(half, other, theirs) <= _ALIKE * mine), theirs, np.nan)


def _points(half_spread: Array, terms: Terms, vols: Array) -> Array:
    """Points of volatility to which half a spread amounts; infinite where the price does not depend on volatility."""
    vega = styles.sensitivities(terms.options, terms.styles, vols).vega
    moves = vega > 0.0
    return np.where(moves, half_spread / np.where(moves, vega, 1.0), np.inf)


def _targets(needs: Sequence[Need]) -> Array:
    return np.array([math.nan if need.target is None else need.target for need in needs])


def _at_parity(needs: Sequence[Need], own: Terms, vols: Array) -> Mask:
    """Options in the money whose own price is their intrinsic value, which fits no volatility."""
    targets = _targets(needs)
    intrinsic = own.options.sign * (own.options.spot - own.options.strike)
    near = np.abs(targets - intrinsic) <= np.maximum(TICK, 0.005 * intrinsic)
    return np.asarray(np.isnan(vols) & (intrinsic > 0) & near, dtype=bool)
