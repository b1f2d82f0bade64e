"""Closed forms against published numbers and QuantLib, and the laws any European option price obeys."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

import numpy as np
import pytest
import QuantLib
from hypothesis import given
from hypothesis import strategies as st

from guardrails.pricing import (
    Array,
    Axes,
    Options,
    Sensitivities,
    american,
    compiled,
    grid,
    normal_cdf,
    price,
    sensitivities,
)
from guardrails.pricing.normal import mills

PATHS = ("compiled", "numpy")


@contextmanager
def calculated(path: str) -> Iterator[None]:
    """Everything inside is calculated by the compiled kernels, or by numpy."""
    if path == "compiled" and compiled.prepare() is not compiled.State.READY:
        pytest.skip("numba is not installed")
    with pytest.MonkeyPatch.context() as patch:
        if path == "numpy":
            patch.setattr(compiled._THIS, "kernels", None)
        yield


@pytest.fixture(params=PATHS, autouse=True)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Everything here holds with the compiled kernels and without them."""
    with calculated(request.param):
        yield request.param


def columns(*values: float) -> Array:
    return np.array(values, dtype=np.float64)


def one(sign: float, spot: float, strike: float, years: float, rate: float, carry: float) -> Options:
    return Options(*(columns(value) for value in (sign, spot, strike, years, rate, carry)))


def sample(count: int, seed: int = 11) -> tuple[Options, Array]:
    """Calls and puts, 30 to 300 % of the strike, a day to five years, 5 to 150 %, some on futures."""
    random = np.random.default_rng(seed)
    rate = random.uniform(-0.02, 0.10, count)
    options = Options(
        sign=np.where(random.random(count) < 0.5, 1.0, -1.0),
        spot=random.uniform(30.0, 300.0, count),
        strike=np.full(count, 100.0),
        years=random.uniform(1.0, 1825.0, count) / 365.0,
        rate=rate,
        carry=np.where(random.random(count) < 0.2, 0.0, rate - random.uniform(0.0, 0.08, count)),
    )
    return options, random.uniform(0.05, 1.5, count)


# --- published numbers ---

# E. G. Haug, The Complete Guide to Option Pricing Formulas, 2nd ed.: examples of sections 1.1.1 to 1.1.4;
# J. C. Hull, Options, Futures, and Other Derivatives, 9th ed.: examples 15.6, 17.1 (index), 18.6 (futures put)
PUBLISHED = [
    ("Haug stock call", one(+1, 60, 65, 0.25, 0.08, 0.08), 0.30, 2.1334, 5e-5),
    ("Haug index put, 5 % yield", one(-1, 100, 95, 0.5, 0.10, 0.05), 0.20, 2.4648, 5e-5),
    ("Haug futures call", one(+1, 19, 19, 0.75, 0.10, 0.0), 0.28, 1.7011, 5e-5),
    ("Haug futures put", one(-1, 19, 19, 0.75, 0.10, 0.0), 0.28, 1.7011, 5e-5),
    ("Hull stock call", one(+1, 42, 40, 0.5, 0.10, 0.10), 0.20, 4.76, 5e-3),
    ("Hull stock put", one(-1, 42, 40, 0.5, 0.10, 0.10), 0.20, 0.81, 5e-3),
    ("Hull index call, 3 % yield", one(+1, 930, 900, 2 / 12, 0.08, 0.05), 0.20, 51.83, 5e-3),
    ("Hull futures put", one(-1, 20, 20, 4 / 12, 0.09, 0.0), 0.25, 1.12, 5e-3),
]


@pytest.mark.parametrize(("name", "option", "vol", "expected", "within"), PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_prices_are_those_of_the_books(name: str, option: Options, vol: float, expected: float, within: float) -> None:
    assert price(option, columns(vol))[0] == pytest.approx(expected, abs=within)
    assert sensitivities(option, columns(vol)).price[0] == pytest.approx(price(option, columns(vol))[0], rel=1e-13)


def test_greeks_are_those_of_the_book() -> None:
    # Haug 2.1.1: futures S=105 X=100 T=0.5 r=b=0.10... delta of call 0.5946, put -0.3566 with b=0
    call, put = one(+1, 105, 100, 0.5, 0.10, 0.0), one(-1, 105, 100, 0.5, 0.10, 0.0)
    assert sensitivities(call, columns(0.36)).delta[0] == pytest.approx(0.5946, abs=5e-5)
    assert sensitivities(put, columns(0.36)).delta[0] == pytest.approx(-0.3566, abs=5e-5)
    # Haug 2.2.1 (gamma): S=55 X=60 T=0.75 r=b=0.10 vol=0.30 gives 0.0278; 2.3.1 (vega) 18.5027 per 1.00 of volatility
    stock = one(+1, 55, 60, 0.75, 0.10, 0.10)
    assert sensitivities(stock, columns(0.30)).gamma[0] == pytest.approx(0.0278, abs=5e-5)
    index = one(+1, 55, 60, 0.75, 0.105, 0.105 - 0.0355)
    assert sensitivities(index, columns(0.30)).vega[0] == pytest.approx(0.185027, abs=5e-6)
    # Hull 19.1 to 19.7: S=49 X=50 r=5 % vol=20 % 20 weeks: delta 0.522, gamma 0.066, vega 12.1, theta -4.31, rho 8.91
    found = sensitivities(one(+1, 49, 50, 0.3846, 0.05, 0.05), columns(0.20))
    assert found.delta[0] == pytest.approx(0.522, abs=5e-4)
    assert found.gamma[0] == pytest.approx(0.066, abs=5e-4)
    assert found.vega[0] * 100 == pytest.approx(12.1, abs=0.05)
    assert found.theta[0] * 365 == pytest.approx(-4.31, abs=5e-3)
    assert found.rho[0] * 100 == pytest.approx(8.91, abs=5e-3)


def test_units_agree_with_a_recorded_ibkr_quote() -> None:
    # domain facts 1.1: SPX 3205 put, S 3216.19, IV 0.12598, 17.2 days, r 1.6 %, dividends worth 3.17 index points.
    # Recorded by IBKR: gamma 0.004499, vega 2.7588 per point, theta -0.9446 per calendar day.
    # The dividends are paid before expiry, so the option is struck on the spot without them.
    option = one(-1, 3216.19 - 3.17, 3205, 17.2 / 365, 0.016, 0.016)
    found = sensitivities(option, columns(0.12598))
    assert found.gamma[0] == pytest.approx(0.004499, rel=0.01)
    assert found.vega[0] == pytest.approx(2.7588, rel=0.01)
    assert found.theta[0] == pytest.approx(-0.9446, rel=0.01)


def test_normal_distribution() -> None:
    # Abramowitz and Stegun, table 26.1: Q(5) = 2.866515719e-7; Q(1.96) = 0.0249978951
    assert normal_cdf(columns(-5.0))[0] == pytest.approx(2.866515719e-7, rel=1e-9)
    assert normal_cdf(columns(-1.96))[0] == pytest.approx(0.0249978951, rel=1e-8)
    x = np.linspace(-37.0, 9.0, 4001)
    wanted = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in x])
    assert np.abs(normal_cdf(x) - wanted).max() < 4e-16
    assert np.abs(normal_cdf(x) / wanted - 1.0).max() < 3e-13
    assert np.isnan(normal_cdf(columns(math.nan))[0])
    assert normal_cdf(columns(-math.inf, math.inf)).tolist() == [0.0, 1.0]


def test_mills_ratio_lies_between_the_bounds_of_birnbaum_and_sampford() -> None:
    x = np.concatenate([np.geomspace(1e-6, 50.0, 5000), [0.0]])
    ratio = mills(x)
    assert (ratio * (x + np.sqrt(x * x + 4.0)) / 2.0 >= 1.0 - 4e-16).all()  # Birnbaum, 1942
    assert (ratio * (3.0 * x + np.sqrt(x * x + 8.0)) / 4.0 <= 1.0 + 4e-16).all()  # Sampford, 1953
    assert ratio[-1] == pytest.approx(math.sqrt(math.pi / 2.0), rel=4e-16)


# --- QuantLib ---


def oracle(options: Options, vol: Array) -> Sensitivities:
    rows = []
    for sign, spot, strike, years, rate, carry, sigma in zip(
        options.sign, options.spot, options.strike, options.years, options.rate, options.carry, vol, strict=True
    ):
        kind = QuantLib.Option.Call if sign > 0 else QuantLib.Option.Put
        forward, discount = spot * math.exp(carry * years), math.exp(-rate * years)
        payoff = QuantLib.PlainVanillaPayoff(kind, strike)
        found = QuantLib.BlackCalculator(payoff, forward, sigma * math.sqrt(years), discount)
        on_future = carry == 0.0 and rate != 0.0
        rows.append((
            found.value(), found.delta(spot), found.gamma(spot), found.vega(years) / 100,
            found.theta(spot, years) / 365, (-years * found.value() if on_future else found.rho(years)) / 100,
        ))  # fmt: skip
    return Sensitivities(*(np.array(column) for column in zip(*rows, strict=True)))


def test_quantlib_agrees() -> None:
    """Prices within 1e-12 of the spot, Greeks within 1e-9 of theirs (QuantLib's normal distribution is no better)."""
    options, vol = sample(3000)
    found, wanted = sensitivities(options, vol), oracle(options, vol)
    assert np.abs((found.price - wanted.price) / options.spot).max() < 1e-12
    assert np.abs(found.delta - wanted.delta).max() < 1e-12
    assert np.abs((found.gamma - wanted.gamma) * options.spot).max() < 1e-9
    assert np.abs(found.vega - wanted.vega).max() < 1e-9
    assert np.abs(found.rho - wanted.rho).max() < 1e-9
    kept = wanted.theta > -wanted.price  # a day of decay takes no more than the premium
    assert np.abs((found.theta - wanted.theta)[kept]).max() < 1e-9
    assert found.theta[~kept] == pytest.approx(-found.price[~kept])


def test_both_paths_agree() -> None:
    options, vol = sample(5000, seed=3)
    with calculated("compiled"):
        compiled_values = sensitivities(options, vol)
    with calculated("numpy"):
        numpy_values = sensitivities(options, vol)
    for name in (each.name for each in fields(Sensitivities)):
        one_way, other = getattr(compiled_values, name), getattr(numpy_values, name)
        assert np.abs(one_way - other).max() < 2e-13 * max(1.0, np.abs(other).max()), name


# --- laws ---

MONEYNESS, YEARS, VOLS = st.floats(0.3, 3.0), st.floats(0.0005, 5.0), st.floats(0.01, 3.0)
RATES, YIELDS, SIGNS = st.floats(-0.05, 0.15), st.floats(-0.05, 0.15), st.sampled_from([1.0, -1.0])


@given(MONEYNESS, YEARS, VOLS, RATES, YIELDS)
def test_put_call_parity(moneyness: float, years: float, vol: float, rate: float, dividends: float) -> None:
    strike = 100 * moneyness
    call, put = (one(sign, 100, strike, years, rate, rate - dividends) for sign in (+1.0, -1.0))
    difference = price(call, columns(vol))[0] - price(put, columns(vol))[0]
    assert difference == pytest.approx(100 * math.exp(-dividends * years) - strike * math.exp(-rate * years), abs=1e-11)
    one_way, other = sensitivities(call, columns(vol)), sensitivities(put, columns(vol))
    assert one_way.delta[0] - other.delta[0] == pytest.approx(math.exp(-dividends * years), abs=1e-13)
    assert one_way.gamma[0] == pytest.approx(other.gamma[0], rel=1e-12)
    assert one_way.vega[0] == pytest.approx(other.vega[0], rel=1e-12)


@given(SIGNS, MONEYNESS, YEARS, VOLS, RATES, YIELDS)
def test_a_price_lies_between_its_bounds(
    sign: float, moneyness: float, years: float, vol: float, rate: float, dividends: float
) -> None:
    strike = 100 * moneyness
    found = price(one(sign, 100, strike, years, rate, rate - dividends), columns(vol))[0]
    carried, disc = 100 * math.exp(-dividends * years), strike * math.exp(-rate * years)
    assert max(sign * (carried - disc), 0.0) - 1e-13 * strike <= found <= (carried if sign > 0 else disc) * (1 + 1e-13)
    assert found >= 0.0


@given(SIGNS, MONEYNESS, YEARS, VOLS, RATES, YIELDS)
def test_a_price_rises_with_volatility_and_is_convex_and_monotone_in_spot(
    sign: float, moneyness: float, years: float, vol: float, rate: float, dividends: float
) -> None:
    strike, spots = 100 * moneyness, np.linspace(95.0, 105.0, 11)
    whole = np.ones(11)
    ladder = Options(sign * whole, spots, strike * whole, years * whole, rate * whole, (rate - dividends) * whole)
    values, more = price(ladder, vol * whole), price(ladder, 1.01 * vol * whole)
    assert (more >= values - 1e-12).all()
    assert (sign * np.diff(values) >= -1e-12).all()
    assert (np.diff(values, 2) >= -1e-11).all()


@given(SIGNS, MONEYNESS, st.floats(0.05, 3.0), st.floats(0.05, 1.0), RATES, YIELDS)
def test_greeks_are_the_slopes_of_the_price(
    sign: float, moneyness: float, years: float, vol: float, rate: float, dividends: float
) -> None:
    carry, strike = rate - dividends, 100 * moneyness
    found = sensitivities(one(sign, 100, strike, years, rate, carry), columns(vol))

    def slope(up: Options, down: Options, wider: float, by: float) -> float:
        return float(price(up, columns(vol + wider))[0] - price(down, columns(vol - wider))[0]) / (2 * by)

    def at(spot: float = 100.0, later: float = 0.0, dearer: float = 0.0) -> Options:
        return one(sign, spot, strike, years + later, rate + dearer, carry + dearer)

    assert found.delta[0] == pytest.approx(slope(at(100.001), at(99.999), 0.0, 0.001), abs=1e-7)
    assert found.vega[0] * 100 == pytest.approx(slope(at(), at(), 1e-5, 1e-5), rel=1e-4, abs=1e-4)
    if carry != 0.0:
        assert found.rho[0] * 100 == pytest.approx(
            slope(at(dearer=1e-6), at(dearer=-1e-6), 0.0, 1e-6), rel=1e-4, abs=1e-3
        )
    if found.theta[0] > -found.price[0]:
        decay = -slope(at(later=1e-6), at(later=-1e-6), 0.0, 1e-6)
        assert found.theta[0] * 365 == pytest.approx(decay, rel=1e-4, abs=1e-3)


def test_theta_takes_no_more_than_the_premium() -> None:
    # the last two hours of an at-the-money option: a whole day of decay would be more than it is worth
    option = one(+1, 100, 100, 2 / 24 / 365, 0.0, 0.0)
    found = sensitivities(option, columns(0.2))
    assert found.theta[0] == pytest.approx(-found.price[0])


# --- bad and extreme input ---


def all_of(found: Sensitivities) -> list[float]:
    return [float(getattr(found, each.name)[0]) for each in fields(Sensitivities)]


@pytest.mark.parametrize("place", ["sign", "spot", "strike", "years", "rate", "carry", "vol"])
def test_nan_anywhere_is_nan_everywhere(place: str) -> None:
    values = {"sign": 1.0, "spot": 100.0, "strike": 90.0, "years": 0.5, "rate": 0.02, "carry": 0.01, "vol": 0.2}
    values[place] = math.nan
    vol = columns(values.pop("vol"))
    with np.errstate(all="raise"):
        assert all(math.isnan(value) for value in all_of(sensitivities(one(**values), vol)))


@pytest.mark.parametrize(
    ("spot", "strike"), [(0.0, 100.0), (-1.0, 100.0), (100.0, 0.0), (100.0, -5.0), (math.inf, 100.0)]
)
def test_what_has_no_price_gives_nan(spot: float, strike: float) -> None:
    with np.errstate(all="raise"):
        assert all(
            math.isnan(value) for value in all_of(sensitivities(one(1, spot, strike, 0.5, 0.02, 0.02), columns(0.2)))
        )


@pytest.mark.parametrize("years", [0.0, -0.1])
def test_without_time_the_price_is_intrinsic_and_the_greeks_unknown(years: float) -> None:
    with np.errstate(all="raise"):
        for sign, spot, worth in ((1, 104.0, 4.0), (1, 96.0, 0.0), (-1, 96.0, 4.0), (-1, 100.0, 0.0)):
            found = all_of(sensitivities(one(sign, spot, 100.0, years, 0.05, 0.05), columns(0.2)))
            assert found[0] == worth
            assert all(math.isnan(value) for value in found[1:])


def test_without_volatility_the_price_is_what_is_sure() -> None:
    call = one(1, 100, 95, 1.0, 0.05, 0.05)
    with np.errstate(all="raise"):
        found = all_of(sensitivities(call, columns(0.0)))
        assert found[0] == pytest.approx(100 - 95 * math.exp(-0.05))
        assert all(math.isnan(value) for value in found[1:])
        assert all(math.isnan(value) for value in all_of(sensitivities(call, columns(-0.2))))


def test_the_last_minute() -> None:
    """One second to a minute before expiry, strikes around the spot: finite and within the bounds."""
    minute = 60 / 31_536_000
    # at the money: spot x sd / sqrt(2 pi), 5000 x 0.2 x sqrt(minute) x 0.3989 = 0.5503
    found = sensitivities(one(1, 5000, 5000, minute, 0.0, 0.0), columns(0.2))
    assert found.price[0] == pytest.approx(5000 * 0.2 * math.sqrt(minute) / math.sqrt(2 * math.pi), rel=1e-6)
    assert found.gamma[0] == pytest.approx(1 / (5000 * 0.2 * math.sqrt(minute) * math.sqrt(2 * math.pi)), rel=1e-6)
    assert found.theta[0] == -found.price[0]
    for seconds in (1, 60):
        for strike in (4000.0, 4999.0, 5001.0, 6000.0):
            values = all_of(sensitivities(one(-1, 5000, strike, seconds / 31_536_000, 0.05, 0.05), columns(0.2)))
            assert all(math.isfinite(value) for value in values)
            assert max(strike - 5000, 0.0) - 0.01 <= values[0] <= strike


def test_a_strike_of_a_half_negative_rates_and_a_huge_volatility() -> None:
    small = price(one(-1, 0.4, 0.5, 0.25, 0.0, 0.0), columns(0.8))[0]
    assert small == pytest.approx(price(one(-1, 40, 50, 0.25, 0.0, 0.0), columns(0.8))[0] / 100, rel=1e-12)
    # a negative rate makes the strike worth more than its face: 100 e^0.02 - 0 as volatility grows
    assert price(one(-1, 100, 100, 1.0, -0.02, -0.02), columns(50.0))[0] == pytest.approx(100 * math.exp(0.02))
    assert price(one(+1, 100, 100, 1.0, 0.0, 0.0), columns(50.0))[0] == pytest.approx(100.0)
    found = all_of(sensitivities(one(+1, 100, 1e-3, 1.0, 0.02, 0.02), columns(100.0)))
    assert all(math.isfinite(value) for value in found)


def test_far_out_of_the_money_keeps_its_digits() -> None:
    # K = S e^3, vol x sqrt(T) = 0.1: 1.6299225553377486e-200 of sqrt(F K) by 60-digit arithmetic
    found = price(one(+1, 1.0, math.exp(3.0), 1.0, 0.0, 0.0), columns(0.1))[0]
    assert found / math.exp(1.5) == pytest.approx(1.6299225553377486e-200, rel=1e-12)


def test_a_bad_row_leaves_its_neighbours_alone() -> None:
    options, vol = sample(200)
    clean = price(options, vol)
    options.spot[[0, 63, 64, 199]] = math.nan
    found = price(options, vol)
    assert np.isnan(found).nonzero()[0].tolist() == [0, 63, 64, 199]
    kept = ~np.isnan(found)
    assert (found[kept] == clean[kept]).all()


def test_more_options_than_one_thread_takes_are_all_priced() -> None:
    options, vol = sample(40_001)
    whole = price(options, vol)
    for place in (0, 8191, 8192, 20_000, 20_001, 40_000):
        alone = options.at(np.array([place]))
        assert price(alone, vol[place : place + 1])[0] == pytest.approx(whole[place], rel=1e-13, abs=1e-13)


def test_columns_given_are_written_to() -> None:
    options, vol = sample(100)
    own = Sensitivities(*(np.full(100, math.nan) for _ in range(6)))
    assert sensitivities(options, vol, own) is own
    wanted = sensitivities(options, vol)
    for name in (each.name for each in fields(Sensitivities)):
        assert getattr(own, name).tolist() == getattr(wanted, name).tolist()
    with pytest.raises(ValueError, match="contiguous float64 columns of 100"):
        price(options, vol, np.empty(99))


def test_columns_may_be_strided_or_of_length_one_but_not_of_other_lengths() -> None:
    options, vol = sample(50)
    rate = columns(0.03)
    lent = Options(options.sign, options.spot, options.strike, options.years, rate, rate)
    full = Options(options.sign, options.spot, options.strike, options.years, np.full(50, 0.03), np.full(50, 0.03))
    assert price(lent, vol).tolist() == price(full, vol).tolist()
    doubled = np.repeat(vol, 2)[::2]
    assert price(full, doubled).tolist() == price(full, vol).tolist()
    with pytest.raises(ValueError):
        price(full, vol[:49])


# --- rho: what is struck on a future does not carry ---


@pytest.mark.parametrize(
    ("rate", "on_future", "rho"),
    # a year at the money forward, 20 %: 100 erf(0.2 / sqrt 8) = 7.96556746 before discounting, N(d2) = N(-0.1) =
    # 0.46017216, e^-0.05 = 0.95122942; on a share K e^-rT N(d2) / 100, on a future -price / 100
    [(0.05, False, 0.43772931), (0.05, True, -0.07577083), (0.0, False, 0.46017216), (0.0, True, -0.07965567)],
)
def test_rho_hangs_on_what_the_option_is_struck_on(rate: float, on_future: bool, rho: float) -> None:  # noqa: FBT001  # a table's column
    told = replace(one(+1, 100, 100, 1.0, rate, 0.0), on_future=np.array([on_future]))
    found, untold = (sensitivities(each, columns(0.2)) for each in (told, replace(told, on_future=None)))
    assert found.rho[0] == pytest.approx(rho, abs=1e-8)
    assert [found.price[0], found.delta[0], found.theta[0]] == [untold.price[0], untold.delta[0], untold.theta[0]]
    assert untold.rho[0] == pytest.approx(0.46017216 if rate == 0.0 else -0.07577083, abs=1e-8)  # the guess


def test_rho_stays_unknown_without_time_or_volatility_whatever_it_is_struck_on() -> None:
    for years, vol in ((0.0, 0.2), (1.0, 0.0), (1.0, math.nan)):
        both = one(+1, 100, 100, years, 0.05, 0.0)
        for on_future in (True, False):
            assert np.isnan(sensitivities(replace(both, on_future=np.array([on_future])), columns(vol)).rho).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("on_future", [True, False])
def test_rho_of_early_exercise_moves_the_carry_of_a_share_alone(sign: float, on_future: bool) -> None:  # noqa: FBT001  # a table's column
    option, vol, bump = one(sign, 100, 100, 1.0, 0.05, 0.0), columns(0.2), 1e-4
    found = american.sensitivities(replace(option, on_future=np.array([on_future])), vol).rho[0]
    dear, cheap = (
        american.price(one(sign, 100, 100, 1.0, 0.05 + by, 0.0 if on_future else by), vol)[0] for by in (bump, -bump)
    )
    assert found == pytest.approx((dear - cheap) / (2 * bump) / 100, rel=1e-3)


def test_rows_asked_for_keep_what_they_are_struck_on() -> None:
    options, _ = sample(3)
    told = replace(options, on_future=np.array([True, False, False])).at(np.array([2, 0, 0]))
    assert told.futures().tolist() == [False, True, True]


# --- grids ---


def axes(options: Options, vol: Array) -> Axes:
    days = np.array([0.0, 5.0, 40.0]) / 365.0
    return Axes(
        options.spot[:, None] * np.linspace(0.7, 1.3, 5),
        vol[:, None] * np.array([0.5, 1.0, 1.7, 2.0]),
        options.years[:, None] - days,
    )


def test_each_cell_of_a_grid_is_a_price() -> None:
    options, vol = sample(40)
    cells = axes(options, vol)
    found = grid(options, cells)
    assert found.shape == (40, 5, 4, 3)
    for s in range(5):
        for v in range(4):
            for d in range(3):
                shocked = Options(
                    options.sign, cells.spot[:, s], options.strike, cells.years[:, d], options.rate, options.carry
                )
                wanted = price(shocked, np.ascontiguousarray(cells.vol[:, v]))
                assert np.abs(found[:, s, v, d] - wanted).max() < 2e-13 * 400, (s, v, d)


def test_cells_without_time_or_volatility() -> None:
    option = Options(*(np.repeat(value, 2) for value in (columns(1.0), columns(1.0), columns(100.0), columns(1.0),
                                                         columns(0.05), columns(0.05))))  # fmt: skip
    option.sign[1] = -1.0
    cells = Axes(
        np.array([[90.0, 110.0]] * 2), np.array([[0.2, 0.0, -0.1, math.nan]] * 2), np.array([[0.5, 0.0, -1.0]] * 2)
    )
    with np.errstate(all="raise"):
        found = grid(option, cells)
    assert found[0, :, 0, 1].tolist() == [0.0, 10.0]  # the call, at expiry
    assert found[1, :, 0, 2].tolist() == [10.0, 0.0]  # the put, past it
    assert found[0, 1, 1, 0] == pytest.approx(110 - 100 * math.exp(-0.025))  # no volatility: what is sure
    assert np.isnan(found[:, :, 2, 0]).all()
    assert np.isnan(found[:, :, 3, :]).all()
    assert np.isfinite(found[:, :, 0, :]).all()


def test_a_grid_of_nan_and_of_nothing() -> None:
    options, vol = sample(3)
    cells = axes(options, vol)
    cells.spot[1, 2], cells.years[2, 0] = math.nan, math.nan
    found = grid(options, cells)
    assert np.isnan(found[1, 2]).all()
    assert np.isnan(found[2, :, :, 0]).all()
    assert np.isfinite(found[0]).all()
    none = Options(*(np.empty(0) for _ in range(6)))
    assert grid(none, Axes(np.empty((0, 5)), np.empty((0, 4)), np.empty((0, 3)))).shape == (0, 5, 4, 3)
    assert price(none, np.empty(0)).size == 0
    with pytest.raises(ValueError, match="3 options need"):
        grid(options, Axes(cells.spot[:2], cells.vol, cells.years))
