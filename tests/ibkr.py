"""Help for tests that read the stand-in of TWS through the whole adapter: a source, and polling with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from adapters.ibkr.source import Gateway, IbkrSource
from guardrails.assess import Assessment, assess
from guardrails.brokers import LiveBroker
from guardrails.matrix import load
from guardrails.memory import Memory
from guardrails.values import View
from tests.brokers.tws import Tws
from tests.brokers.tws_book import Book

ROOT = Path(__file__).resolve().parents[1]
MIXED = ROOT / "tests" / "brokers" / "books" / "mixed.yaml"
ACCOUNT = "DU1234567"
MATRIX = load(ROOT / "risk_matrix.yaml")


def clock() -> datetime:
    """The real time: the client library stamps its messages with it."""
    return datetime.now(UTC)


def mixed() -> Book:
    return Book.load(MIXED, clock().date())


@asynccontextmanager
async def reading(tws: Tws, **more: object) -> AsyncIterator[IbkrSource]:
    """A source connected to `tws`, closed at the end."""
    settings = {"port": tws.port, **more}
    source = IbkrSource(Gateway(**settings), clock)  # type: ignore[arg-type]  # names and values are the test's
    assert isinstance(source, LiveBroker)
    try:
        yield source
    finally:
        await source.close()


async def until(source: IbkrSource, holds: Callable[[View], bool], seconds: float = 20.0) -> View:
    """The first view of which `holds` is true; fails with the last one when none is within `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        view = await source.view(clock())
        if holds(view):
            return view
        await asyncio.sleep(0.05)
    message = f"not within {seconds} s; last: {view.source}"
    raise AssertionError(message)


async def condition(source: IbkrSource, name: str, seconds: float = 20.0) -> View:
    """The first view in which the source is in condition `name`."""
    return await until(source, lambda view: view.source.condition == name, seconds)


async def connected(source: IbkrSource) -> View:
    """The first synchronised view, whether the market is open or not."""
    return await until(source, lambda view: view.source.condition in ("connected", "market_closed"))


async def settled(source: IbkrSource) -> View:
    """A view after everything asked for has answered."""
    await asyncio.wait_for(source.settle(), 20)
    return await source.view(clock())


def judged(view: View) -> Assessment:
    """What the engine would make of `view`."""
    return assess([view], MATRIX, Memory(), clock())


def run(work: Awaitable[None]) -> None:
    """Run one test on a loop of its own, bounded."""

    async def bounded() -> None:
        await asyncio.wait_for(work, 90)

    asyncio.run(bounded())
