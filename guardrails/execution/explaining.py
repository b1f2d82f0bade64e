"""Every cycle's positions held against what says why they moved; and what is long over is dropped from memory."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

from guardrails import calendar
from guardrails.assess import Assessment
from guardrails.execution.desk import Desk

KEPT = timedelta(days=8)
"""brokers tell executions of a week at most: what is older is asked of the store alone"""


class Explaining:
    """Belongs to the loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._looked: Assessment | None = None
        """the last cycle whose positions were looked at"""
        self._dropped: date | None = None
        """the day on which memory was tidied last"""

    async def run(self) -> None:
        """Look at every cycle once."""
        desk = self._desk
        while True:
            if desk.is_open:
                await self._look()
                self._tidy()
            await desk.wait(desk.waits.tick)

    async def _look(self) -> None:
        desk, seen = self._desk, self._desk.seen
        if seen is None or seen is self._looked:
            return
        self._looked = seen
        watch, fills, entries = desk.positions, tuple(desk.deeds.fills.values()), dict(desk.deeds.entries)
        found = await asyncio.to_thread(watch.look, seen.portfolio, fills, tuple(entries.values()), desk.clock())
        if watch is not desk.positions:  # another book is watched meanwhile
            return
        current = desk.deeds.entries  # a person may have accepted a change meanwhile, and that counts
        told = [entry for entry in found if current.get(entry.key) is entries.get(entry.key)]
        if told:
            desk.do(*told)

    def _tidy(self) -> None:
        """Once a day."""
        desk, now = self._desk, self._desk.clock()
        today = calendar.exchange_date(now)
        if today == self._dropped:
            return
        self._dropped = today
        desk.deeds.forget(now - KEPT)
        desk.before = {key: held for key, held in desk.before.items() if key in desk.deeds.records}
        desk.positions.forget(desk.deeds.fills, desk.deeds.entries)
