"""What restricts new risk by itself: orders in doubt, rows of rejects, the daily loss, an alert that nobody takes, a
file STOP. A task of its own, so that whatever goes wrong in following orders keeps no guard from its work.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from guardrails.execution import journaling, overrides
from guardrails.execution.desk import Desk
from guardrails.execution.halts import halt, unacknowledged
from guardrails.safety import Cause, SafetyState


class Guarding:
    """Belongs to the loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(self) -> None:
        """Look at every change, and at least every `Waits.tick`."""
        desk = self._desk
        while True:
            if desk.is_open:
                now = desk.clock()
                cooling_off = timedelta(minutes=desk.matrix.orders.cooling_off_minutes)
                snapshot = None if desk.seen is None else desk.seen.snapshot
                await asyncio.to_thread(halt, desk.safety, snapshot, now, cooling_off)
                await self._about_orders(now, cooling_off)
                await self._about_alerts(now, cooling_off)
                self._end_overrides(now)
            await desk.wait(desk.waits.tick)

    async def _about_orders(self, now: datetime, cooling_off: timedelta) -> None:
        """No new risk while it is not known what became of an order, nor after too many failures."""
        desk, doubts = self._desk, self._desk.doubts()
        if doubts:
            reason = f"it is not known what became of order {doubts[0].key}" + (
                f" and {len(doubts) - 1} more" if len(doubts) > 1 else ""
            )
            if desk.safety.now.state is SafetyState.NORMAL:
                await asyncio.to_thread(
                    desk.safety.tighten, SafetyState.NO_NEW_RISK, Cause.UNRECONCILED, reason, now, cooling_off
                )
        elif desk.safety.now.cause is Cause.UNRECONCILED and desk.safety.now.state is not SafetyState.NORMAL:
            await asyncio.to_thread(desk.safety.passed, Cause.UNRECONCILED, now)
        if (failures := desk.failures()) >= desk.matrix.orders.rejects_a_minute:
            reason = f"{failures} orders were rejected or failed within a minute"
            await asyncio.to_thread(
                desk.safety.tighten, SafetyState.NO_NEW_RISK, Cause.REJECTS, reason, now, cooling_off
            )

    async def _about_alerts(self, now: datetime, cooling_off: timedelta) -> None:
        """The state that the matrix names, when nobody has taken a CRITICAL alert in time."""
        desk, rules = self._desk, self._desk.matrix.orders.unacknowledged
        if rules is not None and (reason := unacknowledged(desk.alerts(), rules, now)):
            state = SafetyState(rules.state)
            await asyncio.to_thread(desk.safety.tighten, state, Cause.UNACKNOWLEDGED, reason, now, cooling_off)

    def _end_overrides(self, now: datetime) -> None:
        desk = self._desk
        for ended in overrides.lapsed(desk.deeds.overrides.values(), now):
            entry = journaling.override_entry(desk.new_key(), ended, "its time is over", journaling.PROGRAM, now)
            desk.do(ended, entry)
