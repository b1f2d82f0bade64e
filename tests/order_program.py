"""The program as `guardrails watch` runs it, in a process of its own, that does what it is asked through a pipe.

It trades with the stand-in of TWS alone and tells nobody anything. Every life is forked from a process that has
imported all of it already: to import takes longer than to live.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ib_async import wrapper

import adapters.ibkr.source
import adapters.ibkr.trading  # noqa: F401  # imported before the fork, as is the driver of the database
from adapters import open_sources
from guardrails.assembly import Wiring, assemble
from guardrails.execution.values import OrderRecord
from guardrails.pricing import compiled
from guardrails.settings import load_settings
from tests.order_deaths import aim

ANSWER_SECONDS = 40.0
AHEAD, AIM = "CLOCK_AHEAD", "DIES_AT"
"""names in the environment: seconds that clocks are ahead of the real one; where the program ends itself"""
log = logging.getLogger(__name__)

LINE = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s"
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


class GoneError(RuntimeError):
    """The program is not there any more."""


def clock() -> datetime:
    """The real time, moved into hours of trading."""
    return datetime.now(UTC) + timedelta(seconds=float(os.environ.get(AHEAD, "0")))


class _Stamp(datetime):
    """ib_async stamps what it receives."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return clock().astimezone(tz)


def main(asked: Connection, folder: Path, environment: Mapping[str, str]) -> None:
    """Live in `folder` until killed."""
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(folder / "program.err", os.O_WRONLY | os.O_APPEND | os.O_CREAT), 2)
    logging.basicConfig(filename=str(folder / "program.log"), level=logging.INFO, format=LINE, datefmt="%T")
    log.info("a life that ends %s", environment[AIM] or "at any moment")
    wrapper.datetime = _Stamp  # type: ignore[attr-defined]  # its clock is no parameter
    compiled._THIS.state = compiled.State.ABSENT  # no life is spent on compiling
    aim(os.environ.get(AIM, ""))
    settings = load_settings()
    wiring = assemble(settings, clock, open_sources(settings.guardrails_sources, settings, clock), [], _no_ping)
    wiring.start()
    say = threading.Lock()
    while True:
        threading.Thread(target=_do, args=(wiring, asked.recv(), asked, say), daemon=True).start()


def _no_ping(*_: object) -> Any:
    raise AssertionError("nothing is pinged here")


def _do(wiring: Wiring, told: dict[str, Any], asked: Connection, say: threading.Lock) -> None:
    engine, end = wiring.engine, time.monotonic() + ANSWER_SECONDS
    answer: dict[str, Any] = {"id": told["id"]}
    if told["kind"] == "state":
        answer |= _state(wiring)
    else:
        key = engine.ask(told["kind"], told["body"], "Ann")
        while (done := engine.answer(key)) is None and time.monotonic() < end:
            time.sleep(0.005)
        answer |= {} if done is None else {"said": done.said.value, "words": done.words, "content": done.content}
    with say:
        asked.send(answer)


def _state(wiring: Wiring) -> dict[str, Any]:
    """What pages show of orders."""
    engine = wiring.engine
    now, latest = engine.orders, engine.latest
    if now is None:
        return {"problem": "not yet"}
    return {
        "problem": now.problem or ("" if now.trading else "no account is known yet"),
        "watched_by": engine.health().watched_by,
        "problems": list(engine.health().problems),
        "safety": now.safety.state.value,
        "cause": now.safety.cause.value,
        "records": {one.key: _record(one) for one in now.records},
        "runs": {one.key: [one.state.value, one.flat, one.words] for one in now.runs},
        "others": [asdict(one)["reference"] for one in now.others],
        "unguarded": now.discipline.unguarded,
        "unguarded_words": list(now.discipline.unguarded_words),
        "findings": [] if latest is None else [
            [one.check, one.subject, one.level.value, one.message] for one in latest.findings
            if one.check in ("order_state", "orders_read", "position_change")
        ],
    }  # fmt: skip


def _record(one: OrderRecord) -> dict[str, Any]:
    return {
        "state": one.state.value, "filled": one.filled, "average": one.average, "fees": one.fees, "detail": one.detail,
        "limit": one.limit, "replaces": one.replaces, "quantity": one.order.quantity, "flatten": one.flatten,
        "legs": [[leg.instrument.key, leg.ratio] for leg in one.order.legs],
    }  # fmt: skip


@dataclass
class Program:
    """That process, as whoever drives it sees it; `kill` is kill -9."""

    folder: Path
    port: int
    more: dict[str, str] = field(default_factory=dict)
    _process: Any = None
    _line: Any = None
    _answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    _asked: int = 0

    def start(self, aimed: str = "") -> None:
        """Begin a life, which ends at the step `aimed`, when it says one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names = ("GUARDRAILS_", "IBKR_", "TT_", "DATABASE_URL", "HEARTBEAT")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        environment |= {
            "GUARDRAILS_DATA_DIR": str(self.folder), "GUARDRAILS_SOURCES": "ibkr", "IBKR_PORT": str(self.port),
            "IBKR_TRADING": "paper", "GUARDRAILS_REFRESH_SECONDS": "0.5", AIM: aimed,
            **self.more,
        }  # fmt: skip
        self._line, other = _FORKS.Pipe()
        self._process = _FORKS.Process(target=main, args=(other, self.folder, environment), daemon=True)
        self._process.start()
        other.close()

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def ended(self, seconds: float) -> bool:
        """Whether it ends by itself within so long."""
        if self._process is not None:
            self._process.join(seconds)
        return not self.is_alive

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._line.close()
        self._process = None
        self._answers.clear()

    def put(self, kind: str, **body: str) -> int:
        """Ask, and go on; the number of the answer. GoneError when the program is dead."""
        self._asked += 1
        try:
            self._line.send({"id": self._asked, "kind": kind, "body": body})
        except OSError:
            raise GoneError(kind) from None
        return self._asked

    def answer(self, number: int, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """What came of it; TimeoutError when nothing did, GoneError when the program is dead."""
        end = time.monotonic() + seconds
        while number not in self._answers:
            try:
                if not self._line.poll(max(end - time.monotonic(), 0.0)):
                    raise TimeoutError(f"no answer to {number} within {seconds:g} s")
                told = self._line.recv()
            except (EOFError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                raise GoneError(str(number)) from None
            self._answers[told["id"]] = told
        return self._answers.pop(number)

    def ask(self, kind: str, **body: str) -> dict[str, Any]:
        return self.answer(self.put(kind, **body))

    def state(self) -> dict[str, Any]:
        return self.ask("state")

    def until(self, condition: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> dict[str, Any]:
        """The first state of which `condition` is true; AssertionError when none is."""
        end = time.monotonic() + seconds
        while True:
            now = self.state()
            if condition(now):
                return now
            assert time.monotonic() < end, f"not within {seconds:g} s; last: {json.dumps(now)[:3000]}"
            time.sleep(0.05)

    def ready(self, seconds: float = 60.0) -> dict[str, Any]:
        """Once it watches, not only shows what a dead one has left, and knows its orders and its book."""
        return self.until(lambda now: now["problem"] == "" and not now["watched_by"], seconds)
