"""The History page in a real Chromium, on a week that the demo really played and months of quarters before it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from guardrails import calendar
from guardrails.execution.values import Deed, FlattenRun, RunState
from guardrails.orders import Fill
from guardrails.safety import Cause, Safety, SafetyChange, SafetyState
from guardrails.store.database import Database, open_database
from guardrails.store.deed_rows import deed_news
from guardrails.store.news import Numbers
from guardrails.store.proof import insert_proven
from guardrails.store.rollup import roll_up
from guardrails.symbols import occ
from guardrails.values import AccountId
from tests.browser.conftest import Server, serving
from tests.browser.pictures import picture
from tests.browser.stillness import at_rest, note_remounts, ticks, until
from tests.browser.test_browser import WAIT_MS, WIDTHS, Theme, assert_fits, go, look
from tests.past import BOOK, months_before, records_before, sessions_before, week

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

STEP = timedelta(minutes=6 if os.environ.get("UPDATE_SCREENSHOTS") == "1" else 12)
"""between two cycles of the week; pictures for people show more of them"""
POINT = """() => {
    const chart = document.querySelector('.js-plotly-plot'), box = chart.getBoundingClientRect();
    const i = chart._fullData.findIndex(trace => trace.name === 'Net liquidation');
    const x = chart._fullLayout.xaxis, y = chart._fullLayout.yaxis;
    const point = chart.calcdata[i].slice(100).find(one => isFinite(x.c2p(one.x)) && isFinite(y.c2p(one.y)));
    return [box.x + x._offset + x.c2p(point.x), box.y + y._offset + y.c2p(point.y)];
}"""
"""where the hundredth point of net liquidation is drawn, or the next one that is not in a gap"""
PARTS = ".js-plotly-plot .nsewdrag, .js-plotly-plot .infolayer > g"
"""charts, titles and legends"""
DAYS = {"1 week": 3, "1 year": 200}
"""that a picture of the range shows at least, and one of less does not"""
SHOWN = """least => {
    const axis = document.querySelector('.js-plotly-plot')?._fullLayout?.xaxis;
    const [first, last] = (axis?.range ?? [0, 0]).map(one => +new Date(one));
    return last - first > least * 86400000;
}"""
"""whether the charts show so many days; those of the range before stand until others are drawn"""
PICTURE = ".st-key-history_picture"
FOCUSED = """() => {
    const one = document.activeElement, label = one.getAttribute('aria-label');
    return label || [...(one.labels || [])].map(each => each.innerText).join(' ') || one.innerText || one.tagName;
}"""
"""how the element with the focus is called"""
OVERLAPS = """() => {
    const found = [], all = place => [...document.querySelectorAll(`.js-plotly-plot ${place}`)];
    const box = (one, name) => [name || one.textContent, one.getBoundingClientRect()];
    const words = [...all('.infolayer > g[class^=legend]'), ...all('.annotation')].map(one => box(one));
    const charts = all('.nsewdrag').map(one => box(one, 'a chart'));
    const apart = (a, b) =>
        a.left > b.right - 1 || b.left > a.right - 1 || a.top > b.bottom - 2 || b.top > a.bottom - 2;
    words.forEach(([name, its], i) => {
        if (/\\d\\d:\\d\\d$/.test(name)) return;  // it stands in a chart on purpose
        for (const [other, here] of [...words.slice(i + 1), ...charts]) {
            if (!/\\d\\d:\\d\\d$/.test(other) && !apart(its, here)) found.push(`${name} / ${other}`);
        }
    });
    return words.length > 12 && charts.length > 7 ? found : ['not drawn'];
}"""
"""which titles and legends lie over each other or over a chart"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program started on a folder in which it seems to have run for most of a year."""
    home, now = tmp_path_factory.mktemp("history"), datetime.now(UTC)
    database = open_database(home / "data", lambda: now)
    week(database, now, STEP)
    first = sessions_before(calendar.session_of(now), 4)[0]
    earlier = months_before(database, first, 180)
    records_before(database, earlier[0], 60)
    roll_up(database, now)
    deeds(database, now)
    database.close()
    with serving(home) as server:
        yield server


def deeds(database: Database, now: datetime) -> None:
    """What was done on the third of the five days: a stop, an exit and a flatten under REDUCE_ONLY."""
    opened = calendar.session_bounds(sessions_before(calendar.session_of(now), 2)[0])[0]
    at = [opened + timedelta(minutes=minutes) for minutes in (60, 180, 204, 210, 213, 222, 390)]
    states = (SafetyState.NORMAL, SafetyState.STOPPED, SafetyState.REDUCE_ONLY, SafetyState.NORMAL)
    account, run = AccountId("IBKR", "U1234567"), FlattenRun("f1", at[3], "Ann", RunState.DONE, "{}", at[5], "flat")
    sold = Fill("e1", 0, account, occ.parse("SPY   261218P00600000"), -2.0, 8.4, at[0], "o1", fees=1.3)
    told: list[tuple[datetime, Deed]] = [(at[0], sold), (at[3], run)]
    told.append((at[4], replace(sold, execution="e2", quantity=2.0, price=9.1, time=at[4])))
    for time, (old, new) in zip((at[1], at[2], at[6]), pairwise(states), strict=True):
        told.append((time, SafetyChange(time, old, Safety(new, time, Cause.PERSON, "Ann", "the market sells off"))))
    numbers = Numbers("d" * 16)
    for time, deed in sorted(told, key=lambda each: each[0]):
        with database.writing(durable=False) as connection:
            insert_proven(connection, deed_news(BOOK, [deed], numbers, time).rows)


def history(chromium: Browser, url: str, choice: str, theme: Theme = "light") -> Page:
    """The page with a range chosen, drawn."""
    page = look(chromium, url, theme)
    go(page, "History")
    page.get_by_text(choice, exact=True).first.click()
    settled(page)
    page.wait_for_selector(".js-plotly-plot .scatterlayer", timeout=4 * WAIT_MS)
    page.wait_for_function(SHOWN, arg=DAYS[choice], timeout=4 * WAIT_MS)
    at_rest(page, PARTS)
    return page


def settled(page: Page) -> None:
    page.wait_for_timeout(300)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=4 * WAIT_MS)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_week_shows_gap_breach_unknown_and_regime_in_words(
    chromium: Browser, filled: Server, opened: list[Page], shots: Path, theme: Theme
) -> None:
    page = history(chromium, filled.url, "1 week", theme)
    opened.append(page)
    charts = page.locator(".js-plotly-plot").first
    for word in ("BREACH", "UNKNOWN", "WATCH", "high_volatility", "no data", "look-ahead", "least allowed", "Drawdown",
                 "STOPPED", "REDUCE_ONLY", "Stress ladder"):  # fmt: skip
        expect(charts).to_contain_text(word)
    assert page.locator('[data-testid="stException"]').count() == 0
    expect(page.get_by_text(re.compile("[1-9] gaps? without data")).first).to_be_visible()
    picture(page, shots / f"history-{theme}.png", 20_000, 1500)


def test_a_year_fits_any_width(chromium: Browser, filled: Server, opened: list[Page]) -> None:
    page = history(chromium, filled.url, "1 year")
    opened.append(page)
    # the charts of the day stand until those of the year are drawn
    expect(page.locator(".js-plotly-plot").first).to_contain_text("from the broker's records", timeout=4 * WAIT_MS)
    for width in WIDTHS:
        assert_fits(page, width, ".js-plotly-plot")
        assert_apart(page)


def assert_apart(page: Page) -> None:
    """No title and no legend lies over another or over a chart, once the charts have followed the window."""
    at_rest(page, PARTS)
    until(lambda: page.evaluate(OVERLAPS) == [], lambda: f"{page.viewport_size}: {page.evaluate(OVERLAPS)}")


@pytest.mark.parametrize("width", [640, 390])
def test_a_narrow_window_moves_the_charts_sideways_and_nothing_lies_over_another(
    chromium: Browser, filled: Server, opened: list[Page], width: int
) -> None:
    page = history(chromium, filled.url, "1 week")
    opened.append(page)
    assert_fits(page, width)
    assert_apart(page)
    room, shown = page.evaluate(
        "[...[document.querySelector('.st-key-history_picture')].map(one => [one.scrollWidth, one.clientWidth])][0]"
    )
    assert room >= 940 > shown
    expect(page.get_by_text("the newest is on the right")).to_be_visible()
    last = page.get_by_role("radio", name="Dates").bounding_box()
    assert last is not None
    assert last["x"] + last["width"] <= width


def test_a_finger_on_a_chart_scrolls_the_page_and_the_chart(chromium: Browser, filled: Server) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{filled.url}/history")
    page.wait_for_selector(".js-plotly-plot .scatterlayer", timeout=4 * WAIT_MS)
    settled(page)
    page.evaluate("document.querySelector('.js-plotly-plot').scrollIntoView()")
    hand = context.new_cdp_session(page)
    for name, place, x, y in (("scrollTop", "[data-testid=stMain]", 0, -250), ("scrollLeft", PICTURE, -200, 0)):
        before = page.evaluate(f"document.querySelector('{place}').{name}")
        hand.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 300, "y": 500}]})
        for step in range(1, 11):
            point = {"x": 300 + x * step / 10, "y": 500 + y * step / 10}
            hand.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_function(f"document.querySelector('{place}').{name} > {before} + 50", timeout=WAIT_MS)
    context.close()


def test_the_page_is_used_and_read_without_a_mouse(chromium: Browser, filled: Server, opened: list[Page]) -> None:
    page = history(chromium, filled.url, "1 week")
    opened.append(page)
    expect(page.get_by_role("button", name="Look back", exact=True)).to_be_attached()
    expect(page.get_by_role("figure", name=re.compile("Breaches of .*Daily loss"))).to_be_visible()
    page.get_by_role("radio", name="1 week").focus()
    seen: list[str] = []
    while len(seen) < 60 and "Judge the past under this matrix" not in seen:
        page.keyboard.press("Tab")
        seen.append(str(page.evaluate(FOCUSED)))
    for name in (
        "Limits as", "Refresh", "day, Moment, exchange date", "Show Risk and Positions as they were", "Download",
        "Reset axes", "The charts as a table", "Judge the past under this matrix",
    ):  # fmt: skip
        assert any(name in one for one in seen), f"{name} is not reached: {seen}"
    for _ in seen:
        page.keyboard.press("Shift+Tab")
        if "The charts as a table" in str(page.evaluate(FOCUSED)):
            break
    page.keyboard.press("Enter")
    table = page.get_by_role("table", name=re.compile("Net liquidation, .*newest first"))
    expect(table).to_be_visible(timeout=WAIT_MS)
    expect(table.get_by_role("columnheader", name="Drawdown, deepest")).to_be_visible()
    expect(table.get_by_role("cell", name="BREACH").first).to_be_visible()


def test_a_click_takes_the_moment_and_leads_to_risk_as_it_was(
    chromium: Browser, filled: Server, opened: list[Page]
) -> None:
    page = history(chromium, filled.url, "1 week")
    opened.append(page)
    note_remounts(page, ".js-plotly-plot")
    x, y = page.evaluate(POINT)
    page.mouse.move(x, y)
    label = page.locator(".js-plotly-plot .hoverlayer .hovertext").first
    expect(label).to_contain_text("ET", timeout=WAIT_MS)
    shown = re.search(r"(\d\d:\d\d) ET", label.text_content() or "")
    assert shown is not None
    page.mouse.click(x, y)
    clock = page.get_by_test_id("stTimeInput").locator("input").first
    expect(clock).to_have_value(f"{shown[1]}:00", timeout=WAIT_MS)
    ticks(page, 2)
    assert page.evaluate("window.remounts") == {}
    page.get_by_role("button", name="Show Risk and Positions as they were").click()
    expect(page.get_by_text(f"{shown[1]}:00 ET").first).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("What needed you then").first).to_be_visible(timeout=WAIT_MS)
