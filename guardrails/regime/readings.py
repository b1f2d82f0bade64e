"""What the regime may believe of VIX and VIX3M: which readings are fresh and which closes are official, in order,
once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from guardrails import calendar
from guardrails.values import Observed, finite

LONG_GAP = timedelta(days=7)
"""longest pause between closes that still reads as "in a row"; the longest since 1990 was 7 days (September 2001)"""
_CLOCK_SKEW = timedelta(minutes=1)
"""how far a reading's clock may run ahead of ours"""

Closes = tuple[tuple[date, float], ...]
CloseList = list[tuple[date, float]]
"""valid closes, oldest first, one a day"""


@dataclass(frozen=True, slots=True)
class MarketReadings:
    """VIX and VIX3M as the market gives them at one moment; `Market` has the same fields."""

    vix: Observed | None
    vix3m: Observed | None
    vix_closes: Closes
    """official daily closes"""
    vix3m_closes: Closes
    market_open: bool


def present(reading: Observed | None) -> Observed | None:
    """`reading` if it is a positive number, however old; else None."""
    value = None if reading is None else finite(reading.value)
    return reading if value is not None and value > 0 else None


def fresh(reading: Observed | None, now: datetime, minutes: float) -> Observed | None:
    """`reading` if it is a positive number, at most `minutes` old and not from the future; else None."""
    reading = present(reading)
    if reading is None:
        return None
    return reading if -_CLOCK_SKEW <= now - reading.time <= timedelta(minutes=minutes) else None


def new_closes(closes: Closes, official: date, now: datetime, *, after: date | None) -> tuple[CloseList, list[str]]:
    """The closes of dates after `after` up to `official`, oldest first, and why others were ignored.

    Of two closes with one date the higher counts: a contradiction may tighten, never relax.
    """
    today = calendar.exchange_date(now)
    best: dict[date, float] = {}
    ignored: set[str] = set()
    for day, value in closes:
        if after is not None and day <= after:
            continue
        number = finite(value)
        if number is None or number <= 0:
            ignored.add(f"the close of {day} is not a positive number and was ignored")
        elif day > today:
            ignored.add(f"the close of {day} lies in the future and was ignored")
        elif day <= official:
            best[day] = max(number, best.get(day, 0.0))
    return sorted(best.items()), sorted(ignored)
