"""Black-Scholes and Black-76 in closed form, over columns: prices, Greeks and implied volatility.

The generalised form with a cost of carry b covers both: b = r - q for stock and index, b = 0 for futures.
Source: E. G. Haug, "The Complete Guide to Option Pricing Formulas", 2nd ed., sections 1.1 and 2.1-2.8.
Units as everywhere: per one unit of the option, vega per volatility point, theta per calendar day, rho per 1 % rate.
These are European formulas; for an American option they are an approximation, and their results are marked `model`.
"""

from __future__ import annotations

import math

import numpy as np

from guardrails.pricing.columns import DAYS_PER_YEAR, Array, Options, Sensitivities

LOWEST_VOL, HIGHEST_VOL = 1e-4, 10.0
_ITERATIONS = 60

_erfc = np.frompyfunc(math.erfc, 1, 1)


def normal_cdf(x: Array) -> Array:
    """Standard normal distribution function, accurate also far in the lower tail (by erfc)."""
    return np.asarray(_erfc(x / -math.sqrt(2.0)), dtype=np.float64) * 0.5


def normal_pdf(x: Array) -> Array:
    """Standard normal density."""
    return np.asarray(np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi), dtype=np.float64)


def price(options: Options, vol: Array) -> Array:
    """Present value of one unit at the volatility `vol` (fraction a year)."""
    d1, d2 = _d1_d2(options, vol)
    o = options
    carried = o.spot * np.exp((o.carry - o.rate) * o.years)
    discounted = o.strike * np.exp(-o.rate * o.years)
    return o.sign * (carried * normal_cdf(o.sign * d1) - discounted * normal_cdf(o.sign * d2))


def sensitivities(options: Options, vol: Array) -> Sensitivities:
    """Price and Greeks at `vol`; NaN where time or volatility is not above zero.

    Theta is the decay of one calendar day and never takes more than the premium that is left.
    """
    o = options
    with np.errstate(all="ignore"):
        d1, d2 = _d1_d2(o, vol)
        grown = np.exp((o.carry - o.rate) * o.years)
        discounted = o.strike * np.exp(-o.rate * o.years)
        cdf1, cdf2 = normal_cdf(o.sign * d1), normal_cdf(o.sign * d2)
        density = normal_pdf(d1)
        root = np.sqrt(o.years)
        value = o.sign * (o.spot * grown * cdf1 - discounted * cdf2)
        decay = (
            -o.spot * grown * density * vol / (2.0 * root)
            - o.sign * (o.carry - o.rate) * o.spot * grown * cdf1
            - o.sign * o.rate * discounted * cdf2
        ) / DAYS_PER_YEAR
        futures = o.carry == 0.0
        rho = np.where(futures & (o.rate != 0.0), -o.years * value, o.sign * o.years * discounted * cdf2) / 100.0
        return Sensitivities(
            price=value,
            delta=o.sign * grown * cdf1,
            gamma=grown * density / (o.spot * vol * root),
            vega=o.spot * grown * density * root / 100.0,
            theta=np.maximum(decay, -value),
            rho=rho,
        )


def implied_vol(options: Options, target: Array) -> Array:
    """Volatility at which `price` equals `target`; NaN where no volatility in 0.0001..10 does.

    Newton steps, each replaced by a bisection when it leaves the bracket, so it always converges.
    """
    with np.errstate(all="ignore"):
        low = np.full_like(target, LOWEST_VOL)
        high = np.full_like(target, HIGHEST_VOL)
        solvable = (target > price(options, low)) & (target < price(options, high)) & (options.years > 0.0)
        vol = np.clip(np.sqrt(2.0 * math.pi / options.years) * target / options.spot, 0.05, 2.0)
        for _ in range(_ITERATIONS):
            now = sensitivities(options, vol)
            gap = now.price - target
            high, low = np.where(gap > 0.0, vol, high), np.where(gap > 0.0, low, vol)
            step = vol - gap / (now.vega * 100.0)
            inside = (step > low) & (step < high)
            following = np.where(inside, step, 0.5 * (low + high))
            settled = np.abs(following - vol) <= 1e-12 * vol
            vol = following
            if np.all(settled | ~solvable):
                break
        return np.where(solvable, vol, np.nan)


def _d1_d2(o: Options, vol: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):
        spread = vol * np.sqrt(o.years)
        d1 = (np.log(o.spot / o.strike) + (o.carry + 0.5 * vol * vol) * o.years) / spread
    return d1, d1 - spread
