"""The regime over 36 years of VIX closes: the figures of domain facts 4 come out of the rule as it is coded."""

from __future__ import annotations

import csv
import statistics
from datetime import date, time
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from guardrails import calendar
from guardrails.matrix import REGIME_NAMES, load
from guardrails.regime import MarketReadings, RegimeChange, RegimeState, step

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
VIX, VIX3M = DATA / "vix_daily.csv", DATA / "vix3m_daily.csv"
MATRIX = load(Path(__file__).resolve().parents[1] / "risk_matrix.yaml")
YEARS = 36.55
"""1990-01-02 to 2026-07-23"""

pytestmark = pytest.mark.skipif(not VIX.exists() or not VIX3M.exists(), reason=f"{DATA} is absent")
Close = tuple[date, float]


def read(path: Path) -> list[Close]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(date.fromisoformat(row["date"]), float(row["close"])) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def replay() -> tuple[list[RegimeState], list[RegimeChange]]:
    """State after each close, given one by one as they became known; the first 30 as the history at the start."""
    vix, vix3m = read(VIX), dict(read(VIX3M))
    state: RegimeState | None = None
    states: list[RegimeState] = []
    changes: list[RegimeChange] = []
    for index in range(29, len(vix)):
        known = tuple(vix[: index + 1] if state is None else vix[index : index + 1])
        distant = tuple((day, vix3m[day]) for day, _ in known if day in vix3m)
        now = calendar.at(vix[index][0], time(17, 0))
        state, new = step(state, MarketReadings(None, None, known, distant, market_open=False), MATRIX, now)
        states.append(state)
        changes += new
    return states, changes


def test_raw_thresholds_flip_thirty_times_a_year() -> None:
    levels = [sum(close >= threshold for threshold in MATRIX.thresholds) for _, close in read(VIX)]
    assert sum(a != b for a, b in pairwise(levels)) / YEARS == pytest.approx(30.6, abs=0.05)


def test_the_rule_changes_between_8_4_and_8_7_times_a_year(
    replay: tuple[list[RegimeState], list[RegimeChange]],
) -> None:
    states, changes = replay
    assert 8.4 <= len(changes) / YEARS <= 8.7
    assert len(changes) == sum(a.name != b.name for a, b in pairwise(states))


def test_runs_are_long(replay: tuple[list[RegimeState], list[RegimeChange]]) -> None:
    """Facts: median run 16 days, 8 runs of at most 2 days; the latches give 9, see docs/limits.md."""
    runs = [len(list(group)) for _, group in groupby(state.name for state in replay[0])]
    assert statistics.median(runs) == pytest.approx(16, abs=0.5)
    assert sum(run <= 2 for run in runs) in {8, 9}


@pytest.mark.parametrize(("regime", "percent"), list(zip(REGIME_NAMES, (20.6, 29.8, 36.2, 13.4), strict=True)))
def test_share_of_days_in_each_regime(
    replay: tuple[list[RegimeState], list[RegimeChange]], regime: str, percent: float
) -> None:
    """Facts: 20.6, 29.8, 36.2 and 13.4 % of the VIX history."""
    states = replay[0]
    assert sum(state.name == regime for state in states) / len(states) * 100 == pytest.approx(percent, abs=0.15)


def test_share_of_days_with_an_inverted_term_structure(
    replay: tuple[list[RegimeState], list[RegimeChange]],
) -> None:
    """Facts: 14.6 % of 4,235 days; the shipped VIX3M ends 99 days earlier and gives 14.4 %."""
    days = {day for day, _ in read(VIX3M)}
    found = [state.overlay for state in replay[0] if state.last_close in days]
    assert len(found) > 4_100
    assert sum(overlay is True for overlay in found) / len(found) == pytest.approx(0.146, abs=0.003)


def test_known_days(replay: tuple[list[RegimeState], list[RegimeChange]]) -> None:
    """VIX first closed at or above 30 in the 2020 crash on 27 February (39.16), in August 2024 on the 5th (38.57)."""
    by_day = {state.last_close: state.name for state in replay[0]}
    assert by_day[date(2020, 2, 26)] == "high_volatility"
    assert by_day[date(2020, 2, 27)] == "crisis_mode"
    assert by_day[date(2020, 3, 16)] == "crisis_mode"
    assert by_day[date(2024, 8, 2)] == "high_volatility"
    assert by_day[date(2024, 8, 5)] == "crisis_mode"
