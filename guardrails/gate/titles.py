"""The exact sentence of what is sent: what a person reads on the button.

SELL 2 × SPXW 18Dec26 5700P/5600P at 8.40 credit, DAY, IBKR •••4567        the first is sold, the second bought
2 × (SELL 1 SPXW 18Dec26 5700P, BUY 2 SPXW 18Dec26 5600P) at 1.20 debit, GTC, tastytrade •••0001
BUY 100 × SPY at 600.00 limit, DAY, IBKR •••4567
SELL 3 × /MESZ26 at market, DAY, IBKR •••4567
"""

from __future__ import annotations

from decimal import Decimal

from guardrails.orders import Leg, Order

_PAIR = 2


def title_of(order: Order) -> str:
    """What is sent when `order` is."""
    return f"{_what(order)} {_price(order)}, {order.time_in_force}, {order.account}"


def _what(order: Order) -> str:
    first = order.legs[0]
    if len(order.legs) == 1:  # ratios are in lowest terms, so a single leg has 1
        return f"{_side(first)} {order.quantity} × {first.instrument.label}"
    if _is_pair(order):
        second = order.legs[1].instrument
        short = f"{_strike(second.strike)}{'' if second.right is None else second.right.value}"
        return f"{_side(first)} {order.quantity} × {first.instrument.label}/{short}"
    legs = ", ".join(f"{_side(leg)} {abs(leg.ratio)} {leg.instrument.label}" for leg in order.legs)
    return f"{order.quantity} × ({legs})"


def _is_pair(order: Order) -> bool:
    """One against one of the same root, expiry and right: a vertical."""
    if len(order.legs) != _PAIR or {leg.ratio for leg in order.legs} != {1, -1}:
        return False
    first, second = (leg.instrument for leg in order.legs)
    alike = (first.root, first.expiry, first.right, first.kind) == (
        second.root,
        second.expiry,
        second.right,
        second.kind,
    )
    return alike and first.is_option and not (first.adjusted or second.adjusted)


def _side(leg: Leg) -> str:
    return "BUY" if leg.ratio > 0 else "SELL"


def _strike(strike: Decimal | None) -> str:
    return "?" if strike is None else format(strike.normalize(), "f")


def _price(order: Order) -> str:
    if order.limit is None:
        return "at the close" if order.at_close else "at market"
    price = Decimal(str(abs(order.limit)))
    text = format(price, "f" if -price.as_tuple().exponent > _PAIR else ".2f")  # type: ignore[operator]  # the exponent of a finite price is a number
    if len(order.legs) == 1 and (order.limit > 0) == (order.legs[0].ratio > 0):
        return f"at {text} limit"
    return f"at {text} {'debit' if order.limit > 0 else 'credit' if order.limit < 0 else 'even'}"
