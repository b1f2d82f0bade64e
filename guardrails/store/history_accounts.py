"""What each account was worth over time, and what brokers' own records say of the days before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select
from sqlalchemy.sql import Select

from guardrails import calendar
from guardrails.store.books import ONE_BROKER
from guardrails.store.columns import BACKFILL, LIVE
from guardrails.store.comings import Change
from guardrails.store.history import Figures, Times, Totals
from guardrails.store.metadata import moment
from guardrails.store.points import Points, fetch
from guardrails.store.quarters import ACCOUNT_QUARTERS, QUARTER_MICROS
from guardrails.store.schema import ACCOUNT_VALUES, BOOKS
from guardrails.store.telemetry import COMPLETE_MICROS

_VALUES = ("net_liquidation", "excess_look_ahead", "cushion", "excess_liquidity")


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account at the points of a `Totals`, in US dollars; NaN is unknown, also where it was not in the book."""

    account: str
    """masked"""
    broker: str
    net_liquidation: Figures
    cushion: Figures
    """what is judged: excess / net liquidation of the worst segment and view; lowest within a point that stands for a
    quarter or more
    """
    now: Figures
    """excess liquidity / net liquidation of the whole account"""
    look_ahead: Figures
    """the same after the next change of margin"""


@dataclass(frozen=True, slots=True)
class Records:
    """Net liquidation of the whole book from brokers' records, one value a day where the program was not running."""

    time: Times
    net_liquidation: Figures
    words: tuple[str, ...]
    """what is missing and why"""


@dataclass(frozen=True, slots=True)
class Coming:
    """An account that came into the book, or went; time in microseconds, worth in US dollars."""

    time: int
    account: str
    """as `IBKR •••4567`"""
    worth: float
    came: bool


def comings(connection: Connection, points: Points, changes: Iterable[Change]) -> list[Coming]:
    """Those of `changes` that lie in the range of `points`, by name."""
    found = [change for change in changes if points.begin <= change.time < points.end]
    names = _owners(connection, points.book) if found else {}
    return [Coming(change.time, names.get(change.owner, "an account"), change.worth, change.came) for change in found]


def accounts(connection: Connection, points: Points, at: Totals) -> list[AccountLine]:
    """Every account at the points `at`, which were read for `points`; by broker and mask."""
    names: dict[str, tuple[str, str]] = {}
    columns: dict[str, dict[str, Figures]] = {}
    edge = int(np.searchsorted(at.time, points.raw_from)) if points.raw_from < points.end else len(at.time)
    if points.raw_from > points.begin:
        _of_quarters(fetch(connection, _quarter_query(points)), at.key[:edge], names, columns, len(at.key))
    if points.raw_from < points.end:
        _of_rows(fetch(connection, _row_query(points)), at.time[edge:], names, columns, len(at.key))
    found = [_line(*names[owner], own) for owner, own in columns.items()]
    return sorted(found, key=lambda line: (line.broker, line.account))


def _line(account: str, broker: str, columns: Mapping[str, Figures]) -> AccountLine:
    net = columns["net_liquidation"]
    now, look_ahead = (
        np.divide(columns[name], net, out=np.full(len(net), np.nan), where=net > 0)
        for name in ("excess_liquidity", "excess_look_ahead")
    )
    return AccountLine(account, broker, net, columns["cushion"], now, look_ahead)


def _quarter_query(points: Points) -> Select[Any]:
    """Columns: account hash, key, mask, broker, values, lowest cushion."""
    c = ACCOUNT_QUARTERS.c
    chosen = (
        (c.book == points.book)
        & (c.origin == LIVE)
        & (c.time > points.begin - QUARTER_MICROS)
        & (c.time < points.raw_from)
    )
    shared = (c.account_hash, c.time, c.account, c.broker, *(c[name] for name in _VALUES))
    if points.quarter_width <= QUARTER_MICROS:
        return select(*shared, c.cushion_low).where(chosen).order_by(c.account_hash, c.time)
    # a join with the last of each group would be searched once per row
    point = (c.account_hash, c.time // points.quarter_width)
    last, low = (edge.over(partition_by=point) for edge in (func.max(c.time), func.min(c.cushion_low)))
    e = select(*shared, last.label("last"), low.label("low")).where(chosen).subquery().c
    told = (e.account_hash, e.time, e.account, e.broker, *(e[name] for name in _VALUES), e.low)
    return select(*told).where(e.time == e.last).order_by(e.account_hash, e.time)


def _row_query(points: Points) -> Select[Any]:
    """The same of `account_values`, without the lowest cushion; a row holds until the next one."""
    c = ACCOUNT_VALUES.c
    return (
        select(c.account_hash, c.time, c.account, c.broker, *(c[name] for name in _VALUES))
        .where(c.book == points.book, c.origin == LIVE)
        .where(c.time >= points.raw_from - COMPLETE_MICROS, c.time < points.end)
        .order_by(c.account_hash, c.time)
    )


def _of_quarters(
    rows: list[tuple[Any, ...]],
    keys: Times,
    names: dict[str, tuple[str, str]],
    columns: dict[str, dict[str, Figures]],
    count: int,
) -> None:
    """Put the rows of `_quarter_query` at the points with these keys."""
    for owner, own in _by_owner(rows):
        names[owner] = (own[2][-1], own[3][-1])
        place = columns.setdefault(owner, _empty(count))
        time = np.array(own[1], dtype=np.int64)
        where = np.searchsorted(keys, time)
        # the account's last quarter within a point need not be the book's: then it had gone
        hit = (where < len(keys)) & (keys[np.minimum(where, len(keys) - 1)] == time) if len(keys) else time < 0
        for name, values in zip((*_VALUES, "cushion"), own[4:9], strict=True):
            given = np.array(values, dtype=np.float64)
            if name == "cushion":  # the last one is the lowest, where it is known
                given = np.where(np.isnan(given), place["cushion"][np.minimum(where, count - 1)], given)
            place[name][where[hit]] = given[hit]


def _of_rows(
    rows: list[tuple[Any, ...]],
    times: Times,
    names: dict[str, tuple[str, str]],
    columns: dict[str, dict[str, Figures]],
    count: int,
) -> None:
    """Put the rows of `_row_query` at the last points, those at `times`."""
    for owner, own in _by_owner(rows):
        names[owner] = (own[2][-1], own[3][-1])
        place = columns.setdefault(owner, _empty(count))
        where = np.searchsorted(np.array(own[1], dtype=np.int64), times, side="right") - 1
        hit = where >= 0  # the row of an account that has gone holds nulls
        for name, values in zip(_VALUES, own[4:8], strict=True):
            place[name][count - len(times) :][hit] = np.array(values, dtype=np.float64)[where[hit]]


def _by_owner(rows: list[tuple[Any, ...]]) -> Iterable[tuple[str, list[tuple[Any, ...]]]]:
    """The columns of each account's rows, which stand together."""
    begin = 0
    for i in range(1, len(rows) + 1):
        if i == len(rows) or rows[i][0] != rows[begin][0]:
            yield rows[begin][0], list(zip(*rows[begin:i], strict=True))
            begin = i


def _empty(count: int) -> dict[str, Figures]:
    return {name: np.full(count, np.nan) for name in _VALUES}


def backfilled(connection: Connection, points: Points, at: Totals) -> Records:
    """The book's worth on days of the range without a live point, where every account's record has that day.

    An account without a record of a day may or may not have existed: the sum is then unknown, and the words say so.
    """
    c = ACCOUNT_QUARTERS.c
    query = select(c.account_hash, c.time, c.account, c.broker, c.currency, c.net_liquidation).where(
        c.book == points.book, c.origin == BACKFILL, c.time >= points.begin, c.time < points.end
    )
    rows = fetch(connection, query.order_by(c.time))
    if not rows:
        return Records(np.array([], dtype=np.int64), np.array([]), ())
    live = {_day(int(time)) for time in at.time[~np.isnan(at.figures["net_liquidation"])]}
    days: dict[date, dict[str, tuple[int, float | None]]] = {}
    for owner, time, _, _, _, value in rows:
        days.setdefault(_day(time), {})[owner] = (time + QUARTER_MICROS, value)
    names = _owners(connection, points.book)
    if absent := _never_seen(connection, points.book, names.values()):
        said = f"The broker's records are not added up: of {' and '.join(absent)} no account has been seen yet."
        return Records(np.array([], dtype=np.int64), np.array([]), (said,))
    foreign = sorted({f"{broker} {mask} ({currency})" for _, _, mask, broker, currency, _ in rows if currency != "USD"})
    if foreign:
        said = f"Not added up: the records of {', '.join(foreign)} are not in US dollars."
        return Records(np.array([], dtype=np.int64), np.array([]), (said,))
    known = {
        day: values
        for day, values in days.items()
        if day not in live and len(values) == len(names) and all(value is not None for _, value in values.values())
    }
    words: tuple[str, ...] = ()
    if short := sum(day not in live and day not in known for day in days):
        missing = {name for day, values in days.items() if day not in live for name in names if name not in values}
        of = f" (of {', '.join(sorted(names[name] for name in missing))})" if missing else ""
        many = f"{short} day{'' if short == 1 else 's'}"
        words = (f"On {many} a broker's record is missing{of}: what the book was worth then is unknown.",)
    order = sorted(known)
    return Records(
        np.array([max(time for time, _ in known[day].values()) for day in order], dtype=np.int64),
        np.array([sum(value or 0.0 for _, value in known[day].values()) for day in order], dtype=np.float64),
        words,
    )


def _owners(connection: Connection, book: str) -> dict[str, str]:
    """Every account of the book that anything was kept of, as `IBKR •••4567` by hash."""
    return {
        owner: f"{broker} {mask}"
        for table in (ACCOUNT_QUARTERS, ACCOUNT_VALUES)
        for owner, broker, mask in fetch(
            connection,
            select(table.c.account_hash, table.c.broker, table.c.account).where(table.c.book == book).distinct(),
        )
    }


def _never_seen(connection: Connection, book: str, accounts: Iterable[str]) -> list[str]:
    """The brokers among the sources of the book without any account in `accounts`, which are as `IBKR •••4567`."""
    sources = connection.execute(select(BOOKS.c.names).where(BOOKS.c.book == book)).scalar() or ""
    seen = {account.partition(" ")[0].casefold() for account in accounts}
    return [name for name in str(sources).split(",") if name in ONE_BROKER and name not in seen]


def _day(time: int) -> date:
    return calendar.exchange_date(moment(time))
