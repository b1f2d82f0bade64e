"""The premium of implied over realised volatility; expected values are worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.values import Market, Metrics
from guardrails.volatility import Signal, metrics_of, premium, read, signal, threshold
from tests.books import NOW

KNOWN = Metrics("AAPL", NOW, "test", iv_30d=0.30, hv_30d=0.25)


@pytest.mark.parametrize(
    ("iv", "hv", "expected"),
    [
        (0.30, 0.25, 0.20),  # 0.30 / 0.25 = 1.2
        (0.20, 0.25, -0.20),
        (0.25, 0.25, 0.0),
        (0.02, 0.01, 1.0),  # the least history that is divided by
        (0.02, 0.0099, None),
        (0.30, 0.0, None),
        (0.30, -0.25, None),
        (0.0, 0.25, None),
        (-0.3, 0.25, None),
        (None, 0.25, None),
        (0.30, None, None),
        (math.nan, 0.25, None),
        (0.30, math.inf, None),
    ],
)
def test_premium(iv: float | None, hv: float | None, expected: float | None) -> None:
    assert premium(iv, hv) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("vix", "expected"), [(20.0, 0.30), (13.9, 0.239), (45.0, 0.55), (0.0, None), (-1.0, None), (None, None)]
)
def test_threshold(vix: float | None, expected: float | None) -> None:
    assert threshold(vix) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("over", "word"),
    [
        (0.3001, Signal.RICH),
        (0.30, Signal.RICH),  # from the threshold of VIX 20 on
        (0.2999, Signal.FAIR),
        (0.0, Signal.FAIR),
        (-0.0001, Signal.CHEAP),
        (None, Signal.UNKNOWN),
    ],
)
def test_both_sides_of_each_edge(over: float | None, word: Signal) -> None:
    assert signal(over, threshold(20.0)) is word
    assert signal(over, None) is Signal.UNKNOWN


@pytest.mark.parametrize(
    ("iv", "word"), [(0.325, Signal.RICH), (0.3249, Signal.FAIR), (0.25, Signal.FAIR), (0.2499, Signal.CHEAP)]
)
def test_a_reading_at_vix_20_over_a_history_of_25_percent(iv: float, word: Signal) -> None:
    # 0.325 / 0.25 - 1 = 0.30
    found = read(replace(KNOWN, iv_30d=iv), 20.0, NOW)
    assert (found.signal, found.reason) == (word, "")


@pytest.mark.parametrize(
    ("metrics", "vix", "reason"),
    [
        (None, 20.0, "no metrics are published for it"),
        (replace(KNOWN, hv_30d=None), 20.0, "no historical volatility of 30 days"),
        (replace(KNOWN, hv_30d=math.nan), 20.0, "no historical volatility of 30 days"),
        (replace(KNOWN, hv_30d=0.004), 20.0, "historical volatility of 30 days is 0.4 %, too small to divide by"),
        (replace(KNOWN, iv_30d=None), 20.0, "no implied volatility of 30 days"),
        (replace(KNOWN, iv_30d=0.0), 20.0, "no implied volatility of 30 days"),
        (KNOWN, None, "no VIX, or only an old one"),
        (KNOWN, math.nan, "no VIX, or only an old one"),
        (replace(KNOWN, time=NOW + timedelta(seconds=61)), 20.0, "metrics are dated in the future"),
    ],
)
def test_what_is_missing_is_unknown_with_its_reason(metrics: Metrics | None, vix: float | None, reason: str) -> None:
    found = read(metrics, vix, NOW)
    assert (found.signal, found.reason) == (Signal.UNKNOWN, reason)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (datetime(2026, 11, 17, 14, 0, tzinfo=UTC), Signal.FAIR),  # Tuesday, of the session before: VIX 20 asks 0.30
        (datetime(2026, 11, 16, 23, 0, tzinfo=UTC), Signal.UNKNOWN),  # Monday evening: two sessions ago
    ],
)
def test_metrics_of_the_session_before_will_do(said: datetime, word: Signal) -> None:
    assert read(replace(KNOWN, time=said), 20.0, NOW).signal is word


def test_a_weekend_makes_nothing_old() -> None:
    friday, sunday = datetime(2026, 11, 20, 21, 0, tzinfo=UTC), datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
    assert read(replace(KNOWN, time=friday), 20.0, sunday).signal is Signal.FAIR


def test_metrics_of_a_future_stand_under_its_product() -> None:
    market = Market(metrics={"/ES": replace(KNOWN, symbol="/ES"), "ES": KNOWN})
    assert metrics_of("/ESZ26", market) == replace(KNOWN, symbol="/ES")
    assert metrics_of("ES", market) == KNOWN
    assert metrics_of("/CLF27", market) is None


figures = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@given(figures, figures, figures)
def test_a_signal_is_known_only_when_everything_is(iv: float | None, hv: float | None, vix: float | None) -> None:
    found = read(replace(KNOWN, iv_30d=iv, hv_30d=hv), vix, NOW)
    assert (found.signal is Signal.UNKNOWN) == bool(found.reason)
    if None in (found.premium, found.threshold):
        assert found.signal is Signal.UNKNOWN


@given(st.floats(0.02, 5.0), st.floats(0.02, 5.0), st.floats(5.0, 90.0), st.floats(0.0, 50.0))
def test_a_higher_vix_never_makes_options_richer(iv: float, hv: float, vix: float, more: float) -> None:
    order = [Signal.CHEAP, Signal.FAIR, Signal.RICH]
    before, after = (read(replace(KNOWN, iv_30d=iv, hv_30d=hv), level, NOW).signal for level in (vix, vix + more))
    assert order.index(after) <= order.index(before)
