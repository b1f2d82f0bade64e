"""Volatilities implied by the prices of European options, to the last digits the price holds.

The price is turned into that of the out-of-the-money option of the same strike and divided by the discounted root of
forward times strike, which leaves two numbers: x = |ln(F / K)| and the price b. The unknown is s = vol x sqrt(T):

    b(s) = n(h) e^(-s^2/8) (R(h - s/2) - R(h + s/2)),    h = x / s,    R(a) = N(-a) / n(a) = Mills' ratio

Below the s of steepest price, sqrt(2 x), ln b is solved for; above it ln(e^(-x/2) - b), which is the same formula with
the sum of the two ratios, and |h - s/2|. Logarithms make both nearly straight lines, and no price underflows. From a
first guess of either, four steps of Householder's method of the fourth order are taken without a question; two were
enough below and three above on a grid of 12,881 prices (x of 1e-9 to 10, s of 0.003 to 8), worst error of s 5e-13.
The order of ideas is that of P. Jaeckel, "Let's be rational", Wilmott, 2015; functions and guesses are others.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from guardrails.pricing import compiled
from guardrails.pricing.columns import Array, Options
from guardrails.pricing.european import columns, forward_terms
from guardrails.pricing.normal import mills
from guardrails.pricing.parallel import in_parts

LOWEST_VOL, HIGHEST_VOL = 1e-4, 10.0
"""volatilities a year outside of which none is given"""
LEAST = 2048
"""options that are worth a thread of their own"""
STEPS = 4
SETTLED = 1e-6
"""relative size of the last step that is good enough: a fourth-order step from there has no error left"""
NOISE = 4.5e-16
"""relative error of the value that is sure; less than that above it says nothing about the volatility"""
ROOT_LOG = 0.5 * math.log(2.0 * math.pi)
Number = TypeVar("Number", float, Array)


def implied_vol(options: Options, target: Array) -> Array:
    """Volatility at which `price` equals `target`, NaN where no volatility in 0.0001..10 does.

    That is where `target` is not above the value that is sure (the discounted intrinsic value of the forward) by more
    than its rounding, not below what the option can be worth at most (the spot or strike discounted), where time, spot
    or strike is 0 or less, and where anything is NaN. The relative error is at most 1e-12 where vol x sqrt(years) is
    0.003 to 8 and the price an exact one out of the money; for smaller ones 4e-15 over vol x sqrt(years). A price in
    the money is worth as many digits as its time value has: give the other side where there is a choice.
    """
    given = columns(options, target)
    found = np.empty(given[0].size)
    kernels = compiled.kernels()

    def part(first: int, last: int) -> None:
        own = tuple(column[first:last] for column in given)
        if kernels is not None:
            kernels.implied.implied_vol(own, found[first:last])
            return
        with np.errstate(all="ignore"):
            found[first:last] = _solved(Options(*own[:6]), own[6])

    in_parts(part, found.size, LEAST)
    return found


def first_guess(y: Number, growing: Number, logarithm: Number, x: Number, level: Number) -> Number:
    """One Newton step for y = ln h, below the steepest price.

    There R(h - s/2) - R(h + s/2) is about s / (1 + 5h/4 + h^2), whose logarithm without the s is given; `growing` is
    e^y, and `level` what -ln(b / x) - ln(2 pi) / 2 is.
    """
    square = growing * growing
    bent = x * x / (8.0 * square)
    gap = 0.5 * square + y + logarithm + bent - level
    slope = square + 1.0 + (1.25 * growing + 2.0 * square) / (1.0 + 1.25 * growing + square) - 2.0 * bent
    return y - gap / slope


def householder(s: Number, x: Number, side: Number, ratios: Number, gap: Number) -> Number:
    """The step of s that makes `gap`, ln of the value less ln of the aim, vanish to the fourth order.

    `side` is -1 below the steepest price and +1 above, `ratios` is R(|h - s/2|) + side x R(h + s/2).
    """
    h, slope = x / s, -side / ratios
    newton = side * gap * ratios
    turn = h * h / s - 0.25 * s
    second = turn - slope
    third = turn * turn - 3.0 * (h / s) * (h / s) - 0.25 - 3.0 * turn * slope + 2.0 * slope * slope
    return newton * (1.0 + 0.5 * second * newton) / (1.0 + second * newton + third * newton * newton / 6.0)


def _solved(o: Options, target: Array) -> Array:
    x, b = _normalised(o, target)
    steepest = np.sqrt(2.0 * x)
    most = np.exp(-0.5 * x)
    low = b < most * (0.5 - mills(np.minimum(steepest, 50.0)) * math.exp(-ROOT_LOG))
    side = np.where(low, -1.0, 1.0)
    aim = np.log(np.where(low, b, most - b))
    s = np.where(low, _below(x, b, steepest), np.maximum(np.sqrt(-8.0 * (aim + 0.5 * x)), steepest))
    step = np.full_like(s, np.nan)
    for _ in range(STEPS):
        h = x / s
        ratios = mills(np.minimum(np.abs(h - 0.5 * s), 50.0)) + side * mills(np.minimum(h + 0.5 * s, 50.0))
        gap = np.log(ratios) - 0.5 * h * h - 0.125 * s * s - ROOT_LOG - aim
        following = s + householder(s, x, side, ratios, gap)
        least, largest = np.where(low, 0.2 * s, np.maximum(steepest, 0.05 * s)), np.where(low, steepest, 5.0 * s)
        following = np.minimum(np.maximum(following, least), largest)
        s, step = following, following - s
    vol = s / np.sqrt(o.years)
    fits = (np.abs(step) <= SETTLED * s) & (vol >= LOWEST_VOL) & (vol <= HIGHEST_VOL)
    return np.where(fits, vol, np.nan)


def _normalised(o: Options, target: Array) -> tuple[Array, Array]:
    """x and b of the out-of-the-money option; b is NaN where there is no time value."""
    grown, disc, log_forward = forward_terms(o)
    carried = o.spot * grown
    sure = np.maximum(o.sign * (carried - disc), 0.0)
    worth = target - sure
    lowest = np.where(sure > 0.0, NOISE * np.maximum(carried, disc), 0.0)
    worth = np.where((worth > lowest) & (o.years > 0.0), worth, np.nan)
    return np.abs(log_forward), worth / np.sqrt(carried * disc)


def _below(x: Array, b: Array, steepest: Array) -> Array:
    """First guess of s below the steepest price."""
    level = np.log(x) - np.log(b) - ROOT_LOG
    y = np.where(level > 0.3, np.minimum(level, 0.5 * np.log(2.0 * np.abs(level))), level)
    growing = np.exp(np.minimum(y, 709.0))
    y = first_guess(y, growing, np.log(1.0 + 1.25 * growing + growing * growing), x, level)
    return np.minimum(x * np.exp(-y), steepest)
