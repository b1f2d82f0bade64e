"""Compiled form of `guardrails.pricing.dividends`, which describes the method and makes the columns given here.

One call walks the lattice of every option and volatility of its part; nothing is kept between two of them. Values on
the lattice are undiscounted: present value times exp(rate × tau), tau being the time to expiry.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np


class Terms(NamedTuple):
    """One option."""

    sign: float
    strike: float
    struck: float
    """strike with what is paid at expiry itself added"""
    rate: float
    carry: float
    style: bool
    """American"""


class Paid(NamedTuple):
    """The dividends of all options, those of one side by side, the last before its expiry first."""

    tau: Any
    amount: Any
    held: Any
    """sums of amount × exp(carry × tau) before each entry"""
    shrink: Any
    """exp(-carry × tau)"""
    grow: Any
    """exp(rate × tau)"""


class Mesh(NamedTuple):
    """Nodes at equal distances in log spot, which move with the drift: node j is spot exp(start + j dx - drift tau)."""

    nodes: int
    dx: float
    start: float
    drift: float
    variance: float
    longest: float
    """step of time"""


@numba.njit(cache=True, nogil=True)
def _at_end(it: Terms, spot: float) -> float:
    value: float = max(it.sign * (spot - it.struck), 0.0)
    return min(value, it.strike) if it.sign < 0.0 else value


@numba.njit(cache=True, nogil=True)
def _certain(it: Terms, paid: Paid, k0: int, k: int, flow: float, now: float) -> float:
    """Value where nothing is uncertain any more: the best of exercise now, beside an ex-date, and at expiry.

    `flow` is the spot grown to expiry without dividends, `now` what exercise at once brings; k0..k are yet to be paid.
    """
    best: float = _at_end(it, max(flow - (paid.held[k] - paid.held[k0]), 0.0))
    if not it.style:
        return best
    best = max(best, now)
    for j in range(k0, k):
        for gone in (paid.held[k] - paid.held[j], paid.held[k] - paid.held[j + 1]):
            best = max(best, paid.grow[j] * it.sign * (max(flow - gone, 0.0) * paid.shrink[j] - it.strike))
    return best


@numba.njit(cache=True, nogil=True)
def _cubic(u: Any, place: float, nodes: int) -> float:
    """Value at `place`, counted in nodes, of the cubic through the four nodes around it."""
    i = min(max(int(place) - 1, 0), nodes - 4)
    t = place - i
    a, b, c, d = t, t - 1.0, t - 2.0, t - 3.0
    value: float = (
        a * b * c * u[i + 3] - 3.0 * a * b * d * u[i + 2] + 3.0 * a * c * d * u[i + 1] - b * c * d * u[i]
    ) / 6.0
    return value


@numba.njit(cache=True, nogil=True)
def _derivatives(u: Any, place: float, nodes: int) -> tuple[float, float]:
    """First and second derivative at `place`, by node: fourth-order differences at four nodes, then the cubic."""
    i = min(max(int(place) - 1, 2), nodes - 6)
    first, second = np.empty(4), np.empty(4)
    for j in range(4):
        m = i + j
        first[j] = (u[m - 2] - 8.0 * u[m - 1] + 8.0 * u[m + 1] - u[m + 2]) / 12.0
        second[j] = (16.0 * (u[m - 1] + u[m + 1]) - u[m - 2] - u[m + 2] - 30.0 * u[m]) / 12.0
    return _cubic(first, place - i, 4), _cubic(second, place - i, 4)


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _kept(u: Any, w: Any, nodes: int, side: float) -> None:
    """One step without early exercise."""
    middle = 1.0 - 2.0 * side
    for j in range(1, nodes - 1):
        w[j] = side * (u[j - 1] + u[j + 1]) + middle * u[j]


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _kept_or_taken(u: Any, w: Any, level: Any, nodes: int, side: float, slope: float, owed: float) -> None:
    """One step with early exercise, which brings `slope` × level - `owed`."""
    middle = 1.0 - 2.0 * side
    for j in range(1, nodes - 1):
        kept = side * (u[j - 1] + u[j + 1]) + middle * u[j]
        taken = slope * level[j] - owed
        w[j] = kept if kept > taken else taken


@numba.njit(cache=True, nogil=True)
def _stretch(  # noqa: PLR0917  # compiled code knows no keywords
    it: Terms, paid: Paid, mesh: Mesh, k0: int, k: int, tau: float, stop: float, level: Any, u: Any, w: Any
) -> tuple[Any, Any]:
    """From `tau` back to `stop`, no dividend between them: the new values, and the room of the old."""
    span, dx = stop - tau, mesh.dx
    steps = int(max(math.ceil(3.0 * mesh.variance * span / (dx * dx) - 1e-9), math.ceil(span / mesh.longest)))
    dt = span / steps
    side = 0.5 * mesh.variance * dt / (dx * dx)
    edge, far = (0, mesh.nodes - 1) if it.sign < 0.0 else (mesh.nodes - 1, 0)
    slope, owed = it.sign * math.exp((it.rate - mesh.drift) * tau), it.sign * it.strike * math.exp(it.rate * tau)
    flow = level[edge] * math.exp((it.carry - mesh.drift) * tau)
    by_slope, by_owed = math.exp((it.rate - mesh.drift) * dt), math.exp(it.rate * dt)
    by_flow = math.exp((it.carry - mesh.drift) * dt)
    for _ in range(steps):
        slope, owed, flow = slope * by_slope, owed * by_owed, flow * by_flow
        if it.style:
            _kept_or_taken(u, w, level, mesh.nodes, side, slope, owed)
        else:
            _kept(u, w, mesh.nodes, side)
        w[far] = 0.0
        w[edge] = _certain(it, paid, k0, k, flow, slope * level[edge] - owed)
        u, w = w, u
    return u, w


@numba.njit(cache=True, nogil=True)
def _value(it: Terms, paid: Paid, mesh: Mesh, k0: int, k: int, tau: float, spot: float, u: Any) -> float:
    """Undiscounted value at `spot`, held on."""
    place = (math.log(spot) + mesh.drift * tau - mesh.start) / mesh.dx if spot > 0.0 else -1.0
    if 0.0 <= place <= mesh.nodes - 1.0:
        return max(_cubic(u, place, mesh.nodes), 0.0)
    now = math.exp(it.rate * tau) * it.sign * (spot - it.strike)
    return _certain(it, paid, k0, k, spot * math.exp(it.carry * tau), now)


@numba.njit(cache=True, nogil=True)
def _fall(it: Terms, paid: Paid, mesh: Mesh, k0: int, k: int, level: Any, u: Any, w: Any) -> None:
    """Values just before the spot falls by dividend k; `u` is used up.

    Where exercise begins to pay the value has a kink, off the nodes, which is corrected as the one at the strike is.
    """
    tau = paid.tau[k]
    slower, interest = math.exp(-mesh.drift * tau), math.exp(it.rate * tau)
    for j in range(mesh.nodes):
        spot = level[j] * slower
        w[j] = _value(it, paid, mesh, k0, k, tau, max(spot - paid.amount[k], 0.0), u)
    if not it.style:
        return
    for j in range(mesh.nodes):
        u[j] = w[j] - interest * it.sign * (level[j] * slower - it.strike)
        w[j] -= min(u[j], 0.0)
    for j in range(mesh.nodes - 1):
        if (u[j] < 0.0) != (u[j + 1] < 0.0):
            along = u[j] / (u[j] - u[j + 1])
            bent = abs(u[j + 1] - u[j]) * (along * along - along + 1.0 / 6.0) / 2.0
            w[j] += (1.0 - along) * bent
            w[j + 1] += along * bent


@numba.njit(cache=True, nogil=True)
def _greeks(it: Terms, paid: Paid, mesh: Mesh, k0: int, k: int, tau: float, spot: float, u: Any) -> tuple[float, float]:
    """Delta and gamma of the undiscounted value; NaN for a spot of zero."""
    if spot == 0.0:
        return math.nan, math.nan
    place = (math.log(spot) + mesh.drift * tau - mesh.start) / mesh.dx
    if not 0.0 <= place <= mesh.nodes - 1.0:
        bump = 1e-6 * spot
        up = _value(it, paid, mesh, k0, k, tau, spot + bump, u)
        return (up - _value(it, paid, mesh, k0, k, tau, spot - bump, u)) / (2.0 * bump), 0.0
    first, second = _derivatives(u, place, mesh.nodes)
    first, second = first / mesh.dx, second / (mesh.dx * mesh.dx)
    return first / spot, (second - first) / (spot * spot)


@numba.njit(
    "void(int64, int64, float64[:,::1], boolean[::1], float64[:,::1], float64[:,::1], float64[:,::1], int64[::1],"
    " float64[:,::1], float64[:,:,::1], float64[:,:,:,::1], float64[:,:,:,::1], float64[:,:,:,::1])",
    cache=True,
    nogil=True,
)
def walk(  # noqa: C901, PLR0917  # one loop over options, vols, dates, spots; no keywords
    begin: int, end: int, terms: Any, styles: Any, spots: Any, vols: Any, years: Any, first: Any, entries: Any,
    meshes: Any, out: Any, slopes: Any, curves: Any,
) -> None:  # fmt: skip
    """Fill `out` (options, spots, volatilities, dates) for the options begin..end, `slopes` and `curves` unless empty.

    `terms` (options, 5) as in Terms, `entries` (5, dividends) as in Paid, `meshes` (options, volatilities, 5) as
    spacing, nodes below the struck one, nodes (0: leave out), drift, longest step; `years` ascending.
    """
    paid = Paid(entries[0], entries[1], entries[2], entries[3], entries[4])
    if end == begin:
        return
    most = int(meshes[begin:end, :, 2].max())
    u, w, level = np.empty(most), np.empty(most), np.empty(most)
    dates = years.shape[1]
    for i in range(begin, end):
        it = Terms(terms[i, 0], terms[i, 1], terms[i, 2], terms[i, 3], terms[i, 4], styles[i])
        k0 = first[i]
        for v in range(vols.shape[1]):
            dx, low, nodes = meshes[i, v, 0], int(meshes[i, v, 1]), int(meshes[i, v, 2])
            if nodes == 0:
                continue
            start = math.log(it.struck) - low * dx
            mesh = Mesh(nodes, dx, start, meshes[i, v, 3], vols[i, v] * vols[i, v], meshes[i, v, 4])
            for j in range(nodes):
                level[j] = math.exp(mesh.start + j * dx)
                u[j] = _at_end(it, level[j])
            u[low] += it.struck * dx / 12.0
            tau, k, d = 0.0, k0, 0
            while years[i, d] <= 0.0:
                d += 1
            while d < dates:
                falls = k < first[i + 1] and paid.tau[k] < years[i, d]
                stop = paid.tau[k] if falls else years[i, d]
                if stop > tau:
                    u, w = _stretch(it, paid, mesh, k0, k, tau, stop, level, u, w)
                    tau = stop
                if falls:
                    _fall(it, paid, mesh, k0, k, level, u, w)
                    u, w, k = w, u, k + 1
                    continue
                interest = math.exp(it.rate * tau)
                for s in range(spots.shape[1]):
                    spot = spots[i, s]
                    if 0.0 <= spot < math.inf:
                        kept = _value(it, paid, mesh, k0, k, tau, spot, u) / interest
                        out[i, s, v, d] = max(kept, it.sign * (spot - it.strike)) if it.style else kept
                        if slopes.size:
                            slope, curve = _greeks(it, paid, mesh, k0, k, tau, spot, u)
                            slopes[i, s, v, d], curves[i, s, v, d] = slope / interest, curve / interest
                d += 1
