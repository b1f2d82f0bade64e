"""Market metrics: every unit by itself, both sides of each bound. Figures are of recorded answers where noted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tastytrade.metrics import symbol_of, to_beta, to_metrics
from guardrails.values import Metrics, Observed

READ = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)  # 14:00 in New York
TOLD = datetime(2026, 11, 20, 18, 55, tzinfo=UTC)
RECORD: Mapping[str, object] = {  # volatilities, beta and correlation of a recorded answer for AAPL
    "symbol": "AAPL",
    "implied-volatility-index": "0.2412",
    "implied-volatility-index-rank": "0.313",
    "tos-implied-volatility-index-rank": "0.9",
    "implied-volatility-percentile": "0.137",
    "implied-volatility-updated-at": "2026-11-20T18:55:00.000Z",
    "updated-at": "2026-11-20T18:58:00.000Z",
    "implied-volatility-30-day": "27.16",
    "historical-volatility-30-day": "11.21",
    "beta": "1.265634436",
    "beta-updated-at": "2026-11-15T17:00:35.805Z",
    "corr-spy-3month": "0.79",
    "dividend-ex-date": "2026-11-20",
    "earnings": {"visible": True, "expected-report-date": "2026-11-20", "estimated": False, "time-of-day": "AMC"},
}


def metrics(**changes: object) -> Metrics:
    found = to_metrics({**RECORD, **{name.replace("_", "-"): value for name, value in changes.items()}}, "t", READ)
    assert found is not None
    return found


def test_a_record_in_the_units_of_the_domain() -> None:
    assert metrics() == Metrics(
        symbol="AAPL",
        time=TOLD,  # the volatilities are older than the record
        source="t",
        correlation=0.79,
        iv_rank=0.313,
        iv_percentile=0.137,
        iv_30d=0.2716,
        hv_30d=0.1121,
        earnings=date(2026, 11, 20),
        earnings_estimated=False,
        earnings_time="after close",
        ex_dividend=date(2026, 11, 20),
    )


def test_an_empty_record_says_nothing() -> None:
    assert to_metrics({}, "t", READ) is None
    bare = to_metrics({"symbol": "XYZ", "updated-at": TOLD.isoformat()}, "t", READ)
    assert bare == Metrics("XYZ", TOLD, "t")


@pytest.mark.parametrize(
    ("text", "symbol"),
    [("BRK/B", "BRK/B"), ("brk.b", "BRK/B"), ("SPX", "SPX"), ("/ES", "/ES"), ("/ESZ6", "/ESZ26"), ("/SR3", "/SR3"),
     ("BTC/USD", "BTC/USD"), ("", None), (None, None), (7, None), ("no such thing", None),
     ("SPY   261218C00700000", None)],
)  # fmt: skip
def test_symbols_are_canonical(text: object, symbol: str | None) -> None:
    assert symbol_of({"symbol": text}, READ) == symbol


@pytest.mark.parametrize(
    ("text", "rank"),
    [("0", 0.0), ("1.0", 1.0), ("1.05", 1.05), ("1.06", None), ("-0.05", -0.05), ("-0.06", None), ("31.3", None),
     ("NaN", None), ("", None), (None, None), (True, None)],
)  # fmt: skip
def test_the_rank_is_a_fraction_that_may_just_pass_its_extremes(text: object, rank: float | None) -> None:
    assert metrics(implied_volatility_index_rank=text).iv_rank == rank


@pytest.mark.parametrize(
    ("text", "share"),
    [("0.0", 0.0), ("1", 1.0), ("1.001", None), ("-0.001", None), ("13.7", None), ("NaN", None)],
)
def test_the_percentile_is_a_share(text: object, share: float | None) -> None:
    assert metrics(implied_volatility_percentile=text).iv_percentile == share


@pytest.mark.parametrize(
    ("text", "correlation"), [("-1.0", -1.0), ("1", 1.0), ("1.01", None), ("-1.01", None), ("79", None), ("x", None)]
)
def test_a_correlation_lies_between_one_and_minus_one(text: object, correlation: float | None) -> None:
    assert metrics(corr_spy_3month=text).correlation == correlation


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("54.91", 0.5491), ("2000", 20.0), ("2000.1", None), ("0", None), ("-1", None), ("NaN", None), (None, None)],
)
def test_thirty_day_volatilities_are_percent_points(text: object, fraction: float | None) -> None:
    assert metrics(historical_volatility_30_day=text).hv_30d == pytest.approx(fraction)
    assert metrics(implied_volatility_30_day=text, implied_volatility_index=None).iv_30d == pytest.approx(fraction)


@pytest.mark.parametrize(
    ("points", "fraction"),
    [("100", 1.0), ("100.1", None), ("4.1", 0.041), ("4", 0.04), ("3.9", None), ("0.2716", None)],
)
def test_a_volatility_five_times_off_the_index_has_no_sure_unit(points: str, fraction: float | None) -> None:
    """The index is 0.20: 100 points are five times as much, 4 points a fifth; further out both volatilities go."""
    found = metrics(implied_volatility_index="0.2", implied_volatility_30_day=points)
    assert found.iv_30d == pytest.approx(fraction)
    assert found.hv_30d == (None if fraction is None else 0.1121)


def test_without_an_implied_volatility_the_historical_stands_alone() -> None:
    assert metrics(implied_volatility_30_day=None).hv_30d == 0.1121
    assert metrics(implied_volatility_index="-0.2").iv_30d is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-11-20", date(2026, 11, 20)), ("2026-11-19", None), ("2027-02-01", date(2027, 2, 1)), ("1970-01-01", None),
     ("2026-11-20T20:00", date(2026, 11, 20)), ("soon", None), (None, None), (20261120, None)],
)  # fmt: skip
def test_only_days_to_come_are_told(text: object, expected: date | None) -> None:
    found = metrics(earnings={"expected-report-date": text, "estimated": True, "time-of-day": "BTO"})
    assert (found.earnings, metrics(dividend_ex_date=text).ex_dividend) == (expected, expected)
    assert (found.earnings_estimated, found.earnings_time) == (
        (None, "") if expected is None else (True, "before open")
    )


def test_today_is_the_day_in_new_york() -> None:
    late = datetime(2026, 11, 21, 4, 59, tzinfo=UTC)  # 23:59 of the 20th in New York
    for read, expected in ((late, date(2026, 11, 20)), (late + timedelta(minutes=1), None)):
        found = to_metrics(RECORD, "t", read)
        assert found is not None
        assert (found.earnings, found.ex_dividend) == (expected, expected)


@pytest.mark.parametrize(
    ("word", "told"),
    [("BTO", "before open"), ("bmo", "before open"), ("AMC", "after close"), ("DMH", "during"), ("OTHER", ""),
     (None, ""), (["AMC"], "")],
)  # fmt: skip
def test_times_of_day_in_words(word: object, told: str) -> None:
    assert metrics(earnings={"expected-report-date": "2026-12-01", "time-of-day": word}).earnings_time == told


@pytest.mark.parametrize("report", [None, "soon", [], 7, {}])
def test_a_record_without_earnings(report: object) -> None:
    assert metrics(earnings=report).earnings is None
    assert metrics(earnings={"expected-report-date": "2026-12-01", "estimated": "yes"}).earnings_estimated is None


def test_beta_with_its_own_time() -> None:
    computed = datetime(2026, 11, 15, 17, 0, 35, 805000, tzinfo=UTC)
    assert to_beta(RECORD, "t", READ) == Observed(1.265634436, computed, "t")
    assert to_beta({**RECORD, "beta": "0.0"}, "t", READ) == Observed(0.0, computed, "t")


@pytest.mark.parametrize("spoilt", [{"beta": "NaN"}, {"beta": None}, {"beta-updated-at": None},
                                    {"beta-updated-at": "2026-11-15"}])  # fmt: skip
def test_no_beta_without_number_and_time(spoilt: dict[str, object]) -> None:
    assert to_beta({**RECORD, **spoilt}, "t", READ) is None


def test_nothing_was_said_in_the_future() -> None:
    for minutes, known in ((60, True), (61, False)):
        stamp = (READ + timedelta(minutes=minutes)).isoformat()
        record = {**RECORD, "updated-at": stamp, "implied-volatility-updated-at": None, "beta-updated-at": stamp}
        assert (to_metrics(record, "t", READ) is not None, to_beta(record, "t", READ) is not None) == (known, known)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["NaN", "9999-12-31T23:59:59+00:00", "0001-01-01", "/ESZ6", "1e308"]) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*RECORD, "expected-report-date"]), JSON), JSON)
def test_no_record_raises(rubbish: dict[str, object], inner: object) -> None:
    record = {**RECORD, **rubbish, "earnings": {"expected-report-date": inner, "time-of-day": inner}}
    to_beta(record, "t", READ)
    found = to_metrics(record, "t", READ)
    assert found is None or found.iv_30d is None or 0 < found.iv_30d <= 20
