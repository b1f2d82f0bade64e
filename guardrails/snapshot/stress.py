"""What the book would be worth if the market moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Number = float | None


@dataclass(frozen=True, slots=True)
class StressRow:
    """P&L of the book under one shock, in US dollars."""

    name: str
    index: float
    """return of the S&P 500, fraction"""
    vol: float
    """rise of its 30-day implied volatility, fraction a year: 0.10 is ten points"""
    pnl: Number
    """null when any part is not known exactly"""
    at_least: Number
    """null is unbounded"""
    at_most: Number
    title: str = ""
    """what a person calls a named scenario: `5 Feb 2018`"""
    words: str = ""
    """what it is made of, with dates, sources and proxies"""


@dataclass(frozen=True, slots=True)
class AccountStressRow:
    """One account under shocks; every margin of ours is an estimate, beside what the broker says."""

    account: str
    """broker and masked number"""
    rule: str
    """`strategy` or `portfolio`, whichever comes nearer to the broker's figure"""
    estimate: Number
    """maintenance margin now, by our estimate"""
    maintenance: Number
    """as the broker reports it"""
    excess: Number
    """excess liquidity as the broker reports it, worst view"""
    zero_down: Number
    """index level below the present one at which excess liquidity is zero, by our estimate"""
    zero_up: Number
    """and above; null when there is none within the range searched, when it is not known (then `reason`), and when
    no level of now is known of the index (then `down` and `up` still say returns)"""
    searched: tuple[float, float]
    """index returns between which it was looked for"""
    next_margin_change: datetime | None
    reason: str = ""
    """why the distance is not known; else empty"""
    down: Number = None
    """index return below zero, fraction, at which excess liquidity is zero; known also without a level of the index"""
    up: Number = None
    """and above"""


@dataclass(frozen=True, slots=True)
class StressNow:
    """What the book would be worth."""

    reason: str = ""
    """why nothing is known; else empty"""
    index: Number = None
    """level of the S&P 500 now; null when what is known of it is not of now"""
    curve: tuple[StressRow, ...] = ()
    """by index return, falling to rising, with the volatility that comes with it"""
    scenarios: tuple[StressRow, ...] = ()
    """named, worst first"""
    trough: StressRow | None = None
    """the worst of the curve"""
    accounts: tuple[AccountStressRow, ...] = ()
    residual: Number = None
    """model against market now: gross difference over gross value of the options, fraction"""
    unvalued: tuple[str, ...] = ()
    """positions that cannot be revalued"""
    unvalued_share: float = 0.0
    """of the book, by number or notional, whichever is more"""
    assumptions: tuple[str, ...] = ()
    """in plain words: how volatility follows the index, what is assumed of rates and dividends"""
