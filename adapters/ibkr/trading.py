"""All that trading asks of one connection to TWS; imported when somebody trades or asks for orders, never before."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime

from adapters.ibkr import chains, sending
from adapters.ibkr.lookup import Lookup
from adapters.ibkr.orders import Orders
from adapters.ibkr.price_steps import PriceSteps
from adapters.ibkr.session import Session
from adapters.ibkr.supervisor import Supervisor
from guardrails.errors import NotSentError, SourceError
from guardrails.instruments import Instrument
from guardrails.orders import BrokerOrder, ChainExpiry, Order, OrdersRead, PriceRule
from guardrails.values import AccountId

LEARN_SECONDS = 15.0
"""for contracts that are held and were not looked up yet"""


class Trading:
    """Orders of the present session, whichever that is; `kept` is begun by whoever asks."""

    def __init__(self, kept: Supervisor, lookup: Lookup, clock: Callable[[], datetime]) -> None:
        self._kept, self._lookup = kept, lookup
        self._orders = Orders(lookup, clock, kept.gateway.client_id)
        self._steps = PriceSteps(lookup)
        kept.on_session, kept.on_lost = self._orders.listen, self._orders.ended

    def follow_always(self) -> None:
        """Also read orders from the first moment of every session on, and again and again."""
        self._kept.follow_orders = self._orders.follow

    def orders(self) -> OrdersRead:
        """What was said up to now."""
        return self._orders.told(self._kept.session)

    async def ordered(self) -> None:
        """Return when something was said."""
        await self._orders.said()

    async def read_orders(self) -> OrdersRead:
        """Ask anew; SourceError when there is no connection or no answer."""
        session = self._session()
        await self._orders.read(session)
        return self._orders.told(session)

    async def held(self, account: AccountId) -> Mapping[str, float]:
        """Positions of `account`, asked now; SourceError when the list does not come or cannot be true."""
        session = self._session()
        if account.number not in session.accounts:
            raise SourceError(f"{account} is not among the accounts of this connection.")
        try:
            believed = await session.positions(lambda listed: self._kept.believed(session, listed))
        except (TimeoutError, ConnectionError):
            raise SourceError("IBKR does not answer the request for positions.") from None
        if not believed:
            raise SourceError("IBKR listed fewer positions than the account's own figures allow for.")
        rows = [row for row in session.held if row.account == account.number]
        try:
            async with asyncio.timeout(LEARN_SECONDS):
                await self._kept.directory.learn(session, rows)
                await self._lookup.learn(session, {row.contract.conId: row.contract for row in rows})
        except TimeoutError:
            raise SourceError("IBKR did not say what every held contract is.") from None
        found: defaultdict[str, float] = defaultdict(float)
        for row in rows:
            known = self._lookup.known(session, row.contract.conId)
            name = f"other:{row.contract.localSymbol or row.contract.symbol}" if known is None else known.instrument.key
            found[name] += row.position
        return dict(found)

    async def submit(self, order: Order, key: str) -> None:
        """Send `order` once; NotSentError when it is certain that nothing was sent."""
        session = self._kept.session
        if session is None:
            raise NotSentError("There is no connection to IBKR; nothing was sent.")
        if order.account.number not in session.accounts:
            raise NotSentError(f"{order.account} is not among the accounts of this connection; nothing was sent.")
        await sending.submit(session, self._orders, order, key)

    def cancel(self, order: BrokerOrder) -> None:
        """Ask for a cancellation; SourceError when that cannot be asked."""
        sending.cancel(self._session(), self._orders, order)

    def reprice(self, order: BrokerOrder, limit: float) -> None:
        """Ask for another limit; errors as `submit`."""
        session = self._kept.session
        if session is None:
            raise NotSentError("There is no connection to IBKR; the limit was not changed.")
        sending.reprice(session, self._orders, order, limit)

    async def price_rule(self, order: Order) -> PriceRule:
        """Which limits are taken; SourceError when that is not known."""
        return await self._steps.rule(self._session(), order)

    async def expiries(self, underlying: str) -> tuple[ChainExpiry, ...]:
        """What is listed on `underlying`."""
        return await chains.expiries(self._session(), self._lookup, underlying)

    async def listed(self, expiry: ChainExpiry) -> tuple[Instrument, ...]:
        """The options of one expiry."""
        return await chains.listed(self._session(), self._lookup, expiry)

    def _session(self) -> Session:
        session = self._kept.session
        if session is None or not session.speaks:
            raise SourceError("There is no connection to IBKR.")
        return session
