"""Whether the options of an underlying are dear: implied against realised volatility of 30 days.

The rule of the issue, all fractions:

    premium   = IV30 / HV30 - 1           IV 30 %, HV 25 %: 0.20
    threshold = 0.10 + VIX / 100          VIX 20: 0.30

    rich      premium >= threshold
    fair      0 <= premium < threshold
    cheap     premium < 0
    unknown   a figure is missing, impossible or old

The signal is a reading aid: it colours nothing and decides about no order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from guardrails import calendar, wording
from guardrails.products import product_root
from guardrails.values import Market, Metrics, finite

BASE_PREMIUM = 0.10
"""premium that is rich at a VIX of zero"""
LEAST_HV = 0.01
"""below one point a year a ratio says nothing: the price hardly moved (halted, or about to be bought out)"""
MAX_SESSIONS = 1
"""metrics of the last session are good for this one; older ones are stale"""
_ROUNDING = 1e-9
"""slack so that a premium equal to its threshold is not fair by the last binary digit"""
_AHEAD = timedelta(minutes=1)
"""how far their clock may run ahead of ours"""


class Signal(StrEnum):
    """What the premium says; no Level, because cheap options break no limit."""

    RICH = "rich"
    FAIR = "fair"
    CHEAP = "cheap"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reading:
    """The premium of one underlying against the threshold of the moment."""

    signal: Signal
    premium: float | None
    threshold: float | None
    reason: str = ""
    """why the signal is unknown, in plain words; else empty"""


def premium(iv_30d: float | None, hv_30d: float | None) -> float | None:
    """IV30 / HV30 - 1; None when either is missing or not positive, or HV30 is below `LEAST_HV`."""
    implied, realised = finite(iv_30d), finite(hv_30d)
    if implied is None or realised is None or implied <= 0 or realised < LEAST_HV:
        return None
    return implied / realised - 1.0


def threshold(vix: float | None) -> float | None:
    """0.10 + VIX / 100, VIX in points; None when VIX is missing or not positive."""
    level = finite(vix)
    return None if level is None or level <= 0 else BASE_PREMIUM + level / 100.0


def signal(premium: float | None, threshold: float | None) -> Signal:
    """Rich from the threshold on, fair from zero on, cheap below; unknown when either is missing."""
    if premium is None or threshold is None:
        return Signal.UNKNOWN
    if premium >= threshold - _ROUNDING:
        return Signal.RICH
    return Signal.FAIR if premium >= 0 else Signal.CHEAP


def read(metrics: Metrics | None, vix: float | None, now: datetime) -> Reading:
    """The reading of one underlying at `now`; `vix` is None when it is missing or stale."""
    paid = None if metrics is None else premium(metrics.iv_30d, metrics.hv_30d)
    asked = threshold(vix)
    reason = _missing(metrics, now) or ("no VIX, or only an old one" if asked is None else "")
    return Reading(Signal.UNKNOWN if reason else signal(paid, asked), paid, asked, reason)


def _missing(metrics: Metrics | None, now: datetime) -> str:
    if metrics is None:
        return "no metrics are published for it"
    if old := staleness(metrics, now):
        return old
    implied, realised = finite(metrics.iv_30d), finite(metrics.hv_30d)
    if implied is None or implied <= 0:
        return "no implied volatility of 30 days"
    if realised is None:
        return "no historical volatility of 30 days"
    if realised < LEAST_HV:
        return f"historical volatility of 30 days is {wording.percent(realised)}, too small to divide by"
    return ""


def staleness(metrics: Metrics, now: datetime) -> str:
    """Why `metrics` are not of now, or nothing; they may come from the session before the one at `now`."""
    if metrics.time - now > _AHEAD:
        return "metrics are dated in the future"
    passed = sessions_since(metrics.time, now)
    return f"metrics are {passed} sessions old" if passed > MAX_SESSIONS else ""


def sessions_since(time: datetime, now: datetime) -> int:
    """Sessions that have begun since the exchange date of `time`."""
    return len(calendar.sessions_between(calendar.exchange_date(time), calendar.session_of(now)))


def metrics_of(underlying: str, market: Market) -> Metrics | None:
    """What is published about `underlying`; of a futures contract what stands under its product (`/ESZ26`: `/ES`)."""
    return market.metrics.get(underlying) or market.metrics.get(product_root(underlying))
