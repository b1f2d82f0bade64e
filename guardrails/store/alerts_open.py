"""What a program that begins to watch goes on with: the alerts that are not over, the messages that are not sent.

It reads the database and every row that still waits for it in a spool of this folder, also of a program that was
killed. A message that any row calls sent was sent; what is doubtful otherwise is told twice rather than never.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Table, select

from guardrails import calendar
from guardrails.alerts.values import Alert, Delivery, DeliveryState, Message, OpenAlerts, State
from guardrails.intake import CLOCK_SKEW
from guardrails.store.alert_rows import DONE, alert_in, counts, delivery_of, first_rows, message_in
from guardrails.store.deeds import ALERTS, DELIVERIES
from guardrails.store.metadata import micros
from guardrails.store.points import fetch
from guardrails.store.spool import Sent
from guardrails.store.steps import BookSteps, Step, latest

log = logging.getLogger(__name__)

OPEN_DAYS = 30
"""an alert or a message of which no row is younger is not brought back"""
_KEYS = {ALERTS: "alert", DELIVERIES: "delivery"}


def open_alerts(
    connection: Connection, book: str, waiting: Iterable[Sent], now: datetime, own: tuple[str, datetime] | None = None
) -> OpenAlerts:
    """What is not over, from the database and from rows that still wait for it; rows may be in both.

    Rows of the run of `own` from its time on are left out but for the count of the day: they are of alerts that began
    anew as this could not be read, and would hide what was acknowledged before.
    """
    rows = BookSteps(connection, book, waiting, _KEYS)
    begin = micros(now - timedelta(days=OPEN_DAYS))
    told, sent = (_placed(rows, table, _without(own, rows.steps(table, begin)), now) for table in (ALERTS, DELIVERIES))
    alerts = [step for step in latest(told).values() if step.state != State.RESOLVED.value]
    done = {step.key for step in sent if step.state == DeliveryState.SENT.value}
    open_ones = [step for step in latest(sent).values() if step.state not in DONE and step.key not in done]
    return OpenAlerts(
        tuple(sorted(_alerts(rows, alerts), key=lambda alert: (alert.since, alert.identity))),
        tuple(sorted(_deliveries(rows, open_ones), key=lambda delivery: (delivery.message.time, delivery.key))),
        len({message.key for message in _messages(rows, micros(_midnight(now))) if counts(message)}),
    )


def given_up(connection: Connection, book: str, waiting: Iterable[Sent], key: str) -> Delivery | None:
    """The delivery `key` if it was given up, from the database and from rows that still wait for it; else None, also
    when this program cannot read it. A test is not sent again."""
    rows = BookSteps(connection, book, waiting, _KEYS)
    steps = rows.steps(DELIVERIES, 0, key)
    if any(step.state == DeliveryState.SENT.value for step in steps):
        return None
    dead = [step for step in latest(steps).values() if step.state == DeliveryState.DEAD.value]
    return next((one for one in _deliveries(rows, dead) if not one.message.test), None)


def _without(own: tuple[str, datetime] | None, steps: list[Step]) -> list[Step]:
    """`steps` without those of the run of `own` from its time on."""
    return [step for step in steps if own is None or step.run != own[0] or step.time < micros(own[1])]


def _placed(rows: BookSteps, table: Table, steps: Sequence[Step], now: datetime) -> list[Step]:
    """`steps` with their places for their times where one of the same key is of a time that has not come yet: a clock
    ran ahead then, and their times do not tell which was last.
    """
    end = micros(now + CLOCK_SKEW)
    ahead = {step.key for step in steps if step.time > end}
    return [step._replace(time=rows.place(table, step)) if step.key in ahead else step for step in steps]


def _midnight(now: datetime) -> datetime:
    """When this day began in New York."""
    return calendar.at(calendar.exchange_date(now), time())


def _alerts(rows: BookSteps, steps: Iterable[Step]) -> Iterator[Alert]:
    """Each as it is after its step; what this program cannot read is new to it should it still be wrong."""
    for row in rows.rows(ALERTS, steps):
        try:
            yield alert_in(row["evidence"])
        except ValueError as error:
            log.warning("the alert %s cannot be read (%s)", row["alert"], type(error).__name__)


def _deliveries(rows: BookSteps, steps: Iterable[Step]) -> Iterator[Delivery]:
    """Each as it is after its step; what this program cannot read is not sent again."""
    found = {row["delivery"]: row for row in rows.rows(DELIVERIES, steps)}
    firsts = first_rows(rows.connection, rows.book, list(found))
    for told in _waiting_messages(rows):
        known = firsts.get(told["delivery"])
        if known is None or known["time"] < told["time"]:
            firsts[told["delivery"]] = told
    for key, row in found.items():
        first = firsts.get(key)
        if first is None:
            log.error("the message %s to %s is not stored and cannot be sent", key, row["channel"])
            continue
        try:
            yield delivery_of(row, first)
        except ValueError as error:
            log.error("the message %s cannot be read and is not sent again (%s)", key, type(error).__name__)  # noqa: TRY400  # the text of the error holds the message


def _messages(rows: BookSteps, begin: int) -> Iterator[Message]:
    """Every message that was made since `begin`, in microseconds, once per channel."""
    c = DELIVERIES.c
    query = select(c.content).where(c.book == rows.book, c.time >= begin, c.content != "")
    contents = [content for (content,) in fetch(rows.connection, query)]
    contents += [told["content"] for told in _waiting_messages(rows) if told["time"] >= begin]
    for content in contents:
        with suppress(ValueError):  # it is told of where the message is needed
            yield message_in(content)


def _waiting_messages(rows: BookSteps) -> list[Mapping[str, Any]]:
    """The waiting rows that hold a message."""
    return [told for told in rows.waiting(DELIVERIES) if told["content"]]
