"""Brings what was handed over into the database, under the lease of its book; belongs to the writer's thread."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from guardrails.store.books import Book
from guardrails.store.database import Database
from guardrails.store.evidence import Link
from guardrails.store.evidence_head import HEAD_FILE, keep_head
from guardrails.store.faults import is_refusal, reason
from guardrails.store.inserts import columns
from guardrails.store.lease import LeaseError, Leases
from guardrails.store.metadata import METADATA, StoreError
from guardrails.store.news import News, Numbers, resumed
from guardrails.store.proof import insert_proven
from guardrails.store.schema import BOOKS
from guardrails.store.spool import Sent, Spool
from guardrails.store.telemetry import Moment, Telemetry

_Answer = TypeVar("_Answer")

DRAIN_SECONDS = 10.0
"""how long rows of a book that another program writes are left alone"""
log = logging.getLogger(__name__)


class Bringing:
    """Database errors are raised; rows that no database would take are put aside."""

    def __init__(
        self,
        database: Database,
        leases: Leases,
        numbers: Numbers,
        clock: Callable[[], datetime],
        between: Callable[[], None],
    ) -> None:
        """`between` is called between two batches of a spool, which may be many."""
        self._database, self._leases, self._numbers, self._now = database, leases, numbers, clock
        self._between = between
        self._telemetry = Telemetry(database, leases.check)
        self.unkept = 0
        """moments of telemetry that the database would never take, since the start"""
        self.head_problem = ""
        self._drain_after = 0.0

    def bring(self, spool: Spool, news: Sequence[News]) -> None:
        """Store what the spool holds, then `news`."""
        try:
            for batch in () if time.monotonic() < self._drain_after else spool.batches():
                self._insert(batch, spool)
                self._between()
        except LeaseError as error:  # of a book that another program writes: its rows wait, those of `news` need not
            log.warning("rows wait in %s: %s", spool.path.name, error)
            self._drain_after = time.monotonic() + DRAIN_SECONDS
        rows: list[Sent] = []
        for one in news:
            if not one.first:
                rows += one.rows
                continue
            self._insert(rows, spool)
            with self._database.reading() as connection:
                rows = resumed(connection, one, self._numbers)
        self._insert(rows, spool)

    def record(self, moment: Moment) -> None:
        """Store one moment; what no database would take is dropped and counted, the fault is not the database's."""
        try:
            kept = self._under_lease([moment.book], lambda: self._telemetry.keep(moment))
        except Exception as error:
            if not is_refusal(error):
                raise
            log.exception("the telemetry of one moment is dropped")
            kept = False
        self.unkept += not kept

    def _insert(self, rows: Sequence[Sent], spool: Spool) -> None:
        """Store `rows` in one durable transaction; rows that no database takes are put aside, the others stored."""
        if not rows:
            return
        try:
            links = self._under_lease(_books(rows), lambda: self._inserted(rows))
        except Exception as error:
            if not is_refusal(error):
                raise
            if len(rows) > 1:
                for row in rows:
                    self._insert([row], spool)
                return
            log.exception("%s refused a row of %s", self._database.name, rows[0][0])
            spool.refuse([json.dumps(rows[0]).encode("ascii") + b"\n"])
        else:
            self._keep_head(links)

    def _inserted(self, rows: Sequence[Sent]) -> list[Link]:
        with self._database.writing(durable=True) as connection:
            for book in _books(rows):
                self._leases.check(connection, book.key)
            return insert_proven(connection, rows)

    def _under_lease(self, books: Iterable[Book], job: Callable[[], _Answer]) -> _Answer:
        """The answer of `job`, with the lease of each book taken where it can be; LeaseError where it cannot."""
        for book in books:
            if not self._leases.holds(book.key):
                self._hold(book)
        try:
            return job()
        except LeaseError:  # lost, or gone with a file that was exchanged
            for book in books:
                self._hold(book)
            return job()

    def _hold(self, book: Book) -> None:
        role = self._leases.hold(book, self._now())
        if not role.writes:
            raise LeaseError(f"{role.holder} writes this book now; this program reads it")

    def _keep_head(self, links: Sequence[Link]) -> None:
        """Write the end of the evidence beside the database; what contradicts it is a problem until it does not."""
        try:
            with self._database.reading() as connection:
                on_server = connection.dialect.name == "postgresql"
                found = keep_head(self._database.folder / HEAD_FILE, connection, links, adopts=on_server)
            said = "; ".join(dict.fromkeys(map(str, found)))
        except (OSError, StoreError) as error:
            said = f"{HEAD_FILE} cannot be kept ({reason(error)})"
        if said and said != self.head_problem:  # a file that was missing is there again with the next row
            log.error("%s", said)
        self.head_problem = said


def _books(rows: Sequence[Sent]) -> list[Book]:
    """Whose the rows are, but for those that only name a book; LookupError when one is of no table of ours."""
    told = [values for name, values in rows if name == BOOKS.name]
    names = {str(values[0]): str(values[1] or "") for values in told if len(values) == len(columns(BOOKS))}
    owned = [(METADATA.tables[name], values) for name, values in rows if name != BOOKS.name]
    keys = dict.fromkeys(str(values[columns(table).index("book")]) for table, values in owned)
    return [Book(key, names.get(key, "")) for key in keys]
