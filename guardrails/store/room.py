"""What old rows have left free is given back to the disk."""

from __future__ import annotations

import logging
from datetime import date
from time import sleep
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from guardrails.store import archive_rows
from guardrails.store.database import Database
from guardrails.store.metadata import moment
from guardrails.store.partitions import PARTED, partition_of

log = logging.getLogger(__name__)

_PAGES = 500
"""how many in one transaction; one takes some 20 us"""
_CHILDREN = text(
    "SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
    "WHERE inhparent = CAST(:parted AS regclass) AND c.relname < :first ORDER BY c.relname"
)


def give_back(database: Database, before: date) -> None:
    """Give free pages of an SQLite file back, where the file was made so that it can
    (https://www.sqlite.org/pragma.html#pragma_auto_vacuum), elsewhere they are used again; on a server drop the
    partitions of months that ended before `before` and hold no row any more.
    """
    with database.reading() as connection:
        on_file = connection.dialect.name == "sqlite"
    if on_file:
        _shrink(database)
    else:
        _drop_months(database, before)


def _shrink(database: Database) -> None:
    with database.reading() as connection:
        if connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() != 2:
            return
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    while free > 0:
        with database.writing(durable=False) as connection:
            for _ in range(min(free, _PAGES)):  # one at a time: Python's driver takes one step of such a statement
                connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
        free -= _PAGES
        sleep(archive_rows.PAUSE_SECONDS)


def _drop_months(database: Database, before: date) -> None:
    """Names of partitions sort as their months do. One that is in use now is dropped on another day."""
    first = partition_of(moment(archive_rows.day_bounds(before)[0]))
    with database.reading() as connection:
        old = connection.execute(_CHILDREN, {"parted": PARTED, "first": first}).scalars().all()
        empty = [name for name in old if _is_empty(connection, name)]
    for name in empty:
        try:
            with database.writing(durable=True) as connection:
                connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")  # whoever comes behind us waits as long
                # the parent first, as whoever reads or writes does
                connection.exec_driver_sql(f"LOCK TABLE {PARTED} IN ACCESS EXCLUSIVE MODE")
                if _is_empty(connection, name):
                    connection.exec_driver_sql(f"DROP TABLE {name}")
                    log.info("%s: the empty partition %s was dropped", database.name, name)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != "55P03":  # the lock was not to be had
                raise


def _is_empty(connection: Any, name: str) -> bool:
    return connection.exec_driver_sql(f"SELECT 1 FROM {name} LIMIT 1").first() is None  # noqa: S608  # a name of ours
