"""Options that nothing is said of, at the volatility of the nearest strike of their underlying and expiry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from guardrails import calendar
from guardrails.closed_form import Need, closed_form
from guardrails.columns import spot_of
from guardrails.greeks_choice import Feeds
from guardrails.values import Market, Position, finite

NEAR = 0.10
"""a neighbour's strike may differ by this in its logarithm: beyond, the skew is a guess"""


def with_neighbours(valued: list[Position], market: Market, feeds: Feeds) -> tuple[Position, ...]:
    """Options that nothing is said of, at the volatility of the nearest strike of their underlying and expiry."""
    silent = [row for row, held in enumerate(valued) if held.instrument.is_option and not held.reasons]
    silent = [row for row in silent if valued[row].greeks is None]
    if not silent:
        return tuple(valued)
    told: dict[tuple[str, date | None], list[Position]] = {}
    for held in valued:
        if held.instrument.is_option and not held.reasons and _volatility(held):
            told.setdefault((held.instrument.underlying, held.instrument.expiry), []).append(held)
    needs = [need for row in silent if (need := _by_neighbour(row, valued[row], told, market, feeds)) is not None]
    for row, greeks in closed_form(needs, market, feeds.now).items():
        if greeks is not None:
            valued[row] = replace(valued[row], greeks=greeks)
    return tuple(valued)


def _volatility(position: Position) -> float | None:
    """That of its Greeks, None where they tell none."""
    iv = None if position.greeks is None else finite(position.greeks.iv)
    return iv if iv is not None and iv > 0 else None


def _by_neighbour(
    row: int,
    position: Position,
    told: Mapping[tuple[str, date | None], Sequence[Position]],
    market: Market,
    feeds: Feeds,
) -> Need | None:
    instrument, spot = position.instrument, spot_of(position, market)
    strike = instrument.strike
    near = told.get((instrument.underlying, instrument.expiry), ())
    if strike is None or spot is None or spot <= 0 or not near:
        return None
    best = min(near, key=lambda held: abs(math.log((held.instrument.strike or strike) / strike)))
    greeks = best.greeks
    years = calendar.year_fraction(instrument, feeds.now)
    distance = abs(math.log((best.instrument.strike or strike) / strike))
    if greeks is None or greeks.iv is None or not years or distance > NEAR:
        return None
    return Need(row, instrument, spot, greeks.iv, None, "neighbour", greeks.time)
