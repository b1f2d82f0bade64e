"""Which expiries the demo book holds: real listing dates near a wished number of days, on any date it is started.

Listing rules (domain facts 3): monthlies on the third Friday, weeklies on Fridays, both on the session before when that
is a holiday; SPY every session; E-mini futures quarterly on the third Friday; their weeklies EW1 to EW4 on Fridays.
"""

from __future__ import annotations

from datetime import date, timedelta

from guardrails import calendar
from guardrails.symbols.expiries import third_friday

_FRIDAY = 4
_QUARTERS = (3, 6, 9, 12)


def sessions_until(last: date, count: int) -> tuple[date, ...]:
    """The `count` sessions that end with `last`."""
    return calendar.sessions_between(last - timedelta(days=2 * count), last)[-count:]


def sessions_ahead(today: date, count: int) -> date:
    """The session that is `count` sessions after `today`."""
    return calendar.sessions_between(today, today + timedelta(days=2 * count + 7))[count - 1]


def monthly(today: date, days: int) -> date:
    """The monthly expiry nearest to `days` from `today`."""
    return min((third_friday(month) for month in _months(today)), key=lambda day: abs((day - today).days - days))


def weekly(today: date, days: int) -> date:
    """The Friday expiry nearest to `days` from `today`."""
    return calendar.session_on_or_before(_friday(today + timedelta(days=days)))


def quarterly(after: date) -> date:
    """Last day of the first quarterly future that does not end before `after`."""
    ends = (third_friday(month) for month in _months(after) if month.month in _QUARTERS)
    return next(day for day in ends if day >= after)


def future_weekly(today: date, days: int) -> tuple[str, date]:
    """Code and expiry of the E-mini weekly nearest to `days` from `today`.

    The third Friday of a quarter's last month is left out: it belongs to the quarterly.
    """
    fridays = (_friday(today) + timedelta(days=7 * week) for week in range(12))
    listed = [day for day in fridays if day > today and _has_weekly(day)]
    day = min(listed, key=lambda day: abs((day - today).days - days))
    return f"EW{(day.day + 6) // 7}", day


def _has_weekly(friday: date) -> bool:
    """Whether a weekly ends on that Friday: weeks 1 to 4, a session, not the quarterly's or the month-end's."""
    if not calendar.is_session(friday) or calendar.next_session(friday).month != friday.month:
        return False
    return friday.day <= 28 and not (friday == third_friday(friday) and friday.month in _QUARTERS)


def _friday(day: date) -> date:
    """The Friday nearest to `day`."""
    return day + timedelta(days=(_FRIDAY - day.weekday() + 3) % 7 - 3)


def _months(today: date) -> list[date]:
    """First days of this month and the eight after it."""
    count = today.year * 12 + today.month - 1
    return [date((count + ahead) // 12, (count + ahead) % 12 + 1, 1) for ahead in range(9)]
