"""The simulated market: spots, volatilities and volatility indices as a pure function of scenario, seed and seconds.

Nothing is stored between two moments and nothing is drawn at run time: a moment is a scripted path plus a sum of slow
sine waves whose phases come from the seed. The same second therefore looks the same in every process.

    index      S(t) = S(0) * (1 + fall * ramp(t) + waves(t))
    others     P(t) = P(0) * (1 + beta * (S(t) / S(0) - 1) + own waves(t))
    VIX        scripted level - 80 points * waves(t): it rises when the index falls
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from adapters.demo.expiries import sessions_until
from guardrails.pricing import Array

Closes = tuple[tuple[date, float], ...]

INDEX = "SPX"
RATE = 0.041
"""continuous risk-free rate a year"""
YIELD = 0.012
"""dividend yield of the index a year; single names are priced without one"""
EURUSD = 1.16
HISTORY_SESSIONS = 120
_PERIODS = (23.0, 71.0, 307.0, 1291.0)
"""seconds; the shortest makes the page live, the longest lets the day drift"""
_WEIGHTS = (0.15, 0.25, 0.5, 1.0)
_INDEX_WAVE, _OWN_WAVE, _FX_WAVE = 0.0006, 0.0008, 0.0002
_VIX_PER_WAVE = 80.0


@dataclass(frozen=True, slots=True)
class Underlying:
    """What one underlying is at the previous close, and how it follows the index."""

    price: float
    beta: float
    own_vol: float
    """volatility of its own, fraction a year, added in squares to beta times that of the index"""
    dividend: float = 0.0
    """yield a year"""


UNDERLYINGS: Mapping[str, Underlying] = {
    INDEX: Underlying(6800.0, 1.0, 0.0, YIELD),
    "SPY": Underlying(680.0, 1.0, 0.0, YIELD),
    "QQQ": Underlying(612.0, 1.15, 0.06, 0.005),
    "AAPL": Underlying(268.5, 1.15, 0.16),
    "MSFT": Underlying(512.0, 1.05, 0.14),
    "NVDA": Underlying(186.0, 1.80, 0.28),
    "AMZN": Underlying(226.0, 1.25, 0.20),
    "JPM": Underlying(308.0, 1.05, 0.14),
    "XOM": Underlying(117.5, 0.60, 0.18),
}
"""prices at the previous close, the same in every scenario, so that switching shows the same book in another market"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the market is made to do; VIX levels at the previous close and at the end of the ramp."""

    name: str
    fall: float
    """index return at the end of the ramp, fraction"""
    vix: tuple[float, float]
    vix3m: tuple[float, float]
    ramp_seconds: float
    vix_path: tuple[float, ...]
    """closes of the past, at equal distances, ending at the previous close"""
    vix3m_path: tuple[float, ...]
    silent_after: float | None = None
    """seconds after which the tastytrade feed says nothing more"""


_CALM_PATH, _CALM_PATH_3M = (17.5, 15.2, 13.0, 12.7, 12.8, 13.0, 13.9), (19.6, 18.1, 16.4, 16.1, 16.2, 16.4, 17.0)
_CRISIS_PATH, _CRISIS_PATH_3M = (15.5, 16.2, 17.5, 19.0, 24.0, 33.0, 34.0), (18.0, 18.4, 19.2, 20.2, 24.0, 30.2, 31.0)

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("calm", 0.0, (13.9, 13.9), (17.0, 17.0), 90.0, _CALM_PATH, _CALM_PATH_3M),
        Scenario("selloff", -0.045, (13.9, 28.0), (17.0, 24.8), 90.0, _CALM_PATH, _CALM_PATH_3M),
        Scenario("crash", -0.09, (34.0, 45.0), (31.0, 38.0), 120.0, _CRISIS_PATH, _CRISIS_PATH_3M),
        Scenario("stale", 0.0, (13.9, 13.9), (17.0, 17.0), 90.0, _CALM_PATH, _CALM_PATH_3M, silent_after=10.0),
    )
}
"""by name, calm first"""


@dataclass(frozen=True, slots=True)
class Levels:
    """The market at one moment."""

    spots: Mapping[str, float]
    """by underlying, rounded as they are quoted"""
    vix: float
    vix3m: float
    eurusd: float


def levels_at(scenario: Scenario, seed: int, seconds: float) -> Levels:
    """The market `seconds` after the start; below zero is the previous close."""
    ramp = _smooth(seconds / scenario.ramp_seconds)
    wave = _INDEX_WAVE * _waves(seed, INDEX, seconds)
    moved = scenario.fall * ramp + wave
    spots = {
        name: round(it.price * (1.0 + it.beta * moved + _own(seed, name, seconds)), 2)
        for name, it in UNDERLYINGS.items()
    }
    return Levels(
        spots=spots,
        vix=round(_between(scenario.vix, ramp) - _VIX_PER_WAVE * wave, 2),
        vix3m=round(_between(scenario.vix3m, ramp) - 0.5 * _VIX_PER_WAVE * wave, 2),
        eurusd=round(EURUSD * (1.0 + _FX_WAVE * _waves(seed, "EUR", seconds)), 4),
    )


def future_price(index: float, years: float) -> float:
    """Fair value of an index future, on its tick of 0.25."""
    return round(index * math.exp((RATE - YIELD) * years) * 4.0) / 4.0


def surface(levels: Levels, beta: Array, own_vol: Array, strike: Array, forward: Array, years: Array) -> Array:
    """Implied volatility by option: a term structure through VIX (30 days) and VIX3M (93 days), and a skew.

    The skew is a quadratic in standard deviations from the forward, +9 % of the volatility one deviation below it; VIX
    contains the skew, so at the money stands below it.
    """
    weight = np.exp(-(years * 365.0 - 30.0) / 60.0)
    index = 0.92 * np.maximum(levels.vix3m + (levels.vix - levels.vix3m) * np.minimum(weight, 1.4), 6.0) / 100.0
    level = np.sqrt((beta * index) ** 2 + own_vol**2)
    away = np.clip(np.log(strike / forward) / (level * np.sqrt(years)), -4.0, 3.0)
    return np.asarray(level * (1.0 - 0.09 * away + 0.012 * away**2), dtype=np.float64)


def closes(scenario: Scenario, seed: int, last: date) -> tuple[Closes, Closes]:
    """Official closes of VIX and of VIX3M up to and including the session `last`, oldest first."""
    days = sessions_until(last, HISTORY_SESSIONS)
    along = np.linspace(0.0, 1.0, len(days))
    knots = np.linspace(0.0, 1.0, len(scenario.vix_path))
    wobble = 0.02 * np.sin(np.arange(len(days)) * 1.7 + _phases(seed, "VIX")[0]) * (1.0 - along**8)
    vix = np.interp(along, knots, scenario.vix_path) * (1.0 + wobble)
    vix3m = np.interp(along, knots, scenario.vix3m_path) * (1.0 + 0.5 * wobble)
    return (
        tuple((day, round(float(value), 2)) for day, value in zip(days, vix, strict=True)),
        tuple((day, round(float(value), 2)) for day, value in zip(days, vix3m, strict=True)),
    )


def _smooth(share: float) -> float:
    """0 to 1 without a kink at either end."""
    x = min(max(share, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share


def _waves(seed: int, name: str, seconds: float) -> float:
    """Between -4 and 4, zero at the start."""
    if seconds <= 0.0:
        return 0.0
    waves = zip(_PERIODS, _WEIGHTS, _phases(seed, name), strict=True)
    return sum(w * (math.sin(math.tau * seconds / period + p) - math.sin(p)) for period, w, p in waves)


@lru_cache(maxsize=256)
def _phases(seed: int, name: str) -> tuple[float, ...]:
    drawn = np.random.default_rng([seed, *name.encode()]).uniform(0.0, math.tau, len(_PERIODS))
    return tuple(float(phase) for phase in drawn)


def _own(seed: int, name: str, seconds: float) -> float:
    """What a name does on its own; the index and the fund on it do nothing."""
    return _OWN_WAVE * _waves(seed, name, seconds) if UNDERLYINGS[name].own_vol else 0.0
