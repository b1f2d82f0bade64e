"""European prices, Greeks and grids against QuantLib, numpy with scipy, and what memory and arithmetic allow.

`python -m benchmarks.pricing_european` runs it alone. QuantLib's loop is counted as if it used both cores; the numpy
peer does use both.
"""

from __future__ import annotations

import math
import sys

import numba
import numpy as np
import QuantLib
from scipy.special import ndtr

from benchmarks.timing import Row, medians, ms
from guardrails.pricing import Array, Axes, Options, Sensitivities, compiled, grid, sensitivities
from guardrails.pricing.european import columns
from guardrails.pricing.parallel import CORES, in_parts

MANY, SOME = 1_000_000, 10_000
POSITIONS, UNDERLYINGS, SPOTS, VOLS, DATES = 1_000, 50, 21, 9, 3
TRAFFIC = 13 * 8 * MANY
"""bytes: seven columns read and six written"""
GRID_FLOP = 0.11e9
"""hand-counted for that grid (performance facts, section 4), good to a factor 1.5"""
_SLICE = 4096  # of the numpy peer, so that it works in the cache


def european() -> list[Row]:
    """Rows of the table: a million options with Greeks, and the grid."""
    compiled.prepare()
    return [*_columns(), *_grid()]


def book(count: int) -> tuple[Options, Array]:
    """Calls and puts, spot 50 to 150, 3 to 729 days, 10 to 80 %."""
    random = np.random.default_rng(5)
    rate = np.full(count, 0.04)
    options = Options(
        sign=np.where(random.random(count) < 0.5, 1.0, -1.0),
        spot=random.uniform(50.0, 150.0, count),
        strike=np.full(count, 100.0),
        years=random.uniform(3.0, 729.0, count) / 365.0,
        rate=rate,
        carry=rate - random.uniform(0.0, 0.04, count),
    )
    return options, random.uniform(0.1, 0.8, count)


def _columns() -> list[Row]:
    options, vol = book(MANY)
    few = Options(*(column[:SOME].copy() for column in columns(options)))
    own, theirs = Sensitivities(*np.zeros((6, MANY))), Sensitivities(*np.zeros((6, MANY)))
    third = np.ones((3, TRAFFIC // 24))
    taken = medians({
        "own": lambda: sensitivities(options, vol, own),
        "new": lambda: sensitivities(options, vol),
        "scipy": lambda: in_parts(lambda i, j: _scipy(options, vol, theirs, i, j), MANY, _SLICE),
        "triad": lambda: in_parts(lambda i, j: _triad(*third[:, i:j], 3.0), third.shape[1], _SLICE),
        "loop": lambda: _quantlib(few, vol[:SOME]),
    })  # fmt: skip
    worst = _apart(own, _quantlib(few, vol[:SOME]), few.spot)
    assert worst < 1e-9, worst
    assert _apart(own, theirs, options.spot) < 1e-9
    loop, found = taken["loop"] * MANY / SOME / CORES, taken["own"]
    return [
        Row(
            "1 M European prices with five Greeks, into columns that are there",
            f"{ms(found)} ({found:.2f} ns each); into new columns {ms(taken['new'])}",
        ),
        _ratio("against QuantLib's BlackCalculator loop (10 k timed)", loop, found, 500),
        _ratio("against numpy and scipy on both cores", taken["scipy"], found, 10),
        _limit("against memory: a triad over the same 104 MB", found, taken["triad"], 1.5),
        Row("worst difference from QuantLib (price over spot, delta, gamma x spot, vega, rho)", f"{worst:.0e}"),
    ]


def _grid() -> list[Row]:
    options, vol = book(POSITIONS)
    level = np.repeat(np.random.default_rng(6).uniform(50.0, 150.0, UNDERLYINGS), POSITIONS // UNDERLYINGS)
    axes = Axes(
        level[:, None] * np.linspace(0.7, 1.3, SPOTS),
        vol[:, None] * np.linspace(0.6, 2.0, VOLS),
        options.years[:, None] - np.array([0.0, 1.0, 2.0]) / 365.0,
    )
    out, chains = np.zeros((POSITIONS, SPOTS, VOLS, DATES)), np.ones(_NUMBERS * CORES)
    taken = medians({
        "own": lambda: grid(options, axes, out),
        "loop": lambda: _quantlib_cells(options, axes, POSITIONS // 100),
        "peak": lambda: in_parts(lambda i, j: _peak(chains[i:j]), chains.size, _NUMBERS),
    })  # fmt: skip
    sample = _quantlib_cells(options, axes, POSITIONS // 100)
    worst = np.abs(out[: POSITIONS // 100] - sample).max()
    assert worst < 1e-9, worst
    loop, flops = taken["loop"] * 100 / CORES, chains.size * _ROUNDS * _FLOP_EACH / taken["peak"] * 1e3
    limit = GRID_FLOP / flops * 1e3
    return [
        Row(f"European grid, {POSITIONS:,} x {SPOTS} x {VOLS} x {DATES}", ms(taken["own"])),
        _ratio("against QuantLib's BlackCalculator loop (1 % timed)", loop, taken["own"], 200),
        _limit(f"against arithmetic: 0.11 GFLOP at the {flops / 1e9:.0f} GFLOP/s measured", taken["own"], limit, 3.0),
        Row("worst cell against QuantLib, in $ a share", f"{worst:.0e}"),
    ]


def _ratio(what: str, theirs: float, own: float, goal: float) -> Row:
    return Row(what, f"{theirs / own:,.1f}x ({ms(theirs)})", f">= {goal:g}x", theirs / own >= goal)


def _limit(what: str, own: float, limit: float, goal: float) -> Row:
    return Row(what, f"{own / limit:.2f}x ({ms(limit)})", f"<= {goal:g}x", own / limit <= goal)


def _apart(found: Sensitivities, wanted: Sensitivities, spot: Array) -> float:
    """Worst difference over the rows of `wanted`; theta is left out, which we never let exceed the premium."""
    size = wanted.price.size
    scales = (("price", 1.0 / spot), ("delta", 1.0), ("gamma", spot), ("vega", 1.0), ("rho", 1.0))
    return max(
        float(np.abs((getattr(found, name)[:size] - getattr(wanted, name)) * scale).max()) for name, scale in scales
    )


def _scipy(o: Options, vol: Array, out: Sensitivities, first: int, last: int) -> None:
    """The peer in numpy: the same formulas as one would write them, in slices that stay in the cache."""
    for begin in range(first, last, _SLICE):
        part = slice(begin, min(begin + _SLICE, last))
        sign, spot, strike, years, rate, carry, v = (c[part] for c in (*columns(o), vol))
        root = np.sqrt(years)
        d1 = (np.log(spot / strike) + (carry + 0.5 * v * v) * years) / (v * root)
        d2 = d1 - v * root
        grown, disc = np.exp((carry - rate) * years), strike * np.exp(-rate * years)
        density = np.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
        cdf1, cdf2 = ndtr(sign * d1), ndtr(sign * d2)
        out.price[part] = sign * (spot * grown * cdf1 - disc * cdf2)
        out.delta[part] = sign * grown * cdf1
        out.gamma[part] = grown * density / (spot * v * root)
        out.vega[part] = spot * grown * density * root / 100.0
        decay = -spot * grown * density * v / (2.0 * root) - sign * (carry - rate) * spot * grown * cdf1
        out.theta[part] = (decay - sign * rate * disc * cdf2) / 365.0
        out.rho[part] = sign * years * disc * cdf2 / 100.0


def _quantlib(options: Options, vol: Array) -> Sensitivities:
    """The peer, an option at a time from Python."""
    rows = []
    kinds = {1.0: QuantLib.Option.Call, -1.0: QuantLib.Option.Put}
    given = zip(*(column.tolist() for column in columns(options, vol)), strict=True)
    for sign, spot, strike, years, rate, carry, sigma in given:
        payoff = QuantLib.PlainVanillaPayoff(kinds[sign], strike)
        found = QuantLib.BlackCalculator(
            payoff, spot * math.exp(carry * years), sigma * math.sqrt(years), math.exp(-rate * years)
        )
        rows.append((
            found.value(), found.delta(spot), found.gamma(spot), found.vega(years) / 100.0,
            found.theta(spot, years) / 365.0, found.rho(years) / 100.0,
        ))  # fmt: skip
    return Sensitivities(*np.array(rows).T)


def _quantlib_cells(options: Options, axes: Axes, count: int) -> Array:
    """The first `count` options in every cell, one at a time from Python; what cells share is done once."""
    found = np.empty((count, SPOTS, VOLS, DATES))
    kinds = {1.0: QuantLib.Option.Call, -1.0: QuantLib.Option.Put}
    for o in range(count):
        rate, carry = float(options.rate[o]), float(options.carry[o])
        payoff = QuantLib.PlainVanillaPayoff(kinds[float(options.sign[o])], float(options.strike[o]))
        for d, years in enumerate(axes.years[o].tolist()):
            root, growth, discount = math.sqrt(years), math.exp(carry * years), math.exp(-rate * years)
            for v, sigma in enumerate(axes.vol[o].tolist()):
                total = sigma * root
                for s, spot in enumerate(axes.spot[o].tolist()):
                    found[o, s, v, d] = QuantLib.BlackCalculator(payoff, spot * growth, total, discount).value()
    return found


@numba.njit(nogil=True)
def _triad(a: Array, b: Array, c: Array, factor: float) -> None:
    for i in range(a.size):
        a[i] = b[i] + factor * c[i]


_NUMBERS, _STEPS, _ROUNDS = 256, 12, 2000
_FLOP_EACH = 4 * _STEPS * 2


@numba.njit(nogil=True, fastmath={"contract"})
def _peak(x: Array) -> None:
    """Four independent chains of products and sums for each number in the cache: as many as the processor can."""
    for _ in range(_ROUNDS):
        for i in range(x.size):
            at = x[i]
            one, two, three, four = at, at + 1.0, at + 2.0, at + 3.0
            for _ in range(_STEPS):
                one = one * at + 0.1
                two = two * at + 0.2
                three = three * at + 0.3
                four = four * at + 0.4
            x[i] = 0.4 if one + two + three + four > 0.0 else 0.5


if __name__ == "__main__":
    rows = european()
    print("\n".join(map(str, rows)))
    sys.exit(int(any(row.met is False for row in rows)))
