"""Values and derivatives of American puts struck at 1, given their boundary: LANES of them side by side.

A put is a sum of terms a N(-d-) - s b N(-d+): one is the European put, the others are the points of the integral that
is the premium for early exercise. A term knows nothing of the spot s, so many spots share it.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from guardrails.pricing import american_scheme as scheme
from guardrails.pricing.kernels.american_boundary import (
    DENSITY,
    HELD,
    LANES,
    NODES,
    PER,
    RATE,
    TOP,
    VOL,
    YEARS,
    boundaries,
    compiled,
    tail,
)
from guardrails.pricing.kernels.elementary import EXACT, exp, log

__all__ = ["boundaries", "slopes", "values"]

COEFFICIENTS = scheme.COEFFICIENTS
PER_SD, SD, SHIFT, CASH, SHARE, LEVEL = range(6)
"""what describes a term: 1 / (vol sqrt t); vol sqrt t; d- at spot 1; a; b; b times the boundary, over what time takes
from b and adds what it takes from a, so that s b n(d+) = LEVEL × n(d-)"""
PREMIUM, FIRST, SECOND, EDGE = range(4)
"""rows of `slopes`: what early exercise adds; s times its first derivative, s^2 times its second; ln B"""
LEAST = 1e-9
"""years in place of 0 and less, of which nothing is used"""


@compiled
def _shape(bounds: Any, block: int, count: int, coefficients: Any) -> None:
    """Coefficients (NODES + 1, lane) of the polynomial that the squares of `bounds` make."""
    for c in range(NODES + 1):
        for k in range(count):
            total = 0.0
            for m in range(NODES):
                total += COEFFICIENTS[c, m] * bounds[m, block + k] * bounds[m, block + k]
            coefficients[c, k] = total


@compiled
def _log_boundary(puts: Any, block: int, coefficients: Any, years: Any, x: float, out: Any) -> None:
    """ln B at x^2 × `years`, by Clenshaw's recurrence."""
    for k in range(years.shape[0]):
        place = 2.0 * x * math.sqrt(years[k] / puts[YEARS, block + k]) - 1.0
        one, two = 0.0, 0.0
        for c in range(NODES, 0, -1):
            one, two = 2.0 * place * one - two + coefficients[c, k], one
        total = place * one - two + coefficients[0, k]
        out[k] = puts[TOP, block + k] - math.sqrt(total if total > 0.0 else 0.0)


@compiled
def _point(puts: Any, block: int, years: Any, s: float, weight: float, log_b: Any, term: Any) -> None:
    """The term of the point that lies s^2 × `years` ahead, where the boundary is `log_b`."""
    for k in range(years.shape[0]):
        rate, held, vol = puts[RATE, block + k], puts[HELD, block + k], puts[VOL, block + k]
        t = years[k] * s * s
        sd = vol * math.sqrt(t)
        discount = weight * years[k] * exp(-rate * t)
        term[PER_SD, k] = 1.0 / sd
        term[SD, k] = sd
        term[SHIFT, k] = ((rate - held - 0.5 * vol * vol) * t - log_b[k]) / sd
        term[CASH, k] = rate * discount
        term[SHARE, k] = held * weight * years[k] * exp(-held * t)
        term[LEVEL, k] = held * discount * exp(log_b[k])


@compiled
def _expiry(puts: Any, block: int, years: Any, term: Any) -> None:
    """The term of the European put."""
    for k in range(years.shape[0]):
        rate, held, vol = puts[RATE, block + k], puts[HELD, block + k], puts[VOL, block + k]
        sd = vol * math.sqrt(years[k])
        discount = exp(-rate * years[k])
        term[PER_SD, k] = 1.0 / sd
        term[SD, k] = sd
        term[SHIFT, k] = (rate - held - 0.5 * vol * vol) * years[k] / sd
        term[CASH, k] = discount
        term[SHARE, k] = exp(-held * years[k])
        term[LEVEL, k] = discount


@compiled
def _describe(puts: Any, block: int, coefficients: Any, years: Any, rule: Any, terms: Any, edge: Any) -> None:
    """All terms of puts that expire after `years` (above 0, not above the YEARS of the boundary), and ln B now."""
    count = rule.shape[1]
    for j in range(count):
        _log_boundary(puts, block, coefficients, years, rule[1, j], edge)
        _point(puts, block, years, rule[0, j], rule[2, j], edge, terms[j])
    _expiry(puts, block, years, terms[count])
    _log_boundary(puts, block, coefficients, years, 1.0, edge)


@compiled
def _add(term: Any, log_spot: Any, spot: Any, total: Any) -> None:
    """Add a term to `total`."""
    for k in range(total.shape[0]):
        down = log_spot[k] * term[PER_SD, k] + term[SHIFT, k]
        density = DENSITY * exp(-0.5 * down * down)
        up = down + term[SD, k]
        cash = tail(down, term[CASH, k] * density, term[CASH, k])
        total[k] += cash - tail(up, term[LEVEL, k] * density, term[SHARE, k] * spot[k])


@compiled
def _add_slopes(term: Any, log_spot: Any, spot: Any, total: Any, first: Any, second: Any) -> None:
    """Add a term to `total`, and to s times its first derivative and s^2 times its second."""
    for k in range(total.shape[0]):
        down = log_spot[k] * term[PER_SD, k] + term[SHIFT, k]
        density = DENSITY * exp(-0.5 * down * down)
        share = tail(down + term[SD, k], term[LEVEL, k] * density, term[SHARE, k] * spot[k])
        tilt = (term[CASH, k] - term[LEVEL, k]) * term[PER_SD, k]
        total[k] += tail(down, term[CASH, k] * density, term[CASH, k]) - share
        first[k] -= tilt * density + share
        second[k] += density * term[PER_SD, k] * (term[CASH, k] + tilt * down)


@compiled
def _near(put: Any, rule: Any, logs: Any, out: Any) -> None:
    """Add to FIRST and SECOND what the points miss close above the boundary; `american_columns` tells what that is."""
    first, second = out[FIRST], out[SECOND]
    for k in range(logs.shape[0]):
        vol, per = put[VOL, k], put[PER, k]
        above = logs[k] - out[EDGE, k]
        above = above if above > 0.0 else 0.0
        strength = 2.0 * (put[RATE, k] - put[HELD, k] * exp(out[EDGE, k])) / (vol * vol)
        density = DENSITY * exp(-0.5 * (above * per) * (above * per))
        beyond = tail(above * per, density, 1.0)
        first[k] -= strength * (density / per - above * beyond)
        second[k] += strength * beyond
    for j in range(rule.shape[1]):
        for k in range(logs.shape[0]):
            per_sd = put[PER, k] / rule[0, j]
            x = logs[k] - out[EDGE, k]
            x = x * per_sd if x > 0.0 else 0.0
            strength = put[RATE, k] - put[HELD, k] * exp(out[EDGE, k])
            peak = rule[2, j] * put[YEARS, k] * strength * per_sd * DENSITY * exp(-0.5 * x * x)
            first[k] += peak
            second[k] -= peak * x * per_sd


@compiled
def _logs(values: Any, out: Any) -> None:
    for k in range(values.shape[0]):
        out[k] = log(values[k])


@numba.njit(
    "void(int64, int64, float64[:, ::1], float64[:, ::1], float64[::1], float64[:, ::1], float64[:, ::1])",
    fastmath=EXACT, error_model="numpy", nogil=True, cache=True,
)  # fmt: skip
def slopes(start: int, stop: int, puts: Any, bounds: Any, spot: Any, rule: Any, out: Any) -> None:
    """Fill the four rows of `out` for the puts start..stop, each at its spot and its own YEARS."""
    coefficients, terms = np.empty((NODES + 1, LANES)), np.empty((rule.shape[1] + 1, 6, LANES))
    logs = np.empty(LANES)
    for block in range(start, stop, LANES):
        end = min(block + LANES, stop)
        count = end - block
        near, years, ahead = spot[block:end], puts[YEARS, block:end], logs[:count]
        _logs(near, ahead)
        _shape(bounds, block, count, coefficients)
        _describe(puts, block, coefficients, years, rule, terms, out[EDGE, block:end])
        premium, first, second = out[PREMIUM, block:end], out[FIRST, block:end], out[SECOND, block:end]
        for k in range(count):
            premium[k], first[k], second[k] = 0.0, 0.0, 0.0
        for j in range(rule.shape[1]):
            _add_slopes(terms[j], ahead, near, premium, first, second)
        _near(puts[:, block:end], rule, ahead, out[:, block:end])


@compiled
def _gather(columns: Any, j: int, block: int, each: int, least: float, out: Any) -> None:
    """Column j of the option that each lane belongs to, `each` lanes in turn to one option."""
    for k in range(out.shape[0]):
        value = columns[(block + k) // each, j]
        out[k] = value if value > least else least


@compiled
def _settle(logs: Any, edge: Any, european: Any, total: Any) -> None:
    """What it is worth to hold on, between the European put and 1; 0 from the boundary on. NaN stays."""
    for k in range(total.shape[0]):
        held = european[k] if total[k] < european[k] else total[k]
        held = 1.0 if held > 1.0 else held
        total[k] = 0.0 if logs[k] <= edge[k] else held


@numba.njit(
    "void(int64, int64, float64[:, ::1], float64[:, ::1], float64[:, :, ::1], float64[:, ::1], float64[:, ::1], "
    "float64[:, :, ::1])",
    fastmath=EXACT, error_model="numpy", nogil=True, cache=True,
)  # fmt: skip
def values(start: int, stop: int, puts: Any, bounds: Any, spots: Any, years: Any, rule: Any, out: Any) -> None:
    """Fill out[put, spot, date] for the puts start..stop; as many in turn as there are volatilities share an option.

    spots[0] (options, spots) are those of the puts, spots[1] what their values are multiplied with, spots[2] what
    exercise brings or 0; years (options, dates), 0 or less at expiry.
    """
    spot, unit, now = spots[0], spots[1], spots[2]
    each, count = puts.shape[1] // spot.shape[0], rule.shape[1]
    coefficients, terms = np.empty((NODES + 1, LANES)), np.empty((count + 1, 6, LANES))
    room, near, logs = np.empty((4, LANES)), np.empty((spot.shape[1], LANES)), np.empty((spot.shape[1], LANES))
    for block in range(start, stop, LANES):
        size = min(LANES, stop - block)
        left, edge, european, total = room[0, :size], room[1, :size], room[2, :size], room[3, :size]
        _shape(bounds, block, size, coefficients)
        for s in range(spot.shape[1]):
            _gather(spot, s, block, each, 0.0, near[s, :size])
            _logs(near[s, :size], logs[s, :size])
        for d in range(years.shape[1]):
            _gather(years, d, block, each, LEAST, left)
            _describe(puts, block, coefficients, left, rule, terms, edge)
            for s in range(spot.shape[1]):
                ahead, here = logs[s, :size], near[s, :size]
                for k in range(size):
                    european[k], total[k] = 0.0, 0.0
                _add(terms[count], ahead, here, european)
                for j in range(count):
                    _add(terms[j], ahead, here, total)
                for k in range(size):
                    total[k] += european[k]
                _settle(ahead, edge, european, total)
                for k in range(size):
                    i = (block + k) // each
                    held = unit[i, s] * total[k] if years[i, d] > 0.0 else 0.0
                    out[block + k, s, d] = now[i, s] if held < now[i, s] else held
