"""Whole programs on the demo's market with trading on paper, put together as the app and `guardrails watch` do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapters import open_sources
from adapters.demo import book as demo
from guardrails.alerts.values import Outcome, Receipt
from guardrails.assembly import Wiring, assemble
from guardrails.engine import Engine
from guardrails.pricing import compiled
from guardrails.requests import Answer
from guardrails.settings import Settings
from tests.books import NOW
from tests.stored import eventually

NUMBERS = (demo.IBKR, demo.TASTYTRADE)
"""of the two accounts"""


class Ticking:
    """A clock that goes, from NOW on, and that the test can put forward."""

    def __init__(self, at: datetime = NOW) -> None:
        self._at, self._began = at, time.monotonic()

    def __call__(self) -> datetime:
        return self._at + timedelta(seconds=time.monotonic() - self._began)

    def move(self, seconds: float) -> None:
        self._at += timedelta(seconds=seconds)


def settings_of(folder: Path, matrix: str, **more: Any) -> Settings:
    """What both programs of one data folder are told."""
    path = folder / "risk_matrix.yaml"
    path.write_text(matrix, encoding="utf-8")
    given: dict[str, Any] = {"ibkr_trading": "paper", "tt_trading": "paper", "guardrails_refresh_seconds": 0.5, **more}
    return Settings(guardrails_data_dir=folder / "data", guardrails_matrix=path, _env_file=None, **given)


def wired(settings: Settings, clock: Ticking) -> Wiring:
    """Not started."""
    sources = open_sources(settings.guardrails_sources, settings, clock)
    return assemble(settings, clock, sources, [], lambda *_: Receipt(Outcome.SENT, ""))


@contextmanager
def running(settings: Settings, clock: Ticking) -> Iterator[Engine]:
    """A program that watches, or reads what another one sees, until the end of the block."""
    wiring = wired(settings, clock)
    wiring.start()
    try:
        yield wiring.engine
    finally:
        wiring.stop()
        if wiring.database is not None:
            wiring.database.close()


def is_ready(engine: Engine) -> bool:
    """Whether it has judged the whole book and knows what rests at the brokers, or shows who does."""
    orders, latest = engine.orders, engine.latest
    if orders is None or orders.problem or latest is None or engine.restored or not orders.trading:
        return False
    return compiled.state() is not compiled.State.COMPILING and not any(
        "compiled" in f.message for f in latest.findings
    )


def asked(engine: Engine, kind: str, **body: str) -> Answer:
    """What comes of it."""
    key = engine.ask(kind, body, "Ann")
    assert eventually(lambda: engine.answer(key) is not None), kind
    answer = engine.answer(key)
    assert answer is not None
    return answer


def typed(*legs: tuple[str, int], limit: float | None, account: str = "IBKR •••4567") -> str:
    """An order as a person writes it: legs as (symbol, signed quantity)."""
    told: dict[str, Any] = {
        "account": account,
        "order_type": "MARKET" if limit is None else "LIMIT",
        "legs": [{"symbol": name, "side": "BUY" if n > 0 else "SELL", "quantity": abs(n)} for name, n in legs],
    }
    return json.dumps(told if limit is None else {**told, "limit_price": limit})
