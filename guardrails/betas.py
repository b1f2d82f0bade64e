"""The beta of every underlying to the S&P 500, as bounds where it is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from guardrails.columns import Array, Columns
from guardrails.products import LEVERAGED_FUNDS, SP500, VOLATILITY_GROUP, group_of
from guardrails.values import Market

MISSING_BETA = (0.0, 2.0)
VOLATILITY_BETA = (-8.0, 0.0)
"""VIX, its options and futures, and unleveraged products on them"""
LEVERED_VOLATILITY_BETA: Mapping[str, tuple[float, float]] = {
    "UVXY": (-16.0, 0.0), "UVIX": (-16.0, 0.0), "SVXY": (0.0, 8.0), "SVIX": (0.0, 8.0),
}  # fmt: skip


def missing_beta(name: str) -> tuple[float, float]:
    """Bounds of a beta that is not known: a leveraged or inverse fund moves by that many times what it follows.

    What a fund on bonds, goods or currencies follows may move either way when shares fall.
    """
    fund = LEVERAGED_FUNDS.get(name)
    if fund is None:
        return MISSING_BETA
    far = max(MISSING_BETA) * fund.leverage
    return (min(0.0, far), max(0.0, far)) if fund.on_shares else (-abs(far), abs(far))


def betas_of(groups: Sequence[str], market: Market, columns: Columns) -> tuple[Array, Array, tuple[str, ...]]:
    """Lowest and highest beta by underlying, one array where all are known, and the names of those that are bounded."""
    low, high, unweighted = [], [], []
    underlyings = columns.underlyings
    only_cash = np.bincount(columns.underlying, ~columns.is_cash, len(underlyings)) == 0
    by_group: dict[str, float] = {}
    for name, given in market.betas.items():
        by_group.setdefault(group_of(name), given.value)
    for name, group, cash in zip(underlyings, groups, only_cash, strict=True):
        reading = market.betas.get(name)
        known = 1.0 if group == SP500 else reading.value if reading is not None else by_group.get(group)
        if group == VOLATILITY_GROUP:
            bounds = LEVERED_VOLATILITY_BETA.get(name, VOLATILITY_BETA)
        elif known is None:
            bounds = (0.0, 0.0) if cash else missing_beta(name)
        else:
            bounds = (known, known)
        if known is None and group != VOLATILITY_GROUP and not cash:
            unweighted.append(name)
        low.append(bounds[0])
        high.append(bounds[1])
    lows = np.array(low)
    return lows, lows if low == high else np.array(high), tuple(unweighted)
