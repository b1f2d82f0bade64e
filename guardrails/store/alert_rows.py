"""Alerts and their deliveries as rows of the store, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, select

from guardrails.alerts.occasion import may_be_kept
from guardrails.alerts.values import Alert, Delivery, DeliveryState, Event, Line, Message, Reason, Severity, State
from guardrails.store.books import Book
from guardrails.store.deeds import ALERTS, DELIVERIES
from guardrails.store.inserts import Row
from guardrails.store.metadata import micros, moment
from guardrails.store.news import News, Numbers
from guardrails.store.schema import BOOKS
from guardrails.store.steps import CHUNK
from guardrails.store.texts import document, name, text

DONE = (DeliveryState.SENT.value, DeliveryState.DEAD.value, DeliveryState.SUPERSEDED.value)
_ALERT, _MESSAGE, _NAMES = TypeAdapter(Alert), TypeAdapter(Message), TypeAdapter(tuple[str, ...])


def alert_news(book: Book, events: Sequence[Event], deliveries: Sequence[Delivery], numbers: Numbers) -> News:
    """All rows of one step, for one transaction; ValueError when something in it cannot be written.

    Deliveries come first: should a crash leave only the beginning in the spool, a message is sent again, not lost.
    """
    told = numbers.to(DELIVERIES.name, [delivery_row(book, delivery) for delivery in deliveries])
    told += numbers.to(ALERTS.name, [alert_row(book, event) for event in events])
    time = max((int(row[3] or 0) for _, row in told), default=0)
    rows = [(BOOKS.name, (book.key, book.names, time)), *told] if told else []
    return News(book, tuple(rows), first=False, matrix_version="", time=time, regime="")


def alert_row(book: Book, event: Event) -> Row:
    """The row of `alerts`, from `book` on."""
    alert, problem = event.alert, event.alert.problem
    silence = alert.silence
    return (
        book.key,
        micros(event.time),
        name(alert.identity),
        name(problem.check),
        name(problem.subject),
        alert.severity.value,
        event.state.value,
        text(event.author) or None,
        event.reason.value,
        None if silence is None else micros(silence.until),
        text(problem.message),
        _json(_ALERT, alert, ("check", "subject", "concerns", "held_by", "reached")),
        text(event.words) or None,
        None if alert.fired is None else micros(alert.fired),
        alert.times_told,
        int(alert.acted),
    )


def delivery_row(book: Book, delivery: Delivery) -> Row:
    """The row of `deliveries`, from `book` on; the message stands only in that of before the first attempt."""
    is_new = delivery.state is DeliveryState.WAITING and delivery.attempts == 0
    time = (delivery.created if is_new else delivery.changed) or delivery.changed or delivery.message.time
    return (
        book.key,
        micros(time),
        name(delivery.key),
        json.dumps([name(identity) for identity in delivery.alerts], ensure_ascii=False),
        name(delivery.channel),
        delivery.attempts,
        delivery.state.value,
        text(delivery.detail),
        None if delivery.due is None else micros(delivery.due),
        _json(_MESSAGE, delivery.message) if is_new else "",
    )


def _json(adapter: TypeAdapter[Any], value: Any, names: Sequence[str] = ()) -> str:
    """A value of ours as JSON, redacted but for `names`; numbers that are not finite are null."""
    try:
        plain = adapter.dump_python(value, mode="json")
    except ValueError:  # what is no Unicode text; several times slower
        plain = asdict(value)
    return document(plain, names)


def counts(message: Message) -> bool:
    """Whether a message counts against the daily budget, as `guardrails.alerts.life` counts: a test and a digest do
    not, nor does one with something CRITICAL or a new BREACH."""
    if message.test or not message.lines:  # one that could not be put in words has none
        return not message.test and message.severity.rank < Severity.BREACH.rank
    own = [line for line in message.lines if not line.reason.startswith(Reason.DIGEST.value)]
    news = any(line.state is not State.RESOLVED for line in own)
    return news and all(may_be_kept(line.severity, line.alert.partition(" ")[0], _reason_of(line)) for line in own)


def _reason_of(line: Line) -> Reason:
    """By its words, behind which more may stand."""
    said = [reason for reason in Reason if line.reason.startswith(reason.value)]
    return max(said, key=lambda reason: len(reason.value), default=Reason.FIRST)


def first_rows(connection: Connection, book: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Of each of these deliveries the time and the content of the row that holds the message.

    There is another where somebody has it sent again; then it is the latest.
    """
    c, found = DELIVERIES.c, dict[str, Mapping[str, Any]]()
    for begin in range(0, len(keys), CHUNK):
        chunk = keys[begin : begin + CHUNK]
        query = select(c.delivery, c.time, c.content).where(c.book == book, c.delivery.in_(chunk), c.content != "")
        for row in connection.execute(query.order_by(c.time, c.id)).mappings():
            found[row["delivery"]] = dict(row)
    return found


def alert_in(content: str) -> Alert:
    """The alert in a column `evidence`; ValueError when this program cannot read it."""
    return _ALERT.validate_json(content)


def message_in(content: str) -> Message:
    """The message in a column `content`; ValueError when this program cannot read it."""
    return _MESSAGE.validate_json(content)


def names_in(content: str) -> tuple[str, ...]:
    """The identities in a column `alerts`; ValueError when this program cannot read it."""
    return _NAMES.validate_json(content)


def delivery_of(row: Mapping[str, Any], first: Mapping[str, Any]) -> Delivery:
    """The delivery after `row`; `first` holds its message. ValueError when this program cannot read it."""
    return Delivery(
        row["delivery"],
        row["channel"],
        message_in(first["content"]),
        names_in(row["alerts"]),
        DeliveryState(row["state"]),
        row["attempt"],
        None if row["due"] is None else moment(row["due"]),
        row["detail"],
        moment(first["time"]),
        moment(row["time"]),
    )
