"""Percentages and shocks by class of the underlying and by broker. Exchanges and brokers change them: edit here.

A leveraged fund that `products` does not list counts once, which is then too little.

Sources: Cboe Margin Manual (2021-11-30) and FINRA 4210 for the exchange minimum; IBKR's 20/10 on ETFs of a broad index
from six recorded SPY figures (QuantConnect Lean, OptionMarginBuyingPowerModelTests), which 15/10 does not fit;
tastytrade help 43000435385 (index options 25/15, no calendar relief) and 43000435177 (at least 2.50 a unit).
Shocks: SEC release 34-46576 for broad indices; 15 % for shares fits the Cboe comparison table of 2007; 20 % for
volatility products and both house minimums for leverage are from memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np

from guardrails.columns import Array
from guardrails.instruments import Instrument, Kind
from guardrails.products import BROAD_INDEX_GROUPS, VOLATILITY_GROUP, group_of, leverage_of

HIGH_CAP_GROUPS = frozenset({"SPX", "NDX", "DJX", "OEX"})
"""broad index groups of high capitalisation; the other broad one is RUT"""
POINTS = 10
"""valuation points of portfolio margin, equally far apart, from the down-shock to the up-shock"""
INDEX_OFFSET = 0.90
"""share of one high-cap index group's gain that offsets another's loss; of 90 to 95 % the lower is taken"""
LEAST_PER_UNIT = 0.375
"""portfolio margin's minimum for each option, long or short, times its multiplier"""
LONG_STOCK, SHORT_STOCK = 0.25, 0.30
"""maintenance of shares, FINRA 4210(c); for shares sold at 5.00 or more at least 5.00 a share"""


GOVERNMENT, OTHER_BOND = 0.06, 0.20
"""maintenance of a bond held, of its market value, FINRA 4210(e)(2): an obligation of the United States takes 1 to 6 %
by what it has left to run, of which the most is taken; other marketable debt of no stated grade 20 %"""
TREASURY = "912"
"""how the CUSIP of every bill, note and bond of the United States begins"""
FUTURES_WIDE, INDEX_FUTURES_WIDE = 0.15, 0.08
"""moves at which the margin of sold options on futures is compared with that of now; no exchange's own scan range"""


class Breadth(StrEnum):
    """Class of an underlying for margin."""

    BROAD_INDEX = "broad index"
    BROAD_ETF = "ETF on a broad index"
    VOLATILITY = "volatility product"
    NARROW = "share or narrow index"


@dataclass(frozen=True, slots=True)
class Rates:
    """What is asked for one uncovered option or share of a class, fractions of its price."""

    base: float
    """of the underlying's price, before the out-of-the-money amount is taken off"""
    minimum: float
    """of the underlying's price for a call, of the strike for a put"""
    least: float
    """a unit, premium included"""
    leverage: float
    calendars: bool
    """whether a long option may expire later than the short one it covers"""
    house: str
    """whose rule: `Cboe minimum` or the broker's name"""
    held: float = LONG_STOCK
    """of the price of what is held and no option, before leverage"""

    @property
    def long(self) -> float:
        """Of the price of a share or bond held."""
        return self.times(self.held)

    def times(self, fraction: float) -> float:
        """`fraction` for this leverage, at most the whole."""
        return min(fraction * self.leverage, 1.0)


_CBOE: Mapping[Breadth, tuple[float, float]] = {
    Breadth.BROAD_INDEX: (0.15, 0.10),
    Breadth.BROAD_ETF: (0.15, 0.10),
    Breadth.VOLATILITY: (0.20, 0.10),
    Breadth.NARROW: (0.20, 0.10),
}
_HOUSES: Mapping[tuple[str, Breadth], tuple[float, float]] = {
    ("IBKR", Breadth.BROAD_ETF): (0.20, 0.10),
    ("tastytrade", Breadth.BROAD_INDEX): (0.25, 0.15),
    ("tastytrade", Breadth.BROAD_ETF): (0.20, 0.10),
}
_LEAST: Mapping[str, float] = {"tastytrade": 2.50}
_NO_INDEX_CALENDARS = frozenset({"tastytrade"})


def breadth(instrument: Instrument) -> Breadth:
    """Class of what `instrument` is or is struck on."""
    name = instrument.underlying or instrument.symbol
    group = group_of(name)
    if group == VOLATILITY_GROUP:
        return Breadth.VOLATILITY
    if group not in BROAD_INDEX_GROUPS:
        return Breadth.NARROW
    return Breadth.BROAD_INDEX if instrument.kind in (Kind.INDEX, Kind.INDEX_OPTION) else Breadth.BROAD_ETF


@lru_cache(maxsize=16384)
def rates(instrument: Instrument, broker: str) -> Rates:
    """The rates of `instrument` at `broker`: the house rule where one is known, else the exchange minimum."""
    kind = breadth(instrument)
    base, minimum = _HOUSES.get((broker, kind), _CBOE[kind])
    is_index = instrument.kind is Kind.INDEX_OPTION
    raw = Rates(
        base, minimum, _LEAST.get(broker, 0.0), abs(leverage_of(instrument.underlying or instrument.symbol) or 1.0),
        calendars=not (is_index and broker in _NO_INDEX_CALENDARS),
        house=broker if (broker, kind) in _HOUSES else "Cboe minimum",
        held=of_bond(instrument) if instrument.kind is Kind.BOND else LONG_STOCK,
    )  # fmt: skip
    return replace(raw, base=raw.times(base), minimum=raw.times(minimum))


def of_bond(instrument: Instrument) -> float:
    """Maintenance of a bond held, fraction of its market value: a government's by its CUSIP, all others the higher."""
    is_government = instrument.symbol.startswith(TREASURY)
    return GOVERNMENT if is_government else OTHER_BOND


def class_group_of(name: str) -> str:
    """What nets in full with the underlying `name` under portfolio margin: an index with its ETFs, else it alone."""
    group = group_of(name)
    return group if group in BROAD_INDEX_GROUPS else name


@lru_cache(maxsize=16384)
def shocks(instrument: Instrument) -> tuple[float, float]:
    """Relative moves of the underlying, down and up, between which portfolio margin values it."""
    name = instrument.underlying or instrument.symbol
    group = group_of(name)
    if instrument.kind is Kind.BOND:
        return -of_bond(instrument), of_bond(instrument)
    if instrument.kind in (Kind.FUTURE, Kind.FUTURE_OPTION) and group != VOLATILITY_GROUP:
        wide = INDEX_FUTURES_WIDE if group in BROAD_INDEX_GROUPS else FUTURES_WIDE
        return -wide, wide
    if group in HIGH_CAP_GROUPS:
        down, up = -0.08, 0.06
    else:
        wide = 0.10 if group in BROAD_INDEX_GROUPS else 0.20 if group == VOLATILITY_GROUP else 0.15
        down, up = -wide, wide
    leverage = abs(leverage_of(name) or 1.0)
    return max(down * leverage, -1.0), up * leverage


def moves(instrument: Instrument) -> Array:
    """The ten relative moves, lowest first."""
    return np.linspace(*shocks(instrument), POINTS)
