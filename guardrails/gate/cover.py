"""Whether a short option is covered less than before: the one thing an exit may never do, nor a hedge.

Cover is counted in units of the deliverable (quantity x multiplier), in one account, on one underlying, and by what
protects at which price and until when:

    a short call   long calls that expire no earlier, long shares or futures of its underlying
    a short put    long puts that expire no earlier, short shares or futures of its underlying

For every price level at which something is struck, and every moment at which an option expires, the units that stand
uncovered beyond it are short units minus protecting units. None of these may rise: also selling the near wing while a
lottery ticket far away remains leaves a short less covered. One contract on another future is another underlying: ten
micros do not cover a mini. An option on a future of which only the product is named may be on any of its contracts. On
one day what settles in the morning is over before what settles in the evening. What an adjusted option delivers is its
own: it covers its own root only, and no other covers it but shares.

The gate asks it once of one order, flatten of every order of a plan in turn; both by `Cover`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from guardrails.columns import Array
from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.products import product_root
from guardrails.values import AccountId, finite

_LINEAR = (Kind.EQUITY, Kind.FUTURE)
_SLACK = 1e-9
"""units: what rounding may leave"""
_TOWARD: Mapping[Right, float] = {Right.CALL: 1.0, Right.PUT: -1.0}
"""side of the underlying that covers a short option"""
_SIDES: Mapping[Right, str] = {Right.CALL: "calls", Right.PUT: "puts"}
_NEVER = 2.0 * date.max.toordinal()
Changes = Mapping[str, float]
"""signed units by `Instrument.key`"""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one account holds of one instrument."""

    account: AccountId
    instrument: Instrument
    quantity: float | None
    """signed; None when it is not known"""
    multiplier: float | None

    @property
    def room(self) -> tuple[AccountId, str]:
        """Within which it covers and is covered: its account and product (`SPX`, `AAPL`, `/ES`)."""
        return self.account, product_root(self.instrument.underlying or self.instrument.symbol)

    def after(self, change: float) -> Holding:
        """The same with `change` units more."""
        return replace(self, quantity=None if self.quantity is None else self.quantity + change)


class Cover:
    """The cover of all short options of one account, or of one room of it, and what filled orders make of it."""

    def __init__(self, held: Iterable[Holding]) -> None:
        self._lines = tuple(held)
        self._named = {one.instrument.key: one.instrument for one in self._lines}
        self._options = dict.fromkeys(
            (one.right, one.underlying) for one in self._named.values() if one.is_option and one.right is not None
        )
        self._sides: dict[tuple[Right, str], tuple[_Side, ...]] = {}
        """made when first asked for: an order touches few"""

    def lost(self, changes: Changes, resting: Sequence[Changes] = ()) -> str:
        """Which short option is less covered after `changes`, or why that is not known, in words; empty when none is.

        Whichever of the `resting` orders have filled before: tried is the worst of them at every level and moment.
        """
        return next((words for side in self._touched(changes) if (words := side.lost(changes, resting))), "")

    def keeps(self, changes: Changes) -> bool:
        """Whether no short option is less covered after `changes`."""
        return not self.lost(changes)

    def take(self, changes: Changes) -> None:
        """Go on from what is held after `changes`."""
        for side in self._touched(changes):
            side.take(changes)

    def _touched(self, changes: Changes) -> Iterator[_Side]:
        for name in self._names(changes):
            if name not in self._sides:
                self._sides[name] = tuple(_sides(self._lines, *name))
            yield from self._sides[name]

    def _names(self, changes: Changes) -> Iterable[tuple[Right, str]]:
        """Right and underlying of the options that `changes` may leave less covered."""
        found: dict[tuple[Right, str], None] = {}
        for key in changes:
            one = self._named.get(key)
            if one is not None and one.is_option and one.right is not None:
                names = (one.underlying, product_root(one.underlying))
                found |= {(one.right, name): None for name in names if (one.right, name) in self._options}
            elif one is not None and one.kind in _LINEAR:
                found |= dict.fromkeys(name for name in self._options if _carries(one, name[1]))
        return found


class _Side:
    """Options of one right on one underlying and what protects them, in the order of their strikes."""

    def __init__(self, lines: Sequence[Holding], right: Right, underlying: str) -> None:
        self._what = f"short {_SIDES[right]} on {underlying}"
        toward, self._lines = _TOWARD[right], sorted(lines, key=lambda one: _strike(one.instrument, right))
        self._place = {one.instrument.key: place for place, one in enumerate(self._lines)}
        self._option = np.array([one.instrument.is_option for one in self._lines])
        self._protects = np.where(self._option, 1.0, toward)
        self._quantity = np.array([_number(one.quantity) for one in self._lines])
        self._multiplier = np.array([_size(one.multiplier) for one in self._lines])
        strikes = np.array([_strike(one.instrument, right) for one in self._lines])
        until = np.array([_moment(one.instrument) for one in self._lines])
        self._until, self._moments = until, np.unique(until[self._option])
        self._alive = (until >= self._moments[:, None]).astype(np.float64)
        self._last = np.flatnonzero(np.append(strikes[1:] != strikes[:-1], True))
        self._dated = bool(np.isfinite(until).all() and not np.isnan(strikes).any())

    def lost(self, changes: Changes, resting: Sequence[Changes]) -> str:
        """As `Cover.lost`."""
        change = self._units_of(changes)
        if change is None:
            return ""
        if not self._takes(self._quantity, change):
            return ""  # no protection goes and nothing is sold, so none can be lost
        held = self._quantity
        fills = [one for each in resting if (one := self._units_of(each)) is not None and self._takes(held, one)]
        sold = np.sum([np.minimum(one, 0.0) for one in (change, *fills)], axis=0)
        short = self._option & ~(held + sold >= 0.0)
        if not short.any():
            return ""
        alive = self._alive[np.isin(self._moments, self._until[short])]
        first, then = self._open(held, alive), self._open(held + change, alive)
        more = [self._open(held + one, alive) - first for one in fills]
        worst = np.sum([np.maximum(one, 0.0) for one in more], axis=0) if more else 0.0
        before, after = np.maximum(first + worst, 0.0), np.maximum(then + worst, 0.0)
        if not self._dated or not np.isfinite(before + after).all():
            return self._unclear(held + change)
        return f"it leaves {self._what} less covered than before" if (after > before + _SLACK).any() else ""

    def take(self, changes: Changes) -> None:
        """Go on from what is held after `changes`."""
        change = self._units_of(changes)
        if change is not None:
            self._quantity = self._quantity + change

    def _units_of(self, changes: Changes) -> Array | None:
        """`changes` line by line; None when none of them is of these lines."""
        mine = {place: units for key, units in changes.items() if (place := self._place.get(key)) is not None}
        if not mine:
            return None
        found = np.zeros(len(self._lines))
        found[list(mine)] = list(mine.values())
        return found

    def _takes(self, held: Array, change: Array) -> bool:
        """Whether an option is sold, or what carries one protects less, or may."""
        before, after = self._protects * held, self._protects * (held + change)
        less = ~(np.maximum(after, 0.0) >= np.maximum(before, 0.0))
        return bool(np.where(self._option, change < 0, less & (change != 0)).any())

    def _open(self, quantity: Array, alive: Array) -> Array:
        """Units short beyond every level, of what is `alive`, that nothing of the same life protects."""
        units = -self._protects * quantity * self._multiplier
        units[quantity == 0.0] = 0.0
        bounded = np.where(self._option, units, np.minimum(units, 0.0))
        found: Array = np.cumsum(alive * bounded, axis=1)[:, self._last]
        return found

    def _unclear(self, quantity: Array) -> str:
        """What is not known of them, in words."""
        for line, units in zip(self._lines, quantity.tolist(), strict=True):
            dated = math.isfinite(_moment(line.instrument))
            if math.isnan(units) or (units and math.isnan(_size(line.multiplier))) or not dated:
                what = "contract" if not dated else "quantity" if math.isnan(units) else "multiplier"
                return f"whether {self._what} stay covered is not known: the {what} of {line.instrument.label} is not"
        return f"whether {self._what} stay covered is not known"


def _sides(lines: Iterable[Holding], right: Right, underlying: str) -> Iterator[_Side]:
    """All of a right on an underlying together; and, where some are adjusted, each deliverable by itself."""
    mine = [one for one in lines if _concerns(one, right, underlying)]
    yield _Side(mine, right, underlying)
    delivered = {_deliverable(one.instrument) for one in mine if one.instrument.is_option}
    if len(delivered) > 1:
        for name in sorted(delivered):
            own = [one for one in mine if not one.instrument.is_option or _deliverable(one.instrument) == name]
            yield _Side(own, right, underlying)


def _deliverable(option: Instrument) -> str:
    """Names what it delivers: the root of an adjusted option; empty for all others."""
    return option.root if option.adjusted else ""


def _concerns(line: Holding, right: Right, underlying: str) -> bool:
    """Whether it counts among the options on `underlying`: a short on a future that is not named does for each one."""
    instrument = line.instrument
    if not instrument.is_option:
        return instrument.kind in _LINEAR and _carries(instrument, underlying)
    if instrument.right is not right:
        return False
    named, product = instrument.underlying, product_root(underlying)
    if underlying in (named, product_root(named)):
        return True
    return named == product and not (line.quantity is not None and line.quantity >= 0.0)


def _carries(instrument: Instrument, underlying: str) -> bool:
    """Whether an option on `underlying` is exercised into it; `/ES` is any of its contracts."""
    return instrument.symbol == underlying or product_root(instrument.symbol) == underlying


def _strike(instrument: Instrument, right: Right) -> float:
    """Beyond which it counts, calls upwards; puts are mirrored, so that one rule serves both."""
    if not instrument.is_option:
        return -math.inf
    return math.inf if instrument.strike is None else float(instrument.strike) * _TOWARD[right]


def _moment(instrument: Instrument) -> float:
    """Until when it lives, in half days; infinite (and so not known) for an option without a date or a strike."""
    if not instrument.is_option:
        return _NEVER
    if instrument.expiry is None or instrument.strike is None:
        return math.inf
    return 2.0 * instrument.expiry.toordinal() - (1.0 if instrument.settlement is Settlement.CASH_AM else 0.0)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _size(multiplier: float | None) -> float:
    """Units of one contract; NaN where no contract has such a multiplier."""
    known = finite(multiplier)
    return math.nan if known is None or known <= 0.0 else known
