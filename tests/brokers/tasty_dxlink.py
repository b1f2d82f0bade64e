"""DXLink: handshake, channels, subscriptions and data over one websocket, with everything that can go wrong in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.brokers.tasty_events import KINDS, TICKING, Event, candles, event
from tests.brokers.tasty_feed import LARGEST, grouped, parts

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty
    from tests.brokers.tasty_line import Line

Message = dict[str, Any]
AUTH_TRIES = 5
"""refused tokens after which the server closes, so that a client which tries again at once does not spin"""


@dataclass(slots=True)
class Channel:
    """One feed: its agreed fields by event type, and what is subscribed (with fromTime)."""

    number: int
    fields: dict[str, list[str]] = field(default_factory=dict)
    wanted: dict[tuple[str, str], int] = field(default_factory=dict)


class DxLink:
    """One client of the market data feed."""

    kind = "dxlink"

    def __init__(self, tasty: Tasty, line: Line) -> None:
        self.tasty = tasty
        self.line = line
        self.authorized = False
        self.channels: dict[int, Channel] = {}
        self._taken: set[int] = set()
        """channels closed by the server on its own: what is asked of them is ignored"""
        self._tries = 0
        self._silent = 0
        """intervals since a word of the client"""
        self._timer: asyncio.TimerHandle | None = None
        self._hears = {
            "SETUP": self._setup, "AUTH": self._auth, "KEEPALIVE": lambda _: None, "CHANNEL_REQUEST": self._request,
            "CHANNEL_CANCEL": self._cancel, "FEED_SETUP": self._feed_setup, "FEED_SUBSCRIPTION": self._subscribe,
        }  # fmt: skip

    def opened(self) -> None:
        """The client speaks first; from now on the connection is kept alive."""
        self.tasty.feeds.append(self)
        self._alive()

    def closed(self) -> None:
        """Forget the client."""
        self.tasty.feeds.remove(self)
        if self._timer is not None:
            self._timer.cancel()

    def _alive(self) -> None:
        """KEEPALIVE at its interval; a client silent for two of them is told TIMEOUT and closed."""
        if self._silent >= 2:  # counted, not timed: on a busy machine two intervals may end together
            self._say("ERROR", error="TIMEOUT", message="Keepalive timeout")
            self.line.cut(1000)
            return
        if self.authorized:
            self._say("KEEPALIVE")
        self._silent += 1
        self._timer = asyncio.get_running_loop().call_later(self.tasty.keepalive, self._alive)

    def hear(self, message: Message) -> None:
        """Act on one message of the client."""
        self._silent = 0
        name = str(message.get("type"))
        self.tasty.asked[name] += 1
        work = self._hears.get(name)
        if work is None:
            self._say("ERROR", error="INVALID_MESSAGE", message=f"Unknown type {name}")
        elif not self.authorized and name not in ("SETUP", "AUTH", "KEEPALIVE"):
            self._say("ERROR", error="UNAUTHORIZED", message="Not authorized")
        else:
            work(message)

    def _say(self, name: str, channel: int = 0, **more: Any) -> None:
        self.line.send({"type": name, "channel": channel, **more})

    # handshake

    def _setup(self, message: Message) -> None:
        self._say("SETUP", keepaliveTimeout=60, acceptKeepaliveTimeout=60, version="1.0-stand-in")
        self._say("AUTH_STATE", state="UNAUTHORIZED")

    def _auth(self, message: Message) -> None:
        if self.tasty.hit("auth_hang"):
            return
        if not self.tasty.knows_quote_token(str(message.get("token"))):
            self._tries += 1
            self._say("AUTH_STATE", state="UNAUTHORIZED")
            if self._tries >= AUTH_TRIES:
                self.line.cut(1000)
            return
        self.authorized = True
        self._say("AUTH_STATE", state="AUTHORIZED", userId="stand-in")
        self.misbehave()

    # channels

    def _request(self, message: Message) -> None:
        number = message["channel"]
        if self.tasty.hit("channel_hang"):
            return
        self.channels[number] = Channel(number)
        self._taken.discard(number)
        self._say("CHANNEL_OPENED", number, service="FEED", parameters={"contract": "AUTO", "subFormat": "LIST"})

    def _cancel(self, message: Message) -> None:
        self.channels.pop(message["channel"], None)
        self._say("CHANNEL_CLOSED", message["channel"])

    def _feed_setup(self, message: Message) -> None:
        channel = self._channel(message)
        if channel is None:
            return
        accepted = message.get("acceptEventFields") or {}
        own = bool(self.tasty.hit("own_order"))
        channel.fields |= {name: list(reversed(told)) if own else list(told) for name, told in accepted.items()}
        self._say(
            "FEED_CONFIG", channel.number, dataFormat="FULL" if self._full else "COMPACT",
            aggregationPeriod=message.get("acceptAggregationPeriod", 0.1), eventFields=channel.fields,
        )  # fmt: skip
        self.misbehave(channel)

    @property
    def _full(self) -> bool:
        return "full_format" in self.tasty.faults.active

    def _channel(self, message: Message) -> Channel | None:
        channel = self.channels.get(message["channel"])
        if channel is None and message["channel"] not in self._taken:
            self._say("ERROR", message["channel"], error="BAD_ACTION", message="No such channel")
        return channel

    def _subscribe(self, message: Message) -> None:
        channel = self._channel(message)
        if channel is None:
            return
        if message.get("reset"):
            channel.wanted.clear()
        for told in message.get("remove") or ():
            channel.wanted.pop((told["type"], told["symbol"]), None)
        fresh: list[Event] = []
        for told in message.get("add") or ():
            key = (told["type"], told["symbol"])
            if told["type"] not in KINDS:
                self._say("ERROR", channel.number, error="BAD_ACTION", message=f"Unknown event type {told['type']}")
                continue
            channel.wanted[key] = told.get("fromTime", 0)
            fresh += self._first(*key, channel.wanted[key])
        self.tell(channel, fresh)

    def _first(self, kind: str, symbol: str, from_time: int) -> list[Event]:
        """What a subscription begins with: the snapshot."""
        if kind == "Candle":
            return candles(self.tasty, symbol, from_time)
        now = event(self.tasty, kind, symbol)
        return [] if now is None else [now]

    # data

    def ticking(self) -> list[tuple[DxLink, Channel, str, str]]:
        """Every subscription that moves while the stream runs."""
        if not self.authorized or self.line.backed_up:
            return []
        return [
            (self, channel, *key) for channel in self.channels.values() for key in channel.wanted if key[0] in TICKING
        ]

    def push(self, kind: str, symbol: str) -> None:
        """Send what is known now, if it is subscribed."""
        for channel in self.channels.values():
            if (kind, symbol) in channel.wanted:
                now = event(self.tasty, kind, symbol)
                self.tell(channel, [] if now is None else [now])

    def resend(self, kind: str) -> None:
        """Send everything of one type again, as it is now."""
        for channel in self.channels.values():
            for told, symbol in channel.wanted:
                if told == kind:
                    self.push(kind, symbol)

    def tell(self, channel: Channel, events: Iterable[Event]) -> None:
        """Send events, in as many messages as their size needs."""
        if self.tasty.hit("ws_quiet"):
            return
        for kind, told in grouped(events).items():
            names = channel.fields.get(kind) or list(told[0])
            rows = told if self._full else [[one.get(name) for name in names] for one in told]
            limit = None if "big_frames" in self.tasty.faults.active else LARGEST
            for part in parts(rows, limit):
                if self._full:
                    block: list[Any] = list(part)
                elif "many_blocks" in self.tasty.faults.active:
                    block = [each for row in part for each in (kind, row)]
                else:
                    block = [kind, [value for row in part for value in row]]
                self._say("FEED_DATA", channel.number, data=block)

    def misbehave(self, opened: Channel | None = None) -> None:
        """Have the faults that are messages of their own: after the login, or in the channel that was just set up."""
        for name, work in (("error_frame", self._err), ("garbage", self._garble), ("channel_closed", self._close)):
            how = self.tasty.faults.active.get(name)
            if how is None or not self.authorized:
                continue
            typed = how.get("type") is not None or name == "channel_closed" or how.get("kind") == "field_count"
            if not typed and opened is None:
                self.tasty.hit(name)
                work(0, how)
            for channel in [opened] if opened else list(self.channels.values()):
                if typed and (how.get("type") is None or how["type"] in channel.fields) and self.tasty.hit(name):
                    work(channel.number, how)

    def _err(self, number: int, how: Message) -> None:
        told = how.get("message", "The stand-in was told to fail")
        self._say("ERROR", number, error=how.get("error", "BAD_ACTION"), message=told)

    def _garble(self, number: int, how: Message) -> None:
        kind = how.get("kind", "not_json")
        if kind == "not_json":
            self.line.send("{not json")
        elif kind == "unknown_type":
            self._say("FEED_GOSSIP", number)
        else:
            name = next(iter(self.channels[number].fields), "Quote")
            self._say("FEED_DATA", number, data=[name, ["SPY", 0, 0]])

    def _close(self, number: int, how: Message) -> None:
        self.channels.pop(number, None)
        self._taken.add(number)
        self._say("CHANNEL_CLOSED", number)
