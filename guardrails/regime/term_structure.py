"""Whether near volatility costs more than distant: VIX / VIX3M at or above 1.00 is a market under stress.

It blocks new short vega from the first close (or two intraday readings 5 minutes apart) at or above `inverted_at` until
`normal_closes` closes in a row are below `normal_below`. It does not change the regime: that would double the flips.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from guardrails import calendar
from guardrails.matrix import RiskMatrix
from guardrails.regime.readings import LONG_GAP, MarketReadings, fresh, new_closes


@dataclass(frozen=True, slots=True)
class TermStructure:
    """Whether the term structure is inverted, and the counters behind it."""

    inverted: bool | None = None
    """None: not known, because no recent VIX3M close says so"""
    reason: str = "no close of VIX3M is on record"
    below: int = 0
    """closes in a row below `normal_below`"""
    pending: datetime | None = None
    """since when every intraday reading is at or above `inverted_at`"""
    last_close: date | None = None


def step(
    term: TermStructure, readings: MarketReadings, matrix: RiskMatrix, now: datetime, official: date
) -> TermStructure:
    """The term structure after the closes and readings not yet seen; what is missing never unblocks."""
    near, _ = new_closes(readings.vix_closes, official, now, after=term.last_close)
    distant = dict(new_closes(readings.vix3m_closes, official, now, after=term.last_close)[0])
    for day, vix in near:
        if day in distant:
            term = _closed(term, day, _ratio(vix, distant[day]), matrix)
    if term.inverted is False and (term.last_close is None or official - term.last_close > LONG_GAP):
        term = replace(term, inverted=None, below=0, reason=f"no close of VIX3M since {term.last_close}")
    minutes = matrix.data.vix_stale_after_minutes
    vix_now, vix3m_now = fresh(readings.vix, now, minutes), fresh(readings.vix3m, now, minutes)
    if vix_now is None or vix3m_now is None:
        return term
    return _intraday(term, _ratio(vix_now.value, vix3m_now.value), min(vix_now.time, vix3m_now.time), matrix)


def _ratio(vix: float, vix3m: float) -> float:
    return round(vix / vix3m, 9)  # 19.40 / 20.00 is 0.97, not below it by the last binary digit


def _closed(term: TermStructure, day: date, ratio: float, matrix: RiskMatrix) -> TermStructure:
    rules = matrix.regime_rules
    if ratio >= rules.inverted_at:
        reason = f"VIX/VIX3M closed at {ratio:.3f} on {day}, at or above {rules.inverted_at:g}"
        return replace(term, inverted=True, reason=reason, below=0, last_close=day)
    gap = term.last_close is not None and day - term.last_close > LONG_GAP
    below = (0 if gap else term.below) + 1 if ratio < rules.normal_below else 0
    seen = term.pending is not None and calendar.exchange_date(term.pending) <= day
    term = replace(term, below=below, last_close=day, pending=None if seen else term.pending)
    if below < rules.normal_closes or term.inverted is False:
        return term
    reason = f"VIX/VIX3M closed below {rules.normal_below:g} for {rules.normal_closes} days up to {day}"
    return replace(term, inverted=False, reason=reason)


def _intraday(term: TermStructure, ratio: float, when: datetime, matrix: RiskMatrix) -> TermStructure:
    rules = matrix.regime_rules
    if ratio < rules.inverted_at:
        return replace(term, pending=None)
    begun = term.pending or when
    if when - begun < timedelta(minutes=rules.escalate_minutes):
        return replace(term, pending=begun)
    reason = f"VIX/VIX3M is {ratio:.3f}, at or above {rules.inverted_at:g} for {rules.escalate_minutes:g} minutes"
    return replace(term, inverted=True, reason=term.reason if term.inverted else reason, below=0, pending=begun)
