"""Strategy-based maintenance (Reg T): what the cheapest packages of an account require, now and after shocks.

Convention: the gross requirement of the maintenance rule. Premium received is not taken off; long options require
nothing more, as they are paid in full, but count for nothing either, so

    excess liquidity = net liquidation - value of the options held (`option_value`) - requirement

Cboe's manual writes the cost of long options into its requirement: that figure is `total + long_options`; its table of
2007 and "buying-power effect" take premium off: `total + long_options - short_options`. Options with more than nine
months to run may be bought with a quarter borrowed; here they are paid in full, too. The $2,000 minimum equity is not
applied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from guardrails.columns import Array
from guardrails.margin import charges
from guardrails.margin.charges import Columns, Kind
from guardrails.margin.legs import Leg
from guardrails.margin.packages import Package, Pairing
from guardrails.margin.pairing import pair
from guardrails.margin.words import describe

_HEDGED = (
    Kind.COVERED_CALL, Kind.COVERED_PUT, Kind.PROTECTIVE_PUT, Kind.PROTECTED_SHORT, Kind.COLLAR, Kind.CONVERSION,
    Kind.REVERSE_CONVERSION,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One package and what it requires."""

    underlying: str
    kind: Kind
    legs: tuple[int, ...]
    """places in the legs that were asked about"""
    amount: float
    """US dollars"""
    words: str
    """the rule as applied"""
    long_options: float = 0.0
    """market value of the long options in it"""
    short_options: float = 0.0
    """of the short ones, not negative"""


@dataclass(frozen=True, slots=True)
class Requirement:
    """The requirement of one account, an estimate in US dollars."""

    total: float
    """NaN when a leg is not known; `known` is then what the other underlyings require"""
    lines: tuple[Line, ...]
    known: float
    long_options: float
    """market value of the long options in `lines`"""
    short_options: float
    """market value of the short options in `lines`, not negative"""
    unknown: tuple[str, ...]
    proven: bool
    """whether no pairing is cheaper by more than a hundredth"""


def requirement(
    legs: Sequence[Leg], pairing: Pairing | None = None, known: Mapping[int, Line] | None = None
) -> Requirement:
    """What `legs`, all of one account, require at their prices, by the cheapest pairing unless one is given.

    `known` are lines that need not be made anew, by the place of their package in that pairing.
    """
    chosen, had = pair(legs) if pairing is None else pairing, known or {}
    fresh = [place for place in range(len(chosen.packages)) if place not in had]
    made = dict(zip(fresh, _lines(legs, [chosen.packages[place] for place in fresh]), strict=True))
    lines = tuple(made[place] if place in made else had[place] for place in range(len(chosen.packages)))
    total = math.fsum(line.amount for line in lines)
    return Requirement(
        total=math.nan if chosen.unknown else total,
        lines=lines,
        known=total,
        long_options=math.fsum(line.long_options for line in lines),
        short_options=math.fsum(line.short_options for line in lines),
        unknown=chosen.unknown,
        proven=chosen.proven,
    )


def at(legs: Sequence[Leg], price: Array, spot: Array, pairing: Pairing | None = None) -> Array:
    """The requirement (M,) of one account in M scenarios with unit prices `price` (n, M) and underlyings `spot` (n, M).

    The pairing is the one that is cheapest at the legs' own prices, or the one given. Another could be cheaper after
    the shock, so this is an upper bound of the best there. NaN where a figure it needs is NaN, everywhere when a leg
    is not known (its quantity, strike, ...). Rows of `price` and `spot` are as the legs.
    """
    chosen = pair(legs) if pairing is None else pairing
    if chosen.unknown:
        return np.full(price.shape[1], math.nan)
    return _sum(legs, charges.columns(legs), chosen.packages, price, spot)


def by_underlying(legs: Sequence[Leg], price: Array, spot: Array, packages: Sequence[Package]) -> Mapping[str, Array]:
    """The requirement (M,) of each underlying as `at` adds them up; of those without a package there is none."""
    names = [legs[package.legs[0]].underlying for package in packages]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    owner = np.array([places[name] for name in names], dtype=np.intp)
    total = np.zeros((len(places), price.shape[1]))
    with np.errstate(invalid="ignore"):
        for some, units, each in _by_kind(legs, charges.columns(legs), packages, price, spot):
            np.add.at(total, owner[some], units[:, None] * each)
    return {name: total[place] for name, place in places.items()}


def option_value(legs: Sequence[Leg], price: Array) -> Array:
    """Market value (M,) of the options, shorts negative, at unit prices `price` (n, M)."""
    held = np.array([leg.quantity * leg.scale if leg.is_option else 0.0 for leg in legs])
    rows = np.flatnonzero(held)
    return np.asarray(held[rows] @ price[rows])


def _lines(legs: Sequence[Leg], packages: Sequence[Package]) -> Iterator[Line]:
    """Each of the packages at the prices of now."""
    rows = sorted({row for package in packages for row in package.legs})
    place = {row: at for at, row in enumerate(rows)}
    held = [legs[row] for row in rows]
    among = [replace(package, legs=tuple(place[row] for row in package.legs)) for package in packages]
    price, spot = _own(held)
    amounts = _amounts(held, charges.columns(held), among, price, spot)
    for package, amount in zip(packages, amounts, strict=True):
        values = [
            each * legs[row].price * legs[row].scale
            for row, each in zip(package.legs, package.amounts, strict=True)
            if legs[row].is_option
        ]
        yield Line(
            legs[package.legs[0]].underlying, package.kind, package.legs, amount, describe(package, legs),
            long_options=math.fsum(value for value in values if value > 0.0),
            short_options=-math.fsum(value for value in values if value < 0.0),
        )  # fmt: skip


def _own(legs: Sequence[Leg]) -> tuple[Array, Array]:
    price = np.array([leg.price for leg in legs], dtype=np.float64).reshape(-1, 1)
    return price, np.array([leg.spot for leg in legs], dtype=np.float64).reshape(-1, 1)


def _sum(legs: Sequence[Leg], c: Columns, packages: Sequence[Package], price: Array, spot: Array) -> Array:
    """Requirement (M,) of the packages together."""
    total = np.zeros(price.shape[1])
    with np.errstate(invalid="ignore"):
        for _, units, each in _by_kind(legs, c, packages, price, spot):
            total += units @ each
    return total


def _amounts(
    legs: Sequence[Leg], c: Columns, packages: Sequence[Package], price: Array, spot: Array
) -> Sequence[float]:
    """Requirement of each of the packages at one `price` (n, 1)."""
    amounts = np.zeros(len(packages))
    with np.errstate(invalid="ignore"):
        for places, units, each in _by_kind(legs, c, packages, price, spot):
            amounts[places] = units * each[:, 0]
    return [float(amount) for amount in amounts]


def _by_kind(
    legs: Sequence[Leg], c: Columns, packages: Sequence[Package], price: Array, spot: Array
) -> Iterator[tuple[list[int], Array, Array]]:
    """Packages of one kind at a time: their places, units (k,) and requirement per unit (k, M); those that cost."""
    by_kind: dict[Kind, list[int]] = {}
    for place, package in enumerate(packages):
        by_kind.setdefault(package.kind, []).append(place)
    for kind, places in by_kind.items():
        some = [packages[place] for place in places]
        if kind is Kind.SPREAD:
            yield places, np.ones(len(some)), _spreads(legs, c, some, price, spot)
        elif kind is not Kind.LONG_OPTION:
            units = np.array([package.units for package in some])
            yield places, units, _per_unit(kind, c, some, price, spot)


def _per_unit(kind: Kind, c: Columns, packages: Sequence[Package], price: Array, spot: Array) -> Array:
    """Requirement per unit (k, M) of packages of one kind."""
    places = [np.array(column, dtype=np.intp) for column in zip(*(p.legs for p in packages), strict=True)]
    first = places[0]
    own = c.rows(first)
    if kind is Kind.NAKED:
        return charges.naked(own, price[first], spot[first])
    if kind is Kind.STRADDLE:
        other = places[1]
        sides = [charges.naked(c.rows(rows), price[rows], spot[rows]) for rows in (first, other)]
        return charges.straddle(sides[0], sides[1], price[first], price[other])
    if kind in _HEDGED:
        return charges.hedged(kind, own, c.rows(places[1]), c.rows(places[-1]), spot[first])
    return charges.stock(kind, own, spot[first])


def _spreads(legs: Sequence[Leg], c: Columns, packages: Sequence[Package], price: Array, spot: Array) -> Array:
    """The lesser of the largest loss at expiry and of the short legs uncovered (k, M)."""
    rows: list[int] = []
    weights: list[float] = []
    starts: list[int] = []
    for package in packages:
        starts.append(len(rows))
        for row, amount in zip(package.legs, package.amounts, strict=True):
            if amount < 0.0:
                rows.append(row)
                weights.append(-amount * legs[row].scale)
    at_rows = np.array(rows, dtype=np.intp)
    alone = np.array(weights)[:, None] * charges.naked(c.rows(at_rows), price[at_rows], spot[at_rows])
    most = np.array([[package.most] for package in packages])
    return np.asarray(np.minimum(most, np.add.reduceat(alone, starts, axis=0)))
