"""Whom the engine works with: who keeps what it sees, who tells of it, who trades on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guardrails.alerts.channel import Duty
from guardrails.execution.dealing import Dealing
from guardrails.keeper import Keeper


@dataclass(frozen=True, slots=True)
class Partners:
    """Each may be missing."""

    store: Keeper | None
    desk: Duty | None
    execution: Dealing | None

    def begin(self, names: Sequence[str], scenario: str) -> None:
        """Take up alerts and orders of the book that is watched from now on, from what is stored of it."""
        if self.desk is not None:
            self.desk.begin(names, scenario)
        if self.execution is not None:
            self.execution.begin(names, scenario)

    def idle(self) -> None:
        """Tell nobody anything and send nothing any more."""
        if self.desk is not None:
            self.desk.idle()
        if self.execution is not None:
            self.execution.idle()

    def start(self) -> None:
        """Start the threads of store and desk; orders are dealt with on the engine's loop."""
        if self.store is not None:
            self.store.start()
        if self.desk is not None:
            self.desk.start()

    def stop(self, seconds: float) -> None:
        """Tell for at most `seconds` what is still to be told, then write what must survive."""
        if self.desk is not None:
            self.desk.stop(seconds)
        if self.store is not None:
            self.store.stop()
