"""The one background loop: reads every source, assesses the book, publishes a frozen Snapshot, writes it down.

One thread, one asyncio loop, all tasks in one TaskGroup: a reader per source, the assessor, the recorder, one that asks
which program watches. A source or a check that fails never ends the loop; a task that ends is started again and is a
Finding until it works. Pages read one attribute, `latest`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from guardrails.alerts.channel import Duty
from guardrails.alerts.values import AlertsNow
from guardrails.assess import Assessment
from guardrails.awake import Awake
from guardrails.brokers import Broker, LiveBroker
from guardrails.cycle import Cycle
from guardrails.daily_past import DailyPast
from guardrails.execution.dealing import Dealing
from guardrails.health import Health
from guardrails.jobs import Job, Problems, keep
from guardrails.keeper import Keeper
from guardrails.latest import Latest
from guardrails.loop_thread import LoopThread
from guardrails.matrix import MatrixFile, RiskMatrix
from guardrails.memory import read_memory, remembered_as
from guardrails.orders_now import OrdersNow
from guardrails.partners import Partners
from guardrails.pricing import compiled
from guardrails.readings import CLOSE_SECONDS, READ_TIMEOUT_SECONDS, Readings
from guardrails.recording import STATE_FILE, Recording
from guardrails.requests import ORDER_KINDS, Answer, Request
from guardrails.sharing import Sharing
from guardrails.snapshot import Snapshot

log = logging.getLogger(__name__)

FIRST_WORDS_SECONDS = 5.0
STOP_TIMEOUT_SECONDS = 5.0
_HEAR_SECONDS = 0.1
"""at most ten times a second, should a connection flap"""
_FOLLOW_SECONDS = 0.2
"""how often it is asked whether another program has seen something new"""
ANSWER_SECONDS = timedelta(seconds=15)
"""what a person asked for and nobody took by then is not done any more"""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine needs to know; seconds are floats so that tests can be quick."""

    data_dir: Path
    refresh_seconds: float = 2.0
    snapshot_seconds: float = 60.0
    trading: str = "read-only"
    scenario: str = ""
    """of the demo, if it runs: each has a memory of its own"""
    read_timeout_seconds: float = READ_TIMEOUT_SECONDS
    """a source that has not answered by then is DOWN until it does"""
    first_words_seconds: float = FIRST_WORDS_SECONDS
    """how long the first Snapshot waits for every source to have spoken once"""


class Engine:
    """Start it once, read `latest`, stop it. All other state belongs to its own thread."""

    def __init__(
        self,
        sources: Sequence[Broker],
        matrix: MatrixFile,
        settings: EngineSettings,
        clock: Callable[[], datetime],
        store: Keeper | str = "",
        desk: Duty | None = None,
        awake: Awake | None = None,
        execution: Dealing | None = None,
    ) -> None:
        """`store` keeps every Snapshot, or is why nothing is kept; `desk` makes alerts of them; orders go through
        `execution`.

        Whoever tells somebody something is held back by `awake` while it is not known whether this program watches.
        """
        self.settings, self.now = settings, clock
        kept = None if isinstance(store, str) else store
        self._partners = partners = Partners(kept, desk, execution)
        if desk is not None and execution is not None:
            desk.hand_on(ORDER_KINDS, self._asked_elsewhere)
        self._problems = problems = Problems(store if isinstance(store, str) else "")
        self._readings = readings = Readings(sources, clock, settings.read_timeout_seconds)
        memory = read_memory(settings.data_dir / STATE_FILE, remembered_as(readings.names, settings.scenario))
        self._last = last = Latest(readings.names, settings.scenario, memory)
        self._recording = recording = Recording(settings.data_dir, settings.snapshot_seconds, last)
        self._past = DailyPast(sources, kept, last, clock)
        self._sharing = Sharing(partners, awake or Awake(), readings, last, recording, problems, clock)
        self._cycle = Cycle(
            readings,
            matrix,
            last,
            partners,
            recording,
            problems,
            clock,
            trading=settings.trading,
            first_words_seconds=settings.first_words_seconds,
        )
        self._guard = threading.Lock()
        self._loop = LoopThread("engine", self._run)

    @property
    def latest(self) -> Snapshot | None:
        """The last Snapshot; replaced whole, never changed."""
        return self._last.snapshot

    @property
    def restored(self) -> bool:
        """True while `latest` is still the file of an earlier run."""
        return self._last.restored

    @property
    def assessment(self) -> Assessment | None:
        """What this program has assessed last."""
        return self._last.assessment

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources."""
        return self._readings.names

    @property
    def scenario(self) -> str:
        """What the demo's market does; each scenario has a book of its own."""
        return self._last.scenario

    @property
    def matrix(self) -> RiskMatrix:
        """The matrix in force."""
        return self._cycle.matrix

    def health(self) -> Health:
        """The state of the loop; cheap, callable from any thread."""
        last, sharing, store = self._last, self._sharing, self._partners.store
        return Health(
            alive=self._loop.is_alive,
            last_cycle=last.time,
            cycle_seconds=last.seconds,
            cycles=last.cycles,
            problems=tuple(f"{name}: {text}" for name, text in self._problems.rows),
            store_writable=self._recording.is_writable,
            store=None if store is None else store.health(),
            watched_by=last.watched_by,
            watching_since=sharing.since,
            taken_over=sharing.taken_over,
        )

    @property
    def alerts(self) -> AlertsNow | None:
        """The alerts as they stand, of this program or of the one that watches; None when nobody makes any."""
        if self._last.watched_by:
            return None if self._sharing.published is None else self._sharing.published.alerts
        return None if self._partners.desk is None else self._partners.desk.now

    @property
    def orders(self) -> OrdersNow | None:
        """Orders and safety as they stand, of this program or of the one that watches; None where nobody deals."""
        if self._last.watched_by:
            return None if self._sharing.published is None else self._sharing.published.orders
        return None if self._partners.execution is None else self._partners.execution.now

    def ask(self, kind: str, body: Mapping[str, str], author: str) -> str:
        """Ask the program that watches to do something (`guardrails.requests.Kind`); the key of its `answer`."""
        now, (store, desk, execution) = self.now(), self._who()
        request = Request(secrets.token_hex(8), now, now + ANSWER_SECONDS, author, kind, dict(body))
        if self._last.watched_by and store is not None:
            store.ask(request)
        elif kind in ORDER_KINDS and execution is not None:
            execution.put(request)
        elif desk is not None:
            desk.do(request)
        return request.key

    def answer(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""
        store, desk, execution = self._who()
        told = None if desk is None else desk.answer(key)
        told = told or (None if execution is None else execution.answer(key))
        return told or (None if store is None else store.answered(key))

    def _who(self) -> tuple[Keeper | None, Duty | None, Dealing | None]:
        return self._partners.store, self._partners.desk, self._partners.execution

    def _asked_elsewhere(self, request: Request) -> None:
        store, _, execution = self._who()
        if execution is not None and store is not None:
            execution.put(request, store.answer)

    def forget(self, scenario: str) -> None:
        """Begin the next cycle with an empty memory, because the demo's market was exchanged for that of `scenario`."""
        self._last.forget(scenario)

    def start(self) -> None:
        """Start once; later calls do nothing."""
        with self._guard:
            if self._loop.is_alive:
                return
            self._recording.restore()
            threading.Thread(target=compiled.prepare, name="compile", daemon=True).start()
            self._partners.start()
            self._loop.start()

    def stop(self) -> None:
        """Stop, write what must survive, and wait for the thread, at most `STOP_TIMEOUT_SECONDS`."""
        with self._guard:
            if not self._loop.has_ended:
                self._loop.stop(STOP_TIMEOUT_SECONDS)
                self._partners.stop(STOP_TIMEOUT_SECONDS)

    async def _run(self, stopping: asyncio.Event) -> None:
        for part in (self._readings, self._recording, self._sharing, self._cycle):
            part.begin()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(keep(job, self._problems), name=job.name) for job in self._jobs()]
                await stopping.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await self._close()

    def _jobs(self) -> Iterator[Job]:
        """All tasks of the loop; but for the last two they are done only while this program watches."""
        settings, sharing = self.settings, self._sharing

        def watched(
            name: str,
            work: Callable[[], Awaitable[None]],
            rest: Callable[[], Awaitable[None]] | None = None,
            right_after: float | None = None,
        ) -> Job:
            return Job(name, lambda: sharing.while_watching(work), rest or period, lambda: sharing.watches, right_after)

        async def period() -> None:
            await asyncio.sleep(settings.refresh_seconds)

        for source in self._readings.sources:
            yield watched(f"read {source.name}", lambda source=source: self._readings.read(source))  # type: ignore[misc]  # bound per source
        for live in self._readings.live:
            yield watched(
                f"hear {live.name}",
                lambda live=live: self._hear(live),  # type: ignore[misc]  # as above
                lambda: asyncio.sleep(_HEAR_SECONDS),
                right_after=settings.refresh_seconds,
            )
        yield watched("assess", self._cycle.run, lambda: self._cycle.until_due(settings.refresh_seconds))
        yield watched("record", self._recording.run)
        yield watched("past", self._past.run)
        yield Job("share", sharing.look, self._until_next_look)
        if self._partners.execution is not None:
            yield Job("orders", self._partners.execution.run, period, right_after=settings.refresh_seconds)

    async def _until_next_look(self) -> None:
        await asyncio.sleep(_FOLLOW_SECONDS if self._last.watched_by else self.settings.refresh_seconds)

    async def _hear(self, source: LiveBroker) -> None:
        """Read and assess at once when `source` says that something changed."""
        await source.changed()
        await self._sharing.while_watching(lambda: self._read_aside(source))
        self._cycle.hurry()

    async def _read_aside(self, source: LiveBroker) -> None:
        with suppress(Exception):  # it is told by the task that reads every period
            await self._readings.read(source)

    async def _close(self) -> None:
        await self._readings.let_go(CLOSE_SECONDS)
        try:
            self._recording.write()
        except OSError:
            log.exception("the last snapshot could not be written")
