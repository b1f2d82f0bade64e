"""What a trading day of 1,000 positions weighs: every 15 s as it happens, then told in quarters and moved to files,
with everything else that a busy day leaves (`benchmarks.history_busy`).

All 1,000 positions change at every moment: underlyings wander on ticks of a cent, every option has a volatility of its
own that wanders too, marks are on ticks, Greeks and exposures are full doubles from the closed form. A real day is
quieter, so this is an upper figure.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from benchmarks import book
from benchmarks.assessment import MATRIX
from benchmarks.history_busy import BusyDay
from benchmarks.timing import Row
from guardrails import calendar, pricing
from guardrails.assess import assess
from guardrails.instruments import Right
from guardrails.memory import Memory
from guardrails.snapshot import Snapshot
from guardrails.snapshot.book import GroupRow, PositionRow
from guardrails.store.archive import retire
from guardrails.store.books import owners_of
from guardrails.store.rollup import roll_up
from guardrails.store.sqlite import FILE, SqliteDatabase

POSITIONS, SECONDS = 1_000, 15
GOAL_MB, GOAL_MS = 100.0, 100.0
OPEN, CLOSE = calendar.session_bounds(book.NOW.date())
MATRIX_TEXT = (Path(__file__).resolve().parent.parent / "risk_matrix.yaml").read_text()
LATER = datetime(2026, 11, 30, 22, tzinfo=UTC)
"""when the day is older than three sessions"""
PER_STEP = (SECONDS / calendar.SECONDS_PER_YEAR * 4.0) ** 0.5
"""root of the part of a year, a session counted as a whole day"""


class Wandering:
    """The book through the day; the same every time."""

    def __init__(self) -> None:
        self._chance = np.random.default_rng(20261118)
        self.held = book.positions(POSITIONS)
        view = book.view(POSITIONS)
        self.first = assess([view], MATRIX, assess([view], MATRIX, Memory(), book.NOW).memory, book.NOW)
        self.owners = owners_of(self.first.portfolio)
        self.figures: dict[str, np.ndarray] = {}
        """of the last moment: columns of the rows of positions, in the order of the book"""
        rows = {(row.account, row.key): row for row in self.first.snapshot.positions}
        self._rows = [rows[position.account.masked, position.instrument.key] for position in self.held]
        self._names = list(book.LEVELS)
        self._spots = np.array(list(book.LEVELS.values()))
        self._of = np.array([self._names.index(p.instrument.underlying) for p in self.held])
        self._option = np.array([p.instrument.is_option for p in self.held])
        self._vols = np.full(POSITIONS, book.VOLATILITY) + self._chance.normal(0.0, 0.02, POSITIONS)
        self._start: np.ndarray | None = None

    def at(self, now: datetime) -> Snapshot:
        """The next moment."""
        self._spots = np.round(self._spots * np.exp(0.25 * PER_STEP * self._chance.normal(size=len(self._spots))), 2)
        self._vols = np.clip(self._vols + self._chance.normal(0.0, 2e-4, POSITIONS), 0.05, 2.0)
        figures = self.figures = self._figures(now)
        names = list(figures)
        values = zip(*(figures[name].tolist() for name in names), strict=True)
        rows = tuple(
            replace(row, **dict(zip(names, each, strict=True))) for row, each in zip(self._rows, values, strict=True)
        )
        totals = {name: float(figures[name].sum()) for name in SUMMED}
        base, shift = self.first.snapshot, float(figures["day_pnl"].sum())
        worth = (base.totals.net_liquidation or 0.0) + shift
        return replace(
            base,
            as_of=now,
            positions=self._in_order(rows),
            totals=replace(base.totals, net_liquidation=worth, vega_30d_per_point=totals["vega_per_point"], **totals),
            underlyings=self._underlyings(figures, base.underlyings),
            accounts=tuple(
                replace(row, as_of=now, net_liquidation=worth / 2, excess_liquidity=worth / 3, day_pnl=shift / 2)
                for row in base.accounts
            ),
            findings=tuple(
                each if each.value is None else replace(each, value=each.value * self._chance.uniform(0.99, 1.01))
                for each in base.findings
            ),
        )

    def _in_order(self, rows: tuple[PositionRow, ...]) -> tuple[PositionRow, ...]:
        """As the owners are listed."""
        found = {(row.account, row.key): row for row in rows}
        return tuple(found[row.account, row.key] for row in self.first.snapshot.positions)

    def _figures(self, now: datetime) -> dict[str, np.ndarray]:
        """Columns of the rows of positions, in the order of the book."""
        spot, rate = self._spots[self._of], np.full(POSITIONS, book.RATE)
        options = [position.instrument for position in self.held]
        found = pricing.sensitivities(
            pricing.Options(
                sign=np.array([-1.0 if each.right is Right.PUT else 1.0 for each in options]),
                spot=spot,
                strike=np.array([float(each.strike or 1) for each in options]),
                years=np.array([calendar.year_fraction(each, now) or 1.0 for each in options]),
                rate=rate,
                carry=rate,
            ),
            self._vols,
        )
        size = np.array([position.quantity * position.multiplier for position in self.held])
        beta = np.array([row.beta or 0.0 for row in self._rows])
        mark = np.where(self._option, np.maximum(np.round(found.price, 2), 0.01), spot)
        start = self._start = mark if self._start is None else self._start
        greeks = {name: np.where(self._option, getattr(found, name), 0.0) for name in ("gamma", "vega", "theta")}
        delta = np.where(self._option, found.delta, 1.0)
        return {
            "mark": mark, "bid": mark - 0.02, "ask": mark + 0.02, "market_value": mark * size,
            "model": found.price, "residual": (found.price - mark) * size,
            "spot": spot, "delta": delta, **greeks, "iv": self._vols,
            # in the order in which `guardrails.exposures` multiplies them, for the same last digits
            "delta_dollars": size * spot * delta,
            "beta_delta_dollars": size * spot * delta * beta,
            "gamma_1pct_dollars": size * spot * greeks["gamma"] * spot * 0.01 * beta * beta,
            "vega_per_point": size * greeks["vega"],
            "theta_per_day": size * greeks["theta"],
            "day_pnl": (mark - start) * size,
            "open_pnl": (mark - start) * size + 125.0,
        }  # fmt: skip

    def _underlyings(self, figures: dict[str, np.ndarray], rows: tuple[GroupRow, ...]) -> tuple[GroupRow, ...]:
        sums = {name: np.bincount(self._of, figures[name], len(self._names)) for name in SUMMED}
        places = [self._names.index(row.name) for row in rows]
        return tuple(
            replace(row, vega_30d_per_point=float(sums["vega_per_point"][place]),
                    **{name: float(column[place]) for name, column in sums.items()})
            for row, place in zip(rows, places, strict=True)
        )  # fmt: skip


SUMMED = ("delta_dollars", "beta_delta_dollars", "gamma_1pct_dollars", "vega_per_point", "theta_per_day")


class Stopwatch:
    """The longest transaction that held the write lock."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.longest = 0.0
        self._began = threading.local()
        event.listen(database.engine, "begin", self._begin)
        event.listen(database.engine, "commit", self._end)

    def _begin(self, connection: Any) -> None:
        writing = connection.get_execution_options().get("begin") == "IMMEDIATE"
        self._began.at = time.perf_counter() if writing else None

    def _end(self, _connection: Any) -> None:
        if self._began.at is not None:
            self.longest = max(self.longest, time.perf_counter() - self._began.at)


def day() -> list[Row]:
    """A day written, told and moved; every size is of what is on the disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with closing(sqlite3.connect(folder / FILE)) as made:  # so that the file can give room back
            made.executescript("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
        return list(_measured(folder))


def _measured(folder: Path) -> Iterator[Row]:
    database = SqliteDatabase(folder / FILE, lambda: LATER)
    empty = size_of(folder)
    count, orders = keep_a_day(database)
    raw = size_of(folder) - empty
    yield Row(f"{POSITIONS:,} positions every {SECONDS} s, {count:,} moments: raw in SQLite", f"{raw / 1e6:.0f} MB")
    watch = Stopwatch(database)
    began = time.perf_counter()
    quarters = roll_up(database, CLOSE)
    taken, longest = time.perf_counter() - began, watch.longest * 1000
    yield Row(f"telling {quarters} quarters", f"{taken:.2f} s, longest transaction {longest:.1f} ms",
              f"< {GOAL_MS:.0f} ms", longest < GOAL_MS)  # fmt: skip
    watch.longest = 0.0
    began, busy = time.perf_counter(), time.process_time()
    files = retire(database, folder, 3, 0, LATER)
    taken, busy, longest = time.perf_counter() - began, time.process_time() - busy, watch.longest * 1000
    yield Row(f"moving {sum(file.rows for file in files):,} rows to {len(files)} files",
              f"{taken:.1f} s ({busy:.1f} s of a core), longest transaction {longest:.1f} ms",
              f"< {GOAL_MS:.0f} ms", longest < GOAL_MS)  # fmt: skip
    for file in files:
        yield Row(f"file of {file.name}, {file.rows:,} rows", f"{file.bytes / 1e6:.2f} MB")
    kept, stored = size_of(folder) - empty, sum(file.bytes for file in files)
    with database.reading() as connection:
        for what, weight in _weights(connection, orders):
            yield Row(f"kept in SQLite for ever: {what}", f"{weight / 1e6:.2f} MB")
    total = (kept + stored) / 1e6
    yield Row("after it: growth of SQLite and files, everything counted", f"{kept / 1e6:.1f} + {stored / 1e6:.1f} MB",
              f"< {GOAL_MB:.0f} MB", total < GOAL_MB)  # fmt: skip
    database.close()


def keep_a_day(database: SqliteDatabase) -> tuple[int, int]:
    """Write every moment of the session; how many there were, and how many orders."""
    wandering = Wandering()
    busy = BusyDay(database, database.folder, wandering.first, wandering.held)
    now, count = OPEN, 0
    while now < CLOSE:
        busy.keep(wandering.at(now), MATRIX_TEXT, wandering.figures, now - OPEN)
        now, count = now + timedelta(seconds=SECONDS), count + 1
    # one of a later day, by which it is seen that the clock of `LATER` is right (`guardrails.store.archive`)
    busy.keep(wandering.at(LATER - timedelta(days=3)), MATRIX_TEXT, wandering.figures, timedelta(seconds=SECONDS))
    busy.stop()
    return count, busy.orders


def _weights(connection: Connection, orders: int) -> Iterator[tuple[str, int]]:
    """Bytes of what stays in the file, by what it is; pages of tables and of their indices."""
    query = (
        "SELECT coalesce(m.tbl_name, s.name), sum(s.pgsize) FROM dbstat s LEFT JOIN sqlite_master m ON m.name = s.name "
        "GROUP BY 1"
    )
    try:
        pages = {str(name): int(size) for name, size in connection.exec_driver_sql(query)}
    except OperationalError:  # this SQLite was built without dbstat
        return
    (whole, packed), (changes,) = (
        connection.exec_driver_sql(query).one()
        for query in (
            "SELECT count(*), sum(length(inputs) + length(snapshot) + length(levels)) FROM captures",
            "SELECT count(*) FROM finding_transitions",
        )
    )
    yield f"{whole} whole moments of {packed / whole / 1e3:.0f} kB", pages["captures"]
    yield f"{changes} changes of level", pages["finding_transitions"]
    yield (
        f"alerts and their messages, {orders} orders, their fills and journal",
        sum(pages[name] for name in ("alerts", "deliveries", "orders", "fills", "journal")),
    )
    yield "evidence log of all of it", pages["evidence"]
    yield "quarters of an hour", sum(size for name, size in pages.items() if name.endswith("quarters"))


def size_of(folder: Path) -> int:
    """Bytes of the SQLite file with its log folded in."""
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return (folder / FILE).stat().st_size


if __name__ == "__main__":
    for row in day():
        print(f"| {row.what} | {row.measured} | {row.goal} | {row.met} |")
