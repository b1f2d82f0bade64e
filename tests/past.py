"""A past for the History page: sessions the demo really played, at a clock that runs fast, and older quarters.

Everything passes through the real parts: the demo's source, `assess`, `Telemetry`, the rows that must survive with
their proof, the captures and the roll-up. Only the months before are written as quarters, by a seeded random walk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Table

from adapters.demo import DemoSource
from guardrails import calendar
from guardrails.assess import Inputs, assess
from guardrails.matrix import RiskMatrix, parse
from guardrails.memory import Memory, account_key
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change
from guardrails.store.books import Book, book_of, owners_of
from guardrails.store.captures import LEVEL, PERIOD
from guardrails.store.columns import BACKFILL, LIVE
from guardrails.store.database import Database
from guardrails.store.evidence_head import HEAD_FILE, keep_head
from guardrails.store.inserts import Row, columns, insert
from guardrails.store.metadata import micros
from guardrails.store.news import Numbers, Seen, news_of, resumed
from guardrails.store.proof import insert_proven
from guardrails.store.quarters import ACCOUNT_QUARTERS, QUARTER_MICROS, QUARTERS
from guardrails.store.schema import BOOKS, MATRIX_VERSIONS, REGIME_CHANGES
from guardrails.store.telemetry import Capture, Moment, Telemetry
from guardrails.stress.recorded import recorded_of
from guardrails.values import View
from tests.healthy import SHIPPED

BOOK = book_of(("demo",), "calm")
"""the one the program shows when it is started without settings"""
SHARES = {"IBKR": 0.64, "tastytrade": 0.36}
"""what each account is of the book in the months before"""


@dataclass(slots=True)
class Player:
    """Plays the demo into a database, moment by moment."""

    database: Database
    book: Book = BOOK
    source: DemoSource = field(default_factory=lambda: DemoSource("calm"))
    memory: Memory = field(default_factory=Memory)
    seen: Seen = field(default_factory=Seen)
    changes: tuple[Change, ...] = ()
    last: Snapshot | None = None
    text: str = SHIPPED
    matrix: RiskMatrix = field(default_factory=lambda: parse(SHIPPED))
    runs: int = 0
    telemetry: Telemetry = field(init=False)
    numbers: Numbers = field(init=False)
    compiling: bool = False
    """revalues nothing, which is most of the work, so every stress limit is UNKNOWN"""

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As the program does when it is started again: it remembers the accounts, and writes as another run."""
        self.telemetry = Telemetry(self.database)
        self.runs += 1
        self.numbers = Numbers(f"{self.runs:016x}")
        self.seen, self.changes = Seen(), ()

    def play(self, now: datetime) -> Snapshot:
        """One moment."""
        view = said(self.source, now)
        inputs = Inputs((view,), self.memory, now, compiling=self.compiling)
        result = assess(inputs.views, self.matrix, inputs.memory, now, compiling=self.compiling)
        self.memory = result.memory
        changes = tuple(Change(c.time, c.old, c.new, c.cause, c.targets) for c in result.changes)
        self.changes = (*reversed(changes), *self.changes)[:20]
        snapshot = replace(result.snapshot, changes=self.changes)
        owners = owners_of(result.portfolio)
        news, self.seen = news_of(self.seen, snapshot, self.text, owners, self.book, self.numbers)
        with self.database.writing(durable=False) as connection:
            rows = resumed(connection, news, self.numbers) if news.first else news.rows
            links = insert_proven(connection, rows)
        with self.database.reading() as connection:
            keep_head(self.database.folder / HEAD_FILE, connection, links)
        moved = self.last is None or self.last.level is not snapshot.level
        capture = Capture(LEVEL if moved else PERIOD, inputs, recorded_of(result.portfolio.stress))
        self.telemetry.keep(Moment(self.book, snapshot, owners, capture))
        self.last = snapshot
        return snapshot


def said(source: DemoSource, now: datetime) -> View:
    """What the demo says at `now`. It never waits, so it needs no loop: one may run in this thread already."""
    try:
        source.view(now).send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the demo waits for something")


def play_session(
    player: Player,
    day: date,
    step: timedelta = timedelta(seconds=60),
    scenarios: Sequence[tuple[timedelta, str]] = (),
    asleep: Sequence[tuple[timedelta, timedelta]] = (),
    length: timedelta | None = None,
) -> None:
    """Play the session of `day`; scenarios begin, and the program sleeps, so long after the opening bell."""
    opened, closed = calendar.session_bounds(day)
    end = closed if length is None else opened + length
    waiting, now, awake = list(scenarios), opened, True
    while now < end:
        while waiting and now - opened >= waiting[0][0]:
            player.source.switch(waiting.pop(0)[1], now)
        if any(begin <= now - opened < until for begin, until in asleep):
            awake = False
        else:
            if not awake:
                player.restart()
            awake = True
            player.play(now)
        now += step


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def week(database: Database, until: datetime, step: timedelta = timedelta(seconds=60)) -> Player:
    """Five sessions before `until`: calm, a sleep, a selloff with breaches, a feed that falls silent, a crash's end."""
    days = [calendar.session_of(until)]
    while len(days) < 5:
        days.insert(0, calendar.previous_session(days[0]))
    plans: list[tuple[Sequence[tuple[timedelta, str]], Sequence[tuple[timedelta, timedelta]]]] = [
        ([], []),
        ([], [(hours(2), hours(3.5))]),
        ([(hours(2.5), "selloff")], []),
        ([(hours(0), "selloff"), (hours(3), "stale"), (hours(4.2), "selloff")], []),
        ([(hours(0), "calm")], []),
    ]
    player = Player(database)
    for day, (scenarios, asleep) in zip(days, plans, strict=True):
        player.restart()
        play_session(player, day, step, scenarios, asleep)
    return player


def owners_of_demo() -> dict[str, tuple[str, str]]:
    """Hash and mask of the demo's account at each broker."""
    view = said(DemoSource("calm"), datetime(2026, 11, 18, 15, 0, tzinfo=UTC))
    return {account.id.broker: (account_key(account.id), account.id.masked) for account in view.accounts}


def months_before(database: Database, first: date, days: int, book: Book = BOOK, seed: int = 5) -> list[date]:
    """Rows of `quarters` of the last `days` sessions before `first`, as a year of trading might have looked.

    A slow walk of net liquidation with one bad month in the middle, in which the regime is high_volatility; three days
    on which the program did not run; one afternoon on which net liquidation was not known. Returns the sessions.
    """
    sessions = sessions_before(first, days)
    rng, owners, version = np.random.default_rng(seed), owners_of_demo(), parse(SHIPPED).version
    rows: list[Row] = []
    shares: list[Row] = []
    turns: list[Row] = []
    worth, regime = 392_000.0, "low_volatility"
    for nth, day in enumerate(sessions):
        bad = 0.45 * days < nth < 0.55 * days
        if 0.7 * days < nth <= 0.7 * days + 3:
            continue
        opened, closed = calendar.session_bounds(day)
        now = "high_volatility" if bad else "low_volatility"
        if now != regime:
            turns.append(
                (f"{nth:016x}", 1, book.key, micros(opened), LIVE, regime, now, "VIX crossed 20", "[]", version)
            )
            regime = now
        for time in range(micros(opened), micros(closed), QUARTER_MICROS):
            worth += float(rng.normal(-130.0 if bad else 17.0, 420.0 if bad else 150.0))
            unknown = nth == int(0.3 * days) and time - micros(opened) > 14 * QUARTER_MICROS
            figures = _figures(None if unknown else worth, regime, version, rng)
            rows.append(row_of(QUARTERS, book=book.key, time=time, **figures, **_within(time)))
            shares += [_share(book, time, *owners[name], name, worth * part, bad) for name, part in SHARES.items()]
    with database.writing(durable=False) as connection:
        insert(connection, BOOKS, [(book.key, book.names, 0)])
        insert(connection, QUARTERS, rows)
        insert(connection, ACCOUNT_QUARTERS, shares)
        insert(connection, REGIME_CHANGES, turns)
        insert(connection, MATRIX_VERSIONS, [(book.key, version, SHIPPED, 0)])
    return sessions


def records_before(database: Database, first: date, days: int, book: Book = BOOK) -> None:
    """What brokers' records say of the `days` sessions before `first`: the worth of both accounts at each close."""
    owners, rng = owners_of_demo(), np.random.default_rng(11)
    walk = 392_000.0 - np.cumsum(rng.normal(60.0, 900.0, days))[::-1]
    rows = [
        row_of(
            ACCOUNT_QUARTERS, book=book.key, account_hash=owners[name][0], account=owners[name][1], broker=name,
            time=micros(calendar.session_bounds(day)[1]) - QUARTER_MICROS, origin=BACKFILL, currency="USD",
            net_liquidation=float(value) * part, source="the broker's statement",
        )
        for day, value in zip(sessions_before(first, days), walk, strict=True)
        for name, part in SHARES.items()
    ]  # fmt: skip
    with database.writing(durable=False) as connection:
        insert(connection, BOOKS, [(book.key, book.names, 0)])
        insert(connection, ACCOUNT_QUARTERS, rows)


def sessions_before(first: date, days: int) -> list[date]:
    """The last `days` sessions before `first`, oldest first."""
    sessions = [calendar.previous_session(first)]
    while len(sessions) < days:
        sessions.insert(0, calendar.previous_session(sessions[0]))
    return sessions


def row_of(table: Table, **values: Any) -> Row:
    """A row of `table`; what is not named is null."""
    return tuple(values.get(name) for name in columns(table))


def _within(time: int) -> dict[str, Any]:
    return {"first": time, "last": time + QUARTER_MICROS - 15_000_000}


def _figures(worth: float | None, regime: str, version: str, rng: np.random.Generator) -> dict[str, Any]:
    bad, wobble = regime == "high_volatility", float(rng.normal(0, 1))
    limit = 0.50 if bad else 1.0
    delta = (45.0 if bad else 27.0) + 6.0 * wobble
    limits = {
        "beta_delta portfolio": [delta * 6800, limit * (worth or 4e5), "USD", "OK"],
        "short_vega portfolio": [-900.0 - 90 * wobble, -(1_000.0 if bad else 1_900.0), "USD/pt", "OK"],
        "gamma portfolio": [-60_000.0 + 4_000 * wobble, -(62_000.0 if bad else 150_000.0), "USD per 1 %", "OK"],
    }
    return {
        "level": "WATCH", "regime": regime, "overlay": 0, "safety_state": "NORMAL", "market_open": 1,
        "matrix_version": version, "vix": (26.0 if bad else 14.0) + wobble, "vix3m": (25.0 if bad else 17.0) + wobble,
        "net_liquidation": worth, "net_liquidation_low": None if worth is None else worth - 200,
        "net_liquidation_high": None if worth is None else worth + 200, "beta_delta_dollars": delta * 6800,
        "beta_delta_spx": delta, "theta_per_day": 320.0 + 20 * wobble, "theta_vega_ratio": 0.33 + 0.04 * wobble,
        "limits": json.dumps(limits),
    }  # fmt: skip


def _share(book: Book, time: int, owner: str, mask: str, broker: str, worth: float, bad: bool) -> Row:  # noqa: FBT001  # a test's own row
    cushion = 0.24 if bad else 0.42
    return row_of(
        ACCOUNT_QUARTERS, book=book.key, account_hash=owner, time=time, origin=LIVE, account=mask, broker=broker,
        currency="USD", net_liquidation=worth, excess_liquidity=worth * cushion, cushion=cushion,
        excess_look_ahead=worth * (cushion - 0.06) if broker == "IBKR" else None, cushion_low=cushion - 0.01,
        source="demo",
    )  # fmt: skip
