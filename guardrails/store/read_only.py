"""A database that is only looked at: in one moment, changing nothing, whatever stands in its columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, NullPool, Text, column, create_engine, func, inspect, select, table

from guardrails.store.upgrade import VERSION_TABLE


def schema_said(connection: Connection) -> str:
    """The schema of the database, empty where it does not say; both databases compare such texts in their order."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    newest = select(func.max(column("version_num", Text))).select_from(table(VERSION_TABLE))
    return str(connection.execute(newest).scalar() or "")


@contextmanager
def exact_text(connection: Connection) -> Iterator[None]:
    """Let SQLite hand over text that is no UTF-8 instead of failing at the first damaged row."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    before = driver.text_factory
    driver.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before


def state_of(database: Path) -> tuple[bool, int, int]:
    """Whether somebody uses the file, so that rows may stand beside it; when it was written (ns) and its size."""
    status = database.stat()
    used = any(database.with_name(database.name + end).exists() for end in ("-wal", "-journal"))
    return used, status.st_mtime_ns, status.st_size


@contextmanager
def opened_file(database: Path, *, alone: bool) -> Iterator[Connection]:
    """The database, read-only. One that nobody uses is read as immutable, or SQLite would leave files beside it."""
    uri = f"{database.resolve().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")  # one moment for all that is read
        yield connection
