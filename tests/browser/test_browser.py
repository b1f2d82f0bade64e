"""The pages in a real Chromium: what they say in both themes, that they do not flicker, that silence shows."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server, serving
from tests.browser.monday import FILE, MONDAY, Hands
from tests.browser.pictures import WANTED, picture
from tests.browser.stillness import at_rest, note_remounts, ticks, until

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
    go(page, name)
    expect(page.get_by_text(PAGES[name]).first).to_be_visible(timeout=WAIT_MS)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT_MS)


def go(page: Page, name: str) -> None:
    """Click the link to the page called `name`, and wait until the program says that it draws that page."""
    page.get_by_role("link", name=name, exact=True).first.click()
    place = "" if name == "Risk" else name.lower()
    page.wait_for_url(re.compile(rf"^https?://[^/]+/{place}(\?.*)?$"), timeout=WAIT_MS)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_says_level_regime_safety_and_time_and_fits_any_width(
    chromium: Browser, calm: Server, opened: list[Page], shots: Path, theme: Theme
) -> None:
    page = look(chromium, calm.url, theme)
    opened.append(page)
    expect(page.locator(".pg-bar")).to_contain_text("UNKNOWN 0", timeout=WAIT_MS)  # a first reading has no drawdown
    for name in PAGES:
        visit(page, name)
        assert_bar_says_all(page)
        assert page.locator('[data-testid="stException"]').count() == 0
        if name == "Positions":
            page.wait_for_selector(".js-plotly-plot .bars", timeout=WAIT_MS)
        if name not in ("Ticket", "Journal"):  # those are pictured with an order and a trade, by test_orders
            picture(page, shots / f"{name.lower()}-{theme}.png")
        for width in WIDTHS if theme == "light" else ():
            assert_fits(page, width, ".pg-bar")
        page.set_viewport_size({"width": 1280, "height": 900})


def assert_bar_says_all(page: Page) -> None:
    """Level, regime, safety, sources and time; grey it is for a moment where the machine has stood still."""
    words = ("BREACH", "UNKNOWN", "WATCH", "OK", "low_volatility", "VIX3M", "read-only", "demo live", " ET")
    bar = page.locator(".pg-bar:not(.pg-silent)")

    def lacking() -> list[str]:
        said = bar.inner_text()
        return [word for word in words if word not in said]

    until(lambda: not lacking(), lambda: f"{page.url}: {lacking()} not in the bar")


def assert_fits(page: Page, width: int, *places: str) -> None:
    """The page, and what is found at `places` of it, has room in a window of `width` once it has followed."""
    page.set_viewport_size({"width": width, "height": 900})
    wide = list(places)
    until(lambda: page.evaluate(WIDER, wide) == [], lambda: f"{page.url} at {width} px: {page.evaluate(WIDER, wide)}")


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
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop > 300", timeout=WAIT_MS)
    at_rest(page, ".pg-bar")
    assert page.evaluate("document.querySelector('.pg-bar').getBoundingClientRect().top") >= 0


def test_nothing_is_drawn_anew_while_data_ticks(chromium: Browser, calm: Server, opened: list[Page]) -> None:
    page = look(chromium, calm.url)
    opened.append(page)
    visit(page, "Positions")
    page.wait_for_selector(".js-plotly-plot", timeout=WAIT_MS)
    note_remounts(page, ".js-plotly-plot", '[data-testid="stDataFrame"]', '[data-testid="stMetric"]', ".stHtml")
    ticks(page, 4)
    assert page.evaluate("window.remounts") == {}


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
        switched = "scenario stale"
        until(lambda: switched in server.get("/api/snapshot")[1], lambda: f"no {switched}")
        clock.ahead(27)  # it is calm for 20 s before it falls silent, which is noticed after 6 s more
        bar = page.locator(".pg-bar.pg-silent")
        expect(bar).to_contain_text(re.compile(r"has gone silent: no data since \d\d:\d\d:\d\d ET"), timeout=40_000)
        expect(bar).not_to_contain_text("OK 26")
        expect(page.locator(".pg-list").first).to_contain_text("UNKNOWN")
        if WANTED:
            page.screenshot(path=shots / "silent-light.png")
        assert server.stop(signal.SIGTERM)[0] == 0


def select_first_package(page: Page) -> None:
    """Tick the first row; the grid is a canvas and deaf for a moment after it is drawn, so try again if need be."""
    page.wait_for_selector('[data-testid="data-grid-canvas"]', timeout=WAIT_MS)
    grid = page.locator('[data-testid="stDataFrame"]').first
    ticked = grid.locator('tbody tr[aria-selected="true"]')  # in the table kept for screen readers
    for _ in range(8):
        box = grid.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 15, box["y"] + 55)
        with suppress(AssertionError):
            expect(ticked).to_have_count(1, timeout=3_000)
            return
    pytest.fail("the grid does not take a tick")


def test_select_a_package_and_its_legs_remain(chromium: Browser, calm: Server, opened: list[Page]) -> None:
    page = look(chromium, calm.url)
    opened.append(page)
    visit(page, "Positions")
    select_first_package(page)
    expect(page.get_by_text("of selected packages")).to_be_visible(timeout=WAIT_MS)
    ticks(page, 2)
    expect(page.get_by_text("of selected packages")).to_be_visible()
