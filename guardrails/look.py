"""One look at every source: wait for their first quotes, let market feeds stream what the others hold, read, close.

What an engine does cycle by cycle, once, for a command that ends with the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from guardrails.brokers import Broker, LiveBroker, MarketFeed
from guardrails.errors import SourceError
from guardrails.outages import failed_view
from guardrails.portfolio import held_by_others
from guardrails.readings import READ_TIMEOUT_SECONDS
from guardrails.values import View

SETTLE_TIMEOUT_SECONDS = 30.0
"""how long one look waits for the first quotes of all live sources"""
_CLOSE_SECONDS = 5.0
_FIRST_PART = 0.5
"""of that time the share after which feeds are told of what the others hold, settled or not"""

Clock = Callable[[], datetime]
log = logging.getLogger(__name__)


async def look(
    sources: Sequence[Broker], clock: Clock, seconds: float = SETTLE_TIMEOUT_SECONDS
) -> tuple[list[View], Mapping[str, str]]:
    """A view per source, in their order, and by task what went wrong beside; every source is closed.

    All settling together takes at most `seconds`. A source that cannot be read is DOWN, not an exception.
    """
    async with read_once(sources, clock, seconds) as found:
        return found


@asynccontextmanager
async def read_once(
    sources: Sequence[Broker], clock: Clock, seconds: float = SETTLE_TIMEOUT_SECONDS
) -> AsyncIterator[tuple[list[View], Mapping[str, str]]]:
    """The same, while the sources are still open; they are closed at the end."""
    failed: dict[str, View] = {}
    problems: dict[str, str] = {}
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    feeds = [source for source in sources if isinstance(source, MarketFeed)]
    try:
        if feeds and len(sources) > 1:
            await _settle(sources, seconds * _FIRST_PART, failed)
            held = await _views(sources, clock, failed, min(end - loop.time(), READ_TIMEOUT_SECONDS))
            _follow(feeds, held, problems)
        await _settle(sources, end - loop.time(), failed)
        yield await _views(sources, clock, failed, READ_TIMEOUT_SECONDS), problems
    finally:
        await asyncio.gather(*(_close(source) for source in sources))


async def _settle(sources: Sequence[Broker], seconds: float, failed: dict[str, View]) -> None:
    """Wait until all live sources have settled, at most `seconds`; those that cannot are added to `failed`."""

    async def one(source: LiveBroker) -> None:
        try:
            with suppress(TimeoutError):  # what has not answered by then is missing, and said to be
                async with asyncio.timeout(seconds):
                    await source.settle()
        except Exception as error:
            failed[source.name] = _failed(source, error)

    live = [source for source in sources if isinstance(source, LiveBroker) and source.name not in failed]
    await asyncio.gather(*(one(source) for source in live))


async def _views(sources: Sequence[Broker], clock: Clock, failed: Mapping[str, View], seconds: float) -> list[View]:
    """A view of each source within `seconds`, those that have failed already as they are."""

    async def one(source: Broker) -> View:
        if source.name in failed:
            return failed[source.name]
        try:
            async with asyncio.timeout(seconds):
                return await source.view(clock())
        except Exception as error:
            return _failed(source, error)

    return list(await asyncio.gather(*(one(source) for source in sources)))


async def _close(source: Broker) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await source.close()
    except Exception:
        log.exception("closing %s failed", source.name)


def _follow(feeds: Sequence[MarketFeed], views: Sequence[View], problems: dict[str, str]) -> None:
    """Tell every feed what the other sources hold; one that refuses still gives its own view."""
    for feed in feeds:
        try:
            if wanted := held_by_others(views, feed.name):
                feed.follow(wanted)
        except Exception as error:
            log.exception("following what others hold failed at %s", feed.name)
            told = isinstance(error, SourceError)
            problems[f"follow {feed.name}"] = str(error) if told else f"failed ({type(error).__name__}); see the log"


def _failed(source: Broker, error: Exception) -> View:
    """The view of a source that cannot be read: its own words, or the name of the error and nothing that it holds."""
    if isinstance(error, SourceError):
        return failed_view(source.name, None, str(error))
    log.error("reading %s failed", source.name, exc_info=error)
    return failed_view(source.name, None, type(error).__name__)
