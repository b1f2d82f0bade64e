"""What is done about a damaged SQLite file: it is found, and kept under another name, by one program at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from guardrails.store.evidence_head import HEAD_FILE
from guardrails.store.faults import is_damage

if sys.platform != "win32":
    import fcntl

_CHECK_WHOLE_BYTES = 64_000_000
"""a larger file is not read through at every start, which would take seconds; damage is then found where it is met"""


def is_damaged(engine: Engine, path: Path) -> bool:
    """Whether SQLite finds the file damaged; other faults are raised."""
    try:
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            if path.stat().st_size > _CHECK_WHOLE_BYTES:
                return False
            return str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()) != "ok"
    except DBAPIError as error:
        if is_damage(error):
            return True
        raise


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Among the programs that use this folder; Windows has no such lock, and renames no file that is in use."""
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def kept_words(path: Path, kept: Path) -> str:
    """What a person is told of it."""
    return f"{path.name} was damaged; it is kept as {kept.name} and a new one was started."


def keep_aside(path: Path, now: datetime) -> Path:
    """Rename the file and what belongs to it, so that it can still be looked into."""
    kept = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%S%f}")
    for ending in ("-wal", "-shm", ""):  # the file last: without it, the next start would take up the old log
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).replace(kept.with_name(kept.name + ending))
    with suppress(FileNotFoundError):  # it knows the end of that file's evidence, not of the new one's
        head = path.with_name(HEAD_FILE)
        head.replace(head.with_name(f"{HEAD_FILE}{kept.name.removeprefix(path.name)}"))
    return kept
