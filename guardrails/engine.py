"""The one background loop: reads every source, assesses the book, publishes a frozen Snapshot, writes it down.

One thread, one asyncio loop, all tasks in one TaskGroup: a reader per source, the assessor, the recorder. A source or
a check that fails never ends the loop; a task that ends is started again and is a Finding until it works. Pages read
one attribute, `latest`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from guardrails.announcements import announce
from guardrails.assess import Assessment, Inputs, assess
from guardrails.brokers import Broker, LiveBroker, MarketFeed
from guardrails.errors import SourceError
from guardrails.histories import past_of
from guardrails.instruments import Instrument
from guardrails.keeper import Keeper, Published, StoreHealth
from guardrails.matrix import MatrixFile, RiskMatrix
from guardrails.memory import Memory, read_memory, remembered_as, sources_key, write_atomically, write_memory
from guardrails.outages import about_matrix, about_task, failed_view, unheard
from guardrails.portfolio import held_by_others
from guardrails.pricing import compiled
from guardrails.snapshot import Change, Snapshot, read_snapshot, to_json
from guardrails.values import SourceState, View

log = logging.getLogger(__name__)

SNAPSHOT_FILE, STATE_FILE = "risk_snapshot.json", "state.json"
READ_TIMEOUT_SECONDS = 20.0
FIRST_WORDS_SECONDS = 5.0
STOP_TIMEOUT_SECONDS = 5.0
_KEPT_CHANGES = 20
_HEAR_SECONDS = 0.1
"""at most ten times a second, should a connection flap"""
_PAST_EVERY = timedelta(days=1)
_SPEAKING = (SourceState.LIVE, SourceState.CLOSED, SourceState.FILE)
_FOLLOW_SECONDS = 0.2
"""how often it is asked whether another program has seen something new"""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the engine works, as a person or a monitor asks."""

    alive: bool
    last_cycle: datetime | None
    cycle_seconds: float | None
    cycles: int
    problems: tuple[str, ...]
    store_writable: bool
    store: StoreHealth | None = None
    """None when nothing is kept"""
    watched_by: str = ""
    """the other program that reads the brokers, while this one only shows what it sees"""


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
    ) -> None:
        """`store` keeps every Snapshot, or is why nothing is kept."""
        self.latest: Snapshot | None = None
        """the last Snapshot; replaced whole, never changed"""
        self.restored = False
        """True while `latest` is still the file of an earlier run"""
        self.assessment: Assessment | None = None
        self.settings = settings
        self.now = clock
        self._sources = tuple(sources)
        self._feeds = tuple(source for source in sources if isinstance(source, MarketFeed))
        self._followed: dict[str, frozenset[Instrument]] = {}
        self._matrix = matrix
        self._views: dict[str, View] = {}
        self._store = None if isinstance(store, str) else store
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
        self._due = asyncio.Event()
        self._heard = asyncio.Event()
        self._prompt = asyncio.Event()
        self._forgetting = threading.Event()
        self._past_filled: datetime | None = None
        self._watching = asyncio.Event()
        """set while this program reads the brokers itself"""
        self._watched_by = ""
        self._lost = 0
        """how many times another program took over"""
        self._published: Published | None = None
        """what was last taken over from another program"""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(source.name for source in self._sources)

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
        return Health(alive, last, seconds, self._cycles, problems, self._writable, store, self._watched_by)

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
        self._due, self._heard, self._prompt = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._watching = asyncio.Event()
        self._followed.clear()
        if self._asked_to_stop.is_set():
            self._stopping.set()
        jobs: dict[str, Callable[[], Awaitable[None]]] = {
            f"read {source.name}": lambda source=source: self._read(source) for source in self._sources  # type: ignore[misc]  # bound per source
        }  # fmt: skip
        jobs |= {
            f"hear {source.name}": lambda source=source: self._hear(source)  # type: ignore[misc]  # as above
            for source in self._sources
            if isinstance(source, LiveBroker)
        }
        jobs |= {"assess": self._assess, "record": self._record, "past": self._fill_past}
        jobs = {name: lambda job=job: self._while_watching(job) for name, job in jobs.items()}  # type: ignore[misc]  # as above
        jobs["share"] = self._share
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
                if name == "share" or self._watching.is_set():  # else it is of before another program took over
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
        if self._store is None:
            self._watching.set()
            return
        part = await asyncio.to_thread(self._store.part, self.names, self._scenario)
        before, self._watched_by = self._watched_by, part.holder  # first, so that nobody takes its Snapshot for ours
        if part.watches and before:
            log.warning("%s watches no more; this program does now", before)
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
            self._watching.set()
        elif self._watching.is_set():
            self._watching.clear()
            self._lost += 1
            self._views.clear()  # what was heard until now is not of now when this program watches again
            self._heard.clear()
            self._problems = {name: said for name, said in self._problems.items() if name == "store"}
            self._writable = True
            await self._let_go()  # a broker may allow one connection only, which the other program now needs

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
                await self._read(source)
            self._prompt.set()
            await asyncio.sleep(_HEAR_SECONDS)

    async def _read(self, source: Broker) -> None:
        """One view of one source; when that fails, the last good one stays with its age and says so."""
        lost = self._lost
        try:
            async with asyncio.timeout(self.settings.read_timeout_seconds):
                view = await source.view(self.now())
            if lost == self._lost:
                self._views[source.name] = view
        except Exception as error:
            said = str(error) if isinstance(error, SourceError) else type(error).__name__
            if lost == self._lost:
                self._views[source.name] = failed_view(source.name, self._views.get(source.name), said)
            raise
        finally:
            if len(self._views) == len(self._sources):
                self._heard.set()

    async def _assess(self) -> None:
        if self._forgetting.is_set():
            self._forgetting.clear()
            self._views.clear()
            self._heard.clear()
            self._memory, self._changes = Memory(), ()
            self._past_filled = None
        if not self._heard.is_set():
            await self._first_words()
        began, lost = time.perf_counter(), self._lost
        now = self.now()
        views = [self._views.get(name) or unheard(name) for name in self.names]
        await self._follow(views)
        inputs = await asyncio.to_thread(self._inputs, views, now)
        result = await asyncio.to_thread(self._judge, inputs)
        if lost != self._lost:  # another program watches meanwhile
            return
        self._publish(result, inputs)
        self._cycle_seconds = time.perf_counter() - began
        self._last_cycle, self._cycles = now, self._cycles + 1

    async def _follow(self, views: Sequence[View]) -> None:
        """Tell every market feed what the other sources hold, when that has changed; a failure is tried again."""
        for feed in self._feeds:
            task = f"follow {feed.name}"
            try:
                wanted = await asyncio.to_thread(held_by_others, views, feed.name)
                if wanted != self._followed.get(feed.name, frozenset()):
                    feed.follow(wanted)
                    self._followed[feed.name] = wanted
            except Exception as error:  # the assessment goes on with what is streamed already
                self._went_wrong(task, error)
            else:
                self._problems.pop(task, None)

    async def _first_words(self) -> None:
        """Wait a moment for every source to speak once, so that the first Snapshot need not be UNKNOWN."""
        try:
            async with asyncio.timeout(self.settings.first_words_seconds):
                await self._heard.wait()
        except TimeoutError:
            self._heard.set()
            log.warning("not every source has answered within %.0f s", self.settings.first_words_seconds)

    def _inputs(self, views: list[View], now: datetime) -> Inputs:
        self._matrix = self._matrix.reread()
        matrix = self._matrix.matrix
        extra = [about_matrix(text, matrix) for text in self._matrix.problems]
        extra += [about_task(name, text, matrix) for name, text in sorted(self._problems.items())]
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
        moved = announce(self.latest, snapshot)
        for change in changes:
            log.warning("regime %s -> %s: %s", change.old, change.new, change.cause)
        self._memory, self.assessment = result.memory, result
        self.latest, self.restored = snapshot, False
        if self._store is not None:
            self._store.keep(snapshot, self._matrix.text, result.portfolio, self._scenario, inputs, result.memory)
            self._tell_store_problem()
        if moved or self._cycles == 0:
            self._due.set()

    async def _fill_past(self) -> None:
        """Once a day, when every source speaks: what they tell of the time before this program watched them."""
        now, snapshot = self.now(), self.latest
        filled = self._past_filled is not None and now - self._past_filled < _PAST_EVERY
        speak = snapshot is not None and all(row.state in _SPEAKING for row in snapshot.sources)
        if self._store is None or filled or self.restored or not speak:
            return
        self._past_filled = now
        real = [source for source in self._sources if source.name != "demo"]  # the demo makes up another past every day
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

    async def _let_go(self) -> None:
        for source in self._sources:
            try:
                async with asyncio.timeout(STOP_TIMEOUT_SECONDS / 2):
                    await source.close()
            except Exception:
                log.exception("closing %s failed", source.name)

    async def _close(self) -> None:
        await self._let_go()
        try:
            self._write()
        except OSError:
            log.exception("the last snapshot could not be written")
