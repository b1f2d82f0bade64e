"""Help for tests that trade with the stand-in of TWS: a source that may, orders on its book, waiting for words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any

import pytest

from adapters.ibkr import sending
from adapters.ibkr.source import Gateway, IbkrSource
from adapters.trading_mode import TradingMode
from guardrails.brokers import TradingBroker
from guardrails.instruments import Instrument
from guardrails.orders import BrokerOrder, Leg, Order, OrdersRead
from guardrails.symbols import occ, parse
from guardrails.values import AccountId
from tests.brokers.tws import Tws
from tests.brokers.tws_book import Book
from tests.brokers.tws_dates import resolve
from tests.ibkr import ACCOUNT, clock, connected, mixed

MINE = AccountId("IBKR", ACCOUNT)
PAPER = TradingMode("paper", (), "IBKR_TRADING")
SHORT_PUT, LONG_PUT, CALL, AAPL = 700000003, 700000004, 700000001, 265598


def taking(book: Book | None = None, **more: Any) -> Tws:
    """A stand-in that takes orders, not started yet."""
    return Tws(book or mixed(), takes_orders=True, **more)


@asynccontextmanager
async def trading(tws: Tws, mode: TradingMode = PAPER, **more: Any) -> AsyncIterator[IbkrSource]:
    """A source that may trade, connected and with its orders read."""
    source = IbkrSource(Gateway(port=tws.port, **more), clock, mode)
    assert isinstance(source, TradingBroker)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending, "LOOKUP_SECONDS", 20.0)  # a busy machine may answer late, and is sent to all the same
        try:
            await connected(source)
            await told(source, lambda read: not read.missing)
            yield source
        finally:
            await source.close()


async def told(source: IbkrSource, holds: Callable[[OrdersRead], object], seconds: float = 20.0) -> OrdersRead:
    """The first reading of which `holds` is true, waiting for words and no longer than `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        read = source.orders()
        if holds(read):
            return read
        left = deadline - asyncio.get_running_loop().time()
        assert left > 0, f"not within {seconds} s; last: {read}"
        try:
            async with asyncio.timeout(min(left, 0.2)):
                await source.ordered()
        except TimeoutError:
            continue


def of(read: OrdersRead, key: str) -> BrokerOrder | None:
    """The order of that key."""
    found = [one for one in read.orders if one.key == key]
    assert len(found) <= 1, found
    return found[0] if found else None


async def state(source: IbkrSource, key: str, *states: str, seconds: float = 20.0) -> BrokerOrder:
    """The order of that key once it is in one of `states`."""
    read = await told(source, lambda read: (one := of(read, key)) is not None and one.state in states, seconds)
    found = of(read, key)
    assert found is not None
    return found


def today() -> date:
    """As the stand-in's book is dated."""
    return clock().date()


def spxw(strike: int, right: str = "P") -> Instrument:
    """An option of the book's SPXW expiry."""
    day = resolve("+30d friday", today())
    return occ.parse(f"SPXW  {day:%y%m%d}{right}{strike * 1000:08d}")


def spread(quantity: int = 2, limit: float = -7.40, account: AccountId = MINE) -> Order:
    """Sell the 5800 put, buy the 5750 one."""
    return Order(account, (Leg(spxw(5800), -1), Leg(spxw(5750), 1)), quantity, limit)


def shares(quantity: int = 100, limit: float | None = 230.0, side: int = 1, **more: Any) -> Order:
    """AAPL."""
    return Order(MINE, (Leg(parse("AAPL", today()), side),), quantity, limit, **more)


def tomorrow() -> date:
    """The day after the book's."""
    return today() + timedelta(days=1)
