"""Help for the browser tests of tastytrade: what the program says meanwhile, and what a test may wait for."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.brokers.tasty import Tasty
from tests.brokers.tws import Tws
from tests.browser.conftest import Server
from tests.browser.monday import FILE, Hands
from tests.browser.test_browser import WAIT_MS
from tests.browser.test_ibkr import LIGHTS, wait_for
from tests.tasty import REFRESH, SECRET
from tests.tasty import opened as book_of

ROWS = {"IBKR": 10, "tastytrade": 13}
"""9 and the EUR cash of the ledger; 14 without the adjusted option, which is UNKNOWN for good"""
GOOD = ("live", "closed")
CAUSES = {"market_regime", "source_state", "clock_skew", "beta_coverage", "beta_quality"}
"""what is judged of closes, tables, and of one source by itself, and may be calm while the other is dark"""
CAUSE_TITLES = ("Regime", "Sources", "Clocks", "Beta")
SEEN_SECONDS = 40.0
"""a page looks every 2 s, and the longer a stream is refused the rarer it is tried; the rest is for a busy machine"""
QUIET = "BRKB 18Dec26 450P"
"""the option that falls silent"""
NUMBERS = re.compile(r"DU1234567|DU7654321|5WT0000\d|1234567|7654321")
PAGES = {
    "Risk": "The whole book", "Positions": "Where the risk sits", "Limits": "In force: ", "Connections": "Sources",
    "Data": "Coverage",
}  # fmt: skip
SHOWN = {"light": ("Risk", "Positions", "Connections"), "dark": ("Risk",)}
"""pages that are pictured"""


@dataclass
class Watch:
    """Everything /api/snapshot said while the test ran, ten times a second; only what is wrong is kept."""

    server: Server
    rows: int
    dark: int = 0
    """looks at which tastytrade did not speak"""
    live: int = 0
    wrong: set[str] = field(default_factory=set)
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join(60)  # longer than a look may take: none may outlive its program

    def _run(self) -> None:
        while not self._end.wait(0.1):
            status, body = self.server.get("/api/snapshot")
            if status == 200:
                self._judge(json.loads(body))
            else:
                self.wrong.add(f"/api/snapshot answers {status}")

    def _judge(self, snapshot: dict[str, Any]) -> None:
        source = of_tastytrade(snapshot["sources"])
        state = f"{source['state']} ({source['condition']})"
        if len(snapshot["positions"]) != self.rows:
            self.wrong.add(f"{state}: {len(snapshot['positions'])} positions of {self.rows}")
        if source["state"] in GOOD:
            self.live += 1
            return
        self.dark += 1
        calm = {f"{f['check']} {f['subject']}" for f in calm_of(snapshot)}
        calm |= {"the whole book"} if snapshot["level"] in ("OK", "WATCH") else set()
        own = (row for row in snapshot["positions"] if row["source"] == "tastytrade")
        calm |= {row["label"] for row in own if row["level"] in ("OK", "WATCH")}
        self.wrong |= {f"{state}: {name} is calm" for name in calm}


def of_tastytrade(sources: list[dict[str, Any]]) -> dict[str, Any]:
    return next(source for source in sources if source["name"] == "tastytrade")


def calm_of(snapshot: dict[str, Any]) -> list[dict[str, Any]]:
    """Findings of the book that are OK or WATCH."""
    return [f for f in snapshot["findings"] if f["level"] in ("OK", "WATCH") and f["check"] not in CAUSES]


def snapshot_of(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.get("/api/snapshot")[1])
    return found


def condition(server: Server) -> str:
    """The named condition of tastytrade; empty before it has been asked."""
    sources = json.loads(server.get("/readyz")[1])["sources"]
    return str(of_tastytrade(sources)["condition"]) if sources else ""


def options_of(server: Server) -> list[dict[str, Any]]:
    status, body = server.get("/api/snapshot")
    rows = json.loads(body)["positions"] if status == 200 else []
    return [row for row in rows if row["kind"].endswith("option")]


def streamed(server: Server) -> bool:
    """Whether options of every account carry Greeks that tastytrade streams, and nothing waits for its first word."""
    options = options_of(server)
    told = {row["account"] for row in options if row["greeks_source"] == "tastytrade"}
    return bool(options) and told == {row["account"] for row in options} and condition(server) == "connected"


@contextmanager
def standing(clock: Hands) -> Iterator[Tasty]:
    """A stand-in for tastytrade that streams, without the option that is UNKNOWN for good."""
    with Tasty(book_of(clock), rate=4, clock=clock) as tasty:
        tasty.remove_position("5WT00001", "uso1_call")
        yield tasty


def settings(base_url: str, clock: Path | None = None, tws: Tws | None = None) -> dict[str, str]:
    """The environment of a program on these stand-ins."""
    ibkr = {} if tws is None else {"IBKR_PORT": str(tws.port)}
    names = "tastytrade" if tws is None else "ibkr,tastytrade"
    own = {"GUARDRAILS_SOURCES": names, "TT_SECRET": SECRET, "TT_REFRESH": REFRESH, "TASTYTRADE_BASE_URL": base_url}
    return own | ibkr | ({} if clock is None else {FILE: str(clock)})


def until_seen(page: Page, *, silent: bool) -> float:
    """Seconds until the bar is grey-striped, or is not."""
    began = time.monotonic()
    page.wait_for_selector(f".pg-bar{'.pg-silent' if silent else ':not(.pg-silent)'}", timeout=SEEN_SECONDS * 1000)
    return time.monotonic() - began


def stays_dark(page: Page) -> None:
    """The rest of the page follows the bar, and says OK of nothing but what is no part of the book."""

    def lit() -> list[str]:
        return [words for words in page.evaluate(LIGHTS)["body"] if not any(title in words for title in CAUSE_TITLES)]

    wait_for(lambda: not lit(), SEEN_SECONDS, f"a dark page, without {lit()}")
    assert page.evaluate(LIGHTS)["silent"]


def grid(page: Page, place: int) -> Locator:
    """A table of the page; the grid is a canvas, its text is in the table kept for screen readers."""
    return page.locator('[data-testid="stDataFrame"]').nth(place)


def line(table: Locator, *words: str) -> list[str]:
    """The cells of the first row that has all of `words`."""
    rows = table.locator("tr")
    for word in words:
        rows = rows.filter(has_text=word)
    expect(rows.first).to_be_attached(timeout=WAIT_MS)
    cells: list[str] = rows.first.evaluate("row => [...row.querySelectorAll('td')].map(cell => cell.innerText)")
    return cells
