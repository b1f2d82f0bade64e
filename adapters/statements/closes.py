"""Daily closes of an index from a CSV file: as Cboe publishes VIX and VIX3M (DATE,OPEN,HIGH,LOW,CLOSE with
03/14/2026), or with ISO dates.

Lines above the header are passed over. Since 2022 Cboe tells a VIX of days on which the stock exchange is closed too.
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

_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


def read_closes(path: Path, symbol: str, now: datetime) -> Past:
    """The closes of `symbol` in the file; what it cannot give is a sentence in `problems`, with its line."""
    name = display_name(path)
    try:
        lines = _lines(read_text(path), name)
    except SourceError as error:
        return Past(problems=(str(error),))
    told: list[tuple[int, date, float]] = []
    refused: list[LeftOut] = []
    aside: list[LeftOut] = []
    for line in lines:
        try:
            day, close = _day(line.text("date")), _close(line)
        except ValueError as error:
            refused.append(LeftOut(line.number, str(error)))
            continue
        if is_holiday(day):
            aside.append(LeftOut(line.number, "of a holiday of the New York exchange, which has no close"))
        else:
            told.append((line.number, day, close))
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
    first: dict[date, float] = {}
    for _, day, close in told:
        first.setdefault(day, close)
    twice = {day for _, day, close in told if close != first[day]}
    refused = [LeftOut(line, f"{day} is told in two ways, none is taken") for line, day, _ in told if day in twice]
    once = {day: (line, close) for line, day, close in told if day not in twice}
    rows = [(line, day, close) for day, (line, close) in sorted(once.items())]
    wrong = doubts([(of_day(day), close) for _, day, close in rows], now, price=True)
    refused += [LeftOut(rows[place][0], why) for place, why in wrong.items()]
    return tuple((day, close) for place, (_, day, close) in enumerate(rows) if place not in wrong), refused


def _lines(text: str, name: str) -> list[Line]:
    """The lines under the header; SourceError when there is no header or the dates are not written month first."""
    header: list[str] = []
    found: list[Line] = []
    last = unfinished(text)
    for nth, cells in rows(text):
        if not header:
            columns = lowered(cells)
            header = columns if {"date", "close"} <= set(columns) else []
            continue
        line = named(nth, cells, header)
        cut = nth == last and len(cells) < len(header)
        found.append(Line(nth, {**line.cells, TROUBLE: "the file breaks off in it"}) if cut else line)
    if not header:
        raise SourceError(
            f"{name} has no line with the columns date and close: give the daily prices as Cboe publishes them"
        )
    dates = [line.text("date") for line in found]
    if day_order(dates) is DayOrder.DAY_FIRST:
        raise SourceError(f"{name} writes its dates day first: write them as 2026-03-14")
    return found


def _close(line: Line) -> float:
    if TROUBLE in line.cells:
        raise ValueError(line.cells[TROUBLE])
    close = number(line.text("close"))
    if close is None:
        raise ValueError("has no close")
    return close


def _day(text: str) -> date:
    """The date written in ISO 8601 or month first; ValueError when it is neither."""
    american = _AMERICAN.fullmatch(text)
    try:
        if american is not None:
            return date(int(american[3]), int(american[1]), int(american[2]))
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"date {shown(text)} is none: write 2026-03-14, or 03/14/2026 month first") from None
