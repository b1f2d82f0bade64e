"""The rule of the regime, a pure function of (state, readings, matrix, clock), so that any day can be replayed.

One latch per VIX threshold (15, 20, 30 by default); the regime is the highest latch that is on.

    on    at once, when an official close is at or above the threshold, or when two intraday readings at least
          5 minutes apart are, and every reading between them
    off   after 5 official closes in a row at least 10 % below the threshold (for 20: at or below 18.0)

A latch knows nothing of the others. Hence a fall from 35 to 13 may pass several regimes on one day, once each
threshold has had its five closes, and a higher VIX never gives a calmer regime. Escalation must not wait (risk is
asymmetric); all the saving comes from slow de-escalation. VIX closes 1990 to 2026 give 8.6 changes a year with a median
run of 16 days, bare thresholds 30.6 (domain facts 4; tests/test_regime_replay.py).

What is missing or old never relaxes: no intraday reading steps down, a hole of more than a week between closes starts
the count anew, today's close does not count before it is official, and too few closes start at `no_history` or higher.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise

from guardrails import calendar
from guardrails.matrix import REGIME_NAMES, RiskMatrix
from guardrails.matrix.explain import targets
from guardrails.regime import term_structure
from guardrails.regime.readings import LONG_GAP, CloseList, MarketReadings, fresh, new_closes, present
from guardrails.regime.state import RegimeChange, RegimeState
from guardrails.values import Observed

HISTORY_CLOSES = 30
"""closes from which the first is trusted as the start; with fewer, a threshold crossed before may still be latched"""
VIX_CLOSE = time(16, 15)
"""New York time of the official VIX close on a full day"""


def step(
    state: RegimeState | None, readings: MarketReadings, matrix: RiskMatrix, now: datetime
) -> tuple[RegimeState, tuple[RegimeChange, ...]]:
    """The state at `now` and the changes since `state`; None starts from the closes given, which is no change."""
    official = _official_until(now)
    closes, ignored = new_closes(readings.vix_closes, official, now, after=state.last_close if state else None)
    vix = fresh(readings.vix, now, matrix.data.vix_stale_after_minutes)
    if state is None:
        trail = [_started(closes, readings, matrix, official, now)]
    elif state.bounds != _bounds(matrix):
        trail = [state, _rebuilt(state, readings, matrix, now)]
    else:
        reverted = _reverted(state, matrix, now)
        trail = [state, reverted, *_closed(reverted, closes, matrix, official)]
    trail.append(_intraday(trail[-1], vix, matrix) if vix else trail[-1])
    term = term_structure.step(trail[-1].term, readings, matrix, now, official)
    trail.append(_overridden(replace(trail[-1], term=term), matrix, now))
    changes = tuple(_change(old, new, readings, matrix) for old, new in pairwise(trail) if old.name != new.name)
    return _explained(trail[-1], vix, readings, ignored, now), changes


def _bounds(matrix: RiskMatrix) -> tuple[float, ...]:
    release = 1 - matrix.regime_rules.down_margin
    return (*matrix.thresholds, *(round(level * release, 10) for level in matrix.thresholds))


def _official_until(now: datetime) -> date:
    """The last date whose VIX close can be official at `now`."""
    today = calendar.exchange_date(now)
    return today if now >= calendar.at(today, VIX_CLOSE) else today - timedelta(days=1)


def _recent(day: date, until: date) -> bool:
    return until - day <= LONG_GAP


def _level(value: float, matrix: RiskMatrix) -> int:
    return sum(value >= threshold for threshold in matrix.thresholds)


def _started(
    closes: CloseList, readings: MarketReadings, matrix: RiskMatrix, official: date, now: datetime
) -> RegimeState:
    """State from the closes alone; where they are too few or too old, at least `no_history`."""
    known = len(closes) >= HISTORY_CLOSES and _recent(closes[-1][0], official)
    if known:
        level, since = _level(closes[0][1], matrix), calendar.at(closes[0][0], VIX_CLOSE)
        cause = f"the first VIX close known is {closes[0][1]:.2f} on {closes[0][0]}"
    else:
        vix = present(readings.vix)
        seen = [value for _, value in closes[:1]] + ([vix.value] if vix else [])
        level = max(_level(value, matrix) for value in [0.0, *seen])
        cause, since = f"VIX is {max(seen, default=0.0):.2f}, with too few recent closes for a history", now
        if level <= (least := REGIME_NAMES.index(matrix.regime_rules.no_history)):
            level, cause = (
                least,
                f"fewer than {HISTORY_CLOSES} recent VIX closes are known, too few to be calm",
            )
    count, name = len(matrix.thresholds), REGIME_NAMES[level]
    state = RegimeState(name, since, "", cause, name, cause, _bounds(matrix), (0,) * count, (None,) * count)
    return [state, *_closed(state, closes, matrix, official)][-1]


def _rebuilt(state: RegimeState, readings: MarketReadings, matrix: RiskMatrix, now: datetime) -> RegimeState:
    """State after the trader edited thresholds or margin: counted anew, the level too where history allows."""
    official = _official_until(now)
    closes, _ = new_closes(readings.vix_closes, official, now, after=None)
    anew, level = _started(closes, readings, matrix, official, now), REGIME_NAMES.index(state.rule)
    if len(closes) < HISTORY_CLOSES:
        level = max(level, _level(state.vix or 0.0, matrix))
    else:
        vix = present(readings.vix)
        today = min(level, _level(vix.value, matrix)) if vix else level  # what was escalated today and still holds
        level = max(REGIME_NAMES.index(anew.rule), today)
    kept = replace(state, bounds=anew.bounds, below=anew.below, pending=anew.pending, last_close=anew.last_close)
    return _move(_reverted(kept, matrix, now), level, now, "the VIX ranges or down_margin in the matrix changed")


def _closed(state: RegimeState, closes: CloseList, matrix: RiskMatrix, official: date) -> Iterator[RegimeState]:
    """The state after each close, in order; closes that end long before `official` only step up."""
    half, needed = len(matrix.thresholds), matrix.regime_rules.down_closes
    thresholds, releases = state.bounds[:half], state.bounds[half:]
    for day, value in closes:
        gap = state.last_close is not None and not _recent(state.last_close, day)
        before = (0,) * half if gap else state.below
        below = tuple(n + 1 if value <= release else 0 for n, release in zip(before, releases, strict=True))
        held = REGIME_NAMES.index(state.rule)
        level = max(held, _level(value, matrix))
        while level and below[level - 1] >= needed and _recent(closes[-1][0], official):
            level -= 1
        cause = f"VIX closed at {value:.2f} on {day}"
        if level > held:
            cause += f", at or above {thresholds[level - 1]:g}"
        elif level < held:
            cause += f", {needed} closes in a row at or below {releases[level]:g}"
        pending = tuple(
            None if begun and value < threshold and calendar.exchange_date(begun) <= day else begun
            for begun, threshold in zip(state.pending, thresholds, strict=True)
        )
        state = replace(state, below=below, pending=pending, last_close=day, vix=value)
        state = _move(state, level, calendar.at(day, VIX_CLOSE), cause)
        yield state


def _intraday(state: RegimeState, vix: Observed, matrix: RiskMatrix) -> RegimeState:
    """The state after a fresh reading, which may only step up.

    A threshold confirmed again while its latch is on restarts the count of calm closes, as if it had just been reached.
    """
    held, wait = REGIME_NAMES.index(state.rule), timedelta(minutes=matrix.regime_rules.escalate_minutes)
    pending = tuple(
        (begun or vix.time) if vix.value >= threshold else None
        for begun, threshold in zip(state.pending, matrix.thresholds, strict=True)
    )
    reached = max((i + 1 for i, begun in enumerate(pending) if begun and vix.time - begun >= wait), default=0)
    state = replace(state, pending=pending, below=(0,) * reached + state.below[reached:], vix=vix.value)
    if reached <= held:
        return state
    minutes = f"{matrix.regime_rules.escalate_minutes:g} minutes"
    cause = f"VIX is {vix.value:.2f}, at or above {matrix.thresholds[reached - 1]:g} for {minutes}"
    return _move(state, reached, vix.time, cause)


def _move(state: RegimeState, level: int, when: datetime, cause: str) -> RegimeState:
    """`state` with the rule at `level`; under an override only the rule moves, not the regime in force."""
    if REGIME_NAMES[level] == state.rule:
        return state
    state = replace(state, rule=REGIME_NAMES[level], rule_cause=cause)
    return state if state.override else _enter(state, state.rule, when, cause)


def _enter(state: RegimeState, name: str, when: datetime, cause: str) -> RegimeState:
    if name == state.name:
        return replace(state, cause=cause)
    return replace(state, name=name, since=when, cause=cause, previous=state.name, changed_at=when)


def _reverted(state: RegimeState, matrix: RiskMatrix, now: datetime) -> RegimeState:
    """Back to the rule when the override has expired or was taken out of the matrix."""
    if not state.override or (matrix.override is not None and now < matrix.override.expires):
        return state
    return _enter(replace(state, override=False), state.rule, now, f"the override ended; {state.rule_cause}")


def _overridden(state: RegimeState, matrix: RiskMatrix, now: datetime) -> RegimeState:
    """The regime a person chose, while it lasts."""
    chosen = matrix.override
    if chosen is None or now >= chosen.expires:
        return state
    until = chosen.expires.astimezone(calendar.NEW_YORK)
    cause = f"set by hand until {until:%Y-%m-%d %H:%M} ET: {chosen.reason}"
    return _enter(replace(state, override=True), chosen.regime, now, cause)


def _change(old: RegimeState, new: RegimeState, readings: MarketReadings, matrix: RiskMatrix) -> RegimeChange:
    vix3m = present(readings.vix3m)
    return RegimeChange(
        new.since, old.name, new.name, new.cause, targets(matrix, new.name), new.vix, vix3m.value if vix3m else None
    )


def _explained(
    state: RegimeState, vix: Observed | None, readings: MarketReadings, ignored: list[str], now: datetime
) -> RegimeState:
    """`state` with its reason in words and whether VIX is known."""
    recent = state.last_close is not None and _recent(state.last_close, _official_until(now))
    known = vix is not None or (recent and not readings.market_open)
    parts = [state.cause]
    if state.override and state.rule != state.name:
        parts.append(f"the rule says {state.rule} ({state.rule_cause})")
    if not known:
        last = present(readings.vix)
        said = (
            f"the last VIX is of {last.time.astimezone(calendar.NEW_YORK):%Y-%m-%d %H:%M} ET"
            if last
            else "VIX is missing"
        )
        parts.append(f"{said}, so the regime is kept and cannot relax")
    if not recent:
        seen = f"since {state.last_close}" if state.last_close else "at all"
        parts.append(f"no official VIX close {seen}, so it cannot step down")
    return replace(state, known=known, reason="; ".join([*parts, *ignored]))
