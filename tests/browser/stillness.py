"""What a test waits for on a page that ticks: that all of it is drawn, that nothing moves any more, or some ticks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress

from playwright.sync_api import Page, expect

PATIENCE_SECONDS = 30.0
"""for a machine that does much else"""
_COUNT = """watched => {
    window.remounts = {};
    window.remounted = performance.now();
    new MutationObserver(changes => {
        for (const change of changes) for (const node of change.addedNodes) {
            if (node.nodeType !== 1) continue;
            for (const what of watched) if (node.matches(what) || node.querySelector(what)) {
                window.remounts[what] = (window.remounts[what] || 0) + 1;
                window.remounted = performance.now();
            }
        }
    }).observe(document.body, {childList: true, subtree: true});
}"""

_RESTED = """places => {
    const boxes = [...document.querySelectorAll(places)].map(one => one.getBoundingClientRect());
    const now = boxes.map(box => [box.x, box.y, box.width, box.height].map(Math.round)).join(';');
    if (now !== window.rest.at) window.rest = {at: now, since: performance.now()};
    return performance.now() - window.rest.since;
}"""
"""for how long all of it has been where it is"""


def note_remounts(page: Page, *watched: str, still_seconds: float = 2.5) -> None:
    """Count in `window.remounts` from now on what is put into the page anew, by these selectors.

    Now is when nothing of it was for `still_seconds`, longer than a tick: what comes late is drawn for the first time.
    """
    page.evaluate(_COUNT, list(watched))
    until(lambda: page.evaluate("performance.now() - window.remounted") > 1000 * still_seconds,
          lambda: f"always drawn anew: {page.evaluate('window.remounts')}")  # fmt: skip
    page.evaluate("window.remounts = {}")


def ticks(page: Page, times: int) -> None:
    """Return once the clock of the bar has been drawn anew so many times."""
    clock = page.locator(".pg-bar .pg-clock").first
    for _ in range(times):
        expect(clock).not_to_have_text(clock.text_content() or "")


def at_rest(page: Page, places: str, still_seconds: float = 0.7) -> None:
    """Return once nothing that is found at `places` has moved for `still_seconds`."""
    page.evaluate("window.rest = {}")
    until(lambda: page.evaluate(_RESTED, places) > 1000 * still_seconds, lambda: f"{places} moves on and on")


def leave_dialog(page: Page) -> None:
    """Close the dialog by its key; one that is just drawn anew does not hear it."""
    dialog = page.get_by_role("dialog")
    for last in (False, False, False, True):
        page.keyboard.press("Escape")
        with nullcontext() if last else suppress(AssertionError):
            expect(dialog).to_have_count(0, timeout=5_000)
            return


def until(holds: Callable[[], object], said: Callable[[], str], seconds: float = PATIENCE_SECONDS) -> None:
    """Return once `holds`; fails with what is `said` when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, said()
        time.sleep(0.05)
