"""The kinds of columns the tables of the store are made of."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, String, Text

LIVE, BACKFILL = "live", "backfill"
"""where a row came from: this program as it happened, or a history that somebody else kept, read later"""


def book_column(*, primary: bool = False) -> Column[str]:
    """Whose the row is."""
    return Column("book", String(16), ForeignKey("books.book"), primary_key=primary, nullable=False)


def origin_column(*, primary: bool = False) -> Column[str]:
    """`LIVE` or `BACKFILL`."""
    return Column("origin", String(8), primary_key=primary, nullable=False)


def time_column(name: str = "time", *, primary: bool = False, nullable: bool = False) -> Column[int]:
    """Microseconds since 1970 UTC."""
    return Column(name, BigInteger, primary_key=primary, nullable=nullable, autoincrement=False)


def number_column(name: str) -> Column[float]:
    """A number; null is unknown."""
    return Column(name, Float(53), nullable=True)


def text_column(name: str, *, nullable: bool = False) -> Column[str]:
    """Any text."""
    return Column(name, Text, nullable=nullable)


def sent_columns() -> tuple[Column[int], Column[str], Column[int]]:
    """Order of writing, and who wrote it as the how manieth."""
    return (
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("run", String(16), nullable=False),
        Column("number", BigInteger, nullable=False),
    )
