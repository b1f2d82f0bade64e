"""Implied volatility compiled: the numpy formulas of guardrails/pricing/implied.py, a tile of options at a time.

No option takes more steps than another, so eight (or four) are solved side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numba
import numpy as np

from guardrails.pricing import implied
from guardrails.pricing.columns import Array
from guardrails.pricing.implied import HIGHEST_VOL, LOWEST_VOL, NOISE, ROOT_LOG, SETTLED, STEPS
from guardrails.pricing.kernels.elementary import EXACT, exp, log, mills

TILE = 64
_X, _AIM, _SIDE, _STEEPEST = np.uint64(0), np.uint64(TILE), np.uint64(2 * TILE), np.uint64(3 * TILE)
_S, _STEP, _LOG_X = np.uint64(4 * TILE), np.uint64(5 * TILE), np.uint64(6 * TILE)
_NEAR, _FAR = np.uint64(7 * TILE), np.uint64(8 * TILE)
"""where the row of each part of the work begins"""
_ROWS = 9
_LAST = 50.0  # where Mills' ratio ends
_AT_0 = math.exp(-ROOT_LOG)

_inlined = numba.njit(fastmath=EXACT, error_model="numpy")
_Step = Callable[[float, float, float, float, float], float]
_guess_of_one: _Step = implied.first_guess
_step_of_one: _Step = implied.householder
_first_guess, _householder = _inlined(_guess_of_one), _inlined(_step_of_one)
_column = numba.float64[::1]
_options = numba.types.UniTuple(_column, 7)  # type: ignore[no-untyped-call]  # numba leaves it without types


@_inlined
def _prepare(t: Array, given: tuple[Array, ...], at: np.uint64, count: np.uint64) -> None:
    """x, the logarithms, the side of the steepest price and what is aimed at."""
    sign, spot, strike, years, rate, carry, target = given
    for j in range(count):
        i = at + j
        carried = spot[i] * exp((carry[i] - rate[i]) * years[i])
        disc = strike[i] * exp(-rate[i] * years[i])
        sure = sign[i] * (carried - disc)
        larger = disc if disc > carried else carried
        lowest = NOISE * larger if sure > 0.0 else 0.0
        worth = target[i] - (0.0 if sure < 0.0 else sure)
        worth = worth if worth > lowest and years[i] > 0.0 else math.nan
        t[_X + j] = abs(log(spot[i] / strike[i]) + carry[i] * years[i])
        t[_AIM + j] = worth / math.sqrt(carried * disc)
    for j in range(count):
        x, b = t[_X + j], t[_AIM + j]
        steepest, most = math.sqrt(2.0 * x), exp(-0.5 * x)
        low = b < most * (0.5 - mills(_LAST if steepest > _LAST else steepest) * _AT_0)
        t[_SIDE + j] = -1.0 if low else 1.0
        t[_STEEPEST + j] = steepest
        t[_AIM + j] = log(b if low else most - b)
    for j in range(count):
        t[_LOG_X + j] = log(t[_X + j])


@_inlined
def _guess(t: Array, count: np.uint64) -> None:
    """The first s; below the steepest price by one step for ln h, above it from the normal tail."""
    for j in range(count):
        level = t[_LOG_X + j] - t[_AIM + j] - ROOT_LOG
        half = 0.5 * log(2.0 * abs(level))
        wide = level if level < half else half
        y = wide if level > 0.3 else level
        growing = exp(y)
        y = _first_guess(y, growing, log(1.0 + 1.25 * growing + growing * growing), t[_X + j], level)
        t[_STEP + j] = t[_X + j] * exp(-y)
    for j in range(count):
        steepest = t[_STEEPEST + j]
        above = math.sqrt(-8.0 * (t[_AIM + j] + 0.5 * t[_X + j]))
        above = steepest if above < steepest else above
        below = steepest if t[_STEP + j] > steepest else t[_STEP + j]
        t[_S + j] = below if t[_SIDE + j] < 0.0 else above


@_inlined
def _iterate(t: Array, count: np.uint64) -> None:
    """One step of s, kept on its side of the steepest price."""
    for j in range(count):
        s = t[_S + j]
        h = t[_X + j] / s
        near, far = abs(h - 0.5 * s), h + 0.5 * s
        t[_NEAR + j] = mills(_LAST if near > _LAST else near)
        t[_FAR + j] = mills(_LAST if far > _LAST else far)
    for j in range(count):
        s, x, side = t[_S + j], t[_X + j], t[_SIDE + j]
        ratios, h = t[_NEAR + j] + side * t[_FAR + j], x / s
        gap = log(ratios) - 0.5 * h * h - 0.125 * s * s - ROOT_LOG - t[_AIM + j]
        following = s + _householder(s, x, side, ratios, gap)
        steepest = t[_STEEPEST + j]
        farther = steepest if steepest > 0.05 * s else 0.05 * s
        least, largest = (0.2 * s, steepest) if side < 0.0 else (farther, 5.0 * s)
        following = least if following < least else following
        following = largest if following > largest else following
        t[_STEP + j] = following - s
        t[_S + j] = following


@numba.njit((_options, _column), fastmath=EXACT, error_model="numpy", nogil=True, cache=True)
def implied_vol(given: tuple[Array, ...], found: Array) -> None:
    """Write the implied volatilities to `found`, NaN where none fits; all columns of one length.

    Those `given` are the columns of Options in their order, and the prices.
    """
    t, years = np.zeros(_ROWS * TILE), given[3]
    for begin in range(0, found.size, TILE):
        at, count = np.uint64(begin), np.uint64(min(TILE, found.size - begin))
        _prepare(t, given, at, count)
        _guess(t, count)
        for _ in range(STEPS):
            _iterate(t, count)
        for j in range(count):
            s = t[_S + j]
            vol = s / math.sqrt(years[at + j])
            fits = abs(t[_STEP + j]) <= SETTLED * s and vol >= LOWEST_VOL and vol <= HIGHEST_VOL
            found[at + j] = vol if fits else math.nan
