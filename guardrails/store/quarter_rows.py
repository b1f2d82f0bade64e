"""One quarter of an hour as the rows of its moments tell it: levels and totals, underlyings and accounts.

Underlyings and accounts have rows only where something changed: what is true at a moment is the last row of each since
the last `complete` moment, at which everything was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from guardrails.findings import Level, worst
from guardrails.store.columns import LIVE
from guardrails.store.inserts import Row, columns
from guardrails.store.quarters import QUARTER_MICROS, QUARTERS, UNDERLYING_QUARTERS
from guardrails.store.schema import ACCOUNT_VALUES, SNAPSHOTS, UNDERLYING_TOTALS

_OWN = ("book", "time", "first", "last", "level", "net_liquidation_low", "net_liquidation_high")
"""columns of `quarters` that are not simply those of its last moment"""
_SAME = tuple(name for name in columns(QUARTERS) if name not in _OWN)
_SUMS = columns(UNDERLYING_QUARTERS)[3:]
"""from `positions` on: of the same names in `underlying_totals`"""
_MONEY = (
    "account", "broker", "currency", "net_liquidation", "excess_liquidity", "excess_look_ahead", "cushion",
    "maintenance", "day_pnl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quarter:
    """One quarter as it is to be stored."""

    total: dict[str, Any]
    """the row of `quarters`, by column"""
    underlyings: dict[str, Row]
    """rows of `underlying_quarters`, by name"""
    accounts: dict[str, Row]
    """rows of `account_quarters`, by hash"""
    based: bool
    """whether a complete moment at or before its first one is at hand"""


def next_quarter(connection: Connection, book: str, start: int, end: int) -> int | None:
    """The first quarter from `start` to before `end` that a row of `snapshots` touches."""
    c = SNAPSHOTS.c
    live = select(c.time, c.until).where(c.book == book, c.origin == LIVE)
    before = connection.execute(live.where(c.time < start).order_by(c.time.desc()).limit(1)).first()
    if before is not None and before.until >= start and start < end:
        return start
    after = connection.execute(live.where(c.time >= start, c.time < end).order_by(c.time).limit(1)).first()
    return None if after is None else int(after.time) // QUARTER_MICROS * QUARTER_MICROS


def read_quarter(connection: Connection, book: str, time: int) -> Quarter:
    """What the rows at hand say of the quarter at `time`."""
    c = SNAPSHOTS.c
    live = select(c.time, c.level, c.net_liquidation).where(c.book == book, c.origin == LIVE)
    moments = connection.execute(live.where(c.time >= time, c.time < time + QUARTER_MICROS).order_by(c.time)).all()
    before = live.add_columns(c.until).where(c.time < time).order_by(c.time.desc()).limit(1)
    carried = connection.execute(before).first()
    if carried is not None and carried.until >= time:
        moments = [carried, *moments]
    first, last = moments[0].time, moments[-1].time
    values = [row.net_liquidation for row in moments if row.net_liquidation is not None]
    here = select(*(c[name] for name in _SAME)).where(c.book == book, c.origin == LIVE, c.time == last)
    total = {
        **connection.execute(here).mappings().one(),
        "book": book,
        "time": time,
        "first": first,
        "last": last,
        "level": worst(Level(row.level) for row in moments).value,
        "net_liquidation_low": min(values, default=None),
        "net_liquidation_high": max(values, default=None),
    }
    base, newest = _base(connection, book, first), _base(connection, book, last) or 0
    since = first if base is None else base
    return Quarter(
        total,
        _underlyings(connection, book, time, max(since, newest), last),
        _accounts(connection, book, time, (since, first, last), newest),
        base is not None,
    )


def _base(connection: Connection, book: str, time: int) -> int | None:
    """The last moment up to `time` at which everything was written."""
    c = SNAPSHOTS.c
    complete = select(c.time).where(c.book == book, c.origin == LIVE, c.time <= time, c.complete == 1)
    return connection.execute(complete.order_by(c.time.desc()).limit(1)).scalar()


def _underlyings(connection: Connection, book: str, time: int, since: int, last: int) -> dict[str, Row]:
    """Rows of what was held at `last`, told from the rows since the complete moment `since`."""
    c = UNDERLYING_TOTALS.c
    query = select(c.underlying, *(c[name] for name in _SUMS)).where(c.book == book, c.time.between(since, last))
    state = {name: figures for name, *figures in connection.execute(query.order_by(c.time))}
    return {name: (book, name, time, *figures) for name, figures in state.items() if figures[0]}


def _accounts(
    connection: Connection, book: str, time: int, moments: tuple[int, int, int], newest: int
) -> dict[str, Row]:
    """Rows of the accounts there at the last of three moments, with their lowest cushion from the second on, told from
    the rows since the first; what was not written at or after the complete moment `newest` is there no more.
    """
    c, (since, first, last) = ACCOUNT_VALUES.c, moments
    query = select(c.account_hash, c.time, c.level, *(c[name] for name in _MONEY)).where(
        c.book == book, c.origin == LIVE, c.time.between(since, last)
    )
    state: dict[str, Any] = {}
    at_first: dict[str, float | None] = {}
    lows: dict[str, float] = {}
    for row in connection.execute(query.order_by(c.time)):
        if row.time <= first:
            at_first[row.account_hash] = row.cushion
        elif row.cushion is not None:
            lows[row.account_hash] = min(row.cushion, lows.get(row.account_hash, row.cushion))
        if row.time >= newest:
            state[row.account_hash] = row
    for owner, cushion in at_first.items():
        if cushion is not None:
            lows[owner] = min(cushion, lows.get(owner, cushion))
    return {
        owner: (
            book, owner, time, LIVE, row.account, row.broker, row.currency, row.net_liquidation, row.excess_liquidity,
            row.excess_look_ahead, row.cushion, lows.get(owner), row.maintenance, row.day_pnl, row.broker,
        )
        for owner, row in state.items() if row.level is not None
    }  # fmt: skip
