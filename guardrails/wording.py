"""How numbers are said: the same figure looks the same in a message, on a page and on the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

MINUS = "−"
_SCALES = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def number(value: float | None, digits: int = 0) -> str:
    """`−4,310`, or `?` when it is not known; a rounded zero carries no sign."""
    if value is None or math.isnan(value):
        return "?"
    if math.isinf(value):
        return "unbounded"
    text = f"{abs(value):,.{digits}f}"
    negative = value < 0 and any(digit in text for digit in "123456789")
    return (MINUS if negative else "") + text


def money(value: float | None, currency: str = "USD") -> str:
    """`−$4,310`, `−4,310 EUR`, or `?`."""
    if value is None or math.isinf(value):
        return number(value)
    if currency != "USD":
        return f"{number(value)} {currency}"
    text = number(abs(value))
    return (MINUS if value < 0 and text != "0" else "") + "$" + text


def percent(fraction: float | None) -> str:
    """`14 %` from 0.14; one decimal below 10 %."""
    if fraction is None or math.isinf(fraction):
        return number(fraction)
    return number(fraction * 100.0, 1 if abs(fraction) < 0.0995 else 0) + " %"


def quantity(value: float | None) -> str:
    """Contracts or shares without needless decimals: `−2`, `12.5`."""
    if value is None or not math.isfinite(value):
        return number(value)
    return number(value, 0 if value == int(value) else 2)


def age(seconds: float | None) -> str:
    """`22 s`, `3 min`, `5.5 h`, `2 d`; `never` when there is none."""
    if seconds is None:
        return "never"
    for size, unit in _SCALES:
        if seconds >= size:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if unit == "h" and amount < 10 else f"{amount:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def names(items: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """`A, B and 3 more`."""
    if len(items) <= most:
        return between.join(items)
    return between.join(items[:most]) + f" and {len(items) - most} more"


def between(low: float, high: float, said: Callable[[float], str]) -> str:
    """`between $1 and $2`, as `said` writes each bound; an infinite bound is none."""
    if math.isinf(low) and math.isinf(high):
        return "not known"
    if math.isinf(low):
        return f"at most {said(high)}"
    if math.isinf(high):
        return f"at least {said(low)}"
    return f"about {said(low)}" if said(low) == said(high) else f"between {said(low)} and {said(high)}"


def plain(name: str) -> str:
    """A stable short name as words: `client id in use` from `client_id_in_use`."""
    return name.replace("_", " ")


def attempts(retries: int) -> str:
    """`1 attempt to connect so far`, `12 attempts …`; nothing when there was none."""
    return f"{retries} attempt{'' if retries == 1 else 's'} to connect so far" if retries else ""


def skew(seconds: float) -> str:
    """How another clock differs from ours: `is 3.2 s ahead of ours`, `agrees with ours`."""
    if abs(seconds) < 0.05:
        return "agrees with ours"
    return f"is {abs(seconds):,.1f} s {'ahead of' if seconds > 0 else 'behind'} ours"


def amount(value: float | None, unit: str) -> str:
    """A figure in its unit, as `Finding.value` and `Finding.limit` carry it."""
    if value is None:
        return "?"
    if unit.startswith("USD"):
        return money(value) + unit[3:]
    if unit == "fraction":
        return percent(value)
    if unit == "ratio":
        return number(value, 2)
    return f"{quantity(round(value, 1))} {unit}".strip()
