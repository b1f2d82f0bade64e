"""The watch is killed with the app open: the app takes over, no alert is lost or told anew, the monitor hears of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import serving
from tests.browser.test_browser import WAIT_MS, look
from tests.channels import Web
from tests.healthy import edited_text
from tests.monitor import PATH, Monitor
from tests.stored import ask, eventually
from tests.test_watch import HOOK, START_SECONDS, turns, watching

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PATIENCE_SECONDS = 60.0
"""for each step; a lease is taken within 20 s where nothing else runs"""
SMALL_VEGA, SMALL_GAMMA = {"regimes.*.limits.max_negative_vega": -1.0}, {"regimes.*.limits.max_gamma": 1.0}
"""limits that the demo's book breaks"""


def titles(web: Web) -> list[str]:
    """What a person read in Slack, first lines."""
    return [str(one.json["text"]).splitlines()[0] for one in list(web.requests)]


def about(web: Web, title: str) -> list[str]:
    """The messages that tell of the breach called `title`."""
    return [str(one.json) for one in list(web.requests) if title in str(one.json) and "RESOLVED" not in str(one.json)]


def life_of(data: Path, check: str) -> list[tuple[Any, ...]]:
    """What happened to the alert of `check` of the whole book, the oldest first: state, reason, when it fired."""
    query = "SELECT state, reason, fired FROM alerts WHERE check_name = ? AND subject = 'portfolio' ORDER BY time"
    return ask(data, query, check)


def since_death(monitor: Monitor, heard: int) -> list[str]:
    """What the monitor was told after the first `heard` pings, without a last one of the watch that was on its way."""
    told = turns(monitor, heard)
    return told[1:] if told[:1] == ["success"] else told


def test_the_app_takes_over_from_a_watch_that_is_killed(chromium: Browser, opened: list[Page], tmp_path: Path) -> None:
    data, matrix = tmp_path / "data", tmp_path / "risk_matrix.yaml"
    matrix.write_text(edited_text(SMALL_VEGA), encoding="utf-8")
    with Monitor() as monitor, Web() as slack:
        settings = {
            "GUARDRAILS_DATA_DIR": str(data),
            "GUARDRAILS_MATRIX": str(matrix),
            "HEARTBEAT_URL": monitor.address,
            "SLACK_WEBHOOK_URL": slack.url(HOOK),
        }
        with watching(tmp_path, **settings) as (watch, log):
            assert eventually(lambda: turns(monitor) == ["start", "success"], START_SECONDS), log.read_text()
            assert eventually(lambda: len(about(slack, "Short vega")) == 1, PATIENCE_SECONDS), titles(slack)
            with serving(tmp_path / "app", **settings) as server:
                page = look(chromium, server.url)
                opened.append(page)
                expect(page.locator(".pg-bar")).to_contain_text(f"process {watch.pid}", timeout=2 * WAIT_MS)
                assert eventually(lambda: server.get("/readyz")[0] == 200, PATIENCE_SECONDS), server.get("/readyz")
                assert json.loads(server.get("/readyz")[1])["alerts"]["channels"][1]["name"] == "slack"
                before, heard = life_of(data, "short_vega"), len(monitor.pings)
                assert len(before) == 1

                watch.kill()
                watch.wait(10)  # else it would look alive: a process is there until its parent has looked
                matrix.write_text(edited_text(SMALL_GAMMA, edited_text(SMALL_VEGA)), encoding="utf-8")
                expect(page.locator(".pg-bar")).not_to_contain_text("watched by", timeout=PATIENCE_SECONDS * 1000)
                assert eventually(lambda: json.loads(server.get("/readyz")[1])["watched_by"] == "")

                assert eventually(lambda: len(since_death(monitor, heard)) >= 3, PATIENCE_SECONDS), monitor.kinds
                assert since_death(monitor, heard)[:3] == ["fail", "start", "success"]
                (why, *_) = [body for kind, body in monitor.pings[heard:] if kind == "fail"]
                assert f"process {watch.pid} watched the book and ended" in why
                # what began in the gap is told; what was told before is open as it was and is not told again
                assert eventually(lambda: len(about(slack, "Gamma")) == 1, PATIENCE_SECONDS), titles(slack)
                assert len(about(slack, "Short vega")) == 1, titles(slack)
                after = life_of(data, "short_vega")
                assert after[: len(before)] == before
                assert "resolved" not in [state for state, _, _ in after]
                assert len({fired for _, _, fired in after}) == 1
                assert eventually(lambda: server.get("/readyz")[0] == 200, PATIENCE_SECONDS), server.get("/readyz")
                said = log.read_text() + server.log.read_text()
        assert PATH.strip("/") not in said
        assert HOOK not in said
