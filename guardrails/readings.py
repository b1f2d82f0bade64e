"""What the sources said last, and how they are asked; all of it belongs to the engine's loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from guardrails.brokers import Broker, LiveBroker, MarketFeed
from guardrails.errors import SourceError
from guardrails.instruments import Instrument
from guardrails.outages import failed_view, unheard
from guardrails.portfolio import held_by_others
from guardrails.values import View

log = logging.getLogger(__name__)

READ_TIMEOUT_SECONDS, CLOSE_SECONDS = 20.0, 2.5
"""how long one source may take to say what it knows, and to let go"""


class Readings:
    """The last view of every source."""

    def __init__(self, sources: Sequence[Broker], clock: Callable[[], datetime], timeout_seconds: float) -> None:
        self.sources = tuple(sources)
        self.live = tuple(source for source in sources if isinstance(source, LiveBroker))
        self._feeds = tuple(source for source in sources if isinstance(source, MarketFeed))
        self._followed: dict[str, frozenset[Instrument]] = {}
        self._now, self._timeout = clock, timeout_seconds
        self._views: dict[str, View] = {}
        self._all_heard = asyncio.Event()
        self.lost = 0
        """how many times another program took over: what was asked before must not count after"""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(source.name for source in self.sources)

    def begin(self) -> None:
        """Belong to the loop that runs now; an earlier one has let go of the sources."""
        self._all_heard = asyncio.Event()
        self._followed.clear()
        self.forget()

    def forget(self) -> None:
        """What was heard until now is not of now any more."""
        self._views.clear()
        self._all_heard.clear()

    async def lose(self, seconds: float) -> None:
        """Leave the sources to another program: a broker may allow one connection only."""
        self.lost += 1
        self.forget()
        await self.let_go(seconds)

    async def read(self, source: Broker) -> None:
        """One view of one source; when that fails, the last good one stays with its age and says so."""
        lost = self.lost
        try:
            async with asyncio.timeout(self._timeout):
                view = await source.view(self._now())
            if lost == self.lost:
                self._views[source.name] = view
        except (Exception, asyncio.CancelledError) as error:
            said = str(error) if isinstance(error, SourceError) else type(error).__name__
            if lost == self.lost:
                self._views[source.name] = failed_view(source.name, self._views.get(source.name), said)
            raise
        finally:
            if len(self._views) == len(self.sources):
                self._all_heard.set()

    async def first_words(self, seconds: float) -> None:
        """Wait a moment for every source to speak once, so that the first Snapshot need not be UNKNOWN."""
        if self._all_heard.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._all_heard.wait()
        except TimeoutError:
            self._all_heard.set()
            log.warning("not every source has answered within %.0f s", seconds)

    def views(self) -> list[View]:
        """What each source said last, in their order."""
        return [self._views.get(name) or unheard(name) for name in self.names]

    async def follow(self, views: Sequence[View]) -> dict[str, Exception | None]:
        """Tell every market feed what the other sources hold, when that has changed.

        What went wrong by the name of the task, None where nothing did; a failure is tried again at the next call.
        """
        went: dict[str, Exception | None] = {}
        for feed in self._feeds:
            task = f"follow {feed.name}"
            try:
                wanted = await asyncio.to_thread(held_by_others, views, feed.name)
                if wanted != self._followed.get(feed.name, frozenset()):
                    feed.follow(wanted)
                    self._followed[feed.name] = wanted
            except Exception as error:  # the assessment goes on with what is streamed already
                went[task] = error
            else:
                went[task] = None
        return went

    async def let_go(self, seconds: float) -> None:
        """Close every source, all of them together within `seconds`."""
        closing = (_closed(source, seconds) for source in self.sources)
        await asyncio.gather(*closing, return_exceptions=True)  # even a cancellation by a library must not stop a stop


async def _closed(source: Broker, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await source.close()
    except Exception:
        log.exception("closing %s failed", source.name)
