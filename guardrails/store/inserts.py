"""Rows as tuples straight to the driver, much faster than SQLAlchemy's `insert()` with dictionaries.

Many rows go to SQLite by the dozen in one statement, which a third more of them pass per second than one by one, and to
PostgreSQL with COPY.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import BigInteger, Connection, Float, Integer, LargeBinary, SmallInteger, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from guardrails.store.partitions import PARTED, make_partitions

Value = str | int | float | bytes | None
Row = tuple[Value, ...]

_MANY = 20
"""rows from which on COPY is faster than single statements"""
_MARKS = 999
"""in one statement; what every SQLite takes, see https://www.sqlite.org/limits.html"""
_TAKEN, _REFUSED = "23505", "23514"
"""SQLSTATE of a key that is there already, and of a row that no partition or no check takes"""
_COPIED_AS = (
    (SmallInteger, "int2"),
    (BigInteger, "int8"),
    (Integer, "int4"),
    (Float, "float8"),
    (LargeBinary, "bytea"),
)


@cache
def columns(table: Table) -> tuple[str, ...]:
    """The columns a row of `table` gives values for, in order: all but a number that the database counts itself."""
    return tuple(column.name for column in table.columns if column.autoincrement is not True)


def insert(connection: Connection, table: Table, rows: Sequence[Row]) -> int:
    """Insert `rows`, values in the order of `columns`; a row whose key is there already is left as it is.

    Returns how many rows were new.
    """
    if not rows:
        return 0
    if connection.dialect.name != "postgresql":
        return _put(connection, table, rows)
    if len(rows) >= _MANY:
        return _copied(connection, table, rows)
    _make_room(connection, table, rows)
    return _each(connection, table, rows)


def _make_room(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    if table.name == PARTED:
        make_partitions(connection, {row[0] for row in rows if isinstance(row[0], int)})


def _each(connection: Connection, table: Table, rows: Sequence[Row]) -> int:
    return connection.exec_driver_sql(_text(table, connection.dialect, 1), list(rows)).rowcount


def _put(connection: Connection, table: Table, rows: Sequence[Row]) -> int:
    """As many rows in one statement as it takes, then the rest one by one."""
    width = len(columns(table))
    together = _MARKS // width
    if len(rows) < together or set(map(len, rows)) != {width}:  # a short and a long row would add up
        return _each(connection, table, rows)
    end = len(rows) // together * together
    values, step = tuple(chain.from_iterable(rows[:end])), together * width
    # one call for all of them: SQLAlchemy's own share of a call is a tenth of what SQLite needs for as many rows
    text = _text(table, connection.dialect, together)
    parts = [values[at : at + step] for at in range(0, len(values), step)]
    new = connection.exec_driver_sql(text, parts).rowcount
    return new + (_each(connection, table, rows[end:]) if end < len(rows) else 0)


def _copied(connection: Connection, table: Table, rows: Sequence[Row]) -> int:
    """COPY into the table itself, which rows that are all new and have their partition allow; otherwise around it.

    Whether they have is not asked before, which would take as long as a fifth of the rows.
    """
    driver: Any = connection.connection.driver_connection
    quote = connection.dialect.identifier_preparer.quote
    names, types = ", ".join(quote(name) for name in columns(table)), _types(table)
    # ends with the transaction: to release it is one more answer to wait for
    connection.exec_driver_sql("SAVEPOINT before_copy")
    try:
        _copy(driver, f"{quote(table.name)} ({names})", types, rows)
    except Exception as error:
        if (state := getattr(error, "sqlstate", "")) not in (_TAKEN, _REFUSED):
            if state == "":  # not of the driver
                raise
            # as SQLAlchemy wraps what comes of its own statements
            raise DBAPIError("COPY", None, error) from error
    else:
        return len(rows)
    connection.exec_driver_sql("ROLLBACK TO SAVEPOINT before_copy")
    _make_room(connection, table, rows)
    beside, own = f"sent_{table.name}", quote(table.name)
    empty = f"SELECT {names} FROM {own} LIMIT 0"  # noqa: S608  # names of our own tables
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {beside} ON COMMIT DROP AS {empty}")
    _copy(driver, beside, types, rows)
    take = f"INSERT INTO {own} ({names}) SELECT {names} FROM {beside} ON CONFLICT DO NOTHING"  # noqa: S608  # as above
    new = connection.exec_driver_sql(take).rowcount
    connection.exec_driver_sql(f"DROP TABLE {beside}")
    return new


def _copy(driver: Any, target: str, types: Sequence[str], rows: Iterable[Row]) -> None:
    with driver.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        write = copy.write_row
        for row in rows:
            write(row)


@cache
def _types(table: Table) -> tuple[str, ...]:
    """What binary COPY must be told, as it does not convert."""
    return tuple(
        next((name for kind, name in _COPIED_AS if isinstance(table.c[column].type, kind)), "text")
        for column in columns(table)
    )


@cache
def _text(table: Table, dialect: Dialect, together: int) -> str:
    quote = dialect.identifier_preparer.quote
    names = [quote(name) for name in columns(table)]
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    marks = ", ".join([f"({', '.join([mark] * len(names))})"] * together)
    return f"INSERT INTO {quote(table.name)} ({', '.join(names)}) VALUES {marks} ON CONFLICT DO NOTHING"  # noqa: S608  # names of our own tables
