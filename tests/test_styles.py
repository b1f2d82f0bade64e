"""Options of every style in one column: each by the method that fits it, back in its place, whatever stands beside it.

Everything here holds with the compiled kernels and without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813  # as everybody calls it
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.pricing import Array, Axes, Options, american, dividends, european, implied, styles
from guardrails.pricing.dividends import Dividends
from guardrails.pricing.styles import Styles
from tests.test_pricing import PATHS, calculated

TODAY = ql.Date(20, 11, 2026)
VOL = 0.3


@pytest.fixture(params=PATHS, autouse=True)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    with calculated(request.param):
        yield request.param


@dataclass(frozen=True)
class Row:
    """One option on a share at 100, rate 5 %, 182 days."""

    sign: float = -1.0
    strike: float = 105.0
    early: bool = False
    paid: tuple[tuple[int, float], ...] = ()
    """days until the ex-date, amount"""
    spot: float = 100.0
    days: float = 182.0
    rate: float = 0.05
    held: float = 0.0


EUROPEAN = Row(strike=95.0)
AMERICAN = Row(early=True)
YIELDING = Row(sign=1.0, early=True, held=0.06)
PAYING = Row(sign=1.0, early=True, paid=((91, 3.0),))
PAYING_LATE = Row(paid=((60, 1.0), (150, 1.0)))
MIX = (PAYING, EUROPEAN, AMERICAN, PAYING_LATE, YIELDING)


def column(rows: Sequence[Row]) -> tuple[Options, Styles]:
    return (
        Options(
            sign=np.array([row.sign for row in rows]),
            spot=np.array([row.spot for row in rows]),
            strike=np.array([row.strike for row in rows]),
            years=np.array([row.days / 365 for row in rows]),
            rate=np.array([row.rate for row in rows]),
            carry=np.array([row.rate - row.held for row in rows]),
        ),
        Styles(
            np.array([row.early for row in rows], dtype=bool),
            Dividends.of([[(days / 365, amount) for days, amount in row.paid] for row in rows]),
        ),
    )


def prices(*rows: Row, vol: float = VOL) -> Array:
    return styles.price(*column(rows), np.full(len(rows), vol))


def quantlib(row: Row, vol: float = VOL) -> float:
    """Analytic, QdFp at high precision, or finite differences on 600 × 2,000; times in whole days."""
    ql.Settings.instance().evaluationDate = TODAY
    count = ql.Actual365Fixed()
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(row.spot)),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, row.held, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, row.rate, count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), vol, count)),
    )
    end = TODAY + round(row.days)
    exercise = ql.AmericanExercise(TODAY, end) if row.early else ql.EuropeanExercise(end)
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(ql.Option.Call if row.sign > 0 else ql.Option.Put, row.strike), exercise
    )
    if row.paid:
        told = ql.DividendVector([TODAY + days for days, _ in row.paid], [amount for _, amount in row.paid])
        option.setPricingEngine(ql.FdBlackScholesVanillaEngine(process, told, 600, 2000))
    elif row.early:
        option.setPricingEngine(ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme()))
    else:
        option.setPricingEngine(ql.AnalyticEuropeanEngine(process))
    return float(option.NPV())


def test_every_style_is_priced_as_quantlib_does() -> None:
    known = np.array([quantlib(row) for row in MIX])
    # the closed form to its digits, the early exercise to 5e-5, the lattice to 1.5e-3 (as its own tests ask)
    assert (np.abs(prices(*MIX) - known) < [1.5e-3, 1e-10, 5e-5, 1.5e-3, 5e-5]).all()
    # and no two of them are so close that one method could stand in for another
    assert quantlib(PAYING) - quantlib(Row(sign=1.0, early=False, paid=((91, 3.0),))) > 0.05
    assert quantlib(AMERICAN) - quantlib(Row()) > 0.05


def test_each_row_is_what_its_own_module_says() -> None:
    (paying, plain, early) = (column([row]) for row in (PAYING, EUROPEAN, AMERICAN))
    vol, target = np.array([VOL]), np.array([9.0])
    axes = Axes(np.array([[80.0, 100.0]]), np.array([[0.2, 0.4]]), np.array([[0.5, 0.25, 0.0]]))
    cash = (paying[1].dividends, np.array([True]))
    assert styles.price(*plain, vol) == european.price(plain[0], vol)
    assert styles.price(*early, vol) == american.price(early[0], vol)
    assert styles.price(*paying, vol) == dividends.price(paying[0], vol, *cash)
    assert styles.implied_vol(*plain, target) == implied.implied_vol(plain[0], target)
    assert styles.implied_vol(*early, target) == american.implied_vol(early[0], target)
    assert styles.implied_vol(*paying, target) == dividends.implied_vol(paying[0], target, *cash)
    assert (styles.grid(*plain, axes) == european.grid(plain[0], axes)).all()
    assert (styles.grid(*early, axes) == american.grid(early[0], axes)).all()
    assert (styles.grid(*paying, axes) == dividends.grid(paying[0], axes, *cash)).all()
    for field in fields(styles.sensitivities(*plain, vol)):
        got = [getattr(styles.sensitivities(*one, vol), field.name)[0] for one in (plain, early, paying)]
        assert got == [
            getattr(european.sensitivities(plain[0], vol), field.name)[0],
            getattr(american.sensitivities(early[0], vol), field.name)[0],
            getattr(dividends.sensitivities(paying[0], vol, *cash), field.name)[0],
        ]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, len(MIX) - 1), max_size=12))
def test_rows_in_any_mix_come_back_in_place(chosen: list[int]) -> None:
    rows, vol = [MIX[place] for place in chosen], np.array([0.2 + 0.05 * place for place in chosen])
    alone = {place: float(prices(MIX[place], vol=0.2 + 0.05 * place)[0]) for place in set(chosen)}
    wanted = [alone[place] for place in chosen]
    o, style = column(rows)
    assert styles.price(o, style, vol) == pytest.approx(wanted, rel=1e-12, abs=0)
    assert styles.implied_vol(o, style, np.array(wanted)) == pytest.approx(vol, rel=1e-6)
    assert styles.sensitivities(o, style, vol).price == pytest.approx(wanted, abs=1e-5)  # another walk
    if rows:
        cells = Axes(o.spot[:, None] * [0.9, 1.0], vol[:, None], o.years[:, None] * [1.0, 0.0])
        found = styles.grid(o, style, cells)[:, :, 0]
        assert found[:, 1, 0] == pytest.approx(wanted, abs=2e-3)  # the lattice of a grid has another mesh
        assert found[:, 0, 1] == pytest.approx([max(row.sign * (90.0 - row.strike), 0.0) for row in rows])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, len(MIX) - 1), max_size=10))
def test_the_styles_of_some_rows_are_those_of_the_rows(chosen: list[int]) -> None:
    o, style = column(MIX)
    style = replace(style, dividends=replace(style.dividends, spacing=0.07))
    places = np.array(chosen, dtype=np.intp)
    expected = column([MIX[place] for place in chosen])[1]
    found = style.at(places)
    assert found.american.tolist() == expected.american.tolist()
    assert found.pays.tolist() == expected.pays.tolist()
    assert found.dividends.first.tolist() == expected.dividends.first.tolist()
    assert found.dividends.years.tolist() == expected.dividends.years.tolist()
    assert found.dividends.amount.tolist() == expected.dividends.amount.tolist()
    assert found.dividends.spacing == style.later(o.years).dividends.spacing == 0.07
    assert len(o.at(places).sign) == len(chosen)


def test_later_a_dividend_is_nearer_and_then_behind() -> None:
    """Seen from day 50 the dividend of day 91 is 41 days off; from day 100 there is none left."""
    o, style = column([Row(sign=1.0, early=True, paid=((91, 3.0),), days=days) for days in (132.0, 82.0)])
    found = styles.price(o, style.later(np.array([50.0, 100.0]) / 365), np.full(2, VOL))
    known = (
        quantlib(Row(sign=1.0, early=True, paid=((41, 3.0),), days=132.0)),
        quantlib(Row(sign=1.0, early=True, days=82.0)),
    )
    assert found == pytest.approx(known, abs=1.5e-3)


@pytest.mark.parametrize("days", [0.0, -3.0])
def test_at_expiry_and_after_every_style_is_its_intrinsic_value(days: float) -> None:
    rows = [Row(sign, strike, early, paid, days=days)
            for sign in (1.0, -1.0) for strike in (90.0, 0.5, 120.0)
            for early in (True, False) for paid in ((), ((91, 3.0),))]  # fmt: skip
    known = [max(row.sign * (100.0 - row.strike), 0.0) for row in rows]
    assert prices(*rows).tolist() == known
    assert prices(*rows, vol=np.nan).tolist() == known  # nothing is left to be uncertain of
    told = styles.sensitivities(*column(rows), np.full(len(rows), VOL))
    assert all(np.isnan(getattr(told, name)).all() for name in ("delta", "gamma", "vega", "theta", "rho"))
    assert np.isnan(styles.implied_vol(*column(rows), np.full(len(rows), 5.0))).all()


@pytest.mark.parametrize("wrong", ["sign", "spot", "strike", "days", "rate"])
def test_a_row_that_lacks_something_is_not_known_and_its_neighbours_are(wrong: str) -> None:
    sound = prices(*MIX)
    for row in MIX:
        given_row = Row(**{**vars(row), wrong: np.nan})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = prices(*MIX, given_row, *MIX)
            told = styles.sensitivities(*column([given_row]), np.array([VOL]))
            assert np.isnan(styles.implied_vol(*column([given_row]), np.array([9.0]))).all()
        assert np.isnan(found[len(MIX)])
        assert np.delete(found, len(MIX)) == pytest.approx(np.tile(sound, 2), rel=1e-12, abs=0)
        assert np.isnan([told.price, told.delta, told.gamma, told.vega, told.theta, told.rho]).all()


@pytest.mark.parametrize("vol", [np.nan, -0.1])
def test_a_volatility_that_is_none_prices_nothing(vol: float) -> None:
    assert np.isnan(prices(*MIX, vol=vol)).all()


@pytest.mark.parametrize("change", [{"spot": 0.0}, {"spot": -1.0}, {"strike": 0.0}, {"strike": -5.0}])
def test_what_cannot_be_a_price_warns_nobody(change: dict[str, float]) -> None:
    rows = [Row(**{**vars(row), **change}) for row in MIX]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = prices(*rows)
    assert np.isnan(found[[1, 2, 4]]).all()  # the lattice knows what a share of price 0 is worth
    assert np.isnan(found[[0, 3]]).all() or change == {"spot": 0.0}


def test_nothing_is_priced_too() -> None:
    o, style = column([])
    assert len(styles.price(o, style, np.zeros(0))) == 0
    assert len(styles.sensitivities(o, style, np.zeros(0)).delta) == 0
    assert len(styles.implied_vol(o, style, np.zeros(0))) == 0
    assert styles.grid(o, style, Axes(np.zeros((0, 2)), np.zeros((0, 3)), np.zeros((0, 4)))).shape == (0, 2, 3, 4)
    assert len(style.at(np.zeros(0, dtype=np.intp)).american) == 0
    assert not styles.plain(np.array([True, False])).pays.any()


def test_negative_rates_and_huge_volatilities_have_prices() -> None:
    rows = [Row(sign, strike, early, rate=-0.01) for sign in (1.0, -1.0) for strike in (90.0, 110.0)
            for early in (True, False)]  # fmt: skip
    assert prices(*rows) == pytest.approx([quantlib(row) for row in rows], abs=1e-4)
    found = prices(*MIX, vol=8.0)
    assert np.isfinite(found).all()
    # a call is never worth more than its share, a put never more than its strike
    assert (found <= [100.0, 95.0, 105.0, 105.0, 100.0]).all()
    assert (found > 80.0).all()
