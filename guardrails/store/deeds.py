"""The tables of what was done: safety states, alerts and their deliveries, orders, fills, journal, overrides, flatten.

Each is a list of events that is only ever added to: what is true now is the last row of its kind. All must survive,
and each row is proven in the evidence log (see `guardrails.store.proof`). Where a table has a `content`, that is the
whole value as JSON (see `guardrails.store.deed_rows`), and the other columns are what is looked for; `time` is then
when it was handed over.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, SmallInteger, String, Table, UniqueConstraint

from guardrails.store.columns import book_column, number_column, sent_columns, text_column, time_column
from guardrails.store.metadata import METADATA


def _events(name: str, *columns: Column[str] | Column[int] | Column[float], key: str = "") -> Table:
    """A table of events of a book, found by time and, when given, by `key`."""
    by_key = (Index(None, "book", key, "id"),) if key else ()
    return Table(
        name,
        METADATA,
        *sent_columns(),
        book_column(),
        time_column(),
        *columns,
        UniqueConstraint("run", "number"),
        Index(None, "book", "time"),
        *by_key,
    )


SAFETY_CHANGES = _events(
    "safety_changes",
    text_column("old", nullable=True),
    text_column("new"),
    text_column("author"),  # who asked for it: a person's name, or the check that did
    text_column("reason"),
    text_column("content", nullable=True),  # JSON: the `guardrails.safety.SafetyChange`
)

ALERTS = _events(
    "alerts",
    text_column("alert"),  # identity: the same problem has the same
    text_column("check_name"),
    text_column("subject"),
    Column("severity", String(16), nullable=False),
    Column("state", String(16), nullable=False),  # fired, acknowledged, silenced, escalated, resolved
    text_column("author", nullable=True),  # null: the program
    text_column("reason"),
    time_column("until", nullable=True),  # of a silence
    text_column("message"),
    text_column("evidence"),  # JSON: the whole `guardrails.alerts.values.Alert` after the step
    text_column("words", nullable=True),  # what the author wrote, or who holds it back
    time_column("fired", nullable=True),  # the beginning of this life of it
    Column("times_told", Integer, nullable=True),  # in this life
    Column("acted", SmallInteger, nullable=True),  # 1: it led to an action
    key="alert",
)

DELIVERIES = _events(
    "deliveries",
    text_column("delivery"),  # unique key of one message to one channel
    text_column("alerts"),  # JSON list of the identities it tells of
    text_column("channel"),  # redacted
    Column("attempt", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # waiting, sent, failed, dead, superseded
    text_column("detail"),  # what the channel answered, redacted
    time_column("due", nullable=True),  # when it is tried again
    text_column("content"),  # JSON: the `guardrails.alerts.values.Message`, in the first row of each; else empty
    key="delivery",
)

ORDERS = _events(
    "orders",
    text_column("order_key"),  # unique key, durable before a byte is sent
    Column("state", String(16), nullable=False),
    Column("account_hash", String(16), nullable=False),
    text_column("account"),  # masked
    text_column("broker"),
    text_column("origin"),  # ticket, flatten, api, ...
    text_column("author"),
    text_column("legs"),  # JSON: key, side, quantity of each
    number_column("quantity"),  # packages
    number_column("limit_price"),  # of one package per unit, positive is a debit, in `currency`
    text_column("currency"),
    text_column("verdict", nullable=True),
    text_column("reasons"),  # JSON list
    text_column("broker_reference", nullable=True),
    text_column("detail"),
    time_column("changed", nullable=True),
    text_column("content", nullable=True),  # JSON: the `guardrails.execution.values.OrderRecord`
    key="order_key",
)

FILLS = _events(
    "fills",
    text_column("execution"),  # the broker's own identity of it
    text_column("order_key", nullable=True),  # null: did not come through the gate
    Column("account_hash", String(16), nullable=False),
    text_column("account"),  # masked
    text_column("broker"),
    text_column("key"),  # canonical key of the instrument
    number_column("quantity"),  # signed: negative is sold
    number_column("price"),  # of one unit, in `currency`
    number_column("fees"),
    text_column("currency"),
    time_column("executed"),
    Column("revision", Integer, nullable=True),  # the highest of an execution counts
    text_column("content", nullable=True),  # JSON: the `guardrails.orders.Fill`
    key="execution",
)

JOURNAL = _events(
    "journal",
    text_column("kind"),
    text_column("author"),
    text_column("order_key", nullable=True),
    text_column("words"),  # what the person wrote
    text_column("before"),  # JSON: the measures that moved
    text_column("after"),  # JSON
    text_column("entry", nullable=True),  # identity: what is known of it is written again under the same
    time_column("done", nullable=True),  # when what it tells of happened
    text_column("content", nullable=True),  # JSON: the `guardrails.execution.values.JournalEntry`
    key="entry",
)

OVERRIDES = _events(
    "overrides",
    text_column("override"),  # identity
    text_column("check_name"),
    text_column("subject"),
    text_column("author"),
    text_column("reason"),
    Column("state", String(16), nullable=False),  # begun, used, ended
    time_column("until"),
    text_column("order_key", nullable=True),
    text_column("content", nullable=True),  # JSON: the `guardrails.gate.values.Override`
    key="override",
)

FLATTEN_RUNS = _events(
    "flatten_runs",
    text_column("flatten"),  # identity
    Column("state", String(16), nullable=False),  # running, cancelling, done
    text_column("author"),
    text_column("words"),
    text_column("content"),  # JSON: the `guardrails.execution.values.FlattenRun`
    key="flatten",
)

DEEDS = (SAFETY_CHANGES, ALERTS, DELIVERIES, ORDERS, FILLS, JOURNAL, OVERRIDES, FLATTEN_RUNS)
