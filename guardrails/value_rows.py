"""The file of `guardrails value`, read row by row: what an option is, or every reason why a row names none.

A missing number is never taken for zero, and a share of 1 never for a per cent: each refusal says the column, the
value, and what is allowed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path

from guardrails import calendar
from guardrails.errors import SourceError
from guardrails.pricing.implied import HIGHEST_VOL, LOWEST_VOL

STYLES, RIGHTS = ("european", "american"), {"C": 1.0, "P": -1.0}
ALWAYS = ("style", "right", "strike", "rate")
EITHER = (("underlying", "forward"), ("years", "expiry"), ("volatility", "price"))
"""of each pair a row gives one"""
COLUMNS = (*ALWAYS, *(name for pair in EITHER for name in pair), "dividend_yield")
MOST_YEARS = 100.0
_LONGEST = 40  # characters of a value that a message repeats


@dataclass(frozen=True, slots=True)
class Listed:
    """One option of the file; exactly one of volatility and price is given."""

    line: int
    american: bool
    sign: float
    spot: float
    """the underlying, or the forward or future"""
    strike: float
    years: float
    rate: float
    carry: float
    """rate less dividend yield; 0 on a forward or future (Black-76)"""
    on_future: bool
    """whether the row gives a forward or future: a share whose yield equals the rate has a carry of 0 too"""
    volatility: float | None
    price: float | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that names no option, or one that no volatility fits."""

    line: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class File:
    """All rows in their order, and the columns that were not read."""

    rows: tuple[Listed | Refused, ...]
    ignored: tuple[str, ...]


def read(path: Path, now: datetime) -> File:
    """The rows of `path`, an expiry counted from `now`; SourceError when it is no such file at all."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        table = _table(text)
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read ({error.strerror}): give a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path.name} is no CSV file in UTF-8 ({error}): export it anew") from error
    names = [name.strip().lower() for name in table[0][1]] if table else []
    _check_header(path.name, names)
    if len(table) == 1:
        raise SourceError(f"{path.name} has no row below its column names: give one row per option")
    rows = tuple(_row(line, names, cells, now) for line, cells in table[1:])
    return File(rows, tuple(name for name in names if name and name not in COLUMNS))


def _table(text: str) -> list[tuple[int, list[str]]]:
    """The lines that hold anything, each with its number in the file."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]


def _check_header(file: str, names: list[str]) -> None:
    missing = [name for name in ALWAYS if name not in names]
    missing += [" or ".join(pair) for pair in EITHER if not set(pair) & set(names)]
    if missing:
        raise SourceError(
            f"{file} lacks the columns {', '.join(missing)}: its first line must name {', '.join(COLUMNS)}"
        )
    twice = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if twice:
        raise SourceError(f"{file} names the columns {', '.join(twice)} twice: keep one of each")


@dataclass(slots=True)
class _Cells:
    """The cells of one row by column, and what was wrong with those asked for."""

    texts: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def refuse(self, column: str, allowed: str) -> None:
        text = self.texts.get(column, "")
        shown = repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…") if text else "nothing"
        self.problems.append(f"column {column}: {shown}, but it must be {allowed}")

    def number(self, column: str, low: float, high: float, allowed: str, *, open_below: bool = False) -> float:
        """The number in `column`; NaN, and a problem noted, when it is none from `low` to `high`."""
        text = self.texts.get(column, "")
        try:
            value = float(text) if "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if (low < value if open_below else low <= value) and value <= high:
            return value
        self.refuse(column, allowed)
        return math.nan

    def one_of(self, pair: tuple[str, str]) -> str:
        """Which of two columns this row fills; the first, and a problem noted, when not exactly one."""
        filled = [name for name in pair if self.texts.get(name)]
        if len(filled) != 1:
            given = (
                f"both are given ({' and '.join(self.texts[name] for name in pair)[:_LONGEST]})"
                if filled
                else "none is"
            )
            self.problems.append(f"columns {pair[0]}, {pair[1]}: {given}, but exactly one must be")
            return ""
        return filled[0]


def _row(line: int, names: list[str], cells: list[str], now: datetime) -> Listed | Refused:
    if len(cells) > len(names):
        return Refused(line, (f"it has {len(cells)} cells, but there are {len(names)} columns: quote a comma",))
    row = _Cells({name: cell.strip() for name, cell in zip(names, cells, strict=False)})
    style, right = row.texts.get("style", "").lower(), row.texts.get("right", "").upper()
    if style not in STYLES:
        row.refuse("style", "european or american")
    if right not in RIGHTS:
        row.refuse("right", "C or P")
    strike = row.number("strike", 0.0, 1e300, "a price above 0", open_below=True)
    on = row.one_of(EITHER[0])
    spot = row.number(on, 0.0, 1e300, "a price above 0", open_below=True) if on else math.nan
    rate = row.number("rate", -0.5, 1.0, "a fraction a year from -0.5 to 1, 0.05 for 5 %")
    carry = 0.0 if on == "forward" else rate - _dividend_yield(row)
    if on == "forward" and _unlike_zero(row.texts.get("dividend_yield", "")):
        row.refuse("dividend_yield", "empty or 0 on a forward, whose price holds the dividends")
    years = _years(row, now)
    given = row.one_of(EITHER[2])
    amount = _given(row, given)
    if row.problems:
        return Refused(line, tuple(row.problems))
    volatility, price = (amount, None) if given == "volatility" else (None, amount)
    american, on_future = style == "american", on == "forward"
    return Listed(line, american, RIGHTS[right], spot, strike, years, rate, carry, on_future, volatility, price)


def _dividend_yield(row: _Cells) -> float:
    return row.number("dividend_yield", -0.5, 1.0, "a fraction a year from -0.5 to 1, 0.02 for 2 %, 0 for none")


def _unlike_zero(text: str) -> bool:
    try:
        return bool(text) and float(text) != 0.0
    except ValueError:
        return True


def _given(row: _Cells, given: str) -> float:
    if given == "volatility":
        return row.number(
            given, LOWEST_VOL, HIGHEST_VOL, f"a fraction a year from {LOWEST_VOL} to {HIGHEST_VOL:g}, 0.2 for 20 %"
        )
    return row.number(given, 0.0, 1e300, "a price above 0", open_below=True) if given else math.nan


def _years(row: _Cells, now: datetime) -> float:
    given = row.one_of(EITHER[1])
    if given == "years":
        return row.number(given, 0.0, MOST_YEARS, f"a number above 0 and at most {MOST_YEARS:g}", open_below=True)
    if not given:
        return math.nan
    moment = _settlement(row.texts[given])
    if moment is None:
        row.refuse(given, "an ISO date, which settles at 16:00 New York, or an ISO time such as 2026-12-18T09:30-05:00")
        return math.nan
    years = (moment - now).total_seconds() / calendar.SECONDS_PER_YEAR
    if not 0.0 < years <= MOST_YEARS:
        local = now.astimezone(calendar.NEW_YORK)
        row.refuse(given, f"after {local:%Y-%m-%dT%H:%M} New York and within {MOST_YEARS:g} years")
        return math.nan
    return years


def _settlement(text: str) -> datetime | None:
    """The moment an ISO date or time means; New York when it has no zone."""
    try:
        if "T" not in text and ":" not in text:
            return calendar.at(date.fromisoformat(text), time(16))
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=calendar.NEW_YORK)
    except (ValueError, OverflowError):
        return None
