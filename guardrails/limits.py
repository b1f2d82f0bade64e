"""The limits in force at one moment, and how a measured interval is held against one of them.

A limit may be absolute, relative to net liquidation, or both: then the stricter wins. Every comparison is made on
`use`, how much of the risk is taken (never negative), so one rule serves all checks: use > limit is a breach, use >=
watch_at * limit a watch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from guardrails.columns import Array, Index
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval
from guardrails.matrix import Limits as LimitKeys
from guardrails.matrix import RiskMatrix

_ROUNDING = 1e-9
"""relative slack so that a use equal to its limit is not a breach by the last binary digit"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the matrix says in the current regime."""

    regime: str
    keys: LimitKeys
    matrix: RiskMatrix
    overlay: bool | None = False
    """inverted volatility term structure: no new short vega; None when it cannot be known"""
    overlay_reason: str = ""
    regime_reason: str = ""
    grace_until: datetime | None = None
    """until then a breach that only the change of regime causes is not shouted; None while no change was seen"""
    regime_known: bool = True
    """False while the volatility index is missing or stale, so that the regime is only kept"""

    def in_grace(self, now: datetime) -> bool:
        """Whether the grace after a change of regime still runs."""
        return self.grace_until is not None and now < self.grace_until

    def message_for(self, key: str) -> str:
        """The trader's own sentence for a breach of `key` in this regime, or nothing."""
        return self.matrix.regime(self.regime).message(f"{key}_pct_nlv") or ""

    def finding(
        self,
        check: str,
        subject: str,
        level: Level,
        message: str,
        *,
        key: str = "",
        value: float | None = None,
        limit: float | None = None,
        unit: str = "",
        headroom: float | None = None,
        evidence: Mapping[str, Any] | None = None,
        age: float | None = None,
        action: str = "",
    ) -> Finding:
        """A Finding stamped with the matrix version; an advisory limit `key` reaches WATCH at most.

        The trader's own sentence for a breach of `key` comes first.
        """
        advisory = self.matrix.is_advisory(key)
        shown = Level.WATCH if advisory and level is Level.BREACH else level
        if key and level is Level.BREACH and (rule := self.message_for(key)):
            message = f"{rule} {message}"
        return Finding(
            check=check,
            subject=subject,
            level=shown,
            value=value,
            limit=limit,
            unit=unit,
            headroom=headroom,
            message=message,
            evidence=dict(evidence or {}),
            data_age_seconds=age,
            next_action=action,
            matrix_version=self.matrix.version,
            advisory=advisory,
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """The limit that applies to one measure, as a use of zero or more."""

    value: float | None
    """None: not set, or not known"""
    is_set: bool
    unknown: str = ""
    """why a limit that is set cannot be computed; then nothing below it can be cleared"""

    def level(self, use: Interval, watch_at: float) -> Level:
        """Level of a use known to lie in an interval; whatever is not known can prove a breach but never clear one."""
        if not self.is_set:
            return Level.NOT_APPLICABLE
        if self.value is not None and use.low > self.value * (1 + _ROUNDING):
            return Level.BREACH
        if use.missing or (use.high > 0 and (self.unknown or self.value is None)):
            return Level.UNKNOWN
        if self.value is None:
            return Level.OK  # no exposure at all breaks no limit, whatever it is
        if use.high > self.value * (1 + _ROUNDING):
            return Level.UNKNOWN
        near = use.high >= watch_at * self.value * (1 - _ROUNDING) and use.high > 0
        return Level.WATCH if near else Level.OK

    def loud(self, uses: Array, watch_at: float) -> Index:
        """Places of the uses (NaN is missing) that are WATCH or worse."""
        if not self.is_set:
            return np.zeros(0, dtype=np.intp)
        edge = 0.0 if self.unknown or self.value is None else watch_at * self.value * (1 - _ROUNDING)
        return np.flatnonzero(~(uses < edge) & ~(uses <= 0.0))


def stricter(absolute: float | None, relative: float | None, base: float | None, base_name: str) -> Bound:
    """The stricter of an absolute limit and a fraction of `base`, both given as a use of zero or more."""
    if relative is not None and base is None:
        return Bound(absolute, is_set=True, unknown=f"{base_name} is not known, and the limit is a share of it")
    candidates = [
        value
        for value in (absolute, None if relative is None else relative * max(base or 0.0, 0.0))
        if value is not None
    ]
    return Bound(min(candidates, default=None), is_set=bool(candidates))


def size_of(interval: Interval) -> Interval:
    """Use of a two-sided measure: its absolute value."""
    low, high = abs(interval.low), abs(interval.high)
    least = 0.0 if interval.low < 0 < interval.high else min(low, high)
    return Interval(least, max(low, high), interval.missing)


def short_side(interval: Interval) -> Interval:
    """Use of a measure that is dangerous only when negative."""
    return Interval(max(-interval.high, 0.0), max(-interval.low, 0.0), interval.missing)
