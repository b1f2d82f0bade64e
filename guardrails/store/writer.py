"""Fills the store from its own thread: the engine hands over and goes on, whatever the database does meanwhile.

What must survive (`guardrails.store.news`) goes to the database, durable when its transaction has committed; where
that fails, to the spool; where that fails too, it waits in memory. Telemetry (`guardrails.store.telemetry`) is dropped
then, and counted. Only the program that holds the lease of a book writes it (`guardrails.store.lease`); another one
reads what the holder publishes. What the thread does is in `guardrails.store.rounds`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from guardrails.alerts.values import AlertsNow, Delivery, Event, OpenAlerts
from guardrails.assess import Inputs
from guardrails.execution.values import Deed, OpenDeeds
from guardrails.keeper import Kept
from guardrails.memory import Memory
from guardrails.orders_now import OrdersNow
from guardrails.past import Past
from guardrails.portfolio import Portfolio
from guardrails.requests import Answer, Request
from guardrails.reserve import Room
from guardrails.snapshot import Snapshot
from guardrails.store.alert_rows import alert_news
from guardrails.store.books import book_of
from guardrails.store.database import Database
from guardrails.store.deed_rows import deed_news
from guardrails.store.following import Published
from guardrails.store.handing import Handing
from guardrails.store.health import StoreHealth
from guardrails.store.inbox import Inbox, Nowhere
from guardrails.store.lease import BEAT_SECONDS, DEAD_SECONDS, this_program
from guardrails.store.leftovers import Leftovers
from guardrails.store.news import Numbers
from guardrails.store.roles import Part, Roles
from guardrails.store.rounds import Rounds
from guardrails.store.spool import ROOM
from guardrails.store.stamps import Stamps
from guardrails.store.upkeep import Retention, Upkeep

EVERY_SECONDS, CAPTURE_SECONDS, RETRY_SECONDS, STOP_SECONDS, MAX_ROWS, MAX_MOMENTS = 15.0, 60.0, 2.0, 5.0, 100_000, 20


class Writer:
    """Start it, hand over every Snapshot, stop it."""

    def __init__(
        self,
        database: Database,
        spool_folder: Path,
        clock: Callable[[], datetime],
        *,
        every: float = EVERY_SECONDS,
        capture_every: float = CAPTURE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        max_rows: int = MAX_ROWS,
        max_moments: int = MAX_MOMENTS,
        retention: Retention | None = None,
        beat_seconds: float = BEAT_SECONDS,
        dead_seconds: float = DEAD_SECONDS,
    ) -> None:
        """`every` and `capture_every` are seconds between rows and between whole moments; without `retention`
        nothing is rolled up, moved to files or filled in.
        """
        self._database = database
        self._inbox = Inbox(max_rows, max_moments)
        self._numbers = numbers = Numbers(secrets.token_hex(8))
        self._roles = Roles(database, this_program(numbers.run), clock, beat_seconds, dead_seconds)
        self._handing = Handing(self._inbox, numbers, every, capture_every)
        self._rounds = Rounds(
            database, spool_folder, self._inbox, self._roles, numbers, clock, self._handing.begin_anew, retry_seconds
        )
        self._stamps = Stamps(clock)
        self._left = Leftovers(database, self._rounds.waiting, self._stamps, clock)
        self._upkeep = None if retention is None else Upkeep(database, retention, clock, self._roles.leases.confirmed)
        self._told_orders = database.generation
        """the generation of the database that knows the orders of this program"""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start, also again after a stop; does nothing while it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._stopping.is_set():
            self._rounds.begin_again()
            self._handing.begin_anew()
            self._stopping.clear()
        self._thread = threading.Thread(target=self._rounds.run, args=(self._stopping,), name="store", daemon=True)
        self._thread.start()
        if self._upkeep is not None:
            self._upkeep.start()

    def keep(
        self,
        snapshot: Snapshot,
        matrix_text: str,
        portfolio: Portfolio,
        scenario: str = "",
        inputs: Inputs | None = None,
        memory: Memory | None = None,
        alerts: AlertsNow | None = None,
        orders: OrdersNow | None = None,
    ) -> None:
        """Hand over a Snapshot, the text of the matrix in force, the Portfolio and the Inputs it was made from.

        Returns at once and never raises; what goes wrong is in `health()`. `scenario` is the demo's, if it runs;
        `memory` is what is remembered after it. Without Inputs no whole moment is kept, without memory none published.
        """
        self._handing.take(snapshot, matrix_text, portfolio, scenario, inputs)
        if orders is not None and self._told_orders != self._database.generation:
            self._tell_anew([row.name for row in snapshot.sources], scenario, orders)
        if memory is not None:
            self._roles.newest(Published(snapshot, memory, alerts, orders))
            if self._roles.owes:
                self._inbox.wake()

    def fill(self, sources: Sequence[str], scenario: str, past: Past) -> None:
        """Hand over what these sources told of the time before this program watched them; returns at once."""
        if self._upkeep is not None:
            self._upkeep.past(book_of(sources, scenario), past)

    def part(self, sources: Sequence[str], scenario: str = "") -> Part:
        """What this program does with the book of these sources: watch and write it, or read what another publishes."""
        self._roles.want(sources, scenario)
        self._inbox.wake()
        return self._roles.part()

    def hand_alerts(
        self, sources: Sequence[str], scenario: str, events: Sequence[Event], deliveries: Sequence[Delivery]
    ) -> Kept:
        """Hand over what became of alerts and of their deliveries, for one transaction; returns at once, never raises.

        From any thread. What it returns says when all of it is in the database or the spool.
        """
        book, count = book_of(sources, scenario), len(events) + len(deliveries)
        return self._handing.hand(lambda: alert_news(book, events, deliveries, self._numbers), count, "steps of alerts")

    def open_alerts(self, sources: Sequence[str], scenario: str, since: datetime | None = None) -> OpenAlerts:
        """What is still open in the book of these sources, rows that wait in memory or in a spool included; without
        what this program has handed over at or after `since`.

        Blocks as long as the database does; StoreError when that cannot be read.
        """
        own = None if since is None else (self._numbers.run, since)
        return self._left.alerts(book_of(sources, scenario).key, own)

    def given_up(self, sources: Sequence[str], scenario: str, key: str) -> Delivery | None:
        """The delivery `key` in the book of these sources if it was given up, whenever that was, else None.

        Blocks as long as the database does; StoreError when that cannot be read.
        """
        return self._left.given_up(book_of(sources, scenario).key, key)

    def hand_deeds(self, sources: Sequence[str], scenario: str, deeds: Sequence[Deed]) -> Kept:
        """Hand over what was done, for one transaction; returns at once, never raises.

        From any thread. What it returns says when all of it is in the database or the spool; what could not be read
        back as it is, is not taken, and neither is anything beside it.
        """
        book = book_of(sources, scenario)
        return self._handing.hand(
            lambda: deed_news(book, deeds, self._numbers, self._stamps.now(book.key)), len(deeds), "deeds"
        )

    def is_lost(self) -> bool:
        """Whether another program is known to write the book that this one wrote; asks nobody. From any thread."""
        return self._roles.is_lost

    def room(self) -> Room:
        """What the spool keeps for the day on which the disk is full; asks nobody. From any thread."""
        return Room(self._rounds.spool.room, ROOM)

    def open_deeds(self, sources: Sequence[str], scenario: str, since: datetime) -> OpenDeeds:
        """What is open in the book of these sources and what was done since `since`, rows that wait in memory or in a
        spool included.

        Blocks as long as the database does; StoreError when that cannot be read, or something in it that may live.
        """
        return self._left.deeds(book_of(sources, scenario).key, since)

    def requests(self) -> list[Request]:
        """What was asked in other apps since the last call and may still be done; each is told once."""
        return self._rounds.errands.taking.requests()

    def answer(self, answer: Answer) -> None:
        """Tell the app that asked; returns at once."""
        self._rounds.errands.taking.answer(answer)
        self._inbox.wake()

    def ask(self, request: Request) -> None:
        """Put `request` into the store for the program that watches the book this one shows; returns at once."""
        self._rounds.errands.asking.ask(request, self._roles.book)
        self._inbox.wake()

    def answered(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""
        return self._rounds.errands.asking.answered(key)

    def settled(self, seconds: float) -> bool:
        """Wait until all that must survive is in the database or the spool; whether that came within `seconds`."""
        return self._inbox.settled(seconds)

    def health(self) -> StoreHealth:
        """The state of the writer; cheap, callable from any thread."""
        rounds = self._rounds
        return StoreHealth(
            queued=self._inbox.waiting,
            spooled=rounds.spool.count,
            dropped=rounds.dropped + self._inbox.dropped + rounds.bringing.unkept,
            refused=rounds.spool.refused,
            lost=self._handing.lost,
            last_written=rounds.last_written,
            keeps=rounds.keeps,
            problem="; ".join(dict.fromkeys(self._problems())),
        )

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Write what waits, for at most `seconds`; what must survive and is not written then goes to the spool."""
        end = time.monotonic() + seconds
        self._stopping.set()
        self._inbox.wake()
        if self._upkeep is not None:
            self._upkeep.stop(0.0)
        if self._thread is not None:
            self._thread.join(seconds)
        self._rounds.lay_down_rest()
        if self._thread is None or not self._thread.is_alive():
            self._rounds.spool.close()
        if self._upkeep is not None:  # the last one to leave the file folds its log into it
            self._upkeep.stop(max(end - time.monotonic(), 0.0))

    def _tell_anew(self, sources: Sequence[str], scenario: str, orders: OrdersNow) -> None:
        """The database was begun anew: the next start must find in it what may live at a broker."""
        generation = self._database.generation
        deeds: tuple[Deed, ...] = (*orders.records, *orders.overrides, *orders.runs, *orders.changes)
        if not isinstance(self.hand_deeds(sources, scenario, deeds), Nowhere):
            self._told_orders = generation

    def _problems(self) -> Iterator[str]:
        upkeep = "" if self._upkeep is None else self._upkeep.problem
        yield from self._rounds.problems()
        yield from filter(None, (self._handing.problem, upkeep, *self._database.problems))
        if lost := self._handing.lost:
            yield f"{lost} changes found no room in memory while neither database nor disk took any"
        if self._thread is not None and not self._thread.is_alive() and not self._stopping.is_set():
            yield "the writer has ended and nothing is kept; start the program again"
