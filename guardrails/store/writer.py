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
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

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
from guardrails.store.alerts_open import given_up, open_alerts
from guardrails.store.books import book_of
from guardrails.store.bringing import Bringing
from guardrails.store.database import Database
from guardrails.store.deed_rows import deed_news
from guardrails.store.deeds_open import open_deeds
from guardrails.store.faults import is_damage, reason
from guardrails.store.following import LOOK_SECONDS, Published
from guardrails.store.handing import Handing
from guardrails.store.inbox import Inbox, Nowhere, Place
from guardrails.store.lease import BEAT_SECONDS, DEAD_SECONDS, LeaseError, this_program
from guardrails.store.metadata import StoreError
from guardrails.store.news import News, Numbers
from guardrails.store.requests import Errands
from guardrails.store.roles import Part, Roles
from guardrails.store.spool import Sent, Spool, waiting_rows
from guardrails.store.telemetry import Moment
from guardrails.store.upkeep import Retention, Upkeep

_What = TypeVar("_What")

log = logging.getLogger(__name__)

EVERY_SECONDS, CAPTURE_SECONDS, RETRY_SECONDS, STOP_SECONDS = 15.0, 60.0, 2.0, 5.0
MAX_ROWS, MAX_MOMENTS = 100_000, 20
_FAILS = {
    "bring": "takes no rows",
    "look": "does not say who writes",
    "follow": "does not show what another program sees",
    "publish": "does not show others what this program sees",
    "requests": "does not pass on what persons ask",
    "leave": "was not told that this program ends",
}
"""what is wrong when a job fails"""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Whether what was handed over is kept."""

    queued: int
    """rows that must survive, and moments of telemetry, that wait in memory"""
    spooled: int
    """rows that wait on the disk for the database"""
    dropped: int
    """moments of telemetry that were not kept, since the start"""
    refused: int
    """rows the database would never take, since the start; they are in `refused.jsonl`"""
    lost: int
    """moments, steps of alerts and deeds since the start of which nothing could be kept, as the memory was full of what
    must survive"""
    last_written: datetime | None
    """when the database last took something"""
    keeps: bool
    """whether what must survive is taken by the database or the spool"""
    problem: str
    """what is wrong now, or was with the file since the start; empty when nothing"""


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
        mine = self._roles.leases.confirmed
        self._upkeep = None if retention is None else Upkeep(database, retention, clock, mine)
        self._wrong: dict[str, str] = {}
        """what goes wrong now, by what was tried"""
        self._refused = set[str]()
        """which of it only because another program writes"""
        self._logged: dict[str, str] = {}
        """what was logged of what still goes wrong; a full disk alternates between two problems of one job"""
        self._keeps = True
        self._last_written: datetime | None = None
        self._not_before = 0.0
        self._dropped = self._lost_deeds = 0
        self._seen_files = (database.generation, 0)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start, also again after a stop; does nothing while it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._stopping.is_set():
            self._spool = Spool(self._spool.path.parent)
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
        waiting = self._waiting_rows()
        own = None if since is None else (self._numbers.run, since)
        try:
            with self._database.reading() as connection:
                return open_alerts(connection, book_of(sources, scenario).key, waiting, self._now(), own)
        except Exception as error:
            raise StoreError(f"{self._database.name} does not say which alerts are open ({reason(error)})") from error

    def given_up(self, sources: Sequence[str], scenario: str, key: str) -> Delivery | None:
        """The delivery `key` in the book of these sources if it was given up, whenever that was, else None.

        Blocks as long as the database does; StoreError when that cannot be read.
        """
        waiting = self._waiting_rows()
        try:
            with self._database.reading() as connection:
                return given_up(connection, book_of(sources, scenario).key, waiting, key)
        except Exception as error:
            raise StoreError(f"{self._database.name} does not say what was given up ({reason(error)})") from error

    def hand_deeds(self, sources: Sequence[str], scenario: str, deeds: Sequence[Deed]) -> Kept:
        """Hand over what was done, for one transaction; returns at once, never raises.

        From any thread. What it returns says when all of it is in the database or the spool; what could not be read
        back as it is, is not taken, and neither is anything beside it.
        """
        if not deeds:
            return Place(self._inbox, 0)
        try:
            place = self._inbox.put_news(deed_news(book_of(sources, scenario), deeds, self._numbers, self._now()))
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
        waiting = self._waiting_rows()
        try:
            with self._database.reading() as connection:
                return open_deeds(connection, book_of(sources, scenario).key, waiting, since, self._now())
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(f"{self._database.name} does not say which orders are open ({reason(error)})") from error

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
            refused=self._bringing.refused,
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

    def _waiting_rows(self) -> list[Sent]:
        """Rows that are not in the database yet; in the order in which they move on, so that none is missed."""
        waiting = [row for news in self._inbox.unsettled() for row in news.rows]
        return waiting + waiting_rows(self._spool.path.parent)

    def _problems(self) -> Iterator[str]:
        upkeep = "" if self._upkeep is None else self._upkeep.problem
        yield from self._wrong.copy().values()
        yield from filter(None, (self._handing.problem, self._bringing.head_problem, upkeep))
        yield from self._database.problems
        if self._bringing.refused:
            yield f"{self._bringing.refused} rows were refused by the database and wait in {self._spool.refused_path}"
        if lost := self._handing.lost + self._lost_deeds:
            yield f"{lost} changes found no room in memory while neither database nor disk took any"
        if self._thread is not None and not self._thread.is_alive() and not self._stopping.is_set():
            yield "the writer has ended and nothing is kept; start the program again"

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._roles.reads:
                pause = min(self._retry_seconds, self._roles.seconds_to_look(), self._errands.seconds_to_run)
                self._inbox.wait(max(pause, self._not_before - time.monotonic(), 0.0))
            elif not self._reached("follow", Roles.follow, self._roles):
                self._stopping.wait(LOOK_SECONDS)
            self._look_if_due()
            self._pass()
            if self._roles.owes:
                self._reached("publish", Roles.publish, self._roles)
            if self._errands.is_due:
                self._reached("requests", Errands.run, self._errands)
            else:  # what failed may have been given up since
                self._wrong.pop("requests", None)
        self._not_before = 0.0  # one last try, also when the next was not due
        while self._inbox.waiting and self._pass():
            pass
        self._reached("requests", Errands.end, self._errands)
        self._reached("leave", Roles.leave, self._roles)
        self._spool.close()

    def _look_if_due(self) -> None:
        if self._roles.seconds_to_look() or not self._reached("look", Roles.look, self._roles):
            return
        if self._roles.reads and self._keeps:  # then it is no fault that this program cannot write
            for name in self._refused:
                self._wrong.pop(name, None)
            self._refused.clear()

    def _pass(self) -> bool:
        """Bring the oldest of what waits to where it is kept; False when there is no place for it now."""
        news = self._inbox.take_news()
        if news or (self._spool.count and not self._roles.reads):
            self._keeps = self._reached("bring", self._bring, news) or self._laid_down(news)
            if not self._keeps:
                self._inbox.put_back()
                self._stopping.wait(self._retry_seconds)
                return False
            self._inbox.settle()
        moment = self._inbox.take_moment()
        if moment is not None and not self._reached("record", self._record, moment):
            self._dropped += 1
        return True

    def _bring(self, news: Sequence[News]) -> None:
        self._bringing.bring(self._spool, news)
        self._last_written = self._now()

    def _record(self, moment: Moment) -> None:
        self._bringing.record(moment)
        self._last_written = self._now()

    def _reached(self, name: str, job: Callable[[_What], None], what: _What) -> bool:
        """Whether `job` did what it should with the database; after a failure that is left alone for a while."""
        if time.monotonic() < self._not_before:
            return False
        try:
            job(what)
        except Exception as error:  # the thread outlives whatever the database does
            self._failed(name, error)
            return False
        finally:
            self._roles.lost()
            files = (self._database.generation, self._roles.leases.regained)
            if files != self._seen_files:
                self._seen_files = files
                self._handing.begin_anew()  # it is no longer known what the database knows of what was handed over
        # a database that takes rows takes telemetry as well, as the next moment will show
        for done in (name, *(("record", "spool") if name == "bring" else ())):
            self._wrong.pop(done, None)
            self._logged.pop(done, None)
        return True

    def _failed(self, name: str, error: Exception) -> None:
        why = reason(error)
        if isinstance(error, LeaseError):  # the database works: who writes now can be seen at once
            self._refused.add(name)
        else:
            self._not_before = time.monotonic() + self._retry_seconds
            self._refused.discard(name)
        if is_damage(error):
            try:
                self._database.set_aside()
                self._not_before = 0.0
            except (StoreError, OSError) as another:
                why = reason(another)
        said = f"{self._database.name} {_FAILS.get(name, _FAILS['bring'])} ({why})"
        if name == "bring":
            said += f"; what must survive waits in {self._spool.path.name}"
        elif name == "record":
            said += "; telemetry is dropped, and counted"
        self._log_once(name, logging.ERROR, said, None if why != type(error).__name__ else error)
        self._wrong[name] = said

    def _laid_down(self, news: Sequence[News]) -> bool:
        """Whether the rows of `news` are in the spool."""
        try:
            self._spool.append([row for one in news for row in one.rows])
        except (OSError, StoreError) as error:
            why = reason(error)
            # while the database is left alone after another job failed, "bring" itself was not tried
            first = (self._wrong.get("bring") or next(iter(self._wrong.values()), "")).partition(";")[0]
            said = f"{first or 'the database is left alone'}; nor can {self._spool.path.name} be written ({why})"
            self._log_once("spool", logging.CRITICAL, said, about=why)
            self._wrong["bring"] = said
            return False
        self._logged.pop("spool", None)
        return True

    def _log_once(self, name: str, level: int, said: str, error: Exception | None = None, about: str = "") -> None:
        """Log it unless `about`, else the whole sentence, is what was last logged of this job."""
        if self._logged.get(name) != (about or said):
            log.log(level, "%s", said, exc_info=error)
        self._logged[name] = about or said
