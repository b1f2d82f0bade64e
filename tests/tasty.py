"""Help for tests that read the stand-in of tastytrade through the whole adapter: a source, a clock, polling with a
deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.tastytrade.source import Access, TastytradeSource
from guardrails.assess import Assessment, assess
from guardrails.brokers import MarketFeed
from guardrails.matrix import load
from guardrails.memory import Memory
from guardrails.values import SourceState, Stream, View
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_book import Book
from tests.brokers.tasty_login import REFRESH, SECRET

__all__ = ["REFRESH", "SECRET"]
ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "tests" / "brokers" / "books" / "tasty.yaml"
MATRIX = load(ROOT / "risk_matrix.yaml")
MONDAY = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
"""11:00 in New York, a session like any other"""
SATURDAY = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)


DARK = {SourceState.DOWN, SourceState.STALE, SourceState.CONNECTING}


class Clock:
    """Runs like a watch, from a moment of our choice; `ahead` moves its hands."""

    def __init__(self, start: datetime = MONDAY) -> None:
        self._start, self._began = start, time.monotonic()

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._began)

    def ahead(self, by: timedelta) -> None:
        self._start += by


@asynccontextmanager
async def reading(tasty: Tasty, clock: Callable[[], datetime], **more: str) -> AsyncIterator[TastytradeSource]:
    """A source connected to `tasty`, closed at the end."""
    settings = {"secret": SECRET, "refresh": REFRESH, "base_url": tasty.url, **more}
    source = TastytradeSource(Access(**settings), clock)
    assert isinstance(source, MarketFeed)
    try:
        yield source
    finally:
        await source.close()


async def until(
    source: TastytradeSource, clock: Callable[[], datetime], holds: Callable[[View], bool], seconds: float = 20.0
) -> View:
    """The first view of which `holds` is true; fails with the last one when none is within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        view = await source.view(clock())
        if holds(view):
            return view
        await asyncio.sleep(0.05)
    message = f"not within {seconds} s; last: {view.source}"
    raise AssertionError(message)


async def condition(source: TastytradeSource, clock: Callable[[], datetime], name: str, seconds: float = 20.0) -> View:
    """The first view in which the source is in condition `name`."""
    return await until(source, clock, lambda view: view.source.condition == name, seconds)


def stream(view: View, name: str) -> Stream:
    """The stream of the source whose name begins with `name`."""
    return next(each for each in view.source.streams if each.name.startswith(name))


async def settled(source: TastytradeSource, clock: Callable[[], datetime]) -> View:
    """A view after everything asked for has answered."""
    async with asyncio.timeout(20):
        await source.settle()
    return await source.view(clock())


def opened(clock: Callable[[], datetime]) -> Book:
    """The book, with its dates relative to the clock's day."""
    return Book.load(BOOK, clock().date())


def judged(view: View, clock: Callable[[], datetime]) -> Assessment:
    """What the engine would make of `view`."""
    return assess([view], MATRIX, Memory(), clock())


def run(work: Awaitable[None]) -> None:
    """Run one test on a loop of its own, bounded."""

    async def bounded() -> None:
        async with asyncio.timeout(90):
            await work

    asyncio.run(bounded())
