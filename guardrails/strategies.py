"""Which legs belong together: a page that lists 40 options one by one hides the ten trades they are.

Legs are matched within one account and underlying, whole rows only: 3 short puts beside 2 long ones are no vertical.
What finds no partner stays alone under a name that says what it is (`naked short put`). A name is a reading aid:
whether a short is covered for the purpose of margin or of an exit is never decided from it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from datetime import date

from guardrails.instruments import Instrument, Kind
from guardrails.strategy_shapes import (
    WORD,
    Leg,
    Package,
    butterflies,
    calendars,
    covered_by,
    diagonals,
    irons,
    ratios,
    straddles,
    verticals,
)
from guardrails.values import Position

_ALONE = {Kind.EQUITY: "stock", Kind.FUTURE: "future"}


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


def _match(positions: Sequence[Position], rows: Sequence[int]) -> list[Package]:
    """Packages of one account and underlying; each step sees only what no earlier one took, the rest stays alone."""
    legs = [leg for row in rows if (leg := _leg(row, positions[row])) is not None]
    free = sorted(legs, key=lambda leg: (leg.contract, leg.right, leg.strike, leg.row))
    holdings = [(row, units) for row in rows if (units := _units(positions[row]))]

    def covered(legs: Sequence[Leg]) -> Iterator[Package]:
        return covered_by(legs, holdings)

    found: list[Package] = []
    for step in (butterflies, irons, verticals, covered, calendars, straddles, diagonals, ratios):
        new = list(step(free))
        taken = {leg.row for package in new for leg in package.legs}
        free = [leg for leg in free if leg.row not in taken]
        found += new
    return found + [Package(_lone(leg), (leg,)) for leg in free]


def _leg(row: int, position: Position) -> Leg | None:
    """The position as a leg; None when it is no option, too little is known of it, or its deliverable was adjusted."""
    i, quantity, multiplier = position.instrument, position.quantity, position.multiplier
    if not i.is_option or i.adjusted or not quantity or not multiplier:
        return None
    if i.expiry is None or i.strike is None or i.right is None:
        return None
    return Leg(row, (i.root or i.underlying, i.expiry, multiplier), i.right, float(i.strike), quantity)


def _units(position: Position) -> float:
    """Units held long of a stock or future; 0 for everything else."""
    if position.instrument.kind not in _ALONE:
        return 0.0
    return max((position.quantity or 0.0) * (position.multiplier or 0.0), 0.0)


def _name(package: Package, positions: Sequence[Position]) -> str:
    """`SPX 18Dec26 iron condor`; a calendar names both expiries."""
    legs = sorted(package.legs, key=lambda leg: leg.expiry)
    days = list(dict.fromkeys(_day(leg.expiry) for leg in legs))
    root = legs[0].contract[0]
    if package.holding is not None:
        root = positions[package.holding].instrument.symbol
    return f"{root} {'/'.join(days[:2])} {package.kind}" if len(days) <= 2 else f"{root} {package.kind}"


def _strikes(package: Package) -> str:
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
    return f"{_title(i)} {_side(quantity)} {WORD[i.right]}"


def _lone(leg: Leg) -> str:
    return f"{_side(leg.quantity)} {WORD[leg.right]}"


def _side(quantity: float) -> str:
    return "long" if quantity > 0 else "naked short"


def _title(instrument: Instrument) -> str:
    root = instrument.root or instrument.underlying
    return root if instrument.expiry is None else f"{root} {_day(instrument.expiry)}"


def _day(day: date) -> str:
    return f"{day.day}{day:%b%y}"
