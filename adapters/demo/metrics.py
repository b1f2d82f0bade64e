"""What the simulated tastytrade publishes about each underlying beside its price, in its own names and mixed units.

Rank and percentile are fractions written as text, implied and historical volatility of 30 days are percent points.
Implied volatility follows the market; the history behind it is made up once, so that calm shows every signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from adapters.demo.market import INDEX, UNDERLYINGS, YIELD, Levels, surface
from guardrails import calendar


@dataclass(frozen=True, slots=True)
class Published:
    """The past of one underlying; volatilities are fractions a year."""

    lowest: float
    """30-day implied volatility at its lowest and highest within 52 weeks"""
    highest: float
    realised: float | None
    """30-day historical volatility; None: not published"""
    correlation: float
    """to SPY over three months"""
    cap: float
    """market value in billions of dollars"""
    earnings: tuple[int, str, bool] | None = None
    """days ahead, time of day (`BTO` before the open, `AMC` after the close), estimated"""
    dividend: tuple[int, float] | None = None
    """days to the next ex-dividend date, dollars paid each quarter; None: it pays none"""


PUBLISHED: Mapping[str, Published] = {
    "SPX": Published(0.105, 0.420, 0.101, 1.0, 0.0),
    "SPY": Published(0.105, 0.420, 0.101, 1.0, 690.0, dividend=(29, 2.04)),
    "QQQ": Published(0.130, 0.450, 0.148, 0.94, 400.0, dividend=(31, 0.76)),
    "AAPL": Published(0.175, 0.480, 0.165, 0.68, 3_990.0, earnings=(68, "AMC", True), dividend=(80, 0.26)),
    "MSFT": Published(0.160, 0.400, 0.177, 0.71, 3_810.0, earnings=(61, "AMC", True), dividend=(2, 0.91)),
    "NVDA": Published(0.300, 0.820, 0.395, 0.66, 4_530.0, earnings=(5, "AMC", False), dividend=(17, 0.01)),
    "AMZN": Published(0.210, 0.520, 0.232, 0.69, 2_410.0, earnings=(66, "AMC", True)),
    "JPM": Published(0.165, 0.460, 0.150, 0.62, 845.0, earnings=(48, "BTO", True), dividend=(44, 1.50)),
    "XOM": Published(0.170, 0.390, None, 0.34, 500.0, earnings=(70, "BTO", True), dividend=(85, 1.03)),
}
"""every underlying of the demo; the correlation of XOM is near the least that a beta is believed at"""


def metrics(levels: Levels, now: datetime, last_close: datetime) -> tuple[dict[str, object], ...]:
    """The items of `/market-metrics` at `now`."""
    today = calendar.exchange_date(now)
    return tuple(_item(name, levels, today, now, last_close) for name in PUBLISHED)


def _item(name: str, levels: Levels, today: date, now: datetime, last_close: datetime) -> dict[str, object]:
    known, it = PUBLISHED[name], UNDERLYINGS[name]
    one = np.ones(1)
    implied = float(surface(levels, one * it.beta, one * it.own_vol, one, one, one * 30.0 / 365.0)[0])
    rank = min(max((implied - known.lowest) / (known.highest - known.lowest), 0.0), 1.0)
    item: dict[str, object] = {
        "symbol": name,
        "implied-volatility-index": f"{implied:.9f}",
        "implied-volatility-index-rank": f"{rank:.9f}",
        "implied-volatility-index-rank-source": "tos",
        "implied-volatility-percentile": f"{rank**0.5:.9f}",  # volatility is mostly low
        "implied-volatility-30-day": f"{implied * 100.0:.2f}",
        "beta": f"{it.beta:.2f}",
        "beta-updated-at": last_close.isoformat(),
        "corr-spy-3month": f"{known.correlation:.2f}",
        "market-cap": f"{known.cap * 1e9:.1f}",
        "updated-at": now.isoformat(),
    }
    if known.realised is not None:
        item["historical-volatility-30-day"] = f"{known.realised * 100.0:.2f}"
        item["iv-hv-30-day-difference"] = f"{(implied - known.realised) * 100.0:.2f}"
    if known.earnings is not None:
        days, time_of_day, estimated = known.earnings
        item["earnings"] = {
            "visible": True,
            "expected-report-date": _session(today, days).isoformat(),
            "estimated": estimated,
            "late-flag": 0,
            "time-of-day": time_of_day,
        }
    paid = 0.0
    if known.dividend is not None:
        days, paid = known.dividend
        item["dividend-ex-date"] = _session(today, days).isoformat()
    item["dividend-rate-per-share"] = f"{paid:.2f}"
    item["dividend-yield"] = f"{YIELD if name == INDEX else 4.0 * paid / it.price:.9f}"
    item["dividend-updated-at"] = last_close.isoformat()
    return item


def _session(today: date, days: int) -> date:
    """The session on or before the day that many days ahead, not before today."""
    return max(calendar.session_on_or_before(today + timedelta(days=days)), today)
