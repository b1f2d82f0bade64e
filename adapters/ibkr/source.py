"""TWS or IB Gateway as a Broker: what its present session says, or the last good read with its age when it is gone."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import ib_async

from adapters.condition import Condition
from adapters.ibkr import history, state, view
from adapters.ibkr.gateway import Gateway
from adapters.ibkr.previews import preview
from adapters.ibkr.session import Session
from adapters.ibkr.streams import Streams
from adapters.ibkr.supervisor import Supervisor
from adapters.trading_mode import Mode, TradingMode
from guardrails import calendar
from guardrails.errors import NotSentError, SourceError
from guardrails.instruments import Instrument
from guardrails.orders import BrokerOrder, ChainExpiry, Order, OrdersRead, Preview, PriceRule
from guardrails.values import AccountId, Source, SourceState, View, finite

if TYPE_CHECKING:
    from adapters.ibkr.trading import Trading

__all__ = ["Gateway", "IbkrSource"]

SETTLE_POLL_SECONDS = 0.1
GREEKS_SECONDS = 6.0
"""Greeks come some seconds after the quotes, or never; one look waits no longer for them"""

_SPEAKS = (SourceState.LIVE, SourceState.CLOSED)


class IbkrSource:
    """Implements `guardrails.brokers.TradingBroker`. Everything runs on the loop on which it is first read.

    With trading off nothing of orders is heard, asked or even imported until somebody asks for it.
    """

    name = view.SOURCE

    def __init__(self, gateway: Gateway, clock: Callable[[], datetime], trading: TradingMode | None = None) -> None:
        self._clock = clock
        self._mode = trading or TradingMode(setting="IBKR_TRADING")
        self._kept = Supervisor(gateway, clock)
        if self._mode.mode in (Mode.PAPER, Mode.LIVE):
            self._trading.follow_always()
        self._last: View | None = None
        self._translated: view.Translated = {}
        self._composing = asyncio.Lock()
        self._condition: tuple[Condition, datetime] | None = None

    async def view(self, now: datetime) -> View:
        """What is held and what it is worth; while the link is gone, the last read, marked."""
        self._kept.begin()
        session, streams = self._kept.session, self._kept.streams
        condition = state.condition_of(self._kept, now)
        if session is not None and streams is not None and session.rows_time is not None and session.speaks:
            streams.collect()
            heard = _heard(self._kept, session, streams, now)
            async with self._composing:  # of two looks the later one counts
                # a large book would hold up the loop
                self._last = await asyncio.to_thread(view.composed, heard, now, self._translated)
            later = state.condition_of(self._kept, now)
            if later.state not in _SPEAKS:  # what was composed meanwhile is of the moment before: the darker one counts
                condition = later
        if self._condition is None or self._condition[0].name != condition.name:
            self._condition = (condition, now)
        source = self._source(condition, now)
        return View(source) if self._last is None else replace(self._last, source=source)

    async def changed(self) -> None:
        """Return when the link was lost or is back."""
        self._kept.begin()
        await self._kept.event.wait()
        self._kept.event.clear()

    async def settle(self) -> None:
        """Return when the book is synchronised and every line has said what it can, or when there is no connection."""
        self._kept.begin()
        while not (self._kept.session is None and self._kept.retries > 1) and not self._settled():  # noqa: ASYNC110  # many small things, none of which has an event
            await asyncio.sleep(SETTLE_POLL_SECONDS)

    async def preview(self, order: Order) -> Preview:
        """Margin and commission as IBKR itself estimates them; what it does not say is unknown, not an exception."""
        session = self._kept.session
        if session is None:
            return Preview(self._clock(), unknown="not connected to IBKR: margin unknown")
        return await preview(session, self._kept.lookup, order)

    def refusal(self, account: AccountId) -> str:
        """Why no order may be sent for `account`; IBKR's paper accounts are those whose number begins with D."""
        return self._mode.refusal(account, paper=self.is_paper(account))

    def is_paper(self, account: AccountId) -> bool:
        """Whether its number is that of a paper account."""
        return account.number.startswith("D")

    def orders(self) -> OrdersRead:
        """What IBKR said of orders and executions up to now; what it has not been asked is in `missing`."""
        return self._trading.orders()

    async def ordered(self) -> None:
        """Return when IBKR said something of an order or an execution."""
        self._kept.begin()
        await self._trading.ordered()

    async def read_orders(self) -> OrdersRead:
        """Ask for the orders of every client and today's executions; SourceError when IBKR does not answer."""
        return await self._trading.read_orders()

    async def held(self, account: AccountId) -> Mapping[str, float]:
        """Positions of `account` by `Instrument.key`, asked now; SourceError when they are not known to be all."""
        return await self._trading.held(account)

    async def submit(self, order: Order, key: str) -> None:
        """Send `order` once, with `key` as its orderRef."""
        if reason := self.refusal(order.account):
            raise NotSentError(f"{reason} Nothing was sent.")
        await self._trading.submit(order, key)

    async def cancel(self, order: BrokerOrder) -> None:
        """Ask for `order` to be cancelled; SourceError when that cannot be asked."""
        if reason := self.refusal(order.account):
            raise SourceError(f"{reason} The cancellation was not asked for.")
        self._trading.cancel(order)

    async def reprice(self, order: BrokerOrder, limit: float) -> None:
        """Ask for another limit of a working order of ours; errors as those of `submit`."""
        if reason := self.refusal(order.account):
            raise NotSentError(f"{reason} Nothing was changed.")
        if finite(limit) is None:
            raise NotSentError("the limit is not a price; nothing was changed.")
        self._trading.reprice(order, limit)

    async def price_rule(self, order: Order) -> PriceRule:
        """Which limits IBKR takes for this package; SourceError when it does not say."""
        return await self._trading.price_rule(order)

    async def expiries(self, underlying: str) -> tuple[ChainExpiry, ...]:
        """Expiries of the options on `underlying`, nearest first; SourceError when IBKR does not say."""
        return await self._trading.expiries(underlying)

    async def listed(self, expiry: ChainExpiry) -> tuple[Instrument, ...]:
        """Every option of one expiry, by strike; SourceError when IBKR does not say."""
        return await self._trading.listed(expiry)

    def look_at(self, instruments: Collection[Instrument]) -> None:
        """Stream these too, the first ones first, as far as lines are left beside those of held positions."""
        self._kept.looked_at = tuple(instruments)

    @cached_property
    def _trading(self) -> Trading:
        from adapters.ibkr.trading import Trading  # noqa: PLC0415  # nothing of it is there while nobody trades

        return Trading(self._kept, self._kept.lookup, self._clock)

    async def close(self) -> None:
        """End the connection."""
        await self._kept.close()

    def _settled(self) -> bool:
        kept, session, streams = self._kept, self._kept.session, self._kept.streams
        if session is None or streams is None or session.rows_time is None:
            return False
        if not kept.directory.resolved(session.held) or not streams.wants:
            return False
        asked = all(symbol in kept.closes or symbol in kept.no_closes for symbol in history.SYMBOLS)
        return asked and streams.settled(GREEKS_SECONDS)

    def _source(self, condition: Condition, now: datetime) -> Source:
        kept, session = self._kept, self._kept.session
        detail = condition.sentence
        if condition.state is SourceState.LIVE and session is not None:
            detail = f"{condition.sentence} {len(session.held)} positions, {len(session.accounts)} account(s)."
        last = None if self._last is None else self._last.source.time
        return Source(
            name=self.name,
            state=condition.state,
            time=session.answered if session is not None and session.answered is not None else last,
            detail=detail,
            condition=condition.name,
            since=now if self._condition is None else self._condition[1],
            action=condition.action,
            retries=kept.retries,
            streams=state.streams_of(kept, now),
            warnings=state.warnings_of(kept),
            clock_skew=None if session is None else session.skew.seconds,
        )


def _heard(kept: Supervisor, session: Session, streams: Streams, now: datetime) -> view.Heard:
    """A copy of what the session has said, which another thread may read."""
    return view.Heard(
        time=session.answered,
        rows=session.held,
        rows_time=session.rows_time or now,
        accounts=session.accounts,
        values=tuple(session.ib.accountValues()),
        account_times=dict(session.account_times),
        pnl={number: finite(pnl.dailyPnL) for number, pnl in session.pnl.items()},
        directory=kept.directory.copy(),
        quotes=dict(streams.quotes),
        contract_errors=dict(session.contract_errors),
        rotating=streams.rotating,
        executed=_executed(session, now) if session.executions_known else None,
        closes=dict(kept.closes),
        looked_at={known.contract.conId: known.instrument for known in kept.looked_at_known},
    )


def _executed(session: Session, now: datetime) -> view.Executed:
    """Today's fills by account and contract; of a corrected execution the last version counts."""
    today = calendar.exchange_date(now)
    latest: dict[str, ib_async.Execution] = {}
    contracts: dict[str, int] = {}
    for fill in sorted(session.ib.fills(), key=lambda fill: fill.execution.execId):
        if calendar.exchange_date(fill.execution.time) == today:
            root = fill.execution.execId.rpartition(".")[0] or fill.execution.execId
            latest[root], contracts[root] = fill.execution, fill.contract.conId
    executed: defaultdict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for root, execution in latest.items():
        signed = execution.shares if execution.side == "BOT" else -execution.shares
        executed[execution.acctNumber, contracts[root]].append((signed, execution.price))
    return executed
