"""Whether a list of positions can be the whole of what an account holds: the account's own balance is the witness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from adapters.tastytrade.api import Record
from guardrails.values import finite

_OPTIONS = ("Equity Option", "Future Option")
_FUTURES = ("Future", "Future Option")
_COINS = ("Cryptocurrency",)
_BONDS = ("Bond", "Fixed Income Security")
_DERIVED = {*_OPTIONS, *_FUTURES, *_COINS, *_BONDS}
_WITNESSES: Mapping[str, tuple[str, ...]] = {
    "long-equity-value": (),
    "short-equity-value": (),
    "long-derivative-value": _OPTIONS,
    "short-derivative-value": _OPTIONS,
    "long-futures-derivative-value": ("Future Option",),
    "short-futures-derivative-value": ("Future Option",),
    "long-futures-value": _FUTURES,
    "short-futures-value": _FUTURES,
    "futures-margin-requirement": _FUTURES,
    "long-cryptocurrency-value": _COINS,
    "short-cryptocurrency-value": _COINS,
    "long-bond-value": _BONDS,
}
"""figures of a balance, and the instrument types of which one must be held when it is not zero; () is any other type"""
_TRACE = 0.02
"""share of what is held from which its going must show"""
_PROOF = ("long-equity-value", "long-derivative-value", "short-derivative-value", "maintenance-requirement")
"""without these four a balance does not say whether anything is held"""


def holds_nothing(balance: Record) -> bool | None:
    """Whether an account's own balance says that it holds no position; None when it does not tell."""
    if any(finite(balance.get(name)) for name in (*_WITNESSES, "maintenance-requirement")):
        return False
    return None if any(finite(balance.get(name)) is None for name in _PROOF) else True


def believed(rows: Iterable[Record], balance: Record) -> bool:
    """Whether `rows` can be all that is held: of every class that the balance gives a value at least one is there."""
    held = {str(row.get("instrument-type", "")) for row in rows if _size(row) != 0}
    if not held:
        return holds_nothing(balance) is True
    for name, kinds in _WITNESSES.items():
        there = held.intersection(kinds) if kinds else held - _DERIVED
        if finite(balance.get(name)) and not there:
            return False
    return True


def confirmed(before: Iterable[Record], rows: Iterable[Record], old: Record, new: Record) -> bool:
    """Whether the balance lost what went out of the list: at least half of what the missing rows were worth.

    Futures are settled every day and have no value, and what is worth next to nothing leaves no trace: both are
    believed.
    """
    now = {_place(row) for row in rows if _size(row) != 0}
    missing = sum(_worth(row) for row in before if _size(row) != 0 and _place(row) not in now)
    was, left = _gross(old), _gross(new)
    return missing < _TRACE * was or was - left >= missing / 2.0


def named(rows: Iterable[Record]) -> list[tuple[object, ...]]:
    """What is held and how much, without prices."""
    fields = ("instrument-type", "symbol", "quantity", "quantity-direction", "multiplier")
    return [tuple(row.get(name) for name in fields) for row in rows]


def _place(row: Record) -> tuple[object, object]:
    return row.get("instrument-type"), row.get("symbol")


def _worth(row: Record) -> float:
    """Size of a row's value; 0 for a future and for what does not say it."""
    if row.get("instrument-type") == "Future":
        return 0.0
    size, factor, price = (finite(row.get(name)) for name in ("quantity", "multiplier", "mark-price"))
    return abs((size or 0.0) * (factor or 0.0) * (price or 0.0))


def _gross(balance: Record) -> float:
    """All that is held, long and short, by the balance's own account."""
    return sum(abs(finite(balance.get(name)) or 0.0) for name in _WITNESSES if name.endswith("-value"))


def _size(row: Record) -> float | None:
    """Quantity without sign; None, which is not zero, when it cannot be read."""
    return 0.0 if str(row.get("quantity-direction")).lower() == "zero" else finite(row.get("quantity"))
