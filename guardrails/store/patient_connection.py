"""A connection to a PostgreSQL server on which nothing waits for ever.

The server ends what takes too long, and where the server itself does not answer, the connection is given up here.
"""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import URL, Engine, create_engine, event

from guardrails.store.metadata import StoreError

APPLICATION = "portfolio-guardrails"
_OLDEST = 14
"""of the versions of PostgreSQL that its makers still mend"""
_CONNECTIONS = 3
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}
# https://www.postgresql.org/docs/current/runtime-config-client.html; false: for the whole session
_SESSION = """SELECT set_config('synchronous_commit', 'on', false), set_config('lock_timeout', %s, false),
set_config('statement_timeout', %s, false), set_config('idle_in_transaction_session_timeout', '60s', false)"""
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
