"""What the alerts ask of a channel (those are in `adapters/channels`), and what the engine asks of the alerts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from guardrails.alerts.values import AlertsNow, Message, Receipt
from guardrails.matrix.alerts import AlertRules
from guardrails.requests import Answer, Request
from guardrails.snapshot import Snapshot


class Channel(Protocol):
    """One way to reach a person. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """How rules and pages call it: `slack`, `email`, `log`, or what ALERT_URLS says."""

    @property
    def kind(self) -> str:
        """What it is, for people: `Slack`, `e-mail`."""

    @property
    def problem(self) -> str:
        """Why it cannot be used as it is configured; empty when it can."""

    def send(self, message: Message) -> Receipt:
        """One attempt; blocks for a bounded time; never raises, and never puts a secret in the receipt."""


class Duty(Protocol):
    """Who makes alerts of what the engine sees (`guardrails.alerts.desk`); nothing here blocks or raises."""

    @property
    def now(self) -> AlertsNow:
        """The alerts as they stand; replaced whole."""

    def start(self) -> None:
        """Start the thread; nothing is told before `begin`."""

    def begin(self, sources: Sequence[str], scenario: str) -> None:
        """This program watches the book of these sources from now on; go on from what is stored of it."""

    def see(self, snapshot: Snapshot, rules: AlertRules) -> None:
        """Take one more cycle."""

    def idle(self) -> None:
        """Another program watches from now on: tell nothing more."""

    def do(self, request: Request) -> None:
        """Do what a person asks; `answer` says what came of it."""

    def answer(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""

    def hand_on(self, kinds: Collection[str], take: Callable[[Request], None]) -> None:
        """Hand requests of these kinds that other apps ask to `take`, which must not block."""

    def stop(self, seconds: float) -> None:
        """Send what waits, the loudest first, for at most so long, and end."""
