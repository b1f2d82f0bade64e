"""Expiries of the demo book against the exchanges' own calendars; the dates were looked up by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.demo import expiries
from adapters.demo.book import IBKR, Line, deal
from guardrails import calendar
from guardrails.instruments import Kind, Right, Settlement
from guardrails.products import group_of

START = datetime(2024, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 9 * 365 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("today", "days", "expected"),
    [
        (date(2026, 11, 18), 42, date(2026, 12, 18)),  # 30 days away; the next, 15 January, is 58
        (date(2026, 5, 5), 42, date(2026, 6, 18)),  # the third Friday, 19 June 2026, is Juneteenth
        (date(2025, 3, 5), 42, date(2025, 4, 17)),  # the third Friday, 18 April 2025, is Good Friday
    ],
)
def test_monthlies_end_on_the_third_friday_or_the_session_before(today: date, days: int, expected: date) -> None:
    assert expiries.monthly(today, days) == expected


def test_weeklies_end_on_a_friday_or_the_session_before() -> None:
    assert expiries.weekly(date(2026, 11, 18), 21) == date(2026, 12, 11)
    assert expiries.weekly(date(2026, 12, 4), 21) == date(2026, 12, 24)  # the Friday is Christmas


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (date(2026, 12, 18), date(2026, 12, 18)),
        (date(2026, 12, 19), date(2027, 3, 19)),
        (date(2026, 6, 1), date(2026, 6, 18)),
    ],
)
def test_index_futures_end_quarterly(after: date, expected: date) -> None:
    assert expiries.quarterly(after) == expected


@pytest.mark.parametrize(
    ("today", "days", "expected"),
    [
        (date(2026, 6, 26), 28, ("EW4", date(2026, 7, 24))),  # 31 July is the month-end contract's
        (date(2026, 11, 18), 21, ("EW2", date(2026, 12, 11))),
        (date(2026, 12, 4), 28, ("EW2", date(2027, 1, 8))),  # 1 January is closed, so the first week has none
        (date(2027, 2, 1), 25, ("EW3", date(2027, 2, 19))),  # 26 February ends its month, so there is no EW4
        (date(2026, 12, 1), 17, ("EW2", date(2026, 12, 11))),  # the 18th is the quarterly's, the 25th is Christmas
    ],
)
def test_e_mini_weeklies_are_named_by_the_week_of_the_month(today: date, days: int, expected: tuple[str, date]) -> None:
    assert expiries.future_weekly(today, days) == expected


@settings(max_examples=150, deadline=None)
@given(MOMENTS)
def test_the_book_can_be_dealt_at_any_moment(now: datetime) -> None:
    lines = deal(now)
    assert 35 <= len(lines) <= 45
    today = calendar.exchange_date(now)
    keys = [(line.account, line.instrument.key) for line in lines]
    assert len(set(keys)) == len(keys)
    for line in lines:
        held = line.instrument
        if held.is_option and held.expiry is not None:
            assert calendar.is_session(held.expiry)
            assert held.expiry > today
    short = [line.instrument for line in lines if line.quantity < 0 and line.instrument.is_option]
    alarmed = [(held.underlying, _days(held, now)) for held in short if _days(held, now) <= 6]
    assert alarmed == [("SPY", 4)]


@settings(max_examples=50, deadline=None)
@given(MOMENTS)
def test_every_short_option_is_covered_within_its_package(now: datetime) -> None:
    packages: dict[tuple[str, str], list[Line]] = {}
    for line in deal(now):
        packages.setdefault((line.account, line.package), []).append(line)
    for lines in packages.values():
        shares = sum(line.quantity for line in lines if line.instrument.kind is Kind.EQUITY)
        for right in Right:
            held = sum(line.quantity for line in lines if line.instrument.right is right)
            assert held + (max(shares, 0) / 100 if right is Right.CALL else 0) >= 0


@settings(max_examples=50, deadline=None)
@given(MOMENTS)
def test_only_the_broker_that_reports_margin_by_underlying_holds_single_names(now: datetime) -> None:
    groups = {
        group_of(line.instrument.underlying or line.instrument.symbol)
        for line in deal(now)
        if line.account == IBKR and line.instrument.kind is not Kind.CASH
    }
    assert groups == {"SPX", "NDX"}


def test_the_book_holds_every_kind_a_premium_seller_meets() -> None:
    lines = deal(datetime(2026, 11, 18, 15, tzinfo=UTC))
    held = [line.instrument for line in lines]
    assert {it.kind for it in held} == {
        Kind.EQUITY, Kind.OPTION, Kind.INDEX_OPTION, Kind.FUTURE, Kind.FUTURE_OPTION, Kind.CASH,
    }  # fmt: skip
    assert {it.settlement for it in held if it.is_option} == set(Settlement)
    assert {it.root for it in held if it.kind is Kind.INDEX_OPTION} == {"SPX", "SPXW"}


def _days(instrument: object, now: datetime) -> int:
    expiry = getattr(instrument, "expiry", None)
    assert isinstance(expiry, date)
    return calendar.trading_days_to(expiry, now)


def test_the_dealt_expiries_follow_the_exchange_date_not_the_utc_date() -> None:
    evening = datetime.combine(date(2026, 11, 18), time(1), UTC)  # 20:00 on the 17th in New York
    assert deal(evening) == deal(evening - timedelta(hours=4))
