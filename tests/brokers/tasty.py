"""A small tastytrade for tests: the unmodified SDK connects to it, and it fails in every way one asks for.

    with Tasty(Book.load("tests/brokers/books/tasty.yaml", date.today())) as tasty:
        session._client.base_url = tasty.url  # REST; DXLink follows; AlertStreamer.base_url = tasty.streamer_url
        tasty.set_position("5WT00001", "AAPL", 300)  # pushed to the account streamer
        tasty.fault("token_killed")
        tasty.drop()

It runs in a thread of its own, and every method may be called from any thread. As a process of its own, to be killed:
`python -m tests.brokers.tasty --book tests/brokers/books/tasty.yaml --port 8787 --rate 1`. See README.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Self

from tests.brokers.tasty_book import Book, Row
from tests.brokers.tasty_changes import Changes
from tests.brokers.tasty_exchange import Exchange
from tests.brokers.tasty_faults import Faults, How
from tests.brokers.tasty_line import Line
from tests.brokers.tasty_stream import BEAT, Stream
from tests.brokers.tasty_trades import Trades
from tests.brokers.tws_host import Host

if TYPE_CHECKING:
    from tests.brokers.tasty_dxlink import DxLink
    from tests.brokers.tasty_notices import Notices

QUOTE_TOKEN_LIFE = timedelta(hours=24)


class Tasty(Changes, Trades):
    """REST, DXLink and account streamer on one port. Read `url`, `asked`, `tokens`, `sockets`, `orders`."""

    def __init__(
        self,
        book: Book,
        *,
        port: int = 0,
        rate: float = 0.0,
        expires_in: int = 900,
        keepalive: float = 30.0,
        candle_zone: tzinfo = UTC,
        trades: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.book = book
        self.expires_in = expires_in
        """seconds a bearer lives"""
        self.keepalive = keepalive
        """seconds between two KEEPALIVE messages of DXLink"""
        self.candle_zone = candle_zone
        """where the midnight is that dates a daily candle"""
        self.level = "api"
        self.clock = clock
        self.asked: Counter[str] = Counter()
        """requests, upgrades and websocket messages received, by short name"""
        self.tokens = 0
        """bearers given out: how many logins succeeded"""
        self.bearer = ""
        """the last one"""
        self.sockets: Counter[str] = Counter()
        """websockets open now, by kind: dxlink, account"""
        self.most_sockets: Counter[str] = Counter()
        self.all_sockets: Counter[str] = Counter()
        """opened so far"""
        self.orders: list[Row] = []
        """requests that trade, or would where it does not `trades`: then they must stay empty"""
        self.trades = trades
        """whether it takes orders"""
        self.exchange = Exchange(self)
        self.dry_runs: list[Row] = []
        self.mistakes: list[str] = []
        """exceptions of the stand-in's own, raised again when it is left"""
        self.silent = False
        self.walks = False
        self.faults = Faults()
        self.connections: list[Line] = []
        self.feeds: list[DxLink] = []
        self.listeners: list[Notices] = []
        self._bearers: dict[str, datetime] = {}
        self._quote_tokens: dict[str, datetime] = {}
        self._sequence = 0
        self._stream = Stream(per_symbol=rate)
        self._host = Host(lambda: Line(self), port)
        self._do = self._host.do
        self.listen, self.refuse = self._host.listen, self._host.refuse
        """accept connections again, on the same port; refuse new ones while those that exist live on"""

    # the line

    def start(self) -> Self:
        """Itself, once it listens. OSError when the port is taken."""
        self._host.start()
        self._do(lambda: asyncio.get_running_loop().set_exception_handler(self._mistaken))
        self._do(self._beat)
        return self

    def stop(self) -> None:
        """Close everything and end the thread; harmless when it is not running."""
        self.drop()
        self._host.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: object, *_: object) -> None:
        self.stop()
        if kind is None and self.mistakes:
            raise AssertionError(f"the stand-in itself went wrong: {self.mistakes}")

    @property
    def port(self) -> int:
        """Where it listens, or did last."""
        return self._host.port

    @property
    def url(self) -> str:
        """Base of every REST request."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def streamer_url(self) -> str:
        """The account streamer."""
        return f"ws://127.0.0.1:{self.port}/streamer"

    def drop(self, kind: str = "") -> None:
        """Reset every connection, or the websockets of one kind."""

        def work() -> None:
            for line in list(self.connections):
                if not kind or (line.speaker is not None and line.speaker.kind == kind):
                    line.drop()

        self._do(work)

    def silence(self, silent: bool) -> None:  # noqa: FBT001  # reads as `silence(True)`
        """Half-open: take what clients send and say nothing. What was asked meanwhile is never answered."""
        self.silent = silent

    # faults

    def fault(self, name: str, **how: Any) -> None:
        """Have a fault from now on; `how` as tasty_faults.FAULTS describes it. ValueError for an unknown name."""
        if "symbols" in how:
            rows = [self.book.instruments[self.book.symbol(symbol)] for symbol in how["symbols"]]
            how["symbols"] = [row["streamer-symbol"] for row in rows]
        self._do(lambda: self.faults.set(name, how))
        self._do(lambda: self._follow(name))

    def mend(self, name: str = "") -> None:
        """Stop having one fault, or all of them."""
        for one in [name] if name else list(self.faults.active):
            self._do(lambda one=one: self.faults.active.pop(one, None))  # type: ignore[misc]  # bound in a loop
            self._do(lambda one=one: self._follow(one))  # type: ignore[misc]

    def hit(self, name: str, **about: str) -> How | None:
        """How a fault was described when it concerns what this is `about`, else None; counts down its `times`."""
        return self.faults.hit(name, **about)

    def _follow(self, name: str) -> None:
        """What is open already feels a fault at once."""
        if name == "token_killed":
            self._bearers.clear()
        for line in list(self.connections) if name == "ws_drop" else ():
            if line.speaker is not None and (how := self.hit(name, kind=line.speaker.kind)):
                asyncio.get_running_loop().call_later(how.get("seconds", 0.0), line.cut, how.get("code"))
        for feed in self.feeds:
            if name in ("nan_greeks", "silent_symbols"):
                feed.resend("Greeks")
            elif name in ("error_frame", "garbage", "channel_closed"):
                feed.misbehave()

    # tokens

    def new_bearer(self) -> str:
        """A bearer that lives `expires_in` seconds."""
        self.tokens += 1
        self.bearer = f"bearer-{self.tokens}"
        self._bearers[self.bearer] = self.clock() + timedelta(seconds=self.expires_in)
        return self.bearer

    def knows(self, bearer: str) -> bool:
        """Whether a bearer is one of its own and lives."""
        if self.faults.active.get("token_killed", {}).get("always"):
            return False
        return bearer in self._bearers and self.clock() < self._bearers[bearer]

    def new_quote_token(self) -> str:
        """A token for DXLink that lives 24 hours."""
        token = f"quotes-{len(self._quote_tokens) + 1}"
        self._quote_tokens[token] = self.clock() + QUOTE_TOKEN_LIFE
        return token

    def knows_quote_token(self, token: str) -> bool:
        """Whether DXLink accepts a token."""
        if self.hit("quote_token_dead"):
            return False
        return token in self._quote_tokens and self.clock() < self._quote_tokens[token]

    # the feed

    def stream(self, total_per_second: float = 0.0, *, per_symbol: float = 0.0, walk: bool = False) -> None:
        """Send so many updates a second over all subscriptions, or for each; prices stay unless they `walk`."""

        def work() -> None:
            self._stream, self.walks = Stream(total=total_per_second, per_symbol=per_symbol), walk

        self._do(work)

    # what its parts share

    def told_time(self) -> datetime:
        """The time of its Date headers."""
        return self.clock().astimezone(UTC) + timedelta(seconds=self.faults.active.get("clock", {}).get("seconds", 0.0))

    def count_socket(self, kind: str) -> None:
        """Count a websocket that opened."""
        self.sockets[kind] += 1
        self.all_sockets[kind] += 1
        self.most_sockets[kind] = max(self.most_sockets[kind], self.sockets[kind])

    def next_sequence(self) -> int:
        """A number no event had before."""
        self._sequence += 1
        return self._sequence

    def nudge(self) -> float:
        """Dollars a walking price is away from the book: -0.05 to 0.05, in the same order every time."""
        return (self.next_sequence() * 7 % 11 - 5) / 100 if self.walks else 0.0

    def _mistaken(self, _: asyncio.AbstractEventLoop, told: Row) -> None:
        self.mistakes.append(f"{told.get('message')}: {told.get('exception')!r}")

    def _beat(self) -> None:
        asyncio.get_running_loop().call_later(BEAT, self._beat)
        self._stream.beat(self.feeds, asyncio.get_running_loop().time())


if __name__ == "__main__":
    from tests.brokers.tasty_cli import main

    main()
