"""Fills the store from its own thread: the engine hands over and goes on, whatever the database does meanwhile.

What must survive (`guardrails.store.news`) goes to the database, durable when its transaction has committed; where
that fails, to the spool; where that fails too, it waits in memory. Telemetry (`guardrails.store.telemetry`) is dropped
then, and counted. Only the program that holds the lease of a book writes it (`guardrails.store.lease`); another one
reads what the holder publishes.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from guardrails.assess import Inputs
from guardrails.memory import Memory
from guardrails.past import Past
from guardrails.portfolio import Portfolio
from guardrails.snapshot import Snapshot
from guardrails.store.books import book_of
from guardrails.store.bringing import Bringing
from guardrails.store.database import Database
from guardrails.store.faults import is_damage, reason
from guardrails.store.following import LOOK_SECONDS, Published
from guardrails.store.handing import Handing
from guardrails.store.inbox import Inbox
from guardrails.store.lease import BEAT_SECONDS, DEAD_SECONDS, Program
from guardrails.store.metadata import StoreError
from guardrails.store.news import News, Numbers
from guardrails.store.roles import Part, Roles
from guardrails.store.spool import Spool
from guardrails.store.upkeep import Retention, Upkeep

_What = TypeVar("_What")

log = logging.getLogger(__name__)

EVERY_SECONDS, CAPTURE_SECONDS, RETRY_SECONDS, STOP_SECONDS = 15.0, 60.0, 2.0, 5.0
MAX_ROWS, MAX_MOMENTS = 100_000, 20


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
    """moments since the start of which nothing could be kept, as the memory was full of what must survive"""
    last_written: datetime | None
    """when the database last took something"""
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
        numbers = Numbers(secrets.token_hex(8))
        program = Program(numbers.run, platform.node() or "this machine", os.getpid())
        self._roles = Roles(database, program, clock, beat_seconds, dead_seconds)
        self._bringing = Bringing(database, self._roles.leases, numbers, clock)
        self._handing = Handing(self._inbox, numbers, every, capture_every)
        held = self._roles.leases.held
        self._upkeep = None if retention is None else Upkeep(database, retention, clock, held)
        self._problem = ""
        self._last_written: datetime | None = None
        self._not_before = 0.0
        self._dropped = 0
        self._generation = database.generation
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start, also again after a stop; does nothing while it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._stopping.is_set():
            self._spool = Spool(self._spool.path.parent)
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
    ) -> None:
        """Hand over a Snapshot, the text of the matrix in force, the Portfolio and the Inputs it was made from.

        Returns at once and never raises; what goes wrong is in `health()`. `scenario` is the demo's, if it runs;
        `memory` is what is remembered after it. Without Inputs no whole moment is kept, without memory none published.
        """
        self._handing.take(snapshot, matrix_text, portfolio, scenario, inputs)
        if memory is not None:
            self._roles.newest(Published(snapshot, memory))
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
            lost=self._handing.lost,
            last_written=self._last_written,
            problem="; ".join(self._problems()),
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

    def _problems(self) -> Iterator[str]:
        upkeep = "" if self._upkeep is None else self._upkeep.problem
        yield from filter(None, (self._problem, self._handing.problem, self._bringing.head_problem, upkeep))
        yield from self._database.problems
        if self._bringing.refused:
            yield f"{self._bringing.refused} rows were refused by the database and wait in {self._spool.refused_path}"
        if self._handing.lost:
            yield f"{self._handing.lost} changes found no room in memory while neither database nor disk took any"
        if self._thread is not None and not self._thread.is_alive() and not self._stopping.is_set():
            yield "the writer has ended and nothing is kept; start the program again"

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._roles.reads:
                self._inbox.wait(min(self._retry_seconds, self._roles.seconds_to_look()))
            elif not self._reached(Roles.follow, self._roles):
                self._stopping.wait(LOOK_SECONDS)
            if not self._roles.seconds_to_look():
                self._reached(Roles.look, self._roles)
            self._pass()
            if self._roles.owes:
                self._reached(Roles.publish, self._roles)
        self._not_before = 0.0  # one last try, also when the next was not due
        while self._inbox.waiting and self._pass():
            pass
        self._reached(Roles.leave, self._roles)
        self._spool.close()

    def _pass(self) -> bool:
        """Bring the oldest of what waits to where it is kept; False when there is no place for it now."""
        news = self._inbox.take_news()
        if news or (self._spool.count and not self._roles.reads):
            if not self._reached(lambda news: self._bringing.bring(self._spool, news), news) and not self._laid_down(
                news
            ):
                self._inbox.put_back()
                self._stopping.wait(self._retry_seconds)
                return False
            self._inbox.settle()
        moment = self._inbox.take_moment()
        if moment is not None and not self._reached(self._bringing.record, moment):
            self._dropped += 1
        return True

    def _reached(self, job: Callable[[_What], None], what: _What) -> bool:
        """Whether `job` brought `what` into the database; after a failure it is left alone for a while."""
        if time.monotonic() < self._not_before:
            return False
        try:
            job(what)
        except Exception as error:  # the thread outlives whatever the database does
            self._failed(error)
            return False
        finally:
            if self._database.generation != self._generation:
                self._generation = self._database.generation
                self._handing.begin_anew()  # the new file knows nothing of what was handed over before
        self._problem, self._last_written = "", self._now()
        return True

    def _failed(self, error: Exception) -> None:
        why = reason(error)
        self._not_before = time.monotonic() + self._retry_seconds
        if is_damage(error):
            try:
                self._database.set_aside()
                self._not_before = 0.0
            except (StoreError, OSError) as another:
                why = reason(another)
        said = f"{self._database.name} takes no rows ({why}); what must survive waits in {self._spool.path.name}"
        if said != self._problem:
            log.error("%s", said, exc_info=None if why != type(error).__name__ else error)
        self._problem = said

    def _laid_down(self, news: Sequence[News]) -> bool:
        """Whether the rows of `news` are in the spool."""
        try:
            self._spool.append([row for one in news for row in one.rows])
        except (OSError, StoreError) as error:
            said = f"{self._problem.partition(';')[0]}; nor can {self._spool.path.name} be written ({reason(error)})"
            if said != self._problem:
                log.critical("%s", said)
            self._problem = said
            return False
        return True
