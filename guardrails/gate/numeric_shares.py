"""Shares of one underlying group in the gross of the book after trades: the concentrations, in plain floats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from guardrails.checks.concentration import NEGLIGIBLE
from guardrails.exposures import Exposures
from guardrails.intervals import Interval, Measure

_ROUNDING = 1e-9
"""as in `guardrails.limits`: a use equal to its limit is no breach"""


@dataclass(frozen=True, slots=True)
class Shares:
    """One measure by underlying group, and the largest share that is allowed."""

    check: str
    limit: float
    """NaN when it is not set"""
    least: float
    """gross below which shares mean nothing"""
    net: Mapping[str, float]
    gross: float
    largest: tuple[tuple[float, str], ...]
    """the judged groups, those that hold most first"""
    exempt: frozenset[str]
    known: bool


def known_of(interval: Interval) -> float:
    """The value of a sum that is certain, else NaN."""
    known = interval.known
    return math.nan if known is None else known


def shares_of(
    what: str, measure: Measure, exposures: Exposures, limit: float | None, nav: float, exempt: frozenset[str]
) -> Shares:
    """The shares of `measure`, of which `limit` is the largest allowed (None: not set) and `exempt` are not judged."""
    sums = measure.by(exposures.group, len(exposures.groups))
    net = {group: known_of(sums.at(place)) for place, group in enumerate(exposures.groups)}
    judged = sorted(((abs(value), group) for group, value in net.items() if group not in exempt), reverse=True)
    gross = math.fsum(abs(value) for value in net.values())
    return Shares(
        check=f"{what}_concentration",
        limit=math.nan if limit is None else limit,
        least=NEGLIGIBLE[what] * nav,
        net=net,
        gross=gross,
        largest=tuple(judged),
        exempt=exempt,
        known=math.isfinite(gross),
    )


def judge_shares(
    shares: Shares, added: Sequence[float], groups: Sequence[str], worse: list[str], unknown: list[str]
) -> None:
    """Shares of the groups traded, and of the largest that are not, whose share rises when the rest falls."""
    if not shares.known:
        unknown.append(shares.check)
        return
    then: dict[str, float] = {}
    for group, more in zip(groups, added, strict=True):
        before = then[group] if group in then else shares.net.get(group, 0.0)
        then[group] = before + more
    gross = shares.gross
    for group, value in then.items():
        gross += abs(value) - abs(shares.net.get(group, 0.0))
    if isnan(gross):
        unknown.append(shares.check)
        return
    if gross < shares.least or gross <= 0.0:
        return
    for group, value in then.items():
        if group not in shares.exempt:
            _judge_share(shares, group, abs(value) / gross, worse)
    for size, group in shares.largest:
        if size <= shares.limit * gross:
            break  # the rest hold less still
        if group not in then:
            _judge_share(shares, group, size / gross, worse)


def _judge_share(shares: Shares, group: str, share: float, worse: list[str]) -> None:
    if share > shares.limit * (1.0 + _ROUNDING):
        applies = shares.gross >= shares.least and shares.gross > 0.0
        before = abs(shares.net.get(group, 0.0)) / shares.gross if applies else 0.0
        if share > before * (1.0 + _ROUNDING):
            worse.append(f"{shares.check} {group}")
