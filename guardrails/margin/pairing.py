"""Which legs are margined together: the cheapest division of an account's legs into packages the rules recognise.

Within one underlying every short option is uncovered, half of a straddle, in a spread, or covered by stock; every long
option and every lot of stock serves one package at most. A spread may hold any number of legs; its requirement is its
largest loss over the prices at expiry (FINRA 4210(f)(2)(H)), so wings, condors, butterflies and boxes need no names.
It is limited in loss only if it has no more short than long calls, and every long leg must expire with or after every
short one. Index options are spread only with options that settle alike (at the open or at the close).

That division is an integer program (`integer_program`). It starts from everything uncovered, then from the best
division in pairs, so it never costs more than either. Any other division is among its solutions, so none is cheaper
(to a thousandth for a few legs, to a hundredth for dozens) unless the search was cut short, which `Pairing.proven`
says; it is when there are more than two dozen options on one name. Two simplifications can only cost more: stock covers
options of one multiplier, and an index is never covered by an ETF.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache

import numpy as np

from guardrails.columns import Array
from guardrails.instruments import Instrument
from guardrails.instruments import Kind as Held
from guardrails.margin import charges, integer_program
from guardrails.margin.charges import Kind
from guardrails.margin.integer_program import Draft
from guardrails.margin.legs import FUTURES, Leg, by_underlying
from guardrails.margin.packages import Package, Pairing, largest_loss
from guardrails.margin.rates import rates

_LEAST_AMOUNT = 1e-9
MOST_TOGETHER = 24
"""options of one underlying that are searched together; the work grows with a high power of it"""
_REMEMBERED = 16384
"""parts; 10,000 options on one name are some 400 of them"""


def pair(legs: Sequence[Leg]) -> Pairing:
    """The cheapest packages of `legs`, which are one account's, at their own prices.

    An underlying with a leg about which too little is known, or with a future, is left out and named in `unknown`.
    """
    packages: list[Package] = []
    unknown: list[str] = []
    proven = True
    for rows in by_underlying(tuple(legs)).values():
        lacking = [words for row in rows if (words := legs[row].problem or _elsewhere(legs[row]))]
        if lacking:
            unknown += lacking
            continue
        found, sure = _pair_underlying(legs, rows)
        packages += found
        proven = proven and sure
    return Pairing(tuple(packages), tuple(unknown), proven)


def _elsewhere(leg: Leg) -> str:
    if leg.instrument.kind not in FUTURES:
        return ""
    return f"{leg.instrument.label}: margined by its futures exchange, not by this rule"


def _pair_underlying(legs: Sequence[Leg], rows: Sequence[int]) -> tuple[list[Package], bool]:
    """Packages of one underlying; stock serves the multiplier with the most short options."""
    stock = [row for row in rows if not legs[row].is_option]
    shares = sum(legs[row].quantity * legs[row].multiplier for row in stock)
    classes: dict[float, list[int]] = {}
    for row in rows:
        if legs[row].is_option:
            classes.setdefault(legs[row].scale, []).append(row)
    order = sorted(classes, key=lambda scale: -scale * sum(max(-legs[row].quantity, 0.0) for row in classes[scale]))
    packages: list[Package] = []
    proven = True
    for scale in order:
        options = classes[scale]
        lots = np.floor(abs(shares) / legs[options[0]].multiplier + _LEAST_AMOUNT) if scale == order[0] else 0.0
        parts = _parts(legs, options)
        for place, part in enumerate(parts):
            mine = lots if place == len(parts) - 1 else min(lots, _coverable(legs, part, shares))
            lots -= mine
            rows_of_part = (*part, stock[0]) if mine else tuple(part)
            found, sure = searched(tuple(legs[row] for row in rows_of_part), float(np.sign(shares) * mine))
            packages += [replace(each, legs=tuple(rows_of_part[at] for at in each.legs)) for each in found]
            proven = proven and sure and len(parts) == 1
    used = sum(package.amounts[0] for package in packages if not legs[package.legs[0]].is_option)
    rest = shares - used
    if stock and abs(rest) > _LEAST_AMOUNT:
        kind = Kind.STOCK if rest > 0.0 else Kind.SHORT_STOCK
        packages.append(Package(kind, (stock[0],), (rest,), abs(rest) * legs[stock[0]].fx))
    return packages, proven


@lru_cache(maxsize=_REMEMBERED)
def searched(legs: tuple[Leg, ...], lots: float) -> tuple[tuple[Package, ...], bool]:
    """The cheapest packages of one part, and whether that is proven; remembered, as it is most of the work.

    Where `lots` (signed) of stock may cover the options, the stock is the last of the `legs`.
    """
    count = len(legs) - (lots != 0.0)
    group = _Group(legs, range(count), count if lots else None, lots)
    return tuple(group.packages()), group.proven


def _parts(legs: Sequence[Leg], options: Sequence[int]) -> list[list[int]]:
    """`options` in parts that can be searched: of one expiry, calls and puts equally far from the money together.

    What is in different parts is never paired, which can only cost more.
    """
    if len(options) <= MOST_TOGETHER:
        return [list(options)]
    sides: dict[tuple[date, float], list[int]] = {}
    for row in sorted(options, key=lambda row: abs(legs[row].strike - legs[row].spot)):
        sides.setdefault((legs[row].instrument.expiry or date.max, legs[row].sign), []).append(row)
    parts: dict[tuple[date, int], list[int]] = {}
    for (expiry, _), rows in sorted(sides.items()):
        for place, row in enumerate(rows):
            parts.setdefault((expiry, place // (MOST_TOGETHER // 2)), []).append(row)
    return list(parts.values())


def _coverable(legs: Sequence[Leg], part: Sequence[int], shares: float) -> float:
    """Short contracts of `part` that stock of the sign of `shares` covers."""
    return sum(-legs[row].quantity for row in part if legs[row].quantity < 0 < legs[row].sign * shares)


class _Group:
    """The options of one underlying and multiplier with the lots of stock that may cover them."""

    def __init__(self, legs: Sequence[Leg], options: Sequence[int], stock: int | None, lots: float) -> None:
        self.legs, self.options, self.stock, self.lots = legs, options, stock, lots
        self.scale = legs[options[0]].scale
        self.short = [row for row in options if legs[row].quantity < 0.0]
        self.long = [row for row in options if legs[row].quantity > 0.0]
        self.place = {row: place for place, row in enumerate((*self.short, *self.long))}
        self.columns = charges.columns([legs[row] for row in self.place])
        self.price = np.array([[legs[row].price] for row in self.place])
        self.spot = np.array([[legs[row].spot] for row in self.place])
        self.alone = charges.naked(self.columns, self.price, self.spot)[:, 0]
        self.meanings: dict[int, tuple[Kind, tuple[int, ...]]] = {}
        """package that a column of the program stands for"""
        self.proven = True

    def packages(self) -> list[Package]:
        """The cheapest division; what is no whole contract stays alone."""
        whole = {row: float(np.floor(abs(self.legs[row].quantity) + _LEAST_AMOUNT)) for row in self.place}
        found = self._divided(whole)
        for row, count in whole.items():
            rest = abs(self.legs[row].quantity) - count
            if rest > _LEAST_AMOUNT:
                found.append(self._single(row, rest))
        return found

    def _divided(self, whole: dict[int, float]) -> list[Package]:
        """The cheaper of two programs: in pairs only, which is nearly always whole at once, then with whole spreads."""
        if not self.short and self.stock is None:
            return [self._single(row, count) for row, count in whole.items() if count]
        amounts = [*whole.values(), *([abs(self.lots)] if self.stock is not None else [])]
        draft = self._simple()
        for short, bought, most in self._verticals():
            if most < self.alone[self.place[short]]:
                entries = {self.place[short]: 1.0, self.place[bought]: 1.0}
                self._mean(draft.add(most * self.scale, entries), Kind.SPREAD, short, bought)
        best = integer_program.solve(draft.program(amounts))
        chosen, self.proven = self._read(np.round(best.x), ()), best.proven
        if not self.long or not self.short:
            return chosen
        cost = float(np.array(draft.costs) @ best.x)
        draft = self._simple()
        held = [self._add_spread(draft, shorts, longs) for shorts, longs in self._spreads()]
        right = [*amounts, *[0.0] * (draft.height - len(amounts))]
        wider = integer_program.solve(draft.program(right), below=cost)
        self.proven = wider.proven
        if float(np.array(draft.costs) @ wider.x) < cost:
            chosen = self._read(np.round(wider.x), held)
        return chosen

    def _simple(self) -> Draft:
        """Columns without spreads."""
        stock_row = len(self.place)
        draft = Draft(stock_row + (self.stock is not None))
        self.meanings = {}
        for row, place in self.place.items():
            short = row in self.short
            cost = float(self.alone[place]) * self.scale if short else 0.0
            kind = Kind.NAKED if short else Kind.LONG_OPTION
            self._mean(draft.add(cost, {place: 1.0}, starts=place), kind, row)
        self._add_straddles(draft)
        if self.stock is not None:
            self._add_stock(draft, stock_row)
        return draft

    def _verticals(self) -> Iterator[tuple[int, int, float]]:
        """(short, long, largest loss per unit) of one right, the long expiring with the short or after it."""
        for short in self.short:
            for bought in self.long:
                one, other = self.legs[short], self.legs[bought]
                alike = one.sign == other.sign and _family(one) == _family(other)
                if alike and self._expiry(bought) >= self._expiry(short):
                    yield short, bought, max(one.sign * (other.strike - one.strike), 0.0)

    def _mean(self, column: int, kind: Kind, *rows: int) -> None:
        self.meanings[column] = kind, rows

    def _spreads(self) -> list[tuple[list[int], list[int]]]:
        """(shorts, longs) that may share a spread, one for each last expiry of the shorts."""
        families: dict[object, tuple[list[int], list[int]]] = {}
        for row in self.options:
            leg = self.legs[row]
            pair = families.setdefault(_family(leg), ([], []))
            pair[leg.quantity > 0.0].append(row)
        found = []
        for shorts, longs in families.values():
            seen: list[int] | None = None
            for last in sorted({self._expiry(row) for row in shorts}, reverse=True):
                able = [row for row in longs if self._expiry(row) >= last]
                if able and able != seen:  # with the same longs the later expiry has more shorts: it is never dearer
                    found.append(([row for row in shorts if self._expiry(row) <= last], able))
                    seen = able
        return found

    def _expiry(self, row: int) -> date:
        return self.legs[row].instrument.expiry or date.max

    def _add_straddles(self, draft: Draft) -> None:
        calls = [row for row in self.short if self.legs[row].sign > 0.0]
        puts = [row for row in self.short if self.legs[row].sign < 0.0]
        for call in calls:
            for put in puts:
                a, b = self.place[call], self.place[put]
                cost = charges.straddle(*(np.array(side) for side in (
                    self.alone[a], self.alone[b], self.price[a, 0], self.price[b, 0])))  # fmt: skip
                self._mean(draft.add(float(cost) * self.scale, {a: 1.0, b: 1.0}), Kind.STRADDLE, call, put)

    def _add_stock(self, draft: Draft, stock_row: int) -> None:
        """Plain lots, and every way in which a lot and one or two options go together."""
        long = self.lots > 0.0
        own = charges.columns([self.legs[self.stock]])  # type: ignore[index]  # called with stock only
        spot = np.array([[self.legs[self.stock].spot]])  # type: ignore[index]  # likewise

        def cost(kind: Kind, *rows: int) -> float:
            of = [self.columns.rows([self.place[row]]) for row in rows]
            value = charges.hedged(kind, own, of[0], of[-1], spot) if of else charges.stock(kind, own, spot)
            return float(value[0, 0]) * self.scale

        covers = 1.0 if long else -1.0
        plain = Kind.STOCK if long else Kind.SHORT_STOCK
        self._mean(draft.add(cost(plain), {stock_row: 1.0}, starts=stock_row), plain)
        shorts = [row for row in self.short if self.legs[row].sign == covers]
        longs = [row for row in self.long if self.legs[row].sign == -covers]
        for kind, rows in ((Kind.COVERED_CALL if long else Kind.COVERED_PUT, shorts),
                           (Kind.PROTECTIVE_PUT if long else Kind.PROTECTED_SHORT, longs)):  # fmt: skip
            for row in rows:
                self._mean(draft.add(cost(kind, row), {stock_row: 1.0, self.place[row]: 1.0}), kind, row)
        for short in shorts:
            for bought in longs:
                both = _locked(self.legs[short].instrument, self.legs[bought].instrument, long=long)
                if both is not None:
                    entries = {stock_row: 1.0, self.place[short]: 1.0, self.place[bought]: 1.0}
                    self._mean(draft.add(cost(both, short, bought), entries), both, short, bought)

    def _add_spread(self, draft: Draft, shorts: list[int], longs: list[int]) -> tuple[int, tuple[int, ...]]:
        """Columns and rows of one spread; its first column and its legs. Prices are in units of the highest strike."""
        rows = (*shorts, *longs)
        of = self.columns.rows([self.place[row] for row in rows])
        unit = float(of.strike.max())
        prices = np.unique(np.append(of.strike[:, 0], 0.0))
        signs = np.array([1.0] * len(shorts) + [-1.0] * len(longs))
        losses = signs[:, None] * charges.intrinsic(of, prices) / unit
        top, slope = draft.height, draft.height + len(prices)
        draft.height += len(prices) + 1
        first = len(draft.costs)
        for at, row in enumerate(rows):
            entries = {self.place[row]: 1.0, slope: signs[at] * (of.sign[at, 0] > 0.0)}
            entries |= {top + k: float(losses[at, k]) for k in range(len(prices))}
            draft.add(0.0, entries)
        draft.add(unit * self.scale, {top + k: -1.0 for k in range(len(prices))}, whole=False)
        for row in range(top, draft.height):
            draft.add(0.0, {row: 1.0}, starts=row, whole=False)
        return first, rows

    def _read(self, x: Array, spreads: Sequence[tuple[int, tuple[int, ...]]]) -> list[Package]:
        found = [self._made(kind, rows, float(x[at])) for at, (kind, rows) in self.meanings.items() if x[at] > 0.0]
        for first, rows in spreads:
            held = [(row, float(x[first + at])) for at, row in enumerate(rows) if x[first + at] > 0.0]
            if any(row in self.short for row, _ in held):
                found.append(self._spread(held))
            else:
                found += [self._single(row, count) for row, count in held]
        return found

    def _made(self, kind: Kind, rows: tuple[int, ...], count: float) -> Package:
        if kind is Kind.SPREAD:
            return self._spread([(row, count) for row in rows])
        amounts = tuple(float(np.copysign(count, self.legs[row].quantity)) for row in rows)
        if kind in (Kind.NAKED, Kind.STRADDLE, Kind.LONG_OPTION):
            return Package(kind, rows, amounts, count * self.scale)
        shares = float(np.copysign(count, self.lots)) * self.legs[self.options[0]].multiplier
        return Package(kind, (self.stock or 0, *rows), (shares, *amounts), count * self.scale)

    def _single(self, row: int, count: float) -> Package:
        return self._made(Kind.NAKED if row in self.short else Kind.LONG_OPTION, (row,), count)

    def _spread(self, held: Sequence[tuple[int, float]]) -> Package:
        rows = tuple(row for row, _ in held)
        amounts = tuple(float(np.copysign(count, self.legs[row].quantity)) for row, count in held)
        most, worst = largest_loss(self.columns.rows([self.place[row] for row in rows]), np.array(amounts))
        return Package(Kind.SPREAD, rows, amounts, self.scale, most * self.scale, worst)


def _family(leg: Leg) -> object:
    """What may be in one spread: index options only with others that settle alike; one expiry where a house says so."""
    i = leg.instrument
    alike = i.settlement if i.kind is Held.INDEX_OPTION else None
    return alike, None if rates(i, leg.broker).calendars else i.expiry


def _locked(short: Instrument, bought: Instrument, *, long: bool) -> Kind | None:
    """What stock with a short and a long option of one expiry is; None when the rules know no such package."""
    if short.expiry != bought.expiry or short.strike is None or bought.strike is None:
        return None
    if short.strike == bought.strike:
        return Kind.CONVERSION if long else Kind.REVERSE_CONVERSION
    return Kind.COLLAR if long and bought.strike < short.strike else None
