"""Everything the History page shows of one range, read in one go: a moment of the database, not of the market.

It is read on a button or a change of the range, never by a fragment that ticks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from guardrails import calendar
from guardrails.errors import MatrixError
from guardrails.matrix import Limits, RiskMatrix, parse
from guardrails.store import drawdown, history, history_accounts, history_deeds, history_findings
from guardrails.store.current import Current, current
from guardrails.store.history import Figures, Interval, Times, Totals
from guardrails.store.history_accounts import AccountLine, Coming, Records
from guardrails.store.history_deeds import Deeds
from guardrails.store.history_findings import Lane, LimitLine, Turn
from guardrails.store.metadata import moment
from guardrails.store.points import MOST_POINTS, Points, first_moment
from pages._engine import Stored
from pages._past import new_york

RANGES: Mapping[str, timedelta] = {
    "1 day": timedelta(days=1),
    "1 week": timedelta(days=7),
    "1 month": timedelta(days=31),
    "1 year": timedelta(days=366),
}
ALL, DATES = "All", "Dates"
NEGLIGIBLE_DELTA = 0.01
"""fraction of net liquidation: a beta-weighted delta smaller than this is about zero, and nothing is divided by it"""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch without gap under one matrix and regime, microseconds; limits are None when that matrix is lost."""

    begin: int
    end: int
    regime: str
    limits: Limits | None


@dataclass(frozen=True, slots=True)
class Past:
    """One range of the history."""

    begin: datetime
    end: datetime
    points: Points
    totals: Totals
    accounts: list[AccountLine]
    limits: list[LimitLine]
    lanes: list[Lane]
    """one per check, worst first"""
    lanes_from: int
    """microseconds; before it there are more changes of level than are read"""
    turns: list[Turn]
    closes: Mapping[str, list[tuple[str, float | None]]]
    records: Records
    below_peak: Figures
    comings: list[Coming]
    current: Current
    deeds: Deeds
    runs: list[Run]
    words: tuple[str, ...]
    """what is not known of it"""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not len(self.totals.key) and not len(self.records.time)


def load(stored: Stored, begin: datetime, end: datetime, period_seconds: float) -> Past:
    """The history from `begin` to before `end`; `period_seconds` is how often a row is written."""
    with stored.database.reading() as connection:
        return read(connection, stored.book, begin, end, period_seconds)


def read(
    connection: Connection, book: str, begin: datetime, end: datetime, period_seconds: float, most: int = MOST_POINTS
) -> Past:
    """The same from an open connection."""
    points, totals = history.totals(connection, book, begin, end, period_seconds, most=most)
    lanes, lanes_from = history_findings.lanes(connection, book, points.begin, points.end, totals.covered())
    flows = drawdown.flows(connection, book, points.end)
    records = history_accounts.backfilled(connection, points, totals)
    texts = history_findings.matrices(connection, book, totals.matrix_version)
    return Past(
        begin=begin,
        end=end,
        points=points,
        totals=totals,
        accounts=history_accounts.accounts(connection, points, totals),
        limits=history_findings.limits(connection, points, totals),
        lanes=history_findings.by_check(lanes),
        lanes_from=lanes_from,
        turns=history_findings.turns(connection, book, points.begin, points.end),
        closes=history_findings.closes(
            connection,
            book,
            calendar.exchange_date(begin).isoformat(),
            calendar.exchange_date(end).isoformat(),
        ),
        records=records,
        below_peak=drawdown.drawdown(
            totals.figures["net_liquidation"],
            drawdown.highs(totals),
            flows,
            drawdown.highs_before(connection, points),
        ),
        comings=history_accounts.comings(connection, points, flows.changes),
        current=current(connection, points, totals),
        deeds=history_deeds.deeds(connection, book, points.begin, points.end),
        runs=list(runs(totals, {version: parsed(text) for version, text in texts.items()})),
        words=(*flows.words, *records.words),
    )


def bounds(
    choice: str, dates: tuple[date, date] | None, now: datetime, first: datetime | None
) -> tuple[datetime, datetime] | None:
    """Begin and end of a choice of the range; None while its two dates are not chosen.

    `first` is the oldest moment that was kept. Dates are exchange dates, both included.
    """
    if choice in RANGES:
        return now - RANGES[choice], now
    if choice == ALL:
        return first or now - RANGES["1 day"], now
    if dates is None:
        return None
    return calendar.at(dates[0], time()), min(calendar.at(dates[1] + timedelta(days=1), time()), now)


def oldest(stored: Stored) -> datetime | None:
    """The oldest moment that was kept; None when nothing was."""
    with stored.database.reading() as connection:
        found = first_moment(connection, stored.book)
    return None if found is None else moment(found)


def parsed(text: str) -> RiskMatrix | None:
    """The matrix of this text; None when this version of the program cannot read it."""
    try:
        return parse(text)
    except MatrixError:
        return None


def runs(totals: Totals, matrices: Mapping[str, RiskMatrix | None]) -> Iterator[Run]:
    """The stretches under one matrix and regime in which the program ran, oldest first."""
    names = list(zip(totals.matrix_version, totals.regime, strict=True))
    starts = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    covered = totals.covered()
    for begin, end in itertools.pairwise([*starts, len(names)]):
        version, regime = names[begin]
        matrix = matrices.get(version)
        known = None if matrix is None or regime not in matrix.regimes else matrix.regime(regime).limits
        since = totals.begin[0] if begin == 0 else totals.time[begin]
        until = totals.end[end - 1] if end == len(names) else totals.time[end]
        for first, last in covered:
            if max(first, since) < min(last, until):
                yield Run(int(max(first, since)), int(min(last, until)), regime, known)


def theta_per_delta(totals: Totals) -> Figures:
    """Theta per day / beta-weighted delta in SPX units; NaN where that delta is about zero or anything is unknown."""
    f = totals.figures
    with np.errstate(invalid="ignore"):
        large = np.abs(f["beta_delta_dollars"]) >= NEGLIGIBLE_DELTA * np.abs(f["net_liquidation"])
    result = np.full(len(totals.key), np.nan)
    np.divide(f["theta_per_day"], f["beta_delta_spx"], out=result, where=large & (f["beta_delta_spx"] != 0))
    return result


def gaps(covered: list[Interval]) -> list[Interval]:
    """The stretches between those in which the program ran."""
    return [(before[1], after[0]) for before, after in itertools.pairwise(covered)]


def wall(times: Times) -> Times:
    """Microseconds since 1970 as what New York clocks show, in milliseconds as if that were UTC: charts know no zones.

    In the hour that comes twice in autumn the second one follows the first at the same place.
    """
    stamps = pd.DatetimeIndex(np.asarray(times, dtype="datetime64[us]"), tz="UTC").tz_convert(calendar.NEW_YORK)
    shown: Times = stamps.tz_localize(None).to_numpy(dtype="datetime64[ms]").astype(np.int64)
    return shown


def moment_at(shown: str | float) -> datetime:
    """The moment of a place on the time axis (ISO text or milliseconds); the later one where clocks show it twice."""
    stamp = pd.Timestamp(shown, unit="ms") if isinstance(shown, int | float) else pd.Timestamp(shown)
    return new_york(stamp.to_pydatetime(warn=False))
