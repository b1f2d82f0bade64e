"""What a lognormal market would do: the chance of a profit and the move to expect by a date.

    ln(1 + return) ~ Normal((carry - vol^2 / 2) T, vol^2 T)

The volatility is the implied one at the money nearest to the horizon; the drift is the cost of carry. It is a measure
of the prices, not a forecast: tails are fatter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from guardrails.columns import Mask
from guardrails.pricing import DAYS_PER_YEAR, normal_cdf
from guardrails.products import SP500, group_of
from guardrails.stress.book import Book
from guardrails.stress.part import Axis
from guardrails.stress.payoff import Curve, profitable

NEAR_THE_MONEY = 0.5
"""standard deviations to settlement within which an option speaks of the volatility at the money"""


@dataclass(frozen=True, slots=True)
class Volatility:
    """Which volatility a probability rests on."""

    value: float
    """fraction a year"""
    words: str
    """whose it is"""


def at_the_money(book: Book, axis: Axis, days: float) -> Volatility | None:
    """The implied volatility at the money nearest to `days` ahead: of a held option, else the published one of 30 days.

    None when nobody tells.
    """
    held = _held(book, axis, days)
    if held is not None:
        return held
    market, group = book.portfolio.market, axis.group or SP500
    if group == SP500 and market.vix is not None and market.vix.value > 0:
        return Volatility(market.vix.value / 100.0, f"VIX {market.vix.value:.1f}")
    for symbol in sorted(market.metrics, key=lambda symbol: symbol != axis.name):
        published = market.metrics[symbol].iv_30d
        if group_of(symbol) == group and published is not None and published > 0:
            return Volatility(published, f"30-day implied volatility of {symbol}, {100 * published:.1f} %")
    return None


def expected_move(vol: float, days: float) -> tuple[float, float]:
    """Returns one standard deviation down and up: two times in three the price ends between them."""
    deviation = vol * math.sqrt(max(days, 0.0) / DAYS_PER_YEAR)
    return math.expm1(-deviation), math.expm1(deviation)


def chance_of_profit(curve: Curve, vol: float, days: float, carry: float = 0.0) -> tuple[float, float]:
    """Probability that the P&L is above zero `days` from now: at least, at most; NaN without time or volatility."""
    if not (days > 0 and vol > 0):
        return math.nan, math.nan
    bounds = [
        _weight(profitable(curve.move, line), vol, days / DAYS_PER_YEAR, carry) for line in (curve.low, curve.high)
    ]
    return bounds[0], bounds[1]


def carry_of(book: Book, axis: Axis) -> float:
    """Cost of carry of what the axis moves: that of its options, else 0."""
    carry = book.options.carry[_of_axis(book, axis) & np.isfinite(book.options.carry)]
    return float(np.median(carry)) if len(carry) else 0.0


def _of_axis(book: Book, axis: Axis) -> Mask:
    groups, group = book.portfolio.exposures.groups, axis.group or SP500
    place = groups.index(group) if group in groups else -1
    return np.asarray(book.columns.is_option & (book.portfolio.exposures.group == place), dtype=bool)


def _held(book: Book, axis: Axis, days: float) -> Volatility | None:
    """That of the held option nearest to the horizon, then to the money, among those near the money."""
    o, years = book.options, days / DAYS_PER_YEAR
    with np.errstate(all="ignore"):
        distance = np.abs(np.log(o.strike / o.spot)) / (book.vol * np.sqrt(o.years))
        apart = np.abs(np.log(o.years / max(years, 1.0 / DAYS_PER_YEAR)))
    usable = _of_axis(book, axis) & ~book.assumed & (distance <= NEAR_THE_MONEY) & np.isfinite(apart) & (book.vol > 0)
    rows = np.flatnonzero(usable)
    if not len(rows):
        return None
    row = int(rows[np.lexsort((distance[rows], apart[rows]))[0]])
    value = float(book.vol[row])
    label = book.portfolio.positions[row].instrument.label
    return Volatility(value, f"implied volatility of {label}, {100 * value:.1f} %")


def _weight(intervals: tuple[tuple[float, float], ...], vol: float, years: float, carry: float) -> float:
    if not intervals:
        return 0.0
    with np.errstate(divide="ignore"):
        ends = np.log1p(np.maximum(np.array(intervals), -1.0))
        below = normal_cdf((ends - (carry - 0.5 * vol * vol) * years) / (vol * math.sqrt(years)))
    return float(np.clip((below[:, 1] - below[:, 0]).sum(), 0.0, 1.0))
