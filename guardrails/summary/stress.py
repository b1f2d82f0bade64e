"""The stress of a Portfolio as rows of the Snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from guardrails.intervals import Interval
from guardrails.portfolio import Portfolio
from guardrails.products import SP500, VOLATILITY_GROUP
from guardrails.snapshot.stress import StressNow, StressRow
from guardrails.stress import gaps, response, spreads, volatility_products
from guardrails.stress.named_days import named_days
from guardrails.stress.outcome import Outcome
from guardrails.stress.part import model_against_market
from guardrails.stress.scenarios import GAP, SPREADS, TITLES, words_of
from guardrails.stress.standing import Standing
from guardrails.summary.account_stress import account_rows

QUIET = timedelta(minutes=5)
"""as `quiet_after_minutes` of the matrix that comes with the program"""


def stress_now(portfolio: Portfolio, quiet: timedelta = QUIET) -> StressNow:
    """What is known of the book under shocks, or why nothing is.

    In an open market a level of the index that is older than `quiet` is not that of now, and is not told.
    """
    stress, index = portfolio.stress, index_level(portfolio, quiet)
    if isinstance(stress, str):
        return StressNow(reason=stress, index=index)
    return StressNow(
        index=index,
        curve=rows_of(stress.curve),
        scenarios=scenario_rows(stress),
        trough=rows_of(stress.trough)[0],
        accounts=account_rows(portfolio, index),
        residual=model_against_market(stress.book),
        unvalued=tuple(portfolio.positions[row].instrument.label for row in np.flatnonzero(stress.unvalued)),
        unvalued_share=stress.unvalued_share,
        assumptions=tuple(assumptions(portfolio)),
    )


def index_level(portfolio: Portfolio, quiet: timedelta) -> float | None:
    """Level of the S&P 500 now; None without one, and when it is older than `quiet` in an open market."""
    price = portfolio.market.prices.get(SP500)
    if price is None or not (math.isfinite(price.value) and price.value > 0):
        return None
    return None if portfolio.market_open and portfolio.time - price.time > quiet else price.value


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
    if not isinstance(portfolio.stress, str):
        yield from (f"Nothing of it clears a limit: {doubt}." for doubt in portfolio.stress.doubts)
        yield from portfolio.stress.book.terms.assumed
    yield from response.words(response.level_of(portfolio.market))
    if VOLATILITY_GROUP in portfolio.exposures.groups:
        yield volatility_products.WORDS
    yield "Days of the past add the points by which VIX rose then, or take the share by which it fell; no time passes."
    yield gaps.WORDS
    yield spreads.WORDS


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
