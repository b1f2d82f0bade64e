"""Alerts and messages as the tests of the store hand them over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from guardrails.alerts.values import (
    Acknowledgement,
    Alert,
    Delivery,
    Event,
    Line,
    Message,
    Problem,
    Reason,
    Severity,
    State,
)
from tests.books import NOW

BREACH = Severity.BREACH


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def alert(check: str = "vega", seconds: float = 0.0, **changes: Any) -> Alert:
    """An alert that fired so long after NOW."""
    problem = Problem(check, "portfolio", BREACH, f"{check} is over", -4_310.0, -3_500.0, "USD", -810.0, 3.0, "close 2")
    fired = Alert(problem, BREACH, 0, at(seconds), at(seconds), fired=at(seconds), times_told=1)
    return replace(fired, **changes)


def fired(check: str = "vega", seconds: float = 0.0, **changes: Any) -> Event:
    return Event(at(seconds), alert(check, seconds, **changes), State.FIRED, Reason.FIRST)


def resolved(check: str = "vega", seconds: float = 0.0, since: float = 0.0) -> Event:
    return Event(at(seconds), alert(check, since), State.RESOLVED, Reason.RESOLVED)


def acknowledged(check: str = "vega", seconds: float = 0.0, since: float = 0.0, author: str = "Ann") -> Event:
    held = alert(check, since, acknowledgement=Acknowledgement(author, at(seconds), "rolling it"))
    return Event(at(seconds), held, State.ACKNOWLEDGED, Reason.ACKNOWLEDGED, author, "rolling it")


def message(key: str = "m1", seconds: float = 0.0, severity: Severity = BREACH, **changes: Any) -> Message:
    reason = str(changes.pop("reason", Reason.FIRST))
    line = Line(severity, State.FIRED, "Vega, portfolio", "vega is over", "−$4,310, limit −$3,500", at(seconds),
                "data 3 s old", "close 2", reason)  # fmt: skip
    link = "http://127.0.0.1:8501/alerts"
    made = Message(key, at(seconds), severity, resolved=False, title="BREACH Vega", lines=(line,), more=0, link=link)
    return replace(made, **changes)


def delivery(key: str = "m1", channel: str = "slack", seconds: float = 0.0, **changes: Any) -> Delivery:
    """A message that waits for its first attempt."""
    told = changes.pop("message", None) or message(key, seconds)
    made = Delivery(
        f"{told.key} {channel}", channel, told, ("vega portfolio",), created=at(seconds), changed=at(seconds)
    )
    return replace(made, **changes)
