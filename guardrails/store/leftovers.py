"""What earlier runs and other programs have left open: in the database, and in rows that still wait for it.

It blocks as long as the database does, and raises StoreError when that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from guardrails.alerts.values import Delivery, OpenAlerts
from guardrails.execution.values import OpenDeeds
from guardrails.store.alerts_open import given_up, open_alerts
from guardrails.store.database import Database
from guardrails.store.deeds_open import open_deeds
from guardrails.store.faults import reason
from guardrails.store.metadata import StoreError
from guardrails.store.spool import Sent
from guardrails.store.stamps import Stamps

_Answer = TypeVar("_Answer")


class Leftovers:
    """From any thread; `waiting` tells the rows that are not in the database yet."""

    def __init__(
        self, database: Database, waiting: Callable[[], list[Sent]], stamps: Stamps, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._waiting, self._stamps, self._now = database, waiting, stamps, clock

    def alerts(self, book: str, own: tuple[str, datetime] | None) -> OpenAlerts:
        """Alerts and messages that are open, without those of the run and time in `own`."""
        waiting, now = self._waiting(), self._now()
        return self._read(lambda opened: open_alerts(opened, book, waiting, now, own), "say which alerts are open")

    def given_up(self, book: str, key: str) -> Delivery | None:
        """The delivery `key` if it was given up, whenever that was."""
        waiting = self._waiting()
        return self._read(lambda opened: given_up(opened, book, waiting, key), "say what was given up")

    def deeds(self, book: str, since: datetime) -> OpenDeeds:
        """What is open and was done since `since`; what is handed over from now on counts as later than all of it."""
        waiting, now = self._waiting(), self._now()

        def read(opened: Connection) -> OpenDeeds:
            self._stamps.learn(opened, book, waiting)
            return open_deeds(opened, book, waiting, since, now)

        return self._read(read, "say which orders are open")

    def _read(self, job: Callable[[Connection], _Answer], what: str) -> _Answer:
        try:
            with self._database.reading() as connection:
                return job(connection)
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(f"{self._database.name} does not {what} ({reason(error)})") from error
