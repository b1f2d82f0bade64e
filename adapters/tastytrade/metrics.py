"""Market metrics of one underlying as values of the domain; pure.

Units are mixed within one record (tastytrade facts 9) and written down here field by field, never guessed from the size
of a number: index, rank and percentile are fractions, the 30-day volatilities are percent points. A figure that cannot
be true in its unit is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from adapters.tastytrade.fields import day, flag, moment, number, underlying
from guardrails.calendar import exchange_date
from guardrails.values import Dividend, Metrics, Observed

Record = Mapping[str, object]
_POINTS = 100.0
"""percent points to 1.00"""
_RANK_SLACK = 0.05
"""the rank is of the last 52 weeks' extremes, which a volatility of today may pass before they are recorded anew"""
_MOST_VOLATILITY = 20.0
"""2,000 % a year; nothing listed has had more for thirty days"""
_UNIT_FACTOR = 5.0
"""two 30-day volatilities of one underlying do not differ by as much, a percent and a fraction do by a hundred"""
_MOST_YIELD = 0.3
"""fraction; what is larger was meant in percent, or is of a company that will not pay it again"""
_AHEAD = timedelta(hours=1)
"""a time further ahead of ours than clocks differ is no time at which this can have been said"""
_TIMES_OF_DAY = {
    "bto": "before open",
    "bmo": "before open",
    "before market open": "before open",
    "amc": "after close",
    "after market close": "after close",
    "dmh": "during",
    "during market hours": "during",
}


def symbol_of(record: Record, read: datetime) -> str | None:
    """Canonical symbol of what the record is about, a future by its product where it has no month (`/ES`)."""
    return underlying(record.get("symbol"), exchange_date(read))


def to_metrics(record: Record, source: str, read: datetime) -> Metrics | None:
    """The metrics of one record; None when it does not say of what or of when. Days to come are judged by `read`.

    Its time is the older of its two: the record's and that of its implied volatilities.
    """
    symbol = symbol_of(record, read)
    times = [_stamp(record, name, read) for name in ("updated-at", "implied-volatility-updated-at")]
    told = [time for time in times if time is not None]
    if symbol is None or not told:
        return None
    today = exchange_date(read)
    iv, hv = _volatilities(record)
    report = record.get("earnings")
    earnings: Record = report if isinstance(report, Mapping) else {}
    reports = _to_come(earnings.get("expected-report-date"), today)
    return Metrics(
        symbol=symbol,
        time=min(told),
        source=source,
        correlation=_within(record, "corr-spy-3month", -1.0, 1.0),
        iv_rank=_within(record, "implied-volatility-index-rank", -_RANK_SLACK, 1.0 + _RANK_SLACK),
        iv_percentile=_within(record, "implied-volatility-percentile", 0.0, 1.0),
        iv_30d=iv,
        hv_30d=hv,
        earnings=reports,
        earnings_estimated=None if reports is None else flag(earnings.get("estimated")),
        earnings_time="" if reports is None else _time_of_day(earnings.get("time-of-day")),
        ex_dividend=_to_come(record.get("dividend-ex-date"), today),
    )


def to_beta(record: Record, source: str, read: datetime) -> Observed | None:
    """Beta to the S&P 500 with the time it was computed at; None without either."""
    beta, time = number(record.get("beta")), _stamp(record, "beta-updated-at", read)
    return None if beta is None or time is None else Observed(beta, time, source)


def to_dividends(record: Record, source: str, read: datetime) -> tuple[Dividend, ...]:
    """The last or next dividend, and the one after it where a later date is named; empty when it says none.

    `dividend-rate-per-share` is one payment, not the year's: recorded for AAPL 0.24 of 0.96. `dividend-ex-date` stays
    where it was until the next is known, and `dividend-next-date` is often left from years ago (recorded: 2022-08-05
    beside an ex-date of 2023-05-12), so it counts only when it is later. tastytrade lists US shares: US dollars.
    """
    amount, ex_date = number(record.get("dividend-rate-per-share")), day(record.get("dividend-ex-date"))
    time = _stamp(record, "dividend-updated-at", read) or _stamp(record, "updated-at", read)
    if amount is None or amount <= 0 or ex_date is None or time is None:
        return ()
    told, following = Dividend(ex_date, amount, "USD", source, time), day(record.get("dividend-next-date"))
    if following is None or following <= ex_date:
        return (told,)
    return told, Dividend(following, amount, "USD", source, time, estimated=True)


def to_yield(record: Record, source: str, read: datetime) -> Observed | None:
    """The dividend yield, sent as a fraction a year, as a continuous one; None without it or its time.

    `annual-dividend-per-share` is no help: recorded as 0.0 for a share that pays.
    """
    value = _within(record, "dividend-yield", 0.0, _MOST_YIELD)
    time = _stamp(record, "dividend-updated-at", read) or _stamp(record, "updated-at", read)
    return None if value is None or time is None else Observed(math.log1p(value), time, source)


def _stamp(record: Record, name: str, read: datetime) -> datetime | None:
    time = moment(record.get(name))
    return time if time is not None and time - read <= _AHEAD else None


def _within(record: Record, name: str, least: float, most: float) -> float | None:
    """The fraction under `name`, if it is one."""
    value = number(record.get(name))
    return value if value is not None and least <= value <= most else None


def _volatilities(record: Record) -> tuple[float | None, float | None]:
    """Implied and historical volatility of 30 days as fractions, from percent points.

    Both are None when the implied one is so far from the volatility index, a fraction, that the points may be none.
    """
    implied, historical = (_points(record, f"{kind}-volatility-30-day") for kind in ("implied", "historical"))
    index = number(record.get("implied-volatility-index"))
    if implied is not None and index is not None and not index / _UNIT_FACTOR <= implied <= index * _UNIT_FACTOR:
        return None, None
    return implied, historical


def _points(record: Record, name: str) -> float | None:
    """A yearly volatility sent in percent points as a fraction; nothing that trades has one of zero."""
    value = number(record.get(name))
    return value / _POINTS if value is not None and 0 < value / _POINTS <= _MOST_VOLATILITY else None


def _to_come(value: object, today: date) -> date | None:
    """A day of today or later: past ones stay in the record until the next is known."""
    found = day(value)
    return found if found is not None and found >= today else None


def _time_of_day(value: object) -> str:
    return _TIMES_OF_DAY.get(str(value or "").strip().lower(), "")
