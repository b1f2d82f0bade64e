"""What a page shows and how old it is: a page must never show the calm of an hour ago as the calm of now.

A Snapshot is old when the engine has not made a new one for five periods, or when it is still the file of the last run.
Then nothing in it is cleared: OK and WATCH are shown as UNKNOWN, a breach stays one. When one source is silent, that
holds for its accounts and positions. A past moment that a person asked for is shown as it was then, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guardrails import calendar, wording
from guardrails.checks import NOT_CLEARED
from guardrails.engine import Engine
from guardrails.findings import Finding, Level, worst
from guardrails.health import Health
from guardrails.matrix import RiskMatrix
from guardrails.outages import is_fresh
from guardrails.snapshot import Snapshot
from guardrails.snapshot.sources import SourceRow
from guardrails.values import SourceState

_SILENT = {
    SourceState.STALE: "has gone silent",
    SourceState.DOWN: "is not connected",
    SourceState.CONNECTING: "has not delivered a complete book yet",
}

_CAUSES = {"source_state", "engine", "risk_matrix", "market_regime", "position_data", "greeks_coverage"}
"""checks of the data: when they are UNKNOWN, others follow from them"""


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything a page may show at one moment."""

    now: datetime
    """what ages count to: in the past, the time of that Snapshot"""
    snapshot: Snapshot | None
    """as it may be shown: with its lights out when it is old"""
    old: bool
    trouble: tuple[str, ...]
    """why this must not be mistaken for calm, in plain words; empty when everything speaks"""
    health: Health | None
    """of the engine; None in the past, of which it is not stored"""
    matrix: RiskMatrix | None
    """in force at that moment; None when that of a past moment cannot be read"""
    past: bool = False
    """whether this is a moment that a person looks back at"""


def read(engine: Engine) -> Moment:
    """The moment as `engine` has it: a few attribute reads."""
    now, snapshot, restored, health = engine.now(), engine.latest, engine.restored, engine.health()
    if snapshot is None:
        return Moment(now, None, True, (), health, engine.matrix)  # noqa: FBT003  # a value's field
    # what another program judged by is not said in the words of our own file when that differs
    matrix = None if health.watched_by and snapshot.matrix_version != engine.matrix.version else engine.matrix
    old = restored or not health.alive or not is_fresh(snapshot.as_of, now, engine.settings.refresh_seconds)
    if old:
        everything = {row.name for row in snapshot.sources}
        words = (_age_words(snapshot, now, restored=restored),)
        level = worst([Level.UNKNOWN, snapshot.level])
        dimmed = _dimmed_rows(snapshot, everything)
        shown = replace(dimmed, level=level, findings=_dimmed_findings(snapshot.findings))
        return Moment(now, shown, old, words, health, matrix)
    silent = {row.name for row in snapshot.sources if row.state in _SILENT}
    return Moment(now, _dimmed_rows(snapshot, silent), old, silence(snapshot, now), health, matrix)


def then(snapshot: Snapshot, matrix: RiskMatrix | None) -> Moment:
    """The past moment of a stored `snapshot` as it was shown then: not old, but with what was silent then."""
    silent = {row.name for row in snapshot.sources if row.state in _SILENT}
    return Moment(
        snapshot.as_of,
        _dimmed_rows(snapshot, silent),
        old=False,
        trouble=silence(snapshot, snapshot.as_of),
        health=None,
        matrix=matrix,
        past=True,
    )


def silence(snapshot: Snapshot, now: datetime) -> tuple[str, ...]:
    """One sentence per source that does not speak."""
    return tuple(_source_words(row, snapshot, now) for row in snapshot.sources if row.state in _SILENT)


def age_of(row: SourceRow, snapshot: Snapshot, now: datetime) -> float | None:
    """Seconds since the source spoke, as of `now`; None when it never did."""
    return None if row.age_seconds is None else row.age_seconds + max((now - snapshot.as_of).total_seconds(), 0.0)


def urgent(findings: Iterable[Finding]) -> list[Finding]:
    """What needs a person: WATCH or worse, worst first; causes before what they darken, hard limits before advice."""
    loud = [finding for finding in findings if finding.level.rank >= Level.WATCH.rank]
    return sorted(loud, key=lambda f: (-f.level.rank, NOT_CLEARED in f.evidence, f.check not in _CAUSES, f.advisory))


def clock(time: datetime) -> str:
    """`15:50:12 ET`."""
    return f"{time.astimezone(calendar.NEW_YORK):%H:%M:%S} ET"


def day_and_time(time: datetime) -> str:
    """`Tue 17 Nov 10:32 ET`."""
    local = time.astimezone(calendar.NEW_YORK)
    return f"{local:%a} {local.day} {local:%b %H:%M} ET"


def full_time(time: datetime) -> str:
    """`Tue 17 Nov 2026 10:32:00 ET`; EDT or EST in the hour that comes twice."""
    local = time.astimezone(calendar.NEW_YORK)
    zone = "ET" if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset() else local.tzname()
    return f"{local:%a} {local.day} {local:%b %Y %H:%M:%S} {zone}"


def since_words(time: datetime, now: datetime) -> str:
    """`Tue 10:32` within the week, `29 Jul` beyond."""
    local = time.astimezone(calendar.NEW_YORK)
    return f"{local:%a %H:%M}" if abs(now - time) < timedelta(days=6) else f"{local.day} {local:%b}"


def session_words(snapshot: Snapshot, now: datetime) -> str:
    """`closes in 10 min`, `closed, opens Mon 09:30`; a market that keeps no hours is `open`."""
    change = snapshot.next_session_change
    if change is None:
        return "market open" if snapshot.market_open else "market closed"
    if not snapshot.market_open:
        return f"closed, opens {since_words(change, now)}"
    return f"closes in {wording.age(max((change - now).total_seconds(), 0.0))}"


def _dimmed(level: Level) -> Level:
    return Level.UNKNOWN if level in (Level.OK, Level.WATCH) else level


def _dimmed_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(replace(finding, level=_dimmed(finding.level)) for finding in findings)


def _dimmed_rows(snapshot: Snapshot, sources: set[str]) -> Snapshot:
    """`snapshot` with no account or position of `sources` cleared."""
    if not sources:
        return snapshot
    accounts = tuple(replace(r, level=_dimmed(r.level)) if r.source in sources else r for r in snapshot.accounts)
    positions = tuple(replace(r, level=_dimmed(r.level)) if r.source in sources else r for r in snapshot.positions)
    return replace(snapshot, accounts=accounts, positions=positions)


def _age_words(snapshot: Snapshot, now: datetime, *, restored: bool) -> str:
    age = now - snapshot.as_of
    since = clock(snapshot.as_of) if age < timedelta(hours=12) else day_and_time(snapshot.as_of)
    what = "Showing the last run: no data" if restored else "No data"
    return f"{what} since {since} ({wording.age(age.total_seconds())})"


def _source_words(row: SourceRow, snapshot: Snapshot, now: datetime) -> str:
    text = f"{row.name} {_SILENT[SourceState(row.state)]}"
    age = age_of(row, snapshot, now)
    if age is None:
        return text
    return f"{text}: no data since {clock(now - timedelta(seconds=age))} ({wording.age(age)})"
