"""How implied volatility follows the index: how far that of 30 days moves, and how far other expiries go with it.

    falls   rise of the VIX = 1.0 x d + 0.115 x d^2 points           d per cent down, to a level of 150 at most
    rises   VIX' = VIX x exp(-0.13 x (1 - exp(-u / 2)))              u per cent up, to a level of 9 at least
    terms   VR(T) = (30 / T)^0.4 within 0.25 and 2                   T calendar days, VR(30) = 1

Fitted to daily closes of SPY, VIX and VIX3M; docs/stress.md shows how, and a test fits them again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from guardrails import calendar
from guardrails.columns import Array
from guardrails.exposures import Exposures
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.pricing import DAYS_PER_YEAR
from guardrails.products import SP500
from guardrails.regime.readings import fresh
from guardrails.values import Market

FALL_SLOPE, FALL_CURVATURE = 1.0, 0.115
"""points of VIX for 1 % down, and for its square"""
RISE_DEPTH, RISE_SPAN = 0.13, 2.0
"""most that the logarithm of VIX falls, and the per cent up over which most of that happens"""
LOWEST_VIX, HIGHEST_VIX = 9.0, 150.0
"""lowest close of VIX is 9.14 (3 Nov 2017), highest of its forerunner VXO 150.19 (19 Oct 1987)"""
CREDIBLE_VIX = (5.0, HIGHEST_VIX)
"""a level beyond is a fault of the feed; believed, it would leave volatility no room to rise"""
MEDIAN_VIX = 17.6
"""of all closes since 1990; stands in where no VIX is known"""
TERM_EXPONENT = 0.4
TERM_DAYS, LONG_TERM_DAYS = 30.0, 93.0
"""what VIX and VIX3M look ahead"""
TERM_BOUNDS = (0.25, 2.0)
"""least and most of the term response: reached at about 2.6 years and 5 days"""


def coordinated(index_return: float, vix: float | None) -> float:
    """Rise of the 30-day implied volatility of the index, fraction a year, when the index moves by `index_return`.

    `vix` is its level in points (17.0), the median of history where that is None. Never rising in `index_return`; no
    fall takes the level above 150, no rise below 9.
    """
    level = MEDIAN_VIX if vix is None or not math.isfinite(vix) else vix
    if index_return <= 0:
        down = 100.0 * abs(index_return)
        return min(FALL_SLOPE * down + FALL_CURVATURE * down**2, max(HIGHEST_VIX - level, 0.0)) / 100.0
    depth = RISE_DEPTH * (1.0 - math.exp(-100.0 * index_return / RISE_SPAN))
    return -lowered(level, 1.0 - math.exp(-depth))


def level_of(market: Market) -> float | None:
    """VIX in points as it is known, however old; None where it is not, or cannot be."""
    return market.vix.value if market.vix is not None and credible(market.vix.value) else None


def credible(level: float) -> bool:
    """Whether VIX or VIX3M can stand at `level` points; NaN cannot."""
    return CREDIBLE_VIX[0] <= level <= CREDIBLE_VIX[1]


def vix_known(portfolio: Portfolio, limits: Limits) -> bool:
    """Whether VIX is credible and of now: as fresh as the regime needs it, in a closed market of the last session."""
    vix, now = portfolio.market.vix, portfolio.time
    if vix is None or level_of(portfolio.market) is None or not limits.regime_known:
        return False
    if portfolio.market_open:
        return fresh(vix, now, limits.matrix.data.vix_stale_after_minutes) is not None
    return calendar.exchange_date(vix.time) >= calendar.session_of(now)


def lowered(vix: float, share: float) -> float:
    """By how much volatility falls when `vix` (points) loses `share` of itself, fraction a year, never below 9."""
    return min(vix * share, max(vix - LOWEST_VIX, 0.0)) / 100.0


def power(days: Array, exponent: float = TERM_EXPONENT) -> Array:
    """(30 / days)^exponent within `TERM_BOUNDS`; NaN where `days` is."""
    with np.errstate(all="ignore"):
        return np.asarray(np.clip((TERM_DAYS / np.maximum(days, 1.0)) ** exponent, *TERM_BOUNDS), dtype=np.float64)


def term_response(years: Array, exponent: float = TERM_EXPONENT) -> Array:
    """How far the volatility of an expiry `years` away moves when that of 30 days moves by 1."""
    return power(years * DAYS_PER_YEAR, exponent)


def exponent_of(month: float, quarter: float) -> float:
    """The exponent that a day showed on which VIX moved by `month` points and VIX3M by `quarter`, both one way."""
    return -math.log(quarter / month) / math.log(LONG_TERM_DAYS / TERM_DAYS)


def vol_ratios(exposures: Exposures, betas: Array) -> Array:
    """Points that the volatility of each row's underlying moves for one point of the index, by row.

    The S&P 500 and its futures move by the shock itself, whatever strikes are held; for the rest `betas` (by row) says.
    """
    if SP500 not in exposures.groups:
        return betas
    return np.where(exposures.group == exposures.groups.index(SP500), 1.0, betas)


def words(vix: float | None, shown: Sequence[float] = (-0.10, -0.05, -0.01, 0.03)) -> tuple[str, ...]:
    """What is assumed of volatility, one sentence each, for a person; `shown` are returns given as examples."""
    level = f"VIX {vix:.1f}" if vix is not None else f"no VIX is known, so its median of {MEDIAN_VIX} is assumed"
    examples = ", ".join(f"{100 * coordinated(move, vix):+.1f} points at {100 * move:+g} %" for move in shown)
    return (
        f"Volatility follows the index as it did since 1993, more steeply the further it falls ({level}): {examples}.",
        "Expiries follow by (30 days / time to expiry)^0.4, between a quarter and twice the move of 30 days: "
        "a week moves 1.8 times as far, three months 0.64, a year 0.37.",
        "All strikes of an expiry move by the same number of points; "
        "volatility of single names and futures moves in proportion to its level over VIX.",
    )
