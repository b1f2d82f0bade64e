"""Dollars in few letters, and ranges in words: what is not known exactly is never said as one number."""

from __future__ import annotations

import math

from guardrails import wording
from guardrails.intervals import Interval
from guardrails.snapshot.stress import Number, StressRow

_SIZES = ((1e6, "M"), (1e3, "k"))


def short(value: float) -> str:
    """`−$31k`, `+$4.3k`, `$0`."""
    for size, letter in _SIZES:
        if abs(value) >= 0.9995 * size:
            amount = abs(value) / size
            return f"{_sign(value)}${amount:,.{1 if amount < 9.95 else 0}f}{letter}"
    text = f"{abs(value):,.0f}"
    return f"${text}" if text == "0" else f"{_sign(value)}${text}"


def between(low: Number, high: Number) -> str:
    """`−$31k`, `between −$31k and −$18k`, `at most −$3k`, `?`; None and infinity are no bound."""
    low, high = _bound(low), _bound(high)
    if low is None or high is None:
        known = [f"{word} {short(end)}" for word, end in (("at least", low), ("at most", high)) if end is not None]
        return known[0] if known else "?"
    return short(low) if short(low) == short(high) else f"between {short(low)} and {short(high)}"


def within(interval: Interval) -> str:
    """The same of an interval."""
    return "?" if interval.missing and interval.low == interval.high else between(interval.low, interval.high)


def row_words(row: StressRow) -> str:
    """P&L of a row of the Snapshot."""
    return short(row.pnl) if row.pnl is not None else between(row.at_least, row.at_most)


def move_words(move: float) -> str:
    """`−8.5 %`, `+3 %`, `0 %`."""
    text = f"{abs(move) * 100:.1f}".removesuffix(".0")
    return f"{text} %" if text == "0" else f"{_sign(move)}{text} %"


def points_words(vol: float) -> str:
    """`+12 points` from 0.12."""
    text = f"{abs(vol) * 100:.1f}".removesuffix(".0")
    return f"{text} points" if text == "0" else f"{_sign(vol)}{text} points"


def level_words(name: str, level: Number) -> str:
    """`SPX 5,490`, `AAPL 243.10`; only the name where the level is not known."""
    if level is None:
        return name
    return f"{name} {wording.number(level, 0 if level >= 1000 or level == 0 else 2)}"


def _sign(value: float) -> str:
    return wording.MINUS if value < 0 else "+"


def _bound(value: Number) -> Number:
    return value if value is not None and math.isfinite(value) else None
