"""The slow work on the store, in a thread of its own: quarters are told, old rows moved to files, the past filled in.

It uses connections of its own and short transactions, so what must survive never waits for it. A program that writes a
book also keeps up those that no program writes any more, as when the sources were changed: else their last quarters
would never be told, nor their rows moved to files. Two programs that do so at once do each other no harm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from guardrails.past import Past
from guardrails.store.backfill import store_past
from guardrails.store.books import Book
from guardrails.store.database import Database
from guardrails.store.faults import reason
from guardrails.store.lease import DEAD_SECONDS
from guardrails.store.schema import BOOKS
from guardrails.store.sharing import LEASES

log = logging.getLogger(__name__)

EVERY_SECONDS, RETRY_SECONDS = 60.0, 1800.0
_MOST_PASTS = 10
_Sign = tuple[Any, ...]
"""token, program and sign of life of a lease"""


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept, and where."""

    folder: Path
    """the data folder; old rows go to `archive` in it"""
    raw_days: int
    """sessions of which every row stays in the database"""
    archive_days: int
    """calendar days after which the files are deleted; 0 never"""


class Upkeep:
    """Start it, stop it; `past` hands over what is to be filled in."""

    def __init__(
        self,
        database: Database,
        retention: Retention,
        clock: Callable[[], datetime],
        mine: Callable[[], Collection[str]],
        every: float = EVERY_SECONDS,
        dead_seconds: float = DEAD_SECONDS,
    ) -> None:
        """`mine` says which books this program writes; one that has shown no sign of life for `dead_seconds` is
        written by none.
        """
        self._database, self._retention, self._now, self._mine, self._every = database, retention, clock, mine, every
        self._dead_seconds = dead_seconds
        self._signs: dict[str, tuple[_Sign, float]] = {}
        """of each book that this program does not write, and since when it is the same"""
        self._books: frozenset[str] = frozenset()
        """that this round is about"""
        self._kept_up: frozenset[str] = frozenset()
        """of which old rows were looked for since they were last due"""
        self._pasts: deque[tuple[Book, Past]] = deque(maxlen=_MOST_PASTS)
        self._retired: datetime | None = None
        self._not_before = 0.0
        self._problems: dict[str, str] = {}
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def problem(self) -> str:
        """What goes wrong now; empty when nothing."""
        problems = list(self._problems.copy().values())
        if self._thread is not None and not self._thread.is_alive() and not self._stopping.is_set():
            problems.append("the upkeep of the history has ended; start the program again")
        return "; ".join(problems)

    def start(self) -> None:
        """Start, also again after a stop; does nothing while it runs."""
        self._stopping.clear()  # a thread that has not come to its end after a stop goes on
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End soon, waiting at most so long: whatever is under way can be broken off and goes on at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def past(self, book: Book, past: Past) -> None:
        """Fill `past` into `book` when there is time."""
        self._pasts.append((book, past))
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._every)
            self._wake.clear()
            if not self._stopping.is_set():
                self._try("upkeep", self._round)

    def _round(self) -> None:
        mine = frozenset(self._mine())
        if not mine:
            return
        self._books = mine | self._nobodys(mine)
        self._try("quarters", self._roll_up)
        if not self._stopping.is_set():
            self._try("archive", self._retire)
        for _ in range(len(self._pasts)):
            if self._stopping.is_set():
                break
            told = self._pasts.popleft()
            if not self._try("past", lambda told=told: self._fill(*told)) and len(self._pasts) < _MOST_PASTS:  # type: ignore[misc]  # bound here
                self._pasts.append(told)  # a database that is away now takes it later

    def _try(self, name: str, job: Callable[[], None]) -> bool:
        """Whether `job` was done; what goes wrong is a problem until it goes right."""
        try:
            job()
        except Exception as error:  # the thread outlives whatever the database and the disk do
            said = f"{name}: {reason(error)}"
            if self._problems.get(name) != said:
                log.exception("the upkeep of %s failed", self._database.name)
            self._problems[name] = said
            return False
        self._problems.pop(name, None)
        return True

    def _roll_up(self) -> None:
        from guardrails.store.rollup import roll_up  # noqa: PLC0415  # a start need not wait for it

        roll_up(self._database, self._now(), books=self._books)

    def _retire(self) -> None:
        from guardrails.store.archive import next_due, retire  # noqa: PLC0415  # loads the Parquet library

        now, keep = self._now(), self._retention
        due = next_due(self._retired, now) <= now
        books = self._books if due else self._books - self._kept_up
        if not books or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + RETRY_SECONDS  # a full disk is not looked at every minute
        retire(self._database, keep.folder, keep.raw_days, keep.archive_days, now, books)
        self._retired, self._kept_up = (now, books) if due else (self._retired, self._kept_up | books)
        self._not_before = 0.0

    def _nobodys(self, mine: Collection[str]) -> frozenset[str]:
        """The books that no program writes: given back, or without a sign of life."""
        c, now = LEASES.c, time.monotonic()
        query = select(BOOKS.c.book, c.token, c.run, c.beat).join_from(
            BOOKS, LEASES, BOOKS.c.book == c.book, isouter=True
        )
        with self._database.reading() as connection:
            signs = {row.book: tuple(row[1:]) for row in connection.execute(query) if row.book not in mine}
        before = self._signs
        self._signs = {
            book: before[book] if book in before and before[book][0] == sign else (sign, now)
            for book, sign in signs.items()
        }
        return frozenset(
            book for book, (sign, since) in self._signs.items() if sign[1] is None or now - since >= self._dead_seconds
        )

    def _fill(self, book: Book, past: Past) -> None:
        with self._database.writing(durable=True) as connection:
            stored = store_past(connection, book, past, self._now())
        for line in (*past.problems, *stored.contradicting, *stored.refused):
            log.warning("filling in the past: %s", line)
