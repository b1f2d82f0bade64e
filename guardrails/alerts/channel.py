"""What the alerts ask of a channel; the channels themselves are in `adapters/channels`."""

from __future__ import annotations

from typing import Protocol

from guardrails.alerts.values import Message, Receipt


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
