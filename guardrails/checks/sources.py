"""Whether every source still speaks, in what condition it is, what of it fails, and whether its clock is ours."""

from __future__ import annotations

import math

from guardrails import wording
from guardrails.findings import Finding, Level
from guardrails.intake import CLOCK_SKEW, silence
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.values import Source, SourceState, finite

SKEW_SECONDS = 2.0
"""a quote is live for a few seconds only: a clock further off makes old quotes young, or young ones old"""
_NAMED = 3
"""warnings and streams that a message names; the evidence has all"""
_STATES = {SourceState.FILE: "a file"}
_ACTIONS = {
    Level.UNKNOWN: "Do what the reason says; the Connections page lists every source.",
    Level.WATCH: "See on the Connections page what does not work, and what rests on it.",
}


def source_state(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per source: whether it still speaks, and whether all of it works."""
    if not portfolio.sources:
        return [
            limits.finding(
                "source_state", "portfolio", Level.UNKNOWN, "No source is configured.", action="Set GUARDRAILS_SOURCES."
            )
        ]
    return [_source(source, portfolio, limits) for source in portfolio.sources]


def clock_skew(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per source that tells its time: seconds by which its clock is surely ahead of ours, or behind."""
    told = [source for source in portfolio.sources if source.clock_skew is not None]
    if not told:
        text = "No source tells its time."
        return [limits.finding("clock_skew", "portfolio", Level.NOT_APPLICABLE, text, limit=SKEW_SECONDS, unit="s")]
    return [_clock(source, limits) for source in told]


def _source(source: Source, portfolio: Portfolio, limits: Limits) -> Finding:
    blind = silence(source, limits.matrix.data, portfolio.time, market_open=portfolio.market_open)
    broken = [stream.name for stream in source.streams if stream.works is False]
    level = Level.UNKNOWN if blind else Level.WATCH if broken or source.warnings else Level.OK
    parts = [
        f"{blind or f'{source.name} is {_STATES.get(source.state, source.state.value)}'}{_history(source, portfolio)}.",
        source.detail,
        f"Does not work: {wording.names(broken, _NAMED)}." if broken else "",
        f"Works in part: {wording.names(source.warnings, _NAMED, '; ').rstrip('.')}." if source.warnings else "",
    ]
    return limits.finding(
        "source_state",
        f"source:{source.name}",
        level,
        " ".join(part for part in parts if part),
        evidence={
            "state": source.state.value,
            "exclusions": list(source.exclusions),
            "condition": source.condition,
            "retries": source.retries,
            "broken": broken,
            "warnings": list(source.warnings),
        },
        age=None if source.time is None else portfolio.age_of(source.time),
        action=source.action or _ACTIONS.get(level, ""),
    )


def _history(source: Source, portfolio: Portfolio) -> str:
    """`, refused for 3 min, last word 4 min ago, 7 attempts to connect so far`."""
    heard = "never heard"
    if source.time is not None:
        age = wording.age(portfolio.age_of(source.time))
        heard = f"its figures are {age} old" if source.state is SourceState.FILE else f"last word {age} ago"
    condition = wording.plain(source.condition)
    if condition and source.since is not None:
        condition += f" for {wording.age(portfolio.age_of(source.since))}"
    return "".join(f", {part}" for part in (condition, heard, wording.attempts(source.retries)) if part)


def _clock(source: Source, limits: Limits) -> Finding:
    skew = finite(source.clock_skew)
    off = math.inf if skew is None else abs(skew)
    if off <= SKEW_SECONDS:
        level, so = Level.OK, ""
    elif off <= CLOCK_SKEW.total_seconds():
        level, so = Level.WATCH, ": ages are wrong by as much"
    else:
        level, so = Level.UNKNOWN, ": no age can be trusted"
    words = "is no time" if skew is None else wording.skew(skew)
    return limits.finding(
        "clock_skew",
        f"source:{source.name}",
        level,
        f"The clock of {source.name} {words}{so}.",
        value=skew,
        limit=SKEW_SECONDS,
        unit="s",
        headroom=None if skew is None else SKEW_SECONDS - off,
        action="" if level is Level.OK else "Set this computer's clock (NTP).",
    )
