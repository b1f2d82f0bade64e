"""tastytrade and IBKR as one book in a real Chromium: what a trader sees, and that no fault of the stream looks calm.

The program runs by a clock that says Monday, 11:00 in New York, because at night a silent stream is no fault. A thread
reads /api/snapshot ten times a second meanwhile: a light that is green between two looks at the page is a lie as well.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.brokers.tasty import Tasty
from tests.brokers.tws import Tws
from tests.brokers.tws_book import Book
from tests.browser.conftest import ROOT, Server, free_port, serving
from tests.browser.monday import FILE, MONDAY, Hands
from tests.browser.test_browser import WAIT_MS, Theme, look
from tests.browser.test_ibkr import LIGHTS, picture, visit, wait_for
from tests.ibkr import MIXED
from tests.tasty import REFRESH, SECRET
from tests.tasty import opened as book_of

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ROWS = {"IBKR": 10, "tastytrade": 13}
"""9 and the EUR cash of the ledger; 14 without the adjusted option, which is UNKNOWN for good"""
GOOD = ("live", "closed")
CAUSES = {"market_regime", "source_state", "clock_skew", "beta_coverage", "beta_quality"}
"""what is judged of closes, tables, and of one source by itself, and may be calm while the other is dark"""
CAUSE_TITLES = ("Regime", "Sources", "Clocks", "Beta")
SEEN_SECONDS = 12.0
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
            self._thread.join(10)

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


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Hands:
    """Monday, 11:00 in New York."""
    clock = Hands(tmp_path_factory.mktemp("clock") / "hands")
    clock.set(MONDAY)
    return clock


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


@pytest.fixture(scope="module")
def tasty(hands: Hands) -> Iterator[Tasty]:
    with standing(hands) as server:
        yield server


@pytest.fixture(scope="module")
def both(hands: Hands, tasty: Tasty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program on both stand-ins, on Monday."""
    with Tws(Book.load(MIXED, hands().date()), clock=hands) as tws:
        tws.stream(2)
        more = settings(tasty.url, hands.path, tws)
        with serving(tmp_path_factory.mktemp("both"), ["tests.browser.monday"], **more) as server:
            wait_for(lambda: streamed(server), 30, "Greeks of tastytrade")
            yield server
        assert (tws.orders, tasty.orders) == ([], [])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_brokers_are_one_book_on_every_page(
    chromium: Browser, both: Server, opened: list[Page], shots: Path, theme: Theme
) -> None:
    page = look(chromium, both.url, theme)
    opened.append(page)
    errors: list[str] = []
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name, words in PAGES.items():
        visit(page, name, words)
        bar = page.locator(".pg-bar").inner_text()
        assert "ibkr live" in bar, name
        assert "tastytrade live" in bar, name
        if name == "Positions":
            page.wait_for_selector(".js-plotly-plot .bars", timeout=WAIT_MS)
        assert page.locator('[data-testid="stException"]').count() == 0, name
        assert not NUMBERS.search(page.content()), name
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{name} is {over} px too wide"
        if name in SHOWN[theme]:
            picture(page, shots / f"{name.lower()}-both-{theme}.png")
    assert errors == []
    for path in ("/api/snapshot", "/readyz", "/metrics"):
        assert not NUMBERS.search(both.get(path)[1]), path
    assert not NUMBERS.search(both.log.read_text())


def grid(page: Page, place: int) -> Locator:
    """A table of the page; the grid is a canvas, its text is in the table kept for screen readers."""
    return page.locator('[data-testid="stDataFrame"]').nth(place)


def line(table: Locator, *words: str) -> list[str]:
    """The cells of the first row that has all of `words`."""
    rows = table.locator("tr")
    for word in words:
        rows = rows.filter(has_text=word)
    expect(rows.first).to_be_attached(timeout=WAIT_MS)
    return rows.first.locator("td").all_inner_texts()


def test_options_at_ibkr_show_the_greeks_of_tastytrade_and_their_age(
    chromium: Browser, both: Server, opened: list[Page]
) -> None:
    assert {
        row["label"]: row["greeks_source"] for row in options_of(both) if row["greeks_source"] != "tastytrade"
    } == {}
    page = look(chromium, both.url, width=3600)
    opened.append(page)
    visit(page, "Positions", PAGES["Positions"])
    legs = grid(page, 1)
    for account, label, delta in (
        ("IBKR •••4567", "AAPL 18Dec26 240C", "0.30043"),  # IBKR itself says 0.29585
        ("tastytrade •••0001", "AAPL 18Dec26 250C", "0.13292"),
    ):
        cells = line(legs, label, account)
        assert any(re.fullmatch(r"tastytrade \d s", cell) for cell in cells), cells
        assert delta in cells, cells
    cells = line(grid(page, 2), "AAPL")
    assert (cells[1], cells[6], cells[7], cells[8], cells[9]) == ("fair", "31", "44", "1.18", "0.71"), cells
    # 26.2 / 22.8 - 1 = 14.91 %, rich from 10 + VIX, which is 17.2 at IBKR and 17.3 at tastytrade
    assert [float(cell) for cell in cells[2:6]] == pytest.approx([14.91, 27.25, 26.2, 22.8], abs=0.051)


def test_a_filter_shows_one_account_and_leaves_the_lights_alone(
    chromium: Browser, both: Server, opened: list[Page]
) -> None:
    page = look(chromium, both.url, width=1600)
    opened.append(page)
    expect(page.locator(".pg-tile")).to_have_count(4, timeout=WAIT_MS)
    expect(page.locator('[data-testid="stMetric"]').filter(has_text="Net liquidation").last).to_contain_text("539,511")
    page.get_by_role("combobox", name="Account").click()
    page.get_by_role("option", name="tastytrade •••0002").click()
    page.keyboard.press("Escape")  # while its list is open the rest of the page cannot be reached
    words = "Showing tastytrade •••0002 only; the lights are for the whole book."
    expect(page.locator(".pg-filter")).to_contain_text(words, timeout=WAIT_MS)
    expect(page.locator(".pg-tile")).to_have_count(1)
    expect(page.locator(".pg-bar")).to_contain_text("ibkr live")
    visit(page, "Positions", PAGES["Positions"])
    expect(page.locator(".pg-filter")).to_contain_text(words)
    expect(page.get_by_text("3 of 23 positions")).to_be_visible(timeout=WAIT_MS)


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


def test_a_dropped_socket_is_grey_and_streams_again(
    chromium: Browser, both: Server, tasty: Tasty, opened: list[Page]
) -> None:
    page = look(chromium, both.url)
    opened.append(page)
    expect(page.locator(".pg-tile")).to_have_count(4, timeout=WAIT_MS)
    assert len(calm_of(snapshot_of(both))) > 15  # the eye of this test sees the lights that are on
    with Watch(both, sum(ROWS.values())) as watch:
        at, dropped = tasty.all_sockets["dxlink"], time.monotonic()
        tasty.drop("dxlink")
        wait_for(lambda: tasty.all_sockets["dxlink"] > at and streamed(both), SEEN_SECONDS, "the stream")
        again = time.monotonic() - dropped
        tasty.fault("ws_refuse", kind="dxlink")
        dropped = time.monotonic()
        tasty.drop("dxlink")
        wait_for(lambda: condition(both) == "quotes_lost", SEEN_SECONDS, "the condition")
        known = time.monotonic() - dropped
        until_seen(page, silent=True)
        grey = time.monotonic() - dropped
        expect(page.locator(".pg-bar")).to_contain_text("tastytrade has gone silent: no data since 11:")
        stays_dark(page)
        expect(page.locator(".pg-tile")).to_have_count(4)
        tasty.mend()
        back = until_seen(page, silent=False)
    print(f"streaming again {again:.2f} s after a drop; {watch.dark} looks in the dark, {watch.live} others")
    print(f"marked after {known:.2f} s, grey on the page after {grey:.2f} s, once let in back after {back:.2f} s")
    assert watch.dark > 5
    assert watch.wrong == set()
    assert tasty.most_sockets["dxlink"] == 1


def test_a_killed_token_goes_unnoticed(both: Server, tasty: Tasty) -> None:
    logins = tasty.tokens
    with Watch(both, sum(ROWS.values())) as watch:
        tasty.fault("token_killed", times=1)
        tasty.set_position("5WT00001", "NBTA", 101)  # has the accounts read at once
        wait_for(lambda: tasty.tokens > logins, 20, "a new token")
        wait_for(lambda: any(row["quantity"] == 101 for row in snapshot_of(both)["positions"]), 20, "the change")
        wait_for(lambda: watch.live > 20, 20, "two seconds more")
        tasty.set_position("5WT00001", "NBTA", 100)
    assert (watch.dark, watch.wrong) == (0, set())
    assert tasty.tokens == logins + 1


@dataclass(frozen=True, slots=True)
class Alone:
    """The program on tastytrade only, and what moves its hours."""

    server: Server
    tasty: Tasty
    hands: Hands

    def pass_time(self, seconds: float, *, step: float = 24.0) -> None:
        """Let time pass quickly, but slowly enough for what streams to be heard in between."""
        for _ in range(round(seconds / step)):
            self.hands.ahead(step)
            until = self.hands()
            wait_for(lambda until=until: self.heard_since(until), 10, "the next cycle")  # type: ignore[misc]  # bound in a loop

    def heard_since(self, moment: Any) -> bool:
        return str(snapshot_of(self.server)["as_of"]) > f"{moment:%Y-%m-%dT%H:%M:%S.%f}"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    home = tmp_path_factory.mktemp("alone")
    clock = Hands(home / "hands")
    clock.set(MONDAY)
    with standing(clock) as tasty:
        more = settings(tasty.url, clock.path) | {"GUARDRAILS_REFRESH_SECONDS": "0.2"}
        with serving(home, ["tests.browser.monday"], **more) as server:
            wait_for(lambda: streamed(server), 30, "Greeks of tastytrade")
            yield Alone(server, tasty, clock)


def test_a_symbol_that_stops_is_grey_with_its_age_while_others_stay_live(
    chromium: Browser, alone: Alone, opened: list[Page]
) -> None:
    page = look(chromium, alone.server.url, width=3600)  # what is out of sight is not in the table for screen readers
    opened.append(page)
    alone.tasty.fault("silent_symbols", symbols=["brkb_put"])
    alone.pass_time(48)
    quiet = next(row for row in snapshot_of(alone.server)["positions"] if row["label"] == QUIET)
    assert quiet["greeks_source"] == "repriced"  # by its last volatility, at the price the underlying has now
    assert [note for note in quiet["notes"] if note.startswith("quiet since 11:0")] != []
    alone.pass_time(264)
    told = f"{QUIET} (tastytrade •••0001): it has not ticked for 5 min"
    expect(page.locator(".pg-limit", has_text=told)).to_be_visible(timeout=WAIT_MS)
    visit(page, "Positions", PAGES["Positions"])
    assert line(grid(page, 1), QUIET)[2] == "? UNKNOWN"
    assert line(grid(page, 1), "SPXW 18Dec26 5700P")[2] == "✓ OK"
    assert unknown_rows(alone.server) == [QUIET]
    assert condition(alone.server) == "connected"
    alone.tasty.mend()
    wait_for(lambda: not unknown_rows(alone.server), 10, "the symbol")


def unknown_rows(server: Server) -> list[str]:
    return [row["label"] for row in snapshot_of(server)["positions"] if row["level"] == "UNKNOWN"]


def test_a_muted_socket_is_rebuilt_without_a_person(chromium: Browser, alone: Alone, opened: list[Page]) -> None:
    page = look(chromium, alone.server.url)
    opened.append(page)
    at = alone.tasty.all_sockets["dxlink"]
    with Watch(alone.server, ROWS["tastytrade"]) as watch:
        alone.tasty.fault("ws_mute", kind="dxlink")
        alone.pass_time(36, step=9.0)
        wait_for(lambda: condition(alone.server) == "quotes_silent", 10, "the condition")
        until_seen(page, silent=True)
        alone.hands.ahead(12)
        wait_for(lambda: not alone.tasty.sockets["dxlink"], 15, "the end of the socket")
        alone.tasty.mend()
        wait_for(lambda: streamed(alone.server), 30, "the stream")
        until_seen(page, silent=False)
    assert watch.dark > 2
    assert watch.wrong == set()
    assert alone.tasty.all_sockets["dxlink"] > at
    assert alone.tasty.most_sockets["dxlink"] == 1


class Broker:
    """The stand-in as a process of its own, on a port that stays the same."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return once it listens."""
        command = [sys.executable, "-m", "tests.brokers.tasty", "--port", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("listening on")

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def broker() -> Iterator[Broker]:
    one = Broker()
    one.start()
    yield one
    one.kill()


def test_a_broker_that_dies_keeps_its_rows_marked_and_comes_back(
    chromium: Browser, broker: Broker, opened: list[Page], tmp_path: Path
) -> None:
    more = settings(f"http://127.0.0.1:{broker.port}") | {"GUARDRAILS_REFRESH_SECONDS": "0.5"}
    with serving(tmp_path, **more) as server:
        wait_for(lambda: condition(server) in ("connected", "market_closed"), 20, "the first book")
        page = look(chromium, server.url)
        opened.append(page)
        expect(page.locator(".pg-tile")).to_have_count(2, timeout=WAIT_MS)
        with Watch(server, ROWS["tastytrade"] + 1) as watch:
            broker.kill()
            grey = until_seen(page, silent=True)
            stays_dark(page)
            visit(page, "Connections", "Sources")
            expect(page.locator('[data-testid="stMain"]')).to_contain_text("tastytrade cannot be reached")
            assert server.get("/readyz")[0] == 503
            broker.start()
            back = until_seen(page, silent=False)
            assert server.get("/readyz")[0] == 200
    print(f"grey {grey:.1f} s after the kill, back {back:.1f} s after the start; {watch.dark} looks in the dark")
    assert watch.dark > 5
    assert watch.wrong == set()
