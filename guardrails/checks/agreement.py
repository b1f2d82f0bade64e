"""Whether two sources of one option's Greeks say the same at the same time.

The first in the order of trust is in force either way; the second is only held against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from guardrails import wording
from guardrails.findings import Finding, Level
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.values import Greeks, finite

_ROUNDING = 1e-9
"""a difference equal to its tolerance is none by the last binary digit"""
_NAMED = 3
"""pairs that the message names; the evidence has all"""


@dataclass(frozen=True, slots=True)
class _Pair:
    """The Greeks in force and those of the second source, of one position."""

    row: int
    used: Greeks
    other: Greeks
    delta: float | None
    """absolute difference; None when one of the two is missing"""
    iv: float | None
    dollars: float
    """by how much the delta dollars of the position would differ; NaN when not known"""

    def differs(self, delta: float, iv: float) -> bool:
        """Whether either difference is beyond its tolerance."""
        return _beyond(self.delta, delta) or _beyond(self.iv, iv)


def greeks_agreement(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding for the book: options whose delta or volatility two sources tell differently, worst first."""
    rules = limits.matrix.data
    pairs = [pair for pair in _pairs(portfolio) if pair.delta is not None or pair.iv is not None]
    if not pairs:
        text = "No option has Greeks from two sources at once."
        return [limits.finding("greeks_agreement", "portfolio", Level.NOT_APPLICABLE, text)]
    apart = [pair for pair in pairs if pair.differs(rules.greeks_delta_tolerance, rules.greeks_iv_tolerance)]
    apart.sort(key=lambda pair: math.inf if math.isnan(pair.dollars) else pair.dollars, reverse=True)
    agree = f"Two sources agree on the Greeks of {len(pairs)} position{'s' if len(pairs) > 1 else ''}."
    told = wording.names([_sentence(pair, portfolio) for pair in apart], _NAMED, "; ")
    text = f"Two sources contradict each other on {len(apart)} of {len(pairs)} positions: {told}." if apart else agree
    return [
        limits.finding(
            "greeks_agreement", "portfolio", Level.WATCH if apart else Level.OK, text,
            value=float(len(apart)), limit=0.0, unit="positions",
            evidence={"compared": len(pairs), "pairs": [_evidence(pair, portfolio) for pair in apart]},
            age=portfolio.data_age_seconds,
            action="Look at both platforms; until they agree, reckon with the worse figure." if apart else "",
        )
    ]  # fmt: skip


def _pairs(portfolio: Portfolio) -> list[_Pair]:
    columns = portfolio.exposures.columns
    held = [
        (row, position.greeks, position.other_greeks)
        for row, position in enumerate(portfolio.positions)
        if position.greeks is not None and position.other_greeks is not None
    ]
    if not held:
        return []
    dollars_per_delta = abs(columns.quantity * columns.multiplier * columns.spot * columns.fx)
    pairs = []
    for row, used, other in held:
        delta = _difference(used.delta, other.delta)
        dollars = math.nan if delta is None else delta * float(dollars_per_delta[row])
        pairs.append(_Pair(row, used, other, delta, _difference(used.iv, other.iv), dollars))
    return pairs


def _difference(one: float | None, other: float | None) -> float | None:
    one, other = finite(one), finite(other)
    return None if one is None or other is None else abs(one - other)


def _beyond(difference: float | None, tolerance: float) -> bool:
    return difference is not None and difference > tolerance + _ROUNDING


def _sentence(pair: _Pair, portfolio: Portfolio) -> str:
    """`SPXW 18Dec26 5800P (IBKR •••4567): delta −0.21 by tastytrade, −0.30 by ibkr, $54,000 of delta dollars; ...`."""
    position, used, other = portfolio.positions[pair.row], pair.used, pair.other
    figures = []
    if pair.delta is not None:
        figures.append(
            f"delta {wording.number(used.delta, 2)} by {used.source}, {wording.number(other.delta, 2)} by "
            f"{other.source} ({wording.money(pair.dollars)} of delta dollars apart)"
        )
    if pair.iv is not None:
        figures.append(f"volatility {_points(used.iv)} by {used.source}, {_points(other.iv)} by {other.source}")
    return f"{position.instrument.label} ({position.account}): {', '.join(figures)}"


def _points(volatility: float | None) -> str:
    return f"{wording.number(None if volatility is None else volatility * 100.0, 1)} %"


def _evidence(pair: _Pair, portfolio: Portfolio) -> dict[str, object]:
    position, used, other = portfolio.positions[pair.row], pair.used, pair.other
    return {
        "key": position.instrument.key,
        "account": str(position.account),
        "sources": [used.source, other.source],
        "delta": [finite(used.delta), finite(other.delta)],
        "iv": [finite(used.iv), finite(other.iv)],
        "delta_dollars": finite(pair.dollars),
    }
