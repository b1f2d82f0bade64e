"""Named scenarios: the days of the past are those recorded, gaps and spreads as worked by hand."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from guardrails.matrix import SCENARIO_NAMES
from guardrails.stress.book import book_of
from guardrails.stress.gaps import single_name_gap, single_name_gaps
from guardrails.stress.named_days import named_days
from guardrails.stress.outcome import outcome
from guardrails.stress.scenarios import TITLES, named_shocks, shock_of, words_of
from guardrails.stress.shocks import Shock
from guardrails.stress.spreads import spreads_widened
from guardrails.values import Metrics, Quote
from tests.books import NOW, SHARED, TASTY, account, book, day, future, market, option, stock


def recorded(name: str, column: str = "close") -> dict[date, float]:
    with (SHARED / "data" / name).open(encoding="utf-8") as lines:
        return {day(row["date"]): float(row[column]) for row in csv.DictReader(lines)}


@pytest.mark.parametrize("name", ["february_2018", "march_2020", "april_2025", "august_2024", "october_2008"])
def test_the_levels_of_a_day_are_those_recorded(name: str) -> None:
    known = named_days()[name]
    index = recorded("spy_daily_close.csv" if name == "october_2008" else "spx_daily_close.csv")
    vix, last = recorded("vix_daily.csv"), "high" if name == "august_2024" else "close"
    assert known.index == (index[known.first], index[known.last])
    assert known.vix == (vix[known.first], recorded("vix_daily.csv", last)[known.last])
    if known.vix3m is None:
        assert known.first < min(recorded("vix3m_daily.csv"))
    else:
        assert known.vix3m == (
            recorded("vix3m_daily.csv")[known.first],
            recorded("vix3m_daily.csv", last)[known.last],
        )


def test_october_2008_ends_at_the_lowest_close_of_the_month() -> None:
    spy = recorded("spy_daily_close.csv")
    month = {when: close for when, close in spy.items() if (when.year, when.month) == (2008, 10)}
    assert min(month, key=month.__getitem__) == named_days()["october_2008"].last


def test_march_2020_ends_at_the_highest_close_of_vix() -> None:
    vix = {when: close for when, close in recorded("vix_daily.csv").items() if when.year == 2020}
    assert max(vix, key=vix.__getitem__) == named_days()["march_2020"].last


def test_1987_is_as_published_and_marked_a_proxy() -> None:
    known = named_days()["black_monday_1987"]
    # S&P 500 from 282.70 to 224.84: -20.47 %; VXO from 36.37 to 150.19: +113.82 points
    assert known.index_return == pytest.approx(-0.2047, abs=1e-4)
    assert known.vix_points == pytest.approx(113.82)
    assert any("VXO" in proxy for proxy in known.proxies)
    assert "Proxies: VXO" in words_of(known, 17.0)
    assert all(other.source and other.note for other in named_days().values())


def test_a_day_without_vix3m_says_so_and_takes_the_fitted_response() -> None:
    for known in named_days().values():
        assert (known.vix3m is None) == any("VIX3M" in proxy for proxy in known.proxies)
    assert named_days()["october_2008"].term == 0.4
    # 5 Feb 2018: VIX +20.01, VIX3M +11.10, so (30/93)^x = 0.5547: x = 0.5208
    assert named_days()["february_2018"].term == pytest.approx(0.5208, abs=1e-3)


def test_rises_are_taken_over_in_points_and_falls_in_proportion() -> None:
    days = named_days()
    assert shock_of(days["february_2018"], 15.0).vol == pytest.approx(0.2001)
    assert shock_of(days["february_2018"], 40.0).vol == pytest.approx(0.2001)
    # 9 Apr 2025: VIX 52.33 to 33.62 is -35.75 %; of 40 that is -14.30 points, of 10 it ends at the floor of 9
    assert shock_of(days["april_2025"], 40.0).vol == pytest.approx(-0.1430, abs=1e-4)
    assert shock_of(days["april_2025"], 10.0).vol == pytest.approx(-0.01)
    assert shock_of(days["april_2025"], None).vol == pytest.approx(-0.0629, abs=1e-4)


def test_every_scenario_of_the_limits_is_known_and_has_a_title() -> None:
    assert set(SCENARIO_NAMES) <= set(TITLES)
    assert {shock.name for shock in named_shocks(market())} < set(TITLES)


def test_a_name_without_earnings_gaps_by_fifteen_per_cent() -> None:
    at = market({"XYZ": 1.0}, XYZ=200.0)
    found = single_name_gaps(book_of(book(stock("XYZ", 100, 200.0), at=at)))
    assert found.worst is not None
    assert (found.worst.size, found.rising) == (0.15, False)
    assert "no date of earnings is known" in found.worst.words
    assert found.outcome.total(0).known == pytest.approx(-3_000.0)
    assert (found.up[0].known, found.down[0].known) == (pytest.approx(3_000.0), pytest.approx(-3_000.0))


def metrics(earnings: str, **more: object) -> dict[str, Metrics]:
    return {"XYZ": Metrics("XYZ", NOW, "test", earnings=day(earnings), **more)}  # type: ignore[arg-type]  # any field


def test_a_name_before_earnings_gaps_by_twice_what_its_options_imply() -> None:
    # at the money: 80 % until 13:00 on 27 November, a half-day (9.1042 days), after the report on the 24th. Ordinary
    # days at 30 %: 0.64 x 9.1042 / 365 - 0.09 x 8.1042 / 365 = 0.0159635 - 0.0019983 = 0.0139652, root 0.118174
    at = replace(market({"XYZ": 1.0}, XYZ=200.0), metrics=metrics("2026-11-24", hv_30d=0.30))
    held = [
        option("XYZ   261127C00200000", -1, "0.5 0.01 0.1 -0.2 0.80"),
        option("XYZ   261127C00250000", 1, "0.1 0.01 0.1 -0.2 1.10"),
        option("XYZ   261218C00200000", 1, "0.5 0.01 0.1 -0.2 0.50"),
        option("XYZ   261120C00200000", 1, "0.5 0.01 0.1 -0.2 0.30"),
    ]
    found = single_name_gap(book_of(book(*held, at=at)), "XYZ")
    assert found.size == pytest.approx(0.23635, abs=1e-4)
    assert "2 × 11.8 % implied for earnings on 2026-11-24" in found.words


def test_a_turbulent_month_does_not_explain_the_report_away() -> None:
    # realised 200 %: half of the variance at most is laid to ordinary days: 0.64 x (9.1042 - 8.1042 / 2) / 365
    at = replace(market({"XYZ": 1.0}, XYZ=200.0), metrics=metrics("2026-11-24", hv_30d=2.0))
    held = option("XYZ   261127C00200000", -1, "0.5 0.01 0.1 -0.2 0.80")
    size = 2 * math.sqrt(0.64 * (9.10417 - 8.10417 / 2) / 365)
    assert single_name_gap(book_of(book(held, at=at)), "XYZ").size == pytest.approx(size, abs=1e-4)


def test_before_the_open_the_options_of_that_day_live_through_the_report() -> None:
    held = option("XYZ   261124C00200000", -1, "0.5 0.01 0.1 -0.2 1.20", mark=8.0)
    for time, known in (("before open", True), ("after close", False)):
        at = replace(market({"XYZ": 1.0}, XYZ=200.0), metrics=metrics("2026-11-24", earnings_time=time))
        assert ("2 ×" in single_name_gap(book_of(book(held, at=at)), "XYZ").words) is known


def test_only_one_name_gaps_and_the_worst_counts() -> None:
    at = market({"XYZ": 1.0, "ABC": 1.0}, XYZ=200.0, ABC=50.0)
    held = book(
        stock("XYZ", 100, 200.0),
        stock("ABC", -1000, 50.0),
        option("SPXW  261218P05800000", -5, "-0.3 0 5 -1 0.2"),
        at=at,
    )
    found = single_name_gaps(book_of(held))
    # XYZ down 3,000; ABC short 50,000 up 15 %: 7,500. The index is no single name
    assert {gap.group for gap in found.gaps} == {"XYZ", "ABC"}
    assert found.worst is not None
    assert (found.worst.group, found.rising) == ("ABC", True)
    assert found.outcome.total(0).known == pytest.approx(-7_500.0)


def test_a_gap_of_one_name_is_the_shock_of_that_name_alone() -> None:
    at = market({"XYZ": 1.0, "ABC": 1.0}, XYZ=200.0, ABC=50.0)
    held = book_of(
        book(
            option("XYZ   261218C00210000", -3, "0.4 0.01 0.1 -0.1 0.4", mark=6.0),
            stock("XYZ", 150, 200.0, account=TASTY),
            stock("ABC", 100, 50.0),
            accounts=[account(), account(TASTY)],
            at=at,
        )
    )
    found = single_name_gaps(held)
    for place, gap in enumerate(found.gaps):
        alone = outcome(held, [Shock("", 0.15, alone=gap.group), Shock("", -0.15, alone=gap.group)])
        assert alone.total(0).low == pytest.approx(found.up[place].low)
        assert alone.total(1).low == pytest.approx(found.down[place].low)


def test_a_name_without_a_price_may_lose_anything_in_a_gap() -> None:
    found = single_name_gaps(book_of(book(stock("XYZ", 100, None), at=market({"XYZ": 1.0}))))
    assert found.outcome.total(0).low == -math.inf
    assert found.outcome.total(0).missing


def test_a_book_of_indices_has_no_single_name() -> None:
    found = single_name_gaps(book_of(book(stock("SPY", 100, 600.0), at=market(VIX=17.0))))
    assert found.worst is None
    assert found.outcome.total(0).known == 0.0


def test_wide_spreads_cost_four_more_halves() -> None:
    # short 2 at 4.00 / 4.40: half is 0.20; five times as wide is four halves more: 0.80 x 2 x 100 = 160
    held = option("SPXW  261218P05800000", -2, "-0.3 0 5 -1 0.2", mark=4.2, bid=4.0, ask=4.4, quote_time=NOW)
    found = spreads_widened(book_of(book(held))).total(0)
    assert found.known == pytest.approx(-160.0)


def test_a_long_option_loses_no_more_than_it_is_worth() -> None:
    # 0.05 / 0.25 at 0.15: four halves would be 0.40
    held = option("SPXW  261218P03000000", 10, "0 0 0 0 0.6", mark=0.15, bid=0.05, ask=0.25, quote_time=NOW)
    assert spreads_widened(book_of(book(held))).total(0).known == pytest.approx(-150.0)


def test_without_a_quote_a_spread_is_assumed_and_the_result_is_a_range() -> None:
    # mark 10.00: half the spread taken as 5 % = 0.50, four of them 2.00, one short: at least -200
    held = option("SPXW  261218P05800000", -1, "-0.3 0 5 -1 0.2", mark=10.0)
    found = spreads_widened(book_of(book(held))).total(0)
    assert (found.low, found.high, found.known) == (pytest.approx(-200.0), 0.0, None)


def test_quotes_of_the_market_stand_in_and_crossed_ones_do_not() -> None:
    held = option("SPXW  261218P05800000", -1, "-0.3 0 5 -1 0.2", mark=10.0, bid=11.0, ask=9.0, quote_time=NOW)
    at = replace(market(), quotes={held.instrument.key: Quote(9.9, 10.1, NOW, "test")})
    assert spreads_widened(book_of(book(held, at=at))).total(0).known == pytest.approx(-40.0)
    assert spreads_widened(book_of(book(held))).total(0).low == pytest.approx(-200.0)


def test_shares_and_futures_keep_their_price_when_spreads_widen() -> None:
    at = market({"XYZ": 1.0}, XYZ=200.0, **{"/ESZ26": 6000.0})
    held = book(stock("XYZ", 100, 200.0), future("/ESZ26", 1, 6000.0, 50.0), at=at)
    assert spreads_widened(book_of(held)).total(0).known == 0.0


def test_an_option_nobody_can_price_may_cost_anything() -> None:
    held = option("SPXW  261218P05800000", None, mark=None)
    assert spreads_widened(book_of(book(held))).total(0).low == -math.inf


def test_earnings_behind_are_no_earnings() -> None:
    now = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
    at = replace(market({"XYZ": 1.0}, XYZ=200.0), metrics=metrics((now - timedelta(days=1)).date().isoformat()))
    found = single_name_gap(book_of(book(stock("XYZ", 1, 200.0), at=at)), "XYZ")
    assert "no date" in found.words
