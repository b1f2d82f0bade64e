"""One connection to the stand-in: requests one after the other, or a websocket once it is upgraded."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Protocol

from websockets.exceptions import InvalidState
from websockets.frames import Opcode
from websockets.http11 import Request as Upgrade
from websockets.server import ServerProtocol

from tests.brokers import tasty_rest
from tests.brokers.tasty_dxlink import DxLink
from tests.brokers.tasty_notices import Notices
from tests.brokers.tasty_wire import Request, page, read

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

LARGEST = 65_536
"""bytes of one message the server accepts; a longer one is answered by close code 1009"""
UNSENT_LIMIT = 8_000_000
"""bytes a client may leave unread before streaming to it pauses"""
SPEAKERS: dict[str, Any] = {"/dxlink": DxLink, "/": Notices, "/streamer": Notices}


class Speaker(Protocol):
    """What talks over a websocket."""

    kind: str

    def opened(self) -> None: ...
    def hear(self, message: dict[str, Any]) -> None: ...
    def closed(self) -> None: ...


class Line(asyncio.Protocol):
    """Bytes in, bytes out; the state of its client dies with it."""

    transport: asyncio.Transport

    def __init__(self, tasty: Tasty) -> None:
        self.tasty = tasty
        self.speaker: Speaker | None = None
        self._received = b""
        self._busy = False
        self._frames: ServerProtocol | None = None

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.tasty.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.tasty.connections.remove(self)
        if self.speaker is not None:
            self.speaker.closed()
            self.tasty.sockets[self.speaker.kind] -= 1

    def data_received(self, data: bytes) -> None:
        if self._frames is not None:
            self._frames.receive_data(data)
            self._hear()
        else:
            self._received += data
            self._next()

    # requests

    def _next(self) -> None:
        """Take the next whole request, one at a time as the protocol wants it."""
        if self._busy or self._frames is not None:
            return
        request, self._received = read(self._received)
        if request is None:
            return
        if request.headers.get("upgrade", "").lower() == "websocket":
            self._upgrade(request)
            return
        self._busy = True
        reply = tasty_rest.answer(self.tasty, request)
        if reply.cut:
            self.drop()
        elif reply.answer is not None:
            told = reply.answer.bytes(self.tasty.told_time())
            asyncio.get_running_loop().call_later(reply.delay, self._say, told)

    def _say(self, told: bytes) -> None:
        self.write(told)
        self._busy = False
        self._next()

    def write(self, told: bytes) -> None:
        """Send bytes unless the stand-in is silent or the client gone."""
        if not self.tasty.silent and not self.transport.is_closing():
            self.transport.write(told)

    def drop(self) -> None:
        """Reset the connection."""
        self.transport.abort()

    # websocket

    def _upgrade(self, request: Request) -> None:
        make = SPEAKERS.get(request.path)
        kind = make.kind if make else ""
        self.tasty.asked[f"upgrade {kind or request.path}"] += 1
        refused = self.tasty.hit("ws_refuse", kind=kind)
        if make is None or refused or not request.headers.get("user-agent"):
            status = refused.get("status", 502) if refused else 401 if make else 404
            self.write(page(status).bytes(self.tasty.told_time()))
            return
        self._frames = ServerProtocol(max_size=LARGEST)
        self._frames.receive_data(request.raw + self._received)
        (asked,) = self._frames.events_received()
        assert isinstance(asked, Upgrade)
        self._frames.send_response(self._frames.accept(asked))
        self._flush()
        self.speaker = make(self.tasty, self)
        self.tasty.count_socket(kind)
        self.speaker.opened()
        if how := self.tasty.hit("ws_drop", kind=kind):
            asyncio.get_running_loop().call_later(how.get("seconds", 0.0), self.cut, how.get("code"))

    def _hear(self) -> None:
        frames = self._frames
        assert frames is not None
        assert self.speaker is not None
        for frame in frames.events_received():
            if getattr(frame, "opcode", None) is Opcode.TEXT:
                told = json.loads(frame.data)  # type: ignore[union-attr, arg-type]  # a text frame
                self.speaker.hear(told)
        self._flush()

    @property
    def backed_up(self) -> bool:
        """Whether the client leaves too much unread."""
        return self.transport.get_write_buffer_size() > UNSENT_LIMIT

    def send(self, message: dict[str, Any] | str) -> None:
        """One text message, as JSON unless it is text already."""
        if self._frames is None or self.transport.is_closing():
            return
        text = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"), default=str)
        try:
            self._frames.send_text(text.encode())
        except InvalidState:  # closing already
            return
        self._flush()

    def cut(self, code: int | None) -> None:
        """Close with a close frame, or reset when there is no code."""
        if code is None or self._frames is None:
            self.drop()
            return
        try:
            self._frames.send_close(code)
        except InvalidState:  # closing already
            return
        self._flush()

    def _flush(self) -> None:
        """Send what the websocket wants to, unless it must be mute."""
        assert self._frames is not None
        mute = self.speaker is not None and self.tasty.hit("ws_mute", kind=self.speaker.kind)
        for told in self._frames.data_to_send():
            if told and not mute:
                self.write(told)
            elif not told and not self.transport.is_closing():
                self.transport.write_eof()  # a close while bytes are unread would reset, and lose the close frame
