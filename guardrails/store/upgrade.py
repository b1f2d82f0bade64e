"""Brings a database to the schema of this program, or refuses it; a file is copied aside first.

Alembic is loaded only when there is a step to run.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, func, inspect, select, true

from guardrails.store.metadata import METADATA, StoreError

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

HEAD = "0005"
"""the last step; a test holds it against the files in `migrations/versions`"""
_MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"
_OTHER_FOLDER = "set GUARDRAILS_DATA_DIR to another folder"
_OTHER_DATABASE = "set DATABASE_URL to another database"
_UPGRADE_LOCK = 0x6775617264726C73
"""any number that no other program locks: guardrls in ASCII"""


def schema_of(connection: Connection, ours: Collection[str] = ()) -> str | None:
    """The schema the database is at, None when it holds no table; StoreError when it is of another program.

    With `ours`, tables of other names may stand beside: a database of a server is often shared.
    """
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE not in tables:
        if foreign := sorted(set(tables) & set(ours) if ours else tables):
            instead = _OTHER_DATABASE if ours else _OTHER_FOLDER
            raise StoreError(
                f"it holds tables ({', '.join(foreign[:3])}, ...) that this program did not write; {instead}."
            )
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one_or_none()  # noqa: S608  # a constant
    return None if found is None else str(found)


def bring_up_to_date(engine: Engine, path: Path) -> None:
    """Run the steps that are missing in the file `path`, all in one transaction; StoreError when its schema is newer
    than this program.

    Another process that does the same at this moment is waited for.
    """
    with engine.connect() as connection, connection.begin():
        if schema_of(connection) == HEAD:
            return
    with engine.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
        now = schema_of(connection)
        if now == HEAD:
            return
        steps = _steps(connection, now, _OTHER_FOLDER)
        if now is not None:
            kept = copy_aside(path, now)
            log.warning("%s goes from schema %s to %s; as it was it is kept as %s", path.name, now, HEAD, kept.name)
        steps()


def is_up_to_date(connection: Connection) -> bool:
    """Whether the database of a server, on a `connection` without a transaction, has the schema of this program."""
    with connection.begin():
        return schema_of(connection, program_tables()) == HEAD


def bring_server_up_to_date(connection: Connection, name: str, seconds: float) -> None:
    """The same as `bring_up_to_date` on a PostgreSQL server, for at most `seconds`.

    Nothing is copied: a backup of a server is its administrator's.
    """
    with connection.begin():
        for limit in ("lock_timeout", "statement_timeout"):
            connection.execute(select(func.set_config(limit, str(int(seconds * 1000)), true())))
        connection.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
        now = schema_of(connection, program_tables())
        if now == HEAD:
            return
        steps = _steps(connection, now, _OTHER_DATABASE)
        if now is not None:
            log.warning("%s goes from schema %s to %s; it is not copied, keep backups of the server", name, now, HEAD)
        steps()


def program_tables() -> set[str]:
    """The names of all tables of this program."""
    from guardrails.store import evidence, quarters, schema, sharing  # noqa: F401, PLC0415  # they build on this package

    return set(METADATA.tables)


def _steps(connection: Connection, now: str | None, instead: str) -> Callable[[], None]:
    """What runs the steps from schema `now` on; StoreError when it is none of ours."""
    from alembic import command  # noqa: PLC0415  # 0.1 s that most starts need not spend
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # as above

    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if now is not None and now not in known:
        raise StoreError(
            f"its schema is {now}, newer than {HEAD}, the last that this program knows; take a newer version "
            f"of the program, or {instead}."
        )
    return lambda: command.upgrade(config, "head")


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415  # see _steps

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
