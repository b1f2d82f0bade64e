"""One client's connection: the handshake, what it has subscribed to, and which answer a request gets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tests.brokers import tws_answers, tws_chains, tws_lines, tws_orders
from tests.brokers import tws_messages as messages
from tests.brokers.tws_wire import HIGHEST, REQUESTS, Fields, frame, split

if TYPE_CHECKING:
    from tests.brokers.tws import Tws

ANSWERS: dict[str, Callable[[Session, Fields], None]] = (
    tws_answers.ANSWERS | tws_chains.ANSWERS | tws_lines.ANSWERS | tws_orders.ANSWERS
)
MUTES = {
    "reqPositions": "mute_positions",
    "reqAccountUpdates": "mute_account_updates",
    "reqAccountUpdatesMulti": "mute_account_updates",
    "reqAccountSummary": "mute_account_summary",
    "reqExecutions": "mute_executions",
    "reqOpenOrders": "mute_open_orders",
    "reqAllOpenOrders": "mute_open_orders",
    "reqCompletedOrders": "mute_completed",
    "reqPnL": "mute_pnl",
    "reqPnLSingle": "mute_pnl",
    "reqContractDetails": "mute_details",
    "reqHistoricalData": "mute_history",
    "reqMktData": "mute_market_data",
    "reqCurrentTime": "mute_time",
    "reqSecDefOptParams": "mute_chains",
    "reqMarketRule": "mute_rules",
}
"""which fault swallows which request"""
FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)
UNSENT_LIMIT = 4_000_000
"""bytes a client may leave unread before streaming to it pauses"""


class Session(asyncio.Protocol):
    """Talks to one client until it leaves; all of its state dies with it, as at TWS."""

    transport: asyncio.Transport

    def __init__(self, tws: Tws) -> None:
        self.tws = tws
        self.version = 0
        self.client_id: int | None = None
        self.data_type = tws_lines.LIVE
        self.wants_positions = False
        self.account = ""
        self.multi: dict[int, str] = {}
        self.summaries: dict[int, set[str]] = {}
        self.pnl: dict[int, tuple[str, int]] = {}
        self.lines: dict[int, tws_lines.Line] = {}
        self._buffer = bytearray()
        self._late: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.tws.sessions.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lines.clear()
        if self in self.tws.sessions:
            self.tws.sessions.remove(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self.tws.hit("close_at_handshake") and not self.version:
            self.transport.close()
            return
        if not self.version and not self._greet():
            return
        for fields in split(self._buffer):
            self._receive(fields)

    def _greet(self) -> bool:
        """Whether the handshake is done: `API`, then the versions the client speaks."""
        if len(self._buffer) < 8 or self.tws.hit("never_handshake"):
            return False
        if self._buffer[:4] != b"API\0":
            self.transport.abort()
            return False
        length = struct.unpack(">I", self._buffer[4:8])[0]
        if len(self._buffer) < 8 + length:
            return False
        offered = self._buffer[8 : 8 + length].decode().split(" ")[0]
        del self._buffer[: 8 + length]
        self.version = min(int(offered.removeprefix("v").split("..")[-1]), self.tws.version, HIGHEST)
        now = self.tws.clock().astimezone(ZoneInfo("America/New_York"))
        self.send(frame(self.version, f"{now:%Y%m%d %H:%M:%S} EST"))
        return True

    def _receive(self, fields: list[str]) -> None:
        """Count a request and answer it, unless a fault swallows it or nobody here knows it."""
        name = REQUESTS.get(int(fields[0]), f"request {fields[0]}")
        self.tws.asked[name] += 1
        if name in MUTES and self.tws.hit(MUTES[name]):
            return
        if name == "startApi":
            self._start_api(int(fields[2]))
        elif name in ANSWERS and self.client_id is not None:
            ANSWERS[name](self, Fields(fields[1:]))

    def _start_api(self, client_id: int) -> None:
        taken = any(other.client_id == client_id for other in self.tws.sessions if other is not self)
        if taken or self.tws.hit("client_id_in_use"):
            words = "Unable to connect as the client id is already in use. Retry with a unique client id."
            self.send(messages.error(-1, 326, words))
            asyncio.get_running_loop().call_later(0.05 + self.tws.latency, self.transport.close)
            return
        self.client_id = client_id
        self.send(frame(15, 1, ",".join(self.tws.book.accounts)))
        self.send(frame(9, 1, self.tws.next_id))
        for code, words in FARMS:
            self.send(messages.error(-1, code, words))

    def send(self, message: bytes) -> None:
        """Write one message now, `latency` later, or not at all while the stand-in is silent."""
        if self.tws.silent:
            return
        if self.tws.latency:
            self._late.append(message)
            asyncio.get_running_loop().call_later(self.tws.latency, self._write_late)
        else:
            self.transport.write(message)

    def _write_late(self) -> None:
        """The oldest delayed message: first in, first out, whatever the timer's resolution."""
        message = self._late.popleft()
        if not self.tws.silent:
            self.transport.write(message)

    @property
    def keeps_up(self) -> bool:
        """Whether the client reads what it is sent."""
        return self.transport.get_write_buffer_size() < UNSENT_LIMIT

    def drop(self) -> None:
        """Reset the connection, as a killed process or a cut line does."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
