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
_SLACK = (0.15, 50.0)
"""share of a value, and dollars, by which a list may fall shorter of it than before: prices move between two reads"""
_APART = (0.5, 1000.0)
"""the same for a list and a balance that speak of one moment, before it is worth a word"""


def holds_nothing(balance: Record) -> bool | None:
    """Whether an account's own balance says that it holds no position; None when it does not tell."""
    names = [f"{side}-{name}-value" for side in ("long", "short") for name in (*_VALUES, "futures")]
    if any(finite(balance.get(name)) for name in (*names, _MARGIN, "maintenance-requirement")):
        return False
    return None if any(finite(balance.get(name)) is None for name in _PROOF) else True


def believed(rows: Sequence[Record], balance: Record, before: Sequence[Record] = (), old: Record | None = None) -> bool:
    """Whether `rows` can be all that is held, by the `balance` read with them.

    An empty list must agree with it. When rows of `before` are gone, so must be what the `old` balance said they are
    worth: no class may fall shorter of its value than it did. A future has no value: its margin must have moved.
    """
    held = [row for row in rows if _size(row) != 0]
    if not held:
        return holds_nothing(balance) is True
    there = {_place(row) for row in held}
    gone = [row for row in before if _size(row) != 0 and _place(row) not in there]
    if old is None or not gone:
        return True
    if any(_type(row) == "Future" for row in gone) and balance.get(_MARGIN) == old.get(_MARGIN):
        return False
    return all(
        _short(held, balance, side, name) - _short(before, old, side, name) <= _slack(balance, side, name, _SLACK)
        for name in _VALUES
        for side in ("long", "short")
    )


def apart(rows: Iterable[Record], balance: Record) -> tuple[str, ...]:
    """The values of a balance that what is listed does not come to by far, by name: perhaps not all of it is listed."""
    held = [row for row in rows if _size(row) != 0]
    return tuple(
        f"{side} {name}"
        for name in _VALUES
        for side in ("long", "short")
        if _short(held, balance, side, name) > _slack(balance, side, name, _APART)
    )


def _slack(balance: Record, side: str, name: str, slack: tuple[float, float]) -> float:
    share, dollars = slack
    return max(share * abs(finite(balance.get(f"{side}-{name}-value")) or 0.0), dollars)


def _short(rows: Iterable[Record], balance: Record, side: str, name: str) -> float:
    """Dollars by which what is listed of a class falls short of its value; 0 when a row without a price may be it."""
    kinds, total = _VALUES[name], 0.0
    for row in rows:
        if str(row.get("quantity-direction", side)).lower() != side or _size(row) == 0:
            continue
        if (_type(row) in kinds) if kinds else (_type(row) not in _DERIVED):
            worth = _worth(row)
            if worth is None:
                return 0.0
            total += worth
    return max(abs(finite(balance.get(f"{side}-{name}-value")) or 0.0) - total, 0.0)


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
