"""IBKR in a real Chromium: the gateway dies and returns, and the page never shows calm that nobody has confirmed.

The gateway is a stand-in in a process of its own, killed without a word. A thread reads /api/snapshot ten times a
second meanwhile, because a light that is green for half a second between two looks at the page is a lie as well.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ROOT, Server, free_port, serving
from tests.browser.pictures import picture
from tests.browser.stillness import note_remounts, ticks, until
from tests.browser.test_browser import WAIT_MS, WIDTHS, Theme, assert_fits, go, look

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

BOOK = ROOT / "tests" / "brokers" / "books" / "mixed.yaml"
KILLS = int(os.environ.get("GATEWAY_KILLS", "8"))
"""each takes three seconds; the long runs are those of `benchmarks.soak`"""
GREY_SECONDS, BACK_SECONDS = 30.0, 60.0
"""a page looks every second; the rest is for a busy machine, and what it took is printed"""
BODY_SECONDS = 20.0
"""how long after the bar the rest of the page may follow, as long on such a machine: two looks where it does little"""
ROWS, ACCOUNTS = 10, 2
"""9 positions and the EUR cash of the ledger"""
NET_LIQUIDATION = 348_807.50
GOOD = ("live", "closed")
OF_THE_MARKET = {"market_regime", "beta_coverage"}
"""what is judged from closes and tables, not from what the gateway says now"""
NUMBERS = re.compile(r"DU1234567|DU7654321|1234567|7654321")
LIGHTS = """() => {
    const words = (root) => [...root.querySelectorAll('.pg-pill:not(.pg-zero)')]
        .filter(pill => pill.className.includes('pg-ok')).map(pill => (pill.parentElement || pill).innerText);
    const bar = document.querySelector('.pg-bar'), main = document.querySelector('[data-testid=stMain]');
    const outside = [...main.querySelectorAll('.stHtml')].filter(block => !block.querySelector('.pg-bar'));
    return {
        silent: bar.classList.contains('pg-silent'), bar: bar.innerText,
        green: [...bar.querySelectorAll('.pg-pill.pg-ok:not(.pg-zero)')].map(pill => pill.innerText),
        body: outside.flatMap(words), tiles: main.querySelectorAll('.pg-tile').length,
    };
}"""


class Gateway:
    """The stand-in as a process of its own, on a port that stays the same."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return once it listens."""
        command = [sys.executable, "-m", "tests.brokers.tws", "--book", str(BOOK), "--port", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("listening on")

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@dataclass
class Watch:
    """Everything /api/snapshot said while the test ran, ten times a second; only what is wrong is kept."""

    server: Server
    looks: int = 0
    dark: int = 0
    """looks at which the source did not speak"""
    since: float = 0.0
    """when, of the monotonic clock, it last began or ceased to speak"""
    speaks: bool = True
    wrong: list[str] = field(default_factory=list)
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
            self.looks += 1
            if status != 200:
                self.wrong.append(f"/api/snapshot answers {status}")
                continue
            self._judge(json.loads(body))

    def _judge(self, snapshot: dict[str, Any]) -> None:
        source = snapshot["sources"][0]
        state = f"{snapshot['as_of']} {source['state']} ({source['condition']})"
        if len(snapshot["positions"]) != ROWS:
            self.wrong.append(f"{state}: {len(snapshot['positions'])} positions of {ROWS}")
        if sum(row["net_liquidation"] or 0.0 for row in snapshot["accounts"]) != NET_LIQUIDATION:
            self.wrong.append(f"{state}: net liquidation of an account is gone")
        speaks = source["state"] in GOOD
        if speaks != self.speaks:
            self.since, self.speaks = time.monotonic(), speaks
        if speaks:
            return
        self.dark += 1
        calm = {f["check"] for f in snapshot["findings"] if f["level"] in ("OK", "WATCH")} - OF_THE_MARKET
        calm |= {"the whole book"} if snapshot["level"] in ("OK", "WATCH") else set()
        self.wrong.extend(f"{state}: {name} is calm" for name in sorted(calm))


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A stand-in that listens."""
    one = Gateway()
    one.start()
    yield one
    one.kill()


@pytest.fixture(scope="module")
def ibkr(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program on the stand-in, after its first synchronised book."""
    home = tmp_path_factory.mktemp("ibkr")
    own = {"GUARDRAILS_SOURCES": "ibkr", "GUARDRAILS_REFRESH_SECONDS": "1", "IBKR_PORT": str(gateway.port)}
    with serving(home, **own) as server:
        wait_for(lambda: server.get("/readyz")[0] == 200, 60, "the first book")
        wait_for(lambda: rated(server), 60, "Greeks and closes")
        yield server


@pytest.fixture(scope="module")
def deaf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program with a port on which nothing listens."""
    home = tmp_path_factory.mktemp("deaf")
    with serving(home, GUARDRAILS_SOURCES="ibkr", IBKR_PORT=str(free_port())) as server:
        wait_for(lambda: condition(server) == "refused", 60, "the condition")
        yield server


def wait_for(holds: Callable[[], object], seconds: float, what: str) -> float:
    """Seconds until `holds`; fails when it does not within `seconds`."""
    began = time.monotonic()
    until(holds, lambda: f"{what} did not come within {seconds} s", seconds)
    return time.monotonic() - began


def condition(server: Server) -> str:
    """The named condition in /readyz; empty before the source has been asked."""
    sources = json.loads(server.get("/readyz")[1])["sources"]
    return str(sources[0]["condition"]) if sources else ""


def rated(server: Server) -> bool:
    """Whether every position is priced and the regime is known: what a book needs before it may be judged."""
    findings = json.loads(server.get("/api/snapshot")[1])["findings"]
    levels = {finding["check"]: finding["level"] for finding in findings}
    return levels.get("greeks_coverage") == levels.get("market_regime") == levels.get("source_state") == "OK"


def until_bar(page: Page, seconds: float, *, silent: bool) -> float:
    """Seconds until the bar is grey, or is not; a grey bar is never green as well."""
    began = time.monotonic()
    while True:
        seen = page.evaluate(LIGHTS)
        assert_dark(seen)
        took = time.monotonic() - began
        if seen["silent"] is silent:
            return took
        assert took < seconds, f"the bar is not {'grey' if silent else 'back'} after {seconds} s: {seen['bar']!r}"
        time.sleep(0.05)


def assert_dark(seen: dict[str, Any]) -> None:
    """A silent bar says OK of nothing but the regime; the accounts are on the page at all times."""
    if seen["silent"]:
        assert [text for text in seen["green"] if text.strip() != "✓ OK 1"] == [], seen["bar"]
    assert seen["tiles"] == ACCOUNTS


def stays_dark(page: Page, seconds: float) -> float:
    """Seconds until the rest of the page has followed the bar, watched for `seconds` after that."""
    began = time.monotonic()
    followed = None
    while followed is None or time.monotonic() - began < followed + seconds:
        seen = page.evaluate(LIGHTS)
        assert_dark(seen)
        assert seen["silent"]
        green = [words for words in seen["body"] if "Regime" not in words]
        if not green and followed is None:
            followed = time.monotonic() - began
        assert followed is None or not green, f"green while the source is down: {green}"
        assert time.monotonic() - began < BODY_SECONDS + seconds, f"still green {BODY_SECONDS} s after the bar: {green}"
        time.sleep(0.05)
    return followed


def test_a_gateway_that_dies_again_and_again_is_never_shown_as_calm(
    chromium: Browser, gateway: Gateway, ibkr: Server, opened: list[Page]
) -> None:
    page = look(chromium, ibkr.url)
    opened.append(page)
    expect(page.get_by_text("The whole book")).to_be_visible(timeout=WAIT_MS)
    assert len(page.evaluate(LIGHTS)["body"]) > ACCOUNTS  # the eye of this test sees the lights that are on
    known, grey, follow, back = [], [], [], []
    with Watch(ibkr) as watch:
        for _ in range(KILLS):
            gateway.kill()
            died = time.monotonic()
            grey.append(until_bar(page, GREY_SECONDS, silent=True))
            why = re.compile(r"ibkr is not connected: no data since \d\d:\d\d:\d\d ET")
            expect(page.locator(".pg-bar.pg-silent")).to_contain_text(why)
            follow.append(stays_dark(page, 0.3))
            needs = page.locator(".pg-list").first
            expect(needs).to_contain_text(re.compile(r"dropped|The connection was closed|refused|Nothing listens"))
            assert ibkr.get("/readyz")[0] == 503
            assert condition(ibkr) in ("dropped", "refused")
            known.append(watch.since - died)
            gateway.start()
            back.append(until_bar(page, BACK_SECONDS, silent=False))
            wait_for(lambda: ibkr.get("/readyz")[0] == 200, 30, "ready again")
    figures = {"known": known, "grey": grey, "rest of the page": follow, "back": back}
    for name, seconds in figures.items():
        words = f"median {statistics.median(seconds):.1f} s, worst {max(seconds):.1f} s"
        print(f"{name}: {words}")  # the figures are what one runs this for
    print(f"/api/snapshot: {watch.looks} looks, {watch.dark} of them without the gateway")
    expect(page.locator(".pg-bar")).to_contain_text("OK")
    assert watch.looks > 5 * KILLS
    assert watch.dark > KILLS
    assert sorted(set(watch.wrong)) == []
    assert not NUMBERS.search(ibkr.log.read_text())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_on_a_live_book_show_no_account_number(
    chromium: Browser, ibkr: Server, opened: list[Page], shots: Path, theme: Theme
) -> None:
    page = look(chromium, ibkr.url, theme)
    opened.append(page)
    for name, words in (
        ("Risk", "The whole book"), ("Positions", "Where the risk sits"), ("Limits", "In force: "),
        ("Connections", "Sources"), ("Data", "Coverage"),
    ):  # fmt: skip
        visit(page, name, words)
        assert page.locator('[data-testid="stException"]').count() == 0
        assert not NUMBERS.search(page.content()), name
        if name in ("Risk", "Connections"):
            picture(page, shots / f"{'risk-ibkr' if name == 'Risk' else 'connections'}-{theme}.png")
    for path in ("/api/snapshot", "/readyz", "/metrics"):
        assert not NUMBERS.search(ibkr.get(path)[1]), path


def test_connections_fits_and_names_its_streams(chromium: Browser, ibkr: Server, opened: list[Page]) -> None:
    page = look(chromium, ibkr.url)
    opened.append(page)
    visit(page, "Connections", "Sources")
    for width in WIDTHS:
        assert_fits(page, width)

    def streams_now() -> list[dict[str, Any]]:
        return list(json.loads(ibkr.get("/readyz")[1])["sources"][0]["streams"])

    wait_for(lambda: all(stream["works"] for stream in streams_now()), 30, "word of every stream")
    streams = streams_now()
    assert {"connection", "positions", "quotes", "orders"} <= {stream["name"] for stream in streams}
    shown = page.locator('[data-testid="stDataFrame"]').first
    expect(shown).to_be_visible(timeout=WAIT_MS)
    for stream in streams:  # the grid is a canvas; its text is in the table kept for screen readers
        expect(shown.locator("td", has_text=stream["name"]).first).to_be_attached(timeout=WAIT_MS)


def test_connections_says_what_is_wrong_and_what_to_do(
    chromium: Browser, deaf: Server, opened: list[Page], shots: Path
) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    opened.append(page)
    page.goto(f"{deaf.url}/connections")
    main = page.locator('[data-testid="stMain"]')
    expect(main).to_contain_text("Nothing listens on 127.0.0.1:", timeout=WAIT_MS)
    for words in ("is not connected", "refused since", "What to do: Start TWS or IB Gateway", "IBKR_PORT"):
        expect(main).to_contain_text(words)
    expect(main).to_contain_text("Enable ActiveX and Socket Clients")
    assert page.evaluate(LIGHTS)["body"] == []
    status, body = deaf.get("/readyz")
    assert (status, json.loads(body)["sources"][0]["condition"]) == (503, "refused")
    watched = [f'[data-testid="{name}"]' for name in ("stDataFrame", "stExpander", "stTable")]
    note_remounts(page, *watched, ".stHtml")
    ticks(page, 3)
    assert page.evaluate("window.remounts") == {}
    picture(page, shots / "connections-down.png")


def visit(page: Page, name: str, words: str) -> None:
    """Go to the page called `name` as a person does, and wait until it is drawn."""
    go(page, name)
    expect(page.get_by_text(words).first).to_be_visible(timeout=WAIT_MS)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT_MS)
