"""Streaming quotes within the lines IBKR grants: what matters most always, the rest in turns.

Requests are paced so that a preview or a positions request never waits behind a hundred subscriptions: the client
library sends everything through one queue, 45 messages a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import ib_async

from adapters.ibkr import conditions, lines
from adapters.ibkr.quotes import DataType, Quote, read_quote
from adapters.ibkr.session import Session

PER_SECOND, BURST = 30.0, 25.0
"""of the 45 messages a second the client library sends; the rest is left for what is more urgent"""
LOOK_SECONDS = 0.2
HANDOVER = timedelta(seconds=3)
"""how long a line taken up again has to say as much as was known before"""
DWELL, RETRY = timedelta(seconds=5), timedelta(seconds=60)
"""how long a line stays with one contract while others wait, and after what time a refused one is asked for again"""
_DIVIDENDS = "456"
"""generic tick "IB Dividends", asked for with the line of a share"""


class Streams:
    """The subscriptions of one session. `quotes` and `seen` outlive it: they are the source's memory."""

    def __init__(self, session: Session, quotes: dict[int, Quote], seen: dict[int, datetime]) -> None:
        self._session, self.quotes, self.seen = session, quotes, seen
        self.wants: tuple[lines.Want, ...] = ()
        self.contracts: dict[int, ib_async.Contract] = {}
        """what to subscribe to, by contract id, with an exchange"""
        self.rotating: frozenset[int] = frozenset()
        self.active: dict[int, datetime] = {}
        self.heard: datetime | None = None
        """when the last tick came, of anything"""
        self._budget = session.gateway.lines
        self._tickers: dict[int, ib_async.Ticker] = {}
        self._taken: dict[int, tuple[datetime | None, object]] = {}
        self._first_asked: dict[int, datetime] = {}
        self._refused: dict[int, datetime] = {}
        self._delayed: set[int] = set()
        self._tokens, self._filled = BURST, time.monotonic()
        session.on_quotes_lost = self._forget
        session.on_no_line = self._no_line
        session.on_line_broken = self._line_broken

    def want(self, wants: Sequence[lines.Want], contracts: Mapping[int, ib_async.Contract]) -> None:
        """Stream `wants` from now on; what is no longer among them is cancelled."""
        self.contracts = dict(contracts)
        self.wants = tuple(want for want in wants if want.con_id in self.contracts)

    def settled(self, patience: float) -> bool:
        """Whether everything wanted was seen with what it can give, was refused, or had a line for `patience` s."""
        now = self._session.clock()
        return all(self._answered(want.con_id, now, patience) for want in self.wants)

    def _answered(self, con_id: int, now: datetime, patience: float) -> bool:
        since = self._first_asked.get(con_id)
        waited = since is not None and (now - since).total_seconds() > patience
        return waited or con_id in self._session.contract_errors or con_id in self.seen

    async def run(self) -> None:
        """Return never: keep the subscriptions what they should be, and take in what they say."""
        while True:
            self.collect()
            await self._adjust()
            await asyncio.sleep(LOOK_SECONDS)

    def collect(self) -> None:
        """Take in what the tickers say now."""
        for con_id, ticker in self._tickers.items():
            said = (ticker.time, ticker.modelGreeks)
            if ticker.time is None or self._taken.get(con_id) == said:
                continue
            before = self.quotes.get(con_id)
            quote = carried(read_quote(ticker, before), before, greeks_came=ticker.modelGreeks is not None)
            fresh = self._session.clock() - self.active.get(con_id, ticker.time) < HANDOVER
            if fresh and before is not None and says_less(quote, before):
                continue  # the first ticks of a line are not yet a picture: the last one stands, with its time
            self._taken[con_id], self.quotes[con_id] = said, quote
            self.heard = ticker.time if self.heard is None else max(self.heard, ticker.time)
            if self._complete(con_id):
                self.seen[con_id] = self._session.clock()
            if self._session.contract_errors.get(con_id, (10090, ""))[0] != 10090:
                del self._session.contract_errors[con_id]  # it speaks after all

    def _complete(self, con_id: int) -> bool:
        """Whether the contract has said on its present line what it can: an option its Greeks, others a price."""
        quote, contract, ticker = self.quotes.get(con_id), self.contracts.get(con_id), self._tickers.get(con_id)
        if quote is None or contract is None or ticker is None:
            return False
        if contract.secType in ("OPT", "FOP"):
            return ticker.modelGreeks is not None and quote.model is not None
        return quote.last is not None or quote.bid is not None or quote.close is not None

    async def _adjust(self) -> None:
        now = self._session.clock()
        self._note_refusals(now)
        wants = [want for want in self.wants if want.con_id not in self._refused]
        plan = lines.plan(wants, self._budget, self.active, self.seen, now, DWELL)
        self.rotating = plan.rotating
        for con_id in plan.cancel:
            await self._token()
            self._cancel(con_id)
        for con_id in plan.subscribe:
            await self._token()
            if con_id in self.contracts and self._session.ib.isConnected():
                self._subscribe(con_id)
                self.collect()

    def _note_refusals(self, now: datetime) -> None:
        """Give back the lines of refused contracts; ask once for delayed quotes, and anew after a while."""
        for con_id, (code, _) in list(self._session.contract_errors.items()):
            if con_id not in self.active or code == 10090:
                continue
            self._drop_line(con_id)
            if code in conditions.TRY_DELAYED and con_id not in self._delayed:
                self._delayed.add(con_id)
            else:
                self._refused[con_id] = now
        for con_id, since in list(self._refused.items()):
            if now - since > RETRY:
                del self._refused[con_id]

    def _subscribe(self, con_id: int) -> None:
        ib, delayed = self._session.ib, con_id in self._delayed
        if delayed:
            ib.reqMarketDataType(DataType.DELAYED)
        self._session.contract_errors.pop(con_id, None)  # it was about the line before
        contract = self.contracts[con_id]
        self._tickers[con_id] = ib.reqMktData(contract, _DIVIDENDS if contract.secType == "STK" else "")
        self.active[con_id] = self._session.clock()
        self._first_asked.setdefault(con_id, self.active[con_id])
        if delayed:
            ib.reqMarketDataType(DataType.FROZEN)

    def _cancel(self, con_id: int) -> None:
        contract = self._drop_line(con_id)
        self.seen[con_id] = self._session.clock()  # it had its turn, whether or not it said anything
        if contract is not None and self._session.ib.isConnected():
            number = self._forgotten_by_library(contract)
            if number:
                self._session.ib.client.cancelMktData(number)  # type: ignore[no-untyped-call]  # the library leaves it untyped

    def _forgotten_by_library(self, contract: ib_async.Contract) -> int:
        """Make the client library forget a subscription; its request number, 0 when it had none.

        By itself it keeps every ticker for good: memory would grow with each turn, and a contract taken up again would
        date its old prices by its first new tick.
        """
        wrapper = self._session.ib.wrapper
        ticker = wrapper.tickers.pop(hash(contract), None)
        number = 0 if ticker is None else int(wrapper.endTicker(ticker, "mktData"))
        wrapper.reqId2Ticker.pop(number, None)
        return number

    def _drop_line(self, con_id: int) -> ib_async.Contract | None:
        self.active.pop(con_id, None)
        ticker = self._tickers.pop(con_id, None)
        self._taken.pop(con_id, None)
        return None if ticker is None else ticker.contract

    def _forget(self) -> None:
        """TWS has dropped all subscriptions: begin anew, without a hundred cancels that would hold up the rest."""
        for con_id in list(self.active):
            self._line_broken(con_id)

    def _line_broken(self, con_id: int) -> None:
        """TWS has ended this subscription: it is asked for anew."""
        contract = self._drop_line(con_id)
        if contract is not None:
            self._forgotten_by_library(contract)

    def _no_line(self, con_id: int) -> None:
        """TWS has fewer lines free than we were told (its own watch lists count): keep to what works."""
        self._drop_line(con_id)
        self._budget = max(1, min(self._budget - 1, len(self.active)))

    @property
    def budget(self) -> int:
        """Lines in use at most."""
        return self._budget

    async def _token(self) -> None:
        """Wait for the right to send one message; previews go first."""
        async with self._session.previewing:
            pass
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * PER_SECOND)
        self._filled = now
        if self._tokens < 1.0:
            await asyncio.sleep((1.0 - self._tokens) / PER_SECOND)
        self._tokens -= 1.0


def carried(quote: Quote, before: Quote | None, *, greeks_came: bool) -> Quote:
    """`quote` with the last Greeks, as old as they are, while its line has not sent any.

    They come some seconds after the first quote, and a position must not lose its Greeks with every turn.
    """
    if greeks_came or before is None or before.model is None:
        return quote
    return replace(
        quote, model=before.model, model_price=before.model_price, underlying_price=before.underlying_price,
        computation=before.computation,
    )  # fmt: skip


def says_less(quote: Quote, before: Quote) -> bool:
    """Whether a price that was known is not told any more."""
    return any(
        getattr(quote, name) is None and getattr(before, name) is not None for name in ("bid", "ask", "last", "close")
    )
