"""Daily closes of an index from a CSV file: as Cboe publishes VIX and VIX3M (DATE,OPEN,HIGH,LOW,CLOSE with
03/14/2026), as FRED does (observation_date,VIXCLS), as Yahoo tells it, or any with ISO dates.

Lines above the header are passed over. Since 2022 Cboe tells a VIX of days on which the stock exchange is closed too,
and FRED has a line without figure for them. What is stored stays, so a file that tells another index is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from adapters.statements.book import Book, LeftOut, Line
from adapters.statements.decode import display_name, read_text
from adapters.statements.fields import DayOrder, day_order, number, shown
from adapters.statements.sections import TROUBLE, lowered, named, rows, unfinished
from guardrails.errors import SourceError
from guardrails.past import Closes, Past, doubts, is_holiday, of_day
from guardrails.stress.response import CREDIBLE_VIX, credible

_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})[ T]00:00(:00)?([+-]\d{2}:?\d{2}|Z)?")
"""how pandas writes a day"""
_DATES, _CLOSES = ("date", "observation_date"), ("close", "close/last")
_FRED = {"vixcls": "VIX", "vxvcls": "VIX3M"}
"""columns of https://fred.stlouisfed.org by the index they tell"""
_NAMES = {"vix": "VIX", "vix3m": "VIX3M", "vxv": "VIX3M", "vix1d": "VIX1D", "vix9d": "VIX9D", "vix6m": "VIX6M",
          "vix1y": "VIX1Y", "vvix": "VVIX"}  # fmt: skip
"""indices by the words with which files of them are called: VIX3M_History.csv"""


def read_closes(path: Path, symbol: str, now: datetime) -> Past:
    """The closes of `symbol` in the file; what it cannot give is a sentence in `problems`, with its line."""
    name = display_name(path)
    try:
        lines, column = _lines(read_text(path), name, symbol)
    except SourceError as error:
        return Past(problems=(str(error),))
    told: list[tuple[int, date, float]] = []
    refused: list[LeftOut] = []
    aside: list[LeftOut] = []
    for line in lines:
        try:
            day = _day(line.text(*_DATES))
            if is_holiday(day):
                aside.append(LeftOut(line.number, "of a holiday of the New York exchange, which has no close"))
            else:
                told.append((line.number, day, _close(line, column)))
        except ValueError as error:
            refused.append(LeftOut(line.number, str(error)))
    values, doubtful = _values(told, now)
    return Past(
        closes=(Closes(symbol, values, f"file:{name}"),) if values else (),
        problems=Book(left_out=(*refused, *doubtful)).exclusions(name),
        notes=Book(left_out=tuple(aside)).exclusions(name),
    )


def _values(
    told: Sequence[tuple[int, date, float]], now: datetime
) -> tuple[tuple[tuple[date, float], ...], list[LeftOut]]:
    """The closes by date, and what is doubtful or told in two ways."""
    low, high = CREDIBLE_VIX
    first: dict[date, float] = {}
    for _, day, close in told:
        first.setdefault(day, close)
    twice = {day for _, day, close in told if close != first[day]}
    refused = [LeftOut(line, f"{day} is told in two ways, none is taken") for line, day, _ in told if day in twice]
    once = {day: (line, close) for line, day, close in told if day not in twice}
    rows = [(line, day, close) for day, (line, close) in sorted(once.items())]
    wrong = {
        place: f"{close:g} is no close of such an index, which lies between {low:g} and {high:g}"
        for place, (_, _, close) in enumerate(rows)
        if not credible(close)  # the last one of a file that breaks off may be a digit of it
    }
    wrong |= doubts([(of_day(day), close) for _, day, close in rows], now, price=True)
    refused += [LeftOut(rows[place][0], why) for place, why in wrong.items()]
    return tuple((day, close) for place, (_, day, close) in enumerate(rows) if place not in wrong), refused


def _lines(text: str, name: str, symbol: str) -> tuple[list[Line], str]:
    """The lines under the header and its column of closes; SourceError when there is no header or not one column of
    closes of `symbol`, when the file is of another index, or when its dates are not written month first.
    """
    header: list[str] = []
    found: list[Line] = []
    last = unfinished(text)
    for nth, cells in rows(text):
        if not header:
            columns = lowered(cells)
            header = columns if _is_header(columns) else []
            continue
        line = named(nth, cells, header)
        cut = nth == last and len(cells) < len(header)
        found.append(Line(nth, {**line.cells, TROUBLE: "the file breaks off in it"}) if cut else line)
    if not header:
        raise SourceError(
            f"{name} has no line with the columns date and close: give the daily prices as Cboe publishes them"
        )
    told = {_FRED[column] for column in header if column in _FRED} or _named_in(name)
    if told and symbol not in told:
        raise SourceError(
            f"{name} is of {' and '.join(sorted(told))}, not of {symbol}: give it with its own option, or rename it"
        )
    closes = [column for column in header if column in _CLOSES or _FRED.get(column) == symbol]
    if len(closes) != 1 or sum(column in _DATES for column in header) != 1:
        raise SourceError(
            f"{name} has the columns {', '.join(map(shown, header))}, not one of dates and one of closes of {symbol}: "
            "take out the others"
        )
    dates = [line.text(*_DATES) for line in found]
    if day_order(dates) is DayOrder.DAY_FIRST:
        raise SourceError(f"{name} writes its dates day first: write them as 2026-03-14")
    return found, closes[0]


def _is_header(columns: Sequence[str]) -> bool:
    return not set(_DATES).isdisjoint(columns) and not {*_CLOSES, *_FRED}.isdisjoint(columns)


def _named_in(name: str) -> set[str]:
    """The indices that the words of a file name tell; none is no objection."""
    return {_NAMES[word] for word in re.split(r"[^a-z0-9]+", name.lower()) if word in _NAMES}


def _close(line: Line, column: str) -> float:
    if TROUBLE in line.cells:
        raise ValueError(line.cells[TROUBLE])
    close = number(line.text(column))
    if close is None:
        raise ValueError("has no close")
    return close


def _day(text: str) -> date:
    """The date written in ISO 8601 or month first; ValueError when it is neither."""
    american, midnight = _AMERICAN.fullmatch(text), _MIDNIGHT.fullmatch(text)
    try:
        if midnight is not None:
            return date.fromisoformat(midnight[1])
        if american is not None:
            return date(int(american[3]), int(american[1]), int(american[2]))
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"date {shown(text)} is none: write 2026-03-14, or 03/14/2026 month first") from None
