"""Exposures worked by hand from the domain facts, and what missing data does to a sum."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.exposures import measure_exposures
from guardrails.instruments import Instrument, Kind
from guardrails.intervals import Interval
from guardrails.values import Observed, Position
from tests.books import IBKR, NOW, TASTY, book, future, market, option, stock


def test_stock_is_weighted_by_beta_and_price() -> None:
    # domain facts 1.3: 100 shares at 200, beta 1.5, index 400 hedge like 75 index units
    at = market({"XYZ": 1.5}, XYZ=200.0)
    beta_delta = book(stock("XYZ", 100, 200.0), at=at).exposures.beta_delta().total()
    assert beta_delta == Interval(30_000.0, 30_000.0)
    assert beta_delta.low / 400 == 75


def test_short_future_carries_its_multiplier() -> None:
    # domain facts 1.3: one short ES at 6000 is -500 SPY shares at 600
    at = market(**{"/ESZ26": 6000.0})
    total = book(future("/ESZ26", -1, 6000.0, 50.0), at=at).exposures.beta_delta().total()
    assert total.low / 600 == -500


def test_index_calls_in_spy_shares() -> None:
    # domain facts 1.3: ten SPX calls of delta .20 at 6000 are 2006.7 SPY shares at 598
    total = book(option("SPX   261218C06300000", 10, "0.20 0 0 0")).exposures.beta_delta().total()
    assert total.low / 598 == pytest.approx(2006.7, abs=0.05)


def test_gamma_for_one_percent() -> None:
    # 10 contracts x 0.004 x 100 x 6000^2 x 1 % = 1,440,000 dollars of delta for a 1 % move
    total = book(option("SPXW  261218P06000000", -10, "0 0.004 0 0")).exposures.beta_gamma().total()
    assert total.low == pytest.approx(-1_440_000.0)


def test_gamma_is_weighted_by_beta_squared() -> None:
    # q 5, gamma 0.02, M 100, S 200: 5*0.02*100*40000*0.01 = 4,000; beta 1.5 squared makes 9,000
    at = market({"XYZ": 1.5}, XYZ=200.0)
    total = book(option("XYZ   261218C00200000", 5, "0.5 0.02 0 0"), at=at).exposures.beta_gamma().total()
    assert total.low == pytest.approx(9_000.0)


def test_vega_is_weighted_to_thirty_days() -> None:
    # 18 Nov to 18 Dec is 30 days: weight 1. 120 days later (18 Mar 2027 is 120 days): weight one half.
    near, far = option("SPXW  261218P06000000", -1, "0 0 7 0"), option("SPXW  270318P06000000", -1, "0 0 7 0")
    assert book(near).exposures.vega_30d.total().low == pytest.approx(-700.0)
    assert book(far).exposures.vega_30d.total().low == pytest.approx(-350.0)
    assert book(far).exposures.vega.total().low == pytest.approx(-700.0)


def test_volatility_products_never_offset_index_vega() -> None:
    short_index = option("SPXW  261218P06000000", -2, "0 0 5 0")
    long_vix = option("VIXW  261216C00020000", 50, "0.4 0.05 0.03 0")
    at = market(VIX=17.0)
    only, both = book(short_index, at=at).exposures, book(short_index, long_vix, at=at).exposures
    assert only.total_vega(only.vega).low == -1_000.0
    assert both.total_vega(both.vega).low == -1_000.0
    short_vix = replace(long_vix, quantity=-50.0)
    added = book(short_index, short_vix, at=at).exposures
    assert added.total_vega(added.vega).low == pytest.approx(-1_150.0)


def test_volatility_products_are_bounded_not_beta_weighted() -> None:
    at = market({"VIX": -5.0}, VIX=20.0)
    total = book(option("VIXW  261216C00020000", 1, "0.5 0 0 0"), at=at).exposures.beta_delta().total()
    assert (total.low, total.high) == (-8 * 1000.0, 0.0)  # 0.5 x 100 x 20 = 1,000 dollars, beta -8 to 0


def test_groups_and_buckets() -> None:
    at = market(QQQ=500.0, **{"/ESZ26": 6010.0})
    exposures = book(
        stock("SPY", 10, 600.0),
        future("/ESZ26", 1, 6010.0, 50.0),
        option("SPX   261120C06000000", 1, "0.5 0 0 0"),
        option("SPXW  261126C06000000", 1, "0.5 0 0 0"),
        option("QQQ   270115C00500000", 1, "0.5 0 0 0"),
        at=at,
    ).exposures
    assert exposures.groups == ("SPX", "NDX")
    assert list(exposures.bucket) == [-1, -1, 0, 1, 2]  # 2, 8 and 58 days
    sums = exposures.delta.by(exposures.group, 2)
    assert sums.at(0).low == pytest.approx(6_000 + 300_500 + 300_000 + 300_000)


@pytest.mark.parametrize(
    ("day", "bucket"), [("261125", 0), ("261126", 1), ("261218", 1), ("261219", 2), ("270117", 2), ("270118", 3)]
)
def test_bucket_edges(day: str, bucket: int) -> None:
    # from Wednesday 18 November: 7, 8, 30, 31, 60 and 61 days
    assert book(option(f"SPXW  {day}C06000000", 1, "0 0 0 0")).exposures.bucket[0] == bucket


def test_a_missing_beta_is_bounded_after_netting() -> None:
    at = market(XYZ=100.0)
    held = stock("XYZ", 100, 100.0)
    assert book(held, at=at).exposures.beta_delta().total() == Interval(0.0, 20_000.0)
    covered = option("XYZ   261218C00100000", -1, "0.5 0 0 0")
    both = book(held, covered, at=at).exposures
    assert both.beta_delta().total() == Interval(0.0, 10_000.0)
    assert both.unweighted == ("XYZ",)


def test_a_missing_delta_is_bounded_by_the_contract() -> None:
    # a long call moves between nothing and like 100 shares; a short put gains when the index rises
    call = book(option("SPXW  261218C06000000", 1)).exposures.delta.total()
    put = book(option("SPXW  261218P06000000", -1)).exposures.delta.total()
    assert (call.low, call.high, call.missing) == (0.0, 600_000.0, True)
    assert (put.low, put.high) == (0.0, 600_000.0)


def test_missing_vega_has_a_ceiling_and_missing_gamma_has_none() -> None:
    # highest vega: S sqrt(T) n(0) per point = 6000 x sqrt(30/365) x 0.39894 / 100 = 6.8624 per unit
    short = book(option("SPXW  261218P06000000", -1)).exposures
    vega, gamma = short.vega.total(), short.gamma.total()
    assert vega.low == pytest.approx(-686.24, abs=0.01)
    assert vega.high == 0.0
    assert (gamma.low, gamma.high) == (-math.inf, 0.0)


def test_unknown_instruments_are_unbounded_both_ways() -> None:
    bond = Position(IBKR, Instrument(Kind.OTHER, "US-T 4.5 2034"), 10.0, 1.0, "test", NOW, mark=99.0)
    total = book(bond).exposures.gamma.total()
    assert (total.low, total.high, total.missing) == (-math.inf, math.inf, True)


def test_foreign_currency_needs_a_rate() -> None:
    shares = stock("SAP", 100, 200.0, currency="EUR")
    at = replace(market({"SAP": 1.0}, SAP=200.0), fx={"EUR": Observed(1.10, NOW, "test")})
    assert book(shares, at=at).exposures.delta.total().low == pytest.approx(22_000.0)
    assert book(shares, at=replace(at, fx={})).exposures.delta.total().missing


def test_cash_has_no_exposure() -> None:
    cash = Position(IBKR, Instrument(Kind.CASH, "EUR", "EUR"), 5_000.0, 1.0, "test", NOW, currency="EUR")
    exposures = book(cash).exposures
    assert exposures.delta.total() == Interval(0.0, 0.0)
    assert exposures.unweighted == ()


quantities = st.integers(-20, 20).filter(bool)
numbers = st.floats(-2, 2, allow_nan=False).map(lambda x: f"{x:.4f}")


@given(st.lists(st.tuples(quantities, numbers, numbers), min_size=1, max_size=6), st.integers(2, 9))
def test_scaling_quantities_scales_every_sum(rows: list[tuple[int, str, str]], factor: int) -> None:
    held = [option(f"SPXW  261218P0{5000 + i}000", q, f"{d} {g} 3 -1") for i, (q, d, g) in enumerate(rows)]
    more = [replace(p, quantity=(p.quantity or 0) * factor) for p in held]
    one, many = book(*held).exposures, book(*more).exposures
    for name in ("delta", "gamma", "vega", "vega_30d", "theta"):
        assert getattr(many, name).total().low == pytest.approx(factor * getattr(one, name).total().low, abs=1e-3)
    assert many.beta_delta().total().low == pytest.approx(factor * one.beta_delta().total().low, abs=1e-3)


@given(st.lists(quantities, min_size=1, max_size=5), st.lists(quantities, min_size=1, max_size=5))
def test_two_brokers_sum_to_the_merged_book(ours: list[int], theirs: list[int]) -> None:
    left = [option("SPXW  261218P05500000", q, "-0.3 0.002 5 -1", IBKR) for q in ours]
    right = [option("AAPL  261218C00200000", q, "0.4 0.02 0.3 -0.1", TASTY) for q in theirs]
    at = market({"AAPL": 1.2}, AAPL=200.0)
    merged, a, b = (measure_exposures(held, at, NOW) for held in (left + right, left, right))
    for name in ("delta", "gamma", "vega", "theta"):
        parts = getattr(a, name).total().low + getattr(b, name).total().low
        assert getattr(merged, name).total().low == pytest.approx(parts)
    assert merged.beta_delta().total().low == pytest.approx(a.beta_delta().total().low + b.beta_delta().total().low)


def test_a_bond_moves_with_its_own_price() -> None:
    # 10,000 of face value at 99 per 100 are 9,900 dollars; its beta is not known: anything from 0 to 2
    bond = Position(IBKR, Instrument(Kind.BOND, "T 4 1/2 11/15/33"), 10_000.0, 0.01, "test", NOW, mark=99.0)
    exposures = book(bond).exposures
    assert exposures.delta.total() == Interval(9_900.0, 9_900.0)
    assert exposures.beta_delta().total() == Interval(0.0, 19_800.0)
    assert exposures.gamma.total() == exposures.vega.total() == exposures.theta.total() == Interval(0.0, 0.0)


@pytest.mark.parametrize("broken", [math.inf, -math.inf, 1.7976931348623157e308])
def test_a_figure_that_is_no_number_is_missing_and_hides_no_short_vega(broken: float) -> None:
    """A long of endless vega would hide any short beside it."""
    short, long = option("SPXW  261218P05700000", -10, "0 0 5 0"), option("SPXW  261218P05600000", 1, "0 0 5 0")
    assert long.greeks is not None
    for odd in (replace(long, quantity=broken), replace(long, greeks=replace(long.greeks, vega=broken))):
        assert book(short, odd).exposures.vega.total().missing
