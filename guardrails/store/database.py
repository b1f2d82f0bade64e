"""Where the rows are kept: a file in the data folder, or a PostgreSQL server; both are used in the same way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

from pydantic import SecretStr
from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from guardrails.redaction import MASK
from guardrails.store.metadata import StoreError
from guardrails.store.sqlite import BUSY_SECONDS, FILE, SqliteDatabase

SERVER = "postgresql+psycopg"
_SCHEMES = ("postgres", "sqlite", "mysql", "mariadb", "oracle", "mssql")
_FORM = f"write {SERVER}://USER@HOST/DATABASE, or sqlite:///PATH, or leave it unset for a file in the data folder"


class Database(Protocol):
    """One open database."""

    @property
    def name(self) -> str:
        """What it is called in messages, without a password."""

    @property
    def folder(self) -> Path:
        """Where files that belong to it stand."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What a person should know of it."""

    @property
    def generation(self) -> int:
        """How many times what was known of its rows has become doubtful, as when a new file was begun."""

    def writing(self, *, durable: bool) -> AbstractContextManager[Connection]:
        """One transaction to write in; `durable`: what it wrote is on the disk when it has committed."""

    def reading(self) -> AbstractContextManager[Connection]:
        """One consistent view, whatever is written meanwhile."""

    def wait(self, seconds: float) -> None:
        """Until another program has told of something new, at most so long; where none can tell, exactly so long."""

    def set_aside(self) -> None:
        """Keep what is damaged under another name and begin anew; StoreError when that is not possible."""

    def close(self) -> None:
        """Close every connection."""


def open_database(
    folder: Path,
    clock: Callable[[], datetime],
    url: SecretStr | None = None,
    busy_seconds: float = BUSY_SECONDS,
    *,
    patient: bool = False,
) -> Database:
    """What `url` (the setting DATABASE_URL) names, by default a file in `folder`; StoreError says what to do.

    A file is created or brought up to date; a server is connected to when it is first needed, so that it may be away
    now, and so is a file when `patient`. `busy_seconds` is how long a transaction waits for another program's.
    """
    place = place_of(folder, url)
    if isinstance(place, Path):
        return SqliteDatabase(place, clock, busy_seconds, patient=patient)
    server: Database = postgres().PostgresDatabase(place, folder, busy_seconds)
    return server


def postgres() -> ModuleType:
    """The module `guardrails.store.postgres`; StoreError when what it needs is not installed."""
    try:
        return import_module("guardrails.store.postgres")
    except ImportError as error:
        raise StoreError(
            "DATABASE_URL names a PostgreSQL server, for which the package psycopg is missing; "
            "run: pip install 'portfolio-guardrails[postgres]'"
        ) from error


def place_of(folder: Path, url: SecretStr | None) -> Path | URL:
    """The file or the server that `url` (DATABASE_URL) names, by default the file in `folder`.

    StoreError, which tells no more of it than the scheme, when it is not understood.
    """
    if url is None:
        return folder / FILE
    try:
        place = make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        raise StoreError(f"DATABASE_URL cannot be read as a URL; {_FORM}.") from None
    if "@" in (place.host or ""):  # what is taken for the host is the rest of the password
        raise StoreError(f"DATABASE_URL has more than one @: write one that belongs to the password as %40; {_FORM}.")
    if place.drivername == SERVER and place.database:
        return place
    if place.drivername == "sqlite" and place.database not in (None, "", ":memory:") and not place.query:
        return Path(str(place.database))
    what = f"begins with {place.drivername}://" if place.drivername not in (SERVER, "sqlite") else "names no database"
    if not place.drivername.startswith(_SCHEMES):  # it may be anything, even a password
        what = "begins with no kind of database that is known"
    raise StoreError(f"DATABASE_URL {what}; {_FORM}.") from None


def name_of(url: URL) -> str:
    """`url` for people: no password, and nothing of what stands behind the name of the database."""
    user = f"{url.username}:{MASK}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"{url.drivername}://{user}{url.host or ''}{port}/{url.database}"
