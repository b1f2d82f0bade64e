"""Requests on their way from an app that only reads into the store, and the answers back.

One that the database did not take waits in memory while it is valid. One that nobody took in time is taken back, in
the same manner in which the watching program takes it (`guardrails.store.taking`), and only then told to be expired.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from sqlalchemy import select, update

from guardrails.requests import Answer, Request, Said
from guardrails.store.books import Book
from guardrails.store.database import Database
from guardrails.store.deed_texts import hidden_field
from guardrails.store.inserts import insert
from guardrails.store.metadata import micros, moment
from guardrails.store.sharing import ANSWERS, REQUESTS
from guardrails.store.texts import name, text

PATIENCE = timedelta(seconds=60)
"""so long after its time the answer to a request that was taken may come"""
_NAMES = ("alert", "channel", "delivery", "check", "subject")
MOST_ASKED, MOST_TOLD = 100, 500
"""requests that wait for their answer, and answers that are remembered"""


class _Stage(Enum):
    NEW = auto()
    """in memory only"""
    SENT = auto()
    """perhaps in the database"""
    STORED = auto()
    TAKEN = auto()
    """by the program that watches"""


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    book: Book
    stage: _Stage = _Stage.NEW


class Asking:
    """The side of the app in which it was asked: `pass_on` belongs to the writer's thread, the rest is for any."""

    def __init__(self, database: Database, run: str, clock: Callable[[], datetime]) -> None:
        self._database, self._run, self._now = database, run, clock
        self._guard = threading.Lock()
        self._open: dict[str, _Asked] = {}
        self._told: OrderedDict[str, Answer] = OrderedDict()

    @property
    def waits(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._open)

    def ask(self, request: Request, book: Book | None) -> None:
        """Pass `request` on when `pass_on` comes; `book` is the one that this app shows."""
        with self._guard:
            if book is None:
                self._end(request.key, Said.REFUSED, "this app does not know yet which book it shows; ask again.")
            elif len(self._open) >= MOST_ASKED:
                self._end(request.key, Said.REFUSED, f"{MOST_ASKED} requests wait for an answer; ask again later.")
            else:
                self._open[request.key] = _Asked(request, book)

    def answered(self, key: str) -> Answer | None:
        """What came of the request `key`; None while that is not known."""
        with self._guard:
            one = self._open.get(key)
            now = self._now()
            if one is not None and one.stage is _Stage.NEW and now >= one.request.valid_until:
                self._end(key, Said.EXPIRED, "the database took nothing, so nobody was told and nothing was done.")
            elif one is not None and now >= one.request.valid_until + PATIENCE:
                self._end(key, Said.UNKNOWN, "no word came back: it may have been done. Look before you ask again.")
            return self._told.get(key)

    def pass_on(self) -> None:
        """Store what was asked, take up answers, take back what nobody took in time. Database errors are raised."""
        for key in list(self._open):
            self.answered(key)  # ends what is over
        for one in self._at(_Stage.NEW, _Stage.SENT):
            if self._now() < one.request.valid_until:
                self._store(one)
        self._hear()
        for one in self._at(_Stage.SENT, _Stage.STORED):
            if self._now() >= one.request.valid_until:
                self._take_back(one)

    def _at(self, *stages: _Stage) -> list[_Asked]:
        with self._guard:
            return [one for one in self._open.values() if one.stage in stages]

    def _store(self, one: _Asked) -> None:
        asked = one.request
        row = (
            asked.key,
            one.book.key,
            micros(asked.time),
            micros(asked.valid_until),
            text(asked.author),
            text(asked.kind),
            _body(asked.body),
            self._run,
            None,
        )
        with self._database.writing(durable=True) as connection:
            insert(connection, REQUESTS, [row])
            if not self._move(asked.key, _Stage.SENT):  # from here on the commit may come through, whatever is heard
                connection.rollback()
                return
        self._move(asked.key, _Stage.STORED)

    def _hear(self) -> None:
        keys = [one.request.key for one in self._at(_Stage.SENT, _Stage.STORED, _Stage.TAKEN)]
        if not keys:
            return
        c = ANSWERS.c
        with self._database.reading() as connection:
            query = select(c.key, c.time, c.said, c.words, c.content).where(c.key.in_(keys))
            rows = connection.execute(query).all()
        with self._guard:
            for key, time, said, words, content in rows:
                known = said in Said.__members__.values()
                self._end(key, Said(said) if known else Said.UNKNOWN, words, moment(time), content or "")

    def _take_back(self, one: _Asked) -> None:
        c, key = REQUESTS.c, one.request.key
        with self._database.writing(durable=True) as connection:
            mine = update(REQUESTS).where(c.key == key, c.taken_by.is_(None)).values(taken_by=self._run)
            is_free = connection.execute(mine).rowcount == 1
            is_there = is_free or connection.execute(select(c.key).where(c.key == key)).first() is not None
        if is_there and not is_free:
            self._move(key, _Stage.TAKEN)
            return
        with self._guard:
            self._end(key, Said.EXPIRED, "the program that watches did not take it in time; nothing was done.")

    def _move(self, key: str, stage: _Stage) -> bool:
        """Whether the request is still open, and at `stage` now."""
        with self._guard:
            one = self._open.get(key)
            if one is not None:
                self._open[key] = replace(one, stage=stage)
            return one is not None

    def _end(self, key: str, said: Said, words: str, time: datetime | None = None, content: str = "") -> None:
        """Under the guard."""
        self._open.pop(key, None)
        self._told[key] = Answer(key, time or self._now(), said, words, content)
        if len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)


def _body(body: Mapping[str, str]) -> str:
    """What is asked, as it may be stored: names as they are, keys exact, account numbers cut to four."""
    told = {key: name(value) if key in _NAMES else hidden_field(key, value) for key, value in body.items()}
    return json.dumps(told, sort_keys=True, ensure_ascii=False)
