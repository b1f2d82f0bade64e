"""The store on a PostgreSQL server, which may be away when the program starts, hang, or be restarted.

What failed can be written again, as every row has a key. How long anything waits is settled in `patient_connection`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Connection

from guardrails.store.database import name_of
from guardrails.store.metadata import StoreError
from guardrails.store.patient_connection import engine_of
from guardrails.store.sharing import CHANNEL
from guardrails.store.upgrade import bring_server_up_to_date, is_up_to_date

log = logging.getLogger(__name__)

UPGRADE_SECONDS = 600.0
"""how long a step to another schema may take"""
_IDENTITY = """SELECT system_identifier, timeline_id, 'books'::regclass::oid
FROM pg_control_system(), pg_control_checkpoint()"""
"""a server that takes over from another, or goes back to a backup, begins a new timeline"""


class PostgresDatabase:
    """One database of a server, see `guardrails.store.database.Database`."""

    def __init__(self, url: URL, folder: Path, busy_seconds: float) -> None:
        self.name = name_of(url)
        self.folder = folder
        self.problems: tuple[str, ...] = ()
        self.generation = 0
        """one more when it is another server, another line of its history or another set of tables"""
        self.engine = engine_of(url, busy_seconds)
        self._guard = threading.Lock()
        self._server: tuple[Any, ...] | None = None
        self._ear: Any = None

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[Connection]:
        """One transaction; `durable`: on the disk of the server when it has committed."""
        with self._connected() as connection:
            connection.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False)
            with connection.begin():
                if not durable:
                    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view, whatever is written meanwhile."""
        with self._connected() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    def wait(self, seconds: float) -> None:
        """Until another program tells on `CHANNEL` of something new, at most so long; for one thread."""
        if self._ear is None:
            pooled = self.engine.raw_connection()
            self._ear = pooled.driver_connection
            pooled.detach()  # it is kept until it fails
            self._ear.autocommit = True  # else nothing is heard before the transaction ends
            self._ear.execute(f"LISTEN {CHANNEL}")
        try:
            for _ in self._ear.notifies(timeout=seconds, stop_after=1):
                return
        except psycopg.Error:
            self._deafen()
            raise

    def _deafen(self) -> None:
        if self._ear is not None:
            self._ear.close()
            self._ear = None

    def set_aside(self) -> None:
        """Not for us to do: StoreError."""
        raise StoreError(f"{self.name} is damaged; ask the administrator of the server to restore a backup.")

    def close(self) -> None:
        """Close every connection."""
        self._deafen()
        self.engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            if not connection.info.get("known"):
                self._know(connection)
                connection.info["known"] = True
            yield connection

    def _know(self, connection: Connection) -> None:
        """Bring the schema up to date, and see whether it is still the database it was."""
        raw: Any = connection.connection.driver_connection
        with self._guard:
            usual = raw.patience
            try:
                if not is_up_to_date(connection):
                    raw.patience = UPGRADE_SECONDS
                    bring_server_up_to_date(connection, self.name, UPGRADE_SECONDS)
            except StoreError as error:
                raise StoreError(f"{self.name} cannot be used: {error}") from error
            finally:
                raw.patience = usual
            with connection.begin():
                server = tuple(connection.exec_driver_sql(_IDENTITY).one())
            if self._server not in (None, server):
                log.warning("%s was restored or exchanged; everything is told anew", self.name)
                self.generation += 1
            self._server = server


@contextmanager
def looking(url: URL, seconds: float) -> Iterator[Connection]:
    """One consistent view that changes nothing, not even an older schema; `seconds` is the time for one answer."""
    engine = engine_of(url, seconds / 2)
    try:
        with (
            engine.connect().execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            ) as connection,
            connection.begin(),
        ):
            yield connection
    finally:
        engine.dispose()
