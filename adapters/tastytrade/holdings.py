"""Whether a list of positions can be the whole of what an account holds: the account's own balance is the witness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from adapters.tastytrade.api import Record
from guardrails.values import finite

_OPTIONS = ("Equity Option", "Future Option")
_FUTURES = ("Future", "Future Option")
_COINS = ("Cryptocurrency",)
_BONDS = ("Bond", "Fixed Income Security")
_DERIVED = {*_OPTIONS, *_FUTURES, *_COINS, *_BONDS}
_VALUES: Mapping[str, tuple[str, ...]] = {
    "equity": (),
    "derivative": _OPTIONS,
    "futures-derivative": ("Future Option",),
    "cryptocurrency": _COINS,
    "bond": _BONDS,
}
"""what a balance values, long and short, and the instrument types that may make it up; () is any other type"""
_MARGIN = "futures-margin-requirement"
_PROOF = ("long-equity-value", "long-derivative-value", "short-derivative-value", "maintenance-requirement")
"""without these four a balance does not say whether anything is held"""
_CLOSE, _ROUGH = (0.15, 50.0), (0.5, 250.0)
"""share of a value, and dollars, that a list may fall short of it: after rows went missing, and at any time"""


def holds_nothing(balance: Record) -> bool | None:
    """Whether an account's own balance says that it holds no position; None when it does not tell."""
    names = [f"{side}-{name}-value" for side in ("long", "short") for name in (*_VALUES, "futures")]
    if any(finite(balance.get(name)) for name in (*names, _MARGIN, "maintenance-requirement")):
        return False
    return None if any(finite(balance.get(name)) is None for name in _PROOF) else True


def believed(rows: Sequence[Record], balance: Record, before: Sequence[Record] = (), old: Record | None = None) -> bool:
    """Whether `rows` can be all that is held, by the balance that was read with them.

    Each side of each class must come to what the balance says it is worth: roughly, for their prices may not be of the
    same moment; closely when a row of `before` is gone, because then a hole is what one looks for. A future has no
    value: when one is gone the margin for futures must have moved since the `old` balance.
    """
    held = [row for row in rows if _size(row) != 0]
    if not held:
        return holds_nothing(balance) is True
    there = {_place(row) for row in held}
    gone = [row for row in before if _size(row) != 0 and _place(row) not in there]
    if old is not None and any(_type(row) == "Future" for row in gone) and balance.get(_MARGIN) == old.get(_MARGIN):
        return False
    if finite(balance.get(_MARGIN)) and not any(_type(row) in _FUTURES for row in held):
        return False
    return all(
        _covers(held, side, kinds, finite(balance.get(f"{side}-{name}-value")) or 0.0, _CLOSE if gone else _ROUGH)
        for name, kinds in _VALUES.items()
        for side in ("long", "short")
    )


def _covers(
    held: Iterable[Record], side: str, kinds: tuple[str, ...], value: float, slack: tuple[float, float]
) -> bool:
    """Whether what is held of a class on one side can be worth `value`; a row without a price may be all of it."""
    total, among = 0.0, False
    for row in held:
        if str(row.get("quantity-direction", side)).lower() != side:
            continue
        if (_type(row) in kinds) if kinds else (_type(row) not in _DERIVED):
            worth = _worth(row)
            if worth is None:
                return True
            total, among = total + worth, True
    missing = abs(value) - total
    return missing <= 0 or (missing <= max(slack[0] * abs(value), slack[1]) and (among or abs(value) <= slack[1]))


def named(rows: Iterable[Record]) -> list[tuple[object, ...]]:
    """What is held and how much, without prices."""
    fields = ("instrument-type", "symbol", "quantity", "quantity-direction", "multiplier")
    return [tuple(row.get(name) for name in fields) for row in rows]


def _type(row: Record) -> str:
    return str(row.get("instrument-type", ""))


def _place(row: Record) -> tuple[str, str]:
    return _type(row), str(row.get("symbol"))


def _worth(row: Record) -> float | None:
    """Size of a row's value; None when it does not say it."""
    size, factor = finite(row.get("quantity")), finite(row.get("multiplier", 1.0))
    price = finite(row.get("mark-price"))
    price = finite(row.get("close-price")) if price is None else price
    return None if size is None or factor is None or price is None else abs(size * factor * price)


def _size(row: Record) -> float | None:
    """Quantity without sign; None, which is not zero, when it cannot be read."""
    return 0.0 if str(row.get("quantity-direction")).lower() == "zero" else finite(row.get("quantity"))
