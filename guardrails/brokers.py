"""The seam to the outside: what the engine asks of every source, real or simulated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol, runtime_checkable

from guardrails.instruments import Instrument
from guardrails.orders import BrokerOrder, ChainExpiry, Order, OrdersRead, Preview, PriceRule
from guardrails.values import AccountId, Observed, View


class Broker(Protocol):
    """One source of positions, money and prices."""

    @property
    def name(self) -> str:
        """Stable name, as in GUARDRAILS_SOURCES: `demo`, `statement:positions.xml`, `ibkr`, ..."""

    async def view(self, now: datetime) -> View:
        """Everything the source knows at `now`; may raise, the engine then keeps the last good view with its age."""

    async def close(self) -> None:
        """Release what the source holds; called once, also after errors."""


@runtime_checkable
class LiveBroker(Broker, Protocol):
    """A source with a connection of its own: it changes between two looks."""

    async def changed(self) -> None:
        """Return when something happened that must not wait for the next look: the link was lost or is back."""

    async def settle(self) -> None:
        """Return when all that was asked for has answered or was refused; the caller bounds the time.

        For a single look, which would otherwise come before the first quotes.
        """


@runtime_checkable
class MarketFeed(LiveBroker, Protocol):
    """A live source that can also stream Greeks, quotes and prices of what other sources hold."""

    def follow(self, instruments: Collection[Instrument]) -> None:
        """Stream these too, from now on and instead of those named before; what it says of them is in its Market."""


@runtime_checkable
class PreviewingBroker(LiveBroker, Protocol):
    """A live source that says beforehand what an order would do to the margin."""

    async def preview(self, order: Order) -> Preview:
        """What the broker says `order` would do to the account's margin; nothing is sent to an exchange."""


@runtime_checkable
class NetLiquidationHistory(Broker, Protocol):
    """A source that keeps what its accounts were worth. Only tastytrade is asked so far."""

    async def net_liquidations(self, back: str) -> Mapping[AccountId, tuple[Observed, ...]]:
        """Net liquidation of each account, oldest first, in its currency; `back` is 1d, 1m, 3m, 6m, 1y or all.

        A value is that at the end of an interval, its time the beginning; `guardrails.histories.at_ends` joins them.
        """


@runtime_checkable
class TradingBroker(PreviewingBroker, Protocol):
    """A source that orders can be sent to; every call comes from `guardrails.execution`, on the engine's loop.

    No call waits for ever: each is bounded by the adapter itself. None is repeated by it either, except reads.
    """

    def refusal(self, account: AccountId) -> str:
        """Why no order may be sent for `account`, as the settings stand, in words; empty when it may."""

    def is_paper(self, account: AccountId) -> bool:
        """Whether orders of `account` are known to reach no real exchange."""

    def orders(self) -> OrdersRead:
        """What was said of orders and executions up to now; at once, without asking."""

    async def ordered(self) -> None:
        """Return when something was said of an order or an execution; a hint, which may come for nothing."""

    async def read_orders(self) -> OrdersRead:
        """Ask for the working orders of every sender, today's that are over, and today's executions.

        SourceError when the broker does not answer.
        """

    async def held(self, account: AccountId) -> Mapping[str, float]:
        """Signed quantities by `Instrument.key`, read anew from the broker and known to be all; SourceError else."""

    async def submit(self, order: Order, key: str) -> None:
        """Send `order` once, under its unique `key`.

        NotSentError when it is certain that nothing was sent; any other error, and also a return, leaves open what
        became of it: that is told by `orders` alone.
        """

    async def cancel(self, order: BrokerOrder) -> None:
        """Ask for `order` to be cancelled; `orders` tells whether it was. SourceError when that cannot be asked."""

    async def reprice(self, order: BrokerOrder, limit: float) -> None:
        """Ask for another limit of a working order of ours, which keeps its key; errors as those of `submit`."""

    async def price_rule(self, order: Order) -> PriceRule:
        """Which limits the venue takes for this package; SourceError when it is not known."""

    async def expiries(self, underlying: str) -> tuple[ChainExpiry, ...]:
        """What is listed on `underlying` (canonical symbol; `/ES` for a product), nearest first; SourceError else."""

    async def listed(self, expiry: ChainExpiry) -> tuple[Instrument, ...]:
        """Every option listed for one expiry, by strike, calls and puts; SourceError when it is not known."""

    def look_at(self, instruments: Collection[Instrument]) -> None:
        """Stream quotes and Greeks of these too, instead of those named before; they come with its Market.

        Also what orders would trade and nobody holds; held positions keep their lines when there are too few.
        """
