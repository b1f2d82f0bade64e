"""On PostgreSQL the rows of positions are parted by month of UTC: old months are found, and taken away, as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from guardrails.store.metadata import micros, moment

PARTED = "greek_snapshots"
_LOCK = 0x6775617264706172
"""any number that no other program locks: guardpar in ASCII"""
_MISSING = text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE NOT EXISTS (SELECT FROM pg_class "
    "WHERE relname = name AND relnamespace = current_schema()::regnamespace) ORDER BY name"
)
"""not by to_regclass, which within a transaction may answer from before another's commit"""


def make_partitions(connection: Connection, times: Iterable[int]) -> list[str]:
    """Make what is missing for rows of these times, in microseconds UTC, and for the month after each.

    One question when nothing is missing. Several programs may do this at once: they wait for each other. Returns the
    names of those made.
    """
    months = _months(times)
    asked = {"names": list(months)}
    if not connection.execute(_MISSING, asked).all():
        return []
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    missing = [str(name) for name in connection.execute(_MISSING, asked).scalars()]
    for name in missing:
        begin, end = months[name]
        # made apart and then attached, because CREATE TABLE ... PARTITION OF would wait for every reader
        connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {PARTED} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        attach = f"ALTER TABLE {PARTED} ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({end})"
        connection.exec_driver_sql(attach)
    return missing


def partition_of(time: datetime) -> str:
    """The name of the partition that holds the rows of this time."""
    return f"{PARTED}_{time.astimezone(UTC):%Y_%m}"


def _months(times: Iterable[int]) -> dict[str, tuple[int, int]]:
    """Name, beginning and end of the month of each time and of the one after."""
    found = {}
    for time in map(moment, set(times)):
        for begin in (datetime(time.year, time.month, 1, tzinfo=UTC), _after(time)):
            found[partition_of(begin)] = (micros(begin), micros(_after(begin)))
    return found


def _after(time: datetime) -> datetime:
    """The beginning of the next month."""
    return datetime(time.year + time.month // 12, time.month % 12 + 1, 1, tzinfo=UTC)
