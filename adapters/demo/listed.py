"""What the demo's exchange lists: expiries and strikes around the market, and the steps of its prices."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from adapters.demo import expiries
from adapters.demo.market import INDEX, UNDERLYINGS, Levels
from guardrails.errors import SourceError
from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.orders import ChainExpiry, Order, PriceRule
from guardrails.products import INDEX_ROOTS
from guardrails.symbols import occ

WEEKS, MONTHS, STRIKES = 8, 3, 25
"""expiries ahead, and strikes on either side of the market"""
_STEPS = {INDEX: 25.0, "SPY": 2.0, "QQQ": 2.0, "XOM": 2.5}
_STEP = 5.0
_PENNY = ("SPY", "QQQ")
_CENT, _NICKEL, _DIME, _QUARTER = (Decimal(text) for text in ("0.01", "0.05", "0.10", "0.25"))


def expiries_of(underlying: str, today: date) -> tuple[ChainExpiry, ...]:
    """The expiries listed on `underlying`, nearest first; SourceError when the demo lists none."""
    if underlying not in UNDERLYINGS:
        raise SourceError(f"the demo lists no options on {underlying}; try {', '.join(UNDERLYINGS)}.")
    weekly = sorted({expiries.weekly(today, 7 * week) for week in range(1, WEEKS + 1)})
    if underlying != INDEX:
        return tuple(ChainExpiry(underlying, day, underlying, Settlement.PHYSICAL) for day in weekly if day > today)
    monthly = sorted({expiries.monthly(today, 30 * month) for month in range(1, MONTHS + 1)})
    found = [ChainExpiry(INDEX, day, "SPXW", Settlement.CASH_PM) for day in weekly if day > today]
    found += [ChainExpiry(INDEX, day, INDEX, Settlement.CASH_AM) for day in monthly if day > today]
    return tuple(sorted(found, key=lambda one: (one.expiry, one.root)))


def listed_for(expiry: ChainExpiry, levels: Levels) -> tuple[Instrument, ...]:
    """Calls and puts of one expiry by strike."""
    step, spot = _STEPS.get(expiry.underlying, _STEP), levels.spots[expiry.underlying]
    middle = round(spot / step)
    return tuple(_options(expiry, [step * (middle + place) for place in range(-STRIKES, STRIKES + 1)]))


def _options(expiry: ChainExpiry, strikes: list[float]) -> Iterator[Instrument]:
    for strike in strikes:
        for right in (Right.CALL, Right.PUT):
            yield occ.parse(f"{expiry.root:<6}{expiry.expiry:%y%m%d}{right.value}{math.floor(strike * 1000):08d}")


def rule_of(order: Order) -> PriceRule:
    """The steps of the price of a package (domain facts 8): the coarsest of its legs, a nickel for index packages."""
    rules = [_rule(leg.instrument) for leg in order.legs]
    if len(rules) == 1:
        return rules[0]
    if any(leg.instrument.root in INDEX_ROOTS for leg in order.legs):
        return PriceRule(((Decimal(0), _NICKEL),))
    return PriceRule(((Decimal(0), max(rule.steps[0][1] for rule in rules)),))


def _rule(held: Instrument) -> PriceRule:
    if held.kind is Kind.FUTURE:
        return PriceRule(((Decimal(0), _QUARTER),))
    if held.kind is Kind.FUTURE_OPTION:
        return PriceRule(((Decimal(0), _NICKEL), (Decimal(5), _QUARTER)))
    if held.root in INDEX_ROOTS:
        return PriceRule(((Decimal(0), _NICKEL), (Decimal(3), _DIME)))
    if not held.is_option or held.underlying in _PENNY:
        return PriceRule(((Decimal(0), _CENT),))
    return PriceRule(((Decimal(0), _CENT), (Decimal(3), _NICKEL)))
