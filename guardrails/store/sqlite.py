"""The SQLite file of the store: opened, brought up to date, and kept aside when it is damaged.

WAL, so that a reader never waits for the writer. What must survive is written with `synchronous = FULL`, telemetry
with NORMAL, which a power cut may cost its last seconds but never the file (https://www.sqlite.org/pragma.html).
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from guardrails.store.damage import alone, is_damaged, keep_aside, kept_words
from guardrails.store.faults import is_locked, reason
from guardrails.store.metadata import StoreError
from guardrails.store.upgrade import bring_up_to_date

log = logging.getLogger(__name__)

FILE = "guardrails.db"
BUSY_SECONDS = 5.0
_WAL_BYTES = 64_000_000


class _UnavailableError(StoreError):
    """It cannot be opened now; somebody may make room, give access or end what locks it."""


class SqliteDatabase:
    """One open database. `problems` says what a person should know of it; `generation` counts the files begun."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], datetime],
        busy_seconds: float = BUSY_SECONDS,
        *,
        patient: bool = False,
    ) -> None:
        """`patient`: what cannot be opened now but perhaps later, as on a full disk, is opened when it is needed."""
        self.path = path
        self.problems: tuple[str, ...] = ()
        self.generation = 0
        self._now = clock
        self._busy_seconds = busy_seconds
        self._file: tuple[int, int] | None = None
        """which file is in use; None while there is none"""
        self._guard = threading.Lock()
        try:
            self.engine = self._open()
        except _UnavailableError:
            if not patient:
                raise
            self.engine = self._engine()

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.path.name

    @property
    def folder(self) -> Path:
        """Where files that belong to it stand."""
        return self.path.parent

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[Connection]:
        """One transaction that holds the write lock from its start; `durable`: on the disk when it has committed."""
        if self._is_gone():
            self._begin_again()
        options = {"begin": "IMMEDIATE", "synchronous": "FULL" if durable else "NORMAL"}
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view, whatever is written meanwhile."""
        if self._file is None:
            self._begin_again()
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def wait(self, seconds: float) -> None:
        """So long: a file tells nobody that it has changed."""
        time.sleep(seconds)

    def set_aside(self) -> None:
        """Keep the damaged file under another name and begin a new one; StoreError when that is not possible."""
        self.engine.dispose()
        with alone(self.folder):
            if self._is_gone():  # another program has kept it aside: what stands there now is its new one
                said = f"{self.path.name} was damaged and another program has put it away; its new one is used."
            else:
                said = kept_words(self.path, keep_aside(self.path, self._now()))
            self._file = None
        self._note(said)  # first: the disk may have no room for a new one yet
        self._begin_again()

    def close(self) -> None:
        """Close every connection; the last one folds the write-ahead log into the file."""
        self.engine.dispose()

    def _open(self) -> Engine:
        """An engine on a sound file of this schema."""
        try:
            self._prepare_file()
        except OSError as error:
            raise _UnavailableError(_unusable(self.path, error)) from error
        engine = self._engine()
        try:
            if is_damaged(engine, self.path):
                engine.dispose()
                with alone(self.folder):
                    if is_damaged(engine, self.path):  # else another program that starts has just put it away
                        engine.dispose()
                        self._note(kept_words(self.path, keep_aside(self.path, self._now())))
                self._prepare_file()
            bring_up_to_date(engine, self.path)
        except StoreError as error:
            engine.dispose()
            raise StoreError(f"{self.path} cannot be used: {error}") from error
        except (DBAPIError, OSError) as error:
            engine.dispose()
            raise _UnavailableError(_unusable(self.path, error)) from error
        self._file = _identity(self.path)
        return engine

    def _prepare_file(self) -> None:
        """The folder, and the file with access for its owner only."""
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            self._note(f"{folder} can be changed by other users of this machine; run: chmod 700 {folder}")
        if self.path.is_dir():  # whose mode must stay as it is
            raise IsADirectoryError(errno.EISDIR, "a folder stands in its place; move it away")
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if self.path.stat().st_mode & 0o077:
            self.path.chmod(0o600)
        for place in (folder, self.path):
            if not os.access(place, os.W_OK):
                raise PermissionError(0, f"{place.name} is read-only")

    def _engine(self) -> Engine:
        engine = create_engine(
            URL.create("sqlite+pysqlite", database=str(self.path)), connect_args={"timeout": self._busy_seconds}
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return engine

    def _is_gone(self) -> bool:
        return self._file is None or _identity(self.path) != self._file

    def _begin_again(self) -> None:
        with self._guard:
            if not self._is_gone():  # another thread has just done it
                return
            was_there = self._file is not None
            self.engine.dispose()
            self.engine = self._open()
            self.generation += 1
            if was_there:
                self._note(f"{self.path.name} was taken away while it was in use; a new one was started.")

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            log.error("%s", problem)
            self.problems = (*self.problems, problem)


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins the transactions, also those of a migration
    if connection.execute("PRAGMA page_count").fetchone() == (0,):  # of an older file it would need the write lock
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # gives room back when old rows have left the file
    for pragma in ("journal_mode = WAL", "foreign_keys = ON", f"journal_size_limit = {_WAL_BYTES}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA synchronous = {options.get('synchronous', 'FULL')}")
    connection.exec_driver_sql(f"BEGIN {options.get('begin', 'DEFERRED')}")


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file stands under this name."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _unusable(path: Path, error: BaseException) -> str:
    if is_locked(error):
        return f"{path} cannot be brought up to date: {reason(error)}. End it and start again."
    return (
        f"{path} cannot be written: {reason(error)}. Give this user access to {path.parent} and free space, "
        "or set GUARDRAILS_DATA_DIR to another folder."
    )
