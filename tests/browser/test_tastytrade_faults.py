"""tastytrade alone in a real Chromium: a symbol that stops, a socket that falls mute, a broker that dies."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.brokers.tasty import Tasty
from tests.browser.conftest import ROOT, Server, free_port, serving
from tests.browser.monday import MONDAY, Hands
from tests.browser.tastytrade import (
    PAGES,
    QUIET,
    ROWS,
    SEEN_SECONDS,
    Watch,
    condition,
    grid,
    line,
    settings,
    snapshot_of,
    standing,
    stays_dark,
    streamed,
    until_seen,
)
from tests.browser.test_browser import WAIT_MS, look
from tests.browser.test_ibkr import visit, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@dataclass(frozen=True, slots=True)
class Alone:
    """The program on tastytrade only, and what moves its hours."""

    server: Server
    tasty: Tasty
    hands: Hands

    def pass_time(self, since: datetime, seconds: float, *, step: float, streams: bool = True) -> None:
        """Let time pass until it is `seconds` after `since`, quickly, but slowly enough for what `streams` to be heard
        in between.
        """
        end = since + timedelta(seconds=seconds)
        while (left := (end - self.hands()).total_seconds()) > 0:
            self.hands.ahead(min(left, step))
            heard = partial(self.heard_since, self.hands(), streams=streams)
            wait_for(heard, SEEN_SECONDS, "the next cycle")

    def heard_since(self, moment: datetime, *, streams: bool) -> bool:
        """Whether a cycle was judged after `moment`, with Greeks of some option from after it where they stream."""
        told = snapshot_of(self.server)
        passed = (datetime.fromisoformat(told["as_of"]) - moment).total_seconds()
        ages = [row["greeks_age_seconds"] for row in told["positions"] if row["greeks_age_seconds"] is not None]
        return passed > 0 and (not streams or min(ages, default=passed) < passed)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    home = tmp_path_factory.mktemp("alone")
    clock = Hands(home / "hands")
    clock.set(MONDAY)
    with standing(clock) as tasty:
        more = settings(tasty.url, clock.path) | {"GUARDRAILS_REFRESH_SECONDS": "0.2"}
        with serving(home, ["tests.browser.monday"], **more) as server:
            wait_for(lambda: streamed(server), 60, "Greeks of tastytrade")
            yield Alone(server, tasty, clock)


def test_a_symbol_that_stops_is_grey_with_its_age_while_others_stay_live(
    chromium: Browser, alone: Alone, opened: list[Page]
) -> None:
    page = look(chromium, alone.server.url, width=3600)  # what is out of sight is not in the table for screen readers
    opened.append(page)
    silenced = alone.hands()
    alone.tasty.fault("silent_symbols", symbols=["brkb_put"])
    alone.pass_time(silenced, 48, step=18.0)  # a stream is silent after 30 s

    def said() -> bool:
        """Repriced by its last volatility at the price the underlying has now, and since when."""
        quiet = next(row for row in snapshot_of(alone.server)["positions"] if row["label"] == QUIET)
        notes = [note for note in quiet["notes"] if note.startswith("quiet since 11:0")]
        return quiet["greeks_source"] == "repriced" and bool(notes)

    wait_for(said, SEEN_SECONDS, "the note of the quiet option")
    alone.pass_time(silenced, 305, step=18.0)
    told = re.compile(rf"{re.escape(QUIET)} \(tastytrade •••0001\): it has not ticked for [5-9] min")
    expect(page.locator(".pg-limit", has_text=told)).to_be_visible(timeout=WAIT_MS)
    visit(page, "Positions", PAGES["Positions"])
    assert line(grid(page, 1), QUIET)[2] == "? UNKNOWN"
    assert line(grid(page, 1), "SPXW 18Dec26 5700P")[2] == "✓ OK"
    assert unknown_rows(alone.server) == [QUIET]
    assert condition(alone.server) == "connected"
    alone.tasty.mend()
    wait_for(lambda: not unknown_rows(alone.server), SEEN_SECONDS, "the symbol")


def unknown_rows(server: Server) -> list[str]:
    return [row["label"] for row in snapshot_of(server)["positions"] if row["level"] == "UNKNOWN"]


def test_a_muted_socket_is_rebuilt_without_a_person(chromium: Browser, alone: Alone, opened: list[Page]) -> None:
    page = look(chromium, alone.server.url)
    opened.append(page)
    at = alone.tasty.all_sockets["dxlink"]
    with Watch(alone.server, ROWS["tastytrade"]) as watch:
        muted = alone.hands()
        alone.tasty.fault("ws_mute", kind="dxlink")
        alone.pass_time(muted, 31, step=9.0, streams=False)  # it is torn down after 45 s
        wait_for(lambda: condition(alone.server) == "quotes_silent", SEEN_SECONDS, "the condition")
        until_seen(page, silent=True)
        alone.pass_time(muted, 47, step=9.0, streams=False)
        wait_for(lambda: not alone.tasty.sockets["dxlink"], SEEN_SECONDS, "the end of the socket")
        alone.tasty.mend()
        wait_for(lambda: streamed(alone.server), SEEN_SECONDS, "the stream")
        until_seen(page, silent=False)
    assert watch.dark > 2
    assert watch.wrong == set()
    assert alone.tasty.all_sockets["dxlink"] > at
    assert alone.tasty.most_sockets["dxlink"] == 1


class Broker:
    """The stand-in as a process of its own, on a port that stays the same."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return once it listens."""
        command = [sys.executable, "-m", "tests.brokers.tasty", "--port", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("listening on")

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def broker() -> Iterator[Broker]:
    one = Broker()
    one.start()
    yield one
    one.kill()


def test_a_broker_that_dies_keeps_its_rows_marked_and_comes_back(
    chromium: Browser, broker: Broker, opened: list[Page], tmp_path: Path
) -> None:
    more = settings(f"http://127.0.0.1:{broker.port}") | {"GUARDRAILS_REFRESH_SECONDS": "0.5"}
    with serving(tmp_path, **more) as server:
        wait_for(lambda: condition(server) in ("connected", "market_closed"), 60, "the first book")
        page = look(chromium, server.url)
        opened.append(page)
        expect(page.locator(".pg-tile")).to_have_count(2, timeout=WAIT_MS)
        with Watch(server, ROWS["tastytrade"] + 1) as watch:
            broker.kill()
            grey = until_seen(page, silent=True)
            stays_dark(page)
            visit(page, "Connections", "Sources")
            expect(page.locator('[data-testid="stMain"]')).to_contain_text("tastytrade cannot be reached")
            assert server.get("/readyz")[0] == 503
            broker.start()
            back = until_seen(page, silent=False)
            wait_for(lambda: server.get("/readyz")[0] == 200, SEEN_SECONDS, "ready again")
    print(f"grey {grey:.1f} s after the kill, back {back:.1f} s after the start; {watch.dark} looks in the dark")
    assert watch.dark > 5
    assert watch.wrong == set()
