"""What is known of orders and executions at IBKR: heard as it happens, read whole after every connection and doubt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

import ib_async

from adapters.ibkr import order_errors, order_states
from adapters.ibkr.conditions import DATA_LOST, LINK_BACK
from adapters.ibkr.heard_orders import HeardOrder, HeardOrders
from adapters.ibkr.lookup import Lookup
from adapters.ibkr.session import ANSWER_SECONDS, ORDERS_SECONDS, Refused, Session
from adapters.ibkr.view import SOURCE
from guardrails.calendar import exchange_date
from guardrails.errors import SourceError
from guardrails.instruments import Instrument
from guardrails.orders import OrdersRead
from guardrails.redaction import redact

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""between two readings that nobody asked for"""
_WORKING, _COMPLETED, _EXECUTIONS = "working orders", "today's completed orders", "today's executions"
_INVALID = 321
_LINK_BACK = (DATA_LOST, LINK_BACK)
_NOT_READ = f"{_WORKING}, {_COMPLETED} and {_EXECUTIONS} of this connection, which are being read"


class Orders:
    """The orders of every sender and today's executions; outlives sessions and belongs to one loop."""

    def __init__(self, lookup: Lookup, clock: Callable[[], datetime], client: int) -> None:
        self.heard, self.lookup, self.clock, self.client = HeardOrders(), lookup, clock, client
        self._session: Session | None = None
        self._time: datetime | None = None
        self._missing = _NOT_READ
        self._failed = ""
        self._not_answered = ""
        """IBKR's own word about requests that it did not answer, which names none of them"""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reading, self._event = asyncio.Lock(), asyncio.Event()
        self._translated: order_states.Memory = {}
        self._changes, self._told = 0, (-1, OrdersRead(SOURCE, clock()))

    def listen(self, session: Session) -> None:
        """Hear all that `session` says of orders, before and apart from the client library."""
        if self._session is session:
            return
        self._session, self._missing = session, _NOT_READ
        self.heard.session_begins()
        wrapper = session.ib.wrapper
        for name, hear in (
            ("openOrder", self._open_order), ("orderStatus", self._order_status),
            ("completedOrder", self._completed_order), ("execDetails", self._execution),
            ("commissionReport", self._commission), ("error", self._error),
        ):  # fmt: skip
            setattr(wrapper, name, self._before(hear, getattr(wrapper, name)))
        session.on_listing = self.heard.listing_begins
        self.note()

    def ended(self) -> None:
        """The connection is gone: what was working may be anything now."""
        self._missing = _NOT_READ
        self.note()

    async def follow(self, session: Session) -> None:
        """Return never: read everything at once, after each doubt, and every minute."""
        while True:
            session.moved.clear()
            with suppress(SourceError):
                await self.read(session)
            await asyncio.sleep(PAUSE_SECONDS)  # a storm of doubts must not become one of requests
            with suppress(TimeoutError):
                async with asyncio.timeout(ORDERS_SECONDS):
                    await session.moved.wait()

    async def said(self) -> None:
        """Return when anything was said of orders or executions since the last return."""
        self._settle_on_loop()
        await self._event.wait()
        self._event.clear()

    async def read(self, session: Session) -> None:
        """Read working orders of all, today's completed ones and executions; SourceError when nothing is answered."""
        self._settle_on_loop()
        async with self._reading:
            if self._session is not session:
                async with session.previewing:  # a preview puts back what it found
                    self.listen(session)
            today = exchange_date(self.clock())
            self.heard.prune(lambda time: exchange_date(time) == today)
            self._translated = {root: one for root, one in self._translated.items() if root in self.heard.fills}
            begun, self._not_answered = self.clock(), ""
            answers = await asyncio.gather(
                self._answered(_WORKING, lambda: self._read_working(session, begun)),
                self._answered(_COMPLETED, lambda: self._read_completed(session)),
                self._answered(_EXECUTIONS, lambda: self._read_executions(session)),
            )
            missing = [answer for answer in answers if answer]
            if len(missing) == len(answers):
                raise SourceError(f"IBKR does not tell {' and '.join(missing)}.")
            await self.lookup.learn(session, order_states.contracts_of(self.heard))
            self._missing, self._time = ", ".join(missing), self.clock()
            self.note()

    def _settle_on_loop(self) -> None:
        """What is waited on belongs to one loop, and the engine may be started again on another."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._reading, self._event = loop, asyncio.Lock(), asyncio.Event()
            self._event.set()  # what was said before anybody waited

    def told(self, session: Session | None) -> OrdersRead:
        """All that is known now, without asking; `session` is the present one, if any."""
        missing = self._missing_now(session)
        if self._told[0] != self._changes or self._told[1].missing != missing:
            self._told = (self._changes, self._composed(session, missing))
        return self._told[1]

    def _composed(self, session: Session | None, missing: str) -> OrdersRead:
        def instruments(con_id: int) -> Instrument | None:
            known = self.lookup.known(session, con_id)
            return None if known is None else known.instrument

        orders = order_states.broker_orders(self.heard, instruments, self.client)
        fills, unread = order_states.fills_of(self.heard, instruments, self._translated)
        accounts = () if session is None else session.accounts
        if accounts:
            orders = tuple(one for one in orders if one.account.number in (*accounts, ""))
            fills = tuple(one for one in fills if one.account.number in accounts)
        if unread:
            missing = ", ".join(part for part in (missing, f"what {unread} executions traded") if part)
        return OrdersRead(SOURCE, self._time or self.clock(), orders, fills, missing)

    def _missing_now(self, session: Session | None) -> str:
        if self._failed:
            return f"all that was said of orders ({self._failed})"
        if session is None or not session.speaks:
            return "anything, because there is no connection"
        if session.link_lost or session.silent:
            return "anything new, because TWS does not reach IBKR or does not answer"
        if session is not self._session:
            return _NOT_READ
        return self._missing

    async def _answered(self, name: str, ask: Callable[[], Awaitable[None]]) -> str:
        """Empty, or which answer did not come and why."""
        try:
            await ask()
        except Refused as refused:
            return f"{name} (IBKR: {refused})"
        except (TimeoutError, ConnectionError):
            return f"{name} (IBKR: {self._not_answered})" if self._not_answered else name
        return ""

    async def _read_working(self, session: Session, begun: datetime) -> None:
        try:
            await session.open_orders()
        except BaseException:
            self.heard.listing_failed()
            raise
        self.heard.listing_ends(begun)

    async def _read_completed(self, session: Session) -> None:
        await session.named(
            "completedOrders", lambda: session.ib.reqCompletedOrdersAsync(apiOnly=False), ANSWER_SECONDS
        )

    async def _read_executions(self, session: Session) -> None:
        await session.answer(session.ib.reqExecutionsAsync(), ANSWER_SECONDS)
        session.executions_known = not session.moved.is_set()

    # what is heard

    def _before(self, hear: Callable[..., None], pass_on: Callable[..., None]) -> Callable[..., None]:
        def both(*args: object) -> None:
            try:
                hear(*args)
            except Exception as error:  # a message that cannot be read must not pass for silence
                log.exception("a message about orders could not be read")
                self._failed = type(error).__name__
                self.note()
            pass_on(*args)

        return both

    def note(self) -> None:
        """Something has changed: who waits looks again."""
        self._time = self.clock()
        self._changes += 1
        self._event.set()

    def _heard(self, order: HeardOrder | None) -> None:
        """Something was said of `order`: what is unclear about it is asked soon."""
        if order is None:
            return
        # what is Inactive stands among the completed orders when it was rejected; asked once, not at every listing
        is_idle = order.status == order_errors.INACTIVE and not (order.completed or order.refused)
        if order.doubt or order.contract is None or (is_idle and not self.heard.is_listing):
            self._look_again()
        else:
            self._must_know(order.contract)
        self.note()

    def _must_know(self, contract: ib_async.Contract) -> None:
        """Have a contract looked up that others trade."""
        number, session = contract.conId, self._session
        is_single = contract.secType != "BAG"
        if is_single and self.lookup.known(session, number) is None and not self.lookup.is_refused(number):
            self._look_again()

    def _look_again(self) -> None:
        if self._session is not None:
            self._session.look_again()

    def _open_order(
        self, order_id: int, contract: ib_async.Contract, order: ib_async.Order, state: ib_async.OrderState
    ) -> None:
        if not order.whatIf:
            self._heard(self.heard.open_order(order_id, contract, order, state, self.clock()))

    def _order_status(  # noqa: PLR0917  # as the client library passes it on
        self, order_id: int, status: str, filled: float, remaining: float, average: float, perm_id: int, parent: int,
        last_price: float, client: int, why_held: str, cap: float = 0.0,
    ) -> None:  # fmt: skip
        del remaining, average, parent, last_price, cap
        found = self.heard.order_status(order_id, status, filled, perm_id, client, why_held, self.clock())
        self._heard(found)
        if found is None and not self.heard.is_listing:
            self._look_again()

    def _completed_order(self, contract: ib_async.Contract, order: ib_async.Order, state: ib_async.OrderState) -> None:
        self._heard(self.heard.completed_order(contract, order, state, self.clock()))

    def _execution(self, request: int, contract: ib_async.Contract, execution: ib_async.Execution) -> None:
        del request
        if self.heard.execution(contract, execution):
            self._must_know(contract)
            self.note()

    def _commission(self, report: ib_async.CommissionReport) -> None:
        self.heard.commission(report)
        self.note()

    def _error(self, number: int, code: int, text: str, _advanced: str = "") -> None:
        if number == -1 and code == _INVALID:
            self._not_answered = redact(text)
        if code in _LINK_BACK:  # what happened meanwhile was not told
            self._missing = _NOT_READ
            self.note()
        self._heard(self.heard.error(self.client, number, code, text, self.clock()))
