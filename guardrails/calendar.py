"""When the exchange is open, when an instrument last trades and when it settles: every clock question has one answer
here.

Sessions are those of the New York Stock Exchange (XNYS of exchange_calendars), 1990 to 2060. That library pulls in
pandas, so it is imported at the first question and its answer kept as plain lists. All moments are aware UTC, all
days are exchange days (New York).

Last trade and settlement by product (domain facts 3):

    AM-settled index option        session before expiry 16:15 ET      open of the expiry day (SOQ)
    PM-settled index option        close of the expiry day             close of the expiry day
    equity and ETF option          close, some ETFs a quarter later    close of the expiry day
    quarterly index future option  expiry day 9:30 ET                  expiry day 9:30 ET
    other future options, futures  close of the expiry day             close of the expiry day

Close is 16:00 ET, 13:00 on half-days. Options on commodities stop at hours of their own (crude 14:30 ET, gold 13:30
ET); no table of those is kept, so for them the close is the latest it can be, not the exact moment.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from guardrails.errors import GuardrailsError
from guardrails.instruments import Instrument, Kind, Settlement

NEW_YORK = ZoneInfo("America/New_York")
FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2060, 12, 31)
"""bounds of the calendar; beyond them nothing is known"""
SECONDS_PER_YEAR = 31_536_000
"""365 days: the year all volatilities and rates are quoted in (domain facts 3)"""
LATE_CLOSE = frozenset({
    "DBA", "DBC", "DIA", "EEM", "EFA", "IWM", "IWN", "IWO", "IYR", "KBE", "KRE", "MDY",
    "MOO", "OEF", "QQQ", "SLX", "SPY", "SVXY", "UNG", "UUP", "UVXY", "VIXY", "VXX", "VXZ",
    "XHB", "XLB", "XLE", "XLF", "XLI", "XLK", "XLP", "XLU", "XLV", "XLY", "XME", "XRT",
})  # fmt: skip
"""ETFs whose options trade a quarter of an hour past the close (Cboe trading hours; the list changes now and then)"""
_QUARTER_HOUR = timedelta(minutes=15)
_OPEN, _CLOSE = time(9, 30), time(16, 0)


@dataclass(frozen=True, slots=True)
class _Sessions:
    days: list[date]
    bounds: dict[date, tuple[datetime, datetime]]
    opens: list[datetime]


@lru_cache(maxsize=1)
def _sessions() -> _Sessions:
    import exchange_calendars  # noqa: PLC0415  # 0.7 s and pandas: only for those who ask

    calendar = exchange_calendars.get_calendar("XNYS", start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat())
    days = [stamp.date() for stamp in calendar.sessions]
    opens = [stamp.to_pydatetime().replace(tzinfo=UTC) for stamp in calendar.opens]
    closes = [stamp.to_pydatetime().replace(tzinfo=UTC) for stamp in calendar.closes]
    return _Sessions(days, dict(zip(days, zip(opens, closes, strict=True), strict=True)), opens)


@lru_cache(maxsize=64)
def exchange_date(now: datetime) -> date:
    """The date in New York at `now`; a naive `now` is refused."""
    if now.tzinfo is None:
        raise GuardrailsError(f"time {now.isoformat()} has no time zone: give an aware time, for example in UTC")
    return now.astimezone(NEW_YORK).date()


def at(day: date, clock: time) -> datetime:
    """The moment, in UTC, at which New York clocks show `clock` on `day`."""
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


def is_session(day: date) -> bool:
    """Whether the exchange opens on `day`."""
    return day in _sessions().bounds


def session_on_or_before(day: date) -> date:
    """The latest session that is not after `day`."""
    days = _sessions().days
    return days[_known(bisect_right(days, day) - 1, day)]


def previous_session(day: date) -> date:
    """The latest session before `day`."""
    days = _sessions().days
    return days[_known(bisect_left(days, day) - 1, day)]


def next_session(day: date) -> date:
    """The first session after `day`."""
    days = _sessions().days
    return days[_known(bisect_right(days, day), day)]


def sessions_between(after: date, until: date) -> tuple[date, ...]:
    """The sessions strictly after `after`, up to and including `until`; empty when `until` is not later."""
    days = _sessions().days
    return tuple(days[bisect_right(days, after) : bisect_right(days, until)])


def session_bounds(day: date) -> tuple[datetime, datetime]:
    """Open and close of the session on `day`; GuardrailsError when the exchange is closed that day."""
    bounds = _sessions().bounds.get(day)
    if bounds is None:
        raise GuardrailsError(f"{day} is not a trading day: ask session_on_or_before for the one that counts")
    return bounds


def session_of(now: datetime) -> date:
    """The session that is open at `now`, else the last one that was; before the opening bell that is the day before."""
    exchange_date(now)
    sessions = _sessions()
    return sessions.days[_known(bisect_right(sessions.opens, now) - 1, now)]


def is_open(now: datetime) -> bool:
    """Whether regular trading is on: from the opening bell up to, not including, the closing bell."""
    bounds = _sessions().bounds.get(exchange_date(now))
    return bounds is not None and bounds[0] <= now < bounds[1]


def dte(expiry: date, now: datetime) -> int:
    """Calendar days from today's date in New York to `expiry`: 0 on the day, negative once it has passed."""
    return (expiry - exchange_date(now)).days


def trading_days_to(expiry: date, now: datetime) -> int:
    """Sessions after today up to and including `expiry`: 0 on the day, -1 once it has passed.

    An expiry past the end of the calendar is counted to that end, a number in the thousands.
    """
    today = exchange_date(now)
    if expiry < today:
        return -1
    days = _sessions().days
    return bisect_right(days, expiry) - bisect_right(days, today)


def hours_to(moment: datetime, now: datetime) -> float:
    """Hours from `now` to `moment`, negative once it has passed."""
    return (moment - now).total_seconds() / 3600.0


def last_trade(instrument: Instrument) -> datetime | None:
    """When it last trades; None for what does not expire or whose expiry or settlement is not known."""
    return _moments(instrument)[0]


def settles(instrument: Instrument) -> datetime | None:
    """When its final value is struck, which is the end of its time value; None as for `last_trade`."""
    return _moments(instrument)[1]


def year_fraction(instrument: Instrument, now: datetime) -> float | None:
    """Years of 365 days from `now` to settlement, never below 0; None when the settlement is not known."""
    moment = settles(instrument)
    return None if moment is None else max((moment - now).total_seconds(), 0.0) / SECONDS_PER_YEAR


def _moments(instrument: Instrument) -> tuple[datetime | None, datetime | None]:
    expiry = instrument.expiry
    if expiry is None or not FIRST_DAY.year < expiry.year <= LAST_DAY.year:
        return None, None
    if instrument.kind is Kind.FUTURE:
        return _future_ends(expiry, None)
    if not instrument.is_option or instrument.settlement is None:
        return None, None
    if instrument.kind is Kind.FUTURE_OPTION:
        return _future_ends(expiry, instrument.settlement)
    return _option_ends(expiry, instrument.settlement, late=instrument.underlying in LATE_CLOSE)


@lru_cache(maxsize=8192)
def _future_ends(expiry: date, settlement: Settlement | None) -> tuple[datetime, datetime]:
    """Futures exchanges also expire contracts on days the stock exchange is closed: then 16:00 ET stands."""
    if settlement is Settlement.CASH_AM:
        return at(expiry, _OPEN), at(expiry, _OPEN)
    close = session_bounds(expiry)[1] if is_session(expiry) else at(expiry, _CLOSE)
    return close, close


@lru_cache(maxsize=8192)
def _option_ends(expiry: date, settlement: Settlement, *, late: bool) -> tuple[datetime, datetime]:
    """An expiry on a closed day, as the Saturdays before 2015, stands for the session before it."""
    day = session_on_or_before(expiry)
    opened, closed = session_bounds(day)
    if settlement is Settlement.CASH_AM:
        return session_bounds(previous_session(day))[1] + _QUARTER_HOUR, opened
    return closed + _QUARTER_HOUR if late else closed, closed


def _known(index: int, asked: date | datetime) -> int:
    if 0 <= index < len(_sessions().days):
        return index
    raise GuardrailsError(f"{asked} is outside the trading calendar, which runs from {FIRST_DAY} to {LAST_DAY}")
