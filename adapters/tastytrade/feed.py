"""Keeps the one quote stream: connects, subscribes what is wanted, hears silence, recycles, connects anew."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import httpx2
from httpx2.websockets import HTTPXWSException, WebSocketUpgradeError

from adapters.condition import Condition, Lost
from adapters.tastytrade import conditions
from adapters.tastytrade.api import Api, Incomplete, Refused
from adapters.tastytrade.dxlink import Streamer
from adapters.tastytrade.login import jitter
from adapters.tastytrade.ticks import Ticks
from guardrails import calendar

log = logging.getLogger(__name__)

ENTRY_SECONDS, SUBSCRIBE_SECONDS, LEAVE_SECONDS = 12.0, 15.0, 3.0
ENTER_SECONDS = 75.0
"""longest time from asking for a token, with its retries, to an open socket"""
STEADY = timedelta(seconds=2)
"""a socket that lasted for less begins no new count of failures"""
REOPENINGS = 3
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
BACKOFF = (0.3, 0.5, 1.0, 2.0, 5.0, 15.0)
FED_PAUSE = 3.0
"""seconds at most after a socket that brought data, however often it is dropped"""
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
        self.data: datetime | None = None
        """when data last came, on whatever socket"""
        self.wanted: Wanted = {}
        self.asked: dict[str, datetime] = {}
        """when each symbol was subscribed on the open socket"""
        self._subscribed: dict[str, set[str]] = {}
        self._api, self._clock, self._changed = api, clock, changed
        self._leaving = asyncio.Event()
        self._lasted = self._was_open = self._was_fed = False
        self._told = 0
        """options whose Greeks were known when somebody was last told to look"""
        self._sandbox = sandbox
        self.delayed = False
        """whether what it says is a quarter of an hour old; then it is dated back by as much"""

    def want(self, wanted: Wanted) -> None:
        """Stream these symbols from now on, and no others."""
        if wanted != self.wanted:
            self.wanted = wanted
            self.ticks.keep({symbol for symbols in wanted.values() for symbol in symbols})

    def quiet(self, now: datetime) -> bool:
        """Whether an open market has said nothing that is wanted for too long, or nothing yet on this socket."""
        if not calendar.is_open(now) or not any(self.wanted.values()):
            return False
        return self.streamer is None or self.streamer.ear.data is None or now - self._expected(now) > QUIET

    def _expected(self, now: datetime) -> datetime:
        """Since when more data should have come: the last of it, on whatever socket, or the opening bell."""
        bell = min(calendar.session_bounds(calendar.session_of(now))[0], now)
        heard = None if self.streamer is None else self.streamer.ear.data  # `data` follows it only now and then
        return max(time for time in (bell, self.data, heard) if time is not None)

    async def run(self) -> None:
        """Return never: one socket after the other."""
        while True:
            self._leaving.clear()
            socket = asyncio.create_task(self._one_socket(), name="tastytrade quotes")
            leaving = asyncio.create_task(self._leaving.wait())
            try:
                await self._until_left(socket, leaving)
            finally:
                leaving.cancel()
                socket.cancel()
                await asyncio.wait({socket}, timeout=LEAVE_SECONDS)
                self._clear()
            if not socket.done():
                log.warning("a quote stream could not be closed and is left alone")
            self._lost(conditions.QUOTES_SILENT if not socket.done() or socket.cancelled() else socket.result())
            pause = BACKOFF[min(self.retries, len(BACKOFF)) - 1]
            await asyncio.sleep((min(pause, FED_PAUSE) if self._was_fed else pause) * jitter())

    async def _until_left(self, socket: asyncio.Task[Condition], leaving: asyncio.Task[bool]) -> None:
        """Wait until the socket has ended, should have ended by now, or hangs where it should be open."""
        tasks = {socket, leaving}
        await asyncio.wait(tasks, timeout=ENTER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self.streamer is not None:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            await asyncio.wait({socket}, timeout=LEAVE_SECONDS)

    def _clear(self) -> None:
        """Nothing is subscribed any more."""
        self._lasted = self.opened is not None and self._clock() - self.opened > STEADY
        self._was_open = self.streamer is not None
        self._was_fed = self.streamer is not None and self.streamer.ear.data is not None
        self.streamer, self.opened, self._subscribed, self.asked = None, None, {}, {}
        self._told = -1

    def _lost(self, condition: Condition) -> None:
        if condition.name != self.trouble.name or self._was_open:
            log.warning("tastytrade: %s", condition.sentence)
        self.trouble = condition
        self.retries = 1 if self._lasted else self.retries + 1
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
        reopened: Counter[str] = Counter()
        while True:
            now = self._clock()
            if now < before:  # the clock was set back: what arrived before it is dated in the future
                return
            before = now
            self._reopen(streamer, reopened)
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await self._subscribe(streamer, now)
            self._check_alive(streamer, opened, now)
            age = now - opened
            if age > RECYCLE or (age > RECYCLE_AT_NIGHT and not calendar.is_open(now)):
                return
            await asyncio.sleep(_TICK_SECONDS)

    def _reopen(self, streamer: Streamer, reopened: Counter[str]) -> None:
        """Forget closed channels, so that they are opened again; Lost when one is closed each time."""
        for channel in streamer.ear.closed_channels:
            kind = streamer.kind_of(channel)
            if not kind:
                continue
            log.warning("tastytrade closed the channel of %s", kind)
            reopened[kind] += 1
            if reopened[kind] > REOPENINGS:
                raise Lost(conditions.channel_refused(kind))
            streamer.reopen(kind)
            self.ticks.begin_kind(kind)
            self._subscribed.pop(kind, None)
        streamer.ear.closed_channels.clear()

    def _check_alive(self, streamer: Streamer, opened: datetime, now: datetime) -> None:
        self.data = streamer.ear.data or self.data
        silent = calendar.is_open(now) and self._subscribed and now - max(self._expected(now), opened) > TORN_DOWN
        if silent or now - (streamer.ear.heard or opened) > MUTE:
            raise Lost(conditions.QUOTES_SILENT)
        if (
            streamer.ear.data is not None and len(self.ticks.greeks) != self._told
        ):  # the first words of options should not wait for the next look
            self._told = len(self.ticks.greeks)
            self._changed()
        if streamer.ear.data is not None and self.retries and now - opened > STEADY:
            self.retries = 0

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
        if isinstance(leaf, (httpx2.ConnectError, httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
            return conditions.quotes_unreachable(type(leaf).__name__)
        if isinstance(leaf, (HTTPXWSException, httpx2.TransportError, Incomplete, OSError)):
            return conditions.QUOTES_LOST
    log.error("the quote stream failed", exc_info=error)
    return conditions.QUOTES_LOST


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
