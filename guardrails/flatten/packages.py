"""What is closed as one order: legs that were opened together stay together, everything else goes leg by leg.

A package is one order where a venue takes it: at most four option legs of one account, underlying, currency,
multiplier and kind of market. Shares and futures go by themselves, after the options they cover.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd

from guardrails.flatten.scope import Line, bundle_of
from guardrails.instruments import Kind
from guardrails.orders import MAX_LEGS, Leg
from guardrails.values import AccountId


@dataclass(frozen=True, slots=True)
class Bundle:
    """Lines that one order closes, or several of the same legs."""

    account: AccountId
    lines: tuple[Line, ...]
    legs: tuple[Leg, ...]
    """with the signs of the trades that close"""
    quantity: int
    """packages"""

    def units(self, line: Line) -> float:
        """How many units of `line` all of it trades, signed."""
        return self.changes[line.key]

    @property
    def changes(self) -> Mapping[str, float]:
        """Signed units that all of it trades by `Instrument.key`."""
        return {leg.instrument.key: float(leg.ratio * self.quantity) for leg in self.legs}

    def apart(self) -> tuple[Bundle, ...]:
        """Each of its lines by itself."""
        return tuple(_alone(line, int(abs(self.units(line)))) for line in self.lines)

    @property
    def buys_back(self) -> bool:
        """Whether it takes off something short."""
        return any(leg.ratio > 0 for leg in self.legs)


def bundles_of(lines: Sequence[Line], free: Mapping[tuple[AccountId, str], int], *, whole: bool) -> tuple[Bundle, ...]:
    """How `lines` are closed, of which `free` whole units may be by (account, key); `whole` keeps packages together."""
    groups: dict[object, list[Line]] = {}
    for line in lines:
        together = whole and line.package and line.instrument.is_option
        groups.setdefault(bundle_of(line) if together else (line.account, line.key), []).append(line)
    found: list[Bundle] = []
    for group in groups.values():
        left = {line.key: free[line.account, line.key] for line in group}
        if len(group) > 1 and _fits(group) and (package := _package(group, left)) is not None:
            found.append(package)
            left = {line.key: left[line.key] - int(abs(package.units(line))) for line in group}
        found += [_alone(line, left[line.key]) for line in group if left[line.key]]
    return tuple(found)


def _fits(group: Sequence[Line]) -> bool:
    """Whether a venue takes these lines as one order."""
    markets = {(line.multiplier, line.currency, line.instrument.kind is Kind.FUTURE_OPTION) for line in group}
    return len(group) <= MAX_LEGS and len(markets) == 1


def _package(group: Sequence[Line], left: Mapping[str, int]) -> Bundle | None:
    """As many packages, in the proportions in which they are held, as what is `left` of each line gives."""
    held = [int(abs(line.quantity or 0.0)) for line in group]
    unit = reduce(gcd, held)
    if not unit:
        return None
    ratios = [size // unit for size in held]
    count = min(left[line.key] // ratio for line, ratio in zip(group, ratios, strict=True))
    if not count:
        return None
    legs = tuple(Leg(line.instrument, _way(line) * ratio) for line, ratio in zip(group, ratios, strict=True))
    return Bundle(group[0].account, tuple(group), _shorts_first(legs), count)


def _alone(line: Line, units: int) -> Bundle:
    return Bundle(line.account, (line,), (Leg(line.instrument, _way(line)),), units)


def _way(line: Line) -> int:
    return 1 if line.is_short else -1


def _shorts_first(legs: Sequence[Leg]) -> tuple[Leg, ...]:
    return tuple(sorted(legs, key=lambda leg: leg.ratio < 0))
