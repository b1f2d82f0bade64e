"""The stand-ins of both brokers in processes of their own, which take orders by the clock of the tests, and the program
on both: `python -m tests.browser.trading tws` or `tasty`, and how a test drives them from outside."""

from __future__ import annotations

import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect  # noqa: A004  # that of the browser

from guardrails.memory import Memory, account_key, write_memory
from guardrails.portfolio import AccountHistory
from guardrails.recording import STATE_FILE
from guardrails.values import AccountId, Observed
from tests.brokers import tws_control, tws_strikes
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_chains import add_strikes
from tests.brokers.tws import Tws
from tests.brokers.tws_book import Book
from tests.brokers.tws_control import Control
from tests.brokers.tws_dates import resolve
from tests.browser.conftest import ROOT, Server, serving
from tests.browser.monday import FILE, MONDAY, Hands
from tests.browser.pictures import WANTED
from tests.browser.stillness import at_rest
from tests.browser.tastytrade import settings
from tests.browser.test_browser import WAIT_MS, Theme, go
from tests.browser.test_ibkr import wait_for
from tests.ibkr import MIXED
from tests.tasty import opened

PROGRAM = ("tests.browser.monday",)
VEGA_LIMIT = "max_negative_vega"
LOOSE: dict[str, float | None] = {
    "max_beta_delta_pct_nlv": 5.0, "max_negative_vega_pct_nlv": None, "max_gamma_pct_nlv": 5.0,
    "max_single_underlying_vega_pct": 1.0, "max_single_underlying_delta_pct": 1.0,
    "max_single_underlying_margin_pct": 1.0, "max_margin_utilisation": 1.0, "min_cushion": 0.02, "watch_cushion": 0.03,
}  # fmt: skip
"""limits that are none of this story's business, wide open in every regime"""
_KINDS = {
    "Equity": "equity", "Equity Option": "derivative", "Future Option": "futures-derivative",
    "Cryptocurrency": "cryptocurrency",
}  # fmt: skip
"""what a balance of tastytrade values, by instrument type"""
_TASTY_CALLS = ("fault", "mend", "fill", "reject", "confirm_cancel", "fills_by_itself", "order", "set_position")


# --- the processes ---


def main() -> None:
    """Listen until the process is ended; prints `listening on PORT controlled on PORT` once it does."""
    clock = Hands(Path(os.environ[FILE]))
    if sys.argv[1] == "tws":
        _tws(clock)
    else:
        _tasty(clock)


class _Emptied(Tws):
    """A stand-in whose figures say that an account holds nothing, once that is so: else an empty list is doubted."""

    def set_position(self, account: str, con_id: int, quantity: float, avg_cost: float | None = None) -> None:
        super().set_position(account, con_id, quantity, avg_cost)
        if all(owner != account for owner, _ in self.book.positions):
            for tag in ("GrossPositionValue", "MaintMarginReq"):
                self.set_value(account, tag, "0.00")


class _Weighed(Tasty):
    """A stand-in whose balance is that of what an account holds after every trade: else a shorter list is doubted."""

    def notify(self, kind: str, account: str, told: dict[str, Any]) -> None:
        if kind == "CurrentPosition":
            self.weigh(account)
        super().notify(kind, account, told)

    def weigh(self, account: str) -> None:
        """Write down what the positions are worth by kind, and no requirement of an account that holds nothing."""
        values = dict.fromkeys((f"{side}-{kind}-value" for side in ("long", "short") for kind in _KINDS.values()), 0.0)
        for symbol, row in self.book.positions[account].items():
            told, size = self.book.instruments[symbol], float(row["quantity"])
            if told["instrument-type"] in _KINDS:
                kind = f"{'long' if size > 0 else 'short'}-{_KINDS[told['instrument-type']]}-value"
                values[kind] += abs(size) * float(told.get("multiplier", 1)) * (self.book.price(symbol) or 0.0)
        balance = self.book.accounts[account]["balance"]
        balance |= {name: f"{value:.2f}" for name, value in values.items()}
        if not any(float(row["quantity"]) for row in self.book.positions[account].values()):
            balance |= {name: "0.00" for name in balance if name.endswith("-requirement")}


def _tws(clock: Hands) -> None:
    book = Book.load(MIXED, clock().date())
    for chain in tws_strikes.SHIPPED:
        tws_strikes.add_chain(book, **chain)
    # a person's order at TWS, which only that person can cancel, would keep a position from being closed whole
    book.open_orders[:] = [{**row, "filled": 0.0} for row in book.open_orders if row.get("clientId") != 0]
    with _Emptied(book, clock=clock, takes_orders=True) as tws:
        tws.stream(1)
        _say(tws.port, tws_control.listen(tws, 0))


def _tasty(clock: Hands) -> None:
    book = opened(clock)
    add_strikes(book, "SPXW", "SPX", resolve("+30d friday", clock().date()), range(5400, 6605, 50), volatility=0.17)
    with _Weighed(book, rate=1, clock=clock, trades=True) as tasty:
        for number, name in (("5WT00001", "uso1_call"), ("5WT00001", "NBTA"), ("5WT00002", "BTC/USD")):
            tasty.remove_position(number, name)  # of which something is UNKNOWN for good
            tasty.weigh(number)
        book.accounts["5WT00001"]["orders_live"] = []  # one of no legs, which nothing new may be added to
        _say(tasty.port, _listen(tasty))


def _say(port: int, control: int) -> None:
    print(f"listening on {port} controlled on {control}", flush=True)  # the one line a caller waits for
    threading.Event().wait()


def _listen(tasty: Tasty) -> int:
    """The controls of tastytrade from another process, one JSON object a line, as `tws_control` has them."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                try:
                    told = {"answer": _done(tasty, json.loads(line))}
                except Exception as error:  # told to the test that asked
                    told = {"error": f"{type(error).__name__}: {error}"}
                self.wfile.write(json.dumps(told, default=str).encode() + b"\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def _done(tasty: Tasty, told: dict[str, Any]) -> Any:
    what, args, more = told["do"], told.get("args", []), told.get("with", {})
    if what == "sent":
        return tasty.posts
    if what == "asked":
        return [row["method"] for row in tasty.orders]
    if what == "positions":
        return [[a, s, row["quantity"]] for a, rows in tasty.book.positions.items() for s, row in rows.items()]
    if what not in _TASTY_CALLS:
        raise ValueError(f"{what!r}: choose one of sent, asked, positions, {', '.join(_TASTY_CALLS)}")
    return getattr(tasty, what)(*args, **more)


# --- what a test holds of them ---


@dataclass(frozen=True, slots=True)
class Venue:
    """A stand-in in a process of its own."""

    port: int
    do: Control

    def positions(self) -> dict[tuple[str, str], float]:
        """What is held, by account and instrument."""
        rows = {(str(account), str(name)): _size(held) for account, name, *held in self.do("positions")}
        return {name: size for name, size in rows.items() if size}


def _size(held: list[Any]) -> float:
    return float(held[0][0] if isinstance(held[0], list) else held[0])


@dataclass(frozen=True, slots=True)
class Desk:
    """Both venues, the clock, and what the program is to be started with."""

    hands: Hands
    ibkr: Venue
    tasty: Venue
    home: Path
    matrix: Path

    @contextmanager
    def program(self) -> Iterator[Server]:
        """The program on both; a second start finds what the first has kept."""
        own = settings(f"http://127.0.0.1:{self.tasty.port}", self.hands.path) | {
            "GUARDRAILS_SOURCES": "ibkr,tastytrade", "IBKR_PORT": str(self.ibkr.port), "IBKR_TRADING": "paper",
            "TT_TRADING": "paper", "GUARDRAILS_MATRIX": str(self.matrix), "GUARDRAILS_REFRESH_SECONDS": "1",
            "GUARDRAILS_API_TOKEN": "-".join(("for", "tests", "0123456789")),
        }  # fmt: skip
        with serving(self.home, PROGRAM, **own) as server:
            yield server

    def keys_at_ibkr(self) -> Counter[str]:
        """How often a new order of each key came over the wire."""
        return Counter(one["ref"] for one in self.ibkr.do("sent") if one["what"] == "new")

    def keys_at_tasty(self) -> Counter[str]:
        """As `keys_at_ibkr`."""
        return Counter(str(body.get("external-identifier")) for body in self.tasty.do("sent"))

    def assert_nothing_twice(self) -> None:
        """Every order reached its broker once, and under a key."""
        for sent in (self.keys_at_ibkr(), self.keys_at_tasty()):
            assert "" not in sent
            assert "None" not in sent
            assert {key: count for key, count in sent.items() if count != 1} == {}


@contextmanager
def desk(folder: Path, **limits: Any) -> Iterator[Desk]:
    """Both stand-ins on Monday, 11:00 in New York; `limits` are put into every regime of the matrix."""
    folder.mkdir(parents=True, exist_ok=True)
    hands = Hands(folder / "hands")
    hands.set(MONDAY)
    matrix = folder / "matrix.yaml"
    write_matrix(matrix, **limits)
    remember_friday(folder / "home" / "data" / STATE_FILE)
    with ExitStack() as stack:
        venues = [stack.enter_context(venue(name, hands)) for name in ("tws", "tasty")]
        yield Desk(hands, *venues, folder / "home", matrix)


@contextmanager
def venue(name: str, hands: Hands) -> Iterator[Venue]:
    """One stand-in, until it is left."""
    command = [sys.executable, "-m", "tests.browser.trading", name]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, FILE: str(hands.path)}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"listening on (\d+) controlled on (\d+)\n", process.stdout.readline())
            assert found is not None
            yield Venue(int(found[1]), Control(int(found[2])))
        finally:
            process.kill()


def write_matrix(path: Path, **limits: Any) -> None:
    """The shipped matrix with limits wide open but for `limits`, and a flatten that walks each second."""
    told = yaml.safe_load((ROOT / "risk_matrix.yaml").read_text(encoding="utf-8"))
    told["orders"]["flatten"]["step_seconds"] = 1
    for regime in told["regimes"].values():
        regime["limits"] |= LOOSE | limits
        stress = regime["limits"]["stress"]
        stress["ladder"] = [{**each, "max_loss_pct_nlv": 0.99} for each in stress["ladder"]]
        stress["stress_loss_pct_nlv"] = dict.fromkeys(stress["stress_loss_pct_nlv"], 0.99)
        stress["min_excess_after"] = None
    path.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")


def remember_friday(path: Path) -> None:
    """What the program last saw of the accounts at IBKR on the evening before; without it no loss of today is known."""
    evening = MONDAY - timedelta(days=2, hours=19)
    known = {}
    for number, value in (("DU1234567", 262_557.10), ("DU7654321", 84_880.0)):  # less what they made today
        seen = Observed(value, evening, "ibkr")
        known[account_key(AccountId("IBKR", number))] = AccountHistory(
            since=evening, session=evening.date(), start=seen, peak=seen, last=seen
        )
    write_memory(path, ("ibkr", "tastytrade"), Memory(known))


def snapshot(server: Server) -> dict[str, Any]:
    """/api/snapshot; empty before there is one."""
    status, body = server.get("/api/snapshot")
    found: dict[str, Any] = json.loads(body) if status == 200 else {}
    return found


def until_ready(server: Server) -> None:
    """Both brokers speak, every option has Greeks, and nothing is UNKNOWN for want of a first word."""

    def ready() -> bool:
        told = snapshot(server)
        live = [row["state"] for row in told.get("sources", [])]
        return live == ["live", "live"] and all(
            row["greeks_source"] for row in told["positions"] if row["kind"].endswith("option")
        )

    wait_for(ready, 40, "both books")


# --- the page, as a person uses it ---

TOLD_OF_QUOTES = """
window.quotes = 0;
const told = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
    if (/chain_(call|put)_(bid|ask)/.test(new TextDecoder().decode(data))) window.quotes += 1;
    return told.call(this, data);
};
"""
"""counts the messages to the program that a quote of the chain was clicked"""
CELLS = {"Call bid": 0.284, "Call ask": 0.392, "Put bid": 0.603, "Put ask": 0.713}
"""middle of a column of the chain, as a part of the width of the table"""


def enter(chromium: Browser, url: str, path: str, theme: Theme = "light", width: int = 1280) -> Page:
    """A page of the program, drawn; it says that it trades on paper."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
    page.add_init_script(TOLD_OF_QUOTES)
    page.goto(f"{url}/{path}")
    expect(page.locator(".pg-bar")).to_contain_text("paper IBKR, tastytrade", timeout=WAIT_MS)
    settled(page)
    return page


def visit(page: Page, name: str) -> None:
    """Go to the page called `name` as a person does, and wait until it is drawn."""
    go(page, name)
    expect(page.locator('[data-testid="stMain"] h3, [data-testid="stMain"] .pg-discipline').first).to_be_visible(
        timeout=WAIT_MS
    )
    settled(page)


def settled(page: Page) -> None:
    """Return once the script of the page has run."""
    page.wait_for_timeout(150)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=WAIT_MS)


@dataclass(frozen=True, slots=True)
class TicketFields:
    """The fields of the ticket."""

    page: Page

    def field(self, label: str) -> Locator:
        return self.page.get_by_label(label, exact=True).first

    def account(self, name: str) -> None:
        self.page.get_by_role("combobox", name="Account").click()
        self.page.get_by_role("option", name=name).click()
        settled(self.page)

    def fill(self, label: str, value: str) -> None:
        self.field(label).fill(value)
        self.field(label).press("Enter")
        settled(self.page)

    def leg(self, number: int, side: str, symbol: str) -> None:
        """Type a leg; one that is not there yet is added."""
        place = number - 1
        expect(self.page.locator(".st-key-ticket_symbol_0")).to_be_visible(timeout=WAIT_MS)
        if not self.page.locator(f".st-key-ticket_symbol_{place}").count():
            self.page.get_by_role("button", name="Add a leg").click()
        self.page.locator(f".st-key-ticket_side_{place}").get_by_text(side, exact=True).click()
        settled(self.page)
        field = self.page.locator(f".st-key-ticket_symbol_{place} input")
        field.fill(symbol)
        field.press("Enter")
        settled(self.page)

    def packages(self, count: int) -> None:
        self.fill("Packages", str(count))

    def check(self) -> None:
        """Ask the broker."""
        button = self.page.get_by_role("button", name="Ask the broker and check")
        expect(button).to_be_enabled(timeout=WAIT_MS)
        button.click()
        settled(self.page)


def pictures(page: Page, folder: Path, name: str, *, always: bool = False) -> None:
    """The page as it is, whole, in both themes; unless `always`, only where pictures are wanted."""
    if not always and not WANTED:
        return
    was = page.viewport_size
    assert was is not None
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": was["width"], "height": min(int(height) + 40, 2400)})
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of two words
        # as the app itself says at the first run in a theme: a dialog stands beside it in the body
        page.add_style_tag(content=f"body {{ color-scheme: {theme} !important; }}")
        settled(page)
        page.wait_for_timeout(600)
        page.screenshot(path=folder / f"{name}-{theme}.png")
    page.set_viewport_size(was)


def ticket(page: Page) -> TicketFields:
    """The ticket on the page."""
    return TicketFields(page)


def pick_from_chain(page: Page, underlying: str, month: str, root: str, cells: Sequence[tuple[int, str]]) -> None:
    """Click quotes of one expiry: each (strike, column) adds a leg."""
    was = page.viewport_size
    assert was is not None
    page.set_viewport_size({"width": was["width"], "height": 2200})  # all of it in view
    page.get_by_text("Show the chain of an underlying").click()
    ticket(page).fill("Underlying", underlying)
    page.get_by_role("combobox", name="Expiry").click(timeout=WAIT_MS)
    page.get_by_role("option", name=re.compile(f"{month} .*, {root}$")).first.click()
    grid = page.locator('[data-testid="stDataFrame"]').first
    for count, (strike, column) in enumerate(cells):
        expect(grid.locator("td", has_text=re.compile(rf"^{strike}$")).first).to_be_attached(timeout=WAIT_MS)
        click_quote(page, grid, strike, column)
        taken = expect(page.get_by_role("textbox", name=f"Leg {count + 1}: symbol"))
        taken.to_have_value(re.compile(rf"{column[0]}0{strike}000$"), timeout=WAIT_MS)
        settled(page)
    page.set_viewport_size(was)


def click_quote(page: Page, grid: Locator, strike: int, column: str) -> None:
    """Click a cell of the chain until the page says so to the program, for the grid is deaf for a moment after it is
    drawn. It is a canvas, its text is in the table kept for screen readers.
    """
    height = 2.1875 * float(page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)"))
    before = page.evaluate("window.quotes")
    for _ in range(4):
        at_rest(page, '[data-testid="stDataFrame"]', 0.3)
        place = row_of(grid, str(strike))
        box = grid.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + CELLS[column] * box["width"], box["y"] + (place + 1.5) * height)
        with suppress(TimeoutError):
            # long enough for a busy browser: a click that is only late must not be clicked again
            page.wait_for_function(f"window.quotes > {before}", timeout=15_000)
            return
    pytest.fail(f"a click on {column} of {strike} is not heard")


def row_of(grid: Locator, strike: str) -> int:
    """The row of a strike, once the table for screen readers has it: it is written anew with every row that comes."""
    end = time.monotonic() + WAIT_MS / 1000
    while True:
        rows = grid.evaluate("it => [...it.querySelectorAll('tbody tr')].map(row => row.cells[4]?.textContent)")
        if strike in rows:
            return int(rows.index(strike))
        assert time.monotonic() < end, f"no row of {strike} among {rows}"
        time.sleep(0.1)


if __name__ == "__main__":
    main()
