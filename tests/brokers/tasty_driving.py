"""How these tests drive the tastytrade stand-in: the real SDK, waiting with deadlines only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tastytrade import Account, DXLinkStreamer, Session
from tastytrade.dxfeed import Event
from tastytrade.streamer import AlertStreamer

from tests.brokers.driving import TODAY, drive
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_book import Book
from tests.brokers.tasty_login import REFRESH, SECRET

BOOK = Path(__file__).parent / "books" / "tasty.yaml"
MAIN, SMALL = "5WT00001", "5WT00002"
SPX_AM, CALL = "SPX   261218P05700000", "AAPL  261218C00250000"
"""of the book as of TODAY, whose next third Friday at least 14 days on is 18 December 2026"""
SPX_AM_FEED, CALL_FEED = ".SPX261218P5700", ".AAPL261218C250"


class Client(Session):
    """The SDK's own session, told another base URL as its own paper session does."""

    def __init__(self, url: str, secret: str = SECRET, refresh: str = REFRESH, **settings: Any) -> None:
        # loopback has no certificates to check, and loading them takes longer than most of these tests
        super().__init__(secret, refresh, trust_env=False, verify=False, **settings)
        self._client.base_url = url


def stand_in(**settings: Any) -> Tasty:
    """A stand-in with the book as of TODAY, not started yet."""
    return Tasty(Book.load(BOOK, TODAY), **settings)


@asynccontextmanager
async def client(tasty: Tasty, **settings: Any) -> AsyncIterator[Client]:
    """A session at a running stand-in."""
    async with Client(tasty.url, **settings) as session:
        yield session


def logged_in(work: Callable[[Tasty, Client, Account], Awaitable[None]], **settings: Any) -> None:
    """Run `work` with a session that has logged in and read its account already."""

    async def whole(tasty: Tasty) -> None:
        async with client(tasty) as session:
            await work(tasty, session, await Account.get(session, MAIN))

    with stand_in(**settings) as tasty:
        drive(whole(tasty))


@asynccontextmanager
async def feed(tasty: Tasty) -> AsyncIterator[DXLinkStreamer]:
    """A market data streamer at a running stand-in."""
    async with client(tasty) as session, DXLinkStreamer(session) as streamer:
        yield streamer


@asynccontextmanager
async def notices(tasty: Tasty, session: Session) -> AsyncIterator[AlertStreamer]:
    """An account streamer at a running stand-in, not subscribed yet."""
    streamer = AlertStreamer(session)
    streamer.base_url = tasty.streamer_url
    async with streamer:
        yield streamer


async def several(streamer: DXLinkStreamer, kind: type[Event], count: int) -> dict[str, Any]:
    """The next `count` events of a type, by symbol. TimeoutError after twenty seconds."""
    told: list[Any] = []
    async with asyncio.timeout(20):
        while len(told) < count:
            told.append(await streamer.get_event(kind))
    return {event.event_symbol: event for event in told}


async def nothing(streamer: DXLinkStreamer, kind: type[Event], seconds: float = 0.15) -> bool:
    """Whether no event of a type comes for `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await streamer.get_event(kind)
    except TimeoutError:
        return True
    return False


async def seen(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether `holds` came true in time: the stand-in counts on a thread of its own."""
    end = asyncio.get_running_loop().time() + seconds
    while not holds():  # the other thread sets no event of this loop
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.01)
    return True


def causes(error: BaseException) -> list[BaseException]:
    """The exceptions inside groups, however deep."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for one in error.exceptions for cause in causes(one)]
    return [error]
