"""Numbers, dates and times as statements write them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.statements.fields import DayOrder, day, day_order, moment, number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234.5", 1234.5), ("-1,234,567", -1234567.0), ("(12.50)", -12.5), ("$3.20", 3.2), ("-$3.20", -3.2),
        ("1.25 db", 1.25),
        ("0.55cr", 0.55), ("21.7%", 21.7), ("\u22125", -5.0), ("1e-05", 1e-5), (".5", 0.5), ("5.", 5.0), (7, 7.0),
        ("", None), ("--", None), ("N/A", None), (None, None),
    ],
)  # fmt: skip
def test_numbers(text: object, expected: float | None) -> None:
    assert number(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "NaN",
        "inf",
        "1,5",
        "1.234,56",
        "12,34",
        "1.7976931348623157e308",
        "--5",
        "1 2",
        "116'10",
        "()",
        True,
        [1],
    ],
)
def test_what_is_no_number_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a number"):
        number(text)


@given(st.text(max_size=12))
def test_any_text_is_a_number_absent_or_refused(text: str) -> None:
    try:
        value = number(text)
    except ValueError:
        return
    assert value is None or abs(value) < 1e300


@pytest.mark.parametrize(
    "text",
    [
        "20261120", "2026-11-20", "2026/11/20", "11/20/2026", "11/20/26", "20/11/2026", "20/11/26",
        "20-Nov-26", "20-Nov-2026",
        "20NOV26", "November 20, 2026", "Nov 20, 2026", "20261120;163000", "2026-11-20 16:30:00",
        "2026-11-20, 16:30:00 EST",
        "20/11/2026;163000",
    ],
)  # fmt: skip
def test_dates(text: str) -> None:
    assert day(text) == date(2026, 11, 20)


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "20261320", "2026-02-30", "31/31/2026", "0001-01-01", "99999999", "202611"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="date"):
        day(text)


def test_day_and_month_are_not_guessed() -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        day("03/04/2026")
    assert day("03/04/2026", DayOrder.DAY_FIRST) == date(2026, 4, 3)
    assert day("03/04/2026", DayOrder.MONTH_FIRST) == date(2026, 3, 4)
    assert day("04/04/2026") == date(2026, 4, 4)


def test_the_file_tells_the_order() -> None:
    assert day_order(["03/04/2026", "20261120", "13/04/2026"]) is DayOrder.DAY_FIRST
    assert day_order(["03/04/2026", "04/13/2026"]) is DayOrder.MONTH_FIRST
    assert day_order(["03/04/2026"]) is DayOrder.UNKNOWN
    assert day_order(["13/04/2026", "04/13/2026"]) is DayOrder.UNKNOWN  # the file contradicts itself


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T16:00:00-05:00", datetime(2026, 11, 20, 21, tzinfo=UTC)),
        ("2026-11-20T21:00:00Z", datetime(2026, 11, 20, 21, tzinfo=UTC)),
        ("2026-11-20 16:00:00", datetime(2026, 11, 20, 21, tzinfo=UTC)),  # New York, winter
        ("2026-07-20 16:00", datetime(2026, 7, 20, 20, tzinfo=UTC)),  # New York, summer
        ("20261120;160000", datetime(2026, 11, 20, 21, tzinfo=UTC)),
        ("2026-11-20, 16:00:00 EST", datetime(2026, 11, 20, 21, tzinfo=UTC)),
    ],
)
def test_a_time_without_zone_is_new_york_time(text: str, expected: datetime) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize(
    "text", ["2026-11-20", "20261120", "16:00:00", "soon", "2026-11-20 16:00:00 CEST", "0001-01-01T00:00:00"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text)
