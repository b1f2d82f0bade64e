"""The store on a PostgreSQL server, which may be away when the program starts, hang, or be restarted.

Nothing waits for ever: the server ends what takes too long, and where the server itself does not answer, the
connection is given up here. What failed can be written again, as every row has a key.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import URL, Connection, Engine, create_engine, event

from guardrails.redaction import MASK
from guardrails.store.metadata import StoreError
from guardrails.store.upgrade import bring_server_up_to_date, is_up_to_date

log = logging.getLogger(__name__)

APPLICATION = "portfolio-guardrails"
CHANNEL = "guardrails"
"""on which a program that has written something new says so"""
UPGRADE_SECONDS = 600.0
"""how long a step to another schema may take"""
_OLDEST = 14
"""of the versions of PostgreSQL that its makers still mend"""
_CONNECTIONS = 3
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}
# https://www.postgresql.org/docs/current/runtime-config-client.html; false: for the whole session
_SESSION = """SELECT set_config('synchronous_commit', 'on', false), set_config('lock_timeout', %s, false),
set_config('statement_timeout', %s, false), set_config('idle_in_transaction_session_timeout', '60s', false)"""
_IDENTITY = """SELECT system_identifier, timeline_id, 'books'::regclass::oid
FROM pg_control_system(), pg_control_checkpoint()"""
"""a server that takes over from another, or goes back to a backup, begins a new timeline"""
_REFUSED = {
    "password authentication failed": errors.InvalidPassword,
    "no password supplied": errors.InvalidPassword,
    "no pg_hba.conf entry": errors.InvalidAuthorizationSpecification,
    "authentication": errors.InvalidAuthorizationSpecification,
    "does not exist": errors.InvalidCatalogName,
    "starting up": errors.CannotConnectNow,
    "shutting down": errors.CannotConnectNow,
    "recovery": errors.CannotConnectNow,
    "too many": errors.TooManyConnections,
    "remaining connection slots": errors.TooManyConnections,
}
"""a refused connection carries no SQLSTATE, only the words of the server, here the English ones"""


class PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """Gives itself up when the server has said nothing for `patience` seconds."""

    patience = 10.0

    def wait(self, gen: Any, *more: Any, **options: Any) -> Any:
        """As the driver's, which waits for ever."""
        try:
            return super().wait(_patiently(gen, self.patience), *more, **options)
        except errors.ConnectionTimeout:
            self.pgconn.finish()  # it could only be used again after an answer
            raise


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


def engine_of(url: URL, busy_seconds: float) -> Engine:
    """A pool of few connections to `url`, whose password stands in no text of the engine or of its errors.

    A transaction waits `busy_seconds` for another's lock, and twice as long for the server.
    """
    bare = URL.create(url.drivername, url.username, None, url.host, url.port, url.database)
    engine = create_engine(
        bare,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        pool_timeout=2 * busy_seconds,
        pool_use_lifo=True,
        use_native_hstore=False,
    )
    place = dict(engine.dialect.create_connect_args(url)[1])
    patience = max(1.0, 2 * busy_seconds)

    @event.listens_for(engine, "do_connect")
    def connect(*_: Any) -> PatientConnection:
        return _connected(place, patience, busy_seconds)

    return engine


def name_of(url: URL) -> str:
    """`url` for people: no password, and nothing of what stands behind the name of the database."""
    user = f"{url.username}:{MASK}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"{url.drivername}://{user}{url.host or ''}{port}/{url.database}"


def _connected(place: dict[str, Any], patience: float, busy_seconds: float) -> PatientConnection:
    """A connection with its limits; StoreError for a server that cannot hold our rows."""
    limits = {"application_name": APPLICATION, "tcp_user_timeout": int(patience * 1000), **_KEEPALIVE}
    limits["connect_timeout"] = max(2, round(patience / 2))  # less than 2 is not taken
    connection, words = None, ""
    try:
        connection = PatientConnection.connect(autocommit=True, **{**limits, **place})
    except psycopg.Error as error:
        words = str(error)
    if connection is None:  # not raised above: the driver's error holds the password in its `pgconn`
        kind = next((kind for text, kind in _REFUSED.items() if text in words), errors.ConnectionFailure)
        raise kind(words)
    connection.patience = patience
    version, encoding = connection.info.server_version // 10_000, connection.info.parameter_status("server_encoding")
    if version < _OLDEST or encoding != "UTF8":
        connection.close()
        raise StoreError(
            f"the server is PostgreSQL {version} and the encoding of the database {encoding}; it takes PostgreSQL "
            f"{_OLDEST} or later and UTF8: set DATABASE_URL to such a database."
        )
    milliseconds = (str(int(busy_seconds * 1000)), str(int(patience * 800)))
    connection.execute(_SESSION, milliseconds)
    connection.autocommit = False
    return connection


def _patiently(steps: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
    """The steps of the driver, until nothing has come for `seconds`.

    The driver sends a false value every tenth of a second in which nothing comes.
    """
    end = monotonic() + seconds
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if ready:
                end = monotonic() + seconds
            elif monotonic() > end:
                raise errors.ConnectionTimeout(f"the server has not answered for {seconds:g} seconds")
            wanted = steps.send(ready)
    except StopIteration as done:
        return done.value
