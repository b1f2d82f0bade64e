"""Requests from the store into the program that watches the book, and its answers back.

A request is marked as taken, under the lease and durably, before anything is done: it is done at most once, whatever
crashes, so an order may come this way too.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Delete, Table, delete, select, update

from guardrails.requests import Answer, Request, Said
from guardrails.store.database import Database
from guardrails.store.deed_texts import hidden_text
from guardrails.store.inserts import insert
from guardrails.store.lease import LeaseError, Leases
from guardrails.store.metadata import micros, moment
from guardrails.store.sharing import ANSWERS, REQUESTS, tell_others
from guardrails.store.texts import text

KEPT = timedelta(days=1)
"""how long the rows stay"""
MOST_TAKEN, MOST_HANDED = 100, 500
"""requests taken at once, and those whose answer is waited for"""


class Taking:
    """The side of the program that watches: `take` and `reply` belong to the writer's thread, the rest is for any."""

    def __init__(self, database: Database, leases: Leases, run: str, clock: Callable[[], datetime]) -> None:
        self._database, self._leases, self._run, self._now = database, leases, run, clock
        self._guard = threading.Lock()
        self._taken: deque[tuple[Request, str]] = deque()
        self._handed: OrderedDict[str, str] = OrderedDict()
        """of requests that were handed out and are not answered"""
        self._replies: deque[tuple[str, Answer]] = deque()

    @property
    def owes(self) -> bool:
        """Whether answers wait to be stored."""
        return bool(self._replies)

    def requests(self) -> list[Request]:
        """What was taken since the last call and may still be done."""
        self.drop_late(self._now())
        with self._guard:
            taken = list(self._taken)
            self._taken.clear()
            self._handed.update((request.key, book) for request, book in taken)
            while len(self._handed) > MOST_HANDED:
                self._handed.popitem(last=False)
        return [request for request, _ in taken]

    def drop_late(self, now: datetime) -> None:
        """Answer what was taken and never handed out, where it may not be done any more at `now`."""
        with self._guard:
            late = [(request, book) for request, book in self._taken if now >= request.valid_until]
            for request, book in late:
                self._taken.remove((request, book))
                self._replies.append((book, _expired(request.key, self._now())))

    def answer(self, answer: Answer) -> None:
        """Store `answer` when `reply` comes; what was not handed out by `requests` is passed over."""
        with self._guard:
            book = self._handed.pop(answer.key, None)
            if book is not None:
                self._replies.append((book, answer))

    def take(self, book: str) -> None:
        """Take what was asked of `book`, if this program holds its lease. Database errors are raised."""
        self.drop_late(self._now())
        c = REQUESTS.c
        waiting = select(c.key).where(c.book == book, c.taken_by.is_(None)).limit(1)
        with self._database.reading() as connection:
            if connection.execute(waiting).first() is None:
                return
        try:
            taken = self._take(book)
        except LeaseError:
            return  # who holds it now takes them
        with self._guard:
            self._taken.extend((request, book) for request in taken)

    def reply(self) -> None:
        """Store the answers that wait. Database errors are raised."""
        with self._guard:
            replies = list(self._replies)
        with self._database.writing(durable=True) as connection:
            _insert_answers(connection, replies)
        with self._guard:
            for _ in replies:
                self._replies.popleft()

    def _take(self, book: str) -> list[Request]:
        c, now = REQUESTS.c, self._now()
        fresh: list[Request] = []
        replies: list[tuple[str, Answer]] = []
        with self._database.writing(durable=True) as connection:
            self._leases.check(connection, book)
            query = select(c.key, c.time, c.valid_until, c.author, c.kind, c.body)
            mine = query.where(c.book == book, c.taken_by.is_(None)).order_by(c.time, c.key).limit(MOST_TAKEN)
            for row in connection.execute(mine.with_for_update()).all():
                connection.execute(update(REQUESTS).where(c.key == row.key).values(taken_by=self._run))
                request = _request(row)
                if request is None:
                    replies.append((book, Answer(row.key, now, Said.REFUSED, "it cannot be read by this program.")))
                elif now >= request.valid_until:
                    replies.append((book, _expired(row.key, now)))
                else:
                    fresh.append(request)
            _insert_answers(connection, replies)
            for table in (REQUESTS, ANSWERS):
                connection.execute(_old(table, book, now))
        return fresh


def _request(row: Any) -> Request | None:
    """The request in a row of the table; None when it holds none."""
    try:
        body = json.loads(row.body)
    except ValueError:
        return None
    if not isinstance(body, dict) or not all(isinstance(value, str) for value in body.values()):
        return None
    return Request(row.key, moment(row.time), moment(row.valid_until), row.author, row.kind, body)


def _expired(key: str, now: datetime) -> Answer:
    return Answer(key, now, Said.EXPIRED, "it came too late to be done; nothing was done.")


def _insert_answers(connection: Connection, replies: Sequence[tuple[str, Answer]]) -> None:
    rows = [
        (told.key, book, micros(told.time), told.said.value, text(told.words), hidden_text(told.content) or None)
        for book, told in replies
    ]
    insert(connection, ANSWERS, rows)
    if rows:
        tell_others(connection, rows[0][1])


def _old(table: Table, book: str, now: datetime) -> Delete:
    return delete(table).where(table.c.book == book, table.c.time < micros(now - KEPT))
