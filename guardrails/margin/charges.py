"""What each kind of package costs, per unit of the underlying, over columns: maintenance, Cboe rule 10.3, FINRA 4210.

P option price, U underlying, K strike, otm / itm the out-of-the-money / in-the-money amount; percentages by `rates`.

    naked              P + max(20 % U - otm, 10 % of U for a call, of K for a put)
    straddle           the greater of the two sides, plus P of the other (of the dearer one where they are equal)
    covered call       25 % min(U, K) + itm             K and U exchanged in the sense for a short put on short stock
    protective put     min(10 % K + otm, 25 % U)        likewise a long call on short stock
    collar             min(10 % K put + put otm, 25 % K call) + call itm
    conversion         10 % K + itm
    reverse conversion 10 % K + 2 itm
    bond               6 % U of the United States, 20 % U any other; only held, not sold
    stock              25 % U long; short max(30 %, 5.00), below a price of 5.00 max(100 %, 2.50)

Cboe's manual counts the stock of a covered position in the account's equity at no more than the call's strike (no less
than the put's). Brokers report equity with stock at market; that difference is the itm added here, so the
requirement here is the manual's plus itm. For short stock the manual adds its market value, which equity as brokers
report it has already lost; it is taken off (a reverse conversion: 110 % K + itm - U, and at least 10 % K + 2 itm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from guardrails.columns import Array
from guardrails.margin.legs import Leg
from guardrails.margin.rates import SHORT_STOCK, rates

_ALIKE = 1e-9
"""relative: by so little two sides do not differ"""


class Kind(StrEnum):
    """What a package is; the value is its name for a person."""

    NAKED = "uncovered short option"
    STRADDLE = "short straddle or strangle"
    SPREAD = "spread"
    LONG_OPTION = "long option"
    STOCK = "stock"
    SHORT_STOCK = "short stock"
    COVERED_CALL = "covered call"
    COVERED_PUT = "covered put"
    PROTECTIVE_PUT = "protective put"
    PROTECTED_SHORT = "short stock with a long call"
    COLLAR = "collar"
    CONVERSION = "conversion"
    REVERSE_CONVERSION = "reverse conversion"


@dataclass(frozen=True, slots=True)
class Columns:
    """The legs as columns (n, 1), so that prices (n, M) broadcast against them."""

    sign: Array
    strike: Array
    base: Array
    minimum: Array
    least: Array
    long_stock: Array
    short_stock: Array
    """fractions of the stock's price"""
    tenth: Array
    """the 10 % of hedged stock, for the leverage of the fund"""

    def rows(self, of: Sequence[int] | NDArray[np.intp]) -> Columns:
        """These rows, in this order."""
        at = np.asarray(of, dtype=np.intp)
        return Columns(
            self.sign[at], self.strike[at], self.base[at], self.minimum[at], self.least[at], self.long_stock[at],
            self.short_stock[at], self.tenth[at],
        )  # fmt: skip


def columns(legs: Sequence[Leg]) -> Columns:
    """`legs` as columns of (n, 1)."""
    found = [rates(leg.instrument, leg.broker) for leg in legs]

    def column(values: Sequence[float]) -> Array:
        return np.array(values, dtype=np.float64).reshape(-1, 1)

    return Columns(
        sign=column([leg.sign for leg in legs]),
        strike=column([leg.strike for leg in legs]),
        base=column([rate.base for rate in found]),
        minimum=column([rate.minimum for rate in found]),
        least=column([rate.least for rate in found]),
        long_stock=column([rate.long for rate in found]),
        short_stock=column([rate.times(SHORT_STOCK) for rate in found]),
        tenth=column([rate.times(0.10) for rate in found]),
    )


def intrinsic(c: Columns, spot: Array) -> Array:
    """In-the-money amount of each option."""
    return np.maximum(c.sign * (spot - c.strike), 0.0)


def otm(c: Columns, spot: Array) -> Array:
    """Out-of-the-money amount of each option."""
    return np.maximum(c.sign * (c.strike - spot), 0.0)


def naked(c: Columns, price: Array, spot: Array) -> Array:
    """An uncovered short option."""
    floor = c.minimum * np.where(c.sign > 0.0, spot, c.strike)
    return np.maximum(price + np.maximum(c.base * spot - otm(c, spot), floor), c.least)


def straddle(first: Array, second: Array, first_price: Array, second_price: Array) -> Array:
    """A short call and a short put, from what each costs alone and its price.

    Where both cost the same the rule leaves open which is "the other": it is the dearer one, whatever their order.
    """
    greater = np.where(first >= second, first + second_price, second + first_price)
    alike = np.abs(first - second) <= _ALIKE * np.maximum(first, second)  # sums of prices differ in their last digits
    return np.where(alike, np.maximum(first, second) + np.maximum(first_price, second_price), greater)


def stock(kind: Kind, c: Columns, spot: Array) -> Array:
    """A share without options; `c` has the rates of its leg."""
    if kind is Kind.STOCK:
        return np.asarray(c.long_stock * spot)
    cheap = np.maximum(spot, 2.50)
    return np.where(spot < 5.0, cheap, np.maximum(c.short_stock * spot, 5.0))


def hedged(kind: Kind, c: Columns, option: Columns, other: Columns, spot: Array) -> Array:
    """Stock with one option, or with `option` short and `other` long; `c` has the rates of the stock's leg."""
    itm, alone = intrinsic(option, spot), stock(Kind.STOCK, c, spot)
    if kind is Kind.COVERED_CALL:
        return np.asarray(c.long_stock * np.minimum(spot, option.strike) + itm)
    if kind is Kind.COVERED_PUT:
        return stock(Kind.SHORT_STOCK, c, spot) + itm
    if kind is Kind.PROTECTIVE_PUT:
        return np.minimum(c.tenth * option.strike + otm(option, spot), alone)
    if kind is Kind.PROTECTED_SHORT:
        return np.minimum(c.tenth * option.strike + otm(option, spot), stock(Kind.SHORT_STOCK, c, spot))
    if kind is Kind.COLLAR:
        floor = c.tenth * other.strike + otm(other, spot)
        return np.minimum(floor, c.long_stock * option.strike) + itm
    return np.asarray(c.tenth * option.strike + (itm if kind is Kind.CONVERSION else 2.0 * itm))
