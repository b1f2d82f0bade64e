"""Warm reruns of the pages with 1,000 positions, in Streamlit's own test harness, drawn from a real engine.

The harness also turns every message into a tree of elements, which the server does not: the figures are upper bounds.
The clock stands still and the engine's period is long, so that only the page is timed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from streamlit.testing.v1 import AppTest

import pages._engine
from benchmarks import book
from benchmarks.timing import Row, medians, ms
from guardrails.engine import Engine, EngineSettings
from guardrails.matrix import MatrixFile
from guardrails.settings import Settings
from guardrails.values import View

ROOT = Path(__file__).resolve().parent.parent
COUNT = 1_000
GOAL_MS = 50.0
PAGES = ("risk.py", "positions.py", "limits.py", "data.py")
QUIET_SECONDS = 60.0
START_SECONDS = 30.0


class Fixed:
    """A source that always says the same."""

    name = book.SOURCE

    def __init__(self, words: View) -> None:
        self.words = words

    async def view(self, now: datetime) -> View:  # noqa: ARG002  # the seam passes it
        return self.words

    async def close(self) -> None:
        return None


@contextmanager
def engine_of(words: View, home: Path) -> Iterator[Engine]:
    """A running engine that has assessed `words`, wired to the pages."""
    settings = EngineSettings(home, refresh_seconds=QUIET_SECONDS, snapshot_seconds=3600)
    engine = Engine([Fixed(words)], MatrixFile.open(ROOT / "risk_matrix.yaml"), settings, lambda: book.NOW)
    wiring = pages._engine.wiring  # noqa: SLF001  # the pages' only seam to an engine
    pages._engine.wiring = lambda: pages._engine.Wiring(engine, None, Settings(), None)  # type: ignore[assignment]  # noqa: SLF001
    engine.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while engine.latest is None and time.monotonic() < deadline:
            time.sleep(0.05)
        yield engine
    finally:
        engine.stop()
        pages._engine.wiring = wiring  # noqa: SLF001


def reruns() -> list[Row]:
    """Median warm rerun of each page."""
    table = []
    with tempfile.TemporaryDirectory() as home, engine_of(book.view(COUNT), Path(home)) as engine:
        assert engine.latest is not None
        assert len(engine.latest.positions) == COUNT
        for name in PAGES:
            screen = AppTest.from_file(str(ROOT / "pages" / "_shell.py"), default_timeout=60).run()
            screen = screen if name == "risk.py" else screen.switch_page(name).run()
            assert not screen.exception, screen.exception
            taken = medians({name: screen.run})[name]
            judged = name == "risk.py"
            table.append(
                Row(
                    f"{COUNT:,} positions: warm rerun of {name.removesuffix('.py')} (whole script, in the harness)",
                    ms(taken),
                    f"< {GOAL_MS:.0f} ms" if judged else "",
                    taken < GOAL_MS if judged else None,
                )
            )
    return table
