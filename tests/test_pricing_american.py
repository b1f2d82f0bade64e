"""American options: published values, QuantLib, the laws that any American price obeys, and inputs of ill will.

Everything here holds with the compiled kernels and without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import fields
from functools import cache

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813  # as everybody calls it
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.pricing import Array, Axes, Options, Sensitivities, american
from guardrails.pricing import price as european_price
from guardrails.pricing import sensitivities as european_sensitivities
from guardrails.pricing.american_early import Kind, as_puts, kinds
from tests.test_pricing import PATHS, calculated, columns, one

TODAY = ql.Date(20, 11, 2026)


@pytest.fixture(params=PATHS, autouse=True)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    with calculated(request.param):
        yield request.param


def value(sign: float, spot: float, strike: float, years: float, rate: float, held: float, vol: float) -> float:
    return float(american.price(one(sign, spot, strike, years, rate, rate - held), columns(vol))[0])


def sample(count: int, seed: int) -> tuple[Options, Array]:
    """Spot 50 to 150 for strike 100, 3 to 729 days, rates to 8 %, yields to 6 %, 10 to 80 % a year."""
    random = np.random.default_rng(seed)
    rate, held = random.uniform(0.0, 0.08, count), random.uniform(0.0, 0.06, count)
    sign = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    spot, years = random.uniform(50.0, 150.0, count), random.integers(3, 730, count) / 365
    return Options(sign, spot, np.full(count, 100.0), years, rate, rate - held), random.uniform(0.1, 0.8, count)


def quantlib(o: Options, vol: Array) -> Array:
    """QdFp at high precision, times in whole days."""
    ql.Settings.instance().evaluationDate = TODAY
    spot, rate, held, sigma = (ql.SimpleQuote(1.0) for _ in range(4))
    count = ql.Actual365Fixed()
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(spot),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, ql.QuoteHandle(held), count)),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, ql.QuoteHandle(rate), count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), ql.QuoteHandle(sigma), count)),
    )
    engine = ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme())
    found = np.empty(o.spot.size)
    for i in range(found.size):
        for quote, number in ((spot, o.spot[i]), (rate, o.rate[i]), (held, o.rate[i] - o.carry[i]), (sigma, vol[i])):
            quote.setValue(float(number))
        kind = ql.Option.Call if o.sign[i] > 0 else ql.Option.Put
        exercise = ql.AmericanExercise(TODAY, TODAY + round(365 * o.years[i]))
        option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, float(o.strike[i])), exercise)
        option.setPricingEngine(engine)
        found[i] = option.NPV()
    return found


# J.-Z. Huang, M. Subrahmanyam, G. Yu, "Pricing and hedging American options", Review of Financial Studies 9(1), 1996:
# binomial trees of 10,000 steps for puts on a spot of 40, rate 4.88 %, for 1, 4 and 7 months
TREES = {
    (0.2, 35): (0.0062, 0.2004, 0.4328),
    (0.2, 40): (0.8522, 1.5798, 1.9904),
    (0.2, 45): (5.0000, 5.0883, 5.2670),
    (0.3, 35): (0.0774, 0.6975, 1.2198),
    (0.3, 40): (1.3099, 2.4825, 3.1696),
    (0.3, 45): (5.0597, 5.7056, 6.2436),
    (0.4, 35): (0.2466, 1.3460, 2.1549),
    (0.4, 40): (1.7681, 3.3874, 4.3526),
    (0.4, 45): (5.2868, 6.5099, 7.3830),
}


@pytest.mark.parametrize(("vol", "strike"), TREES)
def test_puts_are_worth_what_has_been_published(vol: float, strike: float) -> None:
    for years, expected in zip((0.0833, 0.3333, 0.5833), TREES[vol, strike], strict=True):
        assert value(-1, 40, strike, years, 0.0488, 0.0, vol) == pytest.approx(expected, abs=1.2e-4)


def test_puts_with_a_yield_are_worth_what_andersen_lake_and_offengenden_print() -> None:
    option = one(-1, 100, 100, 1.0, 0.05, 0.0)
    premium = american.price(option, columns(0.25)) - european_price(option, columns(0.25))
    assert premium[0] == pytest.approx(0.106952702747, abs=3e-6)
    for spot, expected in ((80, 23.22834), (100, 12.60521), (120, 6.482425)):
        assert value(-1, spot, 100, 3.0, 0.04, 0.04, 0.2) == pytest.approx(expected, abs=1e-4)


def test_a_put_between_two_boundaries_is_worth_what_has_been_published() -> None:
    # documentation of AQFED.jl, whose method is that of L. Andersen and M. Lake, "Fast American option pricing: the
    # double-boundary case", Wilmott, 2021: rate -0.5 %, yield -1 %
    assert value(-1, 80, 100, 0.75, -0.005, -0.01, 0.3) == pytest.approx(22.372978, abs=5e-4)


@cache
def quantlib_prices() -> Array:
    return quantlib(*sample(60, seed=1))


def test_prices_are_those_of_quantlib_at_high_precision() -> None:
    o, vol = sample(60, seed=1)
    found, expected = american.price(o, vol), quantlib_prices()
    assert np.abs(found - expected).max() < 6e-5
    assert np.sqrt(np.mean((found - expected) ** 2)) < 1e-5


def test_prices_hold_where_a_fixed_point_does_not_because_the_drift_is_large_against_the_variance() -> None:
    rows = [
        (9.0, 0.0926, 0.006, 0.134, 92),
        (2.0, 0.0755, 0.04, 0.024, 100),
        (7.0, 0.0746, 0.014, 0.058, 98.5),
        (1.0, 0.0639, 0.0316, 0.018, 100),
        (2.0, 0.495, 0.028, 0.21, 98),
        (1.0, 0.0939, -0.0769, 0.118, 98),
    ]
    years, rate, held, vol, spot = (np.array(column) for column in zip(*rows, strict=True))
    o = Options(np.full(6, -1.0), spot.astype(float), np.full(6, 100.0), years, rate, rate - held)
    assert american.price(o, vol) == pytest.approx(quantlib(o, vol), abs=5e-4)


@cache
def quantlib_differences() -> tuple[Array, ...]:
    """Delta, gamma × spot, vega, rho and theta of `sample(11, seed=2)`."""
    o, vol = sample(11, seed=2)

    def at(spot: float = 0.0, rate: float = 0.0, more: float = 0.0, days: int = 0) -> Array:
        moved = o.spot * (1 + spot), o.strike, o.years + days / 365, o.rate + rate, o.carry + rate
        return quantlib(Options(o.sign, *moved), vol + more)

    up, here, down = at(spot=0.002), at(), at(spot=-0.002)
    return (
        (up - down) / (0.004 * o.spot),
        (up - 2 * here + down) / (0.002**2 * o.spot),
        (at(more=0.001) - at(more=-0.001)) / 0.2,
        (at(rate=1e-4) - at(rate=-1e-4)) / 0.02,
        (at(days=-1) - at(days=1)) / 2,
    )


def test_greeks_are_the_differences_of_quantlibs_prices() -> None:
    o, vol = sample(11, seed=2)
    found = american.sensitivities(o, vol)
    delta, gamma, vega, rho, theta = quantlib_differences()
    # away from the boundary and from expiry, where differences of a kinked or steep price are no derivatives
    calm = (np.abs(found.delta) < 0.97) & (o.years > 0.08)
    assert calm.sum() > 6
    assert found.delta[calm] == pytest.approx(delta[calm], abs=5e-5)
    assert (found.gamma * o.spot)[calm] == pytest.approx(gamma[calm], abs=5e-3)
    assert found.vega[calm] == pytest.approx(vega[calm], abs=2e-5)
    assert found.rho[calm] == pytest.approx(rho[calm], abs=5e-5)
    assert found.theta[calm] == pytest.approx(theta[calm], abs=1e-3)


def test_compiled_and_numpy_agree() -> None:
    o, vol = sample(700, seed=3)
    axes = Axes(o.spot[:, None] * np.linspace(0.7, 1.3, 3), vol[:, None] * [0.5, 2.0], o.years[:, None] - [0.0, 0.01])
    with calculated("compiled"):
        one_way, cells = american.sensitivities(o, vol), american.grid(o, axes)
    with calculated("numpy"):
        other, other_cells = american.sensitivities(o, vol), american.grid(o, axes)
    assert cells == pytest.approx(other_cells, rel=1e-10, abs=1e-11)
    for field in fields(Sensitivities):
        # vega and rho are differences of steps of 1e-5 and 1e-6, so they keep fewer digits
        assert getattr(one_way, field.name) == pytest.approx(getattr(other, field.name), rel=1e-8, abs=1e-7), field.name


spots, vols, times = st.floats(40.0, 250.0), st.floats(0.02, 2.0), st.floats(1e-4, 5.0)
rates, yields = (st.integers(first, 1200).map(lambda x: x / 1e4) for first in (-200, -400))
signs = st.sampled_from([1.0, -1.0])


@settings(deadline=None, max_examples=60)
@given(sign=signs, spot=spots, years=times, rate=rates, held=yields, vol=vols)
def test_worth_at_least_the_european_and_the_intrinsic_value_and_at_most_the_bound(
    sign: float, spot: float, years: float, rate: float, held: float, vol: float
) -> None:
    option = one(sign, spot, 100, years, rate, rate - held)
    found = american.price(option, columns(vol))[0]
    assert found >= european_price(option, columns(vol))[0] - 1e-9
    assert found >= max(sign * (spot - 100), 0.0) - 1e-9
    most = max(spot, spot * np.exp(-held * years)) if sign > 0 else max(100.0, 100 * np.exp(-rate * years))
    assert found <= most + 1e-9


@settings(deadline=None, max_examples=40)
@given(sign=signs, spot=spots, years=times, rate=rates, held=yields, vol=vols)
def test_monotone_in_volatility_and_time_and_monotone_and_convex_in_spot(
    sign: float, spot: float, years: float, rate: float, held: float, vol: float
) -> None:
    noise = 3e-3 if kind_of(sign, rate, held) is Kind.BETWEEN else 5e-4
    row = np.ones(5)
    step = spot * 0.02
    near = Options(sign * row, spot + step * np.array([-1, 0, 1, 0, 0]), 100 * row,
                   years * np.array([1, 1, 1, 1, 1.05]), rate * row, (rate - held) * row)  # fmt: skip
    low, here, high, wilder, longer = american.price(near, vol * np.array([1, 1, 1, 1.05, 1]))
    assert wilder >= here - noise
    assert longer >= here - noise
    assert sign * (high - low) >= -noise
    assert high - 2 * here + low >= -noise


def kind_of(sign: float, rate: float, held: float) -> Kind:
    put = as_puts(columns(sign), columns(100.0), columns(100.0), columns(rate), columns(rate - held))
    return Kind(int(kinds(put.rate, put.held, columns(1.0))[0]))


@settings(deadline=None, max_examples=40)
@given(spot=spots, years=times, rate=rates, held=yields, vol=vols)
def test_a_call_is_a_put_with_spot_and_strike_and_rate_and_yield_changed_places(
    spot: float, years: float, rate: float, held: float, vol: float
) -> None:
    call, put = value(1, spot, 100, years, rate, held, vol), value(-1, 100, spot, years, held, rate, vol)
    assert call == pytest.approx(put, rel=1e-9, abs=1e-9 if kind_of(-1, held, rate) is not Kind.BETWEEN else 1e-2)


def test_european_where_early_exercise_never_pays() -> None:
    # a call without a yield; a put without interest; a put whose strike shrinks no faster than the forward
    for sign, rate, held in ((1, 0.05, 0.0), (1, 0.05, -0.02), (-1, 0.0, 0.03), (-1, -0.01, 0.02), (-1, -0.01, -0.005)):
        option = one(sign, 90 if sign > 0 else 110, 100, 1.0, rate, rate - held)
        expected, found = european_sensitivities(option, columns(0.3)), american.sensitivities(option, columns(0.3))
        assert american.price(option, columns(0.3)) == pytest.approx(expected.price, abs=1e-12)
        for field in fields(Sensitivities):
            assert getattr(found, field.name) == pytest.approx(getattr(expected, field.name), abs=1e-12)


def test_a_deep_option_is_worth_what_exercise_brings_and_moves_with_its_underlying() -> None:
    for sign, spot in ((-1.0, 40.0), (1.0, 300.0)):
        option = one(sign, spot, 100, 0.5, 0.06, 0.0)
        found = american.sensitivities(option, columns(0.25))
        assert american.price(option, columns(0.25))[0] == sign * (spot - 100)
        assert [getattr(found, field.name)[0] for field in fields(found)] == [sign * (spot - 100), sign, 0, 0, 0, 0]


def test_gamma_at_the_boundary_is_what_smooth_pasting_leaves() -> None:
    # where V = K - S, its slope is -1 and time takes nothing: (vol S)^2 gamma / 2 = r K - q S
    rate, held, vol = 0.05, 0.02, 0.3
    low, high = 50.0, 100.0
    for _ in range(45):
        middle = (low + high) / 2
        delta = american.sensitivities(one(-1, middle, 100, 0.5, rate, rate - held), columns(vol)).delta[0]
        low, high = (middle, high) if delta == -1.0 else (low, middle)
    for above in (1e-6, 1e-4, 1e-3):
        spot = high * (1 + above)
        found = american.sensitivities(one(-1, spot, 100, 0.5, rate, rate - held), columns(vol))
        assert found.gamma[0] == pytest.approx(2 * (rate * 100 - held * spot) / (vol * spot) ** 2, rel=0.01)
        assert found.delta[0] == pytest.approx(-1.0, abs=5e-3)


def test_theta_takes_no_more_than_the_premium() -> None:
    found = american.sensitivities(one(-1, 100, 100, 2 / 24 / 365, 0.05, 0.05), columns(0.3))
    assert found.theta[0] == pytest.approx(-found.price[0])


def test_rho_of_an_option_on_a_future_moves_its_yield_with_the_rate() -> None:
    option, step = one(-1, 90, 100, 1.0, 0.05, 0.0), 1e-4
    shifted = [value(-1, 90, 100, 1.0, 0.05 + by, 0.05 + by, 0.25) for by in (step, -step)]
    expected = (shifted[0] - shifted[1]) / (2 * step) / 100
    assert american.sensitivities(option, columns(0.25)).rho[0] == pytest.approx(expected, abs=1e-6)


def test_greeks_between_two_boundaries_are_the_differences_of_prices() -> None:
    option = one(-1, 85, 100, 1.0, -0.01, 0.02)  # yield -3 %
    found = american.sensitivities(option, columns(0.25))
    near = [value(-1, 85 + by, 100, 1.0, -0.01, -0.03, 0.25) for by in (-1, 0, 1)]
    assert found.price[0] == pytest.approx(near[1], abs=1e-9)
    assert found.delta[0] == pytest.approx((near[2] - near[0]) / 2, abs=5e-4)
    assert found.gamma[0] == pytest.approx(near[2] - 2 * near[1] + near[0], abs=1e-3)
    wilder, calmer = (value(-1, 85, 100, 1.0, -0.01, -0.03, vol) for vol in (0.26, 0.24))
    assert found.vega[0] == pytest.approx((wilder - calmer) / 2, abs=2e-3)
    earlier, later = (value(-1, 85, 100, years, -0.01, -0.03, 0.25) for years in (1 + 1 / 365, 1 - 1 / 365))
    assert found.theta[0] == pytest.approx((later - earlier) / 2, abs=5e-4)


def test_below_both_boundaries_a_put_falls_faster_than_its_underlying_rises() -> None:
    # at rate -1 % and yield -3 % one waits below 100 x 1/3: strike and spot both grow, the spot by 3 % a year
    found = american.sensitivities(one(-1, 15, 100, 1.0, -0.01, 0.02), columns(0.2))
    assert found.delta[0] == pytest.approx(-np.exp(0.03), abs=1e-6)
    assert found.price[0] == pytest.approx(100 * np.exp(0.01) - 15 * np.exp(0.03), abs=1e-6)


def test_a_grid_is_the_price_cell_by_cell() -> None:
    o, vol = sample(60, seed=4)
    rate = np.where(np.arange(60) < 6, -0.01, o.rate)  # some of every kind
    o = Options(o.sign, o.spot, o.strike, o.years, rate, np.where(np.arange(60) < 3, 0.02, o.carry))
    axes = Axes(
        o.spot[:, None] * [0.6, 0.95, 1.0, 1.4], vol[:, None] * [0.5, 1.0, 2.0], o.years[:, None] * [1.0, 0.9, 0.3, 0.0]
    )
    found = american.grid(o, axes)
    assert found.shape == (60, 4, 3, 4)
    s, v, d = (index.ravel() for index in np.meshgrid(range(4), range(3), range(4), indexing="ij"))
    for i in range(0, 60, 2):
        row = o.at(np.full(s.size, i))
        cells = Options(row.sign, axes.spot[i, s], row.strike, axes.years[i, d], row.rate, row.carry)
        assert found[i, s, v, d] == pytest.approx(american.price(cells, axes.vol[i, v]), abs=5e-4)
    gone = np.maximum(o.sign[:, None] * (axes.spot - 100.0), 0.0)
    assert (found[:, :, :, 3] == gone[:, :, None]).all()


def test_a_grid_refuses_axes_of_another_length() -> None:
    o, vol = sample(3, seed=5)
    with pytest.raises(ValueError, match=r"must be as many, they are \[3, 3, 2, 3\]"):
        american.grid(o, Axes(o.spot[:, None], vol[:2, None], o.years[:, None]))


def test_no_options_give_no_prices() -> None:
    nothing = Options(*(np.empty(0) for _ in range(6)))
    assert american.price(nothing, np.empty(0)).size == 0
    assert american.sensitivities(nothing, np.empty(0)).theta.size == 0
    assert american.implied_vol(nothing, np.empty(0)).size == 0


def test_what_is_unknown_stays_unknown_and_does_not_touch_its_neighbours() -> None:
    o, vol = sample(12, seed=6)
    clean = american.sensitivities(o, vol)
    bad = [np.array(column) for column in (o.sign, o.spot, o.strike, o.years, o.rate, o.carry, vol)]
    for i in range(7):
        bad[i][i] = np.nan
    bad[1][7], bad[2][8], bad[6][9], bad[5][10] = 0.0, -5.0, -0.1, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options = Options(*bad[:6])
        found, prices = american.sensitivities(options, bad[6]), american.price(options, bad[6])
        cells = american.grid(options, Axes(bad[1][:, None], bad[6][:, None], bad[3][:, None]))
        volatilities = american.implied_vol(options, np.where(np.arange(12) == 6, np.nan, clean.price))
    assert np.isnan(prices[:11]).all()
    assert np.isnan(cells[:11]).all()
    assert np.isnan(volatilities[:9]).all()
    assert np.isnan(volatilities[10])
    for field in fields(Sensitivities):
        assert np.isnan(getattr(found, field.name)[:11]).all(), field.name
        assert getattr(found, field.name)[11] == pytest.approx(getattr(clean, field.name)[11], rel=1e-9), field.name


def test_at_expiry_the_intrinsic_value_and_no_greeks() -> None:
    option = Options(
        *(np.array(c) for c in ([1.0, -1, -1], [120.0, 120, 80], [100.0] * 3, [0.0, -1, 0], [0.05] * 3, [0.0] * 3))
    )
    vol = np.full(3, 0.2)
    assert american.price(option, vol).tolist() == [20.0, 0.0, 20.0]
    found = american.sensitivities(option, vol)
    assert found.price.tolist() == [20.0, 0.0, 20.0]
    assert np.isnan([found.delta, found.gamma, found.vega, found.theta, found.rho]).all()
    assert np.isnan(american.implied_vol(option, np.full(3, 21.0))).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extremes_have_prices_within_their_bounds(sign: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seconds = 3 / 31_536_000
        assert value(sign, 100, 100, seconds, 0.05, 0.02, 0.5) == pytest.approx(
            0.4 * 0.5 * 100 * seconds**0.5, rel=0.01
        )
        assert 95 < value(sign, 100, 100, 10.0, 0.05, 0.02, 10.0) <= 100
        assert value(sign, 0.5, 0.5, 10.0, 0.05, 0.02, 0.3) == pytest.approx(
            value(sign, 100, 100, 10.0, 0.05, 0.02, 0.3) / 200, rel=1e-9
        )
        for vol in (0.0, 1e-9, 1e-4, 100.0, 1e6):
            found = value(sign, 100 + sign * 10, 100, 1.0, 0.04, 0.03, vol)
            assert 10 <= found <= 110
        assert value(sign, 1e-9, 1e9, 1.0, 0.04, 0.03, 0.3) == pytest.approx(max(-sign * 1e9, 0.0), abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(sign=signs, spot=st.floats(75.0, 130.0), years=st.floats(0.01, 3.0), rate=st.floats(0.0, 0.1),
       held=st.floats(0.0, 0.1), vol=st.floats(0.05, 1.5))  # fmt: skip
def test_an_implied_volatility_gives_the_price_back(
    sign: float, spot: float, years: float, rate: float, held: float, vol: float
) -> None:
    option = one(sign, spot, 100, years, rate, rate - held)
    found = american.sensitivities(option, columns(vol))
    if found.vega[0] < 1e-3:
        return  # the price says nothing about the volatility
    assert american.implied_vol(option, found.price)[0] == pytest.approx(vol, rel=1e-7)


def test_every_price_that_a_volatility_explains_is_given_back() -> None:
    o, vol = sample(300, seed=8)
    o = Options(o.sign, o.spot ** np.linspace(0.8, 1.2, 300), o.strike, o.years, o.rate, o.carry)
    target = american.price(o, vol)
    found = american.implied_vol(o, target)
    known = np.isfinite(found)
    back = american.price(o.at(known.nonzero()[0]), found[known])
    assert back == pytest.approx(target[known], rel=1e-9, abs=1e-9)
    assert known.sum() > 200
    sure = american.price(o, np.full(300, 1e-4))
    assert (known | (target <= sure + 1e-11)).all()


def test_no_volatility_fits_the_intrinsic_value_or_less_or_more_than_the_strike() -> None:
    option = one(-1, 80, 100, 0.5, 0.05, 0.05)
    for target in (19.0, 20.0, 100.5, 0.0, -1.0):
        assert np.isnan(american.implied_vol(option, columns(target))[0]), target
    assert american.price(option, american.implied_vol(option, columns(20.01)))[0] == pytest.approx(20.01, abs=1e-9)


def test_the_volatility_of_a_put_that_no_european_volatility_explains_is_found() -> None:
    # the American put of 5 years is worth its 30 of intrinsic value and more, the European one at 0.01 % a year
    # only 100 e^(-0.4) - 70 < 0, and even at 35 % less than 30
    option, target = one(-1, 70, 100, 5.0, 0.08, 0.08), columns(30.2)
    assert european_price(option, columns(0.35))[0] < 30
    assert american.price(option, american.implied_vol(option, target))[0] == pytest.approx(30.2, abs=1e-9)
