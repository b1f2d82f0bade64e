"""Once a day: what the sources tell of the time before this program watched them, for the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from guardrails.brokers import Broker
from guardrails.histories import past_of
from guardrails.keeper import Keeper
from guardrails.latest import Latest
from guardrails.outages import SPEAKING

_EVERY = timedelta(days=1)


class DailyPast:
    """Asks when every source speaks; the demo is not asked, it makes up another past every day."""

    def __init__(
        self, sources: Sequence[Broker], store: Keeper | None, latest: Latest, clock: Callable[[], datetime]
    ) -> None:
        self._sources = [source for source in sources if source.name != "demo"]
        self._store, self._latest, self._now = store, latest, clock
        self._filled: tuple[str, datetime] | None = None
        """which scenario's book, and when"""

    async def run(self) -> None:
        """Ask, if it is time, and hand over what is told."""
        now, latest = self._now(), self._latest
        scenario, snapshot = latest.scenario, latest.snapshot
        filled = self._filled is not None and self._filled[0] == scenario and now - self._filled[1] < _EVERY
        speak = snapshot is not None and all(row.state in SPEAKING for row in snapshot.sources)
        if self._store is None or filled or latest.restored or not speak:
            return
        self._filled = scenario, now
        self._store.fill(latest.names, scenario, await past_of(self._sources, now))
