"""What the engine asks of a store: to keep what was seen, and to say which program watches; see
`guardrails.store.writer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from guardrails.alerts.values import AlertsNow, Delivery, Event, OpenAlerts
from guardrails.assess import Inputs
from guardrails.execution.values import Deed, OpenDeeds
from guardrails.memory import Memory
from guardrails.orders_now import OrdersNow
from guardrails.past import Past
from guardrails.portfolio import Portfolio
from guardrails.requests import Answer, Request
from guardrails.reserve import Room
from guardrails.snapshot import Snapshot


class Keeper(Protocol):
    """Keeps what was seen; nothing here blocks or raises (see `guardrails.store.writer`)."""

    def start(self) -> None:
        """Begin."""

    def keep(
        self,
        snapshot: Snapshot,
        matrix_text: str,
        portfolio: Portfolio,
        scenario: str,
        inputs: Inputs,
        memory: Memory,
        alerts: AlertsNow | None,
        orders: OrdersNow | None = None,
    ) -> None:
        """Take a copy of one moment and return at once."""

    def fill(self, sources: Sequence[str], scenario: str, past: Past) -> None:
        """Take what these sources told of the time before, and return at once."""

    def part(self, sources: Sequence[str], scenario: str) -> Part:
        """Whether this program is the one that watches this book; may take seconds at the first time."""

    def ask(self, request: Request) -> None:
        """Put what a person asks before the program that watches, and return at once."""

    def answered(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""

    def answer(self, answer: Answer) -> None:
        """Tell the app that asked what came of it, and return at once."""

    def health(self) -> StoreHealth:
        """Whether what was handed over is kept."""

    def stop(self) -> None:
        """Write what waits, within a bound, and end."""


class Kept(Protocol):
    """Something that was handed over."""

    def wait(self, seconds: float) -> bool:
        """Wait until it is durable, in the database or on the disk beside it; whether that came within `seconds`."""


class AlertStore(Protocol):
    """What the alerts ask of a store (see `guardrails.store.writer`); only `open_alerts` and `given_up` block."""

    def hand_alerts(
        self, sources: Sequence[str], scenario: str, events: Sequence[Event], deliveries: Sequence[Delivery]
    ) -> Kept:
        """Take what became of alerts and of their deliveries, all of it or nothing, and return at once."""

    def open_alerts(self, sources: Sequence[str], scenario: str, since: datetime | None = None) -> OpenAlerts:
        """What is still open in the book of these sources; StoreError when it cannot be read.

        Without what this program has handed over at or after `since`: it knows that itself.
        """

    def given_up(self, sources: Sequence[str], scenario: str, key: str) -> Delivery | None:
        """The delivery `key` of this book if it was given up, else None; StoreError when that cannot be read."""

    def requests(self) -> list[Request]:
        """What was asked in other apps since the last call and may still be done; each is here once."""

    def answer(self, answer: Answer) -> None:
        """Tell the app that asked, and return at once."""

    def ask(self, request: Request) -> None:
        """Bring what a person asks to the program that watches this book, and return at once."""

    def answered(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""


class OrderStore(Protocol):
    """What orders ask of a store (see `guardrails.store.writer`); only `open_deeds` blocks."""

    def hand_deeds(self, sources: Sequence[str], scenario: str, deeds: Sequence[Deed]) -> Kept:
        """Take what was done, all of it or nothing, and return at once; it is done once `Kept.wait` says so."""

    def is_lost(self) -> bool:
        """Whether another program is known to write the book that this one wrote; asks nobody."""

    def room(self) -> Room:
        """What is kept on the disk for all that must survive, should the disk be full; asks nobody."""

    def open_deeds(self, sources: Sequence[str], scenario: str, since: datetime) -> OpenDeeds:
        """What is open in the book of these sources, and what was done since `since`; StoreError when unreadable."""


class StoreHealth(Protocol):
    """Whether what was handed over is kept."""

    @property
    def queued(self) -> int:
        """Rows and moments that wait in memory."""

    @property
    def spooled(self) -> int:
        """Rows that must survive and wait on the disk for the database."""

    @property
    def dropped(self) -> int:
        """Moments of telemetry that were not kept, since the start."""

    @property
    def last_written(self) -> datetime | None:
        """When the database last took something."""

    @property
    def keeps(self) -> bool:
        """Whether what must survive finds a place, in the database or on the disk."""

    @property
    def problem(self) -> str:
        """What is wrong now, empty when nothing is."""


class Part(Protocol):
    """What one program does with the book (see `guardrails.store.roles`)."""

    @property
    def watches(self) -> bool:
        """It reads the brokers itself."""

    @property
    def holder(self) -> str:
        """Which program does, when it is another."""

    @property
    def died(self) -> str:
        """Which program did until it died without a word, when this one has taken over; else empty."""

    @property
    def published(self) -> Published | None:
        """What another program that watched has shown last."""


class Published(Protocol):
    """A Snapshot of another program, and what that one remembers."""

    @property
    def snapshot(self) -> Snapshot:
        """To be shown."""

    @property
    def memory(self) -> Memory:
        """To go on from."""

    @property
    def alerts(self) -> AlertsNow | None:
        """Its alerts, None when it makes none."""

    @property
    def orders(self) -> OrdersNow | None:
        """Its orders, accounts without numbers; None when it does not say."""
