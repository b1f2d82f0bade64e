"""What fills cost: fees come with the transactions, minutes after the fills, and are matched to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from adapters.tastytrade.api import Record
from adapters.tastytrade.fields import number, signed, text_of

_FEES = ("commission", "clearing-fees", "regulatory-fees", "proprietary-index-option-fees", "other-charge")
Fees = Mapping[str, float]
"""what was paid, by order, symbol and execution (`ext-exec-id`), and by order and symbol where these have but one"""


def fees_of(transactions: Iterable[Record]) -> dict[str, float]:
    """What trades cost, paid as positive, by order, symbol, execution and how many trades it has, for legs and their
    pieces may share an `ext-exec-id`; by order and symbol too, where those have one trade only.
    """
    found: dict[str, float] = {}
    rows = [(row, fee) for row in transactions if (fee := _fee(row)) is not None]
    places = [place(row.get("order-id"), row.get("symbol")) for row, _ in rows]
    named = [(at, text_of(row.get("ext-exec-id"))) for at, (row, _) in zip(places, rows, strict=True)]
    times, pieces = Counter(places), Counter(named)
    for (at, execution), (_, fee) in zip(named, rows, strict=True):
        if execution:
            key = _shared(at, execution, pieces[at, execution])
            found[key] = found.get(key, 0.0) + fee
        if times[at] == 1:
            found[at] = fee
    return found


def _shared(at: str, execution: str, pieces: int) -> str:
    return f"{at} {execution} of {pieces}"


def _fee(row: Record) -> float | None:
    parts = [signed(row, name) for name in _FEES if row.get(name) not in (None, "")]
    return None if not parts or None in parts else -sum(part for part in parts if part is not None)


def place(order: object, symbol: object) -> str:
    """Name of one leg of one order."""
    return f"{text_of(order)} {text_of(symbol)}"


def charged(fill: Record, beside: Sequence[Record], at: str, fees: Fees) -> float | None:
    """The fees of one of the fills `beside` it in the leg `at` a place: its share, by quantity, of those of its
    `ext-exec-id`; None while they are not known.
    """
    execution = text_of(fill.get("ext-exec-id"))
    own = [each for each in beside if text_of(each.get("ext-exec-id")) == execution]
    paid = fees.get(_shared(at, execution, len(own))) if execution else None
    if paid is None:
        return fees.get(at) if len(beside) == 1 else None
    whole = sum(abs(number(each.get("quantity")) or 0.0) for each in own)
    return paid * abs(number(fill.get("quantity")) or 0.0) / whole if whole else None
