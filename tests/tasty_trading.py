"""Help for tests that send orders to the stand-in of tastytrade through the whole adapter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime

from adapters.tastytrade.source import Access, TastytradeSource
from adapters.trading_mode import Mode, TradingMode
from guardrails.brokers import TradingBroker
from guardrails.orders import BrokerOrder, Leg, Order, OrdersRead, TimeInForce
from guardrails.symbols import tastytrade as symbols
from guardrails.values import AccountId
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_chains import add_strikes
from tests.tasty import REFRESH, SECRET, Clock, opened, until

BIG, SMALL = AccountId("tastytrade", "5WT00001"), AccountId("tastytrade", "5WT00002")
EXPIRY = date(2026, 12, 18)
"""of every option of the book as of Monday, 23 November 2026, but those on /ES"""
PAPER = TradingMode(Mode.PAPER, setting="TT_TRADING")
STRIKES = (5600, 5650, 6300, 6350)
CONDOR = ("SPXW  261218P05600000", "SPXW  261218P05650000", "SPXW  261218C06300000", "SPXW  261218C06350000")
"""bought, sold, sold, bought"""


def exchange(clock: Clock) -> Tasty:
    """A stand-in that trades, with the strikes of a condor; not started yet."""
    book = opened(clock)
    add_strikes(book, "SPXW", "SPX", EXPIRY, STRIKES)
    return Tasty(book, rate=5, clock=clock, trades=True)


@asynccontextmanager
async def trading(
    tasty: Tasty, clock: Callable[[], datetime], mode: TradingMode = PAPER, *, practice: bool = True
) -> AsyncIterator[TastytradeSource]:
    """A source that has read the stand-in's accounts and orders and may trade; closed at the end."""
    source = TastytradeSource(Access(SECRET, REFRESH, tasty.url, practice=practice), clock, mode)
    assert isinstance(source, TradingBroker)
    try:
        await until(source, clock, lambda view: len(view.accounts) == 2)
        await source.read_orders()
        yield source
    finally:
        await source.close()


def order(
    *legs: tuple[str, int], limit: float | None, quantity: int = 1, account: AccountId = BIG, gtc: bool = False
) -> Order:
    """A package of (symbol as tastytrade writes it, ratio)."""
    named = tuple(Leg(symbols.parse(symbol, "", date(2026, 11, 23)), ratio) for symbol, ratio in legs)
    in_force = TimeInForce.GTC if gtc else TimeInForce.DAY
    return Order(account, named, quantity, limit, in_force)


def condor(quantity: int = 2, limit: float = -9.15) -> Order:
    """An iron condor, sold."""
    return order(*zip(CONDOR, (1, -1, -1, 1), strict=True), limit=limit, quantity=quantity)


async def told(source: TastytradeSource, holds: Callable[[OrdersRead], bool], seconds: float = 20.0) -> OrdersRead:
    """What is said of orders once `holds` is true of it; fails with the last word when it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds(source.orders()):
            return source.orders()
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds} s; last: {source.orders()}")


def of(read: OrdersRead, key: str) -> BrokerOrder:
    """The one order under a key."""
    (found,) = [each for each in read.orders if each.key == key]
    return found


def state_is(key: str, state: str) -> Callable[[OrdersRead], bool]:
    """Whether the one order under a key is in a state."""

    def holds(read: OrdersRead) -> bool:
        found = [each for each in read.orders if each.key == key]
        return len(found) == 1 and found[0].state == state

    return holds
