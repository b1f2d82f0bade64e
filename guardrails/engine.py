"""The one background loop: reads every source, assesses the book, publishes a frozen Snapshot, writes it down.

One thread, one asyncio loop, all tasks in one TaskGroup: a reader per source, the assessor, the recorder. A source or
a check that fails never ends the loop; a task that ends is started again and is a Finding until it works. Pages read
one attribute, `latest`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from guardrails import logs
from guardrails.alerts.channel import Duty
from guardrails.alerts.values import AlertsNow
from guardrails.announcements import announce
from guardrails.assess import Assessment, Inputs, assess
from guardrails.awake import Awake
from guardrails.brokers import Broker, LiveBroker
from guardrails.errors import SourceError
from guardrails.execution.dealing import Dealing
from guardrails.health import Health
from guardrails.histories import past_of
from guardrails.keeper import Keeper, Published
from guardrails.matrix import MatrixFile, RiskMatrix
from guardrails.memory import Memory, read_memory, remembered_as, sources_key, write_atomically, write_memory
from guardrails.orders_now import OrdersNow, trading_words
from guardrails.outages import SPEAKING, about_matrix, about_task
from guardrails.pricing import compiled
from guardrails.readings import Readings
from guardrails.requests import ORDER_KINDS, Answer, Request
from guardrails.snapshot import Change, Snapshot, read_snapshot, to_json
from guardrails.values import View

log = logging.getLogger(__name__)

SNAPSHOT_FILE, STATE_FILE = "risk_snapshot.json", "state.json"
READ_TIMEOUT_SECONDS = 20.0
FIRST_WORDS_SECONDS = 5.0
STOP_TIMEOUT_SECONDS = 5.0
_KEPT_CHANGES = 20
_HEAR_SECONDS = 0.1
"""at most ten times a second, should a connection flap"""
_PAST_EVERY = timedelta(days=1)
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
        self.latest: Snapshot | None = None
        """the last Snapshot; replaced whole, never changed"""
        self.restored = False
        """True while `latest` is still the file of an earlier run"""
        self.assessment: Assessment | None = None
        self.settings = settings
        self.now = clock
        self._readings = Readings(sources, clock, settings.read_timeout_seconds)
        self._matrix = matrix
        self._store = None if isinstance(store, str) else store
        self._desk = desk
        self._awake = awake or Awake()
        self._execution = execution
        if desk is not None and execution is not None:
            desk.hand_on(ORDER_KINDS, self._asked_elsewhere)
        self._problems: dict[str, str] = {"store": store} if isinstance(store, str) and store else {}
        self._changes: tuple[Change, ...] = ()
        self._scenario = settings.scenario
        self._memory = read_memory(self._state_file, remembered_as(self.names, self._scenario))
        self._cycles = 0
        self._last_cycle: datetime | None = None
        self._cycle_seconds: float | None = None
        self._writable = True
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._asked_to_stop = threading.Event()
        self._due, self._prompt = asyncio.Event(), asyncio.Event()
        self._forgetting = threading.Event()
        self._past_filled: datetime | None = None
        self._watching = asyncio.Event()
        """set while this program reads the brokers itself"""
        self._watched_by = ""
        self._watching_since: datetime | None = None
        self._taken_over: tuple[datetime, str] | None = None
        self._published: Published | None = None
        """what was last taken over from another program"""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources."""
        return self._readings.names

    @property
    def scenario(self) -> str:
        """What the demo's market does; each scenario has a book of its own."""
        return self._scenario

    @property
    def matrix(self) -> RiskMatrix:
        """The matrix in force."""
        return self._matrix.matrix

    def health(self) -> Health:
        """The state of the loop; cheap, callable from any thread."""
        alive = self._thread is not None and self._thread.is_alive()
        problems = tuple(f"{name}: {text}" for name, text in sorted(self._problems.items()))
        last, seconds = self._last_cycle, self._cycle_seconds
        store = None if self._store is None else self._store.health()
        return Health(
            alive,
            last,
            seconds,
            self._cycles,
            problems,
            self._writable,
            store,
            self._watched_by,
            self._watching_since,
            self._taken_over,
        )

    @property
    def alerts(self) -> AlertsNow | None:
        """The alerts as they stand, of this program or of the one that watches; None when nobody makes any."""
        if self._watched_by:
            return None if self._published is None else self._published.alerts
        return None if self._desk is None else self._desk.now

    @property
    def orders(self) -> OrdersNow | None:
        """Orders and safety as they stand, of this program or of the one that watches; None where nobody deals."""
        if self._watched_by:
            return None if self._published is None else self._published.orders
        return None if self._execution is None else self._execution.now

    def ask(self, kind: str, body: Mapping[str, str], author: str) -> str:
        """Ask the program that watches to do something (`guardrails.requests.Kind`); the key of its `answer`."""
        now = self.now()
        request = Request(secrets.token_hex(8), now, now + ANSWER_SECONDS, author, kind, dict(body))
        if self._watched_by and self._store is not None:
            self._store.ask(request)
        elif kind in ORDER_KINDS and self._execution is not None:
            self._execution.put(request)
        elif self._desk is not None:
            self._desk.do(request)
        return request.key

    def answer(self, key: str) -> Answer | None:
        """What came of the request `key`; None while it is not known."""
        told = None if self._desk is None else self._desk.answer(key)
        told = told or (None if self._execution is None else self._execution.answer(key))
        return told or (None if self._store is None else self._store.answered(key))

    def _asked_elsewhere(self, request: Request) -> None:
        if self._execution is not None and self._store is not None:
            self._execution.put(request, self._store.answer)

    def forget(self, scenario: str) -> None:
        """Begin the next cycle with an empty memory, because the demo's market was exchanged for that of `scenario`."""
        self._scenario = scenario
        self._forgetting.set()

    def start(self) -> None:
        """Start once; later calls do nothing."""
        with self._guard:
            if self._thread is not None and self._thread.is_alive():
                return
            self._restore()
            self._asked_to_stop.clear()
            threading.Thread(target=compiled.prepare, name="compile", daemon=True).start()
            if self._store is not None:
                self._store.start()
            if self._desk is not None:
                self._desk.start()
            self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="engine", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop, write what must survive, and wait for the thread."""
        with self._guard:
            self._asked_to_stop.set()  # before the loop is looked at: it may not have begun
            loop, stopping, thread = self._loop, self._stopping, self._thread
            if thread is None:
                return
            if loop is not None and stopping is not None and not loop.is_closed():
                loop.call_soon_threadsafe(stopping.set)
            thread.join(STOP_TIMEOUT_SECONDS)
            self._thread = None
            if self._desk is not None:
                self._desk.stop(STOP_TIMEOUT_SECONDS)
            if self._store is not None:
                self._store.stop()

    @property
    def _state_file(self) -> Path:
        return self.settings.data_dir / STATE_FILE

    @property
    def _snapshot_file(self) -> Path:
        return self.settings.data_dir / SNAPSHOT_FILE

    def _restore(self) -> None:
        """Show the last run's Snapshot at once, when it is of the same sources."""
        try:
            last = read_snapshot(self._snapshot_file)
        except (OSError, SourceError) as error:
            log.warning("the last snapshot cannot be shown: %s", error)
            return
        if last is not None and sources_key(row.name for row in last.sources) == sources_key(self.names):
            self.latest, self.restored = last, True

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        # of this loop, should it be started again
        self._due, self._prompt = asyncio.Event(), asyncio.Event()
        self._watching, self._watching_since = asyncio.Event(), None
        self._readings.begin()
        if self._asked_to_stop.is_set():
            self._stopping.set()
        jobs: dict[str, Callable[[], Awaitable[None]]] = {
            f"read {source.name}": lambda source=source: self._readings.read(source)  # type: ignore[misc]  # bound per source
            for source in self._readings.sources
        }  # fmt: skip
        jobs |= {
            f"hear {source.name}": lambda source=source: self._hear(source)  # type: ignore[misc]  # as above
            for source in self._readings.live
        }
        jobs |= {"assess": self._assess, "record": self._record, "past": self._fill_past}
        jobs = {name: lambda job=job: self._while_watching(job) for name, job in jobs.items()}  # type: ignore[misc]  # as above
        jobs["share"] = self._share
        if self._execution is not None:
            jobs["orders"] = self._execution.run
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._keep(name, job), name=name) for name, job in jobs.items()]
                await self._stopping.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await self._close()

    async def _keep(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        """Run `job` again and again every period; what goes wrong is a problem until it goes right."""
        while True:
            try:
                await job()
            except Exception as error:  # the loop outlives whatever a job does
                if (
                    name in ("share", "orders") or self._watching.is_set()
                ):  # else it is of before another program took over
                    self._went_wrong(name, error)
            else:
                self._problems.pop(name, None)
            await self._until_due(name)

    def _went_wrong(self, name: str, error: Exception) -> None:
        """Keep what went wrong with the task `name`, and log it once, not every period."""
        told = isinstance(error, SourceError)
        said = str(error) if told else f"failed ({type(error).__name__}); see the log"
        if self._problems.get(name) != said:
            log.warning("%s: %s", name, said, exc_info=None if told else error)
        self._problems[name] = said

    async def _until_due(self, name: str) -> None:
        """One period; an assessment may be due earlier."""
        if name != "assess":
            await asyncio.sleep(
                _FOLLOW_SECONDS if name == "share" and self._watched_by else self.settings.refresh_seconds
            )
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.refresh_seconds):
                await self._prompt.wait()
        self._prompt.clear()

    async def _while_watching(self, job: Callable[[], Awaitable[None]]) -> None:
        await self._watching.wait()
        await job()

    async def _share(self) -> None:
        """Watch, unless another program does: then show what that one sees, and go on from it when it ends."""
        asked_at = self._awake.now()
        if self._store is None:
            self._begin_watching()
            self._awake.confirm(asked_at)
            return
        self._pause_after_sleep()
        part = await asyncio.to_thread(self._store.part, self.names, self._scenario)
        before, self._watched_by = self._watched_by, part.holder  # first, so that nobody takes its Snapshot for ours
        if part.watches and before:
            log.warning("%s watches no more; this program does now", before)
        if part.watches and part.died and not self._watching.is_set():
            self._taken_over = self.now(), part.died
        elif part.holder and part.holder != before:
            log.warning("%s watches this book; this program shows what it sees", part.holder)
        published = part.published
        if published is not None and published is not self._published and self._is_news(published.snapshot):
            self._published = published
            self._memory, self._changes = published.memory, published.snapshot.changes
            if not part.watches:
                self.latest, self.restored = published.snapshot, False
                self._last_cycle, self._cycles = published.snapshot.as_of, self._cycles + 1
        self._tell_store_problem()
        if part.watches:
            self._begin_watching()
        elif self._watching.is_set():
            self._watching.clear()
            self._watching_since = None
            self._rest()
            self._problems = {name: said for name, said in self._problems.items() if name == "store"}
            self._writable = True
            await self._readings.lose(STOP_TIMEOUT_SECONDS / 2)
        self._awake.confirm(asked_at)

    def _pause_after_sleep(self) -> None:
        """Tell nothing until it is known again who watches: this program may have slept past its lease."""
        slept = self._awake.slept
        if not slept or not self._watching.is_set():
            return
        log.warning("this program stood still for %.0f s; it asks who watches now", slept)
        self._watching_since = None
        self._rest()

    def _rest(self) -> None:
        """Tell nobody anything and send nothing any more."""
        if self._desk is not None:
            self._desk.idle()
        if self._execution is not None:
            self._execution.idle()

    def _begin_watching(self) -> None:
        if self._watching.is_set() and self._watching_since is not None:
            return
        self._watching_since = self.now()
        self._take_up()
        self._watching.set()

    def _take_up(self) -> None:
        """Alerts and orders of the book that is watched, from what is stored of it."""
        if self._desk is not None:
            self._desk.begin(self.names, self._scenario)
        if self._execution is not None:
            self._execution.begin(self.names, self._scenario)

    def _is_news(self, snapshot: Snapshot) -> bool:
        """Whether another program has seen this after what is shown and remembered here."""
        known = [history.last.time for history in self._memory.accounts.values() if history.last is not None]
        known += [] if self.latest is None else [self.latest.as_of]
        return all(snapshot.as_of > time for time in known)

    def _tell_store_problem(self) -> None:
        problem = "" if self._store is None else self._store.health().problem
        if problem:
            self._problems["store"] = problem
        elif self._store is not None:
            self._problems.pop("store", None)

    async def _hear(self, source: LiveBroker) -> None:
        """Read and assess at once whenever `source` says that something changed."""
        while True:
            await source.changed()
            await self._watching.wait()
            with suppress(Exception):  # it is told by the task that reads every period
                await self._readings.read(source)
            self._prompt.set()
            await asyncio.sleep(_HEAR_SECONDS)

    async def _assess(self) -> None:
        with logs.correlated(cycle=f"c-{self._cycles + 1:06d}"):
            await self._cycle()

    async def _cycle(self) -> None:
        if self._forgetting.is_set():
            self._forgetting.clear()
            self._readings.forget()
            self._memory, self._changes = Memory(), ()
            self._past_filled = None
            self._take_up()
        await self._readings.first_words(self.settings.first_words_seconds)
        began, lost, now = time.perf_counter(), self._readings.lost, self.now()
        views = self._readings.views()
        for task, error in (await self._readings.follow(views)).items():
            if error is None:
                self._problems.pop(task, None)
            else:
                self._went_wrong(task, error)
        inputs = await asyncio.to_thread(self._inputs, views, now)
        result = await asyncio.to_thread(self._judge, inputs)
        if lost != self._readings.lost:  # another program watches meanwhile
            return
        self._publish(result, inputs)
        self._cycle_seconds = time.perf_counter() - began
        self._last_cycle, self._cycles = now, self._cycles + 1

    def _inputs(self, views: list[View], now: datetime) -> Inputs:
        self._matrix = self._matrix.reread()
        matrix = self._matrix.matrix
        extra = [about_matrix(text, matrix) for text in self._matrix.problems]
        extra += [about_task(name, text, matrix) for name, text in sorted(self._problems.items())]
        if self._execution is not None and self.assessment is not None:
            extra += self._execution.findings(self.assessment.limits)
        compiling = compiled.state() is compiled.State.COMPILING
        return Inputs(tuple(views), self._memory, now, tuple(extra), self.settings.trading, compiling)

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
        self._changes = (*reversed(changes), *self._changes)[:_KEPT_CHANGES]
        snapshot = replace(result.snapshot, changes=self._changes)
        if self._execution is not None:
            self._execution.see(result, self.names)
            dealt = self._execution.now
            snapshot = replace(snapshot, safety_state=dealt.safety.state.value, trading=trading_words(dealt))
        moved = announce(self.latest, snapshot)
        for change in changes:
            log.warning("regime %s -> %s: %s", change.old, change.new, change.cause)
        self._memory, self.assessment = result.memory, result
        self.latest, self.restored = snapshot, False
        alerts = None
        if self._desk is not None:
            self._desk.see(snapshot, self.matrix.alerts)
            alerts = self._desk.now
        if self._store is not None:
            memory = result.memory
            orders = None if self._execution is None else self._execution.now
            self._store.keep(
                snapshot, self._matrix.text, result.portfolio, self._scenario, inputs, memory, alerts, orders
            )
            self._tell_store_problem()
        if moved or self._cycles == 0:
            self._due.set()

    async def _fill_past(self) -> None:
        """Once a day, when every source speaks: what they tell of the time before this program watched them."""
        now, snapshot = self.now(), self.latest
        filled = self._past_filled is not None and now - self._past_filled < _PAST_EVERY
        speak = snapshot is not None and all(row.state in SPEAKING for row in snapshot.sources)
        if self._store is None or filled or self.restored or not speak:
            return
        self._past_filled = now
        real = [
            source for source in self._readings.sources if source.name != "demo"
        ]  # the demo makes up another past every day
        self._store.fill(self.names, self._scenario, await past_of(real, now))

    async def _record(self) -> None:
        """Write snapshot and state when a level moved, else every `snapshot_seconds`."""
        try:
            async with asyncio.timeout(self.settings.snapshot_seconds):
                await self._due.wait()
        except TimeoutError:
            pass
        self._due.clear()
        await asyncio.to_thread(self._write)

    def _write(self) -> None:
        if self.latest is None or self.restored or self._watched_by:
            return
        try:
            write_atomically(self._snapshot_file, to_json(self.latest))
            write_memory(self._state_file, remembered_as(self.names, self._scenario), self._memory)
        except OSError:
            self._writable = not self._watching.is_set()
            raise
        self._writable = True

    async def _close(self) -> None:
        await self._readings.let_go(STOP_TIMEOUT_SECONDS / 2)
        try:
            self._write()
        except OSError:
            log.exception("the last snapshot could not be written")
