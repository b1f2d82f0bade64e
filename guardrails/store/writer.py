"""Fills the store from its own thread: the engine hands over and goes on, whatever the database does meanwhile.

What must survive (`guardrails.store.news`) goes to the database, durable when its transaction has committed; where
that fails, to the spool; where that fails too, it waits in memory. Telemetry (`guardrails.store.telemetry`) is dropped
then, and counted. Only the program that holds the lease of a book writes it (`guardrails.store.lease`); another one
reads what the holder publishes.
"""

from __future__ import annotations

import logging
import secrets
import threading
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
from guardrails.snapshot import Snapshot
from guardrails.store.alert_rows import alert_news
from guardrails.store.attempts import BRING, FOLLOW, LEAVE, LOOK, PUBLISH, RECORD, REQUESTS, Attempts
from guardrails.store.books import book_of
from guardrails.store.bringing import Bringing
from guardrails.store.database import Database
from guardrails.store.deed_rows import deed_news
from guardrails.store.faults import reason
from guardrails.store.following import LOOK_SECONDS, Published
from guardrails.store.handing import Handing
from guardrails.store.health import StoreHealth
from guardrails.store.inbox import Inbox, Nowhere, Place
from guardrails.store.lease import BEAT_SECONDS, DEAD_SECONDS, this_program
from guardrails.store.leftovers import Leftovers
from guardrails.store.metadata import StoreError
from guardrails.store.news import News, Numbers
from guardrails.store.requests import Errands
from guardrails.store.roles import Part, Roles
from guardrails.store.spool import Sent, Spool, waiting_rows
from guardrails.store.stamps import Stamps
from guardrails.store.telemetry import Moment
from guardrails.store.upkeep import Retention, Upkeep

log = logging.getLogger(__name__)

EVERY_SECONDS, CAPTURE_SECONDS, RETRY_SECONDS, STOP_SECONDS = 15.0, 60.0, 2.0, 5.0
MAX_ROWS, MAX_MOMENTS = 100_000, 20


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
        self._database, self._now = database, clock
        self._spool = Spool(spool_folder)
        self._inbox = Inbox(max_rows, max_moments)
        self._retry_seconds = retry_seconds
        self._numbers = numbers = Numbers(secrets.token_hex(8))
        self._roles = Roles(database, this_program(numbers.run), clock, beat_seconds, dead_seconds)
        self._errands = Errands(database, self._roles, numbers.run, clock)
        self._bringing = Bringing(database, self._roles.leases, numbers, clock, self._look_if_due)
        self._handing = Handing(self._inbox, numbers, every, capture_every)
        self._tries = Attempts(database, self._roles, self._spool, self._handing.begin_anew, retry_seconds)
        self._stamps = Stamps(clock)
        self._left = Leftovers(database, self._waiting_rows, self._stamps, clock)
        mine = self._roles.leases.confirmed
        self._upkeep = None if retention is None else Upkeep(database, retention, clock, mine)
        self._keeps = True
        self._last_written: datetime | None = None
        self._dropped = self._lost_deeds = 0
        self._told_orders = database.generation
        """the generation of the database that knows the orders of this program"""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start, also again after a stop; does nothing while it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._stopping.is_set():
            self._spool = self._tries.spool = Spool(self._spool.path.parent)
            self._handing.begin_anew()
            self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
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
        if not events and not deliveries:
            return Place(self._inbox, 0)
        try:
            news = alert_news(book_of(sources, scenario), events, deliveries, self._numbers)
            place = self._inbox.put_news(news)
        except Exception:  # whoever tells of alerts goes on
            log.exception("%d events of alerts cannot be written", len(events))
            place = None
        if place is None:
            self._lost_deeds += len(events) + len(deliveries)
        return place or Nowhere()

    def open_alerts(self, sources: Sequence[str], scenario: str, since: datetime | None = None) -> OpenAlerts:
        """What is still open in the book of these sources, rows that wait in memory or in a spool included.

        Without what this program has handed over at or after `since`.

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
        if not deeds:
            return Place(self._inbox, 0)
        try:
            book = book_of(sources, scenario)
            place = self._inbox.put_news(deed_news(book, deeds, self._numbers, self._stamps.now(book.key)))
        except Exception as error:  # whoever trades goes on, and is told that it is not kept
            log.error("%d deeds cannot be written (%s: %s)", len(deeds), type(error).__name__, reason(error))  # noqa: TRY400  # a trace would show the values
            place = None
        if place is None:
            self._lost_deeds += len(deeds)
        return place or Nowhere()

    def is_lost(self) -> bool:
        """Whether another program is known to write the book that this one wrote; asks nobody. From any thread."""
        return self._roles.is_lost

    def open_deeds(self, sources: Sequence[str], scenario: str, since: datetime) -> OpenDeeds:
        """What is open in the book of these sources and what was done since `since`, rows that wait in memory or in a
        spool included.

        Blocks as long as the database does; StoreError when that cannot be read, or something in it that may live.
        """
        return self._left.deeds(book_of(sources, scenario).key, since)

    def requests(self) -> list[Request]:
        """What was asked in other apps since the last call and may still be done; each is told once."""
        return self._errands.taking.requests()

    def answer(self, answer: Answer) -> None:
        """Tell the app that asked; returns at once."""
        self._errands.taking.answer(answer)
        self._inbox.wake()

    def ask(self, request: Request) -> None:
        """Put `request` into the store for the program that watches the book this one shows; returns at once."""
        self._errands.asking.ask(request, self._roles.book)
        self._inbox.wake()

    def answered(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""
        return self._errands.asking.answered(key)

    def settled(self, seconds: float) -> bool:
        """Wait until all that must survive is in the database or the spool; whether that came within `seconds`."""
        return self._inbox.settled(seconds)

    def health(self) -> StoreHealth:
        """The state of the writer; cheap, callable from any thread."""
        return StoreHealth(
            queued=self._inbox.waiting,
            spooled=self._spool.count,
            dropped=self._dropped + self._inbox.dropped + self._bringing.unkept,
            refused=self._spool.refused,
            lost=self._handing.lost + self._lost_deeds,
            last_written=self._last_written,
            keeps=self._keeps,
            problem="; ".join(dict.fromkeys(self._problems())),
        )

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Write what waits, for at most `seconds`; what must survive and is not written then goes to the spool."""
        self._stopping.set()
        self._inbox.wake()
        if self._upkeep is not None:
            self._upkeep.stop(0.0)
        if self._thread is not None:
            self._thread.join(seconds)
        left = [row for news in self._inbox.unsettled() for row in news.rows]
        if left:  # the thread may still write some of them: a row that is sent twice is stored once
            try:
                self._spool.append(left)
            except (OSError, StoreError) as error:
                log.critical("%d rows that must survive are lost at the stop: %s", len(left), reason(error))
        if self._thread is None or not self._thread.is_alive():
            self._spool.close()

    def _tell_anew(self, sources: Sequence[str], scenario: str, orders: OrdersNow) -> None:
        """The database was begun anew: the next start must find in it what may live at a broker."""
        generation = self._database.generation
        deeds: tuple[Deed, ...] = (*orders.records, *orders.overrides, *orders.runs, *orders.changes)
        if not isinstance(self.hand_deeds(sources, scenario, deeds), Nowhere):
            self._told_orders = generation

    def _waiting_rows(self) -> list[Sent]:
        """Rows that are not in the database yet; in the order in which they move on, so that none is missed."""
        waiting = [row for news in self._inbox.unsettled() for row in news.rows]
        return waiting + waiting_rows(self._spool.path.parent)

    def _problems(self) -> Iterator[str]:
        upkeep = "" if self._upkeep is None else self._upkeep.problem
        yield from self._tries.problems()
        yield from filter(None, (self._handing.problem, self._bringing.head_problem, upkeep))
        yield from self._database.problems
        if refused := self._spool.refused:
            yield f"{refused} rows were refused by the database and wait in {self._spool.refused_path}"
        if lost := self._handing.lost + self._lost_deeds:
            yield f"{lost} changes found no room in memory while neither database nor disk took any"
        if self._thread is not None and not self._thread.is_alive() and not self._stopping.is_set():
            yield "the writer has ended and nothing is kept; start the program again"

    def _run(self) -> None:
        tries = self._tries
        while not self._stopping.is_set():
            if not self._roles.reads:
                pause = min(self._retry_seconds, self._roles.seconds_to_look(), self._errands.seconds_to_run)
                self._inbox.wait(max(pause, tries.rest))
            elif not tries.reached(FOLLOW, Roles.follow, self._roles):
                self._stopping.wait(LOOK_SECONDS)
            self._look_if_due()
            self._pass()
            if self._roles.owes:
                tries.reached(PUBLISH, Roles.publish, self._roles)
            if self._errands.is_due:
                tries.reached(REQUESTS, Errands.run, self._errands)
            else:  # what failed may have been given up since
                tries.forget(REQUESTS)
        tries.at_once()  # one last time, also when the next was not due
        while self._inbox.waiting and self._pass():
            pass
        tries.reached(REQUESTS, Errands.end, self._errands)
        tries.reached(LEAVE, Roles.leave, self._roles)
        self._spool.close()

    def _look_if_due(self) -> None:
        if self._roles.seconds_to_look() or not self._tries.reached(LOOK, Roles.look, self._roles):
            return
        if self._roles.reads and self._keeps:  # then it is no fault that this program cannot write
            self._tries.forgive()

    def _pass(self) -> bool:
        """Bring the oldest of what waits to where it is kept; False when there is no place for it now."""
        news = self._inbox.take_news()
        if news or (self._spool.count and not self._roles.reads):
            is_brought = self._tries.reached(BRING, self._bring, news)
            self._keeps = is_brought or self._tries.laid_down(news, self._stopping)
            if not self._keeps:
                self._inbox.put_back()
                return False
            self._inbox.settle()
        moment = self._inbox.take_moment()
        if moment is not None and not self._tries.reached(RECORD, self._record, moment):
            self._dropped += 1
        return True

    def _bring(self, news: Sequence[News]) -> None:
        self._bringing.bring(self._spool, news)
        self._last_written = self._now()

    def _record(self, moment: Moment) -> None:
        self._bringing.record(moment)
        self._last_written = self._now()
