"""The Scenarios page in a real Chromium: sliders answer at once on a thousand positions, and move nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server, serving
from tests.browser.pictures import picture
from tests.browser.stillness import note_remounts
from tests.browser.test_browser import WAIT_MS, WIDTHS, Theme, assert_fits, go, look

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

COMPILED_MS = 240_000
"""kernels are loaded first, and compiled where that failed"""
ANSWERS_MS = 15_000
"""what a slider must never take, however busy the machine; what it does take is printed"""
WATCH = """() => {
    const figures = document.querySelector('.pg-figures').closest('[data-testid="stElementContainer"]');
    const curves = document.querySelector('[data-testid="stVegaLiteChart"] svg');
    window.answers = []; window.pressed = null;
    document.addEventListener('keydown', () => {
        window.pressed = performance.now(); window.answers.push({});
    }, true);
    const note = name => () => {
        const last = window.answers[window.answers.length - 1];
        if (last && !(name in last)) last[name] = performance.now() - window.pressed;
    };
    new MutationObserver(note('figures')).observe(figures, {childList: true, subtree: true, characterData: true});
    new MutationObserver(note('curves')).observe(curves, {attributes: true, subtree: true, attributeFilter: ['d']});
}"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program as a person starts it for the second time."""
    with serving(tmp_path_factory.mktemp("demo")) as server:
        yield server


def scenarios(page: Page) -> Page:
    """The page, drawn."""
    go(page, "Scenarios")
    expect(page.get_by_text("What hurts most").first).to_be_visible(timeout=COMPILED_MS)
    expect(page.locator('[data-testid="stVegaLiteChart"] svg')).to_have_count(2, timeout=WAIT_MS)
    settled(page)
    return page


def settled(page: Page) -> None:
    page.wait_for_timeout(300)
    drawn(page)


def drawn(page: Page) -> None:
    """Return once what has begun to come has come."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT_MS)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_says_all_of_it_in_both_themes_and_fits_any_width(
    chromium: Browser, demo: Server, opened: list[Page], shots: Path, theme: Theme
) -> None:
    page = look(chromium, demo.url, theme)
    opened.append(page)
    scenarios(page)
    main = page.locator('[data-testid="stMain"]')
    for word in (
        "Model vs broker now",
        "Break-even at expiry",
        "Chance of a profit",
        "Gamma near expiry",
        "worst of the map",
    ):
        expect(main).to_contain_text(word, use_inner_text=True)
    for place, words in ((0, ("Today", "On the chosen date", "At expiry")), (1, ("Move of SPX", "+10 points"))):
        for word in words:
            expect(page.locator('[data-testid="stVegaLiteChart"] svg').nth(place)).to_contain_text(word)
    assert page.locator('[data-testid="stException"]').count() == 0
    picture(page, shots / f"scenarios-{theme}.png", 3000, 1500)
    for width in WIDTHS if theme == "light" else ():
        assert_fits(page, width, '[data-testid="stVegaLiteChart"]')


def test_a_named_scenario_takes_the_place_of_the_sliders(chromium: Browser, demo: Server, opened: list[Page]) -> None:
    page = scenarios(look(chromium, demo.url))
    opened.append(page)
    page.locator('[data-testid="stSelectbox"]').filter(has_text="Scenario").locator("input").click()
    page.get_by_role("option", name="19 Oct 1987").click()
    expect(page.locator(".pg-figures")).to_contain_text("P&L: 19 Oct 1987", timeout=WAIT_MS)


def test_sliders_answer_on_a_thousand_positions_and_nothing_else_is_drawn_anew(
    chromium: Browser, opened: list[Page], tmp_path: Path
) -> None:
    with serving(tmp_path / "home", ["tests.browser.thousand"]) as server:
        page = chromium.new_page(viewport={"width": 1280, "height": 1000})
        opened.append(page)
        page.goto(server.url)
        expect(page.locator(".pg-bar")).to_contain_text("thousand", timeout=COMPILED_MS)
        scenarios(page)
        charts = '[data-testid="stVegaLiteChart"] svg'
        note_remounts(page, charts, '[data-testid="stDataFrame"]', '[data-testid="stSlider"]')
        page.evaluate(WATCH)
        for name, presses in (("Price of SPX", 12), ("Date", 6)):
            thumb = page.locator('[data-testid="stSlider"]').filter(has_text=name).locator('input[type="range"]')
            thumb.focus()
            page.evaluate("window.answers = []")
            for _ in range(presses):
                before = page.locator(".pg-figures").text_content() or ""
                page.keyboard.press("ArrowLeft" if name != "Date" else "ArrowRight")
                expect(page.locator(".pg-figures")).not_to_have_text(before, timeout=ANSWERS_MS)
                drawn(page)
            answers = page.evaluate("window.answers")
            assert len(answers) == presses
            for what in ("figures", "curves"):
                took = sorted(answer[what] for answer in answers if what in answer)
                if took:
                    print(f"\n{name}, {what}: median {median(took):.0f} ms, worst {took[-1]:.0f} ms of {len(took)}")
        assert page.evaluate("window.remounts") == {}
