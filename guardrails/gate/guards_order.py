"""Guards that look at the order itself: its legs, its price, its size, and when it is sent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from guardrails import wording
from guardrails.gate.case import Case
from guardrails.gate.guard import block
from guardrails.gate.hours import closed, over
from guardrails.gate.package_price import LegPrice
from guardrails.gate.values import Reason
from guardrails.instruments import Kind
from guardrails.orders import Order, OrderState
from guardrails.values import finite

_LOT = 100.0
"""shares that count as one contract"""
_FORGOTTEN = (OrderState.DRAFT, OrderState.APPROVED, OrderState.CANCELLED, OrderState.REJECTED)
"""of which no second one can come"""


def failed(case: Case) -> Iterator[Reason]:
    """What the order would do cannot be computed."""
    if case.failed:
        yield block("failed", f"{case.failed}; nothing is sent that nobody could judge.")


def expired_leg(case: Case) -> Iterator[Reason]:
    """A leg no longer trades."""
    gone = [leg.instrument.label for leg in case.order.legs if over(leg.instrument, case.ground.now)]
    if gone:
        yield block("expired_leg", f"{', '.join(gone)} has traded for the last time; choose another expiry.")


def leg_unknown(case: Case) -> Iterator[Reason]:
    """Contract, multiplier, price or Greeks of a leg are not known, or those of a working order."""
    names = dict.fromkeys(text for world in case.worlds for text in world.unknown)
    if names:
        blind = tuple(_blind(case))
        follows = "no_quote" if all(text.startswith(blind) for text in names) else ""
        said = wording.names(list(names), 3)
        text = f"what the order would do is not known: {said}; wait for its data, or check the symbol."
        yield block("leg_unknown", text, follows=follows)


def no_quote(case: Case) -> Iterator[Reason]:
    """Nobody quotes the side of a leg that would be traded: not listed, or no market."""
    blind = _blind(case)
    if blind:
        text = f"no quote of {wording.names(blind)}: is it listed? New risk needs a bid and an ask."
        yield block("no_quote", text)


def quote_stale(case: Case) -> Iterator[Reason]:
    """The quote of a leg is old although its market is open."""
    most, now = case.ground.limits.matrix.orders.quote_stale_seconds, case.ground.now
    for each in case.price.legs:
        age = None if each.time is None else (now - each.time).total_seconds()
        if each.at_once is None or closed(each.leg.instrument, now, told_open=case.ground.portfolio.market.open):
            continue
        if age is None or not -most <= age <= most:
            label = each.leg.instrument.label
            said = f"is {wording.age(age)} old, at most {wording.age(most)}; wait for another."
            if age is not None and age < 0:
                said = f"is of {wording.age(-age)} from now; set the clock of this machine."
            text = f"the quote of {label} {said}"
            yield block("quote_stale", text)


def price_absurd(case: Case) -> Iterator[Reason]:
    """A limit that no such package can have: paying to sell, being paid to buy, or nothing at all."""
    limit, ratios = case.order.limit, [leg.ratio for leg in case.order.legs]
    if limit is None or any(leg.instrument.kind is Kind.FUTURE for leg in case.order.legs):
        return  # futures have traded below zero
    if all(ratio > 0 for ratio in ratios) and limit <= 0:
        yield block("price_absurd", f"the limit {limit:g} would be paid for buying; write a price above zero.")
    elif all(ratio < 0 for ratio in ratios) and limit >= 0:
        yield block("price_absurd", f"the limit {limit:g} would pay for selling; write what is received, below zero.")


def price_collar(case: Case) -> Iterator[Reason]:
    """A limit beyond natural by more than the collar: a slip of the finger."""
    limit, natural = case.order.limit, case.price.natural
    slack = case.price.slack(case.ground.limits.matrix.orders.price_collar)
    if limit is None or natural is None or slack is None:
        return
    if limit > natural + slack + 1e-9:
        tick = case.price.tick
        most = math.floor((natural + slack + 1e-9) / tick) * tick
        text = (
            f"the limit {limit:g} ({_worded(limit)}) gives away {limit - natural:.2f} against natural "
            f"({_worded(natural)}), at most {slack:.2f}; write {most:.2f} ({_worded(most)}) or less."
        )
        yield block("price_collar", text)


def order_size(case: Case) -> Iterator[Reason]:
    """Contracts of one leg; shares count by the hundred."""
    most = case.ground.limits.matrix.orders.max_contracts
    for trade in case.order.trades:
        shares = trade.instrument.kind is Kind.EQUITY
        count = abs(trade.quantity) / _LOT if shares else abs(trade.quantity)
        if count > most:
            unit = "hundred shares" if shares else "contracts"
            text = f"{wording.quantity(count)} {unit} of {trade.instrument.label}, at most {most} in one order."
            yield block("order_size", text)


def order_notional(case: Case) -> Iterator[Reason]:
    """Notional of one order against net liquidation."""
    share = case.ground.limits.matrix.orders.max_notional_pct_nlv
    if share is None:
        return
    notional, worth = finite(_notional(case)), finite(case.ground.portfolio.net_liquidation)
    if notional is None or worth is None:
        text = "the notional of the order, or the net liquidation, is not known; restore prices."
        yield block("order_notional", text, unknown=True)
    elif notional > share * max(worth, 0.0) * (1 + 1e-9):
        text = f"its notional is {wording.money(notional)}, at most {wording.percent(share)} of net liquidation."
        yield block("order_notional", text)


def duplicate(case: Case) -> Iterator[Reason]:
    """The same order within some seconds: a second click."""
    seconds = case.ground.limits.matrix.orders.duplicate_seconds
    since, mine = case.ground.now - timedelta(seconds=seconds), _signature(case.order)
    for one in case.ground.sent:
        if (
            one.created > since
            and one.state not in _FORGOTTEN
            and _signature(one.order) == mine
            and _owned(one.order, case)
        ):
            age = wording.age((case.ground.now - one.created).total_seconds())
            yield block(
                "duplicate", f"the same order was sent {age} ago ({one.key}); wait {seconds:g} s if it is meant."
            )
            return


def market_hours(case: Case) -> Iterator[Reason]:
    """A leg does not trade now."""
    told = case.ground.portfolio.market.open
    for leg in case.order.legs:
        if why := closed(leg.instrument, case.ground.now, told_open=told):
            yield block("market_hours", f"{leg.instrument.label} does not trade now: {why}.")
            return


def _worded(price: float) -> str:
    """A package's price as people say it."""
    side = "even" if abs(price) < 1e-9 else "debit" if price > 0 else "credit"
    return f"{abs(price):.2f} {side}"


def _blind(case: Case) -> list[str]:
    """Labels of legs that nobody quotes."""
    return [each.leg.instrument.label for each in case.price.legs if each.at_once is None or _unquoted(each)]


def _unquoted(each: LegPrice) -> bool:
    """Whether an option is not quoted on both sides, or anything so that no market can be."""
    if each.bid is None or each.ask is None:
        return each.leg.instrument.is_option
    future = each.leg.instrument.kind is Kind.FUTURE  # has traded below zero
    return each.ask < each.bid or (not future and (each.bid < 0 or each.ask <= 0))


def _notional(case: Case) -> float | None:
    total = 0.0
    for trade in case.order.trades:
        row = case.row(trade.instrument.key)
        name = trade.instrument.underlying if trade.instrument.is_option else trade.instrument.symbol
        if row is not None and trade.instrument.is_option:
            name = row.instrument.underlying
        quoted = case.ground.portfolio.market.prices.get(name)
        price = quoted.value if quoted is not None else None if row is None or trade.instrument.is_option else row.mark
        rate = None if row is None else case.ground.portfolio.usd(1.0, row.currency)
        if row is None or row.multiplier is None or price is None or rate is None:
            return None
        total += abs(trade.quantity * row.multiplier * price) * rate
    return total


def _signature(order: Order) -> frozenset[tuple[str, int]]:
    """Legs and sides, whatever their order."""
    return frozenset((leg.instrument.key, leg.ratio) for leg in order.legs)


def _owned(order: Order, case: Case) -> bool:
    return order.account in (case.order.account, case.order.account.hidden)
