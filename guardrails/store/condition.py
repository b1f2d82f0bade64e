"""What a person who asks after the database is told: what it is, whether it can be written, what it holds.

Only looks: nothing is created or brought up to date.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection, Table, func, literal, select
from sqlalchemy.exc import DBAPIError

from guardrails.redaction import redact
from guardrails.store.database import SERVER, name_of, place_of, postgres
from guardrails.store.deeds import ALERTS
from guardrails.store.evidence import EVIDENCE
from guardrails.store.faults import reason
from guardrails.store.metadata import StoreError
from guardrails.store.read_only import opened_file
from guardrails.store.schema import FINDING_TRANSITIONS, SNAPSHOTS
from guardrails.store.sqlite import FILE
from guardrails.store.upgrade import HEAD, program_tables, schema_of

_SECONDS = 20.0
_COUNTED: dict[str, Table] = {
    "snapshots": SNAPSHOTS,
    "transitions": FINDING_TRANSITIONS,
    "steps of alerts": ALERTS,
    "entries of evidence": EVIDENCE,
}


def condition(folder: Path, url: SecretStr | None) -> tuple[bool, str]:
    """Whether the database that `url` (DATABASE_URL) names works, by default the file in `folder`, and what to say."""
    name = str(folder / FILE) if url is None else "the database of DATABASE_URL"
    try:
        place = place_of(folder, url)
        if isinstance(place, Path):
            name = str(place)
            return _file(place)
        server = postgres()
        name = name_of(place)
        with server.looking(place, _SECONDS) as connection:
            return _server(connection, name)
    except StoreError as error:
        return False, f"{name} cannot be used: {error}"
    except (DBAPIError, OSError) as error:
        words = f"{name} cannot be read: {reason(error)}"
        if not name.startswith(SERVER):
            return False, words
        told = redact(str(getattr(error, "orig", error))).partition("\n")[0]
        return False, f"{words} ({told}). What must survive waits in the spool of the data folder meanwhile."


def _file(path: Path) -> tuple[bool, str]:
    if not path.exists():
        if path.parent.exists() and not os.access(path.parent, os.W_OK):
            return False, f"{path.parent} cannot be written; give this user access, or set GUARDRAILS_DATA_DIR"
        return True, f"{path} does not exist yet; the first start makes it"
    closed = [place for place in (path, path.parent) if not os.access(place, os.W_OK)]
    if closed:
        return False, f"{closed[0]} cannot be written; give this user access, or set GUARDRAILS_DATA_DIR"
    with opened_file(path, alone=False) as connection:
        schema = schema_of(connection)
        return True, f"{path} can be written; SQLite {sqlite3.sqlite_version}, {_held(connection, schema)}"


def _server(connection: Connection, name: str) -> tuple[bool, str]:
    schema = schema_of(connection, program_tables())
    version = str(connection.exec_driver_sql("SHOW server_version").scalar_one()).split()[0]
    held = f"PostgreSQL {version}, {_held(connection, schema)}"
    rights = [func.has_schema_privilege(func.current_schema(), "CREATE")]
    if schema == HEAD:  # an older one may lack some of them
        rights += [func.has_table_privilege(table.name, "INSERT, UPDATE, DELETE") for table in _COUNTED.values()]
    if connection.execute(select(func.pg_is_in_recovery())).scalar_one():
        return False, f"{name} is a copy that cannot be written; name the primary server in DATABASE_URL. {held}"
    if not all(connection.execute(select(*rights)).one()):
        return False, f"{name}: its user may not write; grant all rights on its tables and CREATE on the schema. {held}"
    loses = connection.execute(select(func.current_setting("fsync") == literal("off"))).scalar_one()
    risk = ". Its setting fsync is off: a power cut can destroy it" if loses else ""
    return True, f"{name} can be written; {held}{risk}"


def _held(connection: Connection, schema: str | None) -> str:
    if schema is None:
        return "without tables yet; the first start makes them"
    if schema != HEAD:
        return f"schema {schema}; the next start brings it to {HEAD}"
    counts = [
        f"{connection.execute(select(func.count()).select_from(table)).scalar_one():,} {what}"
        for what, table in _COUNTED.items()
    ]
    return f"schema {schema}, {', '.join(counts)}"
