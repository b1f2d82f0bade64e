"""What the tests of the store share: moments to hand over, and the plain drivers to look at what was kept."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection

from guardrails.assess import Assessment
from guardrails.findings import Finding, Level
from guardrails.snapshot import Snapshot
from guardrails.store import roles
from guardrails.store.database import FILE, open_database
from guardrails.store.evidence import Link, append, entry
from guardrails.store.writer import Writer
from tests.books import NOW
from tests.healthy import GENEROUS, edited_text, healthy
from tests.postgres import Server

MATRIX_TEXT = edited_text({f"regimes.*.limits.{key}": value for key, value in GENEROUS.items()})
"""the file of the healthy book's matrix"""
HEALTHY: Assessment = healthy().assess()


def clock() -> datetime:
    return datetime(2026, 11, 18, 15, 30, tzinfo=UTC)


def prove(connection: Connection, book: str, kind: str, body: Mapping[str, Any], when: datetime) -> Link:
    """One row added to the evidence log."""
    return append(connection, book, [entry(kind, body, when)])[0]


_SERVERS: dict[Path, OnServer] = {}
"""folders whose rows are on a server"""


class OnServer:
    """A new database of `server` for what is opened in or below `folder`, until the end of the block.

    Unless it is to be `bare`, it is a copy of one that has our tables already.
    """

    def __init__(self, server: Server, folder: Path, *, bare: bool = False) -> None:
        self.server, self.folder = server, folder
        if not bare and not server.template:
            server.template = server.fresh("template0")
            maker = open_database(folder, clock, SecretStr(server.url(server.template)))
            with maker.reading():
                pass
            maker.close()
        self.name = server.fresh("template0" if bare else server.template)
        self._asking: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        _SERVERS[self.folder] = self
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        del _SERVERS[self.folder]
        if self._asking is not None:
            self._asking.close()
        self.server.drop(self.name)

    @property
    def url(self) -> SecretStr:
        return SecretStr(self.server.url(self.name))

    def connect(self) -> psycopg.Connection[Any]:
        return self.server.connect(self.name)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        if self._asking is None or self._asking.broken:
            self._asking = self.connect()
        return self._asking.execute(query, values or None).fetchall()


def on_server(folder: Path) -> OnServer | None:
    """Where the rows of `folder` are, None when they are in a file."""
    return next((_SERVERS[place] for place in (folder, *folder.parents) if place in _SERVERS), None)


def opened(folder: Path, busy_seconds: float = 5.0, *, bare: bool = False) -> Any:
    """The database of `folder`, in a file or on the server that is meant for it.

    Unless it is to be `bare`, a file that is not there yet is a copy of one that has our tables already.
    """
    place = on_server(folder)
    if place is None and not bare and not (folder / FILE).exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / FILE).touch(mode=0o600)
        (folder / FILE).write_bytes(_file_of_tables())
    return open_database(folder, clock, None if place is None else place.url, busy_seconds)


@cache
def _file_of_tables() -> bytes:
    with TemporaryDirectory() as name:
        open_database(Path(name), clock).close()
        return (Path(name) / FILE).read_bytes()


def wait_for_parts(patch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a program waits until it is told whether it watches; after 3 s it would."""
    patch.setattr(roles, "FIRST_SECONDS", 60.0)


def moment(seconds: float = 0.0, **changes: Any) -> Snapshot:
    """The healthy book some seconds after NOW."""
    return replace(HEALTHY.snapshot, as_of=NOW + timedelta(seconds=seconds), **changes)


def finding(level: Level, value: float | None = 1.0, check: str = "vega", subject: str = "portfolio") -> Finding:
    return Finding(check, subject, level, value, 2.0, "USD", 1.0, f"vega is {value}", {"value": value})


def hand(writer: Writer, snapshot: Snapshot, scenario: str = "", text: str = MATRIX_TEXT) -> None:
    writer.keep(snapshot, text, HEALTHY.portfolio, scenario)


def ask(folder: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of the database of `folder`, read by nothing of ours."""
    if place := on_server(folder):
        return place.ask(query.replace("?", "%s"), *values)
    with closing(sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)) as connection:
        return connection.execute(query, values).fetchall()


def change(folder: Path, statement: str) -> None:
    """Change the database of `folder` behind the back of the program."""
    if place := on_server(folder):
        with place.connect() as server:
            server.execute(statement)
        return
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute(statement)


def path_of_levels(folder: Path, subject: str = "portfolio", check: str = "vega") -> list[tuple[Any, Any]]:
    """Old and new level of every transition, in the order they were stored."""
    query = "SELECT old, new FROM finding_transitions WHERE check_name = ? AND subject = ? ORDER BY id"
    return ask(folder, query, check, subject)


class Lock:
    """Another program that writes: on SQLite it holds the one lock there is, on a server it locks every table."""

    def __init__(self, folder: Path) -> None:
        self._connection: sqlite3.Connection | psycopg.Connection[Any]
        if place := on_server(folder):
            tables = [name for (name,) in ask(folder, "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') "
                                                      "AND relnamespace = current_schema()::regnamespace")]  # fmt: skip
            self._connection = place.connect()
            self._connection.execute("BEGIN")
            self._connection.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
            return
        self._connection = sqlite3.connect(folder / FILE, isolation_level=None, check_same_thread=False)
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether `condition` came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
