"""Orders in a real Chromium against the stand-ins of both brokers, each in a process of its own.

What a trader sees from the chain to the journal, a flatten that is killed in the middle, and the stop; and what the
brokers were really told meanwhile.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect  # noqa: A004  # that of the browser

from tests.brokers.tws_dates import resolve
from tests.browser.conftest import Server
from tests.browser.monday import MONDAY
from tests.browser.stillness import leave_dialog
from tests.browser.tastytrade import NUMBERS
from tests.browser.test_browser import WAIT_MS, WIDTHS, assert_fits
from tests.browser.test_ibkr import wait_for
from tests.browser.trading import (
    Desk,
    TicketFields,
    desk,
    enter,
    pick_from_chain,
    pictures,
    settled,
    ticket,
    until_ready,
    visit,
)

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser orders")]

EXPIRY = resolve("+30d friday", MONDAY.date())
VEGA_FLOOR = -600.0
"""dollars a point: the book stands near +920, and each condor takes about 100"""
ASKED = 20
ASK_MS = 40_000
"""a broker's answer, on a machine that is busy with a browser"""
SENT_SECONDS = 30
"""from the last click to the broker, on such a machine"""
READ_SECONDS = 60
"""until what was filled and the book after it are in the journal"""
WHY_NOT = re.compile("Nothing was sent: |The approval has run out")
FLAT = re.compile(r"Flat: fresh positions")
CONDOR = ((5500, "Put ask"), (5550, "Put bid"), (6400, "Call bid"), (6450, "Call ask"))


@pytest.fixture(scope="module")
def venues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Both stand-ins, and a matrix in which short vega is the limit that bites."""
    with desk(tmp_path_factory.mktemp("desk"), max_negative_vega=VEGA_FLOOR) as found:
        yield found


@pytest.fixture(scope="module")
def app(venues: Desk) -> Iterator[Server]:
    """The program on both, trading on paper."""
    with venues.program() as server:
        until_ready(server)
        yield server


def test_a_condor_from_the_chain_is_blocked_resized_sent_once_filled_and_journaled(
    chromium: Browser, venues: Desk, app: Server, opened: list[Page], shots: Path
) -> None:
    page = enter(chromium, app.url, "ticket")
    opened.append(page)
    ticket(page).account("IBKR •••4567")
    pick_from_chain(page, "SPX", f"{EXPIRY:%b %y}", "SPXW", CONDOR)
    ticket(page).fill("Why this trade (for the journal)", "premium above its average")
    ticket(page).packages(ASKED)
    page.get_by_role("button", name=re.compile("^Mid: credit")).click()
    ticket(page).check()
    verdict = page.locator(".pg-verdict")
    expect(verdict).to_contain_text(re.compile(rf"BLOCK.*Vega.*\d+ of {ASKED} would pass"), timeout=ASK_MS)
    pictures(page, shots, "impact-blocked")
    expect(page.get_by_role("button", name=re.compile("^Send:"))).to_be_disabled()
    most = ASKED
    for _ in range(3):
        most = take_what_would_pass(page, most)
        expect(verdict).to_contain_text(re.compile("WARN.*close to a limit.*Vega|ALLOW"))
        if "WARN" in verdict.inner_text():  # it stands near the line of 80 %, and the market moves
            ticket(page).fill("Why you send it against the warning", "the limit itself leaves room")
        if was_sent(page, venues.keys_at_ibkr, clicks=2):
            break
        ticket(page).check()
    (key,) = venues.keys_at_ibkr()
    working = page.locator('[class*="st-key-order_"]').filter(has_text="5550P")
    expect(working).to_contain_text("working", timeout=WAIT_MS)
    (new,) = [one for one in venues.ibkr.do("sent") if one["what"] == "new"]
    assert (new["ref"], new["quantity"]) == (key, float(most))
    assert len(venues.ibkr.do("desk", "row", key)["legs"]) == 4  # one BAG
    venues.ibkr.do("desk", "fill", key, 3)
    expect(working).to_contain_text(f"filled 3 of {most}", timeout=WAIT_MS)
    expect(working).to_contain_text("partly filled")
    pictures(page, shots, "ticket", always=True)  # it must live through a change of the theme
    venues.ibkr.do("desk", "fill", key)
    expect(page.get_by_text("No order of ours is working.")).to_be_visible(timeout=WAIT_MS)
    visit(page, "Journal")
    read_journal(page, f"sold {most} SPXW {EXPIRY.day}{EXPIRY:%b%y} 5550P")
    story = page.locator(".pg-sentences").filter(has_text="premium above its average")
    moved = re.compile(r"vega (−?)\$[\d,]+/pt → (−?)\$[\d,]+/pt")
    expect(story).to_contain_text(moved)
    told = moved.search(story.inner_text())
    assert told is not None
    assert (told[1], told[2]) == ("", "−")  # long before it, short after it
    pictures(page, shots, "journal")
    venues.assert_nothing_twice()


def take_what_would_pass(page: Page, asked: int) -> int:
    """Take the packages that are offered instead of `asked`, and again where the market has moved meanwhile."""
    approval = page.get_by_text("The approval holds for")
    for _ in range(4):
        offer = page.get_by_role("button", name=re.compile(rf"^Take \d+ of {asked}$"))
        expect(approval.or_(offer)).to_be_visible(timeout=ASK_MS)
        if approval.is_visible():
            break
        most = int(re.findall(r"\d+", offer.inner_text())[0])
        assert 0 < most < asked
        offer.click()
        expect(ticket(page).field("Packages")).to_have_value(str(most))
        ticket(page).check()
        asked = most
    expect(approval).to_be_visible(timeout=ASK_MS)
    return asked


def read_journal(page: Page, words: str) -> None:
    """Unfold the newest trade, once it tells of `words` and of the book after it."""
    newest = page.locator('[class*="st-key-story_"]').first
    end = time.monotonic() + READ_SECONDS
    while True:
        if newest.count() and not newest.locator("details[open]").count():
            newest.locator("summary").click()
        settled(page)
        text = newest.inner_text() if newest.count() else ""
        if words in text and "not known yet" not in text:
            return
        assert time.monotonic() < end, f"{words!r} and the book after it are not in {text!r}"
        page.get_by_role("button", name="Refresh").click()
        settled(page)


def checked_and_sent(form: TicketFields, came: Callable[[], object]) -> None:
    """Check and send as a person would: once; again only where the page says why nothing was sent."""
    for _ in range(3):
        form.check()
        expect(form.page.get_by_text("The approval holds for")).to_be_visible(timeout=ASK_MS)
        if was_sent(form.page, came):
            return
    pytest.fail(f"never at the broker: {form.page.locator('[data-testid=stMain]').inner_text()}")


def was_sent(page: Page, came: Callable[[], object], clicks: int = 1) -> bool:
    """Send what was approved; whether it came to its broker. Where it did not, the page says why nothing was sent."""
    with suppress(TimeoutError):  # the step is gone, for the reason that is said
        page.get_by_role("button", name=re.compile("^Send:")).click(timeout=WAIT_MS)
        page.get_by_role("button", name="Yes, send").click(timeout=WAIT_MS, click_count=clicks)
    with suppress(AssertionError):
        wait_for(came, SENT_SECONDS, "the order at the broker")
        return True
    expect(page.get_by_text(WHY_NOT).first).to_be_visible(timeout=WAIT_MS)
    return False


def test_a_spread_at_tastytrade_fills_leg_by_leg_and_a_fill_beats_its_cancel(
    chromium: Browser, venues: Desk, app: Server, opened: list[Page]
) -> None:
    page = enter(chromium, app.url, "ticket")
    opened.append(page)
    form = ticket(page)
    form.account("tastytrade •••0001")
    form.leg(1, "BUY", f"SPXW  {EXPIRY:%y%m%d}P05900000")
    form.leg(2, "SELL", f"SPXW  {EXPIRY:%y%m%d}P05850000")
    form.packages(2)
    page.get_by_role("button", name=re.compile("^Mid: debit")).click(timeout=ASK_MS)
    checked_and_sent(form, venues.keys_at_tasty)
    (key,) = venues.keys_at_tasty()
    card = page.locator('[class*="st-key-order_"]').filter(has_text="5900P")
    expect(card).to_contain_text("working", timeout=WAIT_MS)
    venues.tasty.do("fill", key, 1, leg=0)
    venues.tasty.do("fill", key, 1, leg=1)
    expect(card).to_contain_text("filled 1 of 2", timeout=WAIT_MS)
    expect(card).to_contain_text("partly filled")
    venues.tasty.do("fault", "fill_on_cancel", times=1)
    card.get_by_role("button", name="Cancel").click()
    page.locator(".st-key-blotter_over summary").click(timeout=WAIT_MS)
    over = page.locator(".st-key-blotter_over .pg-order").filter(has_text="5900P")
    expect(over).to_contain_text("filled 2 of 2", timeout=WAIT_MS)
    assert "cancelled" not in over.locator(".pg-pill").inner_text()
    venues.assert_nothing_twice()


def test_stopped_from_any_page_an_exit_is_refused_in_words_and_passes_in_reduce_only(
    chromium: Browser, venues: Desk, app: Server, opened: list[Page], shots: Path
) -> None:
    page = enter(chromium, app.url, "limits")
    opened.append(page)
    bar = page.locator(".pg-bar")
    set_safety(page, "STOPPED", "the feed looks wrong", shots)
    expect(bar).to_contain_text("STOPPED", timeout=WAIT_MS)
    visit(page, "Ticket")
    form = ticket(page)
    form.account("IBKR •••4321")
    form.leg(1, "SELL", "SPY")
    form.packages(10)
    page.get_by_role("button", name=re.compile("^Mid: credit")).click(timeout=ASK_MS)
    form.check()
    verdict = page.locator(".pg-verdict")
    expect(verdict).to_contain_text(re.compile("BLOCK.*STOPPED.*REDUCE_ONLY"), timeout=ASK_MS)
    expect(page.get_by_role("button", name=re.compile("^Send:"))).to_be_disabled()
    before = venues.keys_at_ibkr()
    set_safety(page, "REDUCE_ONLY", "only out of what is held")
    expect(bar).to_contain_text("REDUCE_ONLY", timeout=WAIT_MS)
    form.check()
    expect(page.get_by_text("The approval holds for")).to_be_visible(timeout=ASK_MS)
    expect(verdict).to_contain_text("An exit")
    page.get_by_role("button", name=re.compile("^Send:")).click()
    page.get_by_role("button", name="Yes, send").click()
    wait_for(lambda: len(venues.keys_at_ibkr()) == len(before) + 1, SENT_SECONDS, "the exit at IBKR")
    open_safety(page)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile("NORMAL is open again .*nobody can shorten that"))
    expect(dialog.get_by_role("button", name="NORMAL")).to_be_disabled()
    pictures(page, shots, "safety")
    venues.assert_nothing_twice()


def open_safety(page: Page) -> None:
    page.get_by_role("button", name="Stop …").click()
    expect(page.get_by_role("dialog")).to_contain_text("orders that rest at the brokers stay there", timeout=WAIT_MS)


def set_safety(page: Page, state: str, why: str, shots: Path | None = None) -> None:
    """Set a safety state from the page that is open, and close the dialog."""
    open_safety(page)
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill(why)
    dialog.get_by_label("Your name").fill("Ana")
    dialog.get_by_label("Your name").press("Enter")
    settled(page)
    dialog.get_by_role("button", name=state).click()
    expect(dialog.locator(".pg-standing")).to_contain_text(f"{state}:", timeout=WAIT_MS)
    expect(dialog.get_by_role("button", name=f"{state} (in force)")).to_be_visible(timeout=WAIT_MS)
    leave_dialog(page)


def test_ticket_and_journal_have_room_at_any_width_and_show_no_account_number(
    chromium: Browser, app: Server, opened: list[Page]
) -> None:
    page = enter(chromium, app.url, "ticket")
    opened.append(page)
    for name in ("Ticket", "Journal"):
        visit(page, name)
        for width in WIDTHS:
            assert_fits(page, width, ".pg-bar", ".pg-order", ".pg-standing")
        assert not NUMBERS.search(page.content()), name
    assert not NUMBERS.search(app.log.read_text())


def test_a_flatten_killed_in_the_middle_goes_on_by_itself_and_ends_flat(
    chromium: Browser, opened: list[Page], tmp_path: Path, shots: Path
) -> None:
    with desk(tmp_path) as venues:
        with venues.program() as server:
            until_ready(server)
            page = enter(chromium, server.url, "")
            opened.append(page)
            page.get_by_role("button", name="Flatten …").click()
            dialog = page.get_by_role("dialog")
            dialog.get_by_text("Everything", exact=True).click()
            dialog.get_by_role("button", name="Show the plan").click()
            phrase = dialog.get_by_label(re.compile("^Type CLOSE"))
            expect(phrase).to_be_visible(timeout=ASK_MS)
            pictures(page, shots, "flatten", always=True)  # as above, with a dialog
            words = re.search(r"CLOSE \d+ [A-Z]+", dialog.inner_text())
            assert words is not None
            planned = int(re.findall(r"\d+", words[0])[0])
            phrase.fill(words[0])
            dialog.get_by_label("Your name").fill("Ana")
            dialog.get_by_label("Your name").press("Enter")
            settled(page)
            confirmed = time.monotonic()
            dialog.get_by_role("button", name="Close them now").click()
            wait_for(lambda: sent(venues) > 0, SENT_SECONDS, "the first order")
            last = wait_until_quiet(venues)
            print(f"{words[0]}: {sent(venues)} orders of {planned} positions, the last {last - confirmed:.1f} s on")
            expect(dialog).to_contain_text("Running", timeout=WAIT_MS)
            pictures(page, shots, "flatten-running")
            server.process.kill()
            server.process.wait(10)
        at_death = venues.keys_at_ibkr() | venues.keys_at_tasty()
        for key in list(venues.keys_at_ibkr())[:2]:  # while nobody listens
            fill(venues, key)
        venues.ibkr.do("fault", "fill_orders")
        venues.tasty.do("fills_by_itself", "always")
        with venues.program() as server:
            until_ready(server)
            page = enter(chromium, server.url, "")
            opened.append(page)
            expect(page.locator(".pg-bar")).to_contain_text("FLATTEN RUNS", timeout=ASK_MS)
            runs = page.get_by_role("button", name="Flatten runs …")
            if not runs.count():  # unlike the bar it does not tick: it says what was known when the page was drawn
                page.reload()
            runs.click(timeout=ASK_MS)
            for key in at_death:
                fill(venues, key)
            dialog = page.get_by_role("dialog")
            expect(dialog).to_contain_text(FLAT, timeout=120_000)
            assert venues.ibkr.positions() == venues.tasty.positions() == {}
        assert len(at_death) < sent(venues)
        venues.assert_nothing_twice()


def sent(venues: Desk) -> int:
    """Orders that both brokers were sent."""
    return len(venues.keys_at_ibkr()) + len(venues.keys_at_tasty())


def wait_until_quiet(venues: Desk) -> float:
    """The moment, of the monotonic clock, after which no order came for two seconds."""
    count, since = 0, time.monotonic()
    while time.monotonic() - since < 2:
        if sent(venues) != count:
            count, since = sent(venues), time.monotonic()
        time.sleep(0.1)
    return since


def fill(venues: Desk, key: str) -> None:
    """Fill what is left of an order, wherever it rests."""
    if key in venues.keys_at_tasty():
        venues.tasty.do("fill", key)
    elif venues.ibkr.do("desk", "row", key)["status"] == "Submitted":
        venues.ibkr.do("desk", "fill", key)
