"""The closed form compiled: prices and Greeks of columns, prices of grids.

A tile of options is worked off in short loops, each with few enough columns and constants that LLVM computes eight (or
four) options at a time; what they hand on stays in the fastest cache, and memory is read ahead meanwhile. One loop over
everything would do neither. Indices are unsigned, because numba asks of a signed one whether it counts from the end.
The formulas are explained in guardrails/pricing/european.py, the results are the same.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from guardrails.pricing.columns import Array
from guardrails.pricing.kernels.elementary import EXACT, exp, log, mills

TILE = 64
"""options worked on together: more leave the cache, and memory waits for the computing; fewer, and loops cost more"""
_WIDTH = np.uint64(TILE)
_D1, _D2 = np.uint64(0), np.uint64(TILE)
_GROWN, _DISCOUNT, _DENSITY = np.uint64(2 * TILE), np.uint64(3 * TILE), np.uint64(4 * TILE)
_TAIL1, _TAIL2 = np.uint64(5 * TILE), np.uint64(6 * TILE)
_FOUND = np.uint64(7 * TILE)
"""where the row of each part of the work begins; rows that pass through one function lie side by side"""
_ROWS = 13
_DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)
_FARTHEST = 50.0  # standard deviations; the density has been 0 since 38
_A_DAY, _A_POINT = 1.0 / 365.0, 0.01

_column, _table = numba.float64[::1], numba.float64[:, ::1]
_options = numba.types.UniTuple(_column, 7)  # type: ignore[no-untyped-call]  # numba leaves it without types
_greeks = numba.types.UniTuple(_column, 6)  # type: ignore[no-untyped-call]  # as above
_inlined = numba.njit(fastmath=EXACT, error_model="numpy")


@_inlined
def _prepare(t: Array, given: tuple[Array, ...], at: np.uint64, count: np.uint64) -> None:
    """d1, d2, both discount factors, the density and both Mills' ratios of `count` options from `at` on."""
    _, spot, strike, years, rate, carry, vol = given
    for j in range(count):
        i = at + j
        total = vol[i] * math.sqrt(years[i])
        d1 = (log(spot[i] / strike[i]) + carry[i] * years[i]) / total + 0.5 * total
        d2 = d1 - total
        t[_D1 + j] = d1
        t[_D2 + j] = d2
        t[_GROWN + j] = (carry[i] - rate[i]) * years[i]
        t[_DISCOUNT + j] = -rate[i] * years[i]
        t[_DENSITY + j] = -0.5 * d1 * d1
    for j in range(np.uint64(3) * _WIDTH):
        t[_GROWN + j] = exp(t[_GROWN + j])
    for j in range(np.uint64(2) * _WIDTH):
        far = abs(t[_D1 + j])
        t[_TAIL1 + j] = mills(_FARTHEST if far > _FARTHEST else far)


@_inlined
def _valued(
    sign: float, carried: float, disc: float, first: float, second: float, vol: float, years: float, gone: float
) -> float:
    """The price, also where there is no time or no volatility left; `gone` is what an expired one pays or costs."""
    sure = sign * (carried - disc)
    sure = 0.0 if sure < 0.0 else sure
    value = sign * (first - second)
    value = sure if value < sure else value
    certain = sure if vol == 0.0 else math.nan
    value = value if vol > 0.0 else certain
    gone = 0.0 if gone < 0.0 else gone
    return gone if years <= 0.0 else value


@_inlined
def _combine(t: Array, given: tuple[Array, ...], at: np.uint64, count: np.uint64) -> None:
    """The price and the Greeks of `count` options from what `_prepare` has left in the tile."""
    sign, spot, strike, years, rate, carry, vol = given
    for j in range(count):
        i = at + j
        side, price, strike_price, left, r, b, v = sign[i], spot[i], strike[i], years[i], rate[i], carry[i], vol[i]
        grown, density = t[_GROWN + j], t[_DENSITY + j] * _DENSITY_AT_0
        carried, disc, root = price * grown, strike_price * t[_DISCOUNT + j], math.sqrt(left)
        weight = carried * density
        first, second = weight * t[_TAIL1 + j], weight * t[_TAIL2 + j]
        first = first if side * t[_D1 + j] < 0.0 else carried - first
        second = second if side * t[_D2 + j] < 0.0 else disc - second
        gone = side * (price - strike_price) + 0.0 * (r + b + v)
        value = _valued(side, carried, disc, first, second, v, left, gone)
        live = side * side if left > 0.0 and v > 0.0 else math.nan
        gamma = grown * density / (price * v * root)
        decay = (-0.5 * (v * price) * (v * price) * gamma - side * ((b - r) * first + r * second)) * _A_DAY
        decay = -value if decay < -value else decay
        on_future = b == 0.0 and r != 0.0
        t[_FOUND + j] = value
        t[_FOUND + _WIDTH + j] = side * first / price * live
        t[_FOUND + np.uint64(2) * _WIDTH + j] = gamma * live
        t[_FOUND + np.uint64(3) * _WIDTH + j] = weight * root * _A_POINT * live
        t[_FOUND + np.uint64(4) * _WIDTH + j] = decay * live
        t[_FOUND + np.uint64(5) * _WIDTH + j] = (-left * value if on_future else side * left * second) * _A_POINT * live


@_inlined
def _give(three: tuple[Array, ...], t: Array, row: np.uint64, at: np.uint64, count: np.uint64) -> None:
    one, two, last = three
    for j in range(count):
        one[at + j] = t[row + j]
        two[at + j] = t[row + _WIDTH + j]
        last[at + j] = t[row + np.uint64(2) * _WIDTH + j]


@numba.njit((_options, _greeks), fastmath=EXACT, error_model="numpy", nogil=True, cache=True)
def sensitivities(given: tuple[Array, ...], found: tuple[Array, ...]) -> None:
    """Write price, delta, gamma, vega, theta and rho to `found`, columns of one length with those `given`.

    Those are the columns of Options in their order, without `on_future`, which is guessed from rate and carry as
    `Options.futures` does, and the volatility.
    """
    t, size = np.zeros(_ROWS * TILE), given[0].size
    for begin in range(0, size, TILE):
        at, count = np.uint64(begin), np.uint64(min(TILE, size - begin))
        _prepare(t, given, at, count)
        _combine(t, given, at, count)
        _give(found[:3], t, _FOUND, at, count)
        _give(found[3:], t, _FOUND + np.uint64(3) * _WIDTH, at, count)


@numba.njit((_options, _column), fastmath=EXACT, error_model="numpy", nogil=True, cache=True)
def price(given: tuple[Array, ...], found: Array) -> None:
    """Write the prices to `found`; the columns are those of `sensitivities`."""
    t = np.zeros(_ROWS * TILE)
    sign, spot, strike, years, rate, carry, vol = given
    for begin in range(0, found.size, TILE):
        at, count = np.uint64(begin), np.uint64(min(TILE, found.size - begin))
        _prepare(t, given, at, count)
        for j in range(count):
            i = at + j
            side, carried, disc = sign[i], spot[i] * t[_GROWN + j], strike[i] * t[_DISCOUNT + j]
            weight = carried * t[_DENSITY + j] * _DENSITY_AT_0
            first, second = weight * t[_TAIL1 + j], weight * t[_TAIL2 + j]
            first = first if side * t[_D1 + j] < 0.0 else carried - first
            second = second if side * t[_D2 + j] < 0.0 else disc - second
            gone = side * (spot[i] - strike[i]) + 0.0 * (rate[i] + carry[i] + vol[i])
            t[_FOUND + j] = _valued(side, carried, disc, first, second, vol[i], years[i], gone)
        for j in range(count):
            found[at + j] = t[_FOUND + j]


@_inlined
def _settle(
    found: Array, sign: float, spot: Array, strike: float, vol: Array, years: Array, grown: Array, disc: Array
) -> None:
    """Overwrite the cells of one option (spots, volatilities x dates) in which no time or no volatility is left."""
    cells, dates = grown.size, years.size
    for cell in range(cells):
        v, left = vol[cell // dates], years[cell % dates]
        if v > 0.0 and left > 0.0:
            continue
        for s in range(spot.size):
            gone = sign * (spot[s] - strike) + 0.0 * (v + disc[cell])
            found[s * cells + cell] = _valued(sign, spot[s] * grown[cell], disc[cell], math.nan, 0.0, v, left, gone)


@_inlined
def _cells(vol: Array, years: Array, rate: float, carry: float, strike: float, cell: Array) -> bool:
    """Fill the rows of `cell` (what a spot is multiplied with, see `grid`); whether all have time and volatility."""
    alive, dates = True, years.size
    for d in range(dates):
        root, grown, disc = math.sqrt(years[d]), exp((carry - rate) * years[d]), strike * exp(-rate * years[d])
        for v in range(vol.size):
            total, c = vol[v] * root, np.uint64(v * dates + d)
            alive = alive and vol[v] > 0.0 and years[d] > 0.0
            cell[0, c] = 1.0 / total
            cell[1, c] = carry * years[d] / total + 0.5 * total
            cell[2, c] = total
            cell[3, c] = grown
            cell[4, c] = disc
    return alive


@_inlined
def _spread(spot: Array, strike: float, cell: Array, rows: Array) -> None:
    """d1, d2 and both discounted amounts of every spot in every cell, as the first four `rows`."""
    cells = np.uint64(cell.shape[1])
    slope, offset, total, grown, disc = cell[0], cell[1], cell[2], cell[3], cell[4]
    d1, d2, carried, owed = rows[0], rows[1], rows[2], rows[3]
    for s in range(spot.size):
        price, moneyness, at = spot[s], log(spot[s] / strike), np.uint64(s) * cells
        for c in range(cells):
            d1[at + c] = moneyness * slope[c] + offset[c]
            d2[at + c] = d1[at + c] - total[c]
        for c in range(cells):
            carried[at + c] = price * grown[c]
            owed[at + c] = disc[c]


@_inlined
def _fill(sign: float, rows: Array, found: Array) -> None:
    """The prices from what `_spread` has left, in loops over all spots and cells at once."""
    d1, d2, carried, owed = rows[0], rows[1], rows[2], rows[3]
    density, tail1, tail2 = rows[4], rows[5], rows[6]
    for j in range(np.uint64(found.size)):
        density[j] = exp(-0.5 * d1[j] * d1[j]) * _DENSITY_AT_0
    for j in range(np.uint64(found.size)):
        far = abs(d1[j])
        tail1[j] = mills(_FARTHEST if far > _FARTHEST else far)
    for j in range(np.uint64(found.size)):
        far = abs(d2[j])
        tail2[j] = mills(_FARTHEST if far > _FARTHEST else far)
    for j in range(np.uint64(found.size)):
        weight = carried[j] * density[j]
        first, second = weight * tail1[j], weight * tail2[j]
        first = first if sign * d1[j] < 0.0 else carried[j] - first
        second = second if sign * d2[j] < 0.0 else owed[j] - second
        sure = sign * (carried[j] - owed[j])
        sure = 0.0 if sure < 0.0 else sure
        value = sign * (first - second)
        found[j] = sure if value < sure else value


@numba.njit(
    (*(_column,) * 4, _table, _table, _table, _table), fastmath=EXACT, error_model="numpy", nogil=True, cache=True
)
def grid(
    sign: Array, strike: Array, rate: Array, carry: Array, spots: Array, vols: Array, dates: Array, found: Array
) -> None:
    """Write the price of every option in every cell to `found` (options, spots x volatilities x dates).

    What depends on a spot, a volatility or a date alone is computed once for it; a cell costs one exponential.
    """
    cells = vols.shape[1] * dates.shape[1]
    cell, rows = np.empty((5, cells)), np.empty((7, spots.shape[1] * cells))
    for o in range(sign.size):
        alive = _cells(vols[o], dates[o], rate[o], carry[o], strike[o], cell)
        _spread(spots[o], strike[o], cell, rows)
        _fill(sign[o], rows, found[o])
        if not alive:
            _settle(found[o], sign[o], spots[o], strike[o], vols[o], dates[o], cell[3], cell[4])
