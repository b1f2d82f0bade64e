"""One connection to TWS or IB Gateway, from the handshake until it is lost; made anew for every attempt.

The client library forgets everything when the socket closes, never reconnects, never notices a half-open socket, and
some of its requests never end. So: every await has a timeout, the other side is asked for its time twice a second,
positions are asked for again every few seconds, and what was read is kept here with the time at which it was heard.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

import ib_async
from ib_async.ib import StartupFetch
from ib_async.wrapper import RequestError

from adapters.condition import Lost
from adapters.ibkr import conditions
from adapters.ibkr.gateway import Gateway
from adapters.skew import Skew
from guardrails.redaction import redact

_Answer = TypeVar("_Answer")
PHASE_SECONDS = 4.0
"""of each phase of the handshake"""
PROBE_SECONDS, PROBE_ANSWER_SECONDS, GIVE_UP_SECONDS = 0.5, 1.2, 5.0
"""how often it is asked whether the other side lives, when it counts as not answering, when the socket is given up"""
CONFIRM_SECONDS, HURRY_SECONDS, ANSWER_SECONDS = 10.0, 1.0, 5.0
"""how often positions are read whole, how often while they are in doubt, and how long any single answer may take"""
POSITIONS_SILENT_SECONDS, ORDERS_SECONDS = 30.0, 60.0
_MARGIN_TAGS = frozenset({"NetLiquidation", "MaintMarginReq", "ExcessLiquidity"})
_NEVER_ENDS = frozenset({321})
"""a request answered by one of these stays open for ever in the client library"""


class Refused(Exception):  # noqa: N818  # an answer, not a fault of ours
    """IBKR answered a request with an error; the text has no account number."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(f"{code}: {redact(text)}")


def _heed(task: asyncio.Future[_Answer]) -> None:
    """Look at how a request ended although nobody waits for it any more, or asyncio writes it to the log."""
    if not task.cancelled():
        task.exception()


class Session:
    """Open it, run it until `Lost` is raised, abandon it. `signal` is called when something must be seen at once."""

    def __init__(self, gateway: Gateway, clock: Callable[[], datetime], signal: Callable[[], None]) -> None:
        self.gateway, self.clock, self.signal = gateway, clock, signal
        self.ib = ib_async.IB()
        self.ib.RaiseRequestErrors = True
        self.accounts: tuple[str, ...] = ()
        self.rows: dict[tuple[str, int], ib_async.Position] = {}
        self.rows_time: datetime | None = None
        self.listed: list[ib_async.Position] = []
        """the first list of positions, not yet believed"""
        self.account_times: dict[str, datetime] = {}
        self.pnl: dict[str, ib_async.PnL] = {}
        self.pnl_times: dict[str, datetime] = {}
        self.executions_known = False
        self.working_orders: int | None = None
        self.orders_time: datetime | None = None
        self.answered: datetime | None = None
        self.silent = False
        self.link_lost = False
        self.resynchronising = False
        self.doubted = False
        """the last list of positions cannot be true"""
        self.broken_farms: set[str] = set()
        self.skew = Skew()
        self.contract_errors: dict[int, tuple[int, str]] = {}
        """by contract id: why its quotes do not come"""
        self.on_quotes_lost: Callable[[], None] = lambda: None
        self.on_line_broken: Callable[[int], None] = lambda con_id: None  # noqa: ARG005  # as below
        self.on_no_line: Callable[[int], None] = lambda con_id: None  # noqa: ARG005  # until quotes stream
        self.previewing = asyncio.Lock()
        self._codes: dict[int, str] = {}
        self.moved = asyncio.Event()
        """somebody has traded, or what is known of orders may not hold any more"""
        self.on_listing: Callable[[], None] = lambda: None
        """called when the open orders of all clients are about to be told"""
        self._reread = asyncio.Event()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def open(self, fetch: StartupFetch) -> None:
        """Handshake, positions and account figures; Lost with the condition when any of it fails."""
        ib, gateway = self.ib, self.gateway
        ib.errorEvent += self._on_error
        ib.client.apiError += self._on_end
        ib.client.conn.disconnected += self._on_end  # the client is silent when it is shut out during the handshake
        ib.disconnectedEvent += self._on_end
        ib.accountValueEvent += self._on_account_value
        ib.positionEvent += self._on_position
        ib.pnlEvent += self._on_pnl
        attempt = asyncio.ensure_future(
            ib.connectAsync(
                gateway.host, gateway.port, gateway.client_id, timeout=PHASE_SECONDS, readonly=True,
                raiseSyncErrors=True, fetchFields=fetch,
            )
        )  # fmt: skip
        try:
            await asyncio.wait({attempt, self._ended}, timeout=5 * PHASE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            await self._judge_attempt(attempt)
        finally:
            if not attempt.done():
                attempt.cancel()
                await asyncio.wait({attempt}, timeout=0.5)
        self._check_accounts()
        self.listed, self.answered = ib.positions(), self.clock()
        for account in self.accounts:
            self.pnl[account] = ib.reqPnL(account)

    async def _judge_attempt(self, attempt: asyncio.Future[object]) -> None:
        host, port = self.gateway.host, self.gateway.port
        if not attempt.done() and self._ended.done():
            await asyncio.wait({attempt}, timeout=0.2)  # a refused connection ends both, a closed one only the first
        error = attempt.exception() if attempt.done() and not attempt.cancelled() else None
        if attempt.done() and error is None and not attempt.cancelled():
            return
        if isinstance(error, ConnectionRefusedError):
            raise Lost(conditions.refused(host, port, self.clock()))
        if isinstance(error, ConnectionError) and error.args and isinstance(error.args[0], list):
            raise Lost(conditions.unsynchronised([str(name) for name in error.args[0]]))
        if isinstance(error, OSError) and not isinstance(error, (TimeoutError, ConnectionError)):
            raise Lost(conditions.unreachable(host, port, error.strerror or type(error).__name__))
        if isinstance(error, TimeoutError) and self.ib.client.conn.numMsgSent == 0:
            raise Lost(conditions.unreachable(host, port, "no answer"))
        closed = self._ended.done() and not isinstance(error, TimeoutError)
        raise Lost(
            conditions.of_handshake(self._codes, closed=closed, host=host, port=port, client_id=self.gateway.client_id)
        )

    def _check_accounts(self) -> None:
        offered = tuple(self.ib.managedAccounts())
        wanted = self.gateway.account
        if wanted and wanted not in offered:
            raise Lost(conditions.unknown_account(wanted, offered))
        self.accounts = (wanted,) if wanted else offered

    def abandon(self) -> None:
        """Close the socket for good, also when bytes are stuck in it, and let go of every handler."""
        ib, transport = self.ib, self.ib.client.conn.transport
        ib.errorEvent -= self._on_error
        ib.client.apiError -= self._on_end
        ib.client.conn.disconnected -= self._on_end
        ib.disconnectedEvent -= self._on_end
        ib.accountValueEvent -= self._on_account_value
        ib.positionEvent -= self._on_position
        ib.pnlEvent -= self._on_pnl
        ib.wrapper.setTimeout(0)
        with suppress(Exception):
            ib.disconnect()
        if transport is not None:
            transport.abort()

    @property
    def held(self) -> tuple[ib_async.Position, ...]:
        """The rows of the accounts that are read."""
        return tuple(row for row in self.rows.values() if row.account in self.accounts)

    @property
    def speaks(self) -> bool:
        """Whether the socket is open: the client library forgets all figures in the moment in which it closes."""
        return not self._ended.done() and self.ib.isConnected()

    async def watch(self) -> None:
        """Return never; raise Lost when the other side hangs up or does not answer for long."""
        self.answered = self.clock()
        while True:
            if self._ended.done():
                raise Lost(conditions.DROPPED)
            sent = self.clock()
            try:
                told = await self.named("currentTime", self.ib.reqCurrentTimeAsync, PROBE_ANSWER_SECONDS)
            except (TimeoutError, ConnectionError):
                if self._ended.done():
                    continue
                if not self.silent:
                    self.silent = True
                    self.signal()
                if self.clock() - self.answered > timedelta(seconds=GIVE_UP_SECONDS):
                    raise Lost(conditions.NOT_ANSWERING) from None
                continue
            self.answered = received = self.clock()
            if self.silent:
                self.silent = False
                self.signal()
            else:
                self.skew.heard(told, sent, received)
            await asyncio.wait({self._ended}, timeout=PROBE_SECONDS)

    async def confirm(self, believe: Callable[[list[ib_async.Position]], bool]) -> None:
        """Return never: read all positions again and again; `believe` may refuse a list that cannot be true."""
        while True:
            pause = HURRY_SECONDS if self.doubted or self.resynchronising else CONFIRM_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._reread.wait()
            self._reread.clear()
            await self.read_positions(believe)

    async def read_positions(self, believe: Callable[[list[ib_async.Position]], bool]) -> None:
        """Read the positions whole; what does not answer leaves the old ones with their age."""
        with suppress(TimeoutError, ConnectionError):
            await self.positions(believe)

    async def positions(self, believe: Callable[[list[ib_async.Position]], bool]) -> bool:
        """Read the positions whole; whether the list is believed, and taken. TimeoutError when it does not come."""
        listed = await self.named("positions", self.ib.reqPositionsAsync, ANSWER_SECONDS)
        before, self.doubted = self.doubted, not believe(listed)
        if before != self.doubted:
            self.signal()
        if not self.doubted:
            self.replace_rows(listed)
            if self.resynchronising and not self.link_lost:
                self.resynchronising = False
                self.signal()
        return not self.doubted

    def replace_rows(self, listed: Iterable[ib_async.Position]) -> None:
        """Take `listed` for the whole truth; of one contract the last row counts, and 0 is nothing."""
        rows = {(row.account, row.contract.conId): row for row in listed}
        before, self.rows = self.rows, {key: row for key, row in rows.items() if row.position != 0}
        self.rows_time = self.clock()
        if {key: row.position for key, row in before.items()} != {k: row.position for k, row in self.rows.items()}:
            self.look_again()

    def look_again(self) -> None:
        """Somebody has traded: what was read of today's fills is no longer all of them."""
        self.executions_known = False
        self.moved.set()

    async def follow_orders(self) -> None:
        """Return never: read today's executions and the resting orders; on some gateways neither is ever answered.

        Fills of orders given elsewhere are not pushed, so they are read again when a position has moved.
        """
        while True:
            self.moved.clear()
            with suppress(TimeoutError, ConnectionError, Refused):
                await self.answer(self.ib.reqExecutionsAsync(), ANSWER_SECONDS)
                self.executions_known = not self.moved.is_set()
            with suppress(TimeoutError, ConnectionError, Refused):
                await self.open_orders()
            with suppress(TimeoutError):
                async with asyncio.timeout(ORDERS_SECONDS):
                    await self.moved.wait()

    async def open_orders(self) -> None:
        """Have the open orders of all clients told."""

        def ask() -> Awaitable[list[ib_async.Trade]]:
            self.on_listing()
            return self.ib.reqAllOpenOrdersAsync()

        trades = await self.named("openOrders", ask, ANSWER_SECONDS)
        self.orders_time = self.clock()
        self.working_orders = sum(1 for trade in trades if not trade.isDone())

    async def named(self, name: str, ask: Callable[[], Awaitable[_Answer]], seconds: float) -> _Answer:
        """The answer to a request that has a name instead of a number: of two at once the first would never end."""
        async with self._locks[name]:
            async with asyncio.timeout(seconds):  # wait_for may lose a cancellation, and the session would never end
                return await ask()

    async def answer(
        self, asked: Awaitable[_Answer], seconds: float, contract: ib_async.Contract | None = None
    ) -> _Answer:
        """The answer within `seconds`; Refused with IBKR's words, also for refusals the client library waits after."""
        refusal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task: asyncio.Future[_Answer] = asyncio.ensure_future(asked)
        task.add_done_callback(_heed)
        if contract is not None:
            self._waiting[id(contract)] = refusal
        try:
            await asyncio.wait([task, refusal], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]  # futures of two results
            if refusal.done():
                refusal.result()
            if not task.done():
                raise TimeoutError
            return task.result()
        except RequestError as error:
            raise Refused(error.code, error.message) from None
        finally:
            if contract is not None:
                self._waiting.pop(id(contract), None)
            refusal.cancel()
            if not task.done():
                task.cancel()

    async def details(self, contract: ib_async.Contract) -> list[ib_async.ContractDetails]:
        """What IBKR knows of `contract`, one entry for each match; Refused when there is none."""
        return await self.answer(self.ib.reqContractDetailsAsync(contract), ANSWER_SECONDS, contract)

    def _on_end(self, *_: object) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
            self.signal()

    def _on_account_value(self, value: ib_async.AccountValue) -> None:
        if value.tag in _MARGIN_TAGS:
            self.account_times[value.account] = self.clock()

    def _on_position(self, row: ib_async.Position) -> None:
        key = (row.account, row.contract.conId)
        held = self.rows.get(key)
        if self.rows_time is None or (0.0 if held is None else held.position) == row.position:
            return
        if row.position != 0:
            self.rows[key] = row
        elif sum(account == row.account for account, _ in self.rows) > 1:
            del self.rows[key]
        else:  # the account would be empty: the whole list and the account's own figures decide that
            self.doubted = True
            self._reread.set()
            self.signal()
        self.look_again()

    def _on_pnl(self, pnl: ib_async.PnL) -> None:
        self.pnl_times[pnl.account] = self.clock()

    def _on_error(self, number: int, code: int, text: str, contract: ib_async.Contract | None) -> None:
        self._codes[code] = text
        if contract is not None and code in _NEVER_ENDS:
            waiting = self._waiting.get(id(contract))
            if waiting is not None and not waiting.done():
                waiting.set_exception(Refused(code, text))
        streamed = number in self.ib.wrapper.reqId2Ticker
        if contract is not None and streamed and code in conditions.NO_QUOTES:
            self.contract_errors[contract.conId] = (code, redact(text))
        elif contract is not None and streamed and code == conditions.NO_LINE_LEFT:
            self.on_no_line(contract.conId)
        elif contract is not None and streamed and code == conditions.DATA_BROKEN:
            self.on_line_broken(contract.conId)
        elif code in (conditions.LINK_LOST, conditions.SERVER_BROKEN):
            self.link_lost = True
            self.signal()
        elif code in (conditions.DATA_LOST, conditions.LINK_BACK):
            self.link_lost, self.resynchronising = False, True
            self._reread.set()
            self.look_again()
            if code == conditions.DATA_LOST:
                self.on_quotes_lost()
            self.signal()
        elif code in conditions.FARM_BROKEN | conditions.FARM_OK:
            self._on_farm(code, text)
        elif code == conditions.PORT_CHANGED:
            self._on_end()

    def _on_farm(self, code: int, text: str) -> None:
        """Note which farm is broken; its name stands behind the colon."""
        name, before = text.rpartition(":")[2].strip(), bool(self.broken_farms)
        if code in conditions.FARM_BROKEN:
            self.broken_farms.add(name)
        else:
            self.broken_farms.discard(name)
        if before != bool(self.broken_farms):
            self.signal()
