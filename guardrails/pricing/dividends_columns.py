"""The walk of `guardrails.pricing.dividends` in numpy: the same steps as the compiled form, many rows at once.

A row is one option at one volatility. Rows of like size are walked together on one mesh of columns with the struck
price in the same column; steps are taken in common, dividends and dates row by row.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from guardrails.pricing.columns import Array
from guardrails.pricing.dividends_layout import Flags, Integers, Layout
from guardrails.pricing.parallel import in_parts

_TOGETHER = 192
"""rows of one batch: their nodes fit the second cache"""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows walked together. Columns of length rows unless said otherwise."""

    option: Integers
    sign: Array
    strike: Array
    struck: Array
    rate: Array
    carry: Array
    american: Flags
    variance: Array
    dx: Array
    drift: Array
    longest: Array
    """step of time"""
    start: Array
    """y of the first node; the spot of node j is exp(start + j dx - drift × tau)"""
    nodes: int

    def one(self, row: int) -> _Rows:
        """Only this row."""
        columns: dict[str, Any] = {name: getattr(self, name)[row : row + 1] for name in self.__slots__[:-1]}
        return _Rows(**columns, nodes=self.nodes)


@dataclass(frozen=True, slots=True)
class _Events:
    """When each row's time passes what; row by row."""

    tau: Array
    """(steps + 1, rows) time to expiry before and after each step"""
    ahead: Integers
    """(steps + 1, rows) dividends between it and expiry"""
    at: dict[int, list[tuple[int, int, int]]]
    """by number of steps taken: (row, dividend or -1, date or -1)"""


def walk(made: Layout, out: Array, slopes: Array, curves: Array) -> None:
    """Fill `out` (options, spots, volatilities, dates) with present values, `slopes` and `curves` unless empty."""
    option, column = np.nonzero(made.meshes[..., 2] > 0.0)
    by_size = np.argsort(made.meshes[option, column, 2], kind="stable")

    def some(begin: int, end: int) -> None:
        for at in range(begin * _TOGETHER, end * _TOGETHER, _TOGETHER):
            batch = by_size[at : at + _TOGETHER]
            with np.errstate(all="ignore"):  # a thread of its own has its own
                _walk(made, option[batch], column[batch], out, slopes, curves)

    in_parts(some, -(-len(by_size) // _TOGETHER), 1)


def _walk(made: Layout, option: Integers, column: Integers, out: Array, slopes: Array, curves: Array) -> None:
    dx, below, nodes, drift, longest = made.meshes[option, column].T
    sign, strike, struck, rate, carry = made.terms[option].T
    size = int(below.max() + (nodes - below).max())
    start, variance = np.log(struck) - below.max() * dx, made.vols[option, column] ** 2
    rows = _Rows(
        option, sign, strike, struck, rate, carry, made.american[option], variance, dx, drift, longest, start, size
    )
    events = _events(made, rows)
    level = np.exp(rows.start[:, None] + np.arange(rows.nodes) * dx[:, None])
    u = _at_end(rows, level)
    u[:, int(below.max())] += struck * dx / 12.0
    w, taken = np.empty_like(u), np.empty_like(u)
    edges = _edges(made, rows, events, level)
    side = 0.5 * rows.variance * np.diff(events.tau, axis=0) / (dx * dx)
    slope = sign * np.where(rows.american, np.exp((rate - drift) * events.tau[1:]), 0.0)
    owed = np.where(rows.american, sign * strike * np.exp(rate * events.tau[1:]), np.inf)
    low = np.flatnonzero(sign < 0.0)
    for step in range(len(side) + 1):
        for row, dividend, date in events.at.get(step, ()):
            if dividend >= 0:
                u[row] = _fallen(made, rows.one(row), dividend, level[row], u[row])
            else:
                told = _told(made, rows.one(row), date, int(events.ahead[step, row]), u[row], greeks=slopes.size > 0)
                for kept, place in zip(told, (out, slopes, curves), strict=False):
                    place[option[row], :, column[row], date] = kept
        if step < len(side):
            _step(u, w, taken, side[step][:, None])
            np.multiply(level, slope[step][:, None], out=taken)
            taken -= owed[step][:, None]
            np.maximum(w, taken, out=w)
            w[:, 0], w[:, -1] = 0.0, edges[step + 1]
            w[low, 0], w[low, -1] = edges[step + 1, low], 0.0
            u, w = w, u


def _step(u: Array, w: Array, room: Array, side: Array) -> None:
    """The weights 1/6, 2/3, 1/6, or what the step's length makes of them, without early exercise."""
    np.add(u[:, :-2], u[:, 2:], out=w[:, 1:-1])
    w[:, 1:-1] *= side
    np.multiply(u[:, 1:-1], 1.0 - 2.0 * side, out=room[:, 1:-1])
    w[:, 1:-1] += room[:, 1:-1]


def _events(made: Layout, rows: _Rows) -> _Events:
    """The steps of every row as the compiled form takes them; a row that is through stands still."""
    at: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    taus, aheads = [], []
    for row, i in enumerate(rows.option):
        first, last = int(made.first[i]), int(made.first[i + 1])
        tau, ahead, now, paid, steps = [np.zeros(1)], [np.zeros(1, dtype=np.int64)], 0.0, first, 0
        for date in np.flatnonzero(made.years[i] > 0.0):
            until = made.years[i, date]
            falls = [k for k in range(paid, last) if made.entries[0, k] < until]
            for k, stop in [*((k, made.entries[0, k]) for k in falls), (-1, until)]:
                if stop > now:
                    need = 3.0 * rows.variance[row] * (stop - now) / rows.dx[row] ** 2
                    count = int(max(np.ceil(need - 1e-9), np.ceil((stop - now) / rows.longest[row])))
                    tau.append(now + (stop - now) / count * np.arange(1, count + 1))
                    ahead.append(np.full(count, paid - first))
                    steps, now = steps + count, stop
                at[steps].append((row, k, -1 if k >= 0 else int(date)))
                paid += k >= 0
        taus.append(np.concatenate(tau))
        aheads.append(np.concatenate(ahead))
    most = max(map(len, taus))
    return _Events(
        np.array([np.pad(tau, (0, most - len(tau)), mode="edge") for tau in taus]).T,
        np.array([np.pad(ahead, (0, most - len(ahead)), mode="edge") for ahead in aheads]).T,
        at,
    )


def _at_end(rows: _Rows, spot: Array) -> Array:
    """Payoff of each row (rows, ...) at expiry."""
    value = np.maximum(rows.sign[:, None] * (spot - rows.struck[:, None]), 0.0)
    return np.where(rows.sign[:, None] < 0.0, np.minimum(value, rows.strike[:, None]), value)


def _certain(made: Layout, rows: _Rows, ahead: Integers, flow: Array, now: Array) -> Array:
    """Undiscounted value (rows, n) where nothing is uncertain any more; see the compiled form."""
    first, held = made.first[rows.option][:, None], made.entries[2]
    last = first + ahead
    best = _at_end(rows, np.maximum(flow - (held[last] - held[first]), 0.0))
    sign, strike = rows.sign[:, None], rows.strike[:, None]
    choice = np.maximum(best, now)
    for j in range(int(ahead.max(initial=0))):
        k = np.minimum(first + j, last)
        some = first + j < last
        for gone in (held[last] - held[k], held[last] - held[np.minimum(k + 1, last)]):
            left = np.maximum(flow - gone, 0.0) * made.entries[3][k] - strike
            choice = np.where(some, np.maximum(choice, made.entries[4][k] * sign * left), choice)
    return np.where(rows.american[:, None], choice, best)


def _edges(made: Layout, rows: _Rows, events: _Events, level: Array) -> Array:
    """Value (steps + 1, rows) at the end of the mesh where the option is in the money."""
    end = np.where(rows.sign < 0.0, level[:, 0], level[:, -1])
    interest = np.exp(rows.rate * events.tau)
    now = rows.sign * (end * np.exp((rows.rate - rows.drift) * events.tau) - rows.strike * interest)
    flow = end * np.exp((rows.carry - rows.drift) * events.tau)
    return _certain(made, rows, events.ahead.T, flow.T, now.T).T


def _cubic(u: Array, place: Array) -> Array:
    """Values at `place`, counted in nodes, of the cubics through the four nodes around each."""
    i = np.clip(place.astype(np.int64) - 1, 0, len(u) - 4)
    a, b, c, d = (place - i - part for part in range(4))
    weighted = a * b * c * u[i + 3] - 3.0 * a * b * d * u[i + 2] + 3.0 * a * c * d * u[i + 1] - b * c * d * u[i]
    return np.asarray(weighted / 6.0)


def _value(made: Layout, row: _Rows, ahead: int, tau: float, spot: Array, u: Array) -> Array:
    """Undiscounted value of the one row at each spot, held on."""
    place = (np.log(spot) + row.drift * tau - row.start) / row.dx
    inside = (place >= 0.0) & (place <= row.nodes - 1.0)
    now = np.exp(row.rate * tau) * row.sign * (spot - row.strike)
    flow = spot * np.exp(row.carry * tau)
    beyond = _certain(made, row, np.full((1, 1), ahead), flow[None, :], now[None, :])[0]
    return np.where(inside, np.maximum(_cubic(u, np.where(inside, place, 0.0)), 0.0), beyond)


def _fallen(made: Layout, row: _Rows, dividend: int, level: Array, u: Array) -> Array:
    """Values just before the spot falls by the dividend."""
    tau, amount = made.entries[0, dividend], made.entries[1, dividend]
    spot = level * np.exp(-row.drift * tau)
    held = _value(made, row, dividend - int(made.first[row.option[0]]), tau, np.maximum(spot - amount, 0.0), u)
    now = np.exp(row.rate * tau) * row.sign * (spot - row.strike)
    if not row.american[0]:
        return held
    over: Array = held - now
    value: Array = np.maximum(held, now)
    for j in np.flatnonzero((over[:-1] < 0.0) != (over[1:] < 0.0)):
        along = over[j] / (over[j] - over[j + 1])
        bent = abs(over[j + 1] - over[j]) * (along * along - along + 1.0 / 6.0) / 2.0
        value[j : j + 2] += np.array([1.0 - along, along]) * bent
    return value


def _told(made: Layout, row: _Rows, date: int, ahead: int, u: Array, *, greeks: bool) -> tuple[Array, ...]:
    """Present values at the row's spots, and with `greeks` deltas and gammas."""
    i = row.option[0]
    tau, spot = made.years[i, date], made.spots[i]
    spot = np.where((spot >= 0.0) & np.isfinite(spot), spot, np.nan)
    interest = np.exp(row.rate * tau)
    value = _value(made, row, ahead, tau, spot, u) / interest
    if row.american[0]:
        value = np.maximum(value, row.sign * (spot - row.strike))
    if not greeks:
        return (value,)
    place = (np.log(spot) + row.drift * tau - row.start) / row.dx
    inside = (place >= 0.0) & (place <= row.nodes - 1.0)
    m = np.arange(2, row.nodes - 2)
    first, second = np.zeros(row.nodes), np.zeros(row.nodes)
    first[m] = (u[m - 2] - 8.0 * u[m - 1] + 8.0 * u[m + 1] - u[m + 2]) / 12.0
    second[m] = (16.0 * (u[m - 1] + u[m + 1]) - u[m - 2] - u[m + 2] - 30.0 * u[m]) / 12.0
    within = np.where(inside, place, 0.0) - 2.0
    first, second = _cubic(first[2:-2], within) / row.dx, _cubic(second[2:-2], within) / row.dx**2
    bump = 1e-6 * spot
    up, down = (_value(made, row, ahead, tau, spot + part, u) for part in (bump, -bump))
    slope = np.where(inside, first / spot, (up - down) / (2.0 * bump))
    curve = np.where(inside, (second - first) / (spot * spot), 0.0)
    return value, slope / interest, np.where(np.isnan(spot), np.nan, curve / interest)
