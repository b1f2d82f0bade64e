"""Whether something can be traded now, and when it can be again: the hours of its own market, half-days as well.

Shares and options on them trade while the stock exchange does, index options and those of some funds a quarter of an
hour longer but on their last day. Futures and options on them trade from Sunday evening to Friday afternoon with a
pause of an hour; their holidays are not kept here, so a venue may still say no.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta

from guardrails import calendar
from guardrails.instruments import Instrument, Kind
from guardrails.portfolio import Portfolio

_QUARTER_HOUR = timedelta(minutes=15)
_REST, _RESUMES = time(17), time(18)
"""hours in New York between which futures pause"""
_FRIDAY, _SATURDAY, _SUNDAY = 4, 5, 6


def closed(instrument: Instrument, portfolio: Portfolio, now: datetime) -> str:
    """Why `instrument` cannot be traded at `now`, in words; empty when it can."""
    last = calendar.last_trade(instrument)
    if last is not None and now >= last:
        return f"it has traded for the last time ({_moment(last)})"
    if last is None and instrument.expiry is not None and instrument.expiry < calendar.exchange_date(now):
        return f"it expired on {instrument.expiry}"
    if portfolio.market.open is not None:  # a market with hours of its own, as the demo's
        return "" if portfolio.market.open else "market closed"
    again = opens(instrument, now)
    return "" if again is None else f"market closed until {_moment(again)}"


def opens(instrument: Instrument, now: datetime) -> datetime | None:
    """When its market opens next; None while it is open."""
    if instrument.kind in (Kind.FUTURE, Kind.FUTURE_OPTION):
        return _future_opens(now)
    today = calendar.exchange_date(now)
    if calendar.is_session(today):
        opened, ended = calendar.session_bounds(today)
        if now < opened:
            return opened
        late = instrument.is_option and (
            instrument.kind is Kind.INDEX_OPTION or instrument.underlying in calendar.LATE_CLOSE
        )
        if now < ended + (_QUARTER_HOUR if late else timedelta()):
            return None
    return calendar.session_bounds(calendar.next_session(today))[0]


def _future_opens(now: datetime) -> datetime | None:
    here = now.astimezone(calendar.NEW_YORK)
    day, clock = here.weekday(), here.time()
    shut = day == _SATURDAY or (day == _SUNDAY and clock < _RESUMES) or (day == _FRIDAY and clock >= _REST)
    if shut:
        return calendar.at(here.date() + timedelta(days=_SUNDAY - day), _RESUMES)
    return calendar.at(here.date(), _RESUMES) if day != _SUNDAY and _REST <= clock < _RESUMES else None


def _moment(when: datetime) -> str:
    here = when.astimezone(calendar.NEW_YORK)
    return f"{here:%a} {here.day} {here:%b} {here:%H:%M} ET"
