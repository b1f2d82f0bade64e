"""One start of the program in a process of its own, on a store that others may use too, and what it says of itself.

`python -m benchmarks.store_program` with the `Start` as JSON; DATABASE_URL names the server, if there is one. It prints
a line of JSON whenever it shows something new. Its clock begins at 10:30 in New York of a trading day.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from adapters.demo import DemoSource
from benchmarks import book
from benchmarks.live import ROOT
from benchmarks.store_places import Clock, Told
from guardrails.alerts.values import AlertsNow
from guardrails.assess import Inputs
from guardrails.brokers import Broker
from guardrails.engine import Engine, EngineSettings
from guardrails.findings import Level
from guardrails.matrix import MatrixFile
from guardrails.memory import Memory
from guardrails.orders_now import OrdersNow
from guardrails.portfolio import Portfolio
from guardrails.snapshot import Snapshot
from guardrails.store.database import Database, open_database
from guardrails.store.metadata import micros
from guardrails.store.writer import Writer
from guardrails.values import View

SCENARIOS = ("calm", "crash")
Subject = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Start:
    """What one program is to be."""

    home: str
    """its own folder: spool and state"""
    folder: str
    """where the rows are, unless DATABASE_URL names a server"""
    began: float
    """reading of the monotonic clock at which the clock of all programs begins"""
    source: str = "demo"
    host: str = ""
    """the name of its machine, when it is not to be this one"""
    period: float = 0.2
    restless: float = 1.0
    """seconds after which the demo's market turns"""


class Witness(Writer):
    """The writer as it is, with a note of every change of level that was handed to it, and how long handing took."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.told: list[Told] = []
        self.seconds: list[float] = []
        self._levels: dict[Subject, Level] = {}

    def keep(
        self,
        snapshot: Snapshot,
        matrix_text: str,
        portfolio: Portfolio,
        scenario: str = "",
        inputs: Inputs | None = None,
        memory: Memory | None = None,
        alerts: AlertsNow | None = None,
        orders: OrdersNow | None = None,
    ) -> None:
        began = time.perf_counter()
        super().keep(snapshot, matrix_text, portfolio, scenario, inputs, memory, alerts, orders)
        self.seconds.append(time.perf_counter() - began)
        levels: dict[Subject, Level] = {}
        for finding in snapshot.findings:
            key = (finding.check, finding.subject)
            levels[key] = max(finding.level, levels.get(key, finding.level), key=lambda level: level.rank)
        for key in sorted({*levels, *self._levels}):
            if levels.get(key) != self._levels.get(key):
                level = levels.get(key)
                self.told.append([micros(snapshot.as_of), *key, None if level is None else level.value])
        self._levels = levels


class Bench:
    """A source with the book of the benchmarks."""

    name = book.SOURCE

    async def view(self, now: datetime) -> View:
        del now
        return book.view(1_000)

    async def close(self) -> None:
        """Nothing to close."""


def engine_of(start: Start, database: Database, source: Broker, **more: Any) -> tuple[Engine, Witness]:
    """An engine as the program makes it, not started."""
    clock, home = Clock(start.began), Path(start.home)
    writer = Witness(database, home / "spool", clock, **more)
    settings = EngineSettings(home, start.period, scenario="calm" if start.source == "demo" else "")
    return Engine([source], MatrixFile.open(ROOT / "risk_matrix.yaml"), settings, clock, writer), writer


@contextmanager
def restless(source: Broker, start: Start) -> Iterator[None]:
    """Turn the demo's market every so many seconds, so that levels move."""
    ended = threading.Event()

    def turn() -> None:
        n = 0
        while isinstance(source, DemoSource) and not ended.wait(start.restless):
            n += 1
            source.switch(SCENARIOS[n % 2], Clock(start.began)())

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()


def main() -> None:
    logging.disable()
    start = Start(**json.loads(sys.argv[1]))
    if start.host:
        platform.node = lambda: start.host
    url = os.environ.get("DATABASE_URL")
    database = open_database(Path(start.folder), Clock(start.began), SecretStr(url) if url else None)
    source: Broker = DemoSource() if start.source == "demo" else Bench()
    engine, writer = engine_of(start, database, source)
    engine.start()
    with restless(source, start):
        _say(engine, writer)


def _say(engine: Engine, writer: Witness) -> None:
    said: tuple[Any, ...] = ()
    acknowledged = 0
    while True:
        latest, health = engine.latest, engine.health()
        now = (health.watched_by, None if latest is None else latest.as_of, health.cycles)
        handed = len(writer.told)
        if handed > acknowledged and not writer.settled(0.1):
            handed = acknowledged
        if now != said or handed > acknowledged:
            store = writer.health()
            line = {
                "at": time.monotonic(), "pid": os.getpid(), "watched_by": health.watched_by, "cycles": health.cycles,
                "as_of": None if latest is None else micros(latest.as_of), "spooled": store.spooled,
                "lost": store.lost + store.refused, "problem": store.problem,
                "acknowledged": writer.told[acknowledged:handed],
            }  # fmt: skip
            print(json.dumps(line), flush=True)
            said, acknowledged = now, handed
        time.sleep(0.002)


class Another:
    """That process, and the lines it has printed."""

    def __init__(self, start: Start, url: str = "") -> None:
        self.start, self.lines = start, list[dict[str, Any]]()
        command = [sys.executable, "-m", "benchmarks.store_program", json.dumps(asdict(start))]
        environment = {**os.environ, **({"DATABASE_URL": url} if url else {})}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def acknowledged(self) -> list[Told]:
        """Every change it was told to be kept."""
        return [told for line in list(self.lines) for told in line["acknowledged"]]

    def until(self, seconds: float, since: int = 0, **wanted: Any) -> dict[str, Any]:
        """The first line from the `since`-th on that says all of `wanted`; TimeoutError when none comes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.lines[since:]:
                if all(line[name] == value for name, value in wanted.items()):
                    return line
            time.sleep(0.005)
        raise TimeoutError(f"{wanted} not within {seconds:g} s; last: {self.lines[-1:]}")

    def _read(self) -> None:
        assert self.process.stdout is not None  # it was asked for
        for line in self.process.stdout:
            self.lines.append(json.loads(line))


if __name__ == "__main__":
    main()
