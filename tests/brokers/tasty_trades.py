"""What a test does to the orders of the stand-in while it runs, from any thread."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from tests.brokers.tasty_book import Book, Row
from tests.brokers.tasty_exchange import MANNERS, Exchange


class Trades:
    """The part of `Tasty` that fills, rejects and cancels, and that places orders as another program would."""

    book: Book
    exchange: Exchange
    orders: list[Row]
    _do: Callable[[Callable[[], Any]], Any]

    @property
    def posts(self) -> list[Row]:
        """The bodies of all new orders that were asked for, in order."""
        return [row["body"] for row in self.orders if row["method"] == "POST"]

    def order(self, order: int | str) -> Row:
        """An order as it is now, by its number or its external identifier. KeyError when there is none.

        Of several under one identifier the last one.
        """
        rows: list[Row] = self._do(lambda: deepcopy(list(self.exchange.rows.values())))
        return next(
            row for row in reversed(rows) if order in (row["id"], str(row["id"]), row.get("external-identifier"))
        )

    def fills_by_itself(self, manner: str) -> None:
        """Which orders fill once they are live: never, marketable (at the market of the book), always."""
        if manner not in MANNERS:
            raise ValueError(f"no manner is called {manner!r}: choose one of {', '.join(MANNERS)}")
        self.exchange.manner = manner

    def fill(
        self, order: int | str, packages: float | None = None, *, leg: int | None = None, price: float | None = None
    ) -> None:
        """Fill packages of an order, or what is left; `leg` fills that one alone; `price` is of one unit."""
        self._with(order, lambda row: self.exchange.fill(row, packages, leg, price))

    def reject(self, order: int | str, reason: str) -> None:
        """Let the venue reject it."""
        self._with(order, lambda row: self.exchange.reject(row, reason))

    def confirm_cancel(self, order: int | str) -> None:
        """Let it be cancelled, asked for or not."""
        self._with(order, self.exchange.cancelled)

    def expire(self, order: int | str) -> None:
        """Let its day end."""
        self._with(order, self.exchange.expire)

    def place_elsewhere(self, account: str, legs: list[Row], price: float, effect: str = "Debit", **more: Any) -> int:
        """The number of an order placed on the platform: it bears no key. Legs as on the wire."""
        told = {"order-type": "Limit", "time-in-force": "Day", "price": f"{price:g}", "price-effect": effect}
        named = [{**leg, "symbol": self.book.symbol(leg["symbol"])} for leg in legs]
        row: Row = self._do(lambda: self.exchange.place(account, {**told, "legs": named, **more}))
        return int(row["id"])

    def _with(self, order: int | str, work: Callable[[Row], None]) -> None:
        number = self.order(order)["id"]
        self._do(lambda: work(self.exchange.rows[number]))
