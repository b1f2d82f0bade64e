"""Whether a closing order leaves a short option less covered: what puts the orders of a plan into their order.

The rule is the gate's (`guardrails.gate.cover`); here it is asked of every order of a plan in turn, so the units that
stand uncovered are kept for every level and date, and an order only moves those it touches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from guardrails.columns import Array
from guardrails.instruments import Instrument, Kind, Right
from guardrails.products import product_root
from guardrails.values import AccountId

_CARRIERS = (Kind.EQUITY, Kind.FUTURE)
_SLACK = 1e-9
"""units: what rounding may leave"""
_TOWARD: Mapping[Right, float] = {Right.CALL: 1.0, Right.PUT: -1.0}
"""side of the underlying that covers a short option"""


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
    """The cover of all short options of one room, and what orders that are filled make of it."""

    def __init__(self, held: Iterable[Holding]) -> None:
        lines = tuple(held)
        sides = {(one.instrument.right, one.instrument.underlying) for one in lines if _may_be_short(one)}
        self._sides = [_Side(lines, right, name) for right, name in sides if right is not None]

    def keeps(self, changes: Mapping[str, float]) -> bool:
        """Whether no short option is less covered after `changes`, signed units by `Instrument.key`."""
        return all(side.keeps(changes) for side in self._sides)

    def take(self, changes: Mapping[str, float]) -> None:
        """Go on from what is held after `changes`."""
        for side in self._sides:
            side.take(changes)


class _Side:
    """Options of one right on one underlying and what protects them."""

    def __init__(self, held: Sequence[Holding], right: Right, underlying: str) -> None:
        lines = [one for one in held if _concerns(one.instrument, right, underlying)]
        self._place = {one.instrument.key: place for place, one in enumerate(lines)}
        self._protects = np.array([_way(one.instrument, right) for one in lines])
        self._quantity = np.array([math.nan if one.quantity is None else one.quantity for one in lines])
        self._multiplier = np.array([one.multiplier or math.nan for one in lines])
        self._option = np.array([one.instrument.is_option for one in lines])
        self._counts = _grid([one.instrument for one in lines], right)
        self._clear = bool(np.isfinite(self._quantity + self._multiplier).all()) and self._counts is not None

    def keeps(self, changes: Mapping[str, float]) -> bool:
        after = self._after(changes)
        if after is None or not self._protection_shrinks(after):
            return True
        if not (self._option & ~(after >= 0)).any():
            return True  # nothing is short any more
        if not self._clear or self._counts is None:
            return False
        before = np.maximum(self._counts @ self._units(self._quantity), 0.0)
        return bool((np.maximum(self._counts @ self._units(after), 0.0) <= before + _SLACK).all())

    def take(self, changes: Mapping[str, float]) -> None:
        after = self._after(changes)
        if after is not None:
            self._quantity = after

    def _after(self, changes: Mapping[str, float]) -> Array | None:
        """Quantities after `changes`; None when none of them concerns these lines."""
        mine = {place: change for key, change in changes.items() if (place := self._place.get(key)) is not None}
        if not mine:
            return None
        after = self._quantity.copy()
        for place, change in mine.items():
            after[place] += change
        return after

    def _protection_shrinks(self, after: Array) -> bool:
        held, left = self._protects * self._quantity, self._protects * after
        return bool((~(np.maximum(left, 0.0) >= np.maximum(held, 0.0)) & ~(np.isnan(held) & np.isnan(left))).any())

    def _units(self, quantity: Array) -> Array:
        """Units short (above zero) or protecting (below zero); shares and futures only ever protect."""
        units = -self._protects * quantity * self._multiplier
        bounded: Array = np.where(self._option, units, np.minimum(units, 0.0))
        return bounded


def _may_be_short(holding: Holding) -> bool:
    return holding.instrument.is_option and not (holding.quantity or -1.0) >= 0


def _concerns(instrument: Instrument, right: Right, underlying: str) -> bool:
    if instrument.is_option:
        return instrument.right is right and instrument.underlying == underlying
    named = instrument.symbol == underlying or product_root(instrument.symbol) == underlying  # `/ES`: any contract
    return instrument.kind in _CARRIERS and named


def _way(instrument: Instrument, right: Right) -> float:
    return 1.0 if instrument.is_option else _TOWARD[right]


def _grid(instruments: Sequence[Instrument], right: Right) -> Array | None:
    """1 where a line counts at a (level, date); None when the strike or expiry of an option is not known."""
    if any(one.is_option and (one.strike is None or one.expiry is None) for one in instruments):
        return None
    strikes = [_TOWARD[right] * float(one.strike) if one.strike is not None else -math.inf for one in instruments]
    days = [(one.expiry if one.is_option and one.expiry else date.max).toordinal() for one in instruments]
    levels = np.array([(strike, day) for strike in sorted(set(strikes)) for day in sorted(set(days))])
    counted = (np.array(strikes) <= levels[:, :1]) & (np.array(days) >= levels[:, 1:])
    return counted.astype(np.float64)
