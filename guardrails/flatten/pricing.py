"""At which prices a closing order begins and ends, and what it costs: from the middle of its quote to the cap.

A limit is that of one package, positive is paid. It begins at the middle and is walked in equal steps to the cap, the
middle plus `slippage_cap` of the quote's width; the natural price, which trades at once, is half a width from the
middle. A price between two ticks goes to the dearer one, so that the order trades: a bid up, an offer down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from guardrails.instruments import Instrument, Kind
from guardrails.matrix.orders import FlattenRules
from guardrails.orders import Leg, Order, PriceRule
from guardrails.products import FUTURES, product_root

Quoted = Mapping[str, tuple[float | None, float | None]]
"""bid and ask of one unit by `Instrument.key`"""

_CENT, _NICKEL, _DIME = Decimal("0.01"), Decimal("0.05"), Decimal("0.10")
SINGLE_OPTION = PriceRule(((Decimal(0), _NICKEL), (Decimal(3), _DIME)))
"""what every class of options takes: those that trade in cents as well (domain facts 8)"""
PACKAGE = PriceRule(((Decimal(0), _NICKEL),))
SHARES = PriceRule(((Decimal(0), _CENT),))
FUTURE_OPTION = PriceRule(((Decimal(0), _NICKEL), (Decimal(5), Decimal("0.25"))))


@dataclass(frozen=True, slots=True)
class Priced:
    """Prices of one package, as in `Order.limit`."""

    mid: float
    natural: float
    first: float
    """a price the venue takes, not beyond `cap`"""
    cap: float
    """likewise; the limit is never walked beyond it"""


def rule_name(legs: Sequence[Leg], broker: str) -> str:
    """Orders that share this name follow the same rule of prices: `IBKR index_option SPXW of 2`."""
    kinds = sorted({f"{leg.instrument.kind.value} {leg.instrument.root or leg.instrument.symbol}" for leg in legs})
    return f"{broker} {' '.join(kinds)} of {len(legs)}"


def usual_rule(legs: Sequence[Leg]) -> PriceRule:
    """Ticks that are taken where the venue's own rule is not known: coarse ones, which finer rules contain."""
    first = legs[0].instrument
    if first.kind is Kind.FUTURE:
        spec = FUTURES.get(product_root(first.symbol))
        return SHARES if spec is None else PriceRule(((Decimal(0), Decimal(str(spec.tick))),))
    if first.kind is Kind.EQUITY:
        return SHARES
    if first.kind is Kind.FUTURE_OPTION:
        return FUTURE_OPTION
    return SINGLE_OPTION if len(legs) == 1 else PACKAGE


def prices(legs: Sequence[Leg], quoted: Quoted, rules: FlattenRules, rule: PriceRule) -> Priced | None:
    """The prices of one package of `legs`; None when a leg has no quote that its side can trade at."""
    mid = natural = 0.0
    for leg in legs:
        sides = usable(*quoted.get(leg.instrument.key, (None, None)), buys=leg.ratio > 0)
        if sides is None:
            return None
        bid, ask = sides
        mid += leg.ratio * (bid + ask) / 2.0
        natural += leg.ratio * (ask if leg.ratio > 0 else bid)
    cap = rule.rounded(_clean(mid + rules.slippage_cap * 2.0 * (natural - mid)), up=True)
    first = min(rule.rounded(_clean(mid), up=True), cap)
    return Priced(_clean(mid), _clean(natural), first, cap)


def usable(bid: float | None, ask: float | None, *, buys: bool) -> tuple[float, float] | None:
    """The two sides as far as one side of an order needs them; None when it cannot trade at them.

    Who buys needs an ask, and no bid is a bid of zero; who sells needs a bid above zero. What is crossed is no quote.
    """
    low, high = bid if bid is not None and bid >= 0 else 0.0, ask
    if buys:
        return None if high is None or high <= 0 or low > high else (low, high)
    if low <= 0 or (high is not None and 0 < high < low):
        return None
    return low, high if high is not None and high > 0 else low


def walked(first: float, cap: float, step: int, steps: int, rule: PriceRule) -> float:
    """The limit after `step` of `steps` steps from `first` to `cap`."""
    if step >= steps or cap <= first:
        return max(cap, first) if step else first
    return min(rule.rounded(_clean(first + (cap - first) * step / steps), up=True), cap)


def dollars(price: float, quantity: float, multiplier: float | None, rate: float | None) -> float | None:
    """What `quantity` packages at `price` cost in US dollars, positive is paid; None when that is not known."""
    if multiplier is None or rate is None:
        return None
    return price * multiplier * rate * quantity


def split(order: Order, most: int) -> tuple[Order, ...]:
    """`order` in parts of at most `most` contracts of any leg, shares counted by the hundred; one package at least."""
    largest = max(contracts(leg.instrument, abs(leg.ratio)) for leg in order.legs)
    size = max(int(most / largest), 1)
    whole, rest = divmod(order.quantity, size)
    sizes = [size] * whole + ([rest] if rest else [])
    return tuple(Order(order.account, order.legs, count, order.limit, order.time_in_force) for count in sizes)


def contracts(instrument: Instrument, units: float) -> float:
    """Contracts that `units` are; a hundred shares are one."""
    return units / 100.0 if instrument.kind is Kind.EQUITY else units


def _clean(price: float) -> float:
    """Without what the last binary digits make of a price: 0.30000000000000004 would be rounded up a whole tick."""
    return round(price, 8) + 0.0
