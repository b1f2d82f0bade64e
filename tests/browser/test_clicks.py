"""A click is never lost in silence: not when the page moves under the pointer, not when the program is late."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.alarmed import FILE
from tests.browser.conftest import serving
from tests.browser.stillness import at_rest, ticks
from tests.browser.test_alerts import CHANNELS, CUSHION, VEGA, Alarmed, alerts_page, row_of, settled
from tests.browser.test_browser import WAIT_MS, look

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser clicks")]

GAMMA = {**VEGA, "check": "gamma"}
TITLE = "Gamma for a 1 % move"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alarmed]:
    """A program of its own: it is stopped for moments."""
    home = tmp_path_factory.mktemp("clicks")
    file = home / "alerts.json"
    file.write_text(json.dumps({"alerts": [GAMMA], "channels": CHANNELS}))
    with serving(home, ["tests.browser.alarmed"], **{FILE: str(file)}) as server:
        yield Alarmed(server, file)


@pytest.fixture
def page(chromium: Browser, desk: Alarmed, opened: list[Page]) -> Page:
    """The Alerts page with one alert that nobody has."""
    desk.say(GAMMA)
    found = alerts_page(look(chromium, desk.server.url))
    opened.append(found)
    expect(row_of(found, TITLE)).to_contain_text("BREACH", timeout=WAIT_MS)  # loud, whatever was said before
    settled(found)
    return found


def press(page: Page, button: Locator) -> dict[str, float]:
    """Put the finger on a button and leave it there; where the button was."""
    button.scroll_into_view_if_needed()
    at_rest(page, '[class*="st-key-alert_"] button')
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    return {"x": box["x"], "y": box["y"], "height": box["height"]}


def test_a_press_counts_although_the_list_moves_under_it(page: Page, desk: Alarmed) -> None:
    button = row_of(page, TITLE).get_by_role("button", name="I have it")
    before = press(page, button)
    desk.say(CUSHION, GAMMA)  # a worse one takes its place, and it moves down
    expect(row_of(page, "Margin cushion, IBKR •••4567")).to_be_visible(timeout=WAIT_MS)
    after = row_of(page, TITLE).get_by_role("button", name="I have it").bounding_box()
    assert after is not None
    assert after["y"] > before["y"] + before["height"]  # nothing of it is where the pointer is
    page.mouse.up()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(TITLE, timeout=WAIT_MS)
    expect(dialog).to_have_count(1)


def test_a_press_counts_although_the_button_is_drawn_anew(page: Page, desk: Alarmed) -> None:
    button = row_of(page, TITLE).get_by_role("button", name="I have it")
    button.evaluate("it => { it.dataset.old = 'yes'; }")
    press(page, button)
    desk.say({**GAMMA, "severity": "WATCH"})  # it is not loud any more: another button
    expect(page.locator("button[data-old]")).to_have_count(0, timeout=WAIT_MS)
    page.mouse.up()
    expect(page.get_by_role("dialog")).to_contain_text(TITLE, timeout=WAIT_MS)


def test_a_press_that_is_taken_back_does_nothing(page: Page) -> None:
    button = row_of(page, TITLE).get_by_role("button", name="I have it")
    box = press(page, button)
    page.mouse.move(box["x"] - 200, box["y"] + 40, steps=4)
    page.mouse.up()
    ticks(page, 2)  # longer than a round trip
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_click_that_waits_for_a_late_program_is_not_lost_to_the_next_click(page: Page, desk: Alarmed) -> None:
    test = page.get_by_role("button", name="Send test").nth(1)
    expect(test).to_be_visible(timeout=WAIT_MS)
    desk.server.process.send_signal(signal.SIGSTOP)
    try:
        page.wait_for_timeout(3_000)  # what ticks waits, too, and comes before
        test.evaluate("it => it.click()")
        page.wait_for_timeout(300)
        page.get_by_role("button", name="Stop …").evaluate("it => it.click()")
        page.wait_for_timeout(300)
    finally:
        desk.server.process.send_signal(signal.SIGCONT)
    expect(page.get_by_role("dialog")).to_contain_text("Safety state", timeout=WAIT_MS)
    expect(page.get_by_text("Test: done: slack took it in 0.4 s.")).to_be_visible(timeout=WAIT_MS)
