"""How these tests drive the stand-in: the real ib_async on a loop of the test's own, waiting with deadlines only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from ib_async import IB, Contract

from tests.brokers.tws import Tws
from tests.brokers.tws_book import Book
from tests.brokers.written import written

T = TypeVar("T")
MIXED = Path(__file__).parent / "books" / "mixed.yaml"
RAW: dict[str, Any] = written(MIXED)
"""the book as it is written, apart from any code that reads it"""
TODAY = date(2026, 11, 20)
"""a Friday; the next third Friday at least 14 days on is 18 December 2026"""
MAIN, OTHER = "DU1234567", "DU7654321"
AAPL, SPY, SPX, VIX = 265598, 756733, 416904, 13455763
CALL, SPX_AM, SHORT_PUT, LONG_PUT = 700000001, 700000002, 700000003, 700000004
FUTURE, FUTURE_CALL = 700000005, 700000006


def mixed(**settings: Any) -> Tws:
    """A stand-in with the mixed book as of TODAY, not started yet."""
    return Tws(Book.load(MIXED, TODAY), **settings)


def drive(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns; a test that hangs fails after 90 seconds."""
    return asyncio.run(asyncio.wait_for(work, 90))


@asynccontextmanager
async def connected(tws: Tws, client_id: int = 17, **how: Any) -> AsyncIterator[IB]:
    """A synchronised client of a running stand-in."""
    ib = IB()
    ib.RaiseRequestErrors = True
    settings = {"timeout": 20, "raiseSyncErrors": True, "account": MAIN, **how}
    await ib.connectAsync("127.0.0.1", tws.port, clientId=client_id, **settings)
    try:
        yield ib
    finally:
        ib.disconnect()


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return once `condition` holds. AssertionError after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "what the test waits for did not happen"
        await asyncio.sleep(0.005)


async def unanswered(request: Awaitable[object], seconds: float = 0.3) -> bool:
    """Whether a request is still without an answer after `seconds`."""
    done, pending = await asyncio.wait([asyncio.ensure_future(request)], timeout=seconds)
    for task in pending:
        task.cancel()
    return not done


async def full(ib: IB, con_id: int) -> Contract:
    """A contract by its number, as details give it, exchange included."""
    (details,) = await ib.reqContractDetailsAsync(Contract(conId=con_id))
    assert details.contract is not None
    return details.contract


class Heard:
    """The errors and notices a client was told, in order: (request, code)."""

    def __init__(self, ib: IB) -> None:
        self.codes: list[int] = []
        self.requests: list[int] = []
        ib.errorEvent += self._hear

    def _hear(self, req_id: int, code: int, words: str, contract: object) -> None:
        self.codes.append(code)
        self.requests.append(req_id)
