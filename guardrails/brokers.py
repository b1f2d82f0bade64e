"""The seam to the outside: what the engine asks of every source, real or simulated."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from guardrails.values import View


class Broker(Protocol):
    """One source of positions, money and prices."""

    @property
    def name(self) -> str:
        """Stable name, as in GUARDRAILS_SOURCES: `demo`, `statement:positions.xml`, `ibkr`, ..."""

    async def view(self, now: datetime) -> View:
        """Everything the source knows at `now`; may raise, the engine then keeps the last good view with its age."""

    async def close(self) -> None:
        """Release what the source holds; called once, also after errors."""
