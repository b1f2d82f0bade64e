"""The trading calendar against the published holidays, and every clock rule on both sides of its bound."""

from __future__ import annotations

import csv
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails import calendar
from guardrails.errors import GuardrailsError
from guardrails.instruments import Instrument, Kind
from guardrails.symbols import occ, tastytrade

HOLIDAYS = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "us_equity_holidays_early_closes.csv"
utc = partial(datetime, tzinfo=UTC)


def eastern(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=calendar.NEW_YORK).astimezone(UTC)  # type: ignore[misc,arg-type]


def fop(symbol: str) -> Instrument:
    return tastytrade.parse(symbol, "Future Option", date(2026, 11, 20))


EARLY_BUT_NOT_PUBLISHED = {date(1998, 11, 27), date(1998, 12, 24), date(1999, 12, 31)}
"""the New York Stock Exchange closed at 13:00 on these; the published list begins its early closes in November 1999"""


@pytest.mark.skipif(not HOLIDAYS.exists(), reason="../shared/data/us_equity_holidays_early_closes.csv is not here")
def test_every_day_of_1998_to_2028_agrees_with_the_published_holidays() -> None:
    with HOLIDAYS.open(encoding="utf-8") as lines:
        published = {date.fromisoformat(row["date"]): row["kind"] for row in csv.DictReader(lines)}
    published |= dict.fromkeys(EARLY_BUT_NOT_PUBLISHED, "early_close")
    every_day = [date(1998, 1, 1) + timedelta(days=n) for n in range((date(2029, 1, 1) - date(1998, 1, 1)).days)]
    expected = {day: "closed" if day.weekday() > 4 else published.get(day, "open") for day in every_day}
    assert {day: kind_of(day) for day in every_day} == expected


def kind_of(day: date) -> str:
    if not calendar.is_session(day):
        return "closed"
    closes = calendar.session_bounds(day)[1].astimezone(calendar.NEW_YORK).time()
    return {time(16): "open", time(13): "early_close"}.get(closes, f"closes at {closes}")


def test_week_of_thanksgiving_2026() -> None:
    """Open Wednesday, closed Thursday, half a day on Friday."""
    assert calendar.session_bounds(date(2026, 11, 25)) == (utc(2026, 11, 25, 14, 30), utc(2026, 11, 25, 21))
    assert not calendar.is_session(date(2026, 11, 26))
    assert calendar.session_bounds(date(2026, 11, 27)) == (utc(2026, 11, 27, 14, 30), utc(2026, 11, 27, 18))
    with pytest.raises(GuardrailsError, match="2026-11-26 is not a trading day"):
        calendar.session_bounds(date(2026, 11, 26))


@pytest.mark.parametrize("closed", [date(2025, 1, 9), date(2018, 12, 5), date(2026, 6, 19), date(2026, 4, 3)])
def test_single_closures(closed: date) -> None:
    assert not calendar.is_session(closed)
    assert calendar.session_on_or_before(closed) == calendar.previous_session(closed) < closed


def test_summer_opens_an_hour_earlier_in_utc() -> None:
    assert calendar.session_bounds(date(2026, 7, 24)) == (utc(2026, 7, 24, 13, 30), utc(2026, 7, 24, 20))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (eastern(2026, 11, 25, 9, 29, 59), False),
        (eastern(2026, 11, 25, 9, 30), True),
        (eastern(2026, 11, 25, 15, 59, 59), True),
        (eastern(2026, 11, 25, 16, 0), False),
        (eastern(2026, 11, 26, 12, 0), False),
        (eastern(2026, 11, 27, 12, 59), True),
        (eastern(2026, 11, 27, 13, 0), False),
    ],
)
def test_is_open(now: datetime, expected: object) -> None:
    assert calendar.is_open(now) is expected


@pytest.mark.parametrize(
    ("now", "session"),
    [
        (eastern(2026, 11, 23, 9, 29, 59), date(2026, 11, 20)),
        (eastern(2026, 11, 23, 9, 30), date(2026, 11, 23)),
        (eastern(2026, 11, 23, 20, 0), date(2026, 11, 23)),
        (eastern(2026, 11, 26, 12, 0), date(2026, 11, 25)),
        (eastern(2026, 11, 29, 12, 0), date(2026, 11, 27)),
    ],
)
def test_session_of(now: datetime, session: date) -> None:
    assert calendar.session_of(now) == session


def test_neighbours() -> None:
    assert calendar.next_session(date(2026, 11, 25)) == date(2026, 11, 27)
    assert calendar.next_session(date(2026, 11, 27)) == date(2026, 11, 30)
    assert calendar.previous_session(date(2026, 11, 27)) == date(2026, 11, 25)
    assert calendar.session_on_or_before(date(2026, 11, 27)) == date(2026, 11, 27)


def test_sessions_between_leaves_out_the_first_and_keeps_the_last() -> None:
    assert calendar.sessions_between(date(2026, 11, 24), date(2026, 11, 30)) == (
        date(2026, 11, 25), date(2026, 11, 27), date(2026, 11, 30),
    )  # fmt: skip
    assert calendar.sessions_between(date(2026, 11, 25), date(2026, 11, 26)) == ()
    assert calendar.sessions_between(date(2026, 11, 30), date(2026, 11, 24)) == ()


def test_the_day_changes_at_midnight_in_new_york() -> None:
    assert calendar.exchange_date(utc(2026, 11, 21, 4, 59, 59)) == date(2026, 11, 20)
    assert calendar.exchange_date(utc(2026, 11, 21, 5, 0)) == date(2026, 11, 21)
    assert calendar.exchange_date(utc(2026, 7, 21, 4, 0)) == date(2026, 7, 21)


def test_naive_time_is_refused() -> None:
    with pytest.raises(GuardrailsError, match="no time zone"):
        calendar.exchange_date(datetime(2026, 11, 20, 12))  # noqa: DTZ001  # the mistake under test


@pytest.mark.parametrize(
    ("now", "calendar_days", "trading_days"),
    [
        (eastern(2026, 11, 20, 12, 0), 7, 4),  # Friday: Mon, Tue, Wed, and Friday after the holiday
        (eastern(2026, 11, 21, 12, 0), 6, 4),  # Saturday
        (eastern(2026, 11, 25, 12, 0), 2, 1),
        (eastern(2026, 11, 26, 12, 0), 1, 1),  # the holiday itself
        (eastern(2026, 11, 27, 0, 0), 0, 0),
        (eastern(2026, 11, 27, 23, 59, 59), 0, 0),
        (eastern(2026, 11, 28, 0, 0), -1, -1),
        (eastern(2026, 12, 28, 0, 0), -31, -1),
    ],
)
def test_days_to_the_friday_after_thanksgiving(now: datetime, calendar_days: int, trading_days: int) -> None:
    expiry = date(2026, 11, 27)
    assert calendar.dte(expiry, now) == calendar_days
    assert calendar.trading_days_to(expiry, now) == trading_days


def test_expiry_past_the_calendar_is_far_away_not_an_error() -> None:
    assert calendar.trading_days_to(date(2999, 1, 1), eastern(2026, 11, 20, 12)) > 8000


@pytest.mark.parametrize(
    ("symbol", "last_trade", "settles"),
    [
        # AM: Thursday 15:15 CT, Friday's open
        ("SPX   261218P05500000", eastern(2026, 12, 17, 16, 15), eastern(2026, 12, 18, 9, 30)),
        ("NDX   261218P20000000", eastern(2026, 12, 17, 16, 15), eastern(2026, 12, 18, 9, 30)),
        # 19 June 2026 is a holiday: the monthly settles on Thursday and trades to Wednesday
        ("SPX   260618P05500000", eastern(2026, 6, 17, 16, 15), eastern(2026, 6, 18, 9, 30)),
        # 24 December 2026 is a half-day: an AM option of the 28th stops there at 13:15
        ("RUT   261228P02000000", eastern(2026, 12, 24, 13, 15), eastern(2026, 12, 28, 9, 30)),
        ("VIXW  261216C00020000", eastern(2026, 12, 15, 16, 15), eastern(2026, 12, 16, 9, 30)),
        # PM: the close of the day, 13:00 on a half-day
        ("SPXW  261218P05500000", eastern(2026, 12, 18, 16), eastern(2026, 12, 18, 16)),
        ("SPXW  261127P05500000", eastern(2026, 11, 27, 13), eastern(2026, 11, 27, 13)),
        ("XSP   261218P00550000", eastern(2026, 12, 18, 16), eastern(2026, 12, 18, 16)),
        # shares and ETFs
        ("AAPL  261218P00250000", eastern(2026, 12, 18, 16), eastern(2026, 12, 18, 16)),
        ("SPY   261218P00550000", eastern(2026, 12, 18, 16, 15), eastern(2026, 12, 18, 16)),
        ("AAPL  261127P00250000", eastern(2026, 11, 27, 13), eastern(2026, 11, 27, 13)),
        ("SPY   261127P00550000", eastern(2026, 11, 27, 13, 15), eastern(2026, 11, 27, 13)),
        # until 2015 they expired on Saturday
        ("AAPL  120616P00255000", eastern(2012, 6, 15, 16), eastern(2012, 6, 15, 16)),
    ],
)
def test_last_trade_and_settlement_of_listed_options(symbol: str, last_trade: datetime, settles: datetime) -> None:
    option = occ.parse(symbol)
    assert calendar.last_trade(option) == last_trade
    assert calendar.settles(option) == settles


@pytest.mark.parametrize(
    ("symbol", "moment"),
    [
        ("./ESZ6 ESZ6  261218C6000", eastern(2026, 12, 18, 9, 30)),  # quarterly: 8:30 CT
        ("./ESU6 EW4N6 260724C6400", eastern(2026, 7, 24, 16)),
        ("./ESZ6 EW4X6 261127C6400", eastern(2026, 11, 27, 13)),
        ("./ESM6 EW1J6 260403C6400", eastern(2026, 4, 3, 16)),  # Good Friday: stocks closed, futures exchange not
    ],
)
def test_last_trade_and_settlement_of_future_options(symbol: str, moment: datetime) -> None:
    assert calendar.last_trade(fop(symbol)) == calendar.settles(fop(symbol)) == moment


def test_future_ends_at_the_close_of_its_expiry() -> None:
    future = Instrument(Kind.FUTURE, "/ESZ26", "/ESZ26", "/ES", date(2026, 12, 18))
    assert calendar.last_trade(future) == eastern(2026, 12, 18, 16)


@pytest.mark.parametrize(
    "instrument",
    [
        Instrument(Kind.EQUITY, "AAPL", "AAPL", "AAPL"),
        Instrument(Kind.FUTURE, "/ESZ26", "/ESZ26", "/ES"),
        occ.parse("SOX   261218P05500000"),  # settlement not known
        fop("./NGZ6 LNZ6  261124C4"),
        Instrument(Kind.FUTURE, "/ESZ99", "/ESZ99", "/ES", date(2999, 12, 18)),
        Instrument(Kind.OTHER, "BOND", expiry=date(2030, 1, 1)),
    ],
)
def test_what_is_not_known_is_none(instrument: Instrument) -> None:
    assert calendar.last_trade(instrument) is None
    assert calendar.settles(instrument) is None
    assert calendar.year_fraction(instrument, utc(2026, 11, 20)) is None


def test_year_fraction_is_seconds_over_365_days_and_never_negative() -> None:
    option = occ.parse("SPXW  261123P05500000")
    assert calendar.year_fraction(option, eastern(2026, 11, 20, 16)) == pytest.approx(3 / 365)
    assert calendar.year_fraction(option, eastern(2026, 11, 23, 15)) == pytest.approx(1 / 8760)
    assert calendar.year_fraction(option, eastern(2026, 11, 23, 16)) == 0.0
    assert calendar.year_fraction(option, eastern(2026, 11, 30, 16)) == 0.0


def test_am_option_has_lost_its_time_at_the_open() -> None:
    option = occ.parse("SPX   261218P05500000")
    assert calendar.year_fraction(option, eastern(2026, 12, 17, 16, 15)) == pytest.approx(17.25 / 8760)
    assert calendar.year_fraction(option, eastern(2026, 12, 18, 9, 30)) == 0.0


def test_hours_to() -> None:
    assert calendar.hours_to(utc(2026, 11, 20, 21), utc(2026, 11, 20, 19, 30)) == 1.5
    assert calendar.hours_to(utc(2026, 11, 20, 21), utc(2026, 11, 20, 22)) == -1.0


def test_outside_the_calendar_is_an_error_that_names_the_bounds() -> None:
    with pytest.raises(GuardrailsError, match="from 1990-01-01 to 2060-12-31"):
        calendar.session_of(utc(1980, 1, 1))
    with pytest.raises(GuardrailsError, match="outside the trading calendar"):
        calendar.next_session(date(2061, 1, 1))


def test_import_is_light() -> None:
    check = "import sys, guardrails.calendar, guardrails.symbols; sys.exit('pandas' in sys.modules)"
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", check], cwd=root, check=False).returncode == 0


days = st.dates(date(1991, 1, 1), date(2059, 12, 31))


@given(days, days)
def test_trading_days_never_exceed_calendar_days(expiry: date, today: date) -> None:
    now = eastern(today.year, today.month, today.day, 12)
    count = calendar.trading_days_to(expiry, now)
    assert (count == -1) == (expiry < today)
    assert count <= max(calendar.dte(expiry, now), -1)
    if expiry >= today:
        assert count == len(calendar.sessions_between(today, expiry))


@given(days)
def test_sessions_are_in_order(day: date) -> None:
    assert calendar.previous_session(day) < day < calendar.next_session(day)
    assert calendar.next_session(calendar.previous_session(day)) == (
        day if calendar.is_session(day) else calendar.next_session(day)
    )
