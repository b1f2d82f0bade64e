"""Options on a share that pays cash: QuantLib, quadrature, the laws of prices, and what no lattice may do wrong.

Every test of numbers runs on the compiled kernels and on numpy.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813  # as everybody calls it
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.pricing import Array, Axes, Options, compiled
from guardrails.pricing import price as european_price
from guardrails.pricing import sensitivities as european_sensitivities
from guardrails.pricing.dividends import Dividends, grid, implied_vol, price, sensitivities

CALL, PUT = 1.0, -1.0
TODAY = ql.Date(20, 11, 2026)
PATHS = ["compiled", "numpy"]


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "compiled":
        if compiled.prepare() is not compiled.State.READY:
            pytest.skip("numba is not installed")
    else:
        monkeypatch.setattr("guardrails.pricing.dividends.kernels", lambda: None)
    return request.param


def options(*rows: tuple[float, float, float, float, float]) -> Options:
    """Rows of sign, spot, strike, years, rate; the carry is the rate."""
    sign, spot, strike, years, rate = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return Options(sign, spot, strike, years, rate, rate.copy())


def one(
    row: tuple[float, float, float, float, float], vol: float, paid: list[tuple[float, float]], *, american: bool = True
) -> float:
    return float(price(options(row), np.array([vol]), Dividends.of([paid]), np.array([american]))[0])


def quantlib(
    row: tuple[float, float, float, float, float], vol: float, paid: list[tuple[float, float]], *, american: bool
) -> tuple[float, float, float]:
    """Price, delta, gamma of finite differences on 600 × 2,000; times in whole days."""
    sign, spot, strike, years, rate = row
    ql.Settings.instance().evaluationDate = TODAY
    count = ql.Actual365Fixed()
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, 0.0, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, rate, count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), vol, count)),
    )
    expiry = TODAY + round(years * 365)
    exercise = ql.AmericanExercise(TODAY, expiry) if american else ql.EuropeanExercise(expiry)
    option = ql.VanillaOption(ql.PlainVanillaPayoff(ql.Option.Call if sign > 0 else ql.Option.Put, strike), exercise)
    dividends = ql.DividendVector([TODAY + round(t * 365) for t, _ in paid], [amount for _, amount in paid])
    option.setPricingEngine(ql.FdBlackScholesVanillaEngine(process, dividends, 600, 2000))
    return option.NPV(), option.delta(), option.gamma()


def quadrature(
    sign: float, spot: float, strike: float, years: float, rate: float, vol: float, ex: float, amount: float
) -> float:
    """European with one dividend: Black-Scholes after the ex-date, integrated over the spot just before it."""
    x = np.linspace(-9.0, 9.0, 100_001)
    weight = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi) * (x[1] - x[0])
    before = spot * np.exp((rate - 0.5 * vol * vol) * ex + vol * math.sqrt(ex) * x)
    after = np.maximum(before - amount, 1e-12)
    many = [np.full(len(x), value) for value in (strike, years - ex, rate, rate)]
    values = european_price(Options(np.full(len(x), sign), after, *many), np.full(len(x), vol))
    return float(np.sum(weight * values) * math.exp(-rate * ex))


def day(count: int) -> float:
    return count / 365.0


CASES = [  # sign, spot, strike, years, rate; volatility; dividends; American
    ((CALL, 100.0, 100.0, day(182), 0.05), 0.30, [(day(91), 2.0)], True),
    ((PUT, 100.0, 100.0, day(182), 0.05), 0.30, [(day(91), 2.0)], True),
    ((CALL, 100.0, 90.0, day(365), 0.05), 0.20, [(day(91), 1.0), (day(182), 1.0), (day(273), 1.0)], True),
    ((PUT, 100.0, 110.0, day(365), 0.05), 0.20, [(day(91), 1.0), (day(182), 1.0), (day(273), 1.0)], True),
    ((CALL, 100.0, 95.0, day(30), 0.04), 0.25, [(day(29), 1.5)], True),
    ((PUT, 100.0, 105.0, day(30), 0.04), 0.25, [(day(1), 1.5)], True),
    ((CALL, 100.0, 120.0, day(500), 0.01), 0.45, [(day(250), 7.0)], False),
    ((PUT, 100.0, 80.0, day(500), 0.06), 0.45, [(day(20), 0.5), (day(250), 7.0)], False),
    ((PUT, 100.0, 100.0, day(730), 0.05), 0.35, [(day(45 + 91 * k), 0.75) for k in range(8)], True),
    ((CALL, 100.0, 100.0, day(7), 0.05), 0.60, [(day(3), 0.3)], True),
]


def test_prices_and_greeks_of_quantlib(path: str) -> None:
    rows, vols, paid, styles = zip(*CASES, strict=True)
    found = sensitivities(options(*rows), np.array(vols), Dividends.of(paid), np.array(styles))
    known = np.array([quantlib(*case[:3], american=case[3]) for case in CASES])
    assert np.abs(found.price - known[:, 0]).max() < 1.5e-3
    assert np.sqrt(np.mean((found.price - known[:, 0]) ** 2)) < 5e-4
    assert np.abs(found.delta - known[:, 1]).max() < 5e-4
    assert np.abs(found.gamma - known[:, 2]).max() < 2e-4


@pytest.mark.parametrize("sign", [CALL, PUT])
@pytest.mark.parametrize(
    ("strike", "years", "vol", "ex", "amount"),
    [(100.0, 1.0, 0.3, 0.5, 7.0), (70.0, 2.0, 0.2, 0.1, 3.0), (130.0, 0.25, 0.8, 0.2, 0.25),
     (100.0, 0.1, 0.15, 0.0999, 2.0), (100.0, 1.0, 0.3, 0.5, 60.0), (20.0, 1.0, 0.6, 0.9, 80.0)],
)  # fmt: skip
def test_european_prices_of_quadrature(
    sign: float, strike: float, years: float, vol: float, ex: float, amount: float, path: str
) -> None:
    """The last two dividends take the spot to zero often enough to matter."""
    found = one((sign, 100.0, strike, years, 0.04), vol, [(ex, amount)], american=False)
    assert found == pytest.approx(quadrature(sign, 100.0, strike, years, 0.04, vol, ex, amount), abs=1e-3)


def test_without_dividends_it_is_the_plain_european(path: str) -> None:
    o = options((CALL, 100, 110, 0.7, 0.03), (PUT, 100, 90, 0.02, 0.03), (PUT, 50, 80, 1.5, -0.01))
    vol = np.array([0.2, 0.4, 0.6])
    ours = sensitivities(o, vol, Dividends.of([[], [], []]), np.zeros(3, dtype=bool))
    known = european_sensitivities(o, vol)
    for name, bound in (
        ("price", 1e-5),
        ("delta", 1e-5),
        ("gamma", 1e-5),
        ("vega", 1e-5),
        ("theta", 3e-5),
        ("rho", 1e-5),
    ):
        assert getattr(ours, name) == pytest.approx(getattr(known, name), abs=bound), name


def test_vega_theta_and_rho_are_those_of_bumped_prices(path: str) -> None:
    """Calendar theta: the same option a day later, its dividend a day nearer; all per unit of the room."""
    row, vol, paid = (PUT, 100.0, 105.0, 0.6, 0.05), 0.3, [(0.3, 2.0)]
    found = sensitivities(options(row), np.array([vol]), Dividends.of([paid]), np.array([True]))
    later = one((PUT, 100.0, 105.0, 0.6 - day(1), 0.05), vol, [(0.3 - day(1), 2.0)])
    now = one(row, vol, paid)
    assert found.theta[0] == pytest.approx(later - now, abs=1e-4)
    assert found.vega[0] == pytest.approx(one(row, vol + 0.005, paid) - one(row, vol - 0.005, paid), abs=1e-4)
    assert found.rho[0] == pytest.approx(
        one((*row[:4], 0.055), vol, paid) - one((*row[:4], 0.045), vol, paid), abs=2e-3
    )


def test_greeks_are_smooth_along_the_spot(path: str) -> None:
    """Delta and gamma are the differences of price and delta, without teeth: from 85 to 115 by a quarter."""
    spot = np.arange(85.0, 115.0, 0.25)
    o = options(*((CALL, s, 100.0, 0.5, 0.05) for s in spot))
    found = sensitivities(
        o, np.full(len(spot), 0.3), Dividends.of([[(0.2, 2.0)]] * len(spot)), np.ones(len(spot), dtype=bool)
    )
    assert found.delta[1:-1] == pytest.approx((found.price[2:] - found.price[:-2]) / 0.5, abs=2e-5)
    assert found.gamma[1:-1] == pytest.approx((found.delta[2:] - found.delta[:-2]) / 0.5, abs=2e-5)
    assert np.abs(np.diff(found.gamma, 2)).max() < 1e-5


def test_a_grid_is_its_cells(path: str) -> None:
    """Each cell is the option seen from its date, with its spot and volatility and the dividends then ahead."""
    o = options((PUT, 100, 100, 0.5, 0.04), (CALL, 40, 35, 0.25, 0.04))
    paid = [[(0.1, 1.0), (0.4, 1.5)], [(0.05, 0.5)]]
    axes = Axes(
        spot=np.array([[70.0, 100.0, 131.0], [20.0, 40.0, 52.0]]),
        vol=np.array([[0.2, 0.45], [0.3, 0.7]]),
        years=np.array([[0.3, 0.5, 0.0, 0.05], [0.25, 0.2, -1.0, 0.01]]),  # in any order
    )
    found = grid(o, axes, Dividends.of(paid), np.array([True, False]))
    assert found.shape == (2, 3, 2, 4)
    for i, s, v, d in np.ndindex(*found.shape):
        years = axes.years[i, d]
        left = [(t - (o.years[i] - years), amount) for t, amount in paid[i]]  # those at or below zero are over
        row = (o.sign[i], axes.spot[i, s], o.strike[i], years, 0.04)
        assert found[i, s, v, d] == pytest.approx(one(row, axes.vol[i, v], left, american=i == 0), abs=2e-3), (
            i,
            s,
            v,
            d,
        )


def test_at_expiry_the_intrinsic_value_whatever_was_to_be_paid(path: str) -> None:
    o = options((CALL, 103, 100, 0.0, 0.05), (PUT, 103, 100, -0.1, 0.05), (PUT, 90, 100, 0.0, 0.05))
    found = price(o, np.full(3, 0.3), Dividends.of([[(0.0, 5.0)], [(0.1, 5.0)], []]), np.ones(3, dtype=bool))
    assert found.tolist() == [3.0, 0.0, 10.0]


def test_a_dividend_that_is_over_or_comes_after_expiry_does_not_count(path: str) -> None:
    row = (PUT, 100.0, 100.0, 0.5, 0.05)
    bare = one(row, 0.3, [])
    assert one(row, 0.3, [(0.0, 9.0), (-0.2, 9.0), (0.500001, 9.0)]) == bare
    assert one(row, 0.3, [(0.499999, 1.0)]) > bare + 0.2


def test_a_dividend_this_very_moment_lowers_the_spot(path: str) -> None:
    """European: the value at the spot less the amount. American: exercise at once, if that is more."""
    soon = [(1e-9, 3.0)]
    for sign in (CALL, PUT):
        row, less = (sign, 100.0, 95.0, 0.5, 0.05), (sign, 97.0, 95.0, 0.5, 0.05)
        assert one(row, 0.3, soon, american=False) == pytest.approx(one(less, 0.3, [], american=False), abs=1e-4)
    assert one((CALL, 100.0, 60.0, 0.05, 0.05), 0.3, soon) == pytest.approx(40.0, abs=1e-6)


def test_a_dividend_at_expiry_lowers_the_spot_it_ends_at(path: str) -> None:
    """European: a strike higher by the amount. An American call is exercised just before and loses nothing."""
    at_end = [(0.5, 2.0)]
    for sign in (CALL, PUT):
        row, shifted = (sign, 100.0, 100.0, 0.5, 0.05), (sign, 100.0, 102.0, 0.5, 0.05)
        assert one(row, 0.3, at_end, american=False) == pytest.approx(one(shifted, 0.3, [], american=False), abs=1e-5)
    row = (CALL, 100.0, 100.0, 0.5, 0.05)
    assert one(row, 0.3, at_end) == pytest.approx(one(row, 0.3, []), abs=1e-9)


def test_a_dividend_larger_than_the_spot_leaves_nothing_and_no_less(path: str) -> None:
    """Put: what exercise then brings, today. Call, American: the call that ends with the ex-date."""
    paid = [(0.2, 1e4)]
    put, call = (PUT, 100.0, 100.0, 0.5, 0.05), (CALL, 100.0, 100.0, 0.5, 0.05)
    assert one(put, 0.3, paid, american=False) == pytest.approx(100.0 * math.exp(-0.05 * 0.5), abs=1e-6)
    assert one(put, 0.3, paid) == pytest.approx(100.0 * math.exp(-0.05 * 0.2), abs=1e-3)
    assert one(call, 0.3, paid, american=False) == 0.0
    short = european_price(options((CALL, 100.0, 100.0, 0.2, 0.05)), np.array([0.3]))[0]
    assert one(call, 0.3, paid) == pytest.approx(short, abs=1e-3)


def test_many_dividends(path: str) -> None:
    """Fifty-two of 0.10: call less put is the spot less what is paid and the strike, all at their present value."""
    weekly = [(k / 52.0, 0.1) for k in range(1, 53)]
    call, put = (one((sign, 100.0, 105.0, 1.0, 0.05), 0.25, weekly, american=False) for sign in (CALL, PUT))
    worth = sum(amount * math.exp(-0.05 * years) for years, amount in weekly)
    assert call - put == pytest.approx(100.0 - worth - 105.0 * math.exp(-0.05), abs=1e-5)
    assert one((PUT, 100, 100, 1.0, 0.05), 0.25, weekly) > one((PUT, 100, 100, 1.0, 0.05), 0.25, weekly[1:]) + 0.01


def test_without_volatility_the_best_certain_moment(path: str) -> None:
    """American call, no volatility: exercise now (10), before the ex-date, or at the end less the dividend."""
    row = (CALL, 110.0, 100.0, 1.0, 0.05)
    before = 110.0 - 100.0 * math.exp(-0.05 * 0.5)
    at_end = 110.0 - 1.0 * math.exp(-0.05 * 0.5) - 100.0 * math.exp(-0.05)
    assert one(row, 0.0, [(0.5, 1.0)]) == pytest.approx(max(10.0, before, at_end), abs=1e-3)
    assert one(row, 0.0, [(0.5, 6.0)]) == pytest.approx(before, abs=1e-3)
    assert one(row, 0.0, [(0.5, 6.0)], american=False) == pytest.approx(
        110.0 - 6.0 * math.exp(-0.05 * 0.5) - 100.0 * math.exp(-0.05), abs=1e-3
    )


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["sign", "spot", "strike", "years", "rate", "carry", "vol", "paid_years", "amount"])
def test_a_figure_that_is_none_gives_nan_and_spoils_no_neighbour(name: str, wrong: float, path: str) -> None:
    columns = {"sign": PUT, "spot": 100.0, "strike": 100.0, "years": 0.5, "rate": 0.05, "carry": 0.05, "vol": 0.3}
    made = {key: np.array([value, value]) for key, value in columns.items()}
    paid = Dividends.of([[(0.2, 1.0)], [(0.2, 1.0)]])
    if name in made:
        made[name][0] = wrong
    else:
        (paid.years if name == "paid_years" else paid.amount)[0] = wrong
    vol = made.pop("vol")
    o = Options(**made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sensitivities(o, vol, paid, np.array([True, True]))
        solved = implied_vol(o, np.array([8.0, 8.0]), paid, np.array([True, True]))
    over = name == "paid_years" and math.isinf(wrong)  # infinitely far away, or long over: no concern of the option
    for each in (found.price, found.delta, found.gamma, found.vega, found.theta, found.rho, solved):
        assert np.isnan(each[0]) or over or (name == "vol" and each is solved), name
        assert np.isfinite(each[1])


@pytest.mark.parametrize(
    ("row", "vol", "paid"),
    [((PUT, -1.0, 100.0, 0.5, 0.05), 0.3, []), ((PUT, 100.0, 0.0, 0.5, 0.05), 0.3, []),
     ((PUT, 100.0, 100.0, 0.5, 0.05), -0.1, []), ((PUT, 100.0, 100.0, 0.5, 0.05), 0.3, [(0.2, -1.0)])],
)  # fmt: skip
def test_what_cannot_be_has_no_price(
    row: tuple[float, float, float, float, float], vol: float, paid: list[tuple[float, float]], path: str
) -> None:
    assert math.isnan(one(row, vol, paid))


def test_a_worthless_share(path: str) -> None:
    assert one((PUT, 0.0, 100.0, 0.5, 0.05), 0.3, [(0.2, 1.0)]) == pytest.approx(100.0)
    assert one((CALL, 0.0, 100.0, 0.5, 0.05), 0.3, [(0.2, 1.0)]) == 0.0


def test_no_options_at_all(path: str) -> None:
    empty = np.zeros(0)
    o = Options(empty, empty, empty, empty, empty, empty)
    assert price(o, empty, Dividends.of([]), np.zeros(0, dtype=bool)).shape == (0,)
    assert implied_vol(o, empty, Dividends.of([]), np.zeros(0, dtype=bool)).shape == (0,)


def test_extremes_stay_within_their_bounds(path: str) -> None:
    """The last minute, ten years, 1,000 %, a strike of 0.5, pennies and thousands."""
    rows, vols = [], []
    for sign in (CALL, PUT):
        for strike in (0.5, 100.0, 5000.0):
            for years in (1.0 / 525_600.0, 10.0):
                for vol in (0.01, 10.0):
                    rows.append((sign, 100.0, strike, years, 0.03))
                    vols.append(vol)
    o = options(*rows)
    paid = Dividends.of([[(years * 0.5, 0.7)] for years in o.years])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = price(o, np.array(vols), paid, np.ones(len(rows), dtype=bool))
    assert np.all(found >= np.maximum(o.sign * (o.spot - o.strike), 0.0))
    assert np.all(found <= np.where(o.sign > 0, o.spot, o.strike) + 1e-9)


amounts = st.floats(0.01, 8.0)
moments = st.floats(0.001, 0.999)
entries = st.lists(st.tuples(moments, amounts), min_size=1, max_size=4)
terms = st.tuples(
    st.sampled_from([CALL, PUT]),
    st.floats(60.0, 150.0),
    st.floats(0.02, 2.0),
    st.floats(-0.01, 0.08),
    st.floats(0.08, 1.2),
)


@settings(max_examples=60, deadline=None)
@given(terms, entries)
def test_the_laws_of_prices(told: tuple[float, float, float, float, float], shares: list[tuple[float, float]]) -> None:
    """American >= European >= 0, American >= intrinsic; a dividend more never helps a call or hurts a put."""
    sign, strike, years, rate, vol = told
    paid = [(share * years, amount) for share, amount in shares]
    o = options(*([(sign, 100.0, strike, years, rate)] * 5))
    sets = Dividends.of([paid, paid, paid[1:], paid[1:], [(t, 1.01 * amount) for t, amount in paid]])
    american = np.array([True, False, True, False, True])
    full, plain, less, less_plain, more = price(o, np.full(5, vol), sets, american)
    slack = 3e-3
    assert full >= plain - slack
    assert plain >= 0.0
    assert full >= max(sign * (100.0 - strike), 0.0)
    assert sign * (less - full) >= -slack
    assert sign * (less_plain - plain) >= -slack
    assert sign * (full - more) >= -slack


@settings(max_examples=40, deadline=None)
@given(terms, entries, st.booleans())
def test_prices_rise_with_volatility_and_bend_upward_in_the_spot(
    told: tuple[float, float, float, float, float],
    shares: list[tuple[float, float]],
    american: bool,  # noqa: FBT001  # hypothesis gives it
) -> None:
    sign, strike, years, rate, vol = told
    o = options((sign, 100.0, strike, years, rate))
    spots = np.linspace(60.0, 150.0, 31)
    axes = Axes(spots[None, :], np.array([[vol, 1.05 * vol]]), np.array([[years]]))
    paid = Dividends.of([[(share * years, amount) for share, amount in shares]])
    found = grid(o, axes, paid, np.array([american]))[0, :, :, 0]
    assert np.all(found[:, 1] >= found[:, 0] - 3e-3)
    assert np.all(sign * np.diff(found[:, 0]) >= -3e-3)
    assert np.all(np.abs(np.diff(found[:, 0])) <= 3.0 + 3e-3)
    if not american or max(amount for _, amount in shares) < 1.0:  # the floor of the spot at zero bends the other way
        assert np.all(np.diff(found[:, 0], 2) >= -5e-3)


@settings(max_examples=40, deadline=None)
@given(terms, entries, st.booleans())
def test_an_implied_volatility_gives_back_its_price(
    told: tuple[float, float, float, float, float],
    shares: list[tuple[float, float]],
    american: bool,  # noqa: FBT001  # hypothesis gives it
) -> None:
    sign, strike, years, rate, vol = told
    o, style = options((sign, 100.0, strike, years, rate)), np.array([american])
    paid = Dividends.of([[(share * years, amount) for share, amount in shares]])
    target = price(o, np.array([vol]), paid, style)
    found = implied_vol(o, target, paid, style)
    if np.isnan(found[0]):  # the price says nothing of the volatility: it is that of certainty
        assert target[0] <= price(o, np.array([1e-4]), paid, style)[0] * (1.0 + 1e-9) + 1e-9
    else:
        assert price(o, found, paid, style)[0] == pytest.approx(target[0], abs=1e-6)


@pytest.mark.parametrize("target", [0.0, 5.0, 100.0, 120.0, -1.0, math.nan])
def test_no_volatility_where_none_can_be(target: float, path: str) -> None:
    """A call at 100 with the strike 95, American: 5 is exercise now, 100 the share itself."""
    o, paid = options((CALL, 100.0, 95.0, 0.5, 0.05)), Dividends.of([[(0.2, 1.0)]])
    assert np.isnan(implied_vol(o, np.array([target]), paid, np.array([True]))[0])


def test_implied_volatility_on_both_paths(path: str) -> None:
    o, paid = options((PUT, 100.0, 110.0, 0.5, 0.05), (CALL, 100.0, 95.0, 0.1, 0.05)), Dividends.of([[(0.2, 1.0)], []])
    style, vol = np.array([True, False]), np.array([0.37, 0.22])
    assert implied_vol(o, price(o, vol, paid, style), paid, style) == pytest.approx(vol, rel=1e-6)


def test_both_paths_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty seeded options with their grids, to a hundredth of a cent on shares of 100."""
    if compiled.prepare() is not compiled.State.READY:
        pytest.skip("numba is not installed")
    rng = np.random.default_rng(5)
    count = 60
    o = options(*(
        (float(rng.choice([CALL, PUT])), 100.0, float(rng.uniform(70, 140)), float(rng.uniform(0.01, 2.0)), 0.04)
        for _ in range(count)
    ))  # fmt: skip
    paid = Dividends.of(
        [
            [(float(rng.uniform(-0.1, 1.1) * years), float(rng.uniform(0.1, 4.0))) for _ in range(rng.integers(0, 6))]
            for years in o.years
        ]
    )
    style = rng.random(count) < 0.6
    axes = Axes(
        np.tile([70.0, 95.0, 100.0, 130.0], (count, 1)),
        rng.uniform(0.05, 1.5, (count, 2)),
        o.years[:, None] * [1.0, 0.4, 0.0],
    )
    fast, greeks = grid(o, axes, paid, style), sensitivities(o, axes.vol[:, 0].copy(), paid, style)
    monkeypatch.setattr("guardrails.pricing.dividends.kernels", lambda: None)
    assert np.abs(grid(o, axes, paid, style) - fast).max() < 1e-4
    slow = sensitivities(o, axes.vol[:, 0].copy(), paid, style)
    for name in ("price", "delta", "gamma", "vega", "theta", "rho"):
        assert np.abs(getattr(slow, name) - getattr(greeks, name)).max() < 1e-4, name


def test_two_threads_at_once() -> None:
    o, paid, vol, style = (
        options(*[(PUT, 100.0, 100.0, 0.5, 0.05)] * 20),
        Dividends.of([[(0.2, 1.0)]] * 20),
        np.full(20, 0.3),
        np.ones(20, dtype=bool),
    )
    expected, found = price(o, vol, paid, style), list[Array]()
    threads = [threading.Thread(target=lambda: found.append(price(o, vol, paid, style))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(each, expected) for each in found)
