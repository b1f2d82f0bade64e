"""Numbers, dates and times as statements write them.

Brokers write US numbers (`1,234.5`, `(12.50)`, `$3.20`, `1.25 db`) whatever the language; dates come in the format
the user chose. What cannot be read is a ValueError with the reason, never a guess: `1,5` is no number and
`03/04/2026` is no date until something in the file tells months from days.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from guardrails.values import SENTINEL

NEW_YORK = ZoneInfo("America/New_York")
_YEARS = range(1991, 2060)
"""outside it a date is a misreading; the trading calendar reaches as far"""
_ABSENT = frozenset({"", "-", "--", "—", "n/a", "na", "null", "none"})
_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d{1,3})?")
_ACCOUNT = re.compile(r"\b(?:[A-Za-z]{1,3}\d{5,}|\d[A-Za-z]{2}\d{5})\b")
"""IBKR writes U1234567 or DU1234567, tastytrade 5WT12345"""
_SLASHED = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})")
_WORDED = ("%d-%b-%y", "%d-%b-%Y", "%d%b%y", "%d%b%Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%b %d %Y", "%d %b %y")
_TIME_END = re.compile(r"[ T;,]+(\d{1,2}):?(\d{2}):?(\d{2})(\.\d+)?\s*([A-Za-z]{2,5}|[+-]\d{2}:?\d{2}|Z)?$")


class DayOrder(StrEnum):
    """Which of the two comes first in `03/04/2026`."""

    MONTH_FIRST = "month first"
    DAY_FIRST = "day first"
    UNKNOWN = "unknown"


def masked(text: str) -> str:
    """The text with what looks like an account number cut to its last four."""
    return _ACCOUNT.sub(lambda found: f"•••{found.group()[-4:]}", text)


def shown(cell: object) -> str:
    """The cell as a message may quote it: shortened, account numbers masked."""
    return repr(masked(str(cell))[:40])


def is_absent(text: object) -> bool:
    """Whether the cell says that there is nothing: empty, `--`, `N/A`."""
    return text is None or (isinstance(text, str) and text.strip().lower() in _ABSENT)


def number(text: object) -> float | None:
    """The number written, None when absent; ValueError when it is something else, NaN, infinite or an unset double.

    A number in parentheses is negative; `cr` and `db` after a price only name its direction and are dropped.
    """
    if is_absent(text):
        return None
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise ValueError(f"{shown(text)} is not a number")  # noqa: TRY004  # one kind of refusal for every cell
    bare = str(text).strip().replace("\u2212", "-").replace("\u00a0", "")
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    bare = re.sub(r"\s*(cr|db|%)$", "", bare, flags=re.IGNORECASE).replace("$", "").strip()
    if not _NUMBER.fullmatch(bare) or not any(character.isdigit() for character in bare):
        raise ValueError(f"{shown(text)} is not a number")
    value = float(bare.replace(",", ""))
    if abs(value) >= SENTINEL:
        raise ValueError(f"{shown(text)} is not a number")
    return value


def day_order(texts: Iterable[str]) -> DayOrder:
    """What the dates of a file, taken together, say about the order of day and month."""
    order = DayOrder.UNKNOWN
    for text in texts:
        found = _SLASHED.match(text.strip())
        if found is None:
            continue
        first, second = int(found[1]), int(found[2])
        seen = DayOrder.DAY_FIRST if first > 12 else DayOrder.MONTH_FIRST if second > 12 else None
        if seen is not None and order not in (DayOrder.UNKNOWN, seen):
            return DayOrder.UNKNOWN
        order = seen or order
    return order


def day(text: str, order: DayOrder = DayOrder.UNKNOWN) -> date:
    """The date written, a time after it ignored; ValueError when there is none or day and month are ambiguous."""
    bare = _TIME_END.sub("", text.strip()).strip()
    for pattern in (r"(\d{4})(\d{2})(\d{2})", r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"):
        if iso := re.match(pattern + r"(?!\d)", bare):
            return _checked(int(iso[1]), int(iso[2]), int(iso[3]), text)
    if slashed := _SLASHED.fullmatch(bare):
        return _slashed(int(slashed[1]), int(slashed[2]), int(slashed[3]), order, text)
    for form in _WORDED:
        try:
            return datetime.strptime(bare, form).date()  # noqa: DTZ007  # a date without a time has no zone
        except ValueError:
            continue
    raise ValueError(f"{shown(text)} is not a date")


def _slashed(first: int, second: int, year: int, order: DayOrder, text: str) -> date:
    year += 2000 if year < 100 else 0
    if first > 12 or (order is DayOrder.DAY_FIRST and second <= 12):
        return _checked(year, second, first, text)
    if second > 12 or first == second or order is DayOrder.MONTH_FIRST:
        return _checked(year, first, second, text)
    raise ValueError(
        f"{shown(text)} is ambiguous: day and month cannot be told apart; choose the date format yyyy-MM-dd"
    )


def _checked(year: int, month: int, day_of_month: int, text: str) -> date:
    try:
        found = date(year, month, day_of_month)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a date") from None
    if found.year not in _YEARS:
        raise ValueError(f"{shown(text)} is not a date between {_YEARS.start} and {_YEARS.stop - 1}")
    return found


def moment(text: str, order: DayOrder = DayOrder.UNKNOWN) -> datetime:
    """The moment written, in UTC; a time without a zone is New York time; ValueError when it has no date or no time."""
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        read = _clocked(text, order)
    else:
        if len(text.strip()) <= 10:  # a date alone
            raise ValueError(f"{shown(text)} has no time of day")
    if read.year not in _YEARS:
        raise ValueError(f"{shown(text)} is not a time between {_YEARS.start} and {_YEARS.stop - 1}")
    return (read if read.tzinfo else read.replace(tzinfo=NEW_YORK)).astimezone(UTC)


def _clocked(text: str, order: DayOrder) -> datetime:
    clock = _TIME_END.search(text.strip())
    if clock is None:
        raise ValueError(f"{shown(text)} is not a date and time")
    zone = (clock[5] or "").upper()
    if zone not in ("", "EST", "EDT", "ET", "Z", "UTC", "GMT"):
        raise ValueError(f"{shown(text)} has the unknown time zone {shown(clock[5])}: write UTC or New York time")
    found = day(text.strip()[: clock.start()], order)
    try:
        return datetime(
            found.year, found.month, found.day, int(clock[1]), int(clock[2]), int(clock[3]),
            tzinfo=UTC if zone in ("Z", "UTC", "GMT") else NEW_YORK,
        )  # fmt: skip
    except ValueError:
        raise ValueError(f"{shown(text)} is not a date and time") from None
