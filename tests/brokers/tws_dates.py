"""Dates written relative to the day a book is opened, so that a book never expires.

An expression is read left to right, starting from today: `+30d`, `-7d` move by calendar days; `friday`, `monthly`
(third Friday) and `quarterly` (that of March, June, September, December) move to the first such day on or after;
`2027-01-15` jumps there. `next_monthly` is `+14d monthly`, `next_quarterly` is `+14d quarterly`. A result on a US
market holiday moves back to the session before, as listed expiries do (third Friday on Good Friday or Juneteenth).
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from dateutil.easter import easter  # type: ignore[import-untyped]  # its stubs are not worth a dependency

DAY = timedelta(days=1)
FRIDAY = 4
MONTH_CODES = "FGHJKMNQUVXZ"
SHORTHAND = {"next_monthly": "+14d monthly", "next_quarterly": "+14d quarterly"}


def _nth(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _observed(day: date) -> date:
    """The weekday a fixed-date holiday is kept on (NYSE rule 7.2): Saturday's on Friday, Sunday's on Monday."""
    return day + {5: -1, 6: 1}.get(day.weekday(), 0) * DAY


def holidays(year: int) -> set[date]:
    """Full-day closures of the NYSE in `year` by rule (no days of mourning)."""
    new_year = date(year, 1, 1)
    last_monday_of_may = _nth(year, 6, 0, 1) - 7 * DAY
    return {
        new_year if new_year.weekday() == 5 else _observed(new_year),  # a Saturday New Year is not kept
        _nth(year, 1, 0, 3),
        _nth(year, 2, 0, 3),
        easter(year) - 2 * DAY,
        last_monday_of_may,
        _observed(date(year, 6, 19)),
        _observed(date(year, 7, 4)),
        _nth(year, 9, 0, 1),
        _nth(year, 11, 3, 4),
        _observed(date(year, 12, 25)),
    }


def is_session(day: date) -> bool:
    """Whether the US stock market opens on `day`."""
    return day.weekday() < 5 and day not in holidays(day.year)


def session_before(day: date) -> date:
    """The last session strictly before `day`."""
    return session_at_or_before(day - DAY)


def session_at_or_before(day: date) -> date:
    """`day` when it is a session, else the last one before it."""
    while not is_session(day):
        day -= DAY
    return day


def sessions_until(last: date, count: int) -> list[date]:
    """The `count` sessions ending at `last` (or before it when the market is closed then), oldest first."""
    days: list[date] = []
    day = session_at_or_before(last)
    while len(days) < count:
        days.append(day)
        day = session_before(day)
    return days[::-1]


def _monthly(day: date, step: int) -> date:
    """The first third Friday on or after `day` in a month divisible by `step`."""
    year, month = day.year, day.month
    while month % step or _nth(year, month, FRIDAY, 3) < day:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return _nth(year, month, FRIDAY, 3)


def resolve(expression: str | date, today: date) -> date:
    """The session an expression means on `today`; see the module docstring. ValueError for a word it does not know."""
    if isinstance(expression, date):
        return expression
    day = today
    for word in " ".join(SHORTHAND.get(word, word) for word in expression.split()).split():
        if re.fullmatch(r"[+-]\d+d", word):
            day += timedelta(days=int(word[:-1]))
        elif word == "friday":
            day += timedelta(days=(FRIDAY - day.weekday()) % 7)
        elif word in ("monthly", "quarterly"):
            day = _monthly(day, 3 if word == "quarterly" else 1)
        elif re.fullmatch(r"\d{4}-\d\d-\d\d", word):
            day = date.fromisoformat(word)
        else:
            raise ValueError(
                f"{word!r} in date {expression!r}: write today, +Nd, -Nd, friday, monthly, quarterly or a date"
            )
    return session_at_or_before(day)


def future_code(day: date) -> str:
    """Month letter and last digit of the year, as in `Z6` of ESZ6."""
    return f"{MONTH_CODES[day.month - 1]}{day.year % 10}"
