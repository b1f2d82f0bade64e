"""The SDK's DXLink streamer with an ear of our own on its socket.

The SDK keeps the handshake, the keep-alive and the channels. What it would lose is taken off the socket before it: data
of every format, events that hold NaN, the sign of life in a KEEPALIVE, informational errors, a closed channel, frames
that are no frames. Its limit of 64 KiB for a message is raised, because a busy minute of a large book exceeds it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self, cast

import anyio
import httpx2
from httpx2.websockets import AsyncWebSocketSession, WebSocketInvalidTypeReceived
from tastytrade import DXLinkStreamer
from tastytrade.dxfeed import Candle, Event, Greeks, Quote, Summary, Trade

from adapters.condition import Lost
from adapters.tastytrade import conditions
from adapters.tastytrade.login import Session, shortened
from adapters.tastytrade.ticks import Ticks
from guardrails.redaction import MASK

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 16 * 2**20
_KINDS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in (Greeks, Quote, Trade, Summary, Candle)}
_FOR_THE_SDK = ("SETUP", "AUTH_STATE", "CHANNEL_OPENED", "FEED_CONFIG")


class Streamer(DXLinkStreamer):
    """One socket. Enter it, subscribe, look at `ticks`; leaving raises what ended it, in an ExceptionGroup."""

    def __init__(self, session: Session, quote_token: Mapping[str, Any], ticks: Ticks, clock: Callable[[], datetime]):
        super().__init__(session)
        self._wss_url, self._auth_token = _entrance(quote_token)
        self.ear = Ear(ticks, clock, self._secrets, lambda channel: self.kind_of(channel) in self._subscription_state)

    def _secrets(self) -> tuple[str, ...]:
        """What must not be shown, should the other side echo it; the access token changes meanwhile."""
        own = self.session
        return own.refresh_token, own.provider_secret, own.session_token, self._auth_token

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        options = {name: value for name, value in self.session.client_kwargs.items() if name != "event_hooks"}
        async with (
            httpx2.AsyncClient(**options) as client,
            client.websocket(
                self._wss_url, max_message_size_bytes=LARGEST_MESSAGE, keepalive_ping_interval_seconds=None
            ) as socket,
            anyio.create_task_group() as tasks,
        ):
            self.ear.listen(socket)
            self._websocket = cast("AsyncWebSocketSession", self.ear)
            await tasks.start(self._reader)
            tasks.start_soon(self._heartbeat)
            yield self
            tasks.cancel_scope.cancel()

    async def add(self, kind: str, symbols: Sequence[str], *, since: datetime | None, every: float) -> None:
        """Subscribe `symbols` to events of `kind`; candles are daily, from `since` on."""
        if kind == Candle.__name__:
            await self.subscribe_candle(symbols, "d", start_time=since, refresh_interval=every)
        else:
            await self.subscribe(_KINDS[kind], symbols, refresh_interval=every)

    async def remove(self, kind: str, symbols: Sequence[str]) -> None:
        """End these subscriptions."""
        if kind != Candle.__name__:
            await self.unsubscribe(_KINDS[kind], symbols)
            return
        for symbol in symbols:
            await self.unsubscribe_candle(symbol, "d")

    def reopen(self, kind: str) -> None:
        """Forget the channel of `kind`, which the other side has closed; the next `add` opens it again."""
        self._subscription_state.pop(kind, None)

    def kind_of(self, channel: int) -> str:
        """The kind of events a channel carries."""
        return self._channels_reversed.get(channel, "")


def _entrance(quote_token: Mapping[str, Any]) -> tuple[str, str]:
    """Address and token; Lost when the answer has none."""
    url, token = quote_token.get("dxlink-url"), quote_token.get("token")
    if not isinstance(url, str) or not url.startswith(("ws://", "wss://")):
        raise Lost(conditions.no_quote_token("no address"))
    if not isinstance(token, str) or not token:
        raise Lost(conditions.no_quote_token("no token"))
    return url, token


class Ear:
    """Stands between the SDK and its socket: hears every frame and passes on what the SDK understands."""

    def __init__(
        self,
        ticks: Ticks,
        clock: Callable[[], datetime],
        secrets: Callable[[], Sequence[str]],
        asked: Callable[[int], bool],
    ) -> None:
        self.heard: datetime | None = None
        """when any frame arrived"""
        self.data: datetime | None = None
        """when data arrived"""
        self.closed_channels: list[int] = []
        """channels the other side has closed, until somebody reopens them"""
        self.complaint = ""
        """the other side's last error, in its words"""
        self._ticks, self._clock, self._secrets, self._asked_for = ticks, clock, secrets, asked
        self._fields = {name: list(kind.model_json_schema()["properties"]) for name, kind in _KINDS.items()}
        self._asked = self._authorised = False

    def listen(self, socket: AsyncWebSocketSession) -> None:
        """Begin to hear `socket`."""
        self._socket = socket

    async def send_json(self, message: object) -> None:
        """As the socket does."""
        await self._socket.send_json(message)

    async def receive_json(self) -> dict[str, Any]:
        """The next frame that is for the SDK; everything else is dealt with here."""
        while True:
            try:
                frame = json.loads(await self._socket.receive_text())
            except (ValueError, RecursionError, WebSocketInvalidTypeReceived):
                frame = None
            self.heard = self._clock()
            if not isinstance(frame, dict):
                self._ticks.garbage += 1
                continue
            try:
                kept = self._take(frame)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError):  # whatever rubbish it was
                self._ticks.garbage += 1
                continue
            if kept:
                return frame

    def _take(self, frame: dict[str, Any]) -> bool:
        """Whether `frame` is for the SDK."""
        kind = frame.get("type")
        if kind == "FEED_DATA":
            self._data(frame["data"])
        elif kind == "FEED_CONFIG":
            for name, fields in (frame.get("eventFields") or {}).items():
                self._fields[str(name)] = [str(field) for field in fields]
        elif kind == "AUTH_STATE":
            return self._judge(frame)
        elif kind == "CHANNEL_CLOSED":
            self.closed_channels.append(int(frame["channel"]))
        elif kind == "CHANNEL_OPENED":
            return self._asked_for(int(frame["channel"]))
        elif kind == "ERROR":
            self.complaint = self._shown(f"{frame.get('error', '')} {frame.get('message', '')}")
            log.warning("the quote stream says: %s", self.complaint)
        return kind in _FOR_THE_SDK

    def _shown(self, text: str) -> str:
        """Words of the other side as they may be shown, should it echo a secret too."""
        for secret in self._secrets():
            text = text.replace(secret, MASK) if secret else text
        return shortened(text)

    def _judge(self, frame: Mapping[str, Any]) -> bool:
        """Whether the SDK needs to know: the first refusal is the question for the token, a second one the answer."""
        if frame["state"] == "AUTHORIZED":
            news, self._authorised = not self._authorised, True
            return news
        if self._authorised or self._asked:
            raise Lost(conditions.QUOTES_REFUSED)
        self._asked = True
        return True

    def _data(self, data: Sequence[Any]) -> None:
        now = self._clock()
        self.data = now
        if isinstance(data[0], dict):
            for event in data:
                self._ticks.take(str(event.get("eventType", "")), event, now)
            return
        for name, flat in zip(data[::2], data[1::2], strict=True):
            self._ticks.take_rows(name, self._fields.get(name, ()), flat, now)
