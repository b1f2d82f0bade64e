"""What a lognormal market would do: the chance of a profit and the move to expect by a date.

    ln(1 + return) ~ Normal((carry - vol^2 / 2) T, vol^2 T)

The volatility is the implied one at the money nearest to the horizon; the drift is the cost of carry. It is a measure
of the prices, not a forecast: tails are fatter.

When the report of a single name falls before the horizon, its implied move m counts by itself, in quadrature:

    variance until the horizon = ordinary T + m^2,    ordinary = vol^2 - m^2 / life

where an option that lives through the report has m in its volatility already, spread over its life.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from guardrails import calendar
from guardrails.columns import Mask
from guardrails.pricing import DAYS_PER_YEAR, normal_cdf
from guardrails.products import SP500, group_of
from guardrails.stress.book import Book
from guardrails.stress.gaps import BEFORE_OPEN, earnings_move
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
    years: float = 0.0
    """life of what tells it"""
    until: date | None = None
    """the last day that what tells it lives through"""
    report: str = ""
    """what is made of a report of earnings before the horizon, in words; empty without one"""


def at_the_money(book: Book, axis: Axis, days: float) -> Volatility | None:
    """The implied volatility at the money nearest to `days` ahead: of a held option, else the published one of 30 days.

    None when nobody tells.
    """
    held = _held(book, axis, days)
    if held is not None:
        return held
    market, group = book.portfolio.market, axis.group or SP500
    month = 30.0 / DAYS_PER_YEAR, calendar.exchange_date(book.portfolio.time) + timedelta(days=30)
    if group == SP500 and market.vix is not None and market.vix.value > 0:
        return Volatility(market.vix.value / 100.0, f"VIX {market.vix.value:.1f}", *month)
    for symbol in sorted(market.metrics, key=lambda symbol: symbol != axis.name):
        published = market.metrics[symbol].iv_30d
        if group_of(symbol) == group and published is not None and published > 0:
            return Volatility(published, f"30-day implied volatility of {symbol}, {100 * published:.1f} %", *month)
    return None


def with_report(book: Book, axis: Axis, days: float, vol: Volatility) -> Volatility:
    """`vol` until `days` ahead with what is implied for a report of earnings before then; only of a single name."""
    market, today = book.portfolio.market, calendar.exchange_date(book.portfolio.time)
    told = next((m for name, m in market.metrics.items() if group_of(name) == axis.group), None)
    horizon = calendar.exchange_date(book.portfolio.time + timedelta(days=days))
    if axis.is_broad or days <= 0 or told is None or told.earnings is None or not today <= told.earnings <= horizon:
        return vol
    early = told.earnings_time == BEFORE_OPEN
    if told.earnings == horizon and told.earnings_time and not early:
        return vol  # after the close of the chosen date
    move = earnings_move(book, axis.group, told, today) if axis.group in book.portfolio.exposures.groups else None
    if move is None:
        return replace(vol, report=f"without the report on {told.earnings}, of which nothing is implied")
    lives = vol.until is not None and (vol.until > told.earnings or (early and vol.until == told.earnings))
    years = days / DAYS_PER_YEAR
    ordinary = max(vol.value**2 - move**2 / vol.years, 0.0) if lives and vol.years > 0 else vol.value**2
    words = f"with {100 * move:.1f} % implied for the report on {told.earnings}"
    return replace(vol, value=math.sqrt(ordinary + move**2 / years), report=words)


def expected_move(vol: float, days: float) -> tuple[float, float]:
    """Returns one standard deviation down and up: two times in three the price ends between them."""
    deviation = vol * math.sqrt(max(days, 0.0) / DAYS_PER_YEAR)
    return math.expm1(-deviation), math.expm1(deviation)


def chance_of_profit(curve: Curve, vol: float, days: float, carry: float = 0.0) -> tuple[float, float]:
    """Probability that the P&L is above zero `days` from now: at least, at most; NaN where not known."""
    if not (days > 0 and vol > 0 and curve.known):
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
    held = book.portfolio.positions[row].instrument
    words = f"implied volatility of {held.label}, {100 * value:.1f} %"
    return Volatility(value, words, float(o.years[row]), held.expiry)


def _weight(intervals: tuple[tuple[float, float], ...], vol: float, years: float, carry: float) -> float:
    if not intervals:
        return 0.0
    with np.errstate(divide="ignore"):
        ends = np.log1p(np.maximum(np.array(intervals), -1.0))
        below = normal_cdf((ends - (carry - 0.5 * vol * vol) * years) / (vol * math.sqrt(years)))
    return float(np.clip((below[:, 1] - below[:, 0]).sum(), 0.0, 1.0))
