"""The stress of a Portfolio as rows of the Snapshot."""

from __future__ import annotations

import math

import numpy as np

from guardrails.exposures import Interval
from guardrails.portfolio import Portfolio
from guardrails.products import SP500
from guardrails.snapshot import StressNow, StressRow
from guardrails.stress.outcome import Outcome
from guardrails.stress.standing import Standing


def stress_now(portfolio: Portfolio) -> StressNow:
    """What is known of the book under shocks, or why nothing is."""
    stress = portfolio.stress
    price = portfolio.market.prices.get(SP500)
    index = None if price is None else price.value
    if isinstance(stress, str):
        return StressNow(reason=stress, index=index)
    curve = rows_of(stress.curve)
    return StressNow(
        index=index,
        curve=curve,
        trough=min(curve, key=lambda row: -math.inf if row.at_least is None else row.at_least, default=None),
        residual=residual_share(stress),
        unvalued=tuple(portfolio.positions[row].instrument.label for row in np.flatnonzero(stress.unvalued)),
        unvalued_share=stress.unvalued_share,
    )


def rows_of(outcome: Outcome) -> tuple[StressRow, ...]:
    """One row per shock, in their order."""
    totals = [outcome.total(place) for place in range(len(outcome.shocks))]
    return tuple(
        StressRow(shock.name, shock.index, shock.vol, total.known, *_ends(total))
        for shock, total in zip(outcome.shocks, totals, strict=True)
    )


def residual_share(stress: Standing) -> float | None:
    """Gross difference between model and market of the options over their gross value; None without any."""
    book = stress.book
    options = book.columns.is_option & np.isfinite(book.residual() * book.weight)
    gross = float(np.abs(book.quoted * book.weight)[options].sum())
    return float(np.abs(book.residual() * book.weight)[options].sum()) / gross if gross > 0 else None


def _ends(interval: Interval) -> tuple[float | None, float | None]:
    low, high = interval.low, interval.high
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)
