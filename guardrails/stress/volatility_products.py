"""VIX, its futures and options, and the funds that hold its futures: they follow volatility, not the index by a beta.

A future or option on VIX moves in points, by the shock times a response that fades with its time to expiry T (days).
Two readings of that response bound it, and a book is revalued at several places between them:

    least   ((T + 30) VR(T + 30) - T VR(T)) / 30     the month of variance it looks at, by the term response
    most    min(1, VR(T))                            as if the contract were the volatility of its own expiry

At expiry both are 1; at 30 days they are 0.52 and 1 (on 5 Feb 2018 the 30-day future did about 0.75). A fund moves by
its leverage times the relative move of the future it holds, 30 days off or five months, whose level is taken from VIX
and VIX3M.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from guardrails.columns import Array
from guardrails.pricing import DAYS_PER_YEAR
from guardrails.stress.book import Book
from guardrails.stress.response import LONG_TERM_DAYS, TERM_DAYS, credible, level_of, power
from guardrails.values import Market

LEVERAGE: Mapping[str, float] = {
    "VXX": 1.0, "VIXY": 1.0, "UVXY": 1.5, "UVIX": 2.0, "SVXY": -0.5, "SVIX": -1.0, "VXZ": 1.0, "VIXM": 1.0,
}  # fmt: skip
"""daily exposure of the funds to the VIX future they hold, by their prospectuses"""
MID_TERM: Mapping[str, float] = {"VXZ": 150.0, "VIXM": 150.0}
"""days to the futures of funds that hold those of four to seven months, not of one"""
FARTHEST_DAYS = 270.0
"""VIX futures are listed nine months ahead; one whose expiry is not known may be that far off, or at its end"""
WORDS = (
    "VIX options and futures move in points with the volatility shock, less the further off they expire "
    "(at 30 days between 0.52 and 1 of it, hence a range); "
    "VXX and its like move by their leverage times the 30-day future, VXZ and VIXM by one of five months."
)


def responses(days: Array, exponent: float) -> tuple[Array, Array]:
    """Least and most of what a VIX future moves for one point of VIX, by calendar days to its expiry."""
    least = ((days + TERM_DAYS) ** (1.0 - exponent) - days ** (1.0 - exponent)) * TERM_DAYS ** (exponent - 1.0)
    return least, np.maximum(np.minimum(power(days, exponent), 1.0), least)


def future_level(market: Market) -> float:
    """Points at which a VIX future a month away should stand: by VIX and VIX3M, else VIX; NaN when that is unknown."""
    near = level_of(market)
    if near is None:
        return math.nan
    if market.vix3m is None or not credible(market.vix3m.value):
        return near
    variance = LONG_TERM_DAYS * market.vix3m.value**2 - TERM_DAYS * near**2
    return math.sqrt(variance / (LONG_TERM_DAYS - TERM_DAYS)) if variance > 0 else near


def spots_after(book: Book, vol: float, exponent: float, blend: float) -> Array:
    """Price of what each row is struck on after volatility rose by `vol`; only rows of the VIX group mean anything.

    `blend` in 0..1 places the response between its bounds. NaN where a level is not known.
    """
    columns, points = book.columns, 100.0 * vol
    days = np.where(columns.is_option, book.options.years * DAYS_PER_YEAR, np.maximum(columns.dte, 0).astype(float))
    least, most = responses(np.maximum(days, 0.0), exponent)
    undated = columns.is_contract & ~columns.is_option & (columns.dte < 0)
    least = np.where(undated, responses(np.asarray(FARTHEST_DAYS), exponent)[0], least)
    moved = columns.spot + points * (least + blend * (most - least))
    lever = np.array([LEVERAGE.get(name, math.nan) for name in columns.underlyings])[columns.underlying]
    held = np.array([MID_TERM.get(name, TERM_DAYS) for name in columns.underlyings])[columns.underlying]
    low, high = responses(held, exponent)
    relative = points * (low + blend * (high - low)) / future_level(book.portfolio.market)
    return np.where(np.isnan(lever), moved, columns.spot * (1.0 + lever * (relative if points else 0.0)))
