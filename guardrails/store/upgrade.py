"""Brings a database to the schema of this program, or refuses it; the file is copied aside first.

Alembic is loaded only when there is a step to run.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect

from guardrails.store.metadata import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

HEAD = "0003"
"""the last step; a test holds it against the files in `migrations/versions`"""
_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION_TABLE = "alembic_version"


def schema_of(connection: Connection) -> str | None:
    """The schema the database is at, None when it holds no table; StoreError when it is of another program."""
    tables = inspect(connection).get_table_names()
    if _VERSION_TABLE not in tables:
        if tables:
            raise StoreError(
                f"it holds tables ({', '.join(sorted(tables)[:3])}, ...) that this program did not write; "
                "set GUARDRAILS_DATA_DIR to another folder."
            )
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {_VERSION_TABLE}").scalar_one_or_none()  # noqa: S608  # a constant
    return None if found is None else str(found)


def bring_up_to_date(engine: Engine, path: Path) -> None:
    """Run the steps that are missing, all in one transaction; StoreError when the schema is newer than this program.

    Another process that does the same at this moment is waited for.
    """
    with engine.connect() as connection, connection.begin():
        if schema_of(connection) == HEAD:
            return
    with engine.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
        now = schema_of(connection)
        if now == HEAD:
            return
        _run_steps(connection, path, now)


def _run_steps(connection: Connection, path: Path, now: str | None) -> None:
    from alembic import command  # noqa: PLC0415  # 0.1 s that most starts need not spend
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # as above

    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if now is not None and now not in known:
        raise StoreError(
            f"its schema is {now}, newer than {HEAD}, the last that this program knows; take a newer version "
            "of the program, or set GUARDRAILS_DATA_DIR to another folder."
        )
    if now is not None:
        kept = copy_aside(path, now)
        log.warning("%s goes from schema %s to %s; as it was it is kept as %s", path.name, now, HEAD, kept.name)
    command.upgrade(config, "head")


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415  # see _run_steps

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def copy_aside(path: Path, schema: str) -> Path:
    """A whole copy of the database beside it, on the disk when this returns; StoreError when there is no room."""
    target = path.with_name(f"{path.name}.schema-{schema}")
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 2 * size:
        raise StoreError(
            f"it must be copied before its schema changes, which needs {2 * size:,} bytes and the disk has {free:,}; "
            "make room and start again."
        )
    part = path.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as copy:
        source.backup(copy)
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(target)
    return target
