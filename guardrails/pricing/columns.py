"""What the kernels take and give: columns of options, columns of prices and Greeks.

Units as everywhere: per one unit of the option, long side; vega per volatility point, theta per calendar day, rho per
1 % of rate; volatilities, rates and yields are fractions a year, continuously compounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
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
    on_future: Mask | None = field(default=None, kw_only=True)
    """rows struck on a future, whose carry stays 0 when the rate moves, which matters to rho alone; where nobody says,
    those with a carry of 0 at a rate other than 0: a share whose yield equals the rate looks the same"""

    def at(self, rows: Rows) -> Options:
        """Those of `rows`, any of which may be asked for more than once."""
        columns = (self.sign, self.spot, self.strike, self.years, self.rate, self.carry)
        on_future = None if self.on_future is None else self.on_future[rows]
        return Options(*(column[rows] for column in columns), on_future=on_future)

    def futures(self) -> Mask:
        """Rows struck on a future: those said to be, else the guess described at `on_future`."""
        if self.on_future is not None:
            return self.on_future
        return np.asarray((self.carry == 0.0) & (self.rate != 0.0), dtype=bool)


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
