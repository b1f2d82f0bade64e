"""The last Snapshot of a book, for programs that do not write it: put into the database by the one that does.

On PostgreSQL a reader is told by NOTIFY (https://www.postgresql.org/docs/current/sql-notify.html); an SQLite file is
looked at twice a second (`Database.wait`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, insert, select, update

from guardrails.alerts.values import AlertsNow
from guardrails.errors import GuardrailsError
from guardrails.memory import Memory
from guardrails.orders_now import OrdersNow
from guardrails.safety import Cause, Safety, SafetyState
from guardrails.snapshot import Snapshot, to_json
from guardrails.store.database import Database
from guardrails.store.deed_texts import hidden_document
from guardrails.store.metadata import micros
from guardrails.store.packing import packed, read_packed, unpacked
from guardrails.store.sharing import LATEST, tell_others

LOOK_SECONDS = 0.5
_MEMORY, _ALERTS, _ORDERS = TypeAdapter(Memory), TypeAdapter(AlertsNow), TypeAdapter(OrdersNow)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """What a reader is shown, and what it goes on from when it takes over."""

    snapshot: Snapshot
    memory: Memory
    alerts: AlertsNow | None = None
    orders: OrdersNow | None = None
    """accounts in it are without their numbers"""


def publish(connection: Connection, book: str, token: int, newest: Published) -> None:
    """Make `newest` the last one of `book` and tell those who listen."""
    c, snapshot = LATEST.c, newest.snapshot
    content, memory = packed(to_json(snapshot)), packed(_MEMORY.dump_json(newest.memory))
    alerts = None if newest.alerts is None else packed(_ALERTS.dump_json(newest.alerts))
    orders = None if newest.orders is None else packed(hidden_document(newest.orders, _ORDERS).encode())
    values = {
        "time": micros(snapshot.as_of), "token": token, "content": content, "memory": memory, "alerts": alerts,
        "orders": orders,
    }  # fmt: skip
    if connection.execute(update(LATEST).where(c.book == book).values(values)).rowcount == 0:
        connection.execute(insert(LATEST), {"book": book, **values})
    tell_others(connection, book)


class Follower:
    """Reads what another program publishes; belongs to one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: tuple[str, int, int] | None = None

    def newest(self, book: str) -> Published | None:
        """What was published last of `book` when it is another than at the last call."""
        c = LATEST.c
        with self._database.reading() as connection:
            row = connection.execute(select(c.time, c.token).where(c.book == book)).first()
            if row is None or (book, row.time, row.token) == self._known:
                return None
            last = select(c.content, c.memory, c.alerts, c.orders).where(c.book == book)
            content, memory, alerts, orders = connection.execute(last).one()
        self._known = (book, row.time, row.token)
        snapshot = read_packed(content)
        told = None if alerts is None else _read_alerts(alerts, snapshot.as_of)
        known = None if orders is None else _read_orders(orders, snapshot.as_of)
        return Published(snapshot, _MEMORY.validate_json(unpacked(memory)), told, known)


def _read_orders(content: bytes, as_of: datetime) -> OrdersNow:
    """The orders in `packed` bytes; those that this program cannot read must not hide the Snapshot."""
    try:
        return _ORDERS.validate_json(unpacked(content))
    except (ValidationError, GuardrailsError) as error:
        log.warning("the orders of the program that watches cannot be read (%s)", type(error).__name__)
        said = "the program that watches is of another version, whose orders cannot be shown here; update this one."
        return OrdersNow(as_of, Safety(SafetyState.REDUCE_ONLY, cause=Cause.UNREADABLE, reason=said), problem=said)


def _read_alerts(content: bytes, as_of: datetime) -> AlertsNow:
    """The alerts in `packed` bytes; those that this program cannot read must not hide the Snapshot."""
    try:
        return _ALERTS.validate_json(unpacked(content))
    except ValidationError as error:
        log.warning("the alerts of the program that watches cannot be read (%d fields differ)", error.error_count())
        said = "the program that watches is of another version, whose alerts cannot be shown here; update this one."
        return AlertsNow(as_of, problem=said)
