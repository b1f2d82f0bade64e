"""What another matrix would have changed: breaches caught earlier, later, not at all, and alarms that nothing followed;
time at each level, changes of regime, and what of it cannot be known."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from guardrails.breaches import Breach, Kind, NetLiquidation, Span, matched
from guardrails.findings import Level
from guardrails.replay import Judged, Outcome
from guardrails.watched import Watch

SHOWN = 20
"""differences and problems that are kept as examples"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A level that did not come out as it was; None where the finding was not there."""

    time: datetime
    name: str
    then: Level | None
    again: Level | None


@dataclass(frozen=True, slots=True)
class Moved:
    """A change of regime between two moments."""

    time: datetime
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the comparison: the matrices then in force, or the other one."""

    versions: tuple[str, ...]
    unknown: int
    """moments at which anything is UNKNOWN"""
    regime_changes: tuple[Moved, ...]
    seconds: Mapping[str, Mapping[Level, int]]
    """by check: time at the worst level of its findings"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two ways to judge the same moments differ in."""

    moments: int
    begin: datetime | None
    end: datetime | None
    spacing_seconds: float | None
    """usual time between two moments (median); what was shorter cannot be seen"""
    longest_seconds: float | None
    """longest time between two moments"""
    unwatched_seconds: int
    """time for which no moment speaks (`guardrails.watched`)"""
    differing: int
    """moments with any level or regime that differs"""
    differences: tuple[Difference, ...]
    """the first ones"""
    revalued: int
    """moments whose stress was measured again, not taken as it was measured then"""
    unreadable: int
    problems: tuple[tuple[datetime, str], ...]
    """why, of the first ones"""
    breaches: tuple[Breach, ...]
    """worst first, then by time"""
    then: Side
    again: Side

    def of(self, kind: Kind) -> list[Breach]:
        """The breaches of that kind, by time."""
        return [breach for breach in self.breaches if breach.kind is kind]


@dataclass(slots=True)
class _Tally:
    """What is counted of one side while the moments pass."""

    versions: dict[str, None] = field(default_factory=dict)
    unknown: int = 0
    regime: str = ""
    changes: list[Moved] = field(default_factory=list)
    seconds: dict[str, dict[Level, float]] = field(default_factory=dict)
    last: Mapping[str, Level] = field(default_factory=dict)
    """worst level by check at the last moment"""
    running: dict[str, Span] = field(default_factory=dict)
    spans: dict[str, list[Span]] = field(default_factory=dict)

    def passed(self, seconds: float, *, unwatched: bool) -> None:
        """Let the last moment hold for `seconds`; when nobody watched after it, every breach ends with it."""
        for check, level in self.last.items():
            times = self.seconds.setdefault(check, {})
            times[level] = times.get(level, 0.0) + seconds
        if unwatched:
            self.ended()

    def add(self, time: datetime, outcome: Outcome, *, blind: bool) -> None:
        """Count one more moment; when it is `blind`, nothing was judged, and so nothing was cleared."""
        self.versions[outcome.matrix_version] = None
        self.unknown += blind or Level.UNKNOWN in outcome.levels.values()
        if outcome.regime and self.regime and outcome.regime != self.regime:
            self.changes.append(Moved(time, self.regime, outcome.regime))
        self.regime = outcome.regime or self.regime
        self.last = _by_check(outcome.levels)
        self._follow(time, outcome.levels, blind=blind)

    def _follow(self, time: datetime, levels: Mapping[str, Level], *, blind: bool) -> None:
        kept = (Level.BREACH, Level.UNKNOWN)
        for name in [] if blind else [name for name in self.running if levels.get(name) not in kept]:
            self.spans.setdefault(name, []).append(self.running.pop(name))
        for name, level in levels.items():
            if level is Level.BREACH:
                held = self.running.get(name)
                self.running[name] = Span(time if held is None else held.begin, time)

    def ended(self) -> dict[str, list[Span]]:
        """Every breach up to now; those that still run end here."""
        for name, span in self.running.items():
            self.spans.setdefault(name, []).append(span)
        self.running = {}
        return self.spans

    def side(self) -> Side:
        seconds = {
            check: {level: round(times[level]) for level in sorted(times, key=lambda level: -level.rank)}
            for check, times in sorted(self.seconds.items())
        }
        return Side(tuple(self.versions), self.unknown, tuple(self.changes), seconds)


def compare(judged: Iterable[Judged]) -> Comparison:
    """What came out differently; the moments are taken one at a time, oldest first."""
    then, again, watch = _Tally(), _Tally(), Watch()
    money = NetLiquidation(watch)
    apart: list[float] = []
    differing = unreadable = revalued = 0
    unwatched = 0.0
    differences: list[Difference] = []
    problems: list[tuple[datetime, str]] = []
    doubtful: set[tuple[str, datetime]] = set()
    for one in judged:
        held = watch.heard(one.time)
        if held is not None:
            apart.append((one.time - watch.times[-2]).total_seconds())
            lost = apart[-1] - held.total_seconds()
            unwatched += lost
            then.passed(held.total_seconds(), unwatched=lost > 0)
            again.passed(held.total_seconds(), unwatched=lost > 0)
        then.add(one.time, one.then, blind=not one.then.levels)
        again.add(one.time, one.again, blind=bool(one.problem))
        money.add(one)
        revalued += one.revalued
        doubtful |= {
            (name, span.begin)
            for name, span in then.running.items()
            if span.end == one.time and one.again.levels.get(name) is Level.UNKNOWN
        }
        if one.problem:
            unreadable += 1
            problems += [(one.time, one.problem)] if len(problems) < SHOWN else []
        elif one.then.levels != one.again.levels or one.then.regime not in ("", one.again.regime):
            differing += 1
            differences += _differences(one) if len(differences) < SHOWN else []
    return Comparison(
        moments=len(watch.times),
        begin=watch.times[0] if watch.times else None,
        end=watch.times[-1] if watch.times else None,
        spacing_seconds=statistics.median(apart) if apart else None,
        longest_seconds=max(apart, default=None),
        unwatched_seconds=round(unwatched),
        differing=differing,
        differences=tuple(differences[:SHOWN]),
        revalued=revalued,
        unreadable=unreadable,
        problems=tuple(problems),
        breaches=matched(then.ended(), again.ended(), doubtful, money),
        then=then.side(),
        again=again.side(),
    )


def _by_check(levels: Mapping[str, Level]) -> dict[str, Level]:
    found: dict[str, Level] = {}
    for name, level in levels.items():
        check = name.partition(" ")[0]
        held = found.get(check)
        if held is None or held.rank < level.rank:
            found[check] = level
    return found


def _differences(judged: Judged) -> list[Difference]:
    then, again = judged.then.levels, judged.again.levels
    return [
        Difference(judged.time, name, then.get(name), again.get(name))
        for name in sorted({*then, *again})
        if then.get(name) is not again.get(name)
    ]
