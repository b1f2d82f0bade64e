"""Faults of the feeds and corners of the book: a stress limit that is breached, or not known, never looks better."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from guardrails.checks import run
from guardrails.checks.stress import model_residual, stress_excess, stress_ladder, stress_scenarios
from guardrails.exposures import measure_exposures
from guardrails.findings import Finding, Level
from guardrails.instruments import Instrument, Kind
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.stress.book import book_of
from guardrails.stress.gaps import single_name_gaps
from guardrails.stress.outcome import outcome
from guardrails.stress.response import level_of, vix_known
from guardrails.stress.shocks import Shock
from guardrails.stress.spreads import spreads_widened
from guardrails.stress.standing import CURVE, NO_VIX
from guardrails.values import Market, Metrics, Observed, Position, Quote
from tests.books import IBKR, NOW, book, future, market, option, stock
from tests.stressed import standing, stress_limits, stressed

CHECKS = (stress_ladder, stress_scenarios, stress_excess, model_residual)
WEEK = timedelta(days=7)
SPY_PUT = "SPY   270115P00600000"


def found(portfolio: Portfolio, limits: Limits) -> dict[str, Finding]:
    return {finding.subject: finding for finding in run(portfolio, limits, CHECKS)}


def level(*positions: Position, at: Market, subject: str, limits: Limits) -> Level:
    return found(stressed(*positions, at=at, limits=limits), limits)[f"portfolio:{subject}"].level


def vix(points: float | None, time: datetime = NOW, **prices: float) -> Market:
    return replace(market({"ABC": 1.5}, **prices), vix=None if points is None else Observed(points, time, "test"))


# --- VIX missing, old or out of this world ---


def short_puts(at: Market, subject: str) -> Level:
    """Puts at 80 % implied volatility, which moves 3 points for one of VIX at 17."""
    limits = stress_limits(ladder=[(-0.10, 0.10)], february_2018=0.10)
    put = option("ABC   270115P00080000", -15, "-0.15 0.01 0.1 -0.05 0.80", mark=8.0, bid=7.9, ask=8.1, quote_time=NOW)
    return level(put, at=at, subject=subject, limits=limits)


@pytest.mark.parametrize("subject", ["SPX -10 %", "february_2018"])
def test_a_vix_that_is_missing_old_or_impossible_clears_no_breach(subject: str) -> None:
    assert short_puts(vix(17.0, ABC=100.0), subject) is Level.BREACH
    for at in (
        vix(None, ABC=100.0),
        vix(70.0, NOW - WEEK, ABC=100.0),
        vix(1700.0, ABC=100.0),
        vix(math.nan, ABC=100.0),
    ):
        assert short_puts(at, subject).rank >= Level.UNKNOWN.rank


def test_a_missing_vix_clears_no_long_volatility_book_in_a_relief_rally() -> None:
    """April 2025 takes 36 % off VIX: 25 points off 70, but 6.3 off the median that stands in."""
    limits = stress_limits(april_2025=0.10)
    held = [
        option(f"SPY   270115{right}00600000", 8, f"{delta} 0.004 0.95 -0.3 0.70", mark=64.0)
        for right, delta in (("C", 0.55), ("P", -0.45))
    ]
    assert level(*held, at=vix(70.0), subject="april_2025", limits=limits) is Level.BREACH
    assert level(*held, at=vix(None), subject="april_2025", limits=limits).rank >= Level.UNKNOWN.rank


def test_the_doubt_is_said_and_shares_have_none() -> None:
    limits = stress_limits()
    put = option(SPY_PUT, -1, "-0.5 0.01 0.9 -0.1 0.15", mark=15.0)
    portfolio = stressed(put, at=vix(None), limits=limits)
    assert standing(portfolio).doubts == (NO_VIX,)
    told = found(portfolio, limits)
    assert all(NO_VIX in told[f"portfolio:SPX {rung} %"].message for rung in ("-20", "-10", "-5", "+5"))
    assert told[f"account:{IBKR}"].level is Level.UNKNOWN
    shares = stressed(stock("SPY", 10, 600.0), at=vix(None), limits=limits)
    assert standing(shares).doubts == ()
    assert found(shares, limits)["portfolio:SPX -10 %"].level is Level.OK
    assert standing(stressed(put, at=vix(17.0), limits=limits)).doubts == ()


def test_a_doubt_does_not_hide_a_proven_breach() -> None:
    """1,000 SPY lose 60,000 of 100,000 at -10 % whatever one long call does."""
    held = [stock("SPY", 1000, 600.0), option("SPY   270115C00700000", 1, "0.1 0.01 0.5 -0.1 0.15", mark=1.0)]
    assert level(*held, at=vix(None), subject="SPX -10 %", limits=stress_limits()) is Level.BREACH


def test_vix_is_known_while_as_fresh_as_the_regime_needs_it() -> None:
    def known(minutes: float, now: datetime = NOW, **more: bool) -> bool:
        held = book(stock("SPY", 1, 600.0), at=vix(17.0, now - timedelta(minutes=minutes)), now=now)
        return vix_known(replace(held, **more), replace(stress_limits(), regime_known=True))

    assert known(14)
    assert not known(16)  # 15 in the matrix
    assert known(16, market_open=False)
    saturday = datetime(2026, 11, 21, 15, tzinfo=NOW.tzinfo)
    assert known(18 * 60, saturday, market_open=False)  # Friday, 16:00 in New York
    assert not known(42 * 60, saturday, market_open=False)  # Thursday
    assert not vix_known(book(stock("SPY", 1, 600.0)), replace(stress_limits(), regime_known=False))


@pytest.mark.parametrize(("points", "told"), [(4.9, None), (5.0, 5.0), (150.0, 150.0), (150.1, None), (-1.0, None)])
def test_a_level_of_vix_that_never_was_is_not_believed(points: float, told: float | None) -> None:
    assert level_of(vix(points)) == told


def test_without_a_vix_of_now_the_ratio_is_never_smaller() -> None:
    """35.2 % implied over VIX: 0.352 / 0.70 = 0.503 at 70; over the median of 17.6 twice; over an old 14.08 2.5."""
    put = option("ABC   270115P00080000", -1, "-0.15 0.01 0.1 -0.05 0.352")
    limits = stress_limits()

    def ratio(at: Market) -> float:
        return float(book_of(book(put, at=at), limits).vol_beta[0])

    assert ratio(vix(70.0, ABC=100.0)) == pytest.approx(0.5029, abs=1e-4)
    assert ratio(vix(70.0, NOW - WEEK, ABC=100.0)) == pytest.approx(2.0)
    assert ratio(vix(14.08, NOW - WEEK, ABC=100.0)) == pytest.approx(2.5)
    assert ratio(vix(None, ABC=100.0)) == pytest.approx(2.0)


def test_a_vix3m_out_of_this_world_does_not_still_the_funds() -> None:
    """+10 points on 17 move VXX up by 30 % at least (0.5157 x 10 / 17); on a level of 2,354 it would be 0.2 %."""
    at = replace(vix(17.0, VXX=50.0), vix3m=Observed(1900.0, NOW, "test"))
    total = outcome(book_of(book(stock("VXX", -100, 50.0), at=at)), [Shock("up", vol=0.10)]).total(0)
    assert total.high == pytest.approx(-5_000 * 0.5157 * 10 / 17, abs=1)


# --- betas ---


def test_an_inverse_fund_without_a_beta_is_not_cleared_on_the_way_down() -> None:
    """3,000 SQQQ short at 20: at -10 % of the index it is some +30 %, -18,000 of 100,000."""
    held = stock("SQQQ", -3000, 20.0)
    assert level(held, at=market(SQQQ=20.0), subject="SPX -10 %", limits=stress_limits()).rank >= Level.UNKNOWN.rank


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("XYZ", (0, 2)), ("SH", (-2, 0)), ("SDS", (-4, 0)), ("SQQQ", (-6, 0)), ("TQQQ", (0, 6)), ("TMF", (-6, 6))],
)
def test_a_missing_beta_of_a_fund_is_bounded_by_its_leverage(name: str, bounds: tuple[float, float]) -> None:
    """Beta 0 to 2 of what it follows, times the leverage; bonds may go either way."""
    known = measure_exposures([stock(name, 1, 20.0)], market(**{name: 20.0}), NOW)
    assert (known.beta_low[0], known.beta_high[0]) == bounds
    assert known.unweighted == (name,)
    told = measure_exposures([stock(name, 1, 20.0)], market({name: -2.5}, **{name: 20.0}), NOW)
    assert (told.beta_low[0], told.beta_high[0], told.unweighted) == (-2.5, -2.5, ())


def test_an_unknown_beta_is_cleared_at_no_beta_within_its_bounds() -> None:
    """A butterfly that expires in two days loses 11,442 of an allowed 10,000 at beta 0.75, far less at 0.5 and 1."""
    held = [
        option(f"XYZ   261120P{int(strike * 1000):08d}", quantity, "-0.01 0.0 0.0 0.0 0.05", mark=0.05)
        for strike, quantity in ((95, -100), (92.5, 200), (90, -100))
    ]
    limits = stress_limits()
    assert level(*held, at=market({"XYZ": 0.75}, XYZ=100.0), subject="SPX -10 %", limits=limits) is Level.BREACH
    assert level(*held, at=market(XYZ=100.0), subject="SPX -10 %", limits=limits).rank >= Level.UNKNOWN.rank


def test_mid_term_volatility_funds_follow_a_future_five_months_off() -> None:
    """Least at 150 days: 6^0.6 - 5^0.6 = 2.9302 - 2.6265 = 0.3037; most (30 / 150)^0.4 = 0.5253; over 19.882."""
    total = outcome(
        book_of(book(stock("VXZ", 100, 50.0), at=market(VXZ=50.0))), [Shock("up", vol=0.10), Shock("index", -0.1)]
    )
    assert total.total(0).low == pytest.approx(5_000 * 3.037 / 19.882, abs=1)
    assert total.total(0).high == pytest.approx(5_000 * 5.253 / 19.882, abs=1)
    assert total.total(1).known == 0.0


# --- positions that are doubted ---


def test_one_doubtful_share_does_not_hide_a_proven_loss() -> None:
    """1,000 SPY lose 120,000 at -20 %; one long share whose quote is crossed can only lose besides."""
    at = market({"XYZ": 1.0}, XYZ=50.0)
    doubtful = replace(stock("XYZ", 1, 50.0), reasons=("its quote is crossed",))
    held = stock("SPY", 1000, 600.0)
    assert level(held, doubtful, at=at, subject="SPX -20 %", limits=stress_limits()) is Level.BREACH


@pytest.mark.parametrize(("quantity", "low", "high"), [(1.0, -math.inf, 0.0), (-1.0, 0.0, math.inf)])
def test_a_doubted_row_moves_its_way_without_bound(quantity: float, low: float, high: float) -> None:
    doubtful = replace(stock("SPY", quantity, 600.0), reasons=("its quote is crossed",))
    total = outcome(book_of(book(doubtful)), [Shock("fall", -0.1), Shock("none")])
    assert (total.total(0).low, total.total(0).high) == (low, high)
    assert total.total(1).known == 0.0


# --- quotes ---


def spread_level(bid: float | None, ask: float | None, time: datetime | None = NOW) -> Level:
    put = option(SPY_PUT, -40, "-0.5 0.01 0.9 -0.1 0.15", mark=15.0, bid=bid, ask=ask, quote_time=time)
    return level(put, at=market(), subject="spreads_widen", limits=stress_limits(spreads_widen=0.05))


def test_only_a_quote_of_two_sides_and_of_now_clears() -> None:
    """Half of 0.01, four times, 4,000 units: 80 of an allowed 5,000."""
    assert spread_level(15.0, 15.01) is Level.OK
    assert spread_level(None, None) is Level.UNKNOWN
    assert spread_level(0.0, 0.0) is Level.UNKNOWN
    assert spread_level(15.01, 15.0) is Level.UNKNOWN
    assert spread_level(15.0, 15.01, NOW - WEEK) is Level.UNKNOWN
    assert spread_level(15.0, 15.01, None) is Level.UNKNOWN


def test_an_assumed_spread_clears_nothing_however_small() -> None:
    """One put without a quote: 0.05 x 15 x 4 x 100 = 300 of 50,000 assumed, and not known."""
    put = option(SPY_PUT, -1, "-0.5 0.01 0.9 -0.1 0.15", mark=15.0)
    assert level(put, at=market(), subject="spreads_widen", limits=stress_limits(spreads_widen=0.5)) is Level.UNKNOWN


def test_a_quote_of_last_week_counts_in_a_closed_market_only() -> None:
    put, limits = option(SPY_PUT, -40, "-0.5 0.01 0.9 -0.1 0.15", mark=15.0), stress_limits()
    held = book(put, at=replace(market(), quotes={put.instrument.key: Quote(15.0, 15.01, NOW - WEEK, "test")}))
    assert spreads_widened(book_of(held, limits)).total(0).known is None
    closed = replace(held, market_open=False)
    assert spreads_widened(book_of(closed, limits)).total(0).known == pytest.approx(-80.0)


@pytest.mark.parametrize(("ask", "half"), [(0.10, 0.05), (0.15, math.nan)])
def test_without_a_bid_only_what_is_worthless_has_a_quote(ask: float, half: float) -> None:
    put = option(SPY_PUT, -1, "-0.01 0 0 0 0.15", mark=0.05, bid=0.0, ask=ask, quote_time=NOW)
    assert book_of(book(put), stress_limits()).half_spread[0] == pytest.approx(half, nan_ok=True)


# --- single names ---


def test_a_proven_gap_of_one_name_is_not_hidden_by_another_that_is_not_known() -> None:
    """2,000 ABC short lose 30,000 of 100,000 on a gap of 15 % by itself, whatever becomes of one XYZ."""
    limits = stress_limits(single_name_gap=0.1)
    at = market({"ABC": 1.0, "XYZ": 1.0}, ABC=100.0, XYZ=50.0)
    doubtful = replace(stock("XYZ", 1, 50.0), reasons=("its quote is crossed",))
    portfolio = stressed(stock("ABC", -2000, 100.0), doubtful, at=at, limits=limits)
    finding = found(portfolio, limits)["portfolio:single_name_gap"]
    assert finding.level is Level.BREACH
    assert "ABC +15 %" in finding.message
    gaps = standing(portfolio).gaps
    assert gaps.outcome.total(0).high == pytest.approx(-30_000.0)
    assert (gaps.outcome.low <= gaps.outcome.high).all()
    assert (gaps.worst, gaps.proven, gaps.proven_rising) == (gaps.gaps[1], gaps.gaps[0], True)


def test_a_gap_up_is_twice_the_implied_move_also_beyond_the_price() -> None:
    """iv 4 over 30 days, no realised volatility known: sqrt(16 x 30 / 365) = 1.147, twice that is +229.4 %.

    1,000 of 10 dollars lose 22,935; bought they lose 95 % at most.
    """
    told = Metrics(symbol="ABC", time=NOW, source="t", earnings=date(2026, 11, 19), iv_30d=4.0)
    at = replace(market({"ABC": 1.0}, ABC=10.0), metrics={"ABC": told})
    short = single_name_gaps(book_of(book(stock("ABC", -1000, 10.0), at=at)))
    assert short.gaps[0].words.startswith("2 × 114.7 %")
    assert short.outcome.total(0).known == pytest.approx(-22_935, abs=1)
    assert (short.worst, short.rising) == (short.gaps[0], True)
    long = single_name_gaps(book_of(book(stock("ABC", 1000, 10.0), at=at)))
    assert long.outcome.total(0).known == pytest.approx(-9_500.0)
    assert long.worst is not None
    assert (long.worst.size, long.rising) == (0.95, False)
    assert "95 % at most down" in long.worst.words


def test_a_treasury_bill_is_no_single_name() -> None:
    instrument = Instrument(Kind.BOND, "912797LB1", "912797LB1", "912797LB1")
    bill = Position(IBKR, instrument, 90_000.0, 0.01, "test", NOW, mark=100.0, mark_time=NOW)
    gaps = single_name_gaps(book_of(book(bill)))
    assert (gaps.worst, gaps.gaps) == (None, ())
    assert gaps.outcome.total(0).known == 0.0


# --- below zero, and two valleys ---


def test_a_future_below_zero_falls_further_when_the_market_falls() -> None:
    """5 CL at -10 (April 2020): -20 % of the index is 2 dollars less, 1,000 barrels each: -10,000."""
    held = future("/CLF7", 5, -10.0, 1000.0)
    at = market({"/CL": 1.0}, **{"/CLF7": -10.0})
    shocks = [Shock("fall", -0.20), Shock("alone", -0.20, alone="/CL"), Shock("even", -0.20, uniform=True)]
    total = outcome(book_of(book(held, at=at)), shocks)
    assert [total.total(place).known for place in range(3)] == [pytest.approx(-10_000.0)] * 3
    assert single_name_gaps(book_of(book(held, at=at))).outcome.total(0).known == pytest.approx(-7_500.0)


def test_the_trough_is_searched_in_every_valley() -> None:
    """Two butterflies sold that expire today. One loses 60 points at most, at +3 %, which is a point of the curve; the
    other 180 at +17.5 %, of which the curve sees 30 at +15 % and at +20 % and a fifth of the way in between 150.
    """
    held = [
        option(f"SPXW  261118C{strike * 1000:08d}", quantity, "0.01 0.0 0.0 0.0 0.01", mark=0.05)
        for middle, wing in ((6180, 60), (7050, 180))
        for strike, quantity in ((middle - wing, -10), (middle, 20), (middle + wing, -10))
    ]
    known = standing(stressed(*held, at=vix(17.0), limits=stress_limits()))
    curve = dict(zip(CURVE, (known.curve.total(place).low for place in range(len(CURVE))), strict=True))
    assert min(curve, key=lambda step: curve[step]) == 0.03
    assert (curve[0.03], curve[0.15]) == (pytest.approx(-60_000, abs=2_000), pytest.approx(-30_000, abs=500))
    assert known.trough.total(0).low == pytest.approx(-150_000, abs=500)
    assert known.trough.shocks[0].index in (0.17, 0.18)
