"""Orders, fills and entries of the journal as the tests of the store, the journal and its page write them down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from guardrails.execution.values import BookThen, JournalEntry, JournalKind, JournalLeg, OrderRecord
from guardrails.instruments import Instrument, Kind
from guardrails.memory import account_key
from guardrails.orders import Fill, Leg, Order, OrderState
from guardrails.symbols import occ
from guardrails.values import AccountId
from tests.books import IBKR, NOW

P5700, P5600 = occ.parse("SPXW  261218P05700000"), occ.parse("SPXW  261218P05600000")
J5650 = occ.parse("SPXW  270115P05650000")


def at(minutes: float) -> datetime:
    """So many minutes after NOW, a Wednesday at 10:30 in New York."""
    return NOW + timedelta(minutes=minutes)


def share(symbol: str = "AAPL") -> Instrument:
    return Instrument(Kind.EQUITY, symbol, symbol, symbol)


def spread(quantity: int = 2, limit: float = -8.4, account: AccountId = IBKR) -> Order:
    """A put spread sold."""
    return Order(account, (Leg(P5700, -1), Leg(P5600, 1)), quantity, limit)


def record(key: str = "g-1", state: OrderState = OrderState.WORKING, minutes: float = 0.0, **more: Any) -> OrderRecord:
    """An order of a put spread, approved at NOW and changed so many minutes later."""
    order = more.pop("order", spread())
    given = OrderRecord(key, order, state, at(0), at(minutes), "Ann", "ticket", owner=account_key(order.account))
    return replace(given, **more)


def fill(
    execution: str, instrument: Instrument, quantity: float, price: float, minutes: float = 0.0, **more: Any
) -> Fill:
    """An execution with a dollar of fees for each unit, of the order `g-1` unless it says another."""
    account = more.pop("account", IBKR)
    given = Fill(execution, 1, account, instrument, quantity, price, at(minutes), "g-1", "77", fees=abs(quantity))
    return replace(given, **more)


def then(regime: str = "neutral_volatility", **more: Any) -> BookThen:
    """The book at NOW."""
    return replace(BookThen(NOW, regime, 17.0, 6000.0, 100_000.0, -5_000.0, -900.0, -310.0, 45.0), **more)


def leg(
    instrument: Instrument, quantity: float, price: float | None, per_point: float = 100.0, **more: Any
) -> JournalLeg:
    """One leg of an entry, with a dollar of fees for each unit."""
    given = JournalLeg(instrument.key, instrument.label, quantity, price, abs(quantity), dollars_per_point=per_point)
    return replace(given, **more)


def entry(key: str, minutes: float, *legs: JournalLeg, **more: Any) -> JournalEntry:
    """An entry of a fill in SPX so many minutes after NOW."""
    given = JournalEntry(
        key, at(minutes), JournalKind.FILL, "Ann", "", account=str(IBKR), underlying="SPX", legs=legs,
        owner=account_key(IBKR), order_key=f"o-{key}",
    )  # fmt: skip
    return replace(given, **more)
