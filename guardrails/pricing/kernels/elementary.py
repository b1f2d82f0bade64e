"""exp, log and Mills' ratio without a branch and without a call, so that LLVM computes four or eight options at a time.

Polynomials are Chebyshev interpolants made for this project in 50 digits. Only operations that AVX2 has too are used:
whole numbers become floats by the bits of 2^52 + n, and exponents are read with an unsigned shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numba
import numpy as np

from guardrails.pricing import normal

EXACT = {"contract", "nsz"}
"""what LLVM may do to the arithmetic: fuse a product with a sum, ignore the sign of zero; NaN stays NaN"""
LARGEST = 1.7976931348623157e308
SMALLEST = 2.2250738585072014e-308
_SHIFTER = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to a whole number, which its low bits then hold
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # the high part has 20 zero bits: n times it is exact
_TO_LOG = 1.4426950408889634
_ONE = np.int64(1023 << 52)  # the bits of 1.0
_ONE_BITS, _FRACTION = np.uint64(1023 << 52), np.uint64(52)
_TO_ONE = np.uint64((1023 << 52) - 0x3FE6A09E667F3BCD)  # from the bits of sqrt(1/2), where a power of two begins here
_TWO_52_BITS = np.uint64(0x4330000000000000)
_TWO_52 = 4503599627370496.0

_of_one: Callable[[float], float] = normal.mills
mills = numba.njit(fastmath=EXACT)(_of_one)


@numba.njit(fastmath=EXACT)
def exp(x: float) -> float:
    """e^x within 4e-16 relative for -708 <= x <= 709, beyond that as at those ends; NaN for NaN."""
    x = -708.0 if x < -708.0 else x
    x = 709.0 if x > 709.0 else x
    shifted = x * _TO_LOG + _SHIFTER
    whole = shifted - _SHIFTER
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = 2.5100385495510319078e-8 * r + 2.7620088445409748161e-7
    p = p * r + 2.7557268459997064772e-6
    p = p * r + 0.000024801521295954375131
    p = p * r + 0.00019841269863053616878
    p = p * r + 0.0013888888917213716901
    p = p * r + 0.0083333333333300618325
    p = p * r + 0.041666666666624127873
    p = p * r + 0.16666666666666667453
    p = p * r + 0.50000000000000010221
    p = p * (r * r) + r + 1.0
    power = (np.float64(shifted).view(np.int64) << 52) + _ONE
    return p * np.int64(power).view(np.float64)


@numba.njit(fastmath=EXACT)
def log(x: float) -> float:
    """Natural logarithm within 4e-16 relative (near 1: absolute); NaN for NaN, infinity and below 2.3e-308."""
    bits = np.float64(x).view(np.uint64)
    biased = (bits + _TO_ONE) >> _FRACTION
    exponent = np.uint64(biased | _TWO_52_BITS).view(np.float64) - (_TWO_52 + 1023.0)
    f = np.uint64(bits - (biased << _FRACTION) + _ONE_BITS).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 0.14616585424888621989 * z + 0.15331710618210771568
    p = p * z + 0.18182889455674946039
    p = p * z + 0.22222211130259877029
    p = p * z + 0.28571428626003268742
    p = p * z + 0.39999999999899443233
    p = p * z + 0.66666666666666696883
    half = 0.5 * f * f
    small = s * (half + p * z) + exponent * _LN2_LOW
    result = exponent * _LN2_HIGH - ((half - small) - f)
    return result if SMALLEST <= x <= LARGEST else math.nan
