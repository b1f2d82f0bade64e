"""The pages in a real Chromium: what they say in both themes, that they do not flicker, that silence shows."""

from __future__ import annotations

import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server, serving
from tests.browser.monday import FILE, MONDAY, Hands

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PAGES = {
    "Risk": "What needs you now",
    "Positions": "Where the risk sits",
    "Ticket": "Impact",
    "Scenarios": re.compile("What hurts most|kernels are being compiled"),
    "Alerts": "What was told",
    "Limits": "In force: ",
    "Journal": "Discipline today",
    "Connections": "Sources",
    "Data": "Coverage",
}
Theme = Literal["light", "dark"]
WAIT_MS = 30_000
WIDTHS = (1600, 1280, 1024)
"""of a window that is made smaller: what does not shrink with it is cut off"""
WIDER = """places => {
    const root = document.documentElement, over = root.scrollWidth - root.clientWidth;
    const found = over > 0 ? [`the page by ${over} px`] : [];
    for (const place of places) for (const one of document.querySelectorAll(place))
        if (one.scrollWidth - one.clientWidth > 1) found.push(`${place} by ${one.scrollWidth - one.clientWidth} px`);
    return found;
}"""
"""what is wider than the place it has"""


def look(chromium: Browser, url: str, theme: Theme = "light", width: int = 1280) -> Page:
    """The first page, drawn."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
    page.goto(url)
    expect(page.locator(".pg-bar")).to_contain_text("read-only", timeout=WAIT_MS)
    return page


def visit(page: Page, name: str) -> None:
    """Go to the page called `name` as a person does, and wait until it is drawn."""
    page.get_by_role("link", name=name).first.click()
    expect(page.get_by_text(PAGES[name]).first).to_be_visible(timeout=WAIT_MS)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT_MS)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_says_level_regime_safety_and_time_and_fits_any_width(
    chromium: Browser, calm: Server, opened: list[Page], shots: Path, theme: Theme
) -> None:
    page = look(chromium, calm.url, theme)
    opened.append(page)
    shots.mkdir(parents=True, exist_ok=True)
    expect(page.locator(".pg-bar")).to_contain_text("UNKNOWN 0", timeout=WAIT_MS)  # a first reading has no drawdown
    for name in PAGES:
        visit(page, name)
        bar = page.locator(".pg-bar").inner_text()
        for word in ("BREACH", "UNKNOWN", "WATCH", "OK", "low_volatility", "VIX3M", "read-only", "demo live", " ET"):
            assert word in bar, f"{name}: {word} is not in {bar!r}"
        assert page.locator(".pg-silent").count() == 0
        assert page.locator('[data-testid="stException"]').count() == 0
        if name == "Positions":
            page.wait_for_selector(".js-plotly-plot .bars", timeout=WAIT_MS)
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": 1280, "height": min(int(height) + 40, 2000)})
        page.wait_for_timeout(500)
        if name not in ("Ticket", "Journal"):  # those are pictured with an order and a trade, by test_orders
            page.screenshot(path=shots / f"{name.lower()}-{theme}.png")
        for width in WIDTHS if theme == "light" else ():
            assert_fits(page, width, ".pg-bar")
        page.set_viewport_size({"width": 1280, "height": 900})


def assert_fits(page: Page, width: int, *places: str) -> None:
    """The page, and what is found at `places` of it, has room in a window of `width` once it has followed."""
    page.set_viewport_size({"width": width, "height": 900})
    deadline = time.monotonic() + 15
    while (wider := page.evaluate(WIDER, list(places))) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert wider == [], f"{page.url} at {width} px"


def test_no_host_but_ours_is_asked(chromium: Browser, calm: Server, opened: list[Page]) -> None:
    page = chromium.new_page()
    opened.append(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(calm.url)
    expect(page.locator(".pg-bar")).to_contain_text("read-only", timeout=WAIT_MS)
    visit(page, "Positions")
    foreign = [url for url in asked if not url.startswith((calm.url, "data:", "blob:"))]
    assert foreign == []


def test_the_bar_stays_while_the_page_scrolls(chromium: Browser, calm: Server, opened: list[Page]) -> None:
    page = look(chromium, calm.url)
    opened.append(page)
    expect(page.get_by_text("The whole book", exact=True)).to_be_visible(timeout=WAIT_MS)
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 600)")
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('.pg-bar').getBoundingClientRect().top") >= 0


def note_remounts(page: Page, *watched: str) -> None:
    """Count in `window.remounts` from now on what is put into the page anew, by these selectors."""
    page.evaluate(
        """watched => {
        window.remounts = {};
        new MutationObserver(changes => {
            for (const change of changes) for (const node of change.addedNodes) {
                if (node.nodeType !== 1) continue;
                for (const what of watched) if (node.matches(what) || node.querySelector(what))
                    window.remounts[what] = (window.remounts[what] || 0) + 1;
            }
        }).observe(document.body, {childList: true, subtree: true});
    }""",
        list(watched),
    )


def test_nothing_is_drawn_anew_while_data_ticks(chromium: Browser, calm: Server, opened: list[Page]) -> None:
    page = look(chromium, calm.url)
    opened.append(page)
    visit(page, "Positions")
    page.wait_for_selector(".js-plotly-plot", timeout=WAIT_MS)
    page.wait_for_timeout(2500)
    clock = page.locator(".pg-clock").inner_text()
    note_remounts(page, ".js-plotly-plot", '[data-testid="stDataFrame"]', '[data-testid="stMetric"]', ".stHtml")
    page.wait_for_timeout(10_000)
    assert page.evaluate("window.remounts") == {}
    assert page.locator(".pg-clock").inner_text() != clock


def test_silence_turns_the_bar_grey_and_says_since_when(
    chromium: Browser, opened: list[Page], tmp_path: Path, shots: Path
) -> None:
    clock = Hands(tmp_path / "hands")
    clock.set(MONDAY)
    with serving(tmp_path / "home", ["tests.browser.monday"], **{FILE: str(clock.path)}) as server:
        page = look(chromium, server.url)
        opened.append(page)
        page.get_by_role("combobox").first.click()
        page.get_by_role("option", name="demo: stale").click()
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT_MS)
        clock.ahead(20)  # so long it is calm before it falls silent
        bar = page.locator(".pg-bar.pg-silent")
        expect(bar).to_contain_text(re.compile(r"has gone silent: no data since \d\d:\d\d:\d\d ET"), timeout=40_000)
        assert "OK 26" not in bar.inner_text()
        expect(page.locator(".pg-list").first).to_contain_text("UNKNOWN")
        shots.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=shots / "silent-light.png")
        assert server.stop(signal.SIGTERM)[0] == 0


def select_first_package(page: Page) -> None:
    """Tick the first row; the grid is a canvas and deaf for a moment after it is drawn, so try again if need be."""
    for _ in range(4):
        page.wait_for_selector('[data-testid="data-grid-canvas"]', timeout=WAIT_MS)
        page.wait_for_timeout(1500)
        box = page.locator('[data-testid="stDataFrame"]').first.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 15, box["y"] + 55)
        with suppress(AssertionError):
            expect(page.get_by_text("of selected packages")).to_be_visible(timeout=6000)
            return


def test_select_a_package_and_its_legs_remain(chromium: Browser, calm: Server, opened: list[Page]) -> None:
    page = look(chromium, calm.url)
    opened.append(page)
    visit(page, "Positions")
    select_first_package(page)
    expect(page.get_by_text("of selected packages")).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(4500)
    expect(page.get_by_text("of selected packages")).to_be_visible()
