"""Whether a short option is covered less than before: the one thing an exit may never do.

Cover is counted in units of the deliverable (quantity x multiplier), in one account, on one underlying, and by what
protects at which price and until when:

    a short call   long calls that expire no earlier, long shares or futures of its underlying
    a short put    long puts that expire no earlier, short shares or futures of its underlying

For every price level at which something is struck, and every date on which a short expires, the units that stand
uncovered beyond it are short units minus protecting units. None of these may rise: also selling the near wing while a
lottery ticket far away remains leaves a short less covered. One contract on another future is another underlying: ten
micros do not cover a mini.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from guardrails.instruments import Instrument, Kind, Right
from guardrails.products import product_root

_LINEAR = (Kind.EQUITY, Kind.FUTURE)
_SLACK = 1e-9
"""units: what rounding may leave"""


@dataclass(frozen=True, slots=True)
class Held:
    """One instrument in the account; None is not known."""

    instrument: Instrument
    before: float | None
    after: float | None
    multiplier: float | None


@dataclass(frozen=True, slots=True)
class _Line:
    """What is short (above zero) or protects (below zero) from `strike` on, until `expiry`."""

    strike: float
    """beyond which it counts, calls upwards; puts are mirrored, so that one rule serves both"""
    expiry: date
    before: float
    after: float


def lost_cover(held: Sequence[Held]) -> str:
    """Which short option is left less covered, or why that is not known, in words; empty when none is."""
    for right in Right:
        for underlying in sorted({each.instrument.underlying for each in held if _is_short(each, right)}):
            if words := _lost(right, underlying, held):
                return words
    return ""


def _is_short(held: Held, right: Right) -> bool:
    instrument = held.instrument
    return instrument.is_option and instrument.right is right and (held.after is None or held.after < 0)


def _lost(right: Right, underlying: str, held: Sequence[Held]) -> str:
    concerned = [each for each in held if _concerns(each.instrument, right, underlying)]
    if not any(_shrinks(each, right) for each in concerned):
        return ""  # no protection goes, so none can be lost
    side = "calls" if right is Right.CALL else "puts"
    lines = []
    for each in concerned:
        line = _line(each, right)
        if line is None:
            return f"whether the short {side} on {underlying} stay covered is not known: {_unclear(each)}"
        lines.append(line)
    if all(_uncovered(lines, at, after=True) <= _uncovered(lines, at, after=False) + _SLACK for at in _grid(lines)):
        return ""
    return f"it leaves short {side} on {underlying} less covered than before"


def _concerns(instrument: Instrument, right: Right, underlying: str) -> bool:
    if instrument.is_option:
        return instrument.right is right and instrument.underlying == underlying
    named = instrument.symbol == underlying or product_root(instrument.symbol) == underlying  # `/ES`: any contract
    return instrument.kind in _LINEAR and named


def _shrinks(held: Held, right: Right) -> bool:
    """Whether the protection it gives is smaller after, or may be."""
    if held.before is None or held.after is None:
        return held.before is not held.after
    toward = -1.0 if not held.instrument.is_option and right is Right.PUT else 1.0
    return max(toward * held.after, 0.0) < max(toward * held.before, 0.0)


def _line(held: Held, right: Right) -> _Line | None:
    instrument, units = held.instrument, held.multiplier
    if held.before is None or held.after is None or units is None:
        return None
    if not instrument.is_option:
        toward = 1.0 if right is Right.CALL else -1.0
        before, after = (-max(toward * quantity, 0.0) * units for quantity in (held.before, held.after))
        return _Line(-math.inf, date.max, before, after)
    if instrument.strike is None or instrument.expiry is None:
        return None
    strike = float(instrument.strike) * (1.0 if right is Right.CALL else -1.0)
    return _Line(strike, instrument.expiry, -held.before * units, -held.after * units)


def _unclear(held: Held) -> str:
    label = held.instrument.label
    if held.before is None or held.after is None:
        return f"the quantity of {label} is not known"
    return f"the multiplier of {label} is not known" if held.multiplier is None else f"the contract of {label} is not"


def _grid(lines: Sequence[_Line]) -> Iterable[tuple[float, date]]:
    """Every level at which something is struck, with every date on which a short expires."""
    days = {line.expiry for line in lines if max(line.before, line.after) > 0}
    return [(strike, day) for strike in {line.strike for line in lines} for day in days]


def _uncovered(lines: Sequence[_Line], at: tuple[float, date], *, after: bool) -> float:
    """Units short beyond a level, of what lives until a day or longer, that nothing of the same life protects."""
    level, day = at
    counted = (line for line in lines if line.strike <= level and line.expiry >= day)
    return max(sum(line.after if after else line.before for line in counted), 0.0)
