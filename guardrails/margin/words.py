"""The rule applied to a package, in the words and numbers a person can follow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from guardrails import wording
from guardrails.instruments import Kind as Held
from guardrails.margin import charges
from guardrails.margin.charges import Kind
from guardrails.margin.legs import Leg
from guardrails.margin.packages import Package
from guardrails.margin.rates import SHORT_STOCK, Rates, rates

_REMEMBERED = 16384
"""packages in words"""


def describe(package: Package, legs: Sequence[Leg]) -> str:
    """`short strangle: 20 % of 100.00 − 3.00 out of the money + 1.20 premium + 0.80 premium of the other side`."""
    alike = Package(package.kind, (), package.amounts, package.units, package.most, package.worst)
    return _described(alike, tuple(legs[row] for row in package.legs))


@lru_cache(maxsize=_REMEMBERED)
def _described(package: Package, held: tuple[Leg, ...]) -> str:
    """Remembered, as most packages of a book stand as they did while orders are tried on it."""
    name = ", ".join(
        f"{wording.quantity(amount)} {leg.instrument.label}" for leg, amount in zip(held, package.amounts, strict=True)
    )
    return f"{_title(package.kind, held)} ({name}): {_rule(package, held)}"


def _title(kind: Kind, held: Sequence[Leg]) -> str:
    if kind is Kind.STRADDLE:
        return "short straddle" if held[0].strike == held[1].strike else "short strangle"
    if kind is Kind.NAKED:
        return "uncovered short call" if held[0].sign > 0.0 else "uncovered short put"
    return f"{kind.value} of {len(held)} legs" if kind is Kind.SPREAD and len(held) > 2 else kind.value


def _rule(package: Package, held: Sequence[Leg]) -> str:
    kind = package.kind
    if kind is Kind.LONG_OPTION:
        return "paid in full, nothing more is required"
    if kind is Kind.NAKED:
        return _naked(held[0])
    if kind is Kind.STRADDLE:
        sides = sorted(held, key=_alone, reverse=True)
        return f"{_naked(sides[0])} + {_price(sides[1].price)} premium of the other side"
    if kind is Kind.SPREAD:
        if package.most == 0.0:
            return "cannot lose at expiry"
        apart = sum(
            -amount * leg.scale * _alone(leg) for leg, amount in zip(held, package.amounts, strict=True) if amount < 0.0
        )
        if apart < package.most:
            return "its short legs as uncovered, which is less than the largest loss at expiry"
        return f"largest loss at expiry {wording.money(package.most)}, at {_price(package.worst)}"
    return _with_stock(kind, held)


def _alone(leg: Leg) -> float:
    c = charges.columns([leg])
    return float(charges.naked(c, np.array([[leg.price]]), np.array([[leg.spot]]))[0, 0])


def _naked(leg: Leg) -> str:
    rate = rates(leg.instrument, leg.broker)
    away = max(leg.sign * (leg.strike - leg.spot), 0.0)
    basic = rate.base * leg.spot - away
    floor, of = (leg.spot, "") if leg.sign > 0.0 else (leg.strike, "strike ")
    house = "" if rate.house == "Cboe minimum" else f" ({rate.house} house rule)"
    if leg.price + max(basic, rate.minimum * floor) < rate.least:
        return f"at least {_price(rate.least)} a unit ({leg.broker} house rule)"
    premium = f" + {_price(leg.price)} premium{house}{_levered(rate)}"
    if basic < rate.minimum * floor:
        return f"{wording.percent(rate.minimum)} of {of}{_price(floor)}{premium}"
    out = f" − {_price(away)} out of the money" if away else ""
    return f"{wording.percent(rate.base)} of {_price(leg.spot)}{out}{premium}"


def _with_stock(kind: Kind, held: Sequence[Leg]) -> str:
    rate = rates(held[0].instrument, held[0].broker)
    long, short = wording.percent(rate.long), wording.percent(rate.times(SHORT_STOCK))
    tenth, end = wording.percent(rate.times(0.10)), _levered(rate)
    spot = _price(held[0].spot)
    if kind is Kind.STOCK:
        what = " (bond, by the published minimum)" if held[0].instrument.kind is Held.BOND else ""
        return f"{long} of {spot}{end}{what}"
    if kind is Kind.SHORT_STOCK:
        return f"{short} of {spot}, at least 5.00 a share (below 5.00: its price, at least 2.50){end}"
    strike = _price(held[1].strike)
    ten_of, itm = f"{tenth} of the strike {strike}", "in the money"
    other = _price(held[-1].strike)
    rules = {
        Kind.COVERED_CALL: f"{long} of the lower of {spot} and the strike {strike} + what the call is {itm}",
        Kind.COVERED_PUT: f"short stock at {spot} + what the put is {itm}",
        Kind.PROTECTIVE_PUT: f"{ten_of} + what the put is out of the money, at most {long} of {spot}",
        Kind.PROTECTED_SHORT: f"{ten_of} + what the call is out of the money, at most short stock at {spot}",
        Kind.COLLAR: f"{tenth} of the put's strike {other} + what it is out of the money, at most {long} of the call's "
        f"strike {strike}, + what the call is {itm}",
        Kind.CONVERSION: f"{ten_of} + what the call is {itm}",
        Kind.REVERSE_CONVERSION: f"{ten_of} + twice what the put is {itm}",
    }
    return rules[kind] + end


def _levered(rate: Rates) -> str:
    return "" if rate.leverage == 1.0 else f" (percentages times leverage {rate.leverage:g}, at most the whole)"


def _price(value: float) -> str:
    return wording.number(value, 2)
