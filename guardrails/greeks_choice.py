"""Whose Greeks an option gets: the order of trust, and what makes Greeks fit to be chosen.

    1. the stream         `Market.greeks` under the option's own `Instrument.key`, while fresh
    2. the broker's model `Position.greeks`, of the broker that holds it, while fresh
    3. our closed form    see `guardrails.valuation`

Impossible or incomplete Greeks fall through to the next. The key names the whole contract, so Greeks of another
expiry, strike, right or root are never found under it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from guardrails import wording
from guardrails.instruments import Right
from guardrails.intake import CLOCK_SKEW
from guardrails.matrix import DataRules
from guardrails.values import Greeks, Position, Source, SourceState, finite

HIGHEST_VOL = 5.0
"""a vendor's volatility above 500 % a year is not believed: it is a per cent taken for a fraction, or a sentinel"""
_SLACK = 0.02
"""vendors round, and a deep American put may show a delta a little beyond 1"""
_MUTE = (SourceState.DOWN, SourceState.STALE, SourceState.CONNECTING)
"""states in which a source says nothing of now"""


@dataclass(frozen=True, slots=True)
class Feeds:
    """Which sources speak at `now`, and how long what they said counts as of now (law 14: ages belong to streams)."""

    now: datetime
    rules: DataRules
    market_open: bool
    live: frozenset[str]
    """names of the sources that stream in an open market; what they said ages"""
    mute: frozenset[str]
    """names of those that serve nothing now"""
    speaking: frozenset[str]
    """names of all others"""

    @classmethod
    def of(cls, sources: Sequence[Source], now: datetime, rules: DataRules, *, market_open: bool) -> Feeds:
        """The feeds among `sources` at `now`."""
        live = frozenset(source.name for source in sources if source.state is SourceState.LIVE or _streams(source))
        mute = frozenset(source.name for source in sources if source.state in _MUTE) - live
        speaking = frozenset(source.name for source in sources) - mute
        return cls(now, rules, market_open, live if market_open else frozenset(), mute, speaking)

    def old(self, time: datetime, seconds: float) -> bool:
        """Whether `time` lies more than `seconds` back."""
        return (self.now - time).total_seconds() > seconds

    def quiet(self, time: datetime) -> bool:
        """Whether `time` lies too far back for anything that ticks."""
        return self.old(time, self.rules.quiet_after_minutes * 60)

    def age(self, time: datetime) -> str:
        """How long ago `time` is, in words."""
        return wording.age((self.now - time).total_seconds())

    def ahead(self, time: datetime) -> bool:
        """Whether `time` lies further ahead than clocks differ."""
        return time - self.now > CLOCK_SKEW

    def serves(self, source: str) -> bool:
        """Whether what `source` streams of other sources' holdings is of now: it must be known and speak."""
        return source in (self.live if self.market_open else self.speaking)

    def fresh(self, time: datetime, source: str) -> bool:
        """Whether what `source` said at `time` still counts; a closed market and a file are as old as meant."""
        return source not in self.mute and not (source in self.live and self.old(time, self.rules.stale_after_seconds))

    def comparable(self, source: str, other: str) -> bool:
        """Whether two sources speak of the same moment: both stream, or the market is closed."""
        return not self.market_open or {source, other} <= self.live


def _streams(source: Source) -> bool:
    """Whether a source whose accounts are in doubt, or cannot be read, has a stream that is neither."""
    return source.state in (SourceState.STALE, SourceState.DOWN) and source.quotes_live


@dataclass(frozen=True, slots=True)
class Choice:
    """What the vendors say of one option, weighed."""

    greeks: Greeks | None
    """to be used; None when the closed form must do"""
    other: Greeks | None = None
    """of the second source, fresh too, to be compared"""
    believed: tuple[Greeks, ...] = ()
    """whatever is possible, stale too; filled only when nothing is chosen"""
    notes: tuple[str, ...] = ()


def choose(position: Position, streamed: Greeks | None, feeds: Feeds) -> Choice:
    """The first Greeks in the order of trust that are fresh, possible and complete, and what the other source says."""
    own = position.greeks
    if streamed is None and own is not None and _is_plain(own, position, feeds):
        return Choice(own)
    notes = []
    believed: list[Greeks] = []
    fresh: list[tuple[Greeks, str]] = []
    for greeks, source in ((streamed, ""), (position.greeks, position.source)):
        if greeks is None:
            continue
        if not _possible(greeks, position, feeds):
            notes.append(f"Greeks of {greeks.source} {_fault(greeks)}")
            continue
        if greeks is streamed and not _complete(greeks) and feeds.serves(greeks.source):
            notes.append(f"{greeks.source} streams no figures for it")
        believed.append(greeks)
        serves = bool(source) or feeds.serves(greeks.source)
        if serves and feeds.fresh(greeks.time, source or greeks.source):
            fresh.append((greeks, source or greeks.source))
    chosen = next((pair for pair in fresh if _complete(pair[0])), None)
    if chosen is None:
        return Choice(None, None, tuple(believed), tuple(notes))
    others = (
        greeks
        for greeks, source in fresh
        if greeks.source != chosen[0].source and feeds.comparable(source, chosen[1])
    )  # fmt: skip
    return Choice(chosen[0], next(others, None), notes=tuple(notes))


def last_volatility(believed: Sequence[Greeks]) -> Greeks | None:
    """Of Greeks that are possible the most recent ones with a volatility."""
    told = [greeks for greeks in believed if (finite(greeks.iv) or 0.0) > 0]
    return max(told, key=lambda greeks: greeks.time, default=None)


def _is_plain(greeks: Greeks, position: Position, feeds: Feeds) -> bool:
    """Whether those of its own broker, which are all there are, can simply be used: the usual case, in a third of the
    time."""
    source = position.source
    return (
        bool(source)
        and _complete(greeks)
        and feeds.fresh(greeks.time, source)
        and _possible(greeks, position, feeds)
    )  # fmt: skip


def _complete(greeks: Greeks) -> bool:
    delta, gamma, vega, theta = greeks.delta, greeks.gamma, greeks.vega, greeks.theta
    if delta is None or gamma is None or vega is None or theta is None:
        return False
    return math.isfinite(delta + gamma + vega + theta)


def _possible(greeks: Greeks, position: Position, feeds: Feeds) -> bool:
    """Whether no figure contradicts what an option is: |delta| up to 1 on its own side, gamma and vega not negative,
    and a volatility that there can be; none is told by None or NaN."""
    toward = -1.0 if position.instrument.right is Right.PUT else 1.0
    return (
        not feeds.ahead(greeks.time)
        and not _absurd(greeks.iv)
        and (greeks.delta is None or -_SLACK <= greeks.delta * toward <= 1.0 + _SLACK)
        and (greeks.gamma is None or greeks.gamma >= -_SLACK)
        and (greeks.vega is None or greeks.vega >= -_SLACK)
    )


def _absurd(volatility: float | None) -> bool:
    return volatility is not None and not math.isnan(volatility) and not 0.0 < volatility <= HIGHEST_VOL


def _fault(greeks: Greeks) -> str:
    """Why Greeks that are not `_possible` are not believed."""
    if greeks.iv is not None and _absurd(greeks.iv):
        return f"cannot be true: a volatility of {100 * greeks.iv:g} % is not above 0 % and at most {HIGHEST_VOL:.0%}"
    return "cannot be true or are dated in the future"
