"""Books to be flattened in readable form: positions with quotes, plans of them, and what an order does to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from guardrails.flatten.plan import PriceRules, plan_of
from guardrails.flatten.values import Plan, PlannedClose, Wish
from guardrails.gate import projection
from guardrails.gate.ground import Ground
from guardrails.gate.kinds import exit_of
from guardrails.matrix.orders import FlattenRules
from guardrails.orders import BrokerOrder, Leg, Order, OrderState
from guardrails.portfolio import Portfolio
from guardrails.values import AccountId, Position
from tests.books import IBKR, NOW, account, book, option, stock, with_limits

RULES = FlattenRules()
EXPIRY = "261218"
ALLOWED: Callable[[AccountId], str] = lambda _: ""  # noqa: E731  # a value beside values


def put(
    strike: float, quantity: float | None, quote: str = "9.80 10.20", at: AccountId = IBKR, **more: Any
) -> Position:
    """An SPXW put of 18 December; `quote` as `bid ask`, `-` for none."""
    return _option("P", strike, quantity, quote, at, **more)


def call(
    strike: float, quantity: float | None, quote: str = "9.80 10.20", at: AccountId = IBKR, **more: Any
) -> Position:
    """An SPXW call of 18 December."""
    return _option("C", strike, quantity, quote, at, **more)


def _option(right: str, strike: float, quantity: float | None, quote: str, at: AccountId, **more: Any) -> Position:
    root, expiry = more.pop("root", "SPXW"), more.pop("expiry", EXPIRY)
    symbol = f"{root:<6}{expiry}{right}{int(strike * 1000):08d}"
    bid, ask = (None if part == "-" else float(part) for part in quote.split())
    sides = [side for side in (bid, ask) if side is not None]
    greeks = more.pop("greeks", "-0.2 0.0005 4 -1 0.18" if right == "P" else "0.2 0.0005 4 -1 0.18")
    quoted = {"bid": bid, "ask": ask, "quote_time": NOW, "mark": sum(sides) / len(sides) if sides else None}
    return option(symbol, quantity, greeks, at, **{**quoted, **more})


def shares(symbol: str, quantity: float, quote: str = "599.95 600.05", at: AccountId = IBKR) -> Position:
    """Shares with a quote."""
    bid, ask = (float(part) for part in quote.split())
    return replace(stock(symbol, quantity, (bid + ask) / 2, at), bid=bid, ask=ask, quote_time=NOW)


def holding(*positions: Position, **more: Any) -> Portfolio:
    """A book of these; each account that holds something has money."""
    owners = dict.fromkeys(position.account for position in positions)
    return book(*positions, accounts=[account(owner) for owner in owners] or None, **more)


def planned(
    portfolio: Portfolio,
    wish: Wish | None = None,
    working: Sequence[BrokerOrder] = (),
    trading: Callable[[AccountId], str] = ALLOWED,
    rules: FlattenRules = RULES,
    now: datetime = NOW,
    price_rules: PriceRules | None = None,
) -> Plan:
    """The plan for the shipped limits."""
    return plan_of(
        portfolio, with_limits(), wish or Wish(), working, trading, rules, now, "P-1", price_rules=price_rules
    )


def resting(position: Position, packages: float, reference: str = "r1", **more: Any) -> BrokerOrder:
    """A working order on one instrument: positive buys."""
    leg = Leg(position.instrument, 1 if packages > 0 else -1)
    given = BrokerOrder(position.account, reference, "", (leg,), abs(packages), 0.0, OrderState.WORKING, 1.0, "GTC")
    return replace(given, **more)


def titles(plan: Plan) -> list[str]:
    return [close.title for close in plan.closes]


def whys(plan: Plan) -> dict[str, str]:
    """Why each thing is left, by label."""
    return {one.label: one.why for one in plan.left}


def is_exit(order: Order, portfolio: Portfolio, working: Sequence[BrokerOrder] = ()) -> str:
    """Why the gate does not take `order` for an exit in this book beside `working` orders; empty when it does."""
    prepared = projection.prepare(portfolio, with_limits(), ())
    found = exit_of(order, Ground(prepared=prepared, now=portfolio.time, working=tuple(working)))
    return "" if found.holds else found.why


def after(portfolio: Portfolio, close: PlannedClose) -> Portfolio:
    """The book once `close` is filled."""
    moved = {trade.instrument.key: trade.quantity for trade in close.order.trades}
    left = []
    for position in portfolio.positions:
        change = moved.get(position.instrument.key, 0.0) if position.account == close.order.account else 0.0
        if position.quantity is None or position.quantity + change:
            left.append(
                position if position.quantity is None else replace(position, quantity=position.quantity + change)
            )
    return replace(portfolio, positions=tuple(left))
