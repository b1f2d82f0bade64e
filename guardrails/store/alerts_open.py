"""What a program that begins to watch goes on with: the alerts that are not over, the messages that are not sent.

It reads the database and every row that still waits for it in a spool of this folder, also of a program that was
killed. A message that any row calls sent was sent; what is doubtful otherwise is told twice rather than never.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Table, select

from guardrails import calendar
from guardrails.alerts.values import Alert, Delivery, DeliveryState, Message, OpenAlerts, State
from guardrails.store.alert_rows import CHUNK, DONE, Step, alert_in, counts, delivery_of, first_rows, latest, message_in
from guardrails.store.deeds import ALERTS, DELIVERIES
from guardrails.store.inserts import columns
from guardrails.store.metadata import micros
from guardrails.store.points import fetch
from guardrails.store.spool import Sent

log = logging.getLogger(__name__)

OPEN_DAYS = 30
"""an alert or a message of which no row is younger is not brought back"""
_TABLES = {table.name: table for table in (ALERTS, DELIVERIES)}
_KEYS = {ALERTS.name: "alert", DELIVERIES.name: "delivery"}


def open_alerts(
    connection: Connection, book: str, waiting: Iterable[Sent], now: datetime, own: tuple[str, datetime] | None = None
) -> OpenAlerts:
    """What is not over, from the database and from rows that still wait for it; rows may be in both.

    Rows of the run of `own` from its time on are left out but for the count of the day: they are of alerts that began
    anew as this could not be read, and would hide what was acknowledged before.
    """
    rows = _Rows(connection, book, waiting, own)
    begin = micros(now - timedelta(days=OPEN_DAYS))
    alerts = [step for step in latest(rows.steps(ALERTS, begin)).values() if step.state != State.RESOLVED.value]
    sent = rows.steps(DELIVERIES, begin)
    done = {step.key for step in sent if step.state == DeliveryState.SENT.value}
    open_ones = [step for step in latest(sent).values() if step.state not in DONE and step.key not in done]
    return OpenAlerts(
        tuple(sorted(rows.alerts(alerts), key=lambda alert: (alert.since, alert.identity))),
        tuple(sorted(rows.deliveries(open_ones), key=lambda delivery: (delivery.message.time, delivery.key))),
        len({message.key for message in rows.messages(micros(_midnight(now))) if counts(message)}),
    )


def given_up(connection: Connection, book: str, waiting: Iterable[Sent], key: str) -> Delivery | None:
    """The delivery `key` if it was given up, from the database and from rows that still wait for it; else None, also
    when this program cannot read it. A test is not sent again."""
    rows = _Rows(connection, book, waiting)
    steps = rows.steps(DELIVERIES, 0, key)
    if any(step.state == DeliveryState.SENT.value for step in steps):
        return None
    dead = [step for step in latest(steps).values() if step.state == DeliveryState.DEAD.value]
    return next((one for one in rows.deliveries(dead) if not one.message.test), None)


def _midnight(now: datetime) -> datetime:
    """When this day began in New York."""
    return calendar.at(calendar.exchange_date(now), time())


class _Rows:
    """The rows of one book: those in the database, and those that wait for it, which may be in both."""

    def __init__(
        self, connection: Connection, book: str, waiting: Iterable[Sent], own: tuple[str, datetime] | None = None
    ) -> None:
        self._connection, self._book = connection, book
        self._own = None if own is None else (own[0], micros(own[1]))
        """the run and the time from which on its steps are left out"""
        self._waiting: dict[tuple[str, str, int], Mapping[str, Any]] = {}
        """by table, run and number"""
        for name, row in waiting:
            names = columns(_TABLES[name]) if name in _TABLES else ()
            told: dict[str, Any] = dict(zip(names, row, strict=False))
            if len(names) == len(row) and told.get("book") == book:
                self._waiting[name, told["run"], told["number"]] = told
        self._ids: dict[tuple[str, str, int], int] = {}
        """those that are in the database"""

    def steps(self, table: Table, begin: int, only: str | None = None) -> list[Step]:
        """Every row that is not older than `begin`, in microseconds; of the alert or delivery `only` when given."""
        c, key = table.c, _KEYS[table.name]
        query = select(c.id, c.run, c.number, c.time, c[key], c.state).where(c.book == self._book, c.time >= begin)
        if only is not None:
            query = query.where(c[key] == only)
        found = []
        for row_id, *told in fetch(self._connection, query):
            step = Step(*told)
            self._ids[table.name, step.run, step.number] = row_id
            found.append(step)
        for place, waiting in self._waiting.items():
            if place[0] != table.name or place in self._ids or waiting["time"] < begin:
                continue
            if only is None or only == waiting[key]:
                found.append(Step(place[1], place[2], waiting["time"], waiting[key], waiting["state"]))
        own = self._own
        return found if own is None else [step for step in found if step.run != own[0] or step.time < own[1]]

    def alerts(self, steps: Iterable[Step]) -> list[Alert]:
        """Each as it is after its step; what this program cannot read is new to it should it still be wrong."""
        found = []
        for row in self._rows(ALERTS, steps):
            try:
                found.append(alert_in(row["evidence"]))
            except ValueError as error:
                log.warning("the alert %s cannot be read (%s)", row["alert"], type(error).__name__)
        return found

    def deliveries(self, steps: Iterable[Step]) -> list[Delivery]:
        """Each as it is after its step; what this program cannot read is not sent again."""
        rows = {row["delivery"]: row for row in self._rows(DELIVERIES, steps)}
        firsts = self._firsts(list(rows))
        found = []
        for key, row in rows.items():
            first = firsts.get(key)
            if first is None:
                log.error("the message %s to %s is not stored and cannot be sent", key, row["channel"])
                continue
            try:
                found.append(delivery_of(row, first))
            except ValueError as error:
                log.error("the message %s cannot be read and is not sent again (%s)", key, type(error).__name__)  # noqa: TRY400  # the text of the error holds the message
        return found

    def messages(self, begin: int) -> list[Message]:
        """Every message that was made since `begin`, in microseconds, once per channel."""
        c = DELIVERIES.c
        query = select(c.content).where(c.book == self._book, c.time >= begin, c.content != "")
        contents = [content for (content,) in fetch(self._connection, query)]
        contents += [told["content"] for told in self._waiting_messages() if told["time"] >= begin]
        found = []
        for content in contents:
            try:
                found.append(message_in(content))
            except ValueError:  # it is told of where the message is needed
                continue
        return found

    def _rows(self, table: Table, steps: Iterable[Step]) -> list[Mapping[str, Any]]:
        """The whole rows of these steps."""
        found, ids = list[Mapping[str, Any]](), list[int]()
        for step in steps:
            place = (table.name, step.run, step.number)
            if place in self._waiting:
                found.append(self._waiting[place])
            else:
                ids.append(self._ids[place])
        for begin in range(0, len(ids), CHUNK):
            query = select(table).where(table.c.id.in_(ids[begin : begin + CHUNK]))
            found += [dict(row) for row in self._connection.execute(query).mappings()]
        return found

    def _firsts(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """By key the row that holds the message."""
        found = first_rows(self._connection, self._book, keys)
        for told in self._waiting_messages():
            known = found.get(told["delivery"])
            if known is None or known["time"] < told["time"]:
                found[told["delivery"]] = told
        return found

    def _waiting_messages(self) -> list[Mapping[str, Any]]:
        """The waiting rows that hold a message."""
        return [told for (name, _, _), told in self._waiting.items() if name == DELIVERIES.name and told["content"]]
