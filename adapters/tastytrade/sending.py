"""The trading side of the source: what `guardrails.execution` asks of tastytrade, each call with its bound.

Nothing that may trade is ever repeated here, and no key is sent twice. Whether a leg opens or closes is decided by
positions read just before; where they say something else than those last shown to the caller, nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import Protocol

from adapters.tastytrade import conditions, dry_run, orders, price_steps
from adapters.tastytrade.access import Access
from adapters.tastytrade.api import Api, Record, Refused, Unheard, bounded
from adapters.tastytrade.chains import Chains
from adapters.tastytrade.desk import Desk
from adapters.tastytrade.fields import flag
from adapters.tastytrade.ledger import Ledger
from adapters.tastytrade.reference import Reference
from adapters.tastytrade.rows import BROKER
from adapters.tastytrade.shown import Shown
from adapters.tastytrade.ticks import SOURCE
from adapters.trading_mode import TradingMode
from guardrails import calendar
from guardrails.errors import NotSentError, SourceError
from guardrails.instruments import Instrument
from guardrails.orders import BrokerOrder, ChainExpiry, Order, OrdersRead, OrderState, Preview, PriceRule
from guardrails.values import AccountId

PREVIEW_SECONDS = 15.0
_TURNED_AWAY = (400, 422)
"""answers to an order as such: it was looked at and rejected; others say that it was not looked at"""
_BARRED = {"is-closed": "is closed", "is-frozen": "is frozen"}


class Parts(Protocol):
    """The parts of an open connection that trading needs."""

    api: Api
    ledger: Ledger
    desk: Desk
    chains: Chains
    reference: Reference


class Trading:
    """The half of `TastytradeSource` that implements `guardrails.brokers.TradingBroker`."""

    def __init__(
        self, access: Access, clock: Callable[[], datetime], mode: TradingMode, parts: Callable[[], Parts | None]
    ) -> None:
        """`parts` gives the connection, begun if need be; None when it is not configured."""
        self._access, self._clock, self._mode, self._parts = access, clock, mode, parts
        self._looked: tuple[Instrument, ...] = ()
        self._sent: set[str] = set()
        self._shown = Shown(clock)
        self._sizes: tuple[date | None, dict[str, Record]] = (None, {})
        """records with tick sizes read on a day"""

    def is_paper(self, account: AccountId) -> bool:
        """Whether `account` is at the sandbox."""
        return account.broker == BROKER and self._access.paper

    def refusal(self, account: AccountId) -> str:
        """Why no order may be sent for `account`: the settings, or tastytrade's own bar; empty when it may."""
        if account.broker != BROKER:
            return f"{account} is not an account at tastytrade."
        if why := self._mode.refusal(account, paper=self._access.paper):
            return why
        parts = self._parts()
        book = None if parts is None else parts.ledger.books.get(account.number)
        if parts is None or book is None or account.number in parts.ledger.gone:
            return f"{account} is not among the accounts of this login, as far as they have been read."
        barred = [words for name, words in _BARRED.items() if flag((book.status or {}).get(name))]
        return f"{account} {' and '.join(barred)}, tastytrade says: it takes no orders for it." if barred else ""

    def orders(self) -> OrdersRead:
        """What was said of orders and fills up to now."""
        parts = self._parts()
        if parts is None:
            return OrdersRead(SOURCE, self._clock(), missing=f"orders: {conditions.NOT_CONFIGURED.sentence}")
        return parts.desk.read()

    async def ordered(self) -> None:
        """Return when something new was said of an order."""
        parts = self._parts()
        if parts is None:  # there is nothing to hear for as long as the program runs
            await asyncio.Event().wait()
            return
        await parts.desk.ordered()

    async def read_orders(self) -> OrdersRead:
        """The orders and fills of every account, asked for now; SourceError unless all of them answer."""
        return await self._open().desk.read_anew()

    async def held(self, account: AccountId) -> Mapping[str, float]:
        """Signed quantities by `Instrument.key`, read now; NaN for what is held in a quantity that cannot be read."""
        return (await self._shown.read(self._open().ledger, account.number)).quantities

    async def preview(self, order: Order) -> Preview:
        """What a dry run says; a Preview whose `unknown` has the reason when it says nothing that can be used."""
        number, now = order.account.number, self._clock()
        try:
            parts = self._open()
            async with asyncio.timeout(PREVIEW_SECONDS):
                held = orders.held_of(await parts.ledger.read_anew(number), now)
                wire = orders.document(order, "", held)
                answer = await parts.api.tell("POST", f"/accounts/{number}/orders/dry-run", wire)
        except Refused as refused:
            says = f"refuses it: {refused.said}" if refused.status in _TURNED_AWAY else f"answers {refused}"
            return Preview(now, unknown=f"tastytrade {says}; margin unknown")
        except TimeoutError:
            return Preview(now, unknown=f"tastytrade did not answer within {PREVIEW_SECONDS:g} s; margin unknown")
        except Unheard as unheard:
            return Preview(now, unknown=f"{unheard.said}; margin unknown")
        except (NotSentError, SourceError) as error:
            return Preview(now, unknown=f"{error} Margin unknown.")
        return dry_run.preview(answer, parts.ledger.books[number].balance or {}, self._clock())

    async def submit(self, order: Order, key: str) -> None:
        """Send `order` once; rejected at the door, it is told of as REJECTED like any other.

        NotSentError when it is certain that nothing was taken; Unheard when that is not known.
        """
        parts = self._may_send(order.account)
        if not key or key in self._sent:
            raise NotSentError("an order is sent once, under a key of its own: this one has none or was sent before.")
        number = order.account.number
        wire = orders.document(order, key, await self._shown.confirmed(parts.ledger, order))
        self._sent.add(key)
        try:
            answer = await parts.api.tell("POST", f"/accounts/{number}/orders", wire)
        except Refused as refused:
            if refused.status not in _TURNED_AWAY:
                self._sent.discard(key)
                raise NotSentError(_unheard(refused)) from None
            parts.desk.refuse(_rejected(order, key, refused.said, self._clock()))
            return
        except NotSentError:
            self._sent.discard(key)
            raise
        finally:
            parts.desk.prompt()
        parts.desk.take(number, answer.get("order"), key)

    async def cancel(self, order: BrokerOrder) -> None:
        """Ask once for every living record of `order` to be cancelled.

        SourceError when it is certain that this was not asked, or was refused; Unheard when that is not known.
        """
        if why := self._mode.refusal(order.account, paper=self._access.paper):
            raise SourceError(why)
        parts = self._open()
        alive = [part.reference for part, _ in parts.desk.records_of(order) if not part.state.is_over]
        try:
            for reference in alive or [order.reference]:
                answer = await parts.api.tell("DELETE", f"/accounts/{order.account.number}/orders/{reference}")
                parts.desk.take(order.account.number, answer)
        except Refused as refused:
            raise SourceError(f"tastytrade does not cancel it: {refused}.") from None
        except NotSentError as error:
            raise SourceError(str(error)) from None
        finally:
            parts.desk.prompt()

    async def reprice(self, order: BrokerOrder, limit: float) -> None:
        """Ask once for another limit: tastytrade puts a new order under our key in place of the old one.

        NotSentError when the old limit stands for certain; Unheard when that is not known.
        """
        parts = self._may_send(order.account)
        records = [each for each in parts.desk.records_of(order) if not each[0].state.is_over]
        if not order.key or order.limit is None or len(records) != 1:
            raise NotSentError(
                "only a working limit order of this program, told of as one, can be given another limit."
            )
        was, record = records[0]
        if was.state is OrderState.CANCEL_REQUESTED:
            raise NotSentError("its cancellation was asked for: it cannot be given another limit.")
        closes = any(str(leg.get("action")).endswith("Close") for leg in record.get("legs", []))
        time_in_force = str(record.get("time-in-force") or "Day")
        body = orders.replacement(order.key, limit, time_in_force, closes=closes)
        number = order.account.number
        try:
            answer = await parts.api.tell("PUT", f"/accounts/{number}/orders/{was.reference}", body)
        except Refused as refused:
            raise NotSentError(f"tastytrade keeps the old limit: {refused}.") from None
        finally:
            parts.desk.prompt()
        parts.desk.take(number, answer, order.key)

    async def price_rule(self, order: Order) -> PriceRule:
        """The increments of the package's price."""
        today = calendar.exchange_date(self._clock())
        if self._sizes[0] != today:
            self._sizes = (today, {})
        parts = self._open()
        return await bounded(price_steps.rule_for(parts.api, order, self._sizes[1]), "price steps")

    async def expiries(self, underlying: str) -> tuple[ChainExpiry, ...]:
        """What is listed on `underlying`; of a product (`/ES`) each expiry names the contract it is struck on."""
        found = await bounded(self._open().chains.read(underlying), "the chain")
        return tuple(each.expiry for each in found)

    async def listed(self, expiry: ChainExpiry) -> tuple[Instrument, ...]:
        """Every option of one expiry, by strike, calls before puts."""
        parts = self._open()
        for each in await bounded(parts.chains.read(expiry.underlying), "the chain"):
            if (each.expiry.expiry, each.expiry.root) == (expiry.expiry, expiry.root):
                parts.reference.directory.streamers.update(each.streamers)  # they need not be looked up again
                return each.options
        raise SourceError(f"tastytrade lists no {expiry.root} options on {expiry.underlying} for {expiry.expiry}.")

    def look_at(self, instruments: Collection[Instrument]) -> None:
        """Stream these too, beside what is held and followed."""
        self._looked = tuple(instruments)

    def _open(self) -> Parts:
        parts = self._parts()
        if parts is None:
            raise SourceError(conditions.NOT_CONFIGURED.sentence)
        return parts

    def _may_send(self, account: AccountId) -> Parts:
        """The connection; NotSentError when no order may be sent for `account`."""
        parts, why = self._parts(), self.refusal(account)
        if parts is None or why:
            raise NotSentError(why)
        return parts


def _rejected(order: Order, key: str, said: str, now: datetime) -> BrokerOrder:
    """An order that tastytrade turned away before it gave it a number."""
    return BrokerOrder(
        order.account, "", key, order.legs, float(order.quantity), 0.0, OrderState.REJECTED, order.limit,
        order.time_in_force.value, cancellable=False, words=said, time=now,
    )  # fmt: skip


def _unheard(refused: Refused) -> str:
    scope = " Look whether the grant has the scope `trade`." if refused.status == 403 else ""  # HTTP
    return f"tastytrade answers {refused}: it took nothing.{scope}"
