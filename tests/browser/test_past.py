"""The past in a real Chromium: nobody may take it for now, in either theme and at any width."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from adapters.demo import DemoSource
from guardrails.assess import Inputs, assess
from guardrails.matrix import parse
from guardrails.memory import Memory
from guardrails.store import rows
from guardrails.store.books import book_of
from guardrails.store.captures import PERIOD, capture_row
from guardrails.store.database import open_database
from guardrails.store.inserts import insert
from guardrails.store.schema import BOOKS, MATRIX_VERSIONS
from guardrails.store.sharing import CAPTURES
from pages._band import OF_THE_PAST, local
from tests.browser.conftest import ROOT, Server, serving
from tests.browser.pictures import WANTED
from tests.browser.stillness import at_rest, ticks
from tests.browser.test_browser import WAIT_MS, WIDTHS, assert_fits, go, look, visit

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

Theme = Literal["light", "dark"]
STARTED = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=2)
MINUTES = 7
"""long enough for the regime to go up"""


def sold_off(folder: Path, minutes: int = MINUTES) -> None:
    """Store some minutes of a selling market, two days ago, in the book that the program will start with."""
    source, memory = DemoSource("selloff"), Memory()
    text = (ROOT / "risk_matrix.yaml").read_text() + "\n# another version of the same limits\n"
    matrix = parse(text)
    book = book_of(("demo",), "calm")
    database = open_database(folder, lambda: STARTED)
    with database.writing(durable=False) as connection:
        for minute in range(minutes + 1):
            now = STARTED + timedelta(minutes=minute)
            inputs = Inputs((asyncio.run(source.view(now)),), memory, now)
            result = assess(inputs.views, matrix, memory, now)
            memory = result.memory
            insert(connection, BOOKS, [rows.book_row(book, result.snapshot)])
            insert(connection, MATRIX_VERSIONS, [rows.matrix_row(book, result.snapshot, text)])
            insert(connection, CAPTURES, [capture_row(book.key, PERIOD, inputs, result.snapshot)])
    database.close()


@pytest.fixture(scope="module")
def with_past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One program with a past."""
    home = tmp_path_factory.mktemp("past")
    with ThreadPoolExecutor(1) as pool:  # the browser's loop runs in this thread
        pool.submit(sold_off, home / "data").result()
    with serving(home) as server:
        yield server


def look_back(page: Page, minutes: int = MINUTES) -> None:
    """Through the door to the stored minutes of two days ago."""
    page.locator(".st-key-past_door button").first.click()
    page.locator(".st-key-past_first [role=spinbutton]").first.focus()  # year; the others follow by themselves
    page.keyboard.type(f"{local(STARTED + timedelta(minutes=minutes)):%Y%m%d%H%M}")
    page.get_by_role("button", name="Show the past").click()
    expect(page.locator(".pg-past")).to_contain_text("PAST", timeout=WAIT_MS)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT_MS)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_past_is_marked_and_now_goes_on_above_it(
    chromium: Browser, with_past: Server, opened: list[Page], shots: Path, theme: Theme
) -> None:
    page = look(chromium, with_past.url, theme)
    opened.append(page)
    look_back(page)
    assert page.title().startswith("PAST")
    expect(page.locator(".st-key-scenario")).to_have_count(0)  # nothing of now is moved from the past
    body = page.locator(".st-key-past_body")
    expect(body.locator(".pg-then")).to_contain_text("THEN", timeout=WAIT_MS)
    at_rest(page, ".st-key-past_body *", 1.5)
    then = body.inner_text()
    if WANTED:
        page.screenshot(path=shots / f"past-{theme}.png")
    ticks(page, 3)
    assert body.inner_text() == then
    page.get_by_role("button", name="Back to now").click()
    expect(page.locator(".pg-past")).to_have_count(0, timeout=WAIT_MS)
    expect(page.locator(".st-key-past_body")).to_have_count(0)
    expect(page.get_by_text("What needs you now")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator(".st-key-scenario")).to_be_visible()
    expect(page).not_to_have_url(re.compile("at="))


def test_nothing_of_the_past_is_cut_off(chromium: Browser, with_past: Server, opened: list[Page]) -> None:
    page = look(chromium, with_past.url)
    opened.append(page)
    look_back(page)
    page.reload()
    expect(page.locator(".pg-past")).to_contain_text("PAST", timeout=WAIT_MS)  # the address names the moment
    for name in (*OF_THE_PAST, "Connections"):
        if name != "Risk":
            visit_past(page, name)
        expect(page.locator(".pg-past, .st-key-past_controls")).to_have_count(2)
        for width in WIDTHS:
            assert_fits(page, width, ".pg-past", ".st-key-past_controls")
        assert page.locator('[data-testid="stException"]').count() == 0
        for button in page.locator('[aria-label^="Download as CSV"]').all():
            expect(button).to_be_hidden()  # the browser would name the file after now
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 900)")
    at_rest(page, ".pg-past")
    assert page.evaluate("document.querySelector('.pg-past').getBoundingClientRect().top") >= 0


def visit_past(page: Page, name: str) -> None:
    """Go to the page called `name`; in the past its first words differ from those of now."""
    if name != "Limits":
        visit(page, name)
        return
    go(page, name)
    expect(page.get_by_text("Then in force: ").first).to_be_visible(timeout=WAIT_MS)
