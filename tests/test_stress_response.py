"""How volatility follows the index: fitted again from the recorded closes, and sensible where none were recorded."""

from __future__ import annotations

import csv
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.stress.response import coordinated, exponent_of, level_of, lowered, term_response, words
from guardrails.values import Market
from tests.books import SHARED


def closes(name: str) -> dict[str, float]:
    with (SHARED / "data" / name).open(encoding="utf-8") as lines:
        return {row["date"]: float(row["close"]) for row in csv.DictReader(lines)}


def daily() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns of SPY in per cent, VIX the day before and VIX on the day."""
    spy, vix = closes("spy_daily_close.csv"), closes("vix_daily.csv")
    days = sorted(spy.keys() & vix.keys())
    moved = np.array([100.0 * (spy[b] / spy[a] - 1.0) for a, b in pairwise(days)])
    return moved, np.array([vix[day] for day in days[:-1]]), np.array([vix[day] for day in days[1:]])


def test_falls_are_the_least_squares_of_calm_days_recorded() -> None:
    moved, before, after = daily()
    chosen = (moved < 0) & (before < 30)
    down, rise = -moved[chosen], (after - before)[chosen]
    slope, curvature = np.linalg.lstsq(np.stack([down, down**2], axis=1), rise, rcond=None)[0]
    assert len(down) == 3440
    assert slope == pytest.approx(1.0, abs=0.01)
    assert curvature == pytest.approx(0.115, abs=0.001)
    # so at -1, -3, -5 and -10 %: 1.0 d + 0.115 d^2 by hand
    for fall, points in ((-0.01, 1.115), (-0.03, 4.035), (-0.05, 7.875), (-0.10, 21.5)):
        assert 100 * coordinated(fall, 17.0) == pytest.approx(points)


def test_rises_are_fitted_to_the_days_recorded() -> None:
    moved, before, after = daily()
    up, fall = moved[moved > 0], np.log(after / before)[moved > 0]
    form = 1 - np.exp(-up / 2.0)
    assert (form * fall).sum() / (form * form).sum() == pytest.approx(-0.13, abs=0.002)
    # by hand at +1 % from 17: 17 x (exp(-0.13 x (1 - exp(-0.5))) - 1) = 17 x (exp(-0.051151) - 1) = -0.8477
    assert 100 * coordinated(0.01, 17.0) == pytest.approx(-0.8477, abs=1e-4)


def test_the_term_response_is_how_three_months_followed_one() -> None:
    vix, vix3m = closes("vix_daily.csv"), closes("vix3m_daily.csv")
    days = sorted(vix.keys() & vix3m.keys())
    month = np.array([vix[b] - vix[a] for a, b in pairwise(days)])
    quarter = np.array([vix3m[b] - vix3m[a] for a, b in pairwise(days)])
    slope = (month * quarter).sum() / (month * month).sum()
    assert slope == pytest.approx(0.640, abs=0.001)
    assert exponent_of(1.0, slope) == pytest.approx(0.4, abs=0.01)
    assert term_response(np.array([93 / 365]))[0] == pytest.approx(slope, abs=0.01)


def test_the_term_response_has_its_bounds() -> None:
    days = np.array([0.0, 0.5, 5.0, 30.0, 365.0, 3650.0, math.nan])
    found = term_response(days / 365)
    assert list(found[:3]) == [2.0, 2.0, 2.0]
    assert found[3] == pytest.approx(1.0)
    assert found[4] == pytest.approx(0.368, abs=1e-3)
    assert found[5] == 0.25
    assert math.isnan(found[6])


def test_great_falls_stand_between_the_great_days() -> None:
    # VIX rose by 68 points on -30 % in a month of 2020, VXO by 114 on -20.5 % in a day of 1987
    assert 0.40 < coordinated(-0.20, 17.0) < 1.14
    assert 0.68 < coordinated(-0.30, 17.0) <= 1.33
    # and never past the 150 of 1987
    assert coordinated(-0.40, 17.0) == pytest.approx(1.33)
    assert coordinated(-0.60, 160.0) == 0.0


def test_no_rise_of_the_index_takes_volatility_below_its_lowest_close() -> None:
    assert 100 * coordinated(0.40, 10.0) == pytest.approx(-1.0)
    assert coordinated(0.40, 8.5) == 0.0
    assert 100 * lowered(20.0, 0.9) == pytest.approx(11.0)


def test_an_unknown_level_is_the_median_and_said() -> None:
    assert level_of(Market()) is None
    assert coordinated(0.05, None) == coordinated(0.05, 17.6)
    assert "no VIX is known" in words(None)[0]
    assert "VIX 17.0" in words(17.0)[0]
    assert "+7.9 points at -5 %" in words(17.0)[0]


def test_the_median_is_that_of_all_closes() -> None:
    assert np.median(list(closes("vix_daily.csv").values())) == pytest.approx(17.6, abs=0.05)


@given(
    st.floats(-0.99, 2.0), st.floats(-0.99, 2.0), st.one_of(st.none(), st.floats(5.0, 200.0)),
)  # fmt: skip
def test_volatility_never_rises_with_the_index(one: float, other: float, vix: float | None) -> None:
    low, high = sorted((one, other))
    assert coordinated(low, vix) >= coordinated(high, vix)
    assert coordinated(0.0, vix) == 0.0
