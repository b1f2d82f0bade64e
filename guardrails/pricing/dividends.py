"""Options on a share that pays known cash amounts at known times: American and European prices, Greeks, whole grids.

Spot model: between ex-dates the spot is lognormal with the cost of carry b and the volatility of the option; at an
ex-date it falls by the amount, never below zero. (The volatility is that of the spot, not of spot less dividends.)

Method: backward from expiry on nodes at equal distances in log spot which move with the drift, so that only diffusion
is left. A step of 3 × variance × dt = dx² has the weights 1/6, 2/3, 1/6 and matches the fourth moment too: error dx⁴
where the value is smooth. The strike is a node, and the kink there is corrected by strike × dx / 12 (Euler-Maclaurin).
Early exercise is allowed at every step; at an ex-date the value is carried over by cubic interpolation. Beyond five
standard deviations, where nothing is uncertain, the value is the best of exercise now, beside an ex-date or at expiry.
One walk gives every spot and every date of a grid. Source: for the lattice J. Hull and A. White, "Valuing derivative
securities using the explicit finite difference method", JFQA 25(1) 1990; for the model M. H. Vellekoop and
J. W. Nieuwenhuis, "Efficient pricing of derivatives on assets with discrete dividends", Applied Mathematical Finance
13(3) 2006.

Units as everywhere in this room. Options without a dividend before expiry are right here too, but dearer than in the
modules that are made for them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from guardrails.pricing import european
from guardrails.pricing.columns import DAYS_PER_YEAR, Array, Axes, Options, Sensitivities
from guardrails.pricing.compiled import kernels
from guardrails.pricing.dividends_columns import walk
from guardrails.pricing.dividends_layout import LOWEST_VOL, Dividends, Flags, layout
from guardrails.pricing.implied import implied_vol as european_vol
from guardrails.pricing.parallel import in_parts

__all__ = ["Dividends", "grid", "implied_vol", "price", "sensitivities"]

HIGHEST_VOL = 10.0
_VOL_BUMP, _RATE_BUMP = 0.01, 1e-3
_ITERATIONS = 60
_SETTLED = 1e-8
"""change of a volatility, as a share of it, that is the last"""
_LEAST_PART = 4
"""options worth a thread of their own"""


def price(options: Options, vol: Array, dividends: Dividends, american: Flags) -> Array:
    """Present value of one unit at `vol`, of an American option where `american` says so, of a European one elsewhere.

    At or after expiry the intrinsic value, at a volatility of zero the certain one (that at 0.0001, to be exact). NaN
    where an input is not finite, the spot or volatility is negative, or the strike is not above zero.
    """
    return grid(options, _alone(options, vol), dividends, american)[:, 0, 0, 0]


def grid(options: Options, axes: Axes, dividends: Dividends, american: Flags) -> Array:
    """Present values (options, spots, volatilities, dates), each seen from its date, when only later dividends count.

    `axes.years` is counted as `options.years` is, from which the ex-dates are known: a dividend lies ahead of a date
    when fewer years are left from it to expiry. `options.spot` is not used. Cells are as in `price`.
    """
    return _walked(options, axes, dividends, american, greeks=False)[0]


def sensitivities(options: Options, vol: Array, dividends: Dividends, american: Flags) -> Sensitivities:
    """Price and Greeks at `vol`; NaN where `price` is or time, spot or volatility are not above zero.

    Delta, gamma and theta are read off the lattice (theta is 0 where exercise is due and never takes more than the
    premium), vega and rho are central differences; rho moves rate and carry together.
    """
    o = options
    with np.errstate(all="ignore"):
        later = _later(o, dividends)
        axes = replace(_alone(o, vol), years=np.stack([o.years, o.years - later, o.years - 2.0 * later], axis=1))
        values, deltas, gammas = (each[:, 0, 0] for each in _walked(o, axes, dividends, american, greeks=True))
        value, delta, gamma = values[:, 0], deltas[:, 0], gammas[:, 0]
        decay = (4.0 * values[:, 1] - values[:, 2] - 3.0 * value) / (2.0 * later)
        up, down = (price(o, vol * (1.0 + bump), dividends, american) for bump in (_VOL_BUMP, -_VOL_BUMP))
        dear, cheap = (
            price(replace(o, rate=o.rate + bump, carry=o.carry + bump), vol, dividends, american)
            for bump in (_RATE_BUMP, -_RATE_BUMP)
        )
        alive = (o.years > 0.0) & (vol > 0.0) & (o.spot > 0.0)
        return Sensitivities(*(
            np.where(alive, each, np.nan)
            for each in (
                value,
                delta,
                gamma,
                (up - down) / (2.0 * _VOL_BUMP * vol) / 100.0,
                np.maximum(decay / DAYS_PER_YEAR, -value),
                (dear - cheap) / (2.0 * _RATE_BUMP) / 100.0,
            )
        ))  # fmt: skip


def implied_vol(options: Options, target: Array, dividends: Dividends, american: Flags) -> Array:
    """Volatility at which `price` equals `target`; NaN where none in 0.0001..10 does, or time or spot are not above 0.

    At or below the value of exercise now, or of certainty, no volatility is told.
    """
    o, target = options, np.asarray(target, dtype=np.float64)
    styles = np.broadcast_to(np.asarray(american, dtype=np.bool_), o.strike.shape)
    found = np.full(o.strike.shape, np.nan)
    with np.errstate(all="ignore"):
        least = price(o, np.full(o.strike.shape, LOWEST_VOL), dividends, styles)
        most = np.where(o.sign > 0.0, o.spot, o.strike * np.maximum(np.exp(-o.rate * o.years), 1.0))
        between = (target > least * (1.0 + 1e-12) + 1e-10) & (target < most)
        rows = np.flatnonzero(between & (o.years > 0.0) & (o.spot > 0.0))
        if rows.size:
            part, entries, styles = _rows(o, rows), _entries(dividends, rows), styles[rows]
            found[rows] = _solved(part, target[rows], entries, styles)
    return found


def _solved(o: Options, target: Array, dividends: Dividends, american: Flags) -> Array:
    """Secants that stay in their brackets, begun with a Newton step of the European on the spot less dividends."""
    vol, slope = _start(o, target, dividends)
    low, high = np.full_like(vol, LOWEST_VOL), np.full_like(vol, HIGHEST_VOL)
    found, before, gap_before = (np.full_like(vol, np.nan) for _ in range(3))
    left = np.arange(len(vol))
    for _ in range(_ITERATIONS):
        if not left.size:
            break
        gap = price(_rows(o, left), vol, _entries(dividends, left), american[left]) - target[left]
        high, low = np.where(gap > 0.0, vol, high), np.where(gap > 0.0, low, vol)
        slope = np.where(np.isfinite(gap_before), (gap - gap_before) / (vol - before), slope)
        step = vol - gap / slope
        step = np.where((step > low) & (step < high), step, np.sqrt(low * high))
        settled = (np.abs(step - vol) <= _SETTLED * vol) | (high - low <= _SETTLED * low)
        found[left[settled]] = step[settled]
        going = ~settled
        left, low, high, slope = left[going], low[going], high[going], slope[going]
        before, gap_before, vol = vol[going], gap[going], step[going]
    return np.where(found < HIGHEST_VOL * (1.0 - 1e-6), found, np.nan)


def _start(o: Options, target: Array, dividends: Dividends) -> tuple[Array, Array]:
    """A volatility to begin at, and the price's slope there."""
    owner = np.repeat(np.arange(len(o.strike)), np.diff(dividends.first))
    ahead = (dividends.years > 0.0) & (dividends.years <= o.years[owner])
    worth = np.where(ahead, dividends.amount * np.exp(-o.carry[owner] * dividends.years), 0.0)
    spot = np.maximum(o.spot - np.bincount(owner, worth, minlength=len(o.strike)), 0.01 * o.spot)
    bare = replace(o, spot=spot)
    vol = european_vol(bare, target)
    vol = np.where((vol > 0.01) & (vol < 3.0), vol, 0.3)
    return vol, european.sensitivities(bare, vol).vega * 100.0


def _later(o: Options, dividends: Dividends) -> Array:
    """Years over which theta is measured, twice of which end before the next ex-date."""
    owner = np.repeat(np.arange(len(o.strike)), np.diff(dividends.first))
    until = np.full(len(o.strike), np.inf)
    np.minimum.at(until, owner, np.where(dividends.years > 0.0, dividends.years, np.inf))
    return np.minimum(np.minimum(0.25 / DAYS_PER_YEAR, o.years / 25.0), until / 3.0)


def _rows(o: Options, rows: NDArray[np.int64]) -> Options:
    return Options(o.sign[rows], o.spot[rows], o.strike[rows], o.years[rows], o.rate[rows], o.carry[rows])


def _entries(dividends: Dividends, rows: NDArray[np.int64]) -> Dividends:
    counts = np.diff(dividends.first)[rows]
    first = np.concatenate(([0], np.cumsum(counts)))
    taken = np.arange(first[-1]) + np.repeat(dividends.first[rows] - first[:-1], counts)
    return Dividends(first, dividends.years[taken], dividends.amount[taken], dividends.spacing)


def _alone(o: Options, vol: Array) -> Axes:
    return Axes(o.spot[:, None], np.asarray(vol, dtype=np.float64)[:, None], o.years[:, None])


def _walked(
    o: Options, axes: Axes, dividends: Dividends, american: Flags, *, greeks: bool
) -> tuple[Array, Array, Array]:
    """Prices, deltas and gammas (options, spots, volatilities, dates); the last two empty without `greeks`."""
    styles = np.broadcast_to(np.asarray(american, dtype=np.bool_), o.strike.shape)
    with np.errstate(all="ignore"):
        made = layout(o, axes, dividends, styles)
        shape = (*axes.spot.shape, axes.vol.shape[1], axes.years.shape[1])
        found = [np.full(shape if part == 0 or greeks else (0, 0, 0, 0), np.nan) for part in range(3)]
        if (ready := kernels()) is None:
            walk(made, *found)
        else:
            columns = (
                made.terms,
                made.american,
                made.spots,
                made.vols,
                made.years,
                made.first,
                made.entries,
                made.meshes,
            )
            in_parts(lambda begin, end: ready.dividends.walk(begin, end, *columns, *found), len(o.strike), _LEAST_PART)
        back = np.argsort(made.order, axis=1)[:, None, None, :]
        prices, deltas, gammas = (np.take_along_axis(each, back, axis=3) if each.size else each for each in found)
        sound = np.isfinite(axes.vol) & (axes.vol >= 0.0) & np.isfinite(o.rate + o.carry)[:, None]
        over = (axes.years <= 0.0)[:, None, None, :] & sound[:, None, :, None]
        strike, spot = (
            np.where(o.strike > 0.0, o.strike, np.nan)[:, None],
            np.where(axes.spot >= 0.0, axes.spot, np.nan),
        )
        intrinsic = np.maximum(o.sign[:, None] * (spot - strike), 0.0)[:, :, None, None]
    return np.where(over, intrinsic, prices), deltas, gammas
