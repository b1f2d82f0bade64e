"""Relative dates against the calendars the exchanges published (expected days are looked up, not computed)."""

from __future__ import annotations

from datetime import date, timedelta

import exchange_calendars
import pytest

from tests.brokers.driving import MIXED
from tests.brokers.tws_book import Book
from tests.brokers.tws_dates import future_code, is_session, resolve, session_before


@pytest.mark.parametrize(
    ("expression", "today", "expected"),
    [
        ("next_monthly", date(2026, 11, 20), date(2026, 12, 18)),
        ("next_monthly", date(2026, 12, 4), date(2026, 12, 18)),  # 14 days: the last day it is still December's
        ("next_monthly", date(2026, 12, 5), date(2027, 1, 15)),
        ("next_monthly", date(2026, 6, 1), date(2026, 6, 18)),  # the third Friday is Juneteenth
        ("next_monthly", date(2025, 4, 1), date(2025, 4, 17)),  # the third Friday is Good Friday
        ("next_quarterly", date(2026, 11, 20), date(2026, 12, 18)),
        ("next_quarterly", date(2026, 12, 5), date(2027, 3, 19)),
        ("next_quarterly -7d", date(2026, 11, 20), date(2026, 12, 11)),
        ("+30d friday", date(2026, 11, 20), date(2026, 12, 24)),  # Friday is Christmas
        ("+30d friday", date(2026, 11, 18), date(2026, 12, 18)),
        ("2027-01-15", date(2026, 11, 20), date(2027, 1, 15)),
    ],
)
def test_expressions(expression: str, today: date, expected: date) -> None:
    assert resolve(expression, today) == expected


def test_a_word_nobody_knows_is_named() -> None:
    with pytest.raises(ValueError, match="'tuesday'"):
        resolve("+3d tuesday", date(2026, 11, 20))


def test_the_session_before_an_am_settlement() -> None:
    assert session_before(date(2026, 12, 18)) == date(2026, 12, 17)
    assert session_before(date(2025, 6, 20)) == date(2025, 6, 18)  # Thursday was Juneteenth


def test_future_codes() -> None:
    assert [future_code(date(2026, month, 18)) for month in (3, 6, 9, 12)] == ["H6", "M6", "U6", "Z6"]


def test_sessions_are_those_of_the_exchange() -> None:
    days = [date(2024, 1, 1) + timedelta(days=offset) for offset in range(366)]
    listed = {day.date() for day in exchange_calendars.get_calendar("XNYS", start="2024-01-01").sessions}
    assert [day for day in days if is_session(day)] == sorted(day for day in listed if day.year == 2024)


def test_the_mixed_book_is_alive_on_every_day_of_two_years() -> None:
    for offset in range(731):
        today = date(2026, 1, 1) + timedelta(days=offset)
        book = Book.load(MIXED, today) if offset % 61 == 0 else None
        for expression in ("next_monthly", "+30d friday", "next_quarterly", "next_quarterly -7d"):
            assert 5 <= (resolve(expression, today) - today).days <= 106
        if book is not None:
            dated = [row for row in book.contracts.values() if "lastTradeDateOrContractMonth" in row]
            assert len(dated) == 7
            assert all(row["lastTradeDateOrContractMonth"] > f"{today:%Y%m%d}" for row in dated)
