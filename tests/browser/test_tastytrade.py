"""tastytrade and IBKR as one book in a real Chromium: what a trader sees, and that no fault of the stream looks calm.

The program runs by a clock that says Monday, 11:00 in New York, because at night a silent stream is no fault. A thread
reads /api/snapshot ten times a second meanwhile: a light that is green between two looks at the page is a lie as well.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.brokers.tasty import Tasty
from tests.brokers.tws import Tws
from tests.brokers.tws_book import Book
from tests.browser.conftest import Server, serving
from tests.browser.monday import MONDAY, Hands
from tests.browser.pictures import picture
from tests.browser.stillness import until
from tests.browser.tastytrade import (
    NUMBERS,
    PAGES,
    ROWS,
    SEEN_SECONDS,
    SHOWN,
    Watch,
    calm_of,
    condition,
    grid,
    line,
    options_of,
    settings,
    snapshot_of,
    standing,
    stays_dark,
    streamed,
    until_seen,
)
from tests.browser.test_browser import WAIT_MS, Theme, assert_fits, look
from tests.browser.test_ibkr import visit, wait_for
from tests.ibkr import MIXED

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Hands:
    """Monday, 11:00 in New York."""
    clock = Hands(tmp_path_factory.mktemp("clock") / "hands")
    clock.set(MONDAY)
    return clock


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
            wait_for(lambda: streamed(server), 60, "Greeks of tastytrade")
            wait_for(lambda: {row["greeks_source"] for row in options_of(server)} == {"tastytrade"}, 60, "all of them")
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
        for source in ("ibkr live", "tastytrade live"):
            expect(page.locator(".pg-bar")).to_contain_text(source, use_inner_text=True)
        if name == "Positions":
            page.wait_for_selector(".js-plotly-plot .bars", timeout=WAIT_MS)
        assert page.locator('[data-testid="stException"]').count() == 0, name
        assert not NUMBERS.search(page.content()), name
        assert_fits(page, 1280)
        if name in SHOWN[theme]:
            picture(page, shots / f"{name.lower()}-both-{theme}.png")
    assert errors == []
    for path in ("/api/snapshot", "/readyz", "/metrics"):
        assert not NUMBERS.search(both.get(path)[1]), path
    assert not NUMBERS.search(both.log.read_text())


def test_options_at_ibkr_show_the_greeks_of_tastytrade_and_their_age(
    chromium: Browser, both: Server, opened: list[Page]
) -> None:
    wait_for(lambda: {row["greeks_source"] for row in options_of(both)} == {"tastytrade"}, 60, "all of them")
    page = look(chromium, both.url, width=3600)
    opened.append(page)
    visit(page, "Positions", PAGES["Positions"])
    legs = grid(page, 1)
    for account, label, delta in (
        ("IBKR •••4567", "AAPL 18Dec26 240C", "0.30043"),  # IBKR itself says 0.29585
        ("tastytrade •••0001", "AAPL 18Dec26 250C", "0.13292"),
    ):
        has_its_greeks = partial(of_tastytrade_now, legs, label, account, delta)
        until(has_its_greeks, lambda: f"{line(legs, label, account)}")  # noqa: B023  # called at once
    what = ["fair", "31", "44", "1.18", "0.71"]
    until(lambda: [line(grid(page, 2), "AAPL")[n] for n in (1, 6, 7, 8, 9)] == what,
          lambda: f"{line(grid(page, 2), 'AAPL')}")  # fmt: skip
    cells = line(grid(page, 2), "AAPL")
    # 26.2 / 22.8 - 1 = 14.91 %, rich from 10 + VIX, which is 17.2 at IBKR and 17.3 at tastytrade
    assert [float(cell) for cell in cells[2:6]] == pytest.approx([14.91, 27.25, 26.2, 22.8], abs=0.051)


def of_tastytrade_now(legs: Locator, label: str, account: str, delta: str) -> bool:
    """Whether the leg shows this delta, with tastytrade and its age in seconds beside it."""
    cells = line(legs, label, account)
    return delta in cells and any(re.fullmatch(r"tastytrade \d+ s", cell) for cell in cells)


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


def quantities_of(server: Server) -> list[float]:
    return [row["quantity"] for row in snapshot_of(server)["positions"]]


def test_a_killed_token_goes_unnoticed(both: Server, tasty: Tasty) -> None:
    logins = tasty.tokens
    with Watch(both, sum(ROWS.values())) as watch:
        tasty.fault("token_killed", times=1)
        tasty.set_position("5WT00001", "NBTA", 101)  # has the accounts read at once
        wait_for(lambda: tasty.tokens > logins, SEEN_SECONDS, "a new token")
        wait_for(
            lambda: any(row["quantity"] == 101 for row in snapshot_of(both)["positions"]), SEEN_SECONDS, "the change"
        )
        wait_for(lambda: watch.live > 20, SEEN_SECONDS, "two seconds more")
        tasty.set_position("5WT00001", "NBTA", 100)
    assert (watch.dark, watch.wrong) == (0, set())
    assert tasty.tokens == logins + 1
