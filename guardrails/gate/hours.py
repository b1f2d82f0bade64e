"""When a product trades, for new risk: regular hours of options and shares, nearly the whole day of futures.

    shares                        9:30 to 16:00 ET, half-days to 13:00
    options on shares             the same; some ETFs a quarter of an hour longer
    index options                 a quarter of an hour longer; their night session is not used: its quotes are wide
    futures, options on them      18:00 ET of the evening before to 17:00 ET, half-days to 13:15 ET; not on days on
                                  which the stock exchange is closed, when they trade for some hours only
    crypto                        always

These are the widest hours of a product: grains, metals and livestock keep shorter ones, of which no table is kept.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta

from guardrails import calendar
from guardrails.calendar import LATE_CLOSE, NEW_YORK
from guardrails.instruments import Instrument, Kind

_QUARTER_HOUR = timedelta(minutes=15)
_FUTURES = (Kind.FUTURE, Kind.FUTURE_OPTION)
_EVENING, _BREAK, _REGULAR_CLOSE = time(18), time(17), time(16)


def closed(instrument: Instrument, now: datetime, *, told_open: bool | None = None) -> str:
    """Why `instrument` does not trade at `now`, in words; empty when it does.

    `told_open` is what a source says whose market does not follow the calendar (`Market.open`); it decides.
    """
    if told_open is not None:
        return "" if told_open else "its market is closed"
    if instrument.kind is Kind.CRYPTO:
        return ""
    return _futures(now) if instrument.kind in _FUTURES else _regular(instrument, now)


def over(instrument: Instrument, now: datetime) -> bool:
    """Whether it has expired, or traded for the last time."""
    last = calendar.last_trade(instrument)
    if last is not None:
        return now >= last
    return instrument.expiry is not None and instrument.expiry < calendar.exchange_date(now)


def _regular(instrument: Instrument, now: datetime) -> str:
    today = calendar.exchange_date(now)
    if not calendar.is_session(today):
        return f"the exchange is closed on {today:%A %d %b}"
    opened, closing = calendar.session_bounds(today)
    late = instrument.kind is Kind.INDEX_OPTION or (instrument.is_option and instrument.underlying in LATE_CLOSE)
    end = closing + _QUARTER_HOUR if late else closing
    if now < opened:
        return f"it opens at {opened.astimezone(NEW_YORK):%H:%M} ET"
    return "" if now < end else f"it closed at {end.astimezone(NEW_YORK):%H:%M} ET"


def _futures(now: datetime) -> str:
    clock = now.astimezone(NEW_YORK)
    day = clock.date() + timedelta(days=1) if clock.time() >= _EVENING else clock.date()
    if not calendar.is_session(day):
        return f"futures are not traded regularly for {day:%A %d %b}"
    _, closing = calendar.session_bounds(day)
    short = closing.astimezone(NEW_YORK).time() < _REGULAR_CLOSE
    end = closing + _QUARTER_HOUR if short else calendar.at(day, _BREAK)
    return "" if now < end else f"futures closed at {end.astimezone(NEW_YORK):%H:%M} ET and open again at 18:00 ET"
