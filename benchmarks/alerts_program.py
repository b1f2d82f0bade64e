"""The program as the benchmarks of the alerts run it: a source that turns, real engine, desk, store and channels.

Slack and a JSON service are one HTTP server on loopback in a process of its own. Every cycle assesses the 1,000
positions of `book.py`. So that each turn begins from nothing, what is right is over at once, no family waits and the
budget is large; WATCH and UNKNOWN settle for an hour, and no data is called stale.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from adapters.channels.apprise_urls import AppriseChannel, entries
from adapters.channels.slack import SlackChannel, escaped
from benchmarks import book
from benchmarks.apart import Apart, obey
from benchmarks.store_places import Clock
from guardrails.alerts.desk import Desk
from guardrails.engine import Engine, EngineSettings
from guardrails.findings import Finding, Level
from guardrails.matrix import MatrixFile
from guardrails.matrix.alerts import AlertRules
from guardrails.snapshot import Snapshot
from guardrails.store.database import open_database
from guardrails.store.writer import Writer
from guardrails.values import Margin, MarginView, View
from tests.healthy import edited_text

POSITIONS, LINK, CHANNELS = 1_000, "http://127.0.0.1:8501", ("slack", "json")
HOURLY = {"settle_seconds": {"watch": 3600, "unknown": 3600}, "calm_seconds": 0, "family_minutes": 0,
          "daily_budget": 10_000, "critical": []}  # fmt: skip
STALE = {"data.stale_after_seconds": 36_000, "data.quiet_after_minutes": 600, "data.account_stale_minutes": 600}
CHECKS = ("margin_cushion", "daily_loss", "short_option_expiry", "stress_scenarios", "gamma", "vega_concentration",
          "position_data", "clock_skew", "risk_matrix", "market_regime")  # fmt: skip
"""one of each family"""


class Server(ThreadingHTTPServer):
    """Takes everything, and notes when it came by the clock that all processes share."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Takes)
        self.port = self.server_port
        self.said: list[tuple[str, float, str]] = []

    def take(self) -> list[tuple[str, float, str]]:
        """Path, arrival and body of each request since the last call."""
        taken, self.said = self.said, []
        return taken


class _Takes(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        arrived = time.monotonic()
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.said.append((self.path, arrived, body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


def serve(control: Connection) -> None:
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    obey(server, control)


class Turning:
    """A source whose accounts are suddenly short of margin: a cushion of 15 % where 20 % is the least."""

    name = book.SOURCE

    def __init__(self) -> None:
        self.calm = book.view(POSITIONS)
        accounts = tuple(
            replace(one, margins=(Margin(MarginView.CURRENT, "total", worth, 0.85 * worth, 0.15 * worth),))
            for one in self.calm.accounts
            if (worth := one.net_liquidation)
        )
        self.broken = replace(self.calm, accounts=accounts)
        self.turned = self.said = 0.0
        """when it turned, and when it was asked first after that; 0 while it has not"""

    async def view(self, now: datetime) -> View:
        del now
        if not self.turned:
            return self.calm
        self.said = self.said or time.monotonic()
        return self.broken

    async def close(self) -> None:
        """Nothing to close."""


class Noted(Desk):
    """The desk as it is, with more findings when it is told so, and a note of when it was handed what."""

    more: tuple[Finding, ...] = ()
    published = 0.0
    """when `engine.latest` had the BREACH: the engine hands it over in the same breath"""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.handed: list[float] = []
        self.steps: list[float] = []
        """seconds that handing over took, and steps on the desk's own thread"""

    def see(self, snapshot: Snapshot, rules: AlertRules) -> None:
        began = time.monotonic()
        if not self.published and any(_is_short(finding) for finding in snapshot.findings):
            self.published = began
        super().see(replace(snapshot, findings=(*snapshot.findings, *self.more)) if self.more else snapshot, rules)
        self.handed.append(time.monotonic() - began)

    def _step(self) -> bool:
        began = time.perf_counter()
        did = super()._step()
        self.steps.append(time.perf_counter() - began)
        return did


def _is_short(finding: Finding) -> bool:
    return finding.check == "margin_cushion" and finding.level is Level.BREACH


@dataclass(frozen=True, slots=True)
class Bench:
    engine: Engine
    desk: Noted
    source: Turning
    writer: Writer
    folder: Path
    server: Apart

    def rest(self) -> None:
        """Until nothing is wrong, nothing is on its way and everything is stored; then forget what came."""
        self.source.turned = self.source.said = 0.0
        self.desk.more = ()
        until(lambda: not self.desk.now.active and not any(row.waiting for row in self.desk.now.channels))
        assert self.writer.settled(60.0)
        self.desk.published = 0.0
        self.server.tell("take")

    def cycles(self, count: int) -> list[float]:
        """Milliseconds of each of the next cycles."""
        first, found = self.engine.health().cycles, []
        for number in range(first + 1, first + count + 1):
            until(lambda number=number: self.engine.health().cycles >= number)  # type: ignore[misc]  # bound per cycle
            found.append((self.engine.health().cycle_seconds or 0.0) * 1000.0)
        return found


@contextmanager
def running(period: float) -> Iterator[Bench]:
    """Everything as the program puts it together, at rest."""
    with Apart(serve) as server, tempfile.TemporaryDirectory() as name:
        folder, clock, source = Path(name), Clock(time.monotonic()), Turning()
        matrix = folder / "risk_matrix.yaml"
        matrix.write_text(edited_text({"alerts": HOURLY, **STALE}), encoding="utf-8")
        database = open_database(folder, clock)
        writer = Writer(database, folder / "spool", clock)
        slack = SlackChannel(SecretStr(f"http://127.0.0.1:{server.port}/slack"))
        other = AppriseChannel(next(entries(f"json://127.0.0.1:{server.port}/json")))
        assert (slack.name, other.name, slack.problem, other.problem) == (*CHANNELS, "", "")
        desk = Noted([slack, other], clock, writer, LINK, period_seconds=period)
        engine = Engine([source], MatrixFile.open(matrix), EngineSettings(folder, period), clock, writer, desk)
        engine.start()
        bench = Bench(engine, desk, source, writer, folder, server)
        try:
            until(lambda: engine.health().cycles > 2)
            yield bench
        finally:
            engine.stop()
            database.close()
        health = writer.health()
        assert not health.lost + health.refused, health


def thousand() -> tuple[Finding, ...]:
    """A hundred options in ten checks; every fifth is at twice its limit, and so CRITICAL."""
    options = [held for held in book.positions(200) if held.instrument.is_option][:100]
    return tuple(
        Finding(check, f"position:{held.account} {held.instrument.key}", Level.BREACH, value, 1.0, "USD", 1.0 - value,
                f"{check} of {held.instrument.label} is {value:.2f}, limit 1.00.", next_action="Close one of it.")
        for check in CHECKS
        for number, held in enumerate(options)
        for value in (2.0 if number % 5 == 0 else 1.1,)
    )  # fmt: skip


def is_named(said: Sequence[tuple[str, str]], channel: str, title: str) -> bool:
    """Whether one of the requests to `channel`, (path, text), names it."""
    return any(path == f"/{channel}" and (title in body or escaped(title) in body) for path, body in said)


def until(holds: Callable[[], object], pause: float = 0.002, limit: float = 60.0) -> None:
    end = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(pause)
