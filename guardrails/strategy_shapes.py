"""The shapes that option legs make together: each function takes legs and gives the packages it finds among them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from guardrails.instruments import Right

_RATIOS = (2.0, 1 / 2, 3 / 2, 2 / 3, 3.0, 1 / 3)
"""short size / long size that traders still call one trade"""
WORD = {Right.CALL: "call", Right.PUT: "put"}


@dataclass(frozen=True, slots=True)
class Leg:
    """One option row of an account, as far as its shape needs it."""

    row: int
    contract: tuple[str, date, float]
    """root, expiry, multiplier: legs of one expiry share it (SPX at the open is not SPXW at the close)"""
    right: Right
    strike: float
    quantity: float

    @property
    def expiry(self) -> date:
        """Last day of the contract."""
        return self.contract[1]

    @property
    def size(self) -> float:
        """Contracts, without sign."""
        return abs(self.quantity)


@dataclass(frozen=True, slots=True)
class Package:
    """Legs that belong together, and what a trader calls them."""

    kind: str
    legs: tuple[Leg, ...]
    holding: int | None = None
    """row of the stock or future that covers the legs"""

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of all its legs, that of the holding first."""
        own = tuple(leg.row for leg in self.legs)
        return own if self.holding is None else (self.holding, *own)


_Halves = dict[Right, list[tuple[Leg, Leg]]]
"""(short, long) pairs of one expiry by right"""


def _by(legs: Iterable[Leg], key: Callable[[Leg], Hashable]) -> Iterable[list[Leg]]:
    classes: dict[Hashable, list[Leg]] = defaultdict(list)
    for leg in legs:
        classes[key(leg)].append(leg)
    return classes.values()


def _sides(legs: Iterable[Leg]) -> tuple[list[Leg], list[Leg]]:
    """Short legs and long legs, in their order."""
    split: tuple[list[Leg], list[Leg]] = ([], [])
    for leg in legs:
        split[leg.quantity > 0].append(leg)
    return split


def _nearest(legs: list[Leg], strike: float) -> Leg | None:
    """Take the leg with the nearest strike out of `legs`, which are sorted by strike."""
    at = bisect_left(legs, strike, key=lambda leg: leg.strike)
    near = [i for i in (at - 1, at) if 0 <= i < len(legs)]
    return legs.pop(min(near, key=lambda i: abs(legs[i].strike - strike))) if near else None


def butterflies(free: Sequence[Leg]) -> Iterator[Package]:
    """Three neighbouring strikes of one right, 1 : -2 : 1 or the reverse, wings equally far."""
    for legs in _by(free, lambda leg: (leg.contract, leg.right)):
        used = -1
        for i in range(1, len(legs) - 1):
            low, body, high = legs[i - 1 : i + 2]
            even = body.strike - low.strike == high.strike - body.strike > 0
            if i - 1 > used and even and low.quantity == high.quantity == -body.quantity / 2:
                yield Package(
                    ("" if body.quantity < 0 else "short ") + f"{WORD[body.right]} butterfly", (low, body, high)
                )
                used = i + 1


def _pairs(free: Sequence[Leg]) -> Iterator[tuple[Leg, Leg]]:
    """(short, long) of one expiry, right and size, nearest strikes first come."""
    for legs in _by(free, lambda leg: (leg.contract, leg.right, leg.size)):
        shorts, longs = _sides(legs)
        for short in shorts:
            long = _nearest(longs, short.strike)
            if long is not None and long.strike != short.strike:
                yield short, long


def _is_credit(short: Leg, long: Leg) -> bool:
    """The leg nearer to the money is dearer: the higher put, the lower call."""
    return short.strike > long.strike if short.right is Right.PUT else short.strike < long.strike


def irons(free: Sequence[Leg]) -> Iterator[Package]:
    """A put and a call vertical of one expiry and size, both for credit (or both for debit), that do not overlap."""
    halves: dict[tuple[Hashable, float, bool], _Halves] = defaultdict(lambda: {Right.PUT: [], Right.CALL: []})
    for short, long in _pairs(free):
        halves[short.contract, short.size, _is_credit(short, long)][short.right].append((short, long))
    for (_, _, credit), sides in halves.items():
        body = 0 if credit else 1
        puts = sorted(sides[Right.PUT], key=lambda pair: -pair[body].strike)
        calls = sorted(sides[Right.CALL], key=lambda pair: pair[body].strike)
        for put, call in zip(puts, calls, strict=False):
            if put[body].strike <= call[body].strike:
                kind = "iron butterfly" if put[body].strike == call[body].strike else "iron condor"
                yield Package(kind if credit else f"reverse {kind}", (*put, *call))


def verticals(free: Sequence[Leg]) -> Iterator[Package]:
    """A short and a long leg of one expiry, right and size."""
    for short, long in _pairs(free):
        yield Package(f"{WORD[short.right]} {'credit' if _is_credit(short, long) else 'debit'} vertical", (short, long))


def covered_by(free: Sequence[Leg], holdings: Sequence[tuple[int, float]]) -> Iterator[Package]:
    """Short calls wholly covered by what is held; a collar when each has a long put of its expiry and size."""
    calls = [leg for leg in free if leg.right is Right.CALL and leg.quantity < 0]
    puts = [leg for leg in free if leg.right is Right.PUT and leg.quantity > 0]
    for row, units in holdings:
        legs: list[Leg] = []
        left, collars = units, 0
        for call in list(calls):
            need = call.size * call.contract[2]
            if need > left:
                continue
            left -= need
            calls.remove(call)
            legs.append(call)
            put = next((leg for leg in puts if leg.contract == call.contract and leg.size == call.size), None)
            if put is not None:
                puts.remove(put)
                legs.append(put)
                collars += 1
        if legs:
            yield Package("collar" if collars * 2 == len(legs) else "covered call", tuple(legs), row)


def _later(free: Sequence[Leg], kind: str, key: Callable[[Leg], Hashable]) -> Iterator[Package]:
    """Short legs with a long one that lives longer, so that the short is never without it."""
    for legs in _by(free, key):
        shorts, longs = _sides(sorted(legs, key=lambda leg: leg.expiry))
        for short in shorts:
            at = bisect_right(longs, short.expiry, key=lambda leg: leg.expiry)
            if at < len(longs):
                yield Package(f"{WORD[short.right]} {kind}", (short, longs.pop(at)))


def calendars(free: Sequence[Leg]) -> Iterator[Package]:
    """A short leg with a longer-lived one of its right, strike and size."""
    return _later(free, "calendar", lambda leg: (leg.right, leg.strike, leg.size, leg.contract[2]))


def diagonals(free: Sequence[Leg]) -> Iterator[Package]:
    """The same at any strike."""
    return _later(free, "diagonal", lambda leg: (leg.right, leg.size, leg.contract[2]))


def straddles(free: Sequence[Leg]) -> Iterator[Package]:
    """A put and a call of one expiry and size on the same side: at one strike, or the put below the call."""
    for legs in _by(free, lambda leg: (leg.contract, leg.quantity)):
        puts = [leg for leg in reversed(legs) if leg.right is Right.PUT]
        calls = [leg for leg in legs if leg.right is Right.CALL]
        for put, call in zip(puts, calls, strict=False):
            if put.strike <= call.strike:
                side = "short" if put.quantity < 0 else "long"
                yield Package(f"{side} {'straddle' if put.strike == call.strike else 'strangle'}", (put, call))


def ratios(free: Sequence[Leg]) -> Iterator[Package]:
    """One short and one long row of one expiry and right in a simple ratio of sizes."""
    for legs in _by(free, lambda leg: (leg.contract, leg.right)):
        shorts, longs = _sides(legs)
        sized: dict[float, list[Leg]] = defaultdict(list)
        for leg in longs:
            sized[leg.size].append(leg)
        for short in shorts:
            found = next((size for ratio in _RATIOS if sized.get(size := short.size / ratio)), None)
            long = None if found is None else _nearest(sized[found], short.strike)
            if long is not None:
                yield Package(
                    f"{WORD[short.right]} {'ratio' if short.size > long.size else 'backspread'}", (short, long)
                )
