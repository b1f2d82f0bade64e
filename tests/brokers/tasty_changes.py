"""What a test changes while the stand-in runs: the book first, then whoever listens is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from tests.brokers.tasty_accounts import balance, position, status
from tests.brokers.tasty_book import Book, Row

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty
    from tests.brokers.tasty_dxlink import DxLink
    from tests.brokers.tasty_notices import Notices


class Changes:
    """The part of `Tasty` that changes positions, balances, status and market, from any thread."""

    book: Book
    feeds: list[DxLink]
    listeners: list[Notices]
    _do: Callable[[Callable[[], Any]], Any]

    @property
    def _whole(self) -> Tasty:
        return cast("Tasty", self)

    def set_position(self, account: str, symbol: str, quantity: float, **fields: Any) -> None:
        """Change a position and push it: quantity signed, zero keeps it as closed.

        Fields as `average_open_price=1.0`; what the wire should say instead as `fields={"quantity": "two"}`.
        """

        def work() -> None:
            name = self.book.symbol(symbol)
            held = self.book.positions[account].setdefault(name, {"average-open-price": self.book.price(name) or 0.0})
            held |= {"quantity": quantity, **_kebab(fields)}
            self.notify("CurrentPosition", account, position(self._whole, account, name, marks=False))

        self._do(work)

    def remove_position(self, account: str, symbol: str) -> None:
        """Take a position out of the answers without a notice, as the purge overnight does."""
        self._do(lambda: self.book.positions[account].pop(self.book.symbol(symbol)))

    def set_balance(self, account: str, **fields: Any) -> None:
        """Change money fields, as `net_liquidating_value=1.0`, and push the balance."""

        def work() -> None:
            self.book.accounts[account]["balance"] |= {key: str(told) for key, told in _kebab(fields).items()}
            self.notify("AccountBalance", account, balance(self._whole, account))

        self._do(work)

    def set_status(self, account: str, **fields: Any) -> None:
        """Change the trading status, as `is_in_margin_call=True`, and push it."""

        def work() -> None:
            self.book.accounts[account].setdefault("status", {}).update(_kebab(fields))
            self.notify("TradingStatus", account, status(self._whole, account))

        self._do(work)

    def set_quote(self, symbol: str, bid: float | None = None, ask: float | None = None, **figures: Any) -> None:
        """Change bid and ask (None: there is none), `last`, `close`, `halted`..., and push what changed."""

        def work() -> None:
            self.book.market.setdefault(self.book.symbol(symbol), {}).update(bid=bid, ask=ask, **figures)
            self._push(symbol, "Quote", *(("Trade",) if "last" in figures else ()))

        self._do(work)

    def set_greeks(self, symbol: str, **greeks: float | None) -> None:
        """Change `delta`, `volatility`... of an option (None sends NaN) and push them."""

        def work() -> None:
            told = self.book.market.setdefault(self.book.symbol(symbol), {})
            told["greeks"] = {**told.get("greeks", {}), **greeks}
            self._push(symbol, "Greeks", "TheoPrice")

        self._do(work)

    def _push(self, symbol: str, *kinds: str) -> None:
        streamed = self.book.instruments[self.book.symbol(symbol)]["streamer-symbol"]
        for feed in self.feeds:
            for kind in kinds:
                feed.push(kind, streamed)

    def notify(self, kind: str, account: str, told: Row) -> None:
        """Push one object to the account streamer; on the stand-in's own thread."""
        for listener in self.listeners:
            listener.notify(kind, account, told)


def _kebab(fields: Row) -> Row:
    return {key.replace("_", "-"): told for key, told in fields.items()}
