"""The stress of a Portfolio as rows of the Snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from guardrails.exposures import Interval
from guardrails.portfolio import Portfolio
from guardrails.products import SP500, VOLATILITY_GROUP
from guardrails.snapshot import StressNow, StressRow
from guardrails.stress import gaps, response, spreads, volatility_products
from guardrails.stress.named_days import named_days
from guardrails.stress.outcome import Outcome
from guardrails.stress.scenarios import GAP, SPREADS, TITLES, words_of
from guardrails.stress.standing import Standing
from guardrails.summary.account_stress import account_rows


def stress_now(portfolio: Portfolio) -> StressNow:
    """What is known of the book under shocks, or why nothing is."""
    stress = portfolio.stress
    price = portfolio.market.prices.get(SP500)
    index = None if price is None else price.value
    if isinstance(stress, str):
        return StressNow(reason=stress, index=index)
    return StressNow(
        index=index,
        curve=rows_of(stress.curve),
        scenarios=scenario_rows(stress),
        trough=rows_of(stress.trough)[0],
        accounts=account_rows(portfolio),
        residual=residual_share(stress),
        unvalued=tuple(portfolio.positions[row].instrument.label for row in np.flatnonzero(stress.unvalued)),
        unvalued_share=stress.unvalued_share,
        assumptions=tuple(assumptions(portfolio)),
    )


def rows_of(outcome: Outcome) -> tuple[StressRow, ...]:
    """One row per shock, in their order."""
    return tuple(_row(outcome, place) for place in range(len(outcome.shocks)))


def scenario_rows(stress: Standing) -> tuple[StressRow, ...]:
    """The named scenarios, worst first; what may lose without bound is worst."""
    found, words = stress.scenarios, _words(stress)
    rows = [
        _row(found, place, TITLES[shock.name], words.get(shock.name, "")) for place, shock in enumerate(found.shocks)
    ]
    return tuple(sorted(rows, key=lambda row: -math.inf if row.at_least is None else row.at_least))


def assumptions(portfolio: Portfolio) -> Iterator[str]:
    """What the figures rest on, one sentence each."""
    yield from response.words(response.level_of(portfolio.market))
    if VOLATILITY_GROUP in portfolio.exposures.groups:
        yield volatility_products.WORDS
    yield "Days of the past add the points by which VIX rose then, or take the share by which it fell; no time passes."
    yield gaps.WORDS
    yield spreads.WORDS


def residual_share(stress: Standing) -> float | None:
    """Gross difference between model and market of the options over their gross value; None without any."""
    book = stress.book
    options = book.columns.is_option & np.isfinite(book.residual() * book.weight)
    gross = float(np.abs(book.quoted * book.weight)[options].sum())
    return float(np.abs(book.residual() * book.weight)[options].sum()) / gross if gross > 0 else None


def _words(stress: Standing) -> dict[str, str]:
    """What each scenario is made of, for a person."""
    vix = response.level_of(stress.book.portfolio.market)
    worst = stress.gaps.worst
    gap = "No single name is held."
    if worst is not None:
        gap = f"{worst.group} {'up' if stress.gaps.rising else 'down'} {100 * worst.size:.3g} % ({worst.words})."
    days = {name: words_of(day, vix) for name, day in named_days().items()}
    return {**days, GAP: gap, SPREADS: spreads.WORDS}


def _row(outcome: Outcome, place: int, title: str = "", words: str = "") -> StressRow:
    shock, total = outcome.shocks[place], outcome.total(place)
    return StressRow(shock.name, shock.index, shock.vol, total.known, *_ends(total), title, words)


def _ends(interval: Interval) -> tuple[float | None, float | None]:
    low, high = interval.low, interval.high
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)
