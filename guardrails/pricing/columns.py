"""What the kernels take and give: columns of options, columns of prices and Greeks.

Units as everywhere: per one unit of the option, long side; vega per volatility point, theta per calendar day, rho per
1 % of rate; volatilities, rates and yields are fractions a year, continuously compounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
"""places of rows in a column"""

DAYS_PER_YEAR = 365.0


@dataclass(frozen=True, slots=True)
class Options:
    """Columns that describe options, all of one length. NaN in any of them gives NaN results."""

    sign: Array
    """+1 call, -1 put"""
    spot: Array
    """price of what it is struck on (for Black-76 the future)"""
    strike: Array
    years: Array
    """seconds to settlement / 31,536,000"""
    rate: Array
    """continuous risk-free rate, fraction"""
    carry: Array
    """cost of carry b: r - q for stock and index with the dividend yield q, 0 for futures"""

    def at(self, rows: Rows) -> Options:
        """Those of `rows`, any of which may be asked for more than once."""
        columns = (self.sign, self.spot, self.strike, self.years, self.rate, self.carry)
        return Options(*(column[rows] for column in columns))


@dataclass(frozen=True, slots=True)
class Sensitivities:
    """Price and Greeks of one unit, long, as columns."""

    price: Array
    delta: Array
    gamma: Array
    vega: Array
    theta: Array
    rho: Array


@dataclass(frozen=True, slots=True)
class Axes:
    """The cells of a grid: for option i the cell (s, v, d) has spot[i, s], vol[i, v] and years[i, d]."""

    spot: Array
    """(options, spots)"""
    vol: Array
    """(options, volatilities)"""
    years: Array
    """(options, dates), to settlement as seen from each date; 0 or less is at expiry: the intrinsic value"""
