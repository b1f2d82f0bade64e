"""The seam to the outside: what the engine asks of every source, real or simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from typing import Protocol, runtime_checkable

from guardrails.instruments import Instrument
from guardrails.orders import Order, Preview
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
    """A live source that says beforehand what an order would do to the margin. Only IBKR is asked so far."""

    async def preview(self, order: Order) -> Preview:
        """What the broker says `order` would do to the account's margin; nothing is sent to an exchange."""


@runtime_checkable
class NetLiquidationHistory(Broker, Protocol):
    """A source that keeps what its accounts were worth. Only tastytrade is asked so far."""

    async def net_liquidations(self, back: str) -> Mapping[AccountId, tuple[Observed, ...]]:
        """Net liquidation of each account, oldest first, in its currency; `back` is 1d, 1m, 3m, 6m, 1y or all.

        A value is that at the end of an interval, its time the beginning; `guardrails.histories.at_ends` joins them.
        """


class TradingBroker(PreviewingBroker, Protocol):
    """A source that orders can be sent to; every call comes from the order gate. No adapter offers it yet."""

    async def submit(self, order: Order, key: str) -> None:
        """Send `order` under its unique `key`; what became of it is told by `events` alone."""

    async def cancel(self, key: str) -> None:
        """Ask for the order of `key` to be cancelled; what became of it is told by `events` alone."""

    async def orders(self) -> tuple[Order, ...]:
        """The orders that rest at the broker now, whoever sent them."""

    def events(self) -> AsyncIterator[object]:
        """What becomes of orders, in the order in which the broker says it."""
