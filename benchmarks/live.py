"""What the live benchmarks share: an engine with one source, what its Snapshots say, what its process holds.

No broker's library and no stand-in is imported here, so that a new process that starts from here is light.
"""

from __future__ import annotations

import asyncio
import cProfile
import io
import pstats
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from guardrails.brokers import Broker
from guardrails.engine import Engine, EngineSettings
from guardrails.matrix import MatrixFile
from guardrails.snapshot import Snapshot
from guardrails.snapshot.sources import SourceRow

ROOT = Path(__file__).resolve().parent.parent
LOOK_SECONDS = 0.005
"""how often a benchmark looks at the latest Snapshot, as often as any page could wish"""
PROBE_SECONDS = 0.01
PATIENCE_SECONDS = 60.0
LIVE = ("live", "closed")
RSS_GROWTH = 1.05
"""of an early figure: allocators do not give every page back"""


@contextmanager
def running(source: Broker, clock: Callable[[], datetime]) -> Iterator[Engine]:
    """An engine as the program makes it, started, with nothing but this source."""
    with tempfile.TemporaryDirectory() as home:
        engine = Engine([source], MatrixFile.open(ROOT / "risk_matrix.yaml"), EngineSettings(Path(home)), clock)
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()


def told(snapshot: Snapshot) -> SourceRow:
    """What the Snapshot says about the connection."""
    return snapshot.sources[0]


def is_live(snapshot: Snapshot | None, options: int) -> bool:
    """Whether the source is live with the whole book and the money of both accounts."""
    if snapshot is None or told(snapshot).state not in LIVE or len(snapshot.positions) != options:
        return False
    return len(snapshot.accounts) == 2 and all(row.net_liquidation for row in snapshot.accounts)


def until(engine: Engine, holds: Callable[[Snapshot], bool], limit: float = PATIENCE_SECONDS) -> float:
    """Seconds until a Snapshot of which `holds` is true; TimeoutError with what it said last after `limit`."""
    began = time.perf_counter()
    while time.perf_counter() - began < limit:
        latest = engine.latest
        if latest is not None and holds(latest):
            return time.perf_counter() - began
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"not within {limit:.0f} s; last: {engine.latest and told(engine.latest)}")


def on_loop(loop: asyncio.AbstractEventLoop | None, work: Coroutine[Any, Any, Any], patience: float) -> Any:
    """What `work` returns when the loop of a source runs it."""
    assert loop is not None  # the source was looked at
    return asyncio.run_coroutine_threadsafe(work, loop).result(patience)


async def lags(seconds: float) -> list[float]:
    """How late, in seconds, a task that sleeps 10 ms on this loop woke up, each time."""
    loop, late = asyncio.get_running_loop(), list[float]()
    end = loop.time() + seconds
    while (asleep := loop.time()) < end:
        await asyncio.sleep(PROBE_SECONDS)
        late.append(loop.time() - asleep - PROBE_SECONDS)
    return late


def spent() -> float:
    """Seconds of processor time this process has used."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def profiled(loop: asyncio.AbstractEventLoop | None, seconds: float) -> str:
    """Where the thread of a source's loop spends its time."""
    profiler, text = cProfile.Profile(), io.StringIO()

    async def work() -> None:
        profiler.enable()
        await asyncio.sleep(seconds)
        profiler.disable()

    on_loop(loop, work(), seconds + 30.0)
    stats = pstats.Stats(profiler, stream=text)
    stats.sort_stats("tottime").print_stats(25)
    stats.sort_stats("cumtime").print_stats(45)
    return text.getvalue()


@dataclass(frozen=True, slots=True)
class Resources:
    """What this process holds at one moment."""

    tasks: int
    """on the loop of the source"""
    threads: int
    sockets: int
    files: int
    rss_mb: float

    def __str__(self) -> str:
        return f"{self.tasks} | {self.threads} | {self.sockets} | {self.files} | {self.rss_mb:.1f} MB"


RESOURCES = "tasks | threads | sockets | open files | resident memory"


def resources(loop: asyncio.AbstractEventLoop | None) -> Resources:
    """What it holds now."""
    assert loop is not None  # the source was looked at
    process = psutil.Process()
    return Resources(
        len(asyncio.all_tasks(loop)),
        threading.active_count(),
        len(process.net_connections()),
        process.num_fds(),
        process.memory_info().rss / 2**20,
    )
