"""Keeps the one quote stream: connects, subscribes what is wanted, hears silence, recycles, connects anew."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from httpx2.websockets import HTTPXWSException, WebSocketUpgradeError

from adapters.condition import Condition, Lost
from adapters.tastytrade import conditions
from adapters.tastytrade.api import Api, Incomplete, Refused
from adapters.tastytrade.dxlink import Streamer
from adapters.tastytrade.ticks import Ticks
from guardrails import calendar

log = logging.getLogger(__name__)

ENTRY_SECONDS, SUBSCRIBE_SECONDS, LEAVE_SECONDS = 12.0, 15.0, 3.0
CHUNK = 100
"""symbols in one subscription: the answer to it is one message"""
AGGREGATION_SECONDS = 0.5
"""how often the other side sends a symbol at most"""
QUIET = timedelta(seconds=30)
"""an open market in which nothing that is subscribed moves for so long is a silent stream"""
TORN_DOWN = timedelta(seconds=45)
MUTE = timedelta(seconds=70)
"""the other side promises a message every 60 s, also at night"""
RECYCLE_AT_NIGHT, RECYCLE = timedelta(hours=12), timedelta(hours=23)
"""a quote token lives for 24 hours"""
HISTORY = timedelta(days=400)
DELAY = timedelta(minutes=15)
"""of the sandbox, whose quote tokens are of level `demo`"""
BACKOFF = (0.3, 1.0, 2.0, 5.0, 15.0)
_TICK_SECONDS = 0.2
Wanted = Mapping[str, frozenset[str]]
"""streamer symbols by kind of event"""


class Feed:
    """At most one socket at any moment. All of it belongs to the loop it is run on."""

    def __init__(
        self, api: Api, clock: Callable[[], datetime], changed: Callable[[], None], *, sandbox: bool = False
    ) -> None:
        self.ticks = Ticks()
        self.streamer: Streamer | None = None
        """the open one"""
        self.opened: datetime | None = None
        self.trouble: Condition = conditions.QUOTES_CONNECTING
        """why there is none"""
        self.retries = 0
        self.wanted: Wanted = {}
        self.asked: dict[str, datetime] = {}
        """when each symbol was subscribed on the open socket"""
        self._subscribed: dict[str, set[str]] = {}
        self._api, self._clock, self._changed = api, clock, changed
        self._leaving = asyncio.Event()
        self._sandbox = sandbox
        self.delayed = False
        """whether what it says is a quarter of an hour old; then it is dated back by as much"""

    def want(self, wanted: Wanted) -> None:
        """Stream these symbols from now on, and no others."""
        if wanted != self.wanted:
            self.wanted = wanted
            self.ticks.keep({symbol for symbols in wanted.values() for symbol in symbols})

    def quiet(self, now: datetime) -> bool:
        """Whether the open stream has said nothing that it should have said."""
        if self.streamer is None or self.opened is None or not calendar.is_open(now) or not self._subscribed:
            return False
        return now - max(self.streamer.ear.data or self.opened, self.opened) > QUIET

    async def run(self) -> None:
        """Return never: one socket after the other."""
        while True:
            self._leaving.clear()
            socket = asyncio.create_task(self._one_socket(), name="tastytrade quotes")
            leaving = asyncio.create_task(self._leaving.wait())
            try:
                await asyncio.wait({socket, leaving}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({socket}, timeout=LEAVE_SECONDS)
            finally:
                leaving.cancel()
                socket.cancel()
            if not socket.done():
                log.warning("a quote stream could not be closed and is left alone")
            ended = self.trouble if not socket.done() or socket.cancelled() else socket.result()
            self._lost(ended)
            await asyncio.sleep(BACKOFF[min(self.retries, len(BACKOFF)) - 1] * random.uniform(0.8, 1.2))  # noqa: S311  # jitter, not a secret

    def _lost(self, condition: Condition) -> None:
        lasted = self.opened is not None and self._clock() - self.opened > timedelta(minutes=1)
        if condition.name != self.trouble.name or self.streamer is not None:
            log.warning("tastytrade: %s", condition.sentence)
        self.trouble, self.streamer, self.opened = condition, None, None
        self.retries = 1 if lasted else self.retries + 1
        self._subscribed, self.asked = {}, {}
        self._changed()

    async def _one_socket(self) -> Condition:
        """Why the socket ended, or was never opened."""
        try:
            token = await self._api.get("/api-quote-tokens")
            async with AsyncExitStack() as stack:
                streamer = Streamer(self._api.session, token, self.ticks, self._clock)
                async with asyncio.timeout(ENTRY_SECONDS):
                    await stack.enter_async_context(streamer)
                stack.callback(self._leaving.set)
                self.delayed = token.get("level") == "demo"
                self.ticks.begin(DELAY if self.delayed and self._sandbox else timedelta())
                self.streamer, self.opened = streamer, self._clock()
                self._changed()
                await self._tend(streamer)
        except Exception as error:
            return _why(error)
        return conditions.QUOTES_CONNECTING

    async def _tend(self, streamer: Streamer) -> None:
        """Return when the socket is to be recycled; raise Lost when it is of no use."""
        opened = before = self._clock()
        while True:
            now = self._clock()
            if now < before:  # the clock was set back: what arrived before it is dated in the future
                return
            before = now
            for channel in streamer.ear.closed_channels:
                kind = streamer.kind_of(channel)
                log.warning("tastytrade closed the channel of %s; it is opened again", kind)
                streamer.reopen(kind)
                self._subscribed.pop(kind, None)
            streamer.ear.closed_channels.clear()
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await self._subscribe(streamer, now)
            self._check_alive(streamer, opened, now)
            age = now - opened
            if age > RECYCLE or (age > RECYCLE_AT_NIGHT and not calendar.is_open(now)):
                return
            await asyncio.sleep(_TICK_SECONDS)

    def _check_alive(self, streamer: Streamer, opened: datetime, now: datetime) -> None:
        heard, data = streamer.ear.heard or opened, max(streamer.ear.data or opened, opened)
        silent = calendar.is_open(now) and bool(self._subscribed) and now - data > TORN_DOWN
        if silent or now - heard > MUTE:
            raise Lost(conditions.QUOTES_SILENT)
        if streamer.ear.data is not None and self.retries:
            self.retries = 0
            self._changed()

    async def _subscribe(self, streamer: Streamer, now: datetime) -> None:
        """Ask for what is new, end what is no longer wanted."""
        for kind, symbols in self.wanted.items():
            held = self._subscribed.get(kind, set())
            for chunk in _chunks(held - symbols):
                await streamer.remove(kind, chunk)
                held.difference_update(chunk)
            for chunk in _chunks(symbols - held):
                await streamer.add(kind, chunk, since=now - HISTORY, every=AGGREGATION_SECONDS)
                held.update(chunk)
                self.asked.update(dict.fromkeys(chunk, now))
                self._subscribed[kind] = held


def _chunks(symbols: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(symbols)
    return (ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK))


def _why(error: Exception) -> Condition:
    """The condition behind whatever ended a socket."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, Lost):
            return leaf.condition
    for leaf in leaves:
        if isinstance(leaf, TimeoutError):
            return conditions.QUOTES_SILENT
        if isinstance(leaf, Refused) or (isinstance(leaf, WebSocketUpgradeError) and leaf.response.is_client_error):
            return conditions.QUOTES_REFUSED
        if isinstance(leaf, (HTTPXWSException, Incomplete, OSError)):
            return conditions.QUOTES_LOST
    log.error("the quote stream failed", exc_info=error)
    return conditions.QUOTES_LOST


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
