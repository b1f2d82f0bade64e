"""The exercise boundary of American puts, LANES of them side by side: compiled form of what
`guardrails.pricing.american_columns` describes and does in numpy.

Every innermost loop runs over the lanes, without a branch and without a call that stays one, so that LLVM computes four
or eight puts at a time. In matrices the lane is the last index.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from guardrails.pricing import american_scheme as scheme
from guardrails.pricing.kernels.elementary import EXACT, exp, log, mills

LANES = 128
"""a call costs as much as some ten lanes; more than this would leave the second cache"""
NODES, INNER, SEARCHES, STEPS = scheme.NODES, scheme.INNER, scheme.SEARCHES, scheme.STEPS
SHRINK, GROW = scheme.SHRINK, scheme.GROW
X, RULE, BETWEEN = scheme.X, scheme.RULE, scheme.BETWEEN
DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
RATE, HELD, VOL, YEARS, TOP, MOST, PER = range(7)
"""rows that describe the puts, struck at 1: rate; yield of what they are struck on; vol; years; ln X, where the
boundary begins; the most that ln(X / B) can be, which is that of a put without expiry; 1 / (vol sqrt years)"""
FLOOR, CEILING = 1e-300, 1e300
NOTHING = 1e-30
"""H below this is none"""

compiled = numba.njit(fastmath=EXACT, error_model="numpy")
"""division by zero gives an infinity: a check for it would be a branch"""


@compiled
def tail(d: float, density: float, whole: float) -> float:
    """whole × N(-d), with density = whole × n(d)."""
    size = abs(d)
    part = density * mills(50.0 if size > 50.0 else size)
    return part if d > 0.0 else whole - part


@compiled
def _ends(put: Any) -> None:
    """Fill in TOP, MOST and PER."""
    for k in range(put.shape[1]):
        rate, held, variance = put[RATE, k], put[HELD, k], put[VOL, k] * put[VOL, k]
        top = log((rate if rate > FLOOR else FLOOR) / held) if held > rate else 0.0
        slope = 2.0 * (rate - held) / variance - 1.0
        root = math.sqrt(slope * slope + 8.0 * rate / variance)
        power = 0.5 * (slope + root) if slope > 0.0 else 4.0 * rate / variance / (root - slope)
        last = power / (1.0 + power)
        most = top - log(last if last > FLOOR else FLOOR)
        put[TOP, k] = top
        put[PER, k] = 1.0 / (put[VOL, k] * math.sqrt(put[YEARS, k]))
        put[MOST, k] = most if most > 0.0 else 0.0


@compiled
def _search(put: Any, x: float, own: Any) -> None:
    """One Newton step for ln(X / B) at the time x^2 × years, in the equation of QD+ times its denominator."""
    for k in range(put.shape[1]):
        rate, held, vol, now = put[RATE, k], put[HELD, k], put[VOL, k], put[TOP, k] - own[k]
        t = put[YEARS, k] * x * x
        root = math.sqrt(t)
        sd = vol * root
        part = exp(-rate * t)
        per = rate / (1.0 - part) if rate * t > 1e-8 else (1.0 + 0.5 * rate * t) / t
        speed = 2.0 * (rate - held) / (vol * vol) - 1.0
        level = 2.0 * per / (vol * vol)
        spread = math.sqrt(speed * speed + 4.0 * level)
        power = -0.5 * (speed + spread) if speed > 0.0 else -2.0 * level / (spread - speed)
        power += part / spread * (level - level * level / (spread * spread))
        weight = -2.0 / (vol * vol * spread)
        b = exp(now)
        up = (now + (rate - held + 0.5 * vol * vol) * t) / sd
        whole = b * exp(-held * t)
        density = whole * exp(-0.5 * up * up) * DENSITY
        share = tail(up, density, whole)
        cash = tail(up - sd, density, part)
        fade = 0.5 * vol * density / root
        gap = (b - share) + power * (1.0 - b - cash + share) + weight * (rate * cash - held * share - fade)
        tilt = (b - share) * (1.0 - power) + density / sd
        tilt += weight * ((held - rate) * density / sd - held * share - fade * (1.0 - up / sd))
        step = gap / tilt
        step = sd if step > sd else step
        step = -sd if step < -sd else step
        following = own[k] + (step if abs(step) <= sd else 0.0)
        following = following if following > 0.0 else 0.0
        own[k] = put[MOST, k] if following > put[MOST, k] else following


@compiled
def _points(put: Any, i: int, own: Any, h: Any, sides: Any, pulls: Any) -> None:
    """Add what node i gains and pays at the points of its integral, and keep how that depends on the boundary there."""
    lanes, x = put.shape[1], X[i + 1]
    gains, costs = sides[0], sides[1]
    for j in range(INNER):
        s, weight = RULE[0, j], RULE[2, j]
        per = 1.0 / (x * s)
        gain, cost, inverse = pulls[0, j], pulls[1, j], pulls[2, j]
        for k in range(lanes):
            at = 0.0
            for m in range(NODES):
                at += BETWEEN[i, j, m] * h[m, k]
            there = math.sqrt(at if at > NOTHING else NOTHING)
            inverse[k] = 1.0 / there if at > NOTHING else 0.0
            rate, held, variance = put[RATE, k], put[HELD, k], put[VOL, k] * put[VOL, k]
            tau = put[YEARS, k] * x * x
            t = tau * s * s
            per_sd = put[PER, k] * per
            down = (there - own[k] + (rate - held - 0.5 * variance) * t) * per_sd
            up = down + variance * t * per_sd
            whole = weight * tau * exp(put[TOP, k] - own[k] - held * t)
            cash = weight * tau * DENSITY * exp(-0.5 * down * down - rate * t)
            share = DENSITY * exp(-0.5 * up * up) * whole
            gains[k] += rate * cash * per_sd
            costs[k] += held * (tail(-up, share, whole) + share * per_sd)
            bend = down * per_sd * per_sd
            gain[k] = rate * cash * bend
            cost[k] = held * share * bend


@compiled
def _before(put: Any, x: float, own: Any, sides: Any) -> None:
    """Both sides of a node's equation without the integrals, and what that adds to its own derivative."""
    gains, costs, slope = sides[0], sides[1], sides[2]
    for k in range(put.shape[1]):
        rate, held, variance = put[RATE, k], put[HELD, k], put[VOL, k] * put[VOL, k]
        tau = put[YEARS, k] * x * x
        sd = put[VOL, k] * math.sqrt(tau)
        down = (put[TOP, k] - own[k] + (rate - held - 0.5 * variance) * tau) / sd
        density = DENSITY * exp(-0.5 * down * down - rate * tau)
        gains[k] = density / sd
        costs[k] = density / sd + tail(-down - sd, density, exp(put[TOP, k] - own[k] - held * tau))
        slope[k] = density * down / (sd * sd)


@compiled
def _after(i: int, g: Any, sides: Any, pulls: Any, slopes: Any, gap: Any) -> None:
    """What the equation of node i misses, as a logarithm, and its derivatives by all nodes."""
    lanes = gap.shape[1]
    gains, costs, slope, missing = sides[0], sides[1], sides[2], gap[i]
    for k in range(lanes):
        missing[k] = -log(gains[k] / costs[k])
        slope[k] = 1.0 + slope[k] * (1.0 / gains[k] - 1.0 / costs[k])
    for j in range(INNER):
        gain, cost, inverse = pulls[0, j], pulls[1, j], pulls[2, j]
        for k in range(lanes):
            pull = gain[k] / gains[k] - cost[k] / costs[k]
            slope[k] += pull
            gain[k] = pull * inverse[k]
    for m in range(NODES):
        into = slopes[i, m]
        for k in range(lanes):
            total = 0.0
            for j in range(INNER):
                total += BETWEEN[i, j, m] * pulls[0, j, k]
            into[k] = (slope[k] if m == i else 0.0) - total * g[m, k]


@compiled
def _solve(slopes: Any, gap: Any) -> None:
    """Gauss elimination without pivots: the diagonal leads, as a node depends little on later ones."""
    count, lanes = gap.shape
    for i in range(count):
        lead, right = slopes[i, i], gap[i]
        for m in range(i + 1, count):
            factor, other = slopes[m, i], gap[m]
            for k in range(lanes):
                factor[k] /= lead[k]
                other[k] -= factor[k] * right[k]
            for n in range(i + 1, count):
                above, below = slopes[i, n], slopes[m, n]
                for k in range(lanes):
                    below[k] -= factor[k] * above[k]
    for i in range(count - 1, -1, -1):
        right, lead = gap[i], slopes[i, i]
        for n in range(i + 1, count):
            factor, other = slopes[i, n], gap[n]
            for k in range(lanes):
                right[k] -= factor[k] * other[k]
        for k in range(lanes):
            right[k] /= lead[k]


@compiled
def _step(most: Any, old: Any, by: Any) -> None:
    """Move one node, within bounds; what is not a number moves nothing."""
    for k in range(old.shape[0]):
        new = old[k] + (by[k] if abs(by[k]) < CEILING else 0.0)
        new = GROW * old[k] if new > GROW * old[k] else new
        new = SHRINK * old[k] if new < SHRINK * old[k] else new
        old[k] = most[k] if new > most[k] else new


@compiled
def _copy(source: Any, target: Any, shift: int, to: int, count: int) -> None:
    """Row by row `count` lanes; loops, because numba takes longer to compile an assignment of slices."""
    for i in range(target.shape[0]):
        for k in range(count):
            target[i, to + k] = source[i, shift + k]


@compiled
def _guess(put: Any, i: int, g: Any) -> None:
    """Where the search for node i begins: on the line through the two nodes before it."""
    for k in range(put.shape[1]):
        if i == 0:
            g[0, k] = 0.8 * X[1] / put[PER, k]
        elif i == 1:
            g[1, k] = g[0, k] * X[2] / X[1]
        else:
            g[i, k] = g[i - 1, k] + (g[i - 1, k] - g[i - 2, k]) * (X[i + 1] - X[i]) / (X[i] - X[i - 1])


@compiled
def _square(g: Any, h: Any) -> None:
    for i in range(g.shape[0]):
        for k in range(g.shape[1]):
            h[i, k] = g[i, k] * g[i, k]


@numba.njit(
    "void(int64, int64, float64[:, ::1], float64[:, ::1])",
    fastmath=EXACT, error_model="numpy", nogil=True, cache=True,
)  # fmt: skip
def boundaries(start: int, stop: int, puts: Any, out: Any) -> None:
    """For the puts start..stop fill in TOP, MOST and PER of `puts`, and ln(X / B) at the nodes in `out`."""
    h, gap, slopes = np.empty((NODES, LANES)), np.empty((NODES, LANES)), np.empty((NODES, NODES, LANES))
    sides, pulls = np.empty((3, LANES)), np.empty((3, INNER, LANES))
    put, g = np.ones((PER + 1, LANES)), np.empty((NODES, LANES))
    for block in range(start, stop, LANES):
        count = min(LANES, stop - block)
        _copy(puts, put, block, 0, count)
        _ends(put)
        for i in range(NODES):
            _guess(put, i, g)
            for _ in range(SEARCHES):
                _search(put, X[i + 1], g[i])
        for _ in range(STEPS):
            _square(g, h)
            for i in range(NODES):
                _before(put, X[i + 1], g[i], sides)
                _points(put, i, g[i], h, sides, pulls)
                _after(i, g, sides, pulls, slopes, gap)
            _solve(slopes, gap)
            for i in range(NODES):
                _step(put[MOST], g[i], gap[i])
        _copy(put, puts, 0, block, count)
        _copy(g, out, 0, block, count)
