"""The strikes of one expiry as a table: calls on the left, puts on the right. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd


@dataclass(frozen=True, slots=True)
class Side:
    """One listed option, with what is streamed of it."""

    symbol: str
    bid: float | None = None
    ask: float | None = None
    quote_time: datetime | None = None
    delta: float | None = None
    iv: float | None = None
    """fraction a year"""


@dataclass(frozen=True, slots=True)
class Strike:
    """Call and put of one strike, where they are listed."""

    strike: float
    call: Side | None = None
    put: Side | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The answer to `Kind.CHAIN` (`guardrails.execution.chain.chain_json`), as far as it is shown."""

    rows: tuple[Strike, ...]
    """by strike"""
    price: float | None = None
    """of the underlying"""


def near(strikes: Sequence[Strike], most: int | None, middle: float | None) -> tuple[Strike, ...]:
    """`most` strikes around `middle`; all without either."""
    if most is None or middle is None or len(strikes) <= most:
        return tuple(strikes)
    place = min(range(len(strikes)), key=lambda i: abs(strikes[i].strike - middle))
    first = min(max(place - most // 2, 0), len(strikes) - most)
    return tuple(strikes[first : first + most])


def at_the_money(strikes: Sequence[Strike]) -> float | None:
    """The strike whose delta is nearest a half; None where no delta is known."""
    known = [
        (abs(abs(side.delta) - 0.5), one.strike)
        for one in strikes
        for side in (one.call, one.put)
        if side is not None and side.delta is not None
    ]
    return min(known)[1] if known else None


def table_of(strikes: Sequence[Strike]) -> pd.DataFrame:
    """The chain as a table: calls on the left, puts on the right."""
    columns: dict[str, list[object]] = {}
    for title, side, field in COLUMNS:
        columns[title] = [one.strike if side == "strike" else _cell(getattr(one, side), field) for one in strikes]
    return pd.DataFrame(columns)


COLUMNS = (
    ("Call IV %", "call", "iv"), ("Call delta", "call", "delta"), ("Call bid", "call", "bid"),
    ("Call ask", "call", "ask"), ("Strike", "strike", ""), ("Put bid", "put", "bid"), ("Put ask", "put", "ask"),
    ("Put delta", "put", "delta"), ("Put IV %", "put", "iv"),
)  # fmt: skip


def _cell(row: Side | None, field: str) -> object:
    value: float | None = None if row is None else getattr(row, field)
    if field in ("bid", "ask"):
        return None if value is None else f"{value:,.2f}"
    return None if value is None else value * 100.0 if field == "iv" else value
