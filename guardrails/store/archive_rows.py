"""Which rows make up an exchange day, as groups for a file, and how they leave the database.

A row leaves only by its key, and the keys come out of the file itself: what is not in the file cannot be deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import cache
from time import sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Connection, Table, select
from sqlalchemy.engine import Dialect

from guardrails import calendar
from guardrails.store.archive_file import TIMES, schema_of
from guardrails.store.archive_products import unfolded
from guardrails.store.columns import LIVE
from guardrails.store.database import Database
from guardrails.store.metadata import micros
from guardrails.store.schema import ACCOUNT_VALUES, GREEK_SNAPSHOTS, POSITIONS, SNAPSHOTS, UNDERLYING_TOTALS

if TYPE_CHECKING:
    import pyarrow.parquet as pq

PAUSE_SECONDS = 0.005
"""between two transactions, so that another thread or program finds the lock free"""
_GROUP_ROWS, _FETCHED_ROWS, _DELETED_ROWS = 131_072, 8_192, 2_048
_OF_POSITION = tuple(column for column in POSITIONS.columns if column.name not in ("position", "book"))


@dataclass(frozen=True, slots=True)
class Kind:
    """A table whose rows are moved to files."""

    table: Table
    order: tuple[str, ...]
    """how a group of rows is sorted"""

    @property
    def name(self) -> str:
        """Of the table and of its files."""
        return self.table.name

    @property
    def keys(self) -> tuple[str, ...]:
        """What tells one row from another."""
        return tuple(column.name for column in self.table.primary_key.columns)

    @property
    def schema(self) -> pa.Schema:
        """Of what is archived: the columns of the table, and what a position is, so that it can be read by itself."""
        mine = tuple(self.table.columns)
        return schema_of((*mine, *_OF_POSITION) if self.table is GREEK_SNAPSHOTS else mine)


KINDS = (
    Kind(GREEK_SNAPSHOTS, ("position", "time")),
    Kind(UNDERLYING_TOTALS, ("underlying", "time")),
    Kind(ACCOUNT_VALUES, ("account_hash", "time")),
    Kind(SNAPSHOTS, ("time",)),
)
"""in the order of their leaving: the rows of `snapshots`, by which a day is found, are the last"""


def day_bounds(day: date) -> tuple[int, int]:
    """Midnight to midnight in New York, in microseconds; 23 or 25 hours when its clocks change."""
    begin, end = (calendar.at(each, time()) for each in (day, day + timedelta(days=1)))
    return micros(begin), micros(end)


def is_held(connection: Connection, kind: Kind, book: str, day: date) -> bool:
    """Whether the database has a row of that day."""
    c = kind.table.c.time
    return connection.execute(select(c).where(*_of_day(kind, book, day)).limit(1)).first() is not None


def groups(connection: Connection, kind: Kind, book: str, day: date) -> Iterator[pa.Table]:
    """The rows of that day in sorted groups; no more than one group is in memory."""
    query = select(kind.table).where(*_of_day(kind, book, day)).order_by(*kind.table.primary_key.columns)
    result = connection.execute(query.execution_options(yield_per=_FETCHED_ROWS))
    schema = schema_of(kind.table.columns)
    held = _positions(connection, book, day) if kind.table is GREEK_SNAPSHOTS else None
    parts: list[pa.Table] = []
    for rows in result.partitions():
        parts.append(_table(rows, schema))
        if sum(part.num_rows for part in parts) >= _GROUP_ROWS:
            yield _group(kind, parts, held)
            parts = []
    if parts:
        yield _group(kind, parts, held)


def joined(kind: Kind, file: pq.ParquetFile, late: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The groups of `file`, then what of `late` is not in it."""
    for n in range(file.num_row_groups):
        yield fitted(kind, unfolded(file.read_row_group(n)))
    for group in late:
        new = _not_in(kind, file, group)
        if new.num_rows:
            yield new


def fitted(kind: Kind, rows: pa.Table) -> pa.Table:
    """`rows` of a file with the columns of today: what an older version did not keep is unknown."""
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in kind.schema
    ]
    return pa.Table.from_arrays(columns, schema=kind.schema)


def remove(database: Database, kind: Kind, file: pq.ParquetFile) -> None:
    """Delete every row that is in `file` from the database, a few thousand in a transaction."""
    for n in range(file.num_row_groups):
        keys = file.read_row_group(n, columns=list(kind.keys)).sort_by("time")
        for start in range(0, keys.num_rows, _DELETED_ROWS):
            part = keys.slice(start, _DELETED_ROWS)
            columns = [
                part[name].cast(pa.int64()).to_pylist() if name in TIMES else part[name].to_pylist()
                for name in kind.keys
            ]
            # a deletion that a power cut undoes is done again: the file is listed as not yet removed until the end
            with database.writing(durable=False) as connection:
                text = _deletion(kind.table, connection.dialect)
                connection.exec_driver_sql(text, list(zip(*columns, strict=True)))
            sleep(PAUSE_SECONDS)


def _of_day(kind: Kind, book: str, day: date) -> list[ColumnElement[bool]]:
    c, (begin, end) = kind.table.c, day_bounds(day)
    found = [c.time >= begin, c.time < end]
    if kind.table is GREEK_SNAPSHOTS:
        return [*found, c.position.in_(select(POSITIONS.c.position).where(POSITIONS.c.book == book))]
    return [c.book == book, *found, *([c.origin == LIVE] if "origin" in c else [])]


def _positions(connection: Connection, book: str, day: date) -> pa.Table:
    """What each position is that the book had on that day, by its number; those of all its years may be a million."""
    c, (begin, end) = POSITIONS.c, day_bounds(day)
    columns = (c.position, *_OF_POSITION)
    there = select(GREEK_SNAPSHOTS.c.position).where(GREEK_SNAPSHOTS.c.time >= begin, GREEK_SNAPSHOTS.c.time < end)
    rows = connection.execute(select(*columns).where(c.book == book, c.position.in_(there))).all()
    return _table(rows, schema_of(columns))


def _table(rows: Sequence[Any], schema: pa.Schema) -> pa.Table:
    values = zip(zip(*rows, strict=True), schema, strict=True)
    return pa.Table.from_arrays([_array(column, field.type) for column, field in values], schema=schema)


def _array(values: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    """One column; doubles by way of numpy, which is seven times as fast and reads None as NaN, which is no number."""
    if pa.types.is_floating(kind):
        return pa.array(np.array(values, dtype=np.float64), kind, from_pandas=True)
    return pa.array(values, kind)


def _group(kind: Kind, parts: list[pa.Table], held: pa.Table | None) -> pa.Table:
    group = pa.concat_tables(parts).sort_by([(name, "ascending") for name in kind.order])
    if held is None:
        return group
    places = pc.index_in(group["position"], held["position"].combine_chunks())
    for name, column in zip(held.column_names[1:], held.columns[1:], strict=True):
        group = group.append_column(held.schema.field(name), column.take(places))
    return group


def _not_in(kind: Kind, file: pq.ParquetFile, group: pa.Table) -> pa.Table:
    """The rows of `group` whose key no row of `file` has."""
    for n in range(file.num_row_groups):
        if group.num_rows:
            known = file.read_row_group(n, columns=list(kind.keys)).cast(
                pa.schema([kind.schema.field(name) for name in kind.keys])
            )
            group = group.join(known, list(kind.keys), join_type="left anti")
    return group.select(kind.schema.names).sort_by([(name, "ascending") for name in kind.order])


@cache
def _deletion(table: Table, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    keys = " AND ".join(f"{quote(column.name)} = {mark}" for column in table.primary_key.columns)
    return f"DELETE FROM {quote(table.name)} WHERE {keys}"  # noqa: S608  # names of our own tables
