"""The regime as a story of closes and readings: both sides of every threshold, and what missing data may not do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from guardrails import calendar
from guardrails.matrix import REGIME_NAMES, RiskMatrix, load, parse
from guardrails.regime import HISTORY_CLOSES, MarketReadings, RegimeChange, RegimeState, step
from guardrails.values import Observed

FILE = Path(__file__).resolve().parents[1] / "risk_matrix.yaml"
TEXT = FILE.read_text(encoding="utf-8")
MATRIX = load(FILE)
LOW, NEUTRAL, HIGH, CRISIS = REGIME_NAMES

DAYS = calendar.sessions_between(date(2026, 1, 1), date(2026, 12, 31))
START = 40
"""index in DAYS of the day after the quiet history that most stories begin with"""


def after_close(day: int) -> datetime:
    return calendar.at(DAYS[day], time(17, 0))


def at(day: int, clock: str) -> datetime:
    return calendar.at(DAYS[day], time.fromisoformat(clock))


def closes(values: Sequence[float], first: int = 0) -> tuple[tuple[date, float], ...]:
    return tuple(zip(DAYS[first : first + len(values)], values, strict=True))


def seen(
    *,
    vix: Observed | None = None,
    vix3m: Observed | None = None,
    vix_closes: tuple[tuple[date, float], ...] = (),
    vix3m_closes: tuple[tuple[date, float], ...] = (),
    market_open: bool = False,
) -> MarketReadings:
    return MarketReadings(vix, vix3m, vix_closes, vix3m_closes, market_open)


def reading(value: float, when: datetime) -> Observed:
    return Observed(value, when, "test")


def begun(value: float = 17.0) -> RegimeState:
    """The state after a history of 40 equal closes."""
    return step(None, seen(vix_closes=closes([value] * START)), MATRIX, after_close(START - 1))[0]


def play(state: RegimeState, values: Sequence[float], first: int = START) -> tuple[list[str], list[RegimeChange]]:
    """Regime after each further official close, and the changes."""
    names: list[str] = []
    changes: list[RegimeChange] = []
    for offset, close in enumerate(closes(values, first)):
        state, new = step(state, seen(vix_closes=(close,)), MATRIX, after_close(first + offset))
        names.append(state.name)
        changes += new
    return names, changes


def intraday(state: RegimeState, *points: tuple[str, float], day: int = START) -> RegimeState:
    """The state after fresh readings at the given New York times."""
    for clock, value in points:
        now = at(day, clock)
        state, _ = step(state, seen(vix=reading(value, now), market_open=True), MATRIX, now)
    return state


# --- official closes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("close", "regime"),
    [(14.99, LOW), (15.0, NEUTRAL), (19.99, NEUTRAL), (20.0, HIGH), (29.99, HIGH), (30.0, CRISIS), (82.69, CRISIS)],
)
def test_up_at_once_on_a_close_at_the_threshold(close: float, regime: str) -> None:
    assert play(begun(12.0), [close])[0] == [regime]


@pytest.mark.parametrize(("last", "ends"), [(18.0, NEUTRAL), (18.01, HIGH)])
def test_down_after_five_closes_ten_percent_below(last: float, ends: str) -> None:
    """20 less 10 % is 18.0: the fifth close at 18.0 steps down, at 18.01 it does not."""
    names, _ = play(begun(), [21.0, 18.0, 18.0, 18.0, 18.0, last])
    assert names == [HIGH] * 5 + [ends]


def test_four_calm_closes_and_a_fifth_above_begin_again() -> None:
    names, _ = play(begun(), [21, 17, 17, 17, 17, 18.5, 17, 17, 17, 17, 17])
    assert names == [HIGH] * 10 + [NEUTRAL]


def test_each_threshold_counts_for_itself() -> None:
    """From 35 to 12: five closes satisfy 27, 18 and 13.5 together, so that one day ends in the calmest regime."""
    assert play(begun(), [35, 12, 12, 12, 12, 12])[0] == [CRISIS] * 5 + [LOW]


def test_a_slow_fall_passes_every_regime() -> None:
    names, changes = play(begun(), [35, *[26] * 5, *[17] * 5, *[13] * 5])
    assert names == [CRISIS] * 5 + [HIGH] * 5 + [NEUTRAL] * 5 + [LOW]
    assert [(c.old, c.new) for c in changes] == [(NEUTRAL, CRISIS), (CRISIS, HIGH), (HIGH, NEUTRAL), (NEUTRAL, LOW)]


def test_a_change_says_old_new_cause_time_and_targets() -> None:
    _, (change,) = play(begun(), [24.1])
    assert (change.old, change.new, change.vix) == (NEUTRAL, HIGH, 24.1)
    assert change.cause == f"VIX closed at 24.10 on {DAYS[START]}, at or above 20"
    assert change.time == calendar.at(DAYS[START], time(16, 15))
    assert "Maintenance margin: at most 40 % of net liquidation [max_margin_utilisation]." in change.targets


def test_a_close_is_counted_once() -> None:
    state = begun(25.0)
    for hour in range(20):
        now = after_close(START) + timedelta(minutes=hour)
        state, changes = step(state, seen(vix_closes=closes([17.0], START)), MATRIX, now)
        assert (state.name, changes, state.below[1]) == (HIGH, (), 1)


def test_a_missing_day_does_not_break_the_row_but_a_long_hole_does() -> None:
    calm = [(DAYS[START + n], 17.0) for n in (0, 1, 3, 4, 5)]
    state, _ = step(begun(25.0), seen(vix_closes=tuple(calm)), MATRIX, after_close(START + 5))
    assert state.name == NEUTRAL
    holed = [(DAYS[START + n], 17.0) for n in (0, 1, 2, 3, 13)]
    state, _ = step(begun(25.0), seen(vix_closes=tuple(holed)), MATRIX, after_close(START + 13))
    assert (state.name, state.below[1]) == (HIGH, 1)


@pytest.mark.parametrize("bad", [math.nan, 0.0, -5.0, math.inf, 1.797e308])
def test_a_close_that_is_no_number_is_ignored_with_its_reason(bad: float) -> None:
    given_closes = (*closes([17.0] * 4, START), (DAYS[START + 4], bad))
    state, _ = step(begun(25.0), seen(vix_closes=given_closes), MATRIX, after_close(START + 4))
    assert (state.name, state.below[1], state.last_close) == (HIGH, 4, DAYS[START + 3])
    assert f"the close of {DAYS[START + 4]} is not a positive number" in state.reason


def test_todays_close_counts_from_a_quarter_past_four() -> None:
    today = seen(vix_closes=closes([31.0], START))
    assert step(begun(), today, MATRIX, at(START, "16:14"))[0].name == NEUTRAL
    assert step(begun(), today, MATRIX, at(START, "16:15"))[0].name == CRISIS


def test_a_close_from_the_future_is_ignored() -> None:
    state, _ = step(begun(), seen(vix_closes=closes([31.0], START + 3)), MATRIX, after_close(START))
    assert state.name == NEUTRAL
    assert "lies in the future" in state.reason


def test_of_two_closes_of_one_day_the_higher_counts() -> None:
    both = ((DAYS[START], 19.0), (DAYS[START], 20.5), (DAYS[START], 18.0))
    assert step(begun(), seen(vix_closes=both), MATRIX, after_close(START))[0].name == HIGH


# --- intraday -----------------------------------------------------------------------------------------------------


def test_two_readings_five_minutes_apart_escalate() -> None:
    assert intraday(begun(), ("10:00", 20.0)).name == NEUTRAL
    assert intraday(begun(), ("10:00", 20.0), ("10:04:59", 20.0)).name == NEUTRAL
    state = intraday(begun(), ("10:00", 20.0), ("10:05", 20.0))
    assert (state.name, state.since) == (HIGH, at(START, "10:05"))
    assert state.cause == "VIX is 20.00, at or above 20 for 5 minutes"


def test_a_reading_below_the_threshold_between_begins_again() -> None:
    assert intraday(begun(), ("10:00", 20.1), ("10:03", 19.9), ("10:06", 20.1)).name == NEUTRAL


def test_a_higher_second_reading_escalates_only_as_far_as_both_reach() -> None:
    state = intraday(begun(), ("10:00", 21.0), ("10:03", 31.0), ("10:05", 31.0))
    assert state.name == HIGH
    assert intraday(state, ("10:08", 31.0)).name == CRISIS


def test_the_same_reading_again_is_no_second_reading() -> None:
    state, now = begun(), at(START, "10:00")
    for minutes in range(14):
        later = now + timedelta(minutes=minutes)
        state, _ = step(state, seen(vix=reading(25.0, now), market_open=True), MATRIX, later)
    assert state.name == NEUTRAL


def test_intraday_never_steps_down() -> None:
    calm = [(f"{hour}:00", 11.0) for hour in range(10, 16)]
    assert intraday(begun(25.0), *calm).name == HIGH


def test_an_intraday_step_up_needs_five_closes_of_its_own_to_end() -> None:
    """The quiet closes before the scare do not count towards leaving it."""
    state = intraday(begun(), ("10:00", 22.0), ("10:06", 22.0))
    assert play(state, [17.0] * 5)[0] == [HIGH] * 4 + [NEUTRAL]


def test_a_scare_while_already_high_restarts_the_count() -> None:
    """Else a book that was high all along would be calmer on that evening than one that only just got there."""
    state = intraday(begun(), ("10:00", 22.0), ("10:06", 22.0))
    for day in range(START, START + 5):
        if day == START + 3:
            state = intraday(state, ("10:00", 22.0), ("10:06", 22.0), day=day)
        state, _ = step(state, seen(vix_closes=closes([17.0], day)), MATRIX, after_close(day))
    assert (state.name, state.below[1]) == (HIGH, 2)


def test_a_close_below_the_threshold_ends_a_pending_escalation() -> None:
    state = intraday(begun(), ("15:58", 20.5))
    state, _ = step(state, seen(vix_closes=closes([19.5], START)), MATRIX, after_close(START))
    assert intraday(state, ("09:31", 20.5), day=START + 1).name == NEUTRAL


# --- missing, stale, wrong ----------------------------------------------------------------------------------------


def test_stale_vix_keeps_the_regime_and_says_so() -> None:
    old = reading(45.0, at(START, "10:00"))
    fifteen, _ = step(begun(), seen(vix=old, market_open=True), MATRIX, at(START, "10:15"))
    later, _ = step(begun(), seen(vix=old, market_open=True), MATRIX, at(START, "10:15:01"))
    assert (fifteen.known, later.known) == (True, False)
    assert later.name == NEUTRAL
    assert f"the last VIX is of {DAYS[START]} 10:00 ET, so the regime is kept and cannot relax" in later.reason


@pytest.mark.parametrize("value", [None, math.nan, -1.0, 0.0, 1.797e308])
def test_missing_vix_is_unknown_only_while_the_market_is_open(value: float | None) -> None:
    now = at(START, "11:00")
    vix = None if value is None else reading(value, now)
    for market_open in (True, False):
        state, _ = step(begun(), seen(vix=vix, market_open=market_open), MATRIX, now)
        assert (state.name, state.known) == (NEUTRAL, not market_open)
    assert "VIX is missing" in step(begun(), seen(vix=vix, market_open=True), MATRIX, now)[0].reason


def test_a_reading_from_the_future_is_not_fresh() -> None:
    now = at(START, "11:00")
    state, _ = step(begun(), seen(vix=reading(17.0, now + timedelta(minutes=2)), market_open=True), MATRIX, now)
    assert not state.known


def test_closes_that_end_long_ago_cannot_relax() -> None:
    """Five calm closes in March, looked at in September: old news may tighten only."""
    calm = seen(vix_closes=closes([12.0] * 5, START))
    state, _ = step(begun(25.0), calm, MATRIX, after_close(START + 120))
    assert state.name == HIGH
    assert "so it cannot step down" in state.reason
    wild = seen(vix_closes=closes([35.0], START))
    assert step(begun(25.0), wild, MATRIX, after_close(START + 120))[0].name == CRISIS


# --- start --------------------------------------------------------------------------------------------------------


def test_no_history_starts_high() -> None:
    state, changes = step(None, seen(), MATRIX, at(START, "11:00"))
    assert (state.name, changes) == (HIGH, ())


@pytest.mark.parametrize(("value", "regime"), [(12.0, HIGH), (29.99, HIGH), (30.0, CRISIS)])
def test_the_first_reading_may_only_tighten(value: float, regime: str) -> None:
    now = at(START, "11:00")
    assert step(None, seen(vix=reading(value, now), market_open=True), MATRIX, now)[0].name == regime


def test_no_history_follows_the_matrix() -> None:
    matrix = parse(TEXT.replace("no_history: high_volatility", "no_history: crisis_mode"))
    assert step(None, seen(), matrix, at(START, "11:00"))[0].name == CRISIS


def test_thirty_closes_are_a_history_twenty_nine_are_not() -> None:
    """VIX at 19 is no proof that 20 was not crossed last month, so a short history stays high."""
    for count, regime in ((HISTORY_CLOSES - 1, HIGH), (HISTORY_CLOSES, NEUTRAL)):
        state, _ = step(None, seen(vix_closes=closes([19.0] * count)), MATRIX, after_close(count - 1))
        assert state.name == regime


def test_a_short_but_calm_history_steps_down_by_the_rule() -> None:
    for count, regime in ((4, HIGH), (5, LOW)):
        state, _ = step(None, seen(vix_closes=closes([12.0] * count)), MATRIX, after_close(count - 1))
        assert state.name == regime


def test_an_old_history_is_none() -> None:
    state, _ = step(None, seen(vix_closes=closes([12.0] * 60)), MATRIX, after_close(200))
    assert state.name == HIGH


def test_history_at_once_is_history_day_by_day() -> None:
    values = [17.0] * HISTORY_CLOSES + [31, 26, 26, 26, 26, 26, 21, 17, 17, 17, 17, 17, 12, 22, 16]
    state, _ = step(None, seen(vix_closes=closes(values[:HISTORY_CLOSES])), MATRIX, after_close(HISTORY_CLOSES - 1))
    for count in range(HISTORY_CLOSES, len(values)):
        state, _ = step(state, seen(vix_closes=closes(values[: count + 1])), MATRIX, after_close(count))
    at_once, changes = step(None, seen(vix_closes=closes(values)), MATRIX, after_close(len(values) - 1))
    assert at_once == state
    assert changes == ()


def test_state_survives_json() -> None:
    state = intraday(begun(), ("10:00", 22.0), ("10:03", 31.0), ("10:06", 31.0))
    adapter = TypeAdapter(RegimeState)
    assert adapter.validate_json(adapter.dump_json(state)) == state


def test_previous_and_changed_at_tell_that_the_limit_moved() -> None:
    state, _ = step(begun(), seen(vix_closes=closes([31.0], START)), MATRIX, after_close(START))
    assert (state.previous, state.changed_at) == (NEUTRAL, calendar.at(DAYS[START], time(16, 15)))


# --- term structure -----------------------------------------------------------------------------------------------


def curve(ratios: Sequence[float], first: int = START, *, state: RegimeState | None = None) -> list[bool | None]:
    """Overlay after each close with VIX 17 and the given VIX / VIX3M."""
    state = state or begun()
    found = []
    for offset, ratio in enumerate(ratios):
        day = DAYS[first + offset]
        readings = seen(vix_closes=((day, 17.0),), vix3m_closes=((day, 17.0 / ratio),))
        state, _ = step(state, readings, MATRIX, after_close(first + offset))
        found.append(state.overlay)
    return found


def test_inversion_blocks_at_once_and_ends_after_three_normal_closes() -> None:
    assert curve([0.9, 0.9, 0.9, 0.999, 1.0, 0.96, 0.96, 0.97, 0.96, 0.96, 0.969]) == [
        *[None, None, False, False],  # not known until three closes in a row are normal
        *[True, True, True, True, True, True, False],  # 0.97 is not below 0.97
    ]


def test_inversion_does_not_change_the_regime() -> None:
    state, changes = step(
        begun(),
        seen(vix_closes=((DAYS[START], 17.0),), vix3m_closes=((DAYS[START], 15.0),)),
        MATRIX,
        after_close(START),
    )
    assert (state.overlay, state.name, changes) == (True, NEUTRAL, ())
    assert state.term.reason == f"VIX/VIX3M closed at 1.133 on {DAYS[START]}, at or above 1"


@pytest.mark.parametrize(("second", "blocked"), [("10:04:59", None), ("10:05", True)])
def test_intraday_inversion_needs_two_readings(second: str, blocked: bool | None) -> None:  # noqa: FBT001  # a parameter
    state = begun()
    for clock in ("10:00", second):
        now = at(START, clock)
        readings = seen(vix=reading(18.0, now), vix3m=reading(18.0, now), market_open=True)
        state, _ = step(state, readings, MATRIX, now)
    assert state.overlay is blocked


def test_missing_vix3m_neither_blocks_nor_clears() -> None:
    days = closes([17.0] * START)
    calm = tuple((day, 20.0) for day, _ in days)
    normal, _ = step(None, seen(vix_closes=days, vix3m_closes=calm), MATRIX, after_close(START - 1))
    assert normal.overlay is False
    still, _ = step(normal, seen(vix_closes=closes([17.0] * 3, START)), MATRIX, after_close(START + 2))
    assert still.overlay is False
    unknown, _ = step(normal, seen(vix_closes=closes([17.0] * 9, START)), MATRIX, after_close(START + 8))
    assert unknown.overlay is None  # more than a week without VIX3M
    inverted = tuple((day, 16.0) for day, _ in days)
    blocked, _ = step(None, seen(vix_closes=days, vix3m_closes=inverted), MATRIX, after_close(START - 1))
    kept, _ = step(blocked, seen(vix_closes=closes([17.0] * 9, START)), MATRIX, after_close(START + 8))
    assert kept.overlay is True


# --- override and edits of the matrix -----------------------------------------------------------------------------


def override(regime: str, until: datetime) -> RiskMatrix:
    entry = f"override: {{regime: {regime}, reason: FOMC week, expires: {until.isoformat()}}}"
    return parse(TEXT.replace("override: null", entry))


def test_override_holds_until_it_expires_then_reverts_with_an_event() -> None:
    until = at(START, "15:00")
    matrix = override(CRISIS, until)
    state, (change,) = step(begun(), seen(), matrix, at(START, "10:00"))
    assert (state.name, state.rule, state.override) == (CRISIS, NEUTRAL, True)
    assert (change.old, change.new) == (NEUTRAL, CRISIS)
    assert state.reason.startswith(f"set by hand until {DAYS[START]} 15:00 ET: FOMC week; the rule says {NEUTRAL}")
    state, changes = step(state, seen(), matrix, until - timedelta(seconds=1))
    assert (state.name, changes) == (CRISIS, ())
    state, (change,) = step(state, seen(), matrix, until)
    assert (state.name, state.override, change.old, change.new) == (NEUTRAL, False, CRISIS, NEUTRAL)
    assert change.cause.startswith("the override ended")


def test_the_rule_runs_on_beneath_an_override() -> None:
    matrix = override(NEUTRAL, at(START + 2, "15:00"))
    state, _ = step(begun(), seen(vix_closes=closes([33.0], START)), matrix, after_close(START))
    assert (state.name, state.rule) == (NEUTRAL, CRISIS)
    state, (change,) = step(state, seen(), matrix, after_close(START + 2))
    assert (state.name, change.new) == (CRISIS, CRISIS)


def test_taking_the_override_out_of_the_matrix_ends_it() -> None:
    state, _ = step(begun(), seen(), override(CRISIS, at(START + 9, "15:00")), at(START, "10:00"))
    assert step(state, seen(), MATRIX, at(START, "10:01"))[0].name == NEUTRAL


def test_edited_thresholds_are_applied_to_the_history() -> None:
    text = TEXT.replace("vix_max: 20", "vix_max: 16.5").replace("vix_min: 20", "vix_min: 16.5")
    days = seen(vix_closes=closes([17.0] * START))
    state, (change,) = step(begun(), days, parse(text), at(START, "10:00"))
    assert (state.name, change.cause) == (HIGH, "the VIX ranges or down_margin in the matrix changed")
    without, _ = step(begun(), seen(), parse(text), at(START, "10:00"))
    assert without.name == HIGH  # the last VIX known is 17
    assert step(state, days, parse(text), at(START, "10:01"))[1] == ()


@pytest.mark.parametrize(
    ("key", "new", "regime"),
    [
        ("down_closes: 5", "down_closes: 6", HIGH),
        ("down_margin: 0.10", "down_margin: 0.20", HIGH),
        ("down_closes: 5", "down_closes: 5", NEUTRAL),
    ],
)
def test_every_rule_of_the_step_down_counts(key: str, new: str, regime: str) -> None:
    matrix = parse(TEXT.replace(key, new))
    values = [25.0] * START + [17.0] * 5
    assert step(None, seen(vix_closes=closes(values)), matrix, after_close(len(values) - 1))[0].name == regime


# --- what must hold for any path ----------------------------------------------------------------------------------

Days = list[tuple[float, float, bool, bool]]
"""by day: morning reading, close, whether each was seen"""
vix_values = st.sampled_from([12.0, 13.5, 15.0, 17.0, 18.0, 19.0, 20.0, 21.0, 26.0, 27.0, 30.0, 31.0])
paths = st.lists(st.tuples(vix_values, vix_values, st.booleans(), st.booleans()), min_size=1, max_size=25)


def rank(state: RegimeState) -> int:
    return REGIME_NAMES.index(state.name)


def walk(path: Days) -> list[RegimeState]:
    """States along days with an optional morning reading (seen twice, 6 minutes apart) and an optional close."""
    state, states = begun(), []
    for offset, (morning, close, has_reading, has_close) in enumerate(path):
        day = START + offset
        if has_reading:
            state = intraday(state, ("10:00", morning), ("10:06", morning), day=day)
        found = closes([close], day) if has_close else ()
        state, _ = step(state, seen(vix_closes=found), MATRIX, after_close(day))
        states.append(state)
    return states


@given(path=paths, other=paths)
@settings(max_examples=300, deadline=None)
def test_a_higher_path_never_gives_a_calmer_regime(path: Days, other: Days) -> None:
    shorter = min(len(path), len(other))
    higher = [
        (max(a[0], b[0]), max(a[1], b[1]), a[2], a[3]) for a, b in zip(path[:shorter], other[:shorter], strict=True)
    ]
    for plain, above in zip(walk(path[:shorter]), walk(higher), strict=True):
        assert rank(above) >= rank(plain)


@given(path=paths, minutes=st.integers(16, 60 * 24 * 400), value=st.one_of(st.none(), vix_values))
@settings(max_examples=100, deadline=None)
def test_missing_or_stale_vix_never_changes_the_regime(path: Days, minutes: int, value: float | None) -> None:
    state = walk(path)[-1]
    now = after_close(START + len(path) - 1) + timedelta(minutes=minutes)
    old = None if value is None else reading(value, now - timedelta(minutes=minutes))
    for market_open in (True, False):
        after, changes = step(state, seen(vix=old, market_open=market_open), MATRIX, now)
        assert (after.name, changes) == (state.name, ())
        assert not (market_open and after.known)


@given(path=paths, value=vix_values)
@settings(max_examples=100, deadline=None)
def test_a_repeated_reading_changes_nothing(path: Days, value: float) -> None:
    state, day = walk(path)[-1], START + len(path)
    now = at(day, "10:00")
    readings = seen(
        vix=reading(value, now), vix3m=reading(20.0, now), vix_closes=closes([value], day - 1), market_open=True
    )
    once, _ = step(state, readings, MATRIX, now)
    twice, changes = step(once, readings, MATRIX, now)
    assert twice == once
    assert changes == ()


@given(state=st.sampled_from([None, 12.0, 25.0]), value=st.floats(), age=st.integers(-10_000, 10_000))
@settings(max_examples=150, deadline=None)
def test_no_number_however_broken_raises_or_relaxes(state: float | None, value: float, age: int) -> None:
    now = at(START, "12:00").astimezone(UTC)
    before = None if state is None else begun(state)
    broken = reading(value, now - timedelta(seconds=age))
    readings = seen(vix=broken, vix3m=broken, vix_closes=((DAYS[START], value),), market_open=True)
    after, _ = step(before, readings, MATRIX, now)
    assert rank(after) >= (rank(before) if before else REGIME_NAMES.index(HIGH))
