"""The Alerts page in a real Chromium: dialogs outlive the ticking list, a double click asks once, and a CRITICAL alert
is heard and seen in the browser that chose to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from guardrails.alerts.values import Delivery, DeliveryState, Event, Severity
from guardrails.store.alert_rows import alert_news
from guardrails.store.database import open_database
from guardrails.store.news import Numbers
from guardrails.store.proof import insert_proven
from tests import alerted
from tests.books import NOW
from tests.browser.alarmed import FILE
from tests.browser.conftest import Server, serving
from tests.browser.pictures import picture
from tests.browser.stillness import leave_dialog, note_remounts, ticks, until
from tests.browser.test_browser import WAIT_MS, WIDTHS, Theme, assert_fits, go, look
from tests.channels import Web
from tests.past import BOOK

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

CHANNELS = [
    {"name": "log", "kind": "log", "works": True, "sent": 12},
    {"name": "slack", "kind": "Slack", "works": None},
    {
        "name": "phone",
        "kind": "ntfy",
        "works": False,
        "last_detail": "503 Service Unavailable",
        "failures": 4,
        "dead": 1,
    },
]
CUSHION = {
    "check": "margin_cushion", "subject": "account:IBKR •••4567", "severity": "CRITICAL",
    "message": "Margin cushion, IBKR •••4567: 3 %, at least 20 % of its net liquidation (overnight).",
    "action": "Close 1 of SPXW 18Dec 5700/5600 (frees about $9,800).",
}  # fmt: skip
VEGA = {
    "check": "short_vega",
    "subject": "portfolio",
    "severity": "BREACH",
    "message": "Short vega −$4,310/pt, limit −$3,500.",
}
GREEKS = {
    "check": "greeks_coverage", "subject": "portfolio", "severity": "UNKNOWN", "message": "2 positions have no Greeks.",
    "told": 0, "held": "suppressed by its cause", "held_by": "source_state source:ibkr",
}  # fmt: skip
FLAPPING = {
    "check": "position_contracts", "subject": "position:IBKR •••4567 option:SPY   261118P00600000", "severity": "WATCH",
    "message": "12 contracts of SPY 18Nov26 600P <script>alert(1)</script>, limit 10.", "flaps": 7,
}  # fmt: skip
STANDINS = """
window.notes = []; window.tones = 0; window.questions = 0;
window.Notification = class {
    static permission = 'default';
    static async requestPermission() { window.questions += 1; return (this.permission = 'granted'); }
    constructor(title, options) { window.notes.push(title + ' | ' + options.body); }
};
window.AudioContext = class {
    state = 'running'; currentTime = 0; destination = {};
    resume() { return Promise.resolve(); }
    createGain() { return {gain: {setValueAtTime() {}, exponentialRampToValueAtTime() {}}, connect() {}}; }
    createOscillator() {
        return {frequency: {}, connect: to => to, start() { window.tones += 1; }, stop() {}};
    }
};
"""
"""what the browser would show and sound, written down"""


@dataclass(frozen=True, slots=True)
class Alarmed:
    """A running program and the file that says what is open."""

    server: Server
    file: Path

    def say(self, *alerts: dict[str, Any]) -> None:
        """From now on these are open."""
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps({"alerts": alerts, "channels": CHANNELS}))
        draft.replace(self.file)


@pytest.fixture(scope="module")
def alarmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alarmed]:
    home = tmp_path_factory.mktemp("alarmed")
    (home / "data").mkdir()
    told_before(home / "data")
    file = home / "alerts.json"
    file.write_text(json.dumps({"alerts": [], "channels": CHANNELS}))
    with serving(home, ["tests.browser.alarmed"], **{FILE: str(file)}) as server:
        yield Alarmed(server, file)


def told_before(folder: Path) -> None:
    """A day of alerts, and a message that one channel never took."""
    now = datetime.now(UTC)
    start = (now - NOW).total_seconds() - 80_000
    lives = {
        "short_vega": Severity.BREACH, "gamma": Severity.WATCH, "margin_cushion": Severity.CRITICAL,
        "source_state": Severity.UNKNOWN, "beta_delta": Severity.BREACH,
    }  # fmt: skip
    events: list[Event] = []
    for nth, (check, severity) in enumerate(lives.items()):
        began = start + 9_000 * nth
        steps = [alerted.fired(check, began), alerted.resolved(check, began + 7_000, began)]
        if nth % 2 == 0:
            steps.insert(1, alerted.acknowledged(check, began + 2_400, began))
        events += [replace(one, alert=replace(one.alert, severity=severity)) for one in steps]
    slack, phone = alerted.delivery("m1", "slack", start), alerted.delivery("m1", "phone", start)
    late = now - timedelta(hours=20)
    sent: list[Delivery] = [
        slack, replace(slack, state=DeliveryState.SENT, attempts=1, detail="ok"),
        phone, replace(phone, state=DeliveryState.DEAD, attempts=9, detail="410 gone", changed=late),
    ]  # fmt: skip
    database = open_database(folder, lambda: now)
    with database.writing(durable=False) as connection:
        insert_proven(connection, alert_news(BOOK, events, sent, Numbers("0" * 16)).rows)
    database.close()


def alerts_page(page: Page) -> Page:
    """The page, drawn."""
    go(page, "Alerts")
    expect(page.get_by_text("What was told", exact=True)).to_be_visible(timeout=WAIT_MS)
    settled(page)
    return page


def settled(page: Page) -> None:
    page.wait_for_timeout(300)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT_MS)


def row_of(page: Page, title: str) -> Any:
    """The box of the alert with this title."""
    return page.locator('[class*="st-key-alert_"]').filter(has=page.get_by_text(title, exact=True)).first


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_says_all_of_it_in_both_themes_and_fits_any_width(
    chromium: Browser, alarmed: Alarmed, opened: list[Page], theme: Theme
) -> None:
    alarmed.say(CUSHION, VEGA, GREEKS, FLAPPING)
    page = alerts_page(look(chromium, alarmed.server.url, theme))
    opened.append(page)
    main = page.locator('[data-testid="stMain"]')
    for word in (
        "CRITICAL", "Monitoring since", "dead-man", "nobody has it", "came and went 7 times", "<script>",
        "suppressed by its cause: Sources, ibkr", "does not work", "Given up: 1 message", "410 gone",
        "Told today 3 of 20",
    ):  # fmt: skip
        expect(main).to_contain_text(word, use_inner_text=True)
    page.wait_for_selector(".js-plotly-plot .bars", timeout=WAIT_MS)
    expect(page.locator(".js-plotly-plot")).to_contain_text("somebody has it")
    expect(page.locator(".pg-bar .pg-alarm")).to_contain_text("phone does not work")
    assert page.locator('[data-testid="stException"]').count() == 0
    if theme == "light":
        assert_nothing_is_cut_off(page)


def test_labels_of_the_timeline_can_be_read_after_a_switch_of_the_theme(
    chromium: Browser, alarmed: Alarmed, opened: list[Page]
) -> None:
    alarmed.say(CUSHION)
    page = alerts_page(look(chromium, alarmed.server.url, "light"))
    opened.append(page)
    page.wait_for_selector(".js-plotly-plot .bars", timeout=WAIT_MS)
    page.emulate_media(color_scheme="dark")
    bright = """() => [...document.querySelectorAll('.xtick text, .ytick text, .legendtext')]
        .every(one => Math.min(...getComputedStyle(one).fill.match(/[0-9]+/g).slice(0, 3).map(Number)) > 120)"""
    page.wait_for_function(bright, timeout=WAIT_MS)


def assert_nothing_is_cut_off(page: Page) -> None:
    for width in WIDTHS:
        assert_fits(page, width, ".pg-bar", ".pg-alert", ".pg-standing", '[class*="st-key-do_"]')
        tests = page.get_by_role("button", name="Send test")
        expect(tests).to_have_count(len(CHANNELS))
        high = "all => all.map(it => it.scrollHeight - it.clientHeight).filter(over => over > 1)"
        until(lambda: tests.evaluate_all(high) == [], lambda: f"words of a button are cut off at {width} px")  # noqa: B023  # called at once


def test_a_dialog_outlives_the_ticking_list_and_a_double_click_asks_once(
    chromium: Browser, alarmed: Alarmed, opened: list[Page]
) -> None:
    one = {**VEGA, "check": "gamma"}
    alarmed.say(one)
    page = alerts_page(look(chromium, alarmed.server.url))
    opened.append(page)
    row = row_of(page, "Gamma for a 1 % move")
    row.get_by_role("button", name="Silence …").click()
    dialog = page.get_by_role("dialog")
    reason = dialog.get_by_label("Reason")
    reason.press_sequentially("bad quo")
    alarmed.say(CUSHION, one)  # the list behind moves
    expect(row_of(page, "Margin cushion, IBKR •••4567")).to_be_visible(timeout=WAIT_MS)
    ticks(page, 2)
    expect(reason).to_have_value("bad quo")
    reason.press_sequentially("te")
    dialog.get_by_text("1 h", exact=True).click()
    dialog.get_by_label("Your name").fill("anna")
    dialog.get_by_role("button", name="Silence it").dblclick()
    expect(dialog).to_have_count(0, timeout=WAIT_MS)
    expect(row).to_contain_text("by anna (bad quote)", timeout=WAIT_MS)
    expect(page.locator(".pg-answers div").filter(has_text="Silence: Gamma")).to_have_count(1)
    row.get_by_role("button", name="End the silence").dblclick()
    expect(row).to_contain_text("nobody has it", timeout=WAIT_MS)
    expect(page.locator(".pg-answers div").filter(has_text="End the silence")).to_have_count(1)
    row.get_by_role("button", name="I have it").click()
    dialog.get_by_label("Note (may stay empty)").fill("rolling it")
    expect(dialog.get_by_label("Your name")).to_have_value("anna")
    dialog.get_by_role("button", name="I have it").click()
    expect(row).to_contain_text("anna has it: “rolling it”", timeout=WAIT_MS)


PALE = """dialog => {
    const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
    const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
        .reduce((sum, v, nth) => sum + v * [.2126, .7152, .0722][nth], 0);
    const behind = one => { const back = numbers(getComputedStyle(one).backgroundColor);
        return back.length === 4 && back[3] < 1 && one.parentElement ? behind(one.parentElement) : back; };
    const found = [];
    for (const one of dialog.querySelectorAll('*')) {
        const words = [...one.childNodes].filter(it => it.nodeType === 3).map(it => it.textContent.trim()).join('');
        if (!words || !one.checkVisibility()) continue;
        const [a, b] = [light(numbers(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
        if ((a + .05) / (b + .05) < 4.5) found.push(`${words} ${((a + .05) / (b + .05)).toFixed(2)}`);
    }
    return found;
}"""
"""texts whose contrast is less than WCAG 2.2 asks for (1.4.3: 4.5 to 1)"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_of_a_dialog_can_be_read(chromium: Browser, alarmed: Alarmed, opened: list[Page], theme: Theme) -> None:
    alarmed.say({**VEGA, "check": "theta_cap"})
    page = alerts_page(look(chromium, alarmed.server.url, theme))
    opened.append(page)
    row_of(page, "Theta, cap").get_by_role("button", name="Silence …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Silence it")).to_be_visible(timeout=WAIT_MS)
    settled(page)
    until(lambda: dialog.evaluate(PALE) == [], lambda: f"pale: {dialog.evaluate(PALE)}")  # colours may be fading in


def test_a_dialog_can_be_left_and_opened_again(chromium: Browser, alarmed: Alarmed, opened: list[Page]) -> None:
    alarmed.say({**VEGA, "check": "theta_cap"})
    page = alerts_page(look(chromium, alarmed.server.url))
    opened.append(page)
    dialog = page.get_by_role("dialog")
    for _ in range(2):
        row_of(page, "Theta, cap").get_by_role("button", name="I acted").click()
        expect(dialog).to_be_visible(timeout=WAIT_MS)
        leave_dialog(page)
        ticks(page, 2)
        expect(dialog).to_have_count(0)


def test_a_channel_answers_its_test(chromium: Browser, alarmed: Alarmed, opened: list[Page]) -> None:
    page = alerts_page(look(chromium, alarmed.server.url))
    opened.append(page)
    page.get_by_role("button", name="Send test").nth(1).click()
    expect(page.get_by_text("Test: done: slack took it in 0.4 s.")).to_be_visible(timeout=WAIT_MS)


def test_nothing_is_drawn_anew_while_data_ticks(chromium: Browser, alarmed: Alarmed, opened: list[Page]) -> None:
    alarmed.say(CUSHION, VEGA)
    page = alerts_page(look(chromium, alarmed.server.url))
    opened.append(page)
    page.wait_for_selector(".js-plotly-plot", timeout=WAIT_MS)
    note_remounts(page, ".js-plotly-plot", '[data-testid="stDataFrame"]', '[data-testid="stButton"]', ".stHtml")
    ticks(page, 3)
    assert page.evaluate("window.remounts") == {}


def test_a_critical_alert_is_heard_and_shown_once_a_minute_until_somebody_has_it(
    chromium: Browser, alarmed: Alarmed, opened: list[Page]
) -> None:
    first, second = {**CUSHION, "subject": "account:tastytrade •••0001"}, {**CUSHION, "check": "margin_utilisation"}
    alarmed.say(VEGA)
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    opened.append(page)
    page.clock.install()
    page.add_init_script(STANDINS)
    page.goto(alarmed.server.url)
    expect(page.locator(".pg-bar")).to_contain_text("read-only", timeout=WAIT_MS)
    alerts_page(page)
    assert "(!)" not in page.title()
    ticks(page, 1)
    assert page.evaluate("[questions, notes.length, tones]") == [0, 0, 0]  # nothing is asked before a click
    choice = page.get_by_label("Sound and notification in this browser")
    choice.check()
    expect(page.get_by_text("On. Sound and notification.")).to_be_visible(timeout=WAIT_MS)
    alarmed.say(VEGA, first)
    page.wait_for_function("notes.length === 1", timeout=WAIT_MS)
    assert page.evaluate("[questions, tones]") == [1, 3]  # three tones are one sound
    assert page.evaluate("notes[0]").startswith("DEMO: CRITICAL: Margin cushion, tastytrade •••0001 | Margin cushion")
    page.wait_for_function("document.title.startsWith('(!) ')", timeout=WAIT_MS)
    go(page, "Limits")
    expect(page.get_by_text("In force: ").first).to_be_visible(timeout=WAIT_MS)
    page.clock.run_for(6_000)  # longer than it takes to look again
    ticks(page, 1)
    assert page.evaluate("[notes.length, tones]") == [1, 3]
    expect(page).to_have_title("(!) Portfolio Guardrails")
    alarmed.say(VEGA, first, second)
    page.wait_for_function("notes.length === 2", timeout=WAIT_MS)
    page.evaluate("""() => {
        const told = JSON.parse(localStorage.getItem('guardrails-told'));
        for (const id in told) told[id] -= 60000;
        localStorage.setItem('guardrails-told', JSON.stringify(told));
    }""")
    page.wait_for_function("notes.length === 4", timeout=WAIT_MS)  # a minute later both are told again
    alarmed.say(VEGA, second)
    alerts_page(page)
    row_of(page, "Margin used, IBKR •••4567").get_by_role("button", name="I have it").click()
    page.get_by_role("dialog").get_by_role("button", name="I have it").click()
    page.wait_for_function("!document.title.startsWith('(!)')", timeout=WAIT_MS)
    page.evaluate("localStorage.setItem('guardrails-told', '{}')")
    page.clock.run_for(6_000)
    ticks(page, 1)
    assert page.evaluate("notes.length") == 4
    page.get_by_label("Sound and notification in this browser").uncheck()
    alarmed.say(VEGA, {**CUSHION, "check": "drawdown"})
    page.wait_for_function("document.title.startsWith('(!) ')", timeout=WAIT_MS)
    assert page.evaluate("notes.length") == 4


def test_a_program_that_died_is_heard_too(chromium: Browser, opened: list[Page], tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    file.write_text(json.dumps({"alerts": [], "channels": CHANNELS}))
    with serving(tmp_path / "home", ["tests.browser.alarmed"], **{FILE: str(file)}) as server:
        page = chromium.new_page()
        opened.append(page)
        page.clock.install()
        page.add_init_script(STANDINS)
        page.goto(server.url)
        expect(page.locator(".pg-bar")).to_contain_text("read-only", timeout=WAIT_MS)
        alerts_page(page).get_by_label("Sound and notification in this browser").check()
        server.process.kill()
        server.process.wait(10)
        page.clock.run_for(125_000)
        page.wait_for_function("notes.length === 1", timeout=WAIT_MS)
        assert page.evaluate("notes[0]").startswith("No word from Portfolio Guardrails | ")
        assert page.title().startswith("(?) ")


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Web]]:
    """The program in the demo's crash, and the channel that it tells."""
    with Web() as slack:
        more = {"GUARDRAILS_DEMO_SCENARIO": "crash", "SLACK_WEBHOOK_URL": slack.url("/services/hook")}
        with serving(tmp_path_factory.mktemp("crash"), GUARDRAILS_REFRESH_SECONDS="1", **more) as server:
            yield server, slack


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_crash_of_the_demo_reaches_a_person(
    chromium: Browser, crashed: tuple[Server, Web], opened: list[Page], shots: Path, theme: Theme
) -> None:
    server, slack = crashed
    page = look(chromium, server.url, theme)
    opened.append(page)
    page.goto(f"{server.url}/alerts")
    told = page.locator(".pg-alert").filter(has_text="CRITICAL").filter(has_text="told")
    expect(told.first).to_be_visible(timeout=2 * WAIT_MS)
    critical = [said for one in list(slack.requests) if "DEMO: CRITICAL" in (said := one.body.decode())]
    assert "http://127.0.0.1:8501/alerts" in critical[0]
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=WAIT_MS)
    picture(page, shots / f"alerts-{theme}.png", 2400)
