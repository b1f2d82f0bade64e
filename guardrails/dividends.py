"""Which dividends a share is expected to pay before an option on it expires, from what the brokers say.

A share pays cash on a day; an index, or a fund on one, is taken to pay a yield all the time. What nobody says is not
known, which is neither nothing nor zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise

from guardrails import calendar
from guardrails.products import BROAD_INDEX_GROUPS, INDICES, VOLATILITY_GROUP, group_of
from guardrails.values import Dividend, Market, finite

MOST_OF_SPOT = 0.3
"""a dividend that is a larger share of the price than this, or a yield a year, is not believed"""
LEAST_AMOUNT = 1e-4
"""of one payment in currency units; what is less is no dividend"""
OLDEST = timedelta(days=400)
"""a last ex-date further back says nothing of the next: who pays once a year has paid since, or stopped"""
_A_YEAR = (1, 2, 4, 12)
"""how often a year shares pay"""
_OFF = 1.4
"""factor by which yield × price may miss a whole number of payments: yields are computed on prices of weeks ago"""
_CENT = 0.005
_DAY = timedelta(days=1)


class Basis(StrEnum):
    """How the dividends of one underlying go into a price."""

    CASH = "cash"
    """the amounts that are listed, none when none is"""
    YIELD = "yield"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is expected of one underlying in a stretch of time."""

    underlying: str
    basis: Basis
    words: str
    """who said so and when, or why it is not known"""
    cash: tuple[Dividend, ...] = ()
    """soonest first"""
    dividend_yield: float | None = None
    """with the basis YIELD: fraction a year, continuous"""
    notes: tuple[str, ...] = ()
    """what was not believed or is only assumed"""


def ex_moment(dividend: Dividend) -> datetime:
    """When the share begins to trade without it: with the ex-date in New York, before the earliest early trade."""
    return calendar.at(dividend.ex_date, time.min)


def years_until(dividend: Dividend, now: datetime) -> float:
    """Years of 365 days from `now` until the share trades without it; negative when it does already."""
    return (ex_moment(dividend) - now).total_seconds() / calendar.SECONDS_PER_YEAR


def schedule(underlying: str, market: Market, now: datetime, until: datetime) -> Schedule:
    """What `underlying` is expected to pay after `now`, up to and including `until` (the expiry of an option).

    An announced dividend is repeated, marked estimated, at the frequency that its amount and the yield imply.
    """
    if underlying.startswith("/") or (underlying in INDICES and group_of(underlying) == VOLATILITY_GROUP):
        return Schedule(underlying, Basis.CASH, f"{underlying} is no share: it pays no dividend")
    notes: list[str] = []
    price = market.prices.get(underlying)
    spot = None if price is None or not price.value > 0 else price.value
    share = _believed_yield(underlying, market, notes)
    listed = [d for d in market.dividends.get(underlying, ()) if now - ex_moment(d) <= OLDEST]
    told = tuple(_believed(listed, spot, notes))
    if told and not (share is not None and group_of(underlying) in BROAD_INDEX_GROUPS):
        return _expected(underlying, told, _frequency(told[-1], share, spot, notes), (now, until), notes)
    basis, words = _without_cash(underlying, market, share, doubted=len(listed) > len(told))
    return Schedule(
        underlying, basis, words, dividend_yield=share if basis is Basis.YIELD else None, notes=tuple(notes)
    )


def _without_cash(underlying: str, market: Market, share: float | None, *, doubted: bool) -> tuple[Basis, str]:
    """What to say where no amount counts; `doubted`: amounts were told, and not believed."""
    if share is None or (share == 0 and doubted):
        what = "dividend yield" if underlying in INDICES else "dividend"
        return Basis.UNKNOWN, f"no {what} of {underlying} is known"
    origin = _origin(market.yields[underlying].source, market.yields[underlying].time)
    if share == 0:
        return Basis.CASH, f"it pays none, {origin}"
    return Basis.YIELD, f"dividend yield {share:.2%} a year, {origin}"


def _origin(source: str, said: datetime) -> str:
    return f"as {source} said on {calendar.exchange_date(said):%d %b %Y}"


def _believed_yield(underlying: str, market: Market, notes: list[str]) -> float | None:
    observed = market.yields.get(underlying)
    value = None if observed is None else finite(observed.value)
    if value is None or 0.0 <= value <= MOST_OF_SPOT:
        return value
    notes.append(f"a dividend yield of {value:.2%} is not believed: 0 to {MOST_OF_SPOT:.0%} a year is")
    return None


def _believed(told: Iterable[Dividend], spot: float | None, notes: list[str]) -> Iterator[Dividend]:
    """Those that can be true, by ex-date."""
    for dividend in sorted(told, key=lambda dividend: dividend.ex_date):
        amount, what = finite(dividend.amount), f"the dividend of {dividend.ex_date:%d %b %Y}"
        if amount is None or amount < LEAST_AMOUNT:
            notes.append(f"{what} is left out: its amount is {dividend.amount:g}, the least is {LEAST_AMOUNT:g}")
        elif spot is not None and amount > MOST_OF_SPOT * spot:
            notes.append(f"{what} is left out: {amount:g} is over {MOST_OF_SPOT:.0%} of the price {spot:g}")
        elif dividend.currency != "USD":
            notes.append(f"{what} is left out: it is paid in {dividend.currency}, the price is in USD")
        else:
            yield dividend


def _frequency(last: Dividend, share: float | None, spot: float | None, notes: list[str]) -> int | None:
    """Payments a year that fit the yield; None when that is not known or none fits."""
    if not share or spot is None:
        notes.append("how often it pays is not known: no dividend yield, or no price")
        return None
    payments = math.expm1(share) * spot / last.amount
    if payments > 0:  # the product of tiny numbers is 0
        nearest = min(_A_YEAR, key=lambda each: abs(math.log(payments / each)))
        if 1 / _OFF <= payments / nearest <= _OFF:
            return nearest
    notes.append(
        f"how often it pays is not known: a yield of {share:.2%} is {payments:.1f} payments of {last.amount:g}"
    )
    return None


def _expected(
    underlying: str,
    told: tuple[Dividend, ...],
    frequency: int | None,
    span: tuple[datetime, datetime],
    notes: list[str],
) -> Schedule:
    """What is told and lies ahead, then the last one again and again."""
    now, until = span
    for one, other in pairwise(told):
        if one.ex_date == other.ex_date and abs(one.amount - other.amount) > _CENT:
            words = f"two amounts are told for {one.ex_date:%d %b %Y}: {one.amount:g} and {other.amount:g}"
            return Schedule(underlying, Basis.UNKNOWN, words, notes=tuple(notes))
    last = told[-1]
    if frequency is None and ex_moment(last) <= now:
        words = f"the next dividend of {underlying} is not known; the last was on {last.ex_date:%d %b %Y}"
        return Schedule(underlying, Basis.UNKNOWN, words, notes=tuple(notes))
    repeated = () if frequency is None else tuple(_repeated(last, 12 // frequency, until))
    if repeated and ex_moment(repeated[0]) <= now:
        notes.append(f"nothing was told of a dividend expected about {repeated[0].ex_date:%d %b %Y}")
    by_date = {dividend.ex_date: dividend for dividend in (*told, *repeated)}
    ahead = tuple(dividend for dividend in by_date.values() if now < ex_moment(dividend) <= until)
    words = f"{last.amount:g} on {last.ex_date:%d %b %Y}, {_origin(last.source, last.time)}"
    if frequency is not None:
        words += f", {frequency} a year by its yield"
    return Schedule(underlying, Basis.CASH, words, cash=ahead, notes=tuple(notes))


def _repeated(last: Dividend, months: int, until: datetime) -> Iterator[Dividend]:
    """`last` every so many months, on a trading day, up to `until`."""
    for count in range(1, 12 * (calendar.LAST_DAY.year - calendar.FIRST_DAY.year)):
        day = _later(last.ex_date, months * count)
        if day >= calendar.LAST_DAY or calendar.at(day, time.min) > until:
            return
        yield replace(last, ex_date=calendar.next_session(day - _DAY), estimated=True)


def _later(day: date, months: int) -> date:
    """The same day of the month, the 28th at most."""
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, min(day.day, 28))
