"""Taking out again what was filled in by mistake: the rows of one source with the origin of a backfill, and no others.

A backfill never changes what is stored, so a wrong file would stand for ever; what was seen live is never taken out.
"""

from __future__ import annotations

from sqlalchemy import delete, select, union
from sqlalchemy.exc import DBAPIError

from guardrails.store.books import Book
from guardrails.store.columns import BACKFILL
from guardrails.store.database import Database
from guardrails.store.faults import reason
from guardrails.store.metadata import StoreError
from guardrails.store.quarters import ACCOUNT_QUARTERS, MARKET_CLOSES
from guardrails.store.texts import text

_FILLED = (ACCOUNT_QUARTERS, MARKET_CLOSES)
_KINDS = ("", "statement:", "file:")
"""what stands before the name of a source"""


def forget(database: Database, book: Book, name: str) -> tuple[list[str], int]:
    """Take out what the file or source called `name` filled into `book`; what to say, and the exit code: 3 for nothing.

    StoreError when the database takes no change; then nothing was taken out.
    """
    wanted = [text(kind + name) for kind in _KINDS]
    try:
        with database.writing(durable=True) as connection:
            gone = sum(
                connection.execute(
                    delete(table).where(
                        table.c.book == book.key, table.c.origin == BACKFILL, table.c.source.in_(wanted)
                    )
                ).rowcount
                for table in _FILLED
            )
            left = union(*(select(t.c.source).where(t.c.book == book.key, t.c.origin == BACKFILL) for t in _FILLED))
            others = sorted(connection.execute(left).scalars())
    except DBAPIError as error:
        raise StoreError(f"{database.name} takes no change ({reason(error)}): nothing was taken out") from error
    if gone:
        return [f"{gone:,} values of {text(name)} taken out of {database.name}"], 0
    known = ", ".join(source.removeprefix("statement:").removeprefix("file:") for source in others) or "nothing"
    return [f"nothing of {text(name)} stands in {database.name}; filled in was: {known}"], 3
