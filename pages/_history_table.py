"""The History charts as a table, for who does not see them or wants the figures: a row per hour or exchange day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from guardrails import calendar, wording
from guardrails.findings import Level
from guardrails.store.history import Figures
from guardrails.store.metadata import moment
from pages._history import Past
from pages._parts import counted, pill, text

MOST_ROWS = 400
"""the newest; more than a year of days is for a download"""
_SHORT = timedelta(days=2)
"""ranges up to this are told by the hour"""
_COLUMNS = (
    "At the end",
    "lowest",
    "highest",
    "Drawdown, deepest",
    "Cushion, lowest",
    "VIX, last",
    "Worst level",
    "Not known",
)


@dataclass(frozen=True, slots=True)
class Row:
    """What the points of one hour or day tell; NaN is unknown. Money in US dollars, shares as fractions."""

    name: str
    last: float
    lowest: float
    highest: float
    drawdown: float
    cushion: float
    vix: float
    level: Level
    unknown: int
    """rows without a known net liquidation"""
    stale: int
    """points whose figures are the last good ones"""


def rows(past: Past) -> list[Row]:
    """A row per hour of New York, or per exchange day in a longer range, newest first."""
    hourly = past.end - past.begin <= _SHORT
    groups: dict[str, list[int]] = {}
    for nth, time in enumerate(past.totals.time.tolist()):
        groups.setdefault(_name(moment(time), hourly=hourly), []).append(nth)
    return [_row(past, name, places) for name, places in reversed(groups.items())][:MOST_ROWS]


def _name(time: datetime, *, hourly: bool) -> str:
    if hourly:
        return f"{time.astimezone(calendar.NEW_YORK):%a %d %b %H}:00 ET"
    return f"{calendar.exchange_date(time):%a %d %b %Y}"


def _row(past: Past, name: str, places: list[int]) -> Row:
    totals, figures = past.totals, past.totals.figures
    return Row(
        name,
        float(figures["net_liquidation"][places[-1]]),
        _least(totals.low[places]),
        -_least(-totals.high[places]),
        -_least(-past.below_peak[places]),
        min((_least(line.cushion[places]) for line in past.accounts), key=_known_first, default=float("nan")),
        float(figures["vix"][places[-1]]),
        max((_level(totals.level[place]) for place in places), key=lambda level: level.rank),
        int(totals.unknown[places].sum()),
        int((~past.current.book[places]).sum()),
    )


def _least(values: Figures) -> float:
    """The least of what is known, NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.min()) if len(known) else float("nan")


def _known_first(value: float) -> float:
    return float("inf") if np.isnan(value) else value


def _level(stored: str) -> Level:
    try:
        return Level(stored)
    except ValueError:  # of a later version of the program
        return Level.UNKNOWN


def table(past: Past) -> str:
    """HTML of the table; what is unknown says so."""
    told = rows(past)
    what = "hour" if past.end - past.begin <= _SHORT else "exchange day"
    caption = f"Net liquidation, $, and risk per {what}, newest first"
    heads = "".join(f'<th scope="col">{text(name)}</th>' for name in (what.capitalize(), *_COLUMNS))
    body = "".join(f'<tr><th scope="row">{text(row.name)}</th>{"".join(_cells(row))}</tr>' for row in told)
    return (
        f'<table class="pg-table"><caption>{text(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _cells(row: Row) -> Iterator[str]:
    for value in (row.last, row.lowest, row.highest):
        yield f"<td>{_told(value, wording.money(value))}</td>"
    for value in (row.drawdown, row.cushion):
        yield f"<td>{_told(value, wording.percent(value))}</td>"
    yield f"<td>{_told(row.vix, wording.number(row.vix, 2))}</td><td>{pill(row.level)}</td>"
    unknown = f"unknown in {counted(row.unknown, 'row')}" if row.unknown else ""
    stale = f"last good figures at {counted(row.stale, 'point')}" if row.stale else ""
    yield f"<td>{text('; '.join(word for word in (unknown, stale) if word))}</td>"


def _told(value: float, words: str) -> str:
    return "unknown" if np.isnan(value) else text(words)
