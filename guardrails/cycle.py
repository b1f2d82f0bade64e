"""One cycle: what the sources said last is assessed beside the loop, shown, and handed to those who tell, keep and
trade.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from guardrails import logs
from guardrails.announcements import announce
from guardrails.assess import Assessment, Inputs, assess
from guardrails.jobs import Problems
from guardrails.latest import Latest
from guardrails.matrix import MatrixFile, RiskMatrix
from guardrails.orders_now import trading_words
from guardrails.outages import about_matrix, about_task
from guardrails.partners import Partners
from guardrails.pricing import compiled
from guardrails.readings import Readings
from guardrails.recording import Recording
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change
from guardrails.values import View

log = logging.getLogger(__name__)


class Cycle:
    """One after the other, on the engine's loop; it owns the matrix, which is read again every time."""

    def __init__(
        self,
        readings: Readings,
        matrix: MatrixFile,
        latest: Latest,
        partners: Partners,
        recording: Recording,
        problems: Problems,
        clock: Callable[[], datetime],
        *,
        trading: str,
        first_words_seconds: float,
    ) -> None:
        self._readings, self._matrix, self._latest = readings, matrix, latest
        self._partners, self._recording, self._problems, self._now = partners, recording, problems, clock
        self._trading, self._first_words_seconds = trading, first_words_seconds
        self._prompt = asyncio.Event()

    @property
    def matrix(self) -> RiskMatrix:
        """The matrix in force."""
        return self._matrix.matrix

    def begin(self) -> None:
        """Belong to the loop that runs now."""
        self._prompt = asyncio.Event()

    def hurry(self) -> None:
        """The next one does not wait for its time."""
        self._prompt.set()

    async def until_due(self, seconds: float) -> None:
        """Wait so long, or until it was hurried."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._prompt.wait()
        self._prompt.clear()

    async def run(self) -> None:
        """One cycle; what comes of it after another program or another market took over is thrown away."""
        with logs.correlated(cycle=f"c-{self._latest.cycles + 1:06d}"):
            await self._run()

    async def _run(self) -> None:
        if self._latest.is_forgetting:
            self._latest.begin_anew()
            self._readings.forget()
            self._partners.begin(self._latest.names, self._latest.scenario)
        await self._readings.first_words(self._first_words_seconds)
        began, lost, now = time.perf_counter(), self._readings.lost, self._now()
        views = self._readings.views()
        for task, error in (await self._readings.follow(views)).items():
            if error is None:
                self._problems.say(task, "")
            else:
                self._problems.went_wrong(task, error)
        inputs = await asyncio.to_thread(self._inputs, views, now)
        result = await asyncio.to_thread(self._judge, inputs)
        if lost != self._readings.lost or self._latest.is_forgetting:
            return
        self._publish(result, inputs)
        self._latest.finish(now, time.perf_counter() - began)

    def _inputs(self, views: list[View], now: datetime) -> Inputs:
        self._matrix = self._matrix.reread()
        matrix, execution, before = self._matrix.matrix, self._partners.execution, self._latest.assessment
        extra = [about_matrix(text, matrix) for text in self._matrix.problems]
        extra += [about_task(name, text, matrix) for name, text in self._problems.rows]
        if execution is not None and before is not None:
            extra += execution.findings(before.limits)
        compiling = compiled.state() is compiled.State.COMPILING
        return Inputs(tuple(views), self._latest.memory, now, tuple(extra), self._trading, compiling)

    def _judge(self, inputs: Inputs) -> Assessment:
        return assess(
            inputs.views,
            self._matrix.matrix,
            inputs.memory,
            inputs.now,
            inputs.extra,
            inputs.trading,
            compiling=inputs.compiling,
        )

    def _publish(self, result: Assessment, inputs: Inputs) -> None:
        changes = tuple(Change(c.time, c.old, c.new, c.cause, c.targets) for c in result.changes)
        snapshot = self._with_orders(replace(result.snapshot, changes=self._latest.add_changes(changes)), result)
        moved = announce(self._latest.snapshot, snapshot)
        for change in changes:
            log.warning("regime %s -> %s: %s", change.old, change.new, change.cause)
        self._latest.see(snapshot, result)
        self._hand_over(snapshot, result, inputs)
        if moved or self._latest.cycles == 0:
            self._recording.hurry()

    def _with_orders(self, snapshot: Snapshot, result: Assessment) -> Snapshot:
        """Also what is known of orders once they have seen this cycle."""
        execution = self._partners.execution
        if execution is None:
            return snapshot
        execution.see(result, self._latest.names)
        dealt = execution.now
        return replace(snapshot, safety_state=dealt.safety.state.value, trading=trading_words(dealt))

    def _hand_over(self, snapshot: Snapshot, result: Assessment, inputs: Inputs) -> None:
        """To those who tell of it, and with what they know of alerts and orders to those who keep it."""
        desk, store, execution = self._partners.desk, self._partners.store, self._partners.execution
        alerts = None
        if desk is not None:
            desk.see(snapshot, self.matrix.alerts)
            alerts = desk.now
        if store is not None:
            orders = None if execution is None else execution.now
            text, scenario = self._matrix.text, self._latest.scenario
            store.keep(snapshot, text, result.portfolio, scenario, inputs, result.memory, alerts, orders)
            self._problems.say("store", store.health().problem)
