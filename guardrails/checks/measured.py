"""From a measured interval and its limit to a Finding with headroom, reason and next action in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from guardrails import wording
from guardrails.columns import Array, Mask
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval
from guardrails.limits import Bound, Limits
from guardrails.portfolio import Portfolio


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of the book against one limit."""

    check: str
    key: str
    """limit key that decides whether it is advisory"""
    title: str
    """how a person names it: `Short vega`"""
    unit: str
    value: Interval
    """signed, as it is shown"""
    use: Interval
    """zero or more, as it is judged"""
    bound: Bound
    sign: float = 1.0
    """sign of `value` at its limit: -1 for limits on the short side"""
    subject: str = "portfolio"


@dataclass(frozen=True, slots=True)
class Contributor:
    """The position that uses most of a limit."""

    label: str
    contracts: float
    """how many are held, absolute"""
    each: float
    """use per contract, above zero"""


def judge(
    measured: Measured, portfolio: Portfolio, limits: Limits, use_by_row: Array, missing: Mask | None = None
) -> Finding:
    """The Finding of one measure; `use_by_row` says what each position adds to the use, for headroom in contracts."""
    m = measured
    level = m.bound.level(m.use, limits.matrix.watch_at)
    known = m.use.low if level is Level.BREACH else m.use.known
    headroom = None if known is None or m.bound.value is None else m.bound.value - known
    contributor = largest(portfolio, use_by_row)
    blind = [] if missing is None else [portfolio.positions[row].instrument.label for row in np.flatnonzero(missing)]
    return limits.finding(
        m.check,
        m.subject,
        level,
        _message(m, level, blind),
        key=m.key,
        value=m.value.known,
        limit=None if m.bound.value is None else m.sign * m.bound.value,
        unit=m.unit,
        headroom=headroom,
        evidence=_evidence(m, contributor, headroom, blind),
        age=portfolio.data_age_seconds,
        action=_action(m, level, contributor, headroom, blind),
    )


def largest(portfolio: Portfolio, use_by_row: Array) -> Contributor | None:
    """The position with the largest use, or None when none uses anything."""
    if not len(use_by_row):
        return None
    row = int(np.argmax(np.where(np.isfinite(use_by_row), use_by_row, 0.0)))
    contracts = abs(float(portfolio.exposures.columns.quantity[row]))
    use = float(use_by_row[row])
    if not (math.isfinite(use) and use > 0 and contracts > 0):
        return None
    return Contributor(portfolio.positions[row].instrument.label, contracts, use / contracts)


def _evidence(m: Measured, contributor: Contributor | None, headroom: float | None, blind: list[str]) -> dict[str, Any]:
    evidence: dict[str, Any] = {}
    if m.use.known is not None and m.bound.value:
        evidence["use"] = m.use.known / m.bound.value
    if m.value.known is None:
        evidence["at_least"] = _finite(m.value.low)
        evidence["at_most"] = _finite(m.value.high)
    if blind:
        evidence["missing"] = blind
    if contributor is not None:
        evidence["contributor"] = contributor.label
        if headroom is not None:
            evidence["headroom_contracts"] = math.floor(headroom / contributor.each)
    return evidence


def _message(m: Measured, level: Level, blind: list[str]) -> str:
    if not m.bound.is_set:
        return f"{m.title}: no limit is set."
    limit = "?" if m.bound.value is None else wording.amount(m.sign * m.bound.value, m.unit)
    if m.value.known is not None:
        share = f" ({wording.percent(m.use.low / m.bound.value)} of the limit)" if m.bound.value else ""
        text = f"{m.title} {wording.amount(m.value.known, m.unit)}, limit {limit}{share}."
    else:
        text = f"{m.title} {_range(m.value, m.unit)}, limit {limit}."
    if blind:
        text += f" No data for {wording.names(blind)}."
    if m.bound.unknown and level is Level.UNKNOWN:
        text += f" Cannot be judged: {m.bound.unknown}."
    return text


def _range(value: Interval, unit: str) -> str:
    """What is known of a measure that is not known exactly."""
    words = wording.between(value.low, value.high, lambda amount: wording.amount(amount, unit))
    return f"{'lies' if words.startswith('between') else 'is'} {words}"


def _action(
    m: Measured, level: Level, contributor: Contributor | None, headroom: float | None, blind: list[str]
) -> str:
    if level is Level.UNKNOWN and blind:
        return f"Find prices and Greeks for {wording.names(blind)}, or close them."
    if level is Level.UNKNOWN and m.bound.unknown:
        return "Restore the account's net liquidation, or set an absolute limit."
    if level is Level.BREACH and contributor is not None and headroom is not None:
        needed = math.ceil(-headroom / contributor.each - 1e-9)
        each = wording.amount(contributor.each, m.unit)
        if needed > contributor.contracts:
            all_of_it = f"all {wording.quantity(contributor.contracts)} of {contributor.label}"
            return f"Closing {all_of_it} is not enough (each gives back {each}): close more besides."
        return f"Close {wording.quantity(needed)} of {contributor.label} (each gives back {each})."
    if level is Level.WATCH and contributor is not None and headroom is not None:
        more = math.floor(headroom / contributor.each)
        return f"Room for {wording.quantity(more)} more {contributor.label}; add nothing that grows this."
    return ""


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
