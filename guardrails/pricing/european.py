"""Black-Scholes and Black-76 in closed form, over columns and over grids: prices and Greeks.

The generalised form with a cost of carry b covers both: b = r - q for stock and index, b = 0 for futures.
Source: E. G. Haug, "The Complete Guide to Option Pricing Formulas", 2nd ed., sections 1.1 and 2.1-2.8.
Units as everywhere: per one unit of the option, vega per volatility point, theta per calendar day, rho per 1 % rate.
These are European formulas; for an American option they are an approximation, and their results are marked `model`.

Both normal probabilities come from one density by Mills' ratio, because S e^(bT) n(d1) = K n(d2): a price costs one
exponential more than its two discount factors. Prices are within 1e-15 of spot and strike, those far out of the money
within 3e-13 relative; compiled kernels and numpy differ by no more than that.

Domain, where no exception and no warning ever comes:
- time 0 or less: the price is the intrinsic value at the spot given, every Greek is NaN;
- volatility 0: the price is what is sure, max(forward value, 0), every Greek is NaN; below 0: all NaN;
- spot or strike 0 or less, or NaN in any column: NaN;
- a price is never below the larger of 0 and its forward value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from guardrails.pricing import compiled
from guardrails.pricing.columns import DAYS_PER_YEAR, Array, Axes, Options, Sensitivities
from guardrails.pricing.normal import ROOT_TWO_PI, mills
from guardrails.pricing.parallel import in_parts

LEAST = 8192
"""options that are worth a thread of their own"""
_BLOCK = 4096
"""options numpy works on at a time, so that what one step leaves is still in the cache for the next"""
_FARTHEST = 50.0  # standard deviations; the density has been 0 since 38
_LOG_RANGE = (np.finfo(np.float64).tiny, np.finfo(np.float64).max)


def price(options: Options, vol: Array, out: Array | None = None) -> Array:
    """Present value of one unit at the volatility `vol` (fraction a year), written to `out` when that is given."""
    given = columns(options, vol)
    found = np.empty(given[0].size) if out is None else _own(out, given[0].size)
    kernels = compiled.kernels()
    if kernels is None:
        _in_blocks(
            lambda i, j: found.__setitem__(slice(i, j), _price(_options(given, i, j), given[6][i:j])), found.size
        )
    else:
        in_parts(lambda i, j: kernels.european.price(_cut(given, i, j), found[i:j]), found.size, LEAST)
    return found


def sensitivities(options: Options, vol: Array, out: Sensitivities | None = None) -> Sensitivities:
    """Price and Greeks at `vol`, written to the columns of `out` when they are given (new pages of memory cost time).

    Theta is the decay of one calendar day and never takes more than the premium that is left. Rho of an option on a
    share moves the carry with the rate, that of one on a future does not (`Options.futures` tells which is which).
    """
    given = columns(options, vol)
    size = given[0].size
    found = Sensitivities(*np.empty((6, size))) if out is None else out
    places = tuple(
        _own(place, size) for place in (found.price, found.delta, found.gamma, found.vega, found.theta, found.rho)
    )
    kernels = compiled.kernels()
    if kernels is None:
        _in_blocks(lambda i, j: _greeks(_options(given, i, j), given[6][i:j], _cut(places, i, j)), size)
    else:
        in_parts(lambda i, j: kernels.european.sensitivities(_cut(given, i, j), _cut(places, i, j)), size, LEAST)
    if options.on_future is not None:
        _correct_rho(Options(*given[:6], on_future=np.broadcast_to(options.on_future, (size,))), found)
    return found


def _correct_rho(o: Options, found: Sensitivities) -> None:
    """Rho of those whose carry alone did not tell whether they are struck on a future: there it is -T V, else
    T (S delta - V), which is what T K e^(-rT) N(d2) is."""
    told, guessed = o.futures(), replace(o, on_future=None).futures()
    rows = np.flatnonzero(told != guessed)
    if not rows.size:
        return
    with np.errstate(all="ignore"):
        share = np.where(told[rows], 0.0, o.spot[rows]) * found.delta[rows]
        found.rho[rows] = o.years[rows] * (share - found.price[rows]) / 100.0


def grid(options: Options, axes: Axes, out: Array | None = None) -> Array:
    """Prices (options, spots, volatilities, dates), each the value at its date; spot and years are those of `axes`.

    A date with no time left gives the intrinsic value. `out` is written to when it is given.
    """
    sign, strike, rate, carry = (
        np.ascontiguousarray(column, dtype=np.float64)
        for column in (options.sign, options.strike, options.rate, options.carry)
    )
    spots, vols, dates = (np.ascontiguousarray(axis, dtype=np.float64) for axis in (axes.spot, axes.vol, axes.years))
    shape = (sign.size, spots.shape[1], vols.shape[1], dates.shape[1])
    if {len(part) for part in (strike, rate, carry, spots, vols, dates)} - {sign.size}:
        raise ValueError(f"{sign.size} options need as many strikes, rates, carries and rows of each axis")
    found = np.empty(shape) if out is None else out
    if found.shape != shape or not found.flags.c_contiguous or found.dtype != np.float64:
        raise ValueError(f"out must be a contiguous float64 array of {shape}, it is {found.dtype} of {found.shape}")
    flat = found.reshape(sign.size, shape[1] * shape[2] * shape[3])
    least = max(1, LEAST // max(flat.shape[1], 1))
    kernels = compiled.kernels()
    if kernels is None:
        whole = (sign, strike, rate, carry, spots, vols, dates, found)
        _in_blocks(lambda i, j: _cells(*_cut(whole, i, j)), sign.size, least)
    else:
        parts = (sign, strike, rate, carry, spots, vols, dates, flat)
        in_parts(lambda i, j: kernels.european.grid(*_cut(parts, i, j)), sign.size, least)
    return found


def columns(options: Options, *others: Array) -> tuple[Array, ...]:
    """The columns of `options` in their order, then the others: contiguous float64 of one length.

    ValueError for lengths that differ, unless they are 1.
    """
    o = options
    given = (o.sign, o.spot, o.strike, o.years, o.rate, o.carry, *others)
    if any(column.shape != o.spot.shape for column in given):
        given = tuple(np.broadcast_arrays(*given))
    return tuple(np.ascontiguousarray(column, dtype=np.float64) for column in given)


def forward_terms(o: Options) -> tuple[Array, Array, Array]:
    """Discount factor of the carry e^((b-r)T), discounted strike, and ln(forward / strike)."""
    grown = np.exp(np.clip((o.carry - o.rate) * o.years, -708.0, 709.0))
    disc = o.strike * np.exp(np.clip(-o.rate * o.years, -708.0, 709.0))
    ratio = o.spot / o.strike
    inside = (ratio >= _LOG_RANGE[0]) & (ratio <= _LOG_RANGE[1])
    return grown, disc, np.log(np.where(inside, ratio, np.nan)) + o.carry * o.years


def _own(column: Array, size: int) -> Array:
    if column.shape != (size,) or not column.flags.c_contiguous or column.dtype != np.float64:
        raise ValueError(f"out must be contiguous float64 columns of {size}, one is {column.dtype} of {column.shape}")
    return column


def _cut(columns: tuple[Array, ...], first: int, last: int) -> tuple[Array, ...]:
    return tuple(column[first:last] for column in columns)


def _options(given: tuple[Array, ...], first: int, last: int) -> Options:
    return Options(*_cut(given[:6], first, last))


def _in_blocks(work: Callable[[int, int], None], count: int, block: int = _BLOCK) -> None:
    """`work(first, last)` over 0..count, no more than a block at a time, on every core."""

    def part(first: int, last: int) -> None:
        with np.errstate(all="ignore"):
            for begin in range(first, last, block):
                work(begin, min(begin + block, last))

    in_parts(part, count, block)


def _price(o: Options, vol: Array) -> Array:
    """The price in numpy; columns may be of any shapes that broadcast."""
    grown, disc, log_forward = forward_terms(o)
    return _terms(o, vol, o.spot * grown, disc, log_forward)[0]


def _terms(
    o: Options, vol: Array, carried: Array, disc: Array, log_forward: Array
) -> tuple[Array, Array, Array, Array]:
    """Price, carried spot x N(sign d1), discounted strike x N(sign d2), density at d1."""
    total = vol * np.sqrt(o.years)
    d1 = log_forward / total + 0.5 * total
    d2 = d1 - total
    density = np.exp(np.maximum(-0.5 * d1 * d1, -708.0)) / ROOT_TWO_PI
    weight = carried * density
    first, second = (weight * mills(np.minimum(np.abs(d), _FARTHEST)) for d in (d1, d2))
    first = np.where(o.sign * d1 < 0.0, first, carried - first)
    second = np.where(o.sign * d2 < 0.0, second, disc - second)
    sure = np.maximum(o.sign * (carried - disc), 0.0)
    value = np.where(vol > 0.0, np.maximum(o.sign * (first - second), sure), np.where(vol == 0.0, sure, np.nan))
    gone = np.maximum(o.sign * (o.spot - o.strike) + 0.0 * (o.rate + o.carry + vol), 0.0)
    return np.where(o.years <= 0.0, gone, value), first, second, density


def _greeks(o: Options, vol: Array, places: tuple[Array, ...]) -> None:
    """Write price, delta, gamma, vega, theta and rho in numpy to `places`."""
    grown, disc, log_forward = forward_terms(o)
    carried, root = o.spot * grown, np.sqrt(o.years)
    value, first, second, density = _terms(o, vol, carried, disc, log_forward)
    live = np.where((o.years > 0.0) & (vol > 0.0), o.sign * o.sign, np.nan)
    gamma = grown * density / (o.spot * vol * root)
    decay = -0.5 * (vol * o.spot) ** 2 * gamma - o.sign * ((o.carry - o.rate) * first + o.rate * second)
    places[0][:] = value
    places[1][:] = o.sign * first / o.spot * live
    places[2][:] = gamma * live
    places[3][:] = carried * density * root / 100.0 * live
    places[4][:] = np.maximum(decay / DAYS_PER_YEAR, -value) * live
    places[5][:] = np.where(o.futures(), -o.years * value, o.sign * o.years * second) / 100.0 * live


def _cells(
    sign: Array, strike: Array, rate: Array, carry: Array, spots: Array, vols: Array, dates: Array, found: Array
) -> None:
    """The grid in numpy."""
    per_option = Options(
        sign[:, None, None, None],
        spots[:, :, None, None],
        strike[:, None, None, None],
        dates[:, None, None, :],
        rate[:, None, None, None],
        carry[:, None, None, None],
    )
    found[:] = _price(per_option, vols[:, None, :, None])
