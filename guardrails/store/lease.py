"""Who may write a book: one program holds its lease, the others read.

The holder gives a sign of life every few seconds by counting `beat` up. Who wants the lease watches that count by its
own monotonic clock, so neither a clock that is wrong nor one that is set back can take a lease away or keep it. Each
new holder has a higher `token`, and every transaction of the writer asks whether its own still counts
(`Leases.check`): a program that was asleep and lost its lease meanwhile is refused.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from guardrails.store import inserts
from guardrails.store.books import Book
from guardrails.store.database import Database
from guardrails.store.metadata import StoreError, micros
from guardrails.store.schema import BOOKS
from guardrails.store.sharing import LATEST, LEASES, READERS

_BOOT, _NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
BEAT_SECONDS, DEAD_SECONDS = 5.0, 15.0
"""the second is three signs of life that did not come; with the next look the lease is taken within 20 s"""
GONE_SECONDS = 60.0
"""a reader that has given no sign for so long reads no more"""


class LeaseError(StoreError):
    """Another program writes this book."""


@dataclass(frozen=True, slots=True)
class Program:
    """One start of the program."""

    run: str
    host: str
    """name of the machine; behind a stroke what tells apart two places in which one number means two processes"""
    pid: int


def this_program(run: str) -> Program:
    """The program that runs here."""
    place = hashlib.sha256()
    with suppress(OSError):  # another system tells it in another way, or not
        place.update(_BOOT.read_bytes())
        place.update(str(_NAMESPACE.readlink()).encode())
    return Program(run, f"{platform.node() or 'this machine'}/{place.hexdigest()[:8]}", os.getpid())


@dataclass(frozen=True, slots=True)
class Role:
    """Whether this program writes a book, or who does."""

    writes: bool
    holder: str = ""
    """`desk-pc, process 1234`: who writes, when it is another"""
    died: str = ""
    """who wrote until it died without giving the lease back, when it was taken over now"""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A sign of life of another program, and when it was first seen."""

    sign: tuple[int, int]
    at: float


class Leases:
    """The leases of one program; belongs to one thread."""

    def __init__(
        self,
        database: Database,
        program: Program,
        dead_seconds: float = DEAD_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._program, self._monotonic = database, program, monotonic
        self._dead_seconds = dead_seconds
        self._tokens: dict[str, int] = {}
        self._seen: dict[str, _Seen] = {}
        self._readers: dict[tuple[str, str], _Seen] = {}
        self._had: dict[str, int] = {}
        """the last token of each book, also of those that are lost"""
        self.regained = 0
        """how many times a lease came back after it was lost: others may have written meanwhile"""
        self.read: set[str] = set()
        """books that another program reads now"""

    def hold(self, book: Book, now: datetime) -> Role:
        """Take the lease of `book`, give a sign of life, or see who has it."""
        with self._database.writing(durable=False) as connection:
            inserts.insert(connection, BOOKS, [(book.key, book.names, micros(now))])
            role = self._hold(connection, book.key)
            if role.writes:
                self._look_for_readers(connection, book.key)
            else:
                self._tokens.pop(book.key, None)
                self._sign_as_reader(connection, book.key)
        return role

    def holds(self, book: str) -> bool:
        """Whether this program held the lease of `book` at its last look."""
        return book in self._tokens

    def has_lost(self, book: str) -> bool:
        """Whether this program held the lease of `book` once, and not at its last look; from any thread."""
        return book in self._had and book not in self._tokens

    def confirmed(self) -> frozenset[str]:
        """The books whose lease is still held; from any thread."""
        mine = dict(self._tokens)
        c = LEASES.c
        query = select(c.book, c.token).where(c.run == self._program.run, c.book.in_(mine))
        with self._database.reading() as connection:
            return frozenset(book for book, token in connection.execute(query) if mine.get(book) == token)

    def keep_only(self, book: str) -> None:
        """Give back the leases of all other books."""
        others = [other for other in self._tokens if other != book]
        if not others:
            return
        c = LEASES.c
        with self._database.writing(durable=False) as connection:
            connection.execute(update(LEASES).where(c.run == self._program.run, c.book.in_(others)).values(run=None))
        for other in others:
            del self._tokens[other]

    def check(self, connection: Connection, book: str) -> int:
        """The token under which `connection` may write rows of `book`; LeaseError when another has the lease now."""
        c = LEASES.c
        # the lock keeps another from taking the lease before this transaction has ended
        row = connection.execute(select(c.token, c.run, c.host, c.pid).where(c.book == book).with_for_update()).first()
        if row is None or row.run != self._program.run or row.token != self._tokens.get(book):
            self._tokens.pop(book, None)
            who = "another program" if row is None or row.run is None else _named(row.host, row.pid)
            raise LeaseError(f"{who} writes this book now; this program reads it")
        return int(row.token)

    def give_back(self) -> None:
        """Let another program write at once."""
        if not self._tokens and not self._seen:
            return
        c, r = LEASES.c, READERS.c
        with self._database.writing(durable=False) as connection:
            connection.execute(update(LEASES).where(c.run == self._program.run).values(run=None))
            connection.execute(delete(READERS).where(r.run == self._program.run))
        self._tokens.clear()
        self._seen.clear()

    def _hold(self, connection: Connection, book: str) -> Role:
        c, mine = LEASES.c, self._program
        row = connection.execute(select(*c).where(c.book == book).with_for_update()).first()
        if row is None:
            values = {"book": book, "token": 1, "run": mine.run, "host": mine.host, "pid": mine.pid, "beat": 0}
            connection.execute(insert(LEASES), values)
            self._take(book, 1)
            return Role(writes=True)
        if row.run == mine.run and row.token == self._tokens.get(book, row.token):
            token, died = int(row.token), ""
        elif row.run is None or self._is_dead(connection, book, row):
            token, died = int(row.token) + 1, "" if row.run is None else _named(row.host, row.pid)
        else:
            return Role(writes=False, holder=_named(row.host, row.pid))
        signed = {"token": token, "run": mine.run, "host": mine.host, "pid": mine.pid, "beat": row.beat + 1}
        connection.execute(update(LEASES).where(c.book == book).values(signed))
        if token != row.token:  # what the last holder showed is no longer of now
            connection.execute(delete(LATEST).where(LATEST.c.book == book))
        self._take(book, token)
        self._seen.pop(book, None)
        return Role(writes=True, died=died)

    def _take(self, book: str, token: int) -> None:
        self.regained += self._had.get(book, token) != token
        self._had[book] = self._tokens[book] = token

    def _is_dead(self, connection: Connection, book: str, row: Any) -> bool:
        on_file = connection.dialect.name == "sqlite"  # else two machines may bear one name
        if on_file and row.host == self._program.host and row.pid != self._program.pid and not _runs(row.pid):
            return True
        now, seen = self._monotonic(), self._seen.get(book)
        if seen is None or seen.sign != (row.token, row.beat):
            self._seen[book] = _Seen((row.token, row.beat), now)
            return False
        return now - seen.at >= self._dead_seconds

    def _sign_as_reader(self, connection: Connection, book: str) -> None:
        c, run = READERS.c, self._program.run
        mine = update(READERS).where(c.book == book, c.run == run).values(beat=c.beat + 1)
        if connection.execute(mine).rowcount == 0:
            connection.execute(insert(READERS), {"book": book, "run": run, "beat": 0})

    def _look_for_readers(self, connection: Connection, book: str) -> None:
        """Find out who reads `book`; those that give no sign any more are taken off the list."""
        now, c = self._monotonic(), READERS.c
        found = {(book, row.run): row.beat for row in connection.execute(select(c.run, c.beat).where(c.book == book))}
        for key, beat in found.items():
            seen = self._readers.get(key)
            if seen is None or seen.sign != (0, beat):
                self._readers[key] = _Seen((0, beat), now)
            elif now - seen.at >= GONE_SECONDS:
                connection.execute(delete(READERS).where(c.book == book, c.run == key[1]))
        for key in [key for key in self._readers if key[0] == book and key not in found]:
            del self._readers[key]
        alive = any(key[0] == book and now - seen.at < GONE_SECONDS for key, seen in self._readers.items())
        (self.read.add if alive else self.read.discard)(book)


def _named(host: str, pid: int) -> str:
    return f"{host.partition('/')[0]}, process {pid}"


def _runs(pid: int) -> bool:
    """Whether there is a process `pid` on this machine; True where that cannot be asked without harm."""
    if sys.platform == "win32":
        return True
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True
