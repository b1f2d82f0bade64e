"""What could happen to the market, by name: moves of the index, days of the past, volatility or rates by themselves.

A day of the past is applied to the market of now: the index by its return, a rise of volatility in points (17 to 65
adds 48 points to whatever stands today), because points are what short options lose by and a calm market has further to
go; a fall of volatility as a part of the level, because points taken off a calm market would leave nothing. All at
once: no time passes, also where the day was a month.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from guardrails.stress.named_days import NamedDay, named_days
from guardrails.stress.response import MEDIAN_VIX, coordinated, level_of, lowered
from guardrails.stress.shocks import Shock
from guardrails.values import Market

GAP, SPREADS = "single_name_gap", "spreads_widen"
"""scenarios that are no shock of the market: `gaps.py` and `spreads.py`"""
VOL_UP, VOL_DOWN, RATE = 0.10, -0.05, 0.01
"""ten points up, five down, one per cent a year"""
TITLES: Mapping[str, str] = MappingProxyType({
    **{name: day.title for name, day in named_days().items()},
    GAP: "One name gaps",
    SPREADS: "Spreads widen",
    "vol_up": "Volatility +10 points",
    "vol_down": "Volatility −5 points",
    "rates_up": "Rates +1 %",
    "rates_down": "Rates −1 %",
})  # fmt: skip
"""every named scenario and what a person calls it"""


def index_shock(index_return: float, vix: float | None) -> Shock:
    """A return of the index with the volatility that comes with it; `vix` in points, as it stands."""
    return Shock(f"{index_return * 100:+g} %", index_return, coordinated(index_return, vix))


def shock_of(day: NamedDay, vix: float | None) -> Shock:
    """What `day` would do now, VIX standing at `vix` points (the median of history where that is None)."""
    level = MEDIAN_VIX if vix is None else vix
    vol = day.vix_points / 100.0 if day.vix_points > 0 else -lowered(level, -day.vix_share)
    return Shock(day.name, day.index_return, vol, term=day.term)


def named_shocks(market: Market) -> tuple[Shock, ...]:
    """The days of the past, and volatility and rates by themselves, as shocks of the market of now."""
    vix = level_of(market)
    return (
        *(shock_of(day, vix) for day in named_days().values()),
        Shock("vol_up", vol=VOL_UP),
        Shock("vol_down", vol=VOL_DOWN),
        Shock("rates_up", rate=RATE),
        Shock("rates_down", rate=-RATE),
    )


def words_of(day: NamedDay, vix: float | None) -> str:
    """What happened then and what is made of it, for a person."""
    shock = shock_of(day, vix)
    what = (
        f"{day.first:%d %b %Y} to {day.last:%d %b %Y}: index {day.index_return:+.1%}, "
        f"VIX {day.vix[0]:g} to {day.vix[1]:g}, here {100 * shock.vol:+.1f} points"
    )
    proxies = f" Proxies: {'; '.join(day.proxies)}." if day.proxies else ""
    return f"{what}; {day.note}.{proxies} Source: {day.source}."
