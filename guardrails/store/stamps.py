"""When deeds are handed over, as their rows tell: later than all that an earlier run has stored of the book.

Between two runs the later time counts (`guardrails.store.deed_rows`). Were that the time of the clock alone, what is
done after the clock was set back would give way, at the next start, to what was done before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy import Connection, func, select

from guardrails.store.deed_rows import TABLES
from guardrails.store.inserts import columns
from guardrails.store.metadata import moment
from guardrails.store.spool import Sent

_PLACES = {table.name: tuple(map(columns(table).index, ("book", "time"))) for table in TABLES.values()}


class Stamps:
    """From any thread."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._now = clock
        self._guard = threading.Lock()
        self._first: dict[str, int] = {}
        """by book: microseconds later than all that is known"""

    def learn(self, connection: Connection, book: str, waiting: Iterable[Sent]) -> None:
        """Know the rows of `book` in the database, and those that wait for it."""
        latest = (select(func.max(table.c.time)).where(table.c.book == book) for table in TABLES.values())
        times = [int(connection.execute(query).scalar() or 0) for query in latest]
        for name, row in waiting:
            if name in _PLACES and len(row) > max(_PLACES[name]):
                of, time = (row[place] for place in _PLACES[name])
                times += [time] if of == book and isinstance(time, int) else []
        with self._guard:
            self._first[book] = max(self._first.get(book, 0), max(times, default=0) + 1)

    def now(self, book: str) -> datetime:
        """The time of the clock, or the first one that counts as later than what is known."""
        with self._guard:
            return max(self._now(), moment(self._first.get(book, 0)))
