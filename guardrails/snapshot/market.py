"""What the market says, and the regime that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

Number = float | None


@dataclass(frozen=True, slots=True)
class RegimeNow:
    """The regime and why."""

    name: str
    since: datetime | None
    reason: str
    vix: Number
    vix3m: Number
    overlay: bool | None = False
    """inverted term structure: no new short vega; None when it cannot be known"""
    previous: str | None = None
    grace_until: datetime | None = None
    """until then a breach that only the new regime's limits cause is not shouted"""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of regime."""

    time: datetime
    old: str | None
    new: str
    cause: str
    targets: tuple[str, ...]
    """the limits of the new regime that matter now, in words"""


@dataclass(frozen=True, slots=True)
class MarketRow:
    """One thing the market says: an index, an underlying that is held, a currency."""

    symbol: str
    value: Number
    """price or level; US dollars per 1.00 of a currency"""
    beta: Number
    """to the S&P 500; null when it is bounded"""
    source: str
    age_seconds: Number


@dataclass(frozen=True, slots=True)
class MetricsRow:
    """What is published about one underlying that is held; volatilities, rank, percentile, premium are fractions."""

    symbol: str
    age_seconds: Number
    """null when nothing is published about it"""
    source: str
    beta: Number
    """to the S&P 500, as it is used; null when it is bounded"""
    correlation: Number
    """to SPY over three months"""
    iv_rank: Number
    """(IV - lowest of 52 weeks) / (highest - lowest)"""
    iv_percentile: Number
    """share of the last 252 days on which IV was below today's"""
    iv_30d: Number
    hv_30d: Number
    premium: Number
    """IV30 / HV30 - 1"""
    threshold: Number
    """0.10 + VIX / 100: from there the premium is rich"""
    signal: str
    """`rich`, `fair`, `cheap`, `unknown`"""
    reason: str = ""
    """why the signal is unknown"""
    earnings: date | None = None
    """exchange date of the next report, today at the earliest"""
    earnings_estimated: bool | None = None
    """null when it is not said whether the company has confirmed the date"""
    earnings_time: str = ""
    """`before open`, `after close`, `during`, empty when not said"""
    ex_dividend: date | None = None
    """next ex-dividend date, today at the earliest"""
