"""What others kept of the time before this program ran: net liquidation of accounts and daily closes.

Nobody watched these figures come in, so each must prove itself: of a trading day, of the past, in scale with its
neighbours. What cannot is told in words and left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from guardrails import calendar
from guardrails.values import SENTINEL, AccountId

_FINAL = time(16, 15)
"""New York; when the last VIX of the day is printed"""
_ABSURD, _ALIKE = 50.0, 10.0
"""a value this many times off two neighbours, which are within the other of each other, is a slip: cents, a lost row"""


@dataclass(frozen=True, slots=True)
class NetLiquidations:
    """Net liquidation of one account over the past, as one source tells it."""

    account: AccountId
    currency: str
    values: tuple[tuple[datetime, float], ...]
    """when each was true: the close of the session, or the end of a shorter interval; in `currency`"""
    source: str


@dataclass(frozen=True, slots=True)
class Closes:
    """Official daily closes of one index, as one source tells them."""

    symbol: str
    values: tuple[tuple[date, float], ...]
    """by exchange date"""
    source: str


@dataclass(frozen=True, slots=True)
class Past:
    """What was collected, and what could not be."""

    net_liquidations: tuple[NetLiquidations, ...] = ()
    closes: tuple[Closes, ...] = ()
    problems: tuple[str, ...] = ()
    """what was refused or could not be read, and why"""
    notes: tuple[str, ...] = ()
    """what was left out as it should be"""

    def __add__(self, other: Past) -> Past:
        """Both together."""
        return Past(
            self.net_liquidations + other.net_liquidations,
            self.closes + other.closes,
            self.problems + other.problems,
            self.notes + other.notes,
        )


def doubts(values: Sequence[tuple[datetime, float]], now: datetime, *, price: bool) -> dict[int, str]:
    """Why each doubtful one of these values of one thing cannot be taken, by its place in `values`.

    A `price` is above zero and never jumps for good; money in an account may do both: it is paid in and out.
    """
    found = {place: why for place, (when, value) in enumerate(values) if (why := _doubt(when, value, now, price=price))}
    rest = sorted((place for place in range(len(values)) if place not in found), key=lambda place: values[place][0])
    figures = [values[place][1] for place in rest]
    for nth, value in enumerate(figures):
        beside = _beside(figures, nth, ends=price)
        if beside is not None and _alike(*beside) and all(_apart(value, other) for other in beside):
            told = " and ".join(f"{other:,.2f}" for other in beside)
            found[rest[nth]] = f"{value:,.2f} is over {_ABSURD:.0f} times off its neighbours, {told}"
    return found


def of_day(day: date) -> datetime:
    """When a daily close of `day` is final."""
    return calendar.at(day, _FINAL)


def is_holiday(day: date) -> bool:
    """Whether `day` is a weekday on which the exchange is closed; some keep figures of such days all the same."""
    return day >= calendar.FIRST_DAY and day.weekday() < 5 and not calendar.is_session(day)


def _doubt(when: datetime, value: float, now: datetime, *, price: bool) -> str:
    day = calendar.exchange_date(when)
    if not -SENTINEL < value < SENTINEL:
        return f"{value} is not a number"
    if value == 0 and math.copysign(1.0, value) < 0:
        return "-0 is no figure"
    if price and value <= 0:
        return f"{value:g} is not above zero"
    if when > now:
        return f"{day} is not over yet, or in the future"
    if day < calendar.FIRST_DAY:
        return f"{day} is before {calendar.FIRST_DAY.year}, where the trading calendar begins"
    return "" if calendar.is_session(day) else f"{day:%A} {day} is not a trading day"


def _beside(figures: Sequence[float], nth: int, *, ends: bool) -> tuple[float, float] | None:
    """The figures before and after; at the first and the last, when `ends`, the two that are nearest."""
    if len(figures) < 3 or (not ends and not 0 < nth < len(figures) - 1):
        return None
    left = min(max(nth - 1, 0), len(figures) - 3)
    window = [place for place in range(left, left + 3) if place != nth]
    return figures[window[0]], figures[window[1]]


def _apart(one: float, other: float) -> bool:
    low, high = sorted((abs(one), abs(other)))
    return high > 0 and high >= _ABSURD * low


def _alike(one: float, other: float) -> bool:
    low, high = sorted((abs(one), abs(other)))
    return one * other > 0 and high < _ALIKE * low
