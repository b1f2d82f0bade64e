"""The stand-in of TWS that the crash runs trade with, in a process of its own by a clock in hours of trading.

`python -m tests.order_venue` prints `listening on PORT controlled on PORT`. Its log of what was sent, its orders and
its executions are the truth that a program is held against.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from guardrails import calendar
from guardrails.instruments import Instrument
from guardrails.symbols import occ
from tests.books import ROOT
from tests.brokers import tws_control
from tests.brokers.tws import Tws
from tests.brokers.tws_answers import NEW_YORK
from tests.brokers.tws_book import Book
from tests.brokers.tws_cli import MIXED
from tests.brokers.tws_control import Control
from tests.brokers.tws_dates import resolve
from tests.ibkr_orders import CALL, LONG_PUT, SHORT_PUT
from tests.order_program import AHEAD, clock

ACCOUNT = "DU1234567"
BAG, INDEX_PUT, FUTURE_CALL = 28812380, 700000002, 700000006
LONGS = {LONG_PUT: (4000, 3661.25), INDEX_PUT: (4000, 3105.20)}
"""so many of them that they are never sold out: quantity and cost by contract"""
SHORTS = {SHORT_PUT: (-60, 4498.75), CALL: (-3, 412.30), FUTURE_CALL: (-1, 3510.00)}
"""what a flatten closes"""
FAULTS = (
    "lose_reply", "lose_order", "mute_order", "tif_preset", "tif_preset_only", "hold_order", "reject_order",
    "fill_on_cancel", "slow_cancel", "mute_cancel", "status_before_executions", "no_fill_status", "no_bag_execution",
    "reject_change",
)  # fmt: skip


def main() -> None:
    """Listen until the process is ended."""
    book = Book.load(MIXED, clock().astimezone(NEW_YORK).date())
    # a person's order at TWS, which only that person can cancel, would keep a position from being closed whole
    book.open_orders[:] = [{**row, "filled": 0.0} for row in book.open_orders if row.get("clientId") != 0]
    with Tws(book, clock=clock, takes_orders=True) as tws:
        tws.stream(1.0)
        print(f"listening on {tws.port} controlled on {tws_control.listen(tws, 0)}", flush=True)  # what a caller reads
        threading.Event().wait()


def seconds_ahead() -> float:
    """From now to eleven in the morning of the next session."""
    now = datetime.now(UTC)
    opened, _ = calendar.session_bounds(calendar.next_session(calendar.exchange_date(now)))
    return (opened - now).total_seconds() + 5400.0


@dataclass
class Venue:
    """It, as a test holds it."""

    port: int
    control: Control
    ahead: float
    """seconds that its clock is before the real one"""

    @property
    def day(self) -> date:
        """The date of its book."""
        return (datetime.now(UTC) + timedelta(seconds=self.ahead)).astimezone(NEW_YORK).date()

    def put(self, strike: int, root: str = "SPXW", when: str = "+30d friday") -> Instrument:
        """An SPX put of the book."""
        return occ.parse(f"{root:<6}{resolve(when, self.day):%y%m%d}P{strike * 1000:08d}")

    def hold(self, held: dict[int, tuple[int, float]]) -> None:
        """Set these positions."""
        for contract, (quantity, cost) in held.items():
            self.control("set_position", ACCOUNT, contract, quantity, cost)

    def held(self) -> dict[int, float]:
        """Quantities by contract."""
        return {number: float(rest[0]) for account, number, *rest in self.control("positions") if account == ACCOUNT}

    def sent(self) -> Counter[str]:
        """How often a new order of each key came, also when it was lost on the way."""
        return Counter(one["ref"] for one in self.control("sent") if one["what"] in ("new", "lost"))

    def orders(self) -> dict[str, dict[str, Any]]:
        """Our orders, open and over, by key."""
        return {key: row for key, row in self.control("orders").items() if key.startswith("G-")}

    def working(self) -> list[str]:
        """Keys of ours that rest there."""
        return [key for key, status in self.control("refs").items() if key.startswith("G-") and status != "Filled"]

    def executions(self) -> dict[str, dict[str, Any]]:
        """All, but those of packages as such, by execution without its revision; `signed` is added."""
        rows = (row for row in self.control("executions") if row["conId"] != BAG)
        return {
            row["execId"].rpartition(".")[0]: row | {"signed": row["shares"] * (1 if row["side"] == "BOT" else -1)}
            for row in rows
        }

    def fill(self, key: str, dice: random.Random, *, whole: bool = False) -> None:
        """Execute some of an order, if anything of it is left."""
        row = self.orders().get(key)
        left = 0 if row is None else int(float(row["totalQuantity"]) - row["filled"])
        if left > 0:
            with suppress(RuntimeError):  # it ended a moment ago
                self.control("desk", "fill", key, left if whole else dice.randint(1, left))

    def goes_on(self, dice: random.Random) -> None:
        """The market does not wait for a program that is dead."""
        for key in self.working():
            if dice.random() < 0.5:
                self.fill(key, dice)
            if dice.random() < 0.3:
                self.end(key)

    def end(self, key: str) -> None:
        """Cancelled there, if it still rests: the stand-in would cancel a filled one as well."""
        if key in self.working():
            with suppress(RuntimeError):  # it ended a moment ago
                self.control("desk", "cancel", key)

    def mend(self) -> None:
        """No fault is left; cancellations that it was slow with are confirmed."""
        for fault in FAULTS:
            self.control("mend", fault)

    def confirm_cancels(self) -> None:
        """What is PendingCancel is cancelled."""
        for key, status in self.control("refs").items():
            if status == "PendingCancel":
                with suppress(RuntimeError):
                    self.control("desk", "cancel", key)


@contextmanager
def venue(ahead: float) -> Iterator[Venue]:
    """The stand-in until it is left; its clock is `ahead` seconds before the real one."""
    command = [sys.executable, "-m", "tests.order_venue"]
    environment = {**os.environ, AHEAD: str(ahead)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"listening on (\d+) controlled on (\d+)\n", process.stdout.readline())
            assert found is not None
            made = Venue(int(found[1]), Control(int(found[2])), ahead)
            made.hold({**LONGS, **SHORTS})
            yield made
        finally:
            process.kill()


if __name__ == "__main__":
    main()
