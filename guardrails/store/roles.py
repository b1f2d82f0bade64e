"""What this program does with the book of its sources: watch and write it, or read what another program publishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from guardrails.store.books import Book, book_of
from guardrails.store.database import Database
from guardrails.store.following import LOOK_SECONDS, Follower, Published, publish
from guardrails.store.lease import BEAT_SECONDS, DEAD_SECONDS, Leases, Program, Role

FIRST_SECONDS = 3.0
"""how long a program waits to be told its role before it watches: a database that does not answer must not blind it"""


BLIND_SECONDS = 30.0
"""a reader that cannot reach the database for so long does not know whether anybody watches, so it does"""


@dataclass(frozen=True, slots=True)
class Part:
    """The part of one program, as it was at the last look."""

    watches: bool
    """it reads the brokers itself and writes down what it sees"""
    holder: str = ""
    """who does, when it is another program"""
    published: Published | None = None
    """what that program published last, also after this one has taken over"""
    died: str = ""
    """who did until it died without giving the lease back, when this program took it from there"""


class Roles:
    """`part` may be asked from any thread; all else belongs to the writer's."""

    def __init__(
        self,
        database: Database,
        program: Program,
        clock: Callable[[], datetime],
        beat_seconds: float = BEAT_SECONDS,
        dead_seconds: float = DEAD_SECONDS,
    ) -> None:
        self.leases = Leases(database, program, dead_seconds)
        self._database, self._now = database, clock
        self._beat_seconds = beat_seconds
        self._follower = Follower(database)
        self._book: Book | None = None
        self._role: Role | None = None
        """None while it is not known"""
        self._died = ""
        """from whom the lease was taken that is held now, when that program had died"""
        self._told = threading.Event()
        self._due = self._asked = self._looked = 0.0
        self._followed: Published | None = None
        self._newest: Published | None = None
        self._published: Published | None = None

    def want(self, sources: Sequence[str], scenario: str) -> None:
        """From now on it is the book of these sources that matters; to be repeated as a sign that the engine lives."""
        self._signed()
        book = book_of(sources, scenario)
        if book != self._book:
            self._book, self._followed, self._newest = book, None, None
            self._unknown()

    def part(self) -> Part:
        """The part of this program; at the first time it waits to be told, at most `FIRST_SECONDS`."""
        self._told.wait(FIRST_SECONDS)
        self._told.set()  # whoever has waited once waits no more
        role = self._role
        is_blind = time.monotonic() - self._looked > BLIND_SECONDS
        if role is None or role.writes or is_blind:
            return Part(watches=True, published=self._followed, died=self._died)
        return Part(watches=False, holder=role.holder, published=self._followed)

    @property
    def book(self) -> Book | None:
        """The book that matters; None before it is known."""
        return self._book

    @property
    def is_read(self) -> bool:
        """Whether this program writes the book and another reads it, so that somebody may ask something there."""
        return self.writes and self._book is not None and self._book.key in self.leases.read

    @property
    def writes(self) -> bool:
        """Whether this program writes the book."""
        return self._role is not None and self._role.writes

    @property
    def reads(self) -> bool:
        """Whether another program writes."""
        return self._role is not None and not self._role.writes

    @property
    def is_lost(self) -> bool:
        """Whether the database has said that another program writes the book that this one wrote."""
        book = self._book
        return book is not None and (self.reads or self.leases.has_lost(book.key))

    def seconds_to_look(self) -> float:
        """Until the next look is due."""
        return max(self._due - time.monotonic(), 0.0) if self._book is not None else self._beat_seconds

    def look(self) -> None:
        """See who writes, and give a sign of life."""
        book = self._book
        if book is None:
            return
        now = time.monotonic()
        self._due = now + self._beat_seconds
        if now - self._asked > DEAD_SECONDS:  # the engine has ended, and nobody watches
            self.leave()
            return
        role = self.leases.hold(book, self._now())
        self.leases.keep_only(book.key)
        self._looked = time.monotonic()
        if self._looked - now > DEAD_SECONDS:  # asleep in between: what was found is of before
            self._unknown()
        elif book == self._book:
            self._died = role.died or (self._died if role.writes else "")
            self._role = role
            if role.writes:
                self._told.set()

    def follow(self) -> None:
        """Wait a moment for news of the program that writes, and take them."""
        book = self._book
        if book is None:
            return
        if self._told.is_set():  # whoever waits for the part need not wait for news
            self._database.wait(LOOK_SECONDS)
        newest = self._follower.newest(book.key)
        if newest is not None:
            self._followed = newest
        self._told.set()

    def newest(self, newest: Published) -> None:
        """This is what others are to be shown; a sign that the engine lives, too."""
        self._signed()
        self._newest = newest

    @property
    def owes(self) -> bool:
        """Whether somebody reads this book and does not know the newest Snapshot yet."""
        return self.is_read and self._newest is not self._published

    def publish(self) -> None:
        """Show it to them."""
        book, newest = self._book, self._newest
        if book is None or newest is None:
            return
        with self._database.writing(durable=False) as connection:
            publish(connection, book.key, self.leases.check(connection, book.key), newest)
        self._published = newest

    def leave(self) -> None:
        """Let another program write at once."""
        self.leases.give_back()
        self._role, self._died = None, ""

    def lost(self) -> None:
        """The database has refused what was written under a lease; whoever asks for the part waits for the next look,
        should it have been that of the book that matters."""
        if self.writes and self._book is not None and not self.leases.holds(self._book.key):
            self._unknown()

    def _signed(self) -> None:
        """The engine lives; if it gave no sign for long, another program may have taken its place meanwhile."""
        before, self._asked = self._asked, time.monotonic()
        if self._asked - before > DEAD_SECONDS:
            self._unknown()

    def _unknown(self) -> None:
        """The part is not known until the next look, which is due now."""
        self._told.clear()
        self._role, self._died, self._due = None, "", 0.0
