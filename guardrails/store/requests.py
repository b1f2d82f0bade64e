"""What persons ask in an app that only reads, and the program that watches: when a writer does its part of it.

See `guardrails.requests`, and `guardrails.store.asking` and `guardrails.store.taking` for the two sides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from guardrails.store.asking import Asking
from guardrails.store.database import Database
from guardrails.store.roles import Roles
from guardrails.store.taking import Taking

EVERY_SECONDS, SELDOM_SECONDS = 0.25, 2.0
"""how often the program that watches looks for requests while somebody reads its book, and while nobody does"""
_LONG = timedelta(days=1)


class Errands:
    """Both sides of one program: `run`, `is_due` and `seconds_to_run` belong to the writer's thread."""

    def __init__(self, database: Database, roles: Roles, run: str, clock: Callable[[], datetime]) -> None:
        self.asking = Asking(database, run, clock)
        self.taking = Taking(database, roles.leases, run, clock)
        self._roles, self._now = roles, clock
        self._looked = float("-inf")

    @property
    def seconds_to_run(self) -> float:
        """Until there is something to do at the latest."""
        if self.taking.owes:
            return 0.0
        if self.asking.waits or self._roles.is_read:
            return EVERY_SECONDS
        return SELDOM_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether there is something to do."""
        return self.taking.owes or self.asking.waits or self._is_look_due

    def run(self) -> None:
        """Store what was asked and answered, and take what others ask. Database errors are raised."""
        if self.taking.owes:
            self.taking.reply()
        if self.asking.waits:
            self.asking.pass_on()
        book = self._roles.book
        if self._is_look_due and book is not None:
            self.taking.take(book.key)
            self._looked = time.monotonic()

    def end(self) -> None:
        """Answer what was taken and was not handed out, before the program ends. Database errors are raised."""
        self.taking.drop_late(self._now() + _LONG)
        if self.taking.owes:
            self.taking.reply()

    @property
    def _is_look_due(self) -> bool:
        every = EVERY_SECONDS if self._roles.is_read else SELDOM_SECONDS
        return self._roles.writes and time.monotonic() - self._looked >= every
