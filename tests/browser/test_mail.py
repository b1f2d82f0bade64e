"""The mail as a mail program draws it, in a real Chromium: in the light, in the dark, on a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from adapters.channels.mail_html import html_of
from guardrails.alerts.message import message_of
from guardrails.alerts.values import Message, Reason, Severity
from tests.browser.test_browser import Theme
from tests.channels import LINK, NOW, notice

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

GROUND = "e => getComputedStyle(e).backgroundColor"


def everything() -> Message:
    """One alert of every severity, and one that is over."""
    group = [
        notice(
            Reason.ESCALATED, 900.0, check="short_option_expiry", severity=Severity.CRITICAL, unit="trading days",
            subject="position:IBKR •••4567 index_option:SPXW  261118P05700000", value=0.0, limit=2.0,
            message="Short 2 SPXW 18Nov26 5700P (IBKR •••4567) expires today, 29 min to its last trade, in the money.",
            next_action="Close or roll SPXW 18Nov26 5700P before its last trade.",
        ),
        notice(),
        notice(
            check="greeks_coverage", subject="portfolio", severity=Severity.UNKNOWN, value=0.94, limit=1.0,
            message="2 of 33 options have no Greeks: TSLA1, /GCV5 OGV5 2755C.", data_age_seconds=22.0,
            next_action="Look at Connections: which source is silent.",
        ),
        notice(
            check="theta_vega_ratio", subject="portfolio", severity=Severity.WATCH, value=0.87, limit=0.5, unit="ratio",
            message="Theta/vega ratio: 0.87, green 0.25 to 0.40 (house).", next_action="",
        ),
        notice(Reason.RESOLVED, 1080.0, check="daily_loss", message="Today, IBKR •••4567: −3.2 %, limit −3.0 %."),
    ]  # fmt: skip
    return message_of(group, "k1", NOW, LINK, demo=False)


def opened_mail(chromium: Browser, message: Message, theme: Theme, width: int) -> Page:
    page = chromium.new_page(viewport={"width": width, "height": 700}, color_scheme=theme)
    page.set_content(html_of(message))
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_mail_shows_word_sign_and_colour(chromium: Browser, opened: list[Page], shots: Path, theme: Theme) -> None:
    page = opened_mail(chromium, everything(), theme, 760)
    opened.append(page)
    said = page.inner_text("body")
    for words in ("[!!] CRITICAL", "[!] BREACH", "[?] UNKNOWN", "[~] WATCH", "[-] RESOLVED (was BREACH)"):
        assert words in said
    assert "Expiry of shorts, IBKR •••4567 SPXW 18Nov26 5700P" in said
    ground = page.locator("body").evaluate(GROUND)
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 27, 34)"}[theme]
    grounds = {
        page.locator(f".pg-{name}").first.evaluate(GROUND) for name in ("critical", "breach", "unknown", "watch")
    }
    assert len(grounds) == 4
    page.screenshot(path=shots / f"mail-{theme}.png", full_page=True)


def test_the_mail_fits_a_telephone_and_loads_nothing(chromium: Browser, opened: list[Page]) -> None:
    page = chromium.new_page(viewport={"width": 360, "height": 700})
    opened.append(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(html_of(everything()))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert asked == []
    assert page.get_attribute("a", "href") == "http://127.0.0.1:8501/alerts"
