"""The tables by which several programs share one database: who may write, the last Snapshot for those who read, what
they ask of the one that writes, and whole moments of the past; and how one tells the others of something new.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, LargeBinary, String, Table, func, select

from guardrails.store.columns import book_column, text_column, time_column
from guardrails.store.metadata import METADATA

CHANNEL = "guardrails"
"""of NOTIFY on PostgreSQL"""

LEASES = Table(
    "leases",
    METADATA,
    book_column(primary=True),
    Column("token", BigInteger, nullable=False),  # one more with every new holder; a lower one is refused
    text_column("run", nullable=True),  # the start of the program that holds it; null: given back
    text_column("host"),
    Column("pid", Integer, nullable=False),
    Column("beat", BigInteger, nullable=False),  # one more with every sign of life
)

READERS = Table(
    "readers",
    METADATA,
    book_column(primary=True),
    Column("run", String(16), primary_key=True),
    Column("beat", BigInteger, nullable=False),
)
"""who wants to see the Snapshots of a book that another program writes"""

LATEST = Table(
    "latest",
    METADATA,
    book_column(primary=True),
    time_column(),
    Column("token", BigInteger, nullable=False),  # of the lease under which it was written
    Column("content", LargeBinary, nullable=False),  # the Snapshot, see `guardrails.store.packing`
    Column("memory", LargeBinary, nullable=False),  # what was remembered after it, for the program that takes over
    Column("alerts", LargeBinary, nullable=True),  # `guardrails.alerts.values.AlertsNow`; null: it makes none
    Column("orders", LargeBinary, nullable=True),  # `guardrails.orders_now.OrdersNow`; null: it has none
)

REQUESTS = Table(
    "requests",
    METADATA,
    Column("key", String(64), primary_key=True),
    book_column(),
    time_column(),
    time_column("valid_until"),  # not taken after it
    text_column("author"),
    text_column("kind"),
    text_column("body"),  # JSON: texts by name
    text_column("run"),  # the program that asks
    text_column("taken_by", nullable=True),  # the program that took it, or the one that asked and took it back
    Index(None, "book", "taken_by"),
)
"""what persons ask in apps that read; a row is taken once and deleted after a day"""

ANSWERS = Table(
    "answers",
    METADATA,
    Column("key", String(64), primary_key=True),  # of the request
    book_column(),
    time_column(),
    text_column("said"),
    text_column("words"),
    text_column("content", nullable=True),  # JSON of what was worked out; null: nothing
)
"""what came of them; deleted after a day"""

CAPTURES = Table(
    "captures",
    METADATA,
    book_column(primary=True),
    time_column(primary=True),
    text_column("cause"),  # `level`: a level or the regime had changed, `period`: time had passed
    text_column("level"),
    text_column("matrix_version"),
    text_column("levels"),  # JSON: {"check subject": level} of every finding that is judged
    Column("inputs", LargeBinary, nullable=False),  # see `guardrails.store.captures`
    Column("snapshot", LargeBinary, nullable=False),
)
"""whole moments: what the sources said, what was remembered, and the Snapshot that came of it"""


def tell_others(connection: Connection, book: str) -> None:
    """Tell the programs that wait on a server for news of `book`, once this is committed; with a file they look."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(CHANNEL, book)))
