"""Fills the store from its own thread: the engine hands over and goes on, whatever the database does meanwhile.

What must survive (`guardrails.store.news`) is worked out when it is handed over, so that no change of level between
two moments is lost. It goes to the database, durable when its transaction has committed; where that fails, to the
spool; where that fails too, it waits in memory. Telemetry (`guardrails.store.telemetry`) is dropped then, and counted.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from guardrails.portfolio import Portfolio
from guardrails.snapshot import Snapshot
from guardrails.store.books import book_of, owners_of
from guardrails.store.database import Database
from guardrails.store.evidence import HEAD_FILE, Link, keep_head
from guardrails.store.faults import is_damage, is_refusal, reason
from guardrails.store.inbox import Inbox
from guardrails.store.metadata import StoreError
from guardrails.store.news import News, Numbers, Seen, is_matrix, news_of, resumed
from guardrails.store.proof import insert_proven
from guardrails.store.spool import Sent, Spool
from guardrails.store.telemetry import Moment, Telemetry

_What = TypeVar("_What")

log = logging.getLogger(__name__)

EVERY_SECONDS, RETRY_SECONDS, STOP_SECONDS = 15.0, 2.0, 5.0
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
        retry_seconds: float = RETRY_SECONDS,
        max_rows: int = MAX_ROWS,
        max_moments: int = MAX_MOMENTS,
    ) -> None:
        self._database, self._now = database, clock
        self._spool = Spool(spool_folder)
        self._telemetry = Telemetry(database)
        self._inbox = Inbox(max_rows, max_moments)
        self._every, self._retry_seconds = timedelta(seconds=every), retry_seconds
        self._numbers = Numbers(secrets.token_hex(8))
        self._seen = Seen()
        self._last: Snapshot | None = None
        """the last one of which telemetry was handed over"""
        self._dropped = self._refused = self._lost = 0
        self._problem = self._handing_problem = self._head_problem = ""
        self._last_written: datetime | None = None
        self._not_before = 0.0
        self._generation = database.generation
        self._anew, self._stopping = threading.Event(), threading.Event()
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

    def keep(self, snapshot: Snapshot, matrix_text: str, portfolio: Portfolio, scenario: str = "") -> None:
        """Hand over a Snapshot, the text of the matrix in force, and the Portfolio the Snapshot was made from.

        Returns at once and never raises; what goes wrong is in `health()`. `scenario` is the demo's, if it runs.
        """
        try:
            self._keep(snapshot, matrix_text, portfolio, scenario)
        except Exception as error:  # the engine outlives whatever the store does
            said = f"the last snapshot was not kept ({type(error).__name__}); see the log"
            if said != self._handing_problem:
                log.exception("a snapshot could not be handed to the store")
            self._handing_problem = said

    def settled(self, seconds: float) -> bool:
        """Wait until all that must survive is in the database or the spool; whether that came within `seconds`."""
        return self._inbox.settled(seconds)

    def health(self) -> StoreHealth:
        """The state of the writer; cheap, callable from any thread."""
        return StoreHealth(
            queued=self._inbox.waiting,
            spooled=self._spool.count,
            dropped=self._dropped + self._inbox.dropped,
            refused=self._refused,
            lost=self._lost,
            last_written=self._last_written,
            problem="; ".join(self._problems()),
        )

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Write what waits, for at most `seconds`; what must survive and is not written then goes to the spool."""
        self._stopping.set()
        self._inbox.wake()
        if self._thread is not None:
            self._thread.join(seconds)
        left = _rows_of(self._inbox.unsettled())
        if left:  # the thread may still write some of them: a row that is sent twice is stored once
            try:
                self._spool.append(left)
            except (OSError, StoreError) as error:
                log.critical("%d rows that must survive are lost at the stop: %s", len(left), reason(error))
        if self._thread is None or not self._thread.is_alive():
            self._spool.close()

    def _keep(self, snapshot: Snapshot, matrix_text: str, portfolio: Portfolio, scenario: str) -> None:
        book, owners = book_of((row.name for row in snapshot.sources), scenario), owners_of(portfolio)
        if self._anew.is_set():
            self._anew.clear()
            self._seen, self._last = Seen(), None
        problem = ""
        news, seen = news_of(self._seen, snapshot, matrix_text, owners, book, self._numbers)
        if seen.matrix_version != snapshot.matrix_version and not is_matrix(matrix_text, snapshot):
            problem = (
                f"the text of the matrix in force, {snapshot.matrix_version}, is not kept: another was handed over"
            )
        if not news.rows or self._inbox.put_news(news):
            self._seen = seen
        else:
            self._lost += 1
        self._handing_problem = problem
        if news.rows or self._is_due(snapshot):
            self._inbox.put_moment(Moment(book, snapshot, owners))
            self._last = snapshot

    def _problems(self) -> Iterator[str]:
        yield from filter(None, (self._problem, self._handing_problem, self._head_problem))
        yield from self._database.problems
        if self._refused:
            yield f"{self._refused} rows were refused by the database and wait in {self._spool.refused_path}"
        if self._lost:
            yield f"{self._lost} changes found no room in memory while neither database nor disk took any"
        if self._thread is not None and not self._thread.is_alive() and not self._stopping.is_set():
            yield "the writer has ended and nothing is kept; start the program again"

    def _is_due(self, snapshot: Snapshot) -> bool:
        last = self._last
        if last is None or (last.level, last.regime.name) != (snapshot.level, snapshot.regime.name):
            return True
        return not last.as_of <= snapshot.as_of < last.as_of + self._every

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._inbox.wait(self._retry_seconds)
            self._pass()
        self._not_before = 0.0  # one last try, also when the next was not due
        while self._inbox.waiting and self._pass():
            pass
        self._spool.close()

    def _pass(self) -> bool:
        """Bring the oldest of what waits to where it is kept; False when there is no place for it now."""
        news = self._inbox.take_news()
        if news or self._spool.count:
            if not self._reached(self._bring, news) and not self._laid_down(news):
                self._inbox.put_back()
                self._stopping.wait(self._retry_seconds)
                return False
            self._inbox.settle()
        moment = self._inbox.take_moment()
        if moment is not None and not self._reached(self._record, moment):
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
                self._anew.set()  # the new file knows nothing of what was handed over before
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
            self._spool.append(_rows_of(news))
        except (OSError, StoreError) as error:
            said = f"{self._problem.partition(';')[0]}; nor can {self._spool.path.name} be written ({reason(error)})"
            if said != self._problem:
                log.critical("%s", said)
            self._problem = said
            return False
        return True

    def _bring(self, news: Sequence[News]) -> None:
        """Store what the spool holds, then `news`."""
        for batch in self._spool.batches():
            self._insert(batch)
        rows: list[Sent] = []
        for one in news:
            if not one.first:
                rows += one.rows
                continue
            self._insert(rows)
            with self._database.reading() as connection:
                rows = resumed(connection, one, self._numbers)
        self._insert(rows)

    def _insert(self, rows: Sequence[Sent]) -> None:
        """Store `rows` in one durable transaction; rows that no database takes are put aside, the others stored."""
        if not rows:
            return
        try:
            with self._database.writing(durable=True) as connection:
                links = insert_proven(connection, rows)
        except Exception as error:
            if not is_refusal(error):
                raise
            if len(rows) > 1:
                for row in rows:
                    self._insert([row])
                return
            log.exception("%s refused a row of %s", self._database.name, rows[0][0])
            self._spool.refuse([json.dumps(rows[0]).encode("ascii") + b"\n"])
            self._refused += 1

        else:
            self._keep_head(links)

    def _keep_head(self, links: Sequence[Link]) -> None:
        """Write the end of the evidence beside the database; what contradicts it is a problem until it does not."""
        try:
            with self._database.reading() as connection:
                found = keep_head(self._database.folder / HEAD_FILE, connection, links)
        except (OSError, StoreError) as error:
            self._head_problem = f"{HEAD_FILE} cannot be kept ({reason(error)})"
            return
        self._head_problem = "; ".join(str(each) for each in found)

    def _record(self, moment: Moment) -> None:
        """Store one moment; what no database would take is dropped, the fault is not the database's."""
        try:
            kept = self._telemetry.keep(moment)
        except Exception as error:
            if not is_refusal(error):
                raise
            log.exception("the telemetry of one moment is dropped")
            kept = False
        self._dropped += not kept


def _rows_of(news: Iterable[News]) -> list[Sent]:
    return [row for one in news for row in one.rows]
