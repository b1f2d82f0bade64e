"""A small TWS for tests: the unmodified ib_async connects to it, and it fails in every way one asks for.

    with Tws(Book.load("tests/brokers/books/mixed.yaml", date.today())) as tws:
        await ib.connectAsync("127.0.0.1", tws.port, clientId=17)
        tws.set_position("DU1234567", 265598, 200)  # pushed to the client
        tws.fault("mute_whatif")
        tws.drop()

It runs in a thread of its own, and every method may be called from any thread. As a process of its own, to be killed:
`python -m tests.brokers.tws --book tests/brokers/books/mixed.yaml --port 4002 --rate 1`. See README.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from tests.brokers import tws_messages as messages
from tests.brokers.tws_answers import send_account, send_pnl
from tests.brokers.tws_book import Book, Row
from tests.brokers.tws_desk import Desk, Sent
from tests.brokers.tws_faults import MARKET_FAULTS, NOTICES, Faults, How
from tests.brokers.tws_host import Host
from tests.brokers.tws_lines import Line, prepare, serve, tell
from tests.brokers.tws_orders import PlacedOrder
from tests.brokers.tws_session import Session
from tests.brokers.tws_stream import BEAT, Stream
from tests.brokers.tws_wire import HIGHEST, LOWEST, frame

PULSE = 1.0
"""seconds between two P&L updates"""


class Tws:
    """A server that speaks TWS's text protocol from a book. Read `port`, `asked`, `lines`, `most_lines`, `orders`."""

    def __init__(
        self,
        book: Book,
        *,
        port: int = 0,
        version: int = 176,
        max_lines: int = 100,
        takes_orders: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not LOWEST <= version <= HIGHEST:
            raise ValueError(f"version {version} is not spoken here: choose {LOWEST} to {HIGHEST}")
        self.book = book
        self.version = version
        self.max_lines = max_lines
        self.clock = clock
        self.next_id = 1 + max((row["orderId"] for row in book.open_orders), default=0)
        self.asked: Counter[str] = Counter()
        """requests received, by name"""
        self.orders: list[PlacedOrder] = []
        """real orders as they came; where none are taken they were refused, and this must stay empty"""
        self.desk = Desk(self) if takes_orders else None
        """what becomes of orders; None: a real order is refused (321)"""
        self.what_ifs: list[PlacedOrder] = []
        self.most_lines = 0
        self.silent = False
        self.walks = False
        self.sessions: list[Session] = []
        self._faults = Faults()
        self._stream = Stream()
        self._linked = True
        self._host = Host(lambda: Session(self), port)
        self._do = self._host.do
        self.listen, self.refuse = self._host.listen, self._host.refuse
        """accept connections again, on the same port; refuse new ones while those that exist live on"""

    # the line

    def start(self) -> Self:
        """Itself, once it listens. OSError when the port is taken."""
        self._host.start()
        self._do(self._beat)
        self._do(self._pulse)
        return self

    def stop(self) -> None:
        """Close everything and end the thread; harmless when it is not running."""
        self.drop()
        self._host.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Where it listens, or did last."""
        return self._host.port

    def drop(self) -> None:
        """Reset every connection."""

        def work() -> None:
            for session in list(self.sessions):
                session.drop()

        self._do(work)

    def silence(self, silent: bool) -> None:  # noqa: FBT001  # reads as `silence(True)`
        """Half-open: take what clients send and say nothing. What was asked meanwhile is never answered."""
        self.silent = silent

    def say(self, code: int, words: str = "", *, req_id: int = -1) -> None:
        """Send a notice. 1100 also stops quotes and P&L, 1101 and 1102 start them, 1101 having lost every line."""

        def work() -> None:
            self._linked = code != 1100 and (self._linked or code in (1101, 1102))
            for session in self.sessions:
                if code == 1101:
                    session.lines.clear()
                session.send(messages.error(req_id, code, words or NOTICES.get(code, f"Notice {code}")))

        self._do(work)

    # faults

    def fault(self, name: str, **how: Any) -> None:
        """Have a fault from now on; `how` as tws_faults.FAULTS describes it. ValueError for an unknown name."""
        self._do(lambda: self._faults.set(name, how))
        self._do(lambda: self._follow(name))

    def mend(self, name: str = "") -> None:
        """Stop having one fault, or all of them."""
        for one in [name] if name else list(self._faults.active):
            self._do(lambda one=one: self._faults.active.pop(one, None))  # type: ignore[misc]  # bound in a loop
            self._do(lambda one=one: self._follow(one))  # type: ignore[misc]

    def _follow(self, name: str) -> None:
        """Open lines hear at once what a market fault changes."""
        if name in MARKET_FAULTS:
            self._each_line(serve)

    def hit(self, name: str, con_id: int | None = None) -> How | None:
        """How a fault was described when it concerns this contract, else None; counts down its `times`."""
        return self._faults.hit(name, con_id)

    # state

    def set_position(self, account: str, con_id: int, quantity: float, avg_cost: float | None = None) -> None:
        """Change a position and push it; zero closes it. `avg_cost` includes the multiplier; default: as it was."""

        def work() -> None:
            cost = self.book.positions.get((account, con_id), (0.0, 0.0))[1] if avg_cost is None else avg_cost
            self.book.positions[account, con_id] = (quantity, cost)
            if not quantity:
                del self.book.positions[account, con_id]
            row = self.book.contracts[con_id]
            for session in self.sessions:
                if session.wants_positions:
                    session.send(messages.position(account, row, quantity, cost))
                if session.account == account:
                    session.send(messages.portfolio(account, row, quantity, cost, self.book.mark(con_id)))

        self._do(work)

    def on_desk(self, name: str, *args: Any, **more: Any) -> Any:
        """Have the desk do something (`fill`, `cancel`, `reject`, `correct`, `place_elsewhere`, ...)."""
        if self.desk is None:
            raise ValueError("this stand-in takes no orders: make it with takes_orders=True")
        desk = self.desk
        return self._do(lambda: getattr(desk, name)(*args, **more))

    @property
    def sent(self) -> list[Sent]:
        """Every message about a real order, in order."""
        return [] if self.desk is None else list(self.desk.log)

    def set_value(self, account: str, tag: str, value: object, currency: str | None = None) -> None:
        """Change an account value and push it; currency None is the account's own, "" is none at all."""

        def work() -> None:
            money = self.book.currencies[account] if currency is None else currency
            self.book.accounts[account][tag, money] = str(value)
            for session in self.sessions:
                if session.account == account:
                    session.send(frame(6, 2, tag, value, money, account))
                for req_id, owner in session.multi.items():
                    if owner == account:
                        session.send(frame(73, 1, req_id, account, "", tag, value, money))
                for req_id, tags in session.summaries.items():
                    if tag in tags:
                        session.send(frame(63, 1, req_id, account, tag, value, money))

        self._do(work)

    def set_pnl(self, account: str, **figures: float) -> None:
        """Change `daily`, `unrealized` or `realized` of an account and push it."""
        self.book.pnl[account].update(figures)
        self._do(self._send_pnl)

    def set_quote(self, con_id: int, **figures: Any) -> None:
        """Change figures of a quote and push those; greeks as `model={"delta": 0.5}`, merged into the ones known."""

        def work() -> None:
            quote = self.book.quotes.setdefault(con_id, {})
            merged = {
                key: {**quote.get(key, {}), **told} if isinstance(told, dict) else told for key, told in figures.items()
            }
            quote.update(merged)
            sizes: Row = {key: size for key, size in quote.items() if key.endswith("Size")}

            def push(session: Session, line: Line) -> None:
                if line.con_id == con_id:
                    tell(session, line, {**sizes, **merged})

            self._each_line(push)

        self._do(work)

    def resend_account(self) -> None:
        """Send every subscribed account again, as TWS does each three minutes."""

        def work() -> None:
            for session in self.sessions:
                if session.account:
                    send_account(session, session.account)

        self._do(work)

    def stream(self, rate_per_line: float, *, walk: bool = False) -> None:
        """Send each line so many updates a second (0: none). Prices stay as in the book unless they `walk`."""

        def work() -> None:
            self._stream.rate, self.walks = rate_per_line, walk
            self._each_line(prepare)

        self._do(work)

    @property
    def latency(self) -> float:
        """Seconds every answer waits, by the fault `slow`."""
        slow = self._faults.active.get("slow")
        return float(slow.get("seconds", 0.5)) if slow else 0.0

    @property
    def lines(self) -> int:
        """Market data lines open now, over all clients."""
        return sum(len(session.lines) for session in list(self.sessions))

    def count_lines(self) -> None:
        """Remember the most lines ever open at once."""
        self.most_lines = max(self.most_lines, self.lines)

    # the loop

    def _each_line(self, work: Callable[[Session, Line], None]) -> None:
        for session in self.sessions:
            for line in list(session.lines.values()):
                work(session, line)

    def _beat(self) -> None:
        asyncio.get_running_loop().call_later(BEAT, self._beat)
        if self._linked and not self.silent:
            self._stream.beat(self.sessions)

    def _pulse(self) -> None:
        asyncio.get_running_loop().call_later(PULSE, self._pulse)
        if self._linked:
            self._send_pnl()

    def _send_pnl(self) -> None:
        if self.hit("mute_pnl"):
            return
        for session in self.sessions:
            for req_id in session.pnl:
                send_pnl(session, req_id)


if __name__ == "__main__":
    from tests.brokers.tws_cli import main

    main()
