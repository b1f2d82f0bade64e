"""Days of the past as data: what the index, VIX and VIX3M did, from when to when, by whose word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from guardrails.stress.response import TERM_EXPONENT, exponent_of


@dataclass(frozen=True, slots=True)
class NamedDay:
    """One day or stretch of days; levels before and after."""

    name: str
    title: str
    """for a person: `5 Feb 2018`"""
    first: date
    """its close is the level before"""
    last: date
    direction: str
    """`down` or `up`"""
    index: tuple[float, float]
    """S&P 500"""
    vix: tuple[float, float]
    vix3m: tuple[float, float] | None
    """None where it was not published"""
    proxies: tuple[str, ...]
    """what stands in for what"""
    source: str
    note: str

    @property
    def index_return(self) -> float:
        """Return of the index, fraction."""
        return self.index[1] / self.index[0] - 1.0

    @property
    def vix_points(self) -> float:
        """Rise of VIX, points."""
        return self.vix[1] - self.vix[0]

    @property
    def vix_share(self) -> float:
        """Rise of VIX as a part of its level before."""
        return self.vix[1] / self.vix[0] - 1.0

    @property
    def term(self) -> float:
        """Exponent of the term response as VIX and VIX3M moved that day; the fitted one where VIX3M is not known."""
        if self.vix3m is None:
            return TERM_EXPONENT
        return exponent_of(self.vix_points, self.vix3m[1] - self.vix3m[0])


@lru_cache(maxsize=1)
def named_days() -> Mapping[str, NamedDay]:
    """The days by name, oldest first."""
    text = resources.files("guardrails").joinpath("data", "scenarios.yaml").read_text(encoding="utf-8")
    return MappingProxyType({name: _day(name, given) for name, given in yaml.safe_load(text).items()})


def _day(name: str, given: Mapping[str, Any]) -> NamedDay:
    vix3m = given["vix3m"]
    return NamedDay(
        name=name,
        title=given["title"],
        first=given["first"],
        last=given["last"],
        direction=given["direction"],
        index=(given["index"][0], given["index"][1]),
        vix=(given["vix"][0], given["vix"][1]),
        vix3m=None if vix3m is None else (vix3m[0], vix3m[1]),
        proxies=tuple(given["proxies"]),
        source=given["source"],
        note=given["note"],
    )
