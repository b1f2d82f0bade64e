"""The program as `guardrails watch` runs it, in a process of its own, that does what lines on its input ask.

`python -m tests.order_program` prints one line of JSON for each it reads, and one when it is ready. It trades with the
stand-in of TWS alone and tells nobody anything.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Self

from adapters import open_sources
from guardrails.assembly import Wiring, assemble
from guardrails.execution.values import OrderRecord
from guardrails.settings import load_settings
from tests.books import ROOT

ANSWER_SECONDS = 40.0


def main() -> None:
    logging.basicConfig(filename=str(Path(os.environ["GUARDRAILS_DATA_DIR"]) / "program.log"), level=logging.INFO)
    settings, clock = load_settings(), lambda: datetime.now(UTC)
    wiring = assemble(settings, clock, open_sources(settings.guardrails_sources, settings, clock), [], _no_ping)
    wiring.start()
    say = threading.Lock()
    for line in sys.stdin:
        threading.Thread(target=_do, args=(wiring, json.loads(line), say), daemon=True).start()


def _no_ping(*_: object) -> Any:
    raise AssertionError("nothing is pinged here")


def _do(wiring: Wiring, told: dict[str, Any], say: threading.Lock) -> None:
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
        print(json.dumps(answer), flush=True)


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
        "limit": one.limit, "replaces": one.replaces, "quantity": one.order.quantity,
    }  # fmt: skip


@dataclass
class Program:
    """That process, as whoever drives it sees it; `kill` is kill -9."""

    folder: Path
    port: int
    more: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] = field(init=False)
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    _asked: int = 0
    _lines: Queue[dict[str, Any]] = field(default_factory=Queue)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        names = ("GUARDRAILS_", "IBKR_", "TT_", "DATABASE_URL", "HEARTBEAT")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        environment |= {
            "GUARDRAILS_DATA_DIR": str(self.folder), "GUARDRAILS_SOURCES": "ibkr", "IBKR_PORT": str(self.port),
            "IBKR_TRADING": "paper", "GUARDRAILS_REFRESH_SECONDS": "0.5", "NUMBA_DISABLE_JIT": "1", **self.more,
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.order_program"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=(self.folder / "program.err").open("a"),
        )  # fmt: skip
        threading.Thread(target=self._read, args=(self.process, self._lines), daemon=True).start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.answers.clear()
        self._lines = Queue()

    def put(self, kind: str, **body: str) -> int:
        """Ask, and go on; the number of the answer."""
        self._asked += 1
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": self._asked, "kind": kind, "body": body}) + "\n")
        self.process.stdin.flush()
        return self._asked

    def answer(self, number: int, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """What came of it; TimeoutError when nothing did."""
        end = time.monotonic() + seconds
        while number not in self.answers:
            try:
                told = self._lines.get(timeout=max(end - time.monotonic(), 0.001))
            except Empty:
                raise TimeoutError(f"no answer to {number} within {seconds:g} s") from None
            self.answers[told["id"]] = told
        return self.answers.pop(number)

    def ask(self, kind: str, **body: str) -> dict[str, Any]:
        return self.answer(self.put(kind, **body))

    def state(self) -> dict[str, Any]:
        return self.ask("state")

    def until(self, condition: Any, seconds: float = 30.0) -> dict[str, Any]:
        """The first state of which `condition` is true; AssertionError when none is."""
        end = time.monotonic() + seconds
        while True:
            now = self.state()
            if condition(now):
                return now
            assert time.monotonic() < end, f"not within {seconds:g} s; last: {json.dumps(now)[:3000]}"
            time.sleep(0.05)

    def ready(self, seconds: float = 40.0) -> dict[str, Any]:
        """Once it knows its orders and its book."""
        return self.until(lambda now: now["problem"] == "", seconds)

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: Queue[dict[str, Any]]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(json.loads(line))


if __name__ == "__main__":
    main()
