"""What became of alerts and of their messages, for a page: the timeline, the deliveries, and how each check did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy import Connection, select

from guardrails.alerts.values import DeliveryState, Message, Severity, State
from guardrails.store.alert_rows import first_rows, message_in, names_in
from guardrails.store.database import Database
from guardrails.store.deeds import ALERTS, DELIVERIES
from guardrails.store.metadata import micros, moment
from guardrails.store.points import fetch
from guardrails.store.steps import Step, fetch_ids, latest

MOST_ROWS = 100_000
"""rows looked at for one answer, the newest: years of a book that is watched by a person"""


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One step in the life of an alert."""

    time: datetime
    alert: str
    """identity"""
    check: str
    subject: str
    severity: Severity
    state: State
    """after the step"""
    reason: str
    """as `guardrails.alerts.values.Reason` says it"""
    author: str
    """who did it; empty: the program"""
    words: str
    """what that person wrote, or who holds it back"""
    message: str
    until: datetime | None
    """of a silence"""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One message to one channel, as it stands."""

    key: str
    channel: str
    state: DeliveryState
    attempts: int
    created: datetime
    changed: datetime
    due: datetime | None
    """when it is tried next"""
    detail: str
    """what the channel answered last"""
    alerts: tuple[str, ...]
    """identities it tells of"""
    message: Message | None
    """None when this program cannot read it"""


@dataclass(frozen=True, slots=True)
class CheckCount:
    """How the alerts of one check did that fired within a range of time."""

    check: str
    fired: int
    told: int
    """of them, about how many somebody was told"""
    acknowledged: int
    acted: int
    """how many led to an action"""
    median_minutes: float | None
    """from firing to the first acknowledgement; None when there was none"""


@dataclass(slots=True)
class _Life:
    """One alert from firing on."""

    fired: int
    told: int = 0
    acted: bool = False
    acknowledged: int | None = None


def timeline(database: Database, book: str, begin: datetime, end: datetime, limit: int) -> list[TimelineRow]:
    """The steps from `begin` to before `end`, the newest first and of more than `limit` the newest."""
    c = ALERTS.c
    names = (
        c.time, c.alert, c.check_name, c.subject, c.severity, c.state, c.reason, c.author, c.words, c.message, c.until,
    )  # fmt: skip
    query = select(*names).where(c.book == book, c.time >= micros(begin), c.time < micros(end))
    with database.reading() as connection:
        rows = fetch(connection, query.order_by(c.time.desc(), c.id.desc()).limit(limit))
    return [_timeline_row(row) for row in rows]


def deliveries(database: Database, book: str, begin: datetime, limit: int) -> list[DeliveryRow]:
    """The messages that were made or tried since `begin`, the newest first.

    Of more than `limit` the newest, and among older ones the newest `limit` that were given up.
    """
    c = DELIVERIES.c
    query = select(c.id, c.run, c.number, c.time, c.delivery, c.state).where(c.book == book, c.time >= micros(begin))
    with database.reading() as connection:
        rows = fetch(connection, query.order_by(c.time.desc(), c.id.desc()).limit(MOST_ROWS))
        ids = {(row[1], row[2]): row[0] for row in rows}
        now = sorted(_now(Step(*row[1:]) for row in rows), key=lambda step: step.time, reverse=True)
        dead = [step for step in now[limit:] if step.state == DeliveryState.DEAD.value]
        chosen = now[:limit] + dead[:limit]
        whole = _whole(connection, [ids[step.run, step.number] for step in chosen])
        firsts = first_rows(connection, book, [step.key for step in chosen])
    return [_delivery_row(whole[step.key], firsts.get(step.key)) for step in chosen]


def counts(database: Database, book: str, begin: datetime) -> list[CheckCount]:
    """Of every check the alerts that fired since `begin`, by name of the check."""
    c = ALERTS.c
    names = (c.check_name, c.alert, c.fired, c.time, c.state, c.times_told, c.acted)
    query = select(*names).where(c.book == book, c.time >= micros(begin), c.fired >= micros(begin))
    with database.reading() as connection:
        rows = fetch(connection, query.order_by(c.time.desc(), c.id.desc()).limit(MOST_ROWS))
    checks: dict[str, dict[tuple[str, int], _Life]] = {}
    for check, alert, fired, time, state, told, acted in reversed(rows):
        life = checks.setdefault(check, {}).setdefault((alert, fired), _Life(fired))
        life.told = max(life.told, told or 0)
        life.acted |= bool(acted)
        if state == State.ACKNOWLEDGED.value and (life.acknowledged is None or time < life.acknowledged):
            life.acknowledged = time
    return [_count(check, list(lives.values())) for check, lives in sorted(checks.items())]


def _timeline_row(row: tuple[Any, ...]) -> TimelineRow:
    time, alert, check, subject, severity, state, reason, author, words, message, until = row
    return TimelineRow(
        moment(time),
        alert,
        check,
        subject,
        Severity(severity),
        State(state),
        reason,
        author or "",
        words or "",
        message,
        None if until is None else moment(until),
    )


def _now(steps: Iterable[Step]) -> list[Step]:
    """How each delivery stands: one that any row calls sent was sent."""
    told = list(steps)
    sent = {step.key: step for step in reversed(told) if step.state == DeliveryState.SENT.value}
    return [sent.get(key, step) for key, step in latest(told).items()]


def _whole(connection: Connection, ids: Sequence[int]) -> dict[str, tuple[Any, ...]]:
    """By key the columns of these rows of `deliveries`."""
    c = DELIVERIES.c
    query = select(c.delivery, c.channel, c.state, c.attempt, c.time, c.due, c.detail, c.alerts)
    return {row[0]: row for row in fetch_ids(connection, query, DELIVERIES, ids)}


def _delivery_row(row: tuple[Any, ...], first: Any) -> DeliveryRow:
    key, channel, state, attempts, changed, due, detail, alerts = row
    return DeliveryRow(
        key,
        channel,
        DeliveryState(state),
        attempts,
        moment(changed if first is None else first["time"]),
        moment(changed),
        None if due is None else moment(due),
        detail,
        names_in(alerts),
        None if first is None else _message(first["content"]),
    )


def _message(content: str) -> Message | None:
    try:
        return message_in(content)
    except ValueError:  # of another version of this program
        return None


def _count(check: str, lives: Sequence[_Life]) -> CheckCount:
    waits = [(life.acknowledged - life.fired) / 60e6 for life in lives if life.acknowledged is not None]
    return CheckCount(
        check,
        len(lives),
        sum(life.told > 0 for life in lives),
        len(waits),
        sum(life.acted for life in lives),
        median(waits) if waits else None,
    )
