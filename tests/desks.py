"""What the tests of the desk share: channels and clocks that are made, a store in memory, cycles to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from guardrails.alerts.desk import Desk
from guardrails.alerts.sending import Manner
from guardrails.alerts.values import (
    Delivery,
    DeliveryState,
    Event,
    Message,
    OpenAlerts,
    Outcome,
    Receipt,
    State,
)
from guardrails.findings import Finding, Level
from guardrails.keeper import Kept
from guardrails.matrix.alerts import AlertRules
from guardrails.requests import Answer, Request
from guardrails.snapshot import Snapshot
from tests.books import NOW
from tests.stored import eventually, moment

SENT, FAILED = Receipt(Outcome.SENT, "ok"), Receipt(Outcome.FAILED, "503 Service Unavailable")
REFUSED = Receipt(Outcome.REFUSED, "no_service")
QUICK = Manner(attempt_seconds=60.0, kept_seconds=0.2, jitter=lambda: 0.001)
RULES = AlertRules()
LINK = "http://127.0.0.1:8501"
BOOK = (("ibkr",), "")


@dataclass
class Stand:
    """A channel that answers what it is told to and keeps the messages it was given."""

    name: str = "slack"
    kind: str = "Slack"
    answer: Callable[[Message], Receipt] = lambda _: SENT
    problem: str = ""
    got: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> Receipt:
        self.got.append(message)
        return self.answer(message)

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.got]


class Clocks:
    """A clock on the wall and one that nobody sets; both stand until they are moved."""

    def __init__(self) -> None:
        self.now, self.at = NOW, 1000.0

    def wall(self) -> datetime:
        return self.now

    def steady(self) -> float:
        return self.at

    def pass_(self, seconds: float, desk: Desk | None = None) -> None:
        """Both go on; `desk` looks at once, and not only after a second of ours."""
        self.now += timedelta(seconds=seconds)
        self.at += seconds
        if desk is not None:
            desk._wake()


class Memory:
    """A store in memory: what is durable is what was handed over before it was `cut`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.deliveries: list[Delivery] = []
        self.asked: list[Request] = []
        self.answers: list[Answer] = []
        self.calls: list[tuple[int, int]] = []

    def hand_alerts(
        self, sources: Sequence[str], scenario: str, events: Sequence[Event], deliveries: Sequence[Delivery]
    ) -> Kept:
        self.calls.append((len(events), len(deliveries)))
        self.events += events
        self.deliveries += deliveries
        return self

    def wait(self, seconds: float) -> bool:
        return True

    def open_alerts(self, sources: Sequence[str], scenario: str, since: datetime | None = None) -> OpenAlerts:
        alerts = {event.alert.identity: event for event in self.events}
        left = {one.key: one for one in self.deliveries}
        return OpenAlerts(
            tuple(event.alert for event in alerts.values() if event.state is not State.RESOLVED),
            tuple(one for one in left.values() if one.state in (DeliveryState.WAITING, DeliveryState.FAILED)),
        )

    def given_up(self, sources: Sequence[str], scenario: str, key: str) -> Delivery | None:
        last = next((one for one in reversed(self.deliveries) if one.key == key), None)
        return last if last is not None and last.state is DeliveryState.DEAD else None

    def requests(self) -> list[Request]:
        taken, self.asked = self.asked, []
        return taken

    def answer(self, answer: Answer) -> None:
        self.answers.append(answer)

    def ask(self, request: Request) -> None:
        self.asked.append(request)

    def answered(self, key: str) -> Answer | None:
        return next((answer for answer in self.answers if answer.key == key), None)


@contextmanager
def at_desk(
    *channels: Stand,
    store: Any = None,
    clocks: Clocks | None = None,
    book: Any = BOOK,
    stop_seconds: float = 20.0,
    **settings: Any,
) -> Iterator[Desk]:
    """A desk that watches `book`; what waits at the end is told and kept, unless a channel hangs for `stop_seconds`."""
    clocks = clocks or Clocks()
    settings = {"manner": QUICK, **settings}
    desk = Desk(channels, clocks.wall, store, LINK, steady=clocks.steady, **settings)
    desk.start()
    if book:
        desk.begin(*book)
    try:
        yield desk
    finally:
        desk.stop(stop_seconds)


def breach(subject: str = "portfolio", check: str = "short_vega", value: float = -3_000.0) -> Finding:
    """2,000 USD/pt over... no: 1,000 over a limit of 2,000, half of it: not CRITICAL."""
    return Finding(check, subject, Level.BREACH, value, -2_000.0, "USD/pt", 2_000.0 + value,
                   f"Short vega is {value:,.0f} USD/pt, limit -2,000.")  # fmt: skip


def loud(subject: str = "portfolio") -> Finding:
    return Finding("short_option_expiry", subject, Level.BREACH, 1.0, 0.0, "contracts", -1.0, "A short put expires.")


def cycle(*findings: Finding) -> Snapshot:
    return moment(findings=findings)


def request(kind: str, key: str = "r1", valid: float = 30.0, **body: str) -> Request:
    return Request(key, NOW, NOW + timedelta(seconds=valid), "Ann", kind, body)


def answered(desk: Desk, wish: Request) -> Answer:
    desk.do(wish)
    assert eventually(lambda: desk.answer(wish.key) is not None)
    answer = desk.answer(wish.key)
    assert answer is not None
    return answer


def identities(desk: Desk) -> list[str]:
    return [row.identity for row in desk.now.active]
