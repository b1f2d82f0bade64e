"""What the engine asks of execution; see `guardrails.execution.service`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from guardrails.assess import Assessment
from guardrails.findings import Finding
from guardrails.limits import Limits
from guardrails.orders_now import OrdersNow
from guardrails.requests import Answer, Request


class Dealing(Protocol):
    """Who deals with orders; nothing here blocks or raises but `run`, which runs on the engine's loop."""

    @property
    def now(self) -> OrdersNow:
        """Orders and safety as they stand; replaced whole."""

    async def run(self) -> None:
        """Work until cancelled."""

    def begin(self, sources: Sequence[str], scenario: str) -> None:
        """This program watches the book of these sources from now on."""

    def idle(self) -> None:
        """Another program watches from now on, or it is not known who: send nothing more."""

    def see(self, assessment: Assessment, sources: Sequence[str] = ()) -> None:
        """Take one more cycle."""

    def findings(self, limits: Limits) -> list[Finding]:
        """What the book's checks must know of orders."""

    def put(self, request: Request, elsewhere: Callable[[Answer], None] | None = None) -> None:
        """Do what a person asks; `elsewhere` brings the answer to the app that asked."""

    def answer(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""
