"""Pictures of pages for the documents, `UPDATE_SCREENSHOTS=1`; otherwise none is taken, for each takes seconds."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Page

WANTED = os.environ.get("UPDATE_SCREENSHOTS") == "1"


def picture(page: Page, path: Path, tallest: int = 2000, after_ms: int = 500) -> None:
    """The whole page, as far as it fits on a screen of `tallest`, once it has followed."""
    was = page.viewport_size
    if not WANTED or was is None:
        return
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": was["width"], "height": min(int(height) + 40, tallest)})
    page.wait_for_timeout(after_ms)
    page.screenshot(path=path)
    page.set_viewport_size(was)
