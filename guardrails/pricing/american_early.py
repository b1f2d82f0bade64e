"""What early exercise adds to options, as puts: which of them gain by it, how much, and how that depends on everything.

A call is a put with spot and strike, rate and yield changed places (R. McDonald and M. Schroder, "A parity result for
American options", Journal of Computational Finance 1(3), 1998), so here are only puts struck at 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from guardrails.pricing import american_columns, american_tree, compiled
from guardrails.pricing.american_columns import EDGE, FIRST, HELD, PREMIUM, RATE, SECOND, VOL, YEARS
from guardrails.pricing.american_scheme import NODES, PRICE_RULE
from guardrails.pricing.columns import Array
from guardrails.pricing.parallel import in_parts

LEAST = 256
"""boundaries that are worth a thread of their own"""
NOTHING = 1e-12
"""interest on the strike until expiry, as a share of it, that is not worth looking for: early exercise is worth less"""
VOL_STEP, RATE_STEP = 1e-5, 1e-6
"""relative and absolute steps of the difference quotients; the boundary is smooth in both"""
TREE_VOL_STEP, TREE_RATE_STEP = 1e-2, 1e-4


class Kind(IntEnum):
    """Where one exercises early."""

    NEVER = 0
    BELOW = 1
    """below the boundary"""
    BETWEEN = 2
    """between two boundaries"""


@dataclass(frozen=True, slots=True)
class Puts:
    """Options as puts struck at 1, columns."""

    spot: Array
    unit: Array
    """what a put's value is multiplied with: the strike of a put, the spot of a call"""
    rate: Array
    held: Array
    """yield of what the put is struck on"""


def as_puts(sign: Array, spot: Array, strike: Array, rate: Array, carry: Array) -> Puts:
    """Shapes that broadcast; spot and strike above 0."""
    call = sign > 0.0
    yields = rate - carry
    return Puts(
        spot=np.where(call, strike / spot, spot / strike),
        unit=np.where(call, spot, strike),
        rate=np.where(call, yields, rate),
        held=np.where(call, rate, yields),
    )


def kinds(rate: Array, held: Array, years: Array) -> NDArray[np.int64]:
    """The `Kind` of each put: exercise brings interest on 1 and costs the yield."""
    between = (rate < 0.0) & (held < rate)
    never = (rate < 0.0) | ((rate * years <= NOTHING) & (held >= 0.0))
    return np.where(between, Kind.BETWEEN, np.where(never, Kind.NEVER, Kind.BELOW)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Gains:
    """What early exercise adds to puts, columns."""

    premium: Array
    first: Array
    """spot times the first derivative by spot"""
    second: Array
    """spot squared times the second"""
    by_vol: Array
    by_rate: Array
    """derivative in the direction that `gains` was given"""
    exercised: NDArray[np.bool_]
    """one exercises now"""


def gains(put: Puts, vol: Array, years: Array, to_rate: Array, to_held: Array, kind: Kind) -> Gains:
    """Of puts that are all BELOW or all BETWEEN; `to_rate` and `to_held` say (0, 1) what a higher rate raises."""
    bump, step = (VOL_STEP, RATE_STEP) if kind is Kind.BELOW else (TREE_VOL_STEP, TREE_RATE_STEP)
    count = put.spot.size
    cases = np.zeros((7, 3 * count))
    cases[RATE] = np.concatenate([put.rate, put.rate, put.rate + step * to_rate])
    cases[HELD] = np.concatenate([put.held, put.held, put.held + step * to_held])
    cases[VOL] = np.concatenate([vol, vol * (1.0 + bump), vol])
    cases[YEARS] = np.tile(years, 3)
    spot = np.tile(put.spot, 3)
    found = _below(cases, spot) if kind is Kind.BELOW else _between(cases, spot)
    premium, dearer, later = found[PREMIUM].reshape(3, count)
    return Gains(
        premium=premium,
        first=found[FIRST, :count],
        second=found[SECOND, :count],
        by_vol=(dearer - premium) / (vol * bump),
        by_rate=(later - premium) / step,
        exercised=np.log(put.spot) <= found[EDGE, :count],
    )


def _below(cases: Array, spot: Array) -> Array:
    bounds, found, code = np.empty((NODES, spot.size)), np.empty((4, spot.size)), formulas()

    def part(first: int, last: int) -> None:
        code.boundaries(first, last, cases, bounds)
        code.slopes(first, last, cases, bounds, spot, PRICE_RULE, found)

    in_parts(part, spot.size, LEAST)
    return found


def _between(cases: Array, spot: Array) -> Array:
    early = american_tree.early(spot, cases[YEARS], cases[RATE], cases[HELD], cases[VOL])
    edge = np.where(early.exercised > 0.0, np.inf, -np.inf)
    return np.array([early.premium, early.first, early.second, edge])


def formulas() -> ModuleType:
    """The module with `boundaries`, `slopes` and `values`: compiled, or numpy while there are no kernels."""
    kernels = compiled.kernels()
    return american_columns if kernels is None else kernels.american_values
