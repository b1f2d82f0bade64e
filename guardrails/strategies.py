"""Which legs belong together: a page that lists 40 options one by one hides the ten trades they are.

Legs are matched within one account and underlying, whole rows only: 3 short puts beside 2 long ones are no vertical.
What finds no partner stays alone under a name that says what it is (`naked short put`). A name is a reading aid:
whether a short is covered for the purpose of margin or of an exit is never decided from it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from guardrails.instruments import Instrument, Kind, Right
from guardrails.values import Position

_RATIOS = (2.0, 1 / 2, 3 / 2, 2 / 3, 3.0, 1 / 3)
"""short size / long size that traders still call one trade"""
_ALONE = {Kind.EQUITY: "stock", Kind.FUTURE: "future"}
_WORD = {Right.CALL: "call", Right.PUT: "put"}


@dataclass(frozen=True, slots=True)
class _Leg:
    row: int
    contract: tuple[str, date, float]
    """root, expiry, multiplier: legs of one expiry share it (SPX at the open is not SPXW at the close)"""
    right: Right
    strike: float
    quantity: float

    @property
    def expiry(self) -> date:
        return self.contract[1]

    @property
    def size(self) -> float:
        return abs(self.quantity)


@dataclass(frozen=True, slots=True)
class _Package:
    kind: str
    legs: tuple[_Leg, ...]
    holding: int | None = None
    """row of the stock or future that covers the legs"""

    @property
    def rows(self) -> tuple[int, ...]:
        own = tuple(leg.row for leg in self.legs)
        return own if self.holding is None else (self.holding, *own)


_Halves = dict[Right, list[tuple[_Leg, _Leg]]]
"""(short, long) pairs of one expiry by right"""


def packages(positions: Sequence[Position]) -> tuple[str, ...]:
    """One name per position in the same order, `SPX 18Dec26 iron condor`; legs of one package share the name.

    Empty where no strategy can be read: cash, unknown instruments, rows without quantity. Strikes are added where an
    account holds two packages, or two lone options, of one name.
    """
    names = [_alone(position) for position in positions]
    books: dict[Hashable, list[int]] = defaultdict(list)
    for row, position in enumerate(positions):
        books[position.account, position.instrument.underlying or position.instrument.symbol].append(row)
    for rows in books.values():
        found = _match(positions, rows)
        plain = [_name(package, positions) for package in found]
        count = Counter(plain)
        for package, name in zip(found, plain, strict=True):
            for row in package.rows:
                names[row] = name if count[name] == 1 else f"{name} {_strikes(package)}"
    return tuple(names)


def _match(positions: Sequence[Position], rows: Sequence[int]) -> list[_Package]:
    """Packages of one account and underlying; each step sees only what no earlier one took, the rest stays alone."""
    legs = [leg for row in rows if (leg := _leg(row, positions[row])) is not None]
    free = sorted(legs, key=lambda leg: (leg.contract, leg.right, leg.strike, leg.row))
    holdings = [(row, units) for row in rows if (units := _units(positions[row]))]

    def covered(legs: Sequence[_Leg]) -> Iterator[_Package]:
        return _covered(legs, holdings)

    found: list[_Package] = []
    for step in (_butterflies, _irons, _verticals, covered, _calendars, _straddles, _diagonals, _ratios):
        new = list(step(free))
        taken = {leg.row for package in new for leg in package.legs}
        free = [leg for leg in free if leg.row not in taken]
        found += new
    return found + [_Package(_lone(leg), (leg,)) for leg in free]


def _leg(row: int, position: Position) -> _Leg | None:
    """The position as a leg; None when it is no option, too little is known of it, or its deliverable was adjusted."""
    i, quantity, multiplier = position.instrument, position.quantity, position.multiplier
    if not i.is_option or i.adjusted or not quantity or not multiplier:
        return None
    if i.expiry is None or i.strike is None or i.right is None:
        return None
    return _Leg(row, (i.root or i.underlying, i.expiry, multiplier), i.right, float(i.strike), quantity)


def _units(position: Position) -> float:
    """Units held long of a stock or future; 0 for everything else."""
    if position.instrument.kind not in _ALONE:
        return 0.0
    return max((position.quantity or 0.0) * (position.multiplier or 0.0), 0.0)


def _by(legs: Iterable[_Leg], key: Callable[[_Leg], Hashable]) -> Iterable[list[_Leg]]:
    classes: dict[Hashable, list[_Leg]] = defaultdict(list)
    for leg in legs:
        classes[key(leg)].append(leg)
    return classes.values()


def _sides(legs: Iterable[_Leg]) -> tuple[list[_Leg], list[_Leg]]:
    """Short legs and long legs, in their order."""
    split: tuple[list[_Leg], list[_Leg]] = ([], [])
    for leg in legs:
        split[leg.quantity > 0].append(leg)
    return split


def _nearest(legs: list[_Leg], strike: float) -> _Leg | None:
    """Take the leg with the nearest strike out of `legs`, which are sorted by strike."""
    at = bisect_left(legs, strike, key=lambda leg: leg.strike)
    near = [i for i in (at - 1, at) if 0 <= i < len(legs)]
    return legs.pop(min(near, key=lambda i: abs(legs[i].strike - strike))) if near else None


def _butterflies(free: Sequence[_Leg]) -> Iterator[_Package]:
    """Three neighbouring strikes of one right, 1 : -2 : 1 or the reverse, wings equally far."""
    for legs in _by(free, lambda leg: (leg.contract, leg.right)):
        used = -1
        for i in range(1, len(legs) - 1):
            low, body, high = legs[i - 1 : i + 2]
            even = body.strike - low.strike == high.strike - body.strike > 0
            if i - 1 > used and even and low.quantity == high.quantity == -body.quantity / 2:
                yield _Package(
                    ("" if body.quantity < 0 else "short ") + f"{_WORD[body.right]} butterfly", (low, body, high)
                )
                used = i + 1


def _pairs(free: Sequence[_Leg]) -> Iterator[tuple[_Leg, _Leg]]:
    """(short, long) of one expiry, right and size, nearest strikes first come."""
    for legs in _by(free, lambda leg: (leg.contract, leg.right, leg.size)):
        shorts, longs = _sides(legs)
        for short in shorts:
            long = _nearest(longs, short.strike)
            if long is not None and long.strike != short.strike:
                yield short, long


def _is_credit(short: _Leg, long: _Leg) -> bool:
    """The leg nearer to the money is dearer: the higher put, the lower call."""
    return short.strike > long.strike if short.right is Right.PUT else short.strike < long.strike


def _irons(free: Sequence[_Leg]) -> Iterator[_Package]:
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
                yield _Package(kind if credit else f"reverse {kind}", (*put, *call))


def _verticals(free: Sequence[_Leg]) -> Iterator[_Package]:
    for short, long in _pairs(free):
        yield _Package(
            f"{_WORD[short.right]} {'credit' if _is_credit(short, long) else 'debit'} vertical", (short, long)
        )


def _covered(free: Sequence[_Leg], holdings: Sequence[tuple[int, float]]) -> Iterator[_Package]:
    """Short calls wholly covered by what is held; a collar when each has a long put of its expiry and size."""
    calls = [leg for leg in free if leg.right is Right.CALL and leg.quantity < 0]
    puts = [leg for leg in free if leg.right is Right.PUT and leg.quantity > 0]
    for row, units in holdings:
        legs: list[_Leg] = []
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
            yield _Package("collar" if collars * 2 == len(legs) else "covered call", tuple(legs), row)


def _later(free: Sequence[_Leg], kind: str, key: Callable[[_Leg], Hashable]) -> Iterator[_Package]:
    """Short legs with a long one that lives longer, so that the short is never without it."""
    for legs in _by(free, key):
        shorts, longs = _sides(sorted(legs, key=lambda leg: leg.expiry))
        for short in shorts:
            at = bisect_right(longs, short.expiry, key=lambda leg: leg.expiry)
            if at < len(longs):
                yield _Package(f"{_WORD[short.right]} {kind}", (short, longs.pop(at)))


def _calendars(free: Sequence[_Leg]) -> Iterator[_Package]:
    return _later(free, "calendar", lambda leg: (leg.right, leg.strike, leg.size, leg.contract[2]))


def _diagonals(free: Sequence[_Leg]) -> Iterator[_Package]:
    return _later(free, "diagonal", lambda leg: (leg.right, leg.size, leg.contract[2]))


def _straddles(free: Sequence[_Leg]) -> Iterator[_Package]:
    """A put and a call of one expiry and size on the same side: at one strike, or the put below the call."""
    for legs in _by(free, lambda leg: (leg.contract, leg.quantity)):
        puts = [leg for leg in reversed(legs) if leg.right is Right.PUT]
        calls = [leg for leg in legs if leg.right is Right.CALL]
        for put, call in zip(puts, calls, strict=False):
            if put.strike <= call.strike:
                side = "short" if put.quantity < 0 else "long"
                yield _Package(f"{side} {'straddle' if put.strike == call.strike else 'strangle'}", (put, call))


def _ratios(free: Sequence[_Leg]) -> Iterator[_Package]:
    """One short and one long row of one expiry and right in a simple ratio of sizes."""
    for legs in _by(free, lambda leg: (leg.contract, leg.right)):
        shorts, longs = _sides(legs)
        sized: dict[float, list[_Leg]] = defaultdict(list)
        for leg in longs:
            sized[leg.size].append(leg)
        for short in shorts:
            found = next((size for ratio in _RATIOS if sized.get(size := short.size / ratio)), None)
            long = None if found is None else _nearest(sized[found], short.strike)
            if long is not None:
                yield _Package(
                    f"{_WORD[short.right]} {'ratio' if short.size > long.size else 'backspread'}", (short, long)
                )


def _name(package: _Package, positions: Sequence[Position]) -> str:
    """`SPX 18Dec26 iron condor`; a calendar names both expiries."""
    legs = sorted(package.legs, key=lambda leg: leg.expiry)
    days = list(dict.fromkeys(_day(leg.expiry) for leg in legs))
    root = legs[0].contract[0]
    if package.holding is not None:
        root = positions[package.holding].instrument.symbol
    return f"{root} {'/'.join(days[:2])} {package.kind}" if len(days) <= 2 else f"{root} {package.kind}"


def _strikes(package: _Package) -> str:
    return "/".join(f"{strike:g}" for strike in sorted({leg.strike for leg in package.legs}))


def _alone(position: Position) -> str:
    """Name of a position without partners."""
    i, quantity = position.instrument, position.quantity
    if not quantity:
        return ""
    if i.kind in _ALONE:
        return f"{i.symbol} {'short ' if quantity < 0 else ''}{_ALONE[i.kind]}"
    if i.right is None:
        return ""
    return f"{_title(i)} {_side(quantity)} {_WORD[i.right]}"


def _lone(leg: _Leg) -> str:
    return f"{_side(leg.quantity)} {_WORD[leg.right]}"


def _side(quantity: float) -> str:
    return "long" if quantity > 0 else "naked short"


def _title(instrument: Instrument) -> str:
    root = instrument.root or instrument.underlying
    return root if instrument.expiry is None else f"{root} {_day(instrument.expiry)}"


def _day(day: date) -> str:
    return f"{day.day}{day:%b%y}"
