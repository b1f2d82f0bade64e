"""Implied volatilities: exact prices far in the wings, prices that hold none, and two samples of real chains."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from datetime import date
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.pricing import Array, Options, implied_vol, price, sensitivities
from guardrails.pricing.implied import HIGHEST_VOL, LOWEST_VOL
from tests.books import SHARED
from tests.test_pricing import PATHS, calculated, columns, one


@pytest.fixture(params=PATHS, autouse=True)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Everything here holds with the compiled kernels and without them."""
    with calculated(request.param):
        yield request.param


def exact_prices(x: Array, s: Array) -> Array:
    """Undiscounted price over sqrt(F K) of the out-of-the-money option, x = |ln(F / K)|, s = vol x sqrt(T).

    The integral of vega over the volatility from 0 to s: a sum of positive terms, so nothing cancels, in 80-bit
    numbers. With v = s e^(-u) it is smooth; panels of Gauss and Legendre grow with u.
    """
    nodes, weights = (part.astype(np.longdouble) for part in np.polynomial.legendre.leggauss(24))
    wide, total = np.asarray(x, np.longdouble), np.asarray(s, np.longdouble)
    begin, found = np.zeros_like(total), np.zeros_like(total)
    width = np.minimum(np.longdouble(0.7), 0.7 / (1.0 + (wide / total) ** 2))
    last = np.minimum(0.5 * np.log1p(100.0 * (total / wide) ** 2), 46.0)
    """beyond it 1e-20 is left: v has fallen by as much, or the density"""
    while (left := (begin < last).nonzero()[0]).size:
        v = total[left, None] * np.exp(-(begin[left, None] + 0.5 * width[left, None] * (nodes + 1.0)))
        density = np.exp(-0.5 * (wide[left, None] / v) ** 2 - 0.125 * v * v)
        found[left] += 0.5 * width[left] * (density * v * weights).sum(axis=1)
        begin, width = begin + width, np.minimum(1.3 * width, np.longdouble(0.7))
    return np.asarray(found / np.sqrt(2.0 * np.longdouble(math.pi)))


def out_of_the_money(x: Array, s: Array) -> tuple[Options, Array, Array]:
    """Calls and puts in turn on a forward of 100 for a year at no rate, their exact prices, and s."""
    call = np.arange(x.size) % 2 == 0
    strike = 100.0 * np.exp(np.where(call, x, -x))
    exact = np.abs(np.log(strike.astype(np.longdouble) / 100))
    target = (np.sqrt(100 * strike.astype(np.longdouble)) * exact_prices(exact, s)).astype(np.float64)
    kept = target > 1e-290
    ones = np.ones(kept.sum())
    sign = np.where(call, 1.0, -1.0)[kept]
    return Options(sign, 100.0 * ones, strike[kept], ones, 0.0 * ones, 0.0 * ones), target[kept], s[kept]


@cache
def wing_grid() -> tuple[Options, Array, Array]:
    x, s = np.meshgrid(np.logspace(-9, 1, 113), np.geomspace(0.003, 8.0, 121), indexing="ij")
    return out_of_the_money(x.ravel(), s.ravel())


@cache
def wing_sample() -> tuple[Options, Array, Array]:
    random = np.random.default_rng(7)
    s = random.uniform(0.05, 1.5, 10_000) * np.sqrt(random.uniform(3.0, 730.0, 10_000) / 365.0)
    near, far = random.uniform(0.0, 2.5, 10_000), random.uniform(2.5, 9.0, 10_000)
    return out_of_the_money(np.where(np.arange(10_000) % 4 < 2, near, far) * s, s)


def test_the_exact_prices_are_those_of_the_closed_form_where_that_holds() -> None:
    # Haug 1.1.2: index put S=100 X=95 T=0.5 r=0.10 b=0.05 vol=0.20 is 2.4648
    forward, strike, discount = 100 * math.exp(0.025), 95.0, math.exp(-0.05)
    found = exact_prices(np.array([math.log(forward / strike)]), np.array([0.2 * math.sqrt(0.5)]))
    assert discount * math.sqrt(forward * strike) * float(found[0]) == pytest.approx(2.4648, abs=5e-5)


def test_wings_and_middle_have_no_failure_and_twelve_digits() -> None:
    """|ln F/K| of 1e-9 to 10, vol x sqrt(T) of 0.003 to 8: every price a double can hold."""
    options, target, wanted = wing_grid()
    assert target.size > 12_500
    found = implied_vol(options, target)
    assert not np.isnan(found).any()
    assert np.abs(found / wanted - 1.0).max() < 1e-12


def test_ten_thousand_options_half_of_them_far_in_the_wings() -> None:
    """|delta| from one half down to 1e-10 and less, volatilities of 5 to 150 %, 3 days to 2 years."""
    options, target, wanted = wing_sample()
    assert target.size == 10_000
    assert np.abs(sensitivities(options, wanted).delta).min() < 1e-10
    assert np.abs(implied_vol(options, target) / wanted - 1.0).max() < 1e-12


def test_exactly_at_the_money_forward() -> None:
    # N(s/2) - N(-s/2) = erf(s / sqrt(8))
    target = columns(*(100.0 * math.erf(s / math.sqrt(8.0)) for s in (0.001, 0.2, 1.0, 5.0)))
    ones = np.ones(4)
    found = implied_vol(Options(ones, 100 * ones, 100 * ones, ones, 0 * ones, 0 * ones), target)
    assert found == pytest.approx([0.001, 0.2, 1.0, 5.0], rel=1e-11)


@given(
    sign=st.sampled_from([1.0, -1.0]),
    moneyness=st.floats(0.7, 1.4),
    years=st.floats(0.01, 2.0),
    vol=st.floats(0.05, 1.5),
    rate=st.floats(-0.01, 0.08),
    dividends=st.floats(0.0, 0.08),
)
def test_it_inverts_the_price(
    sign: float, moneyness: float, years: float, vol: float, rate: float, dividends: float
) -> None:
    option = one(sign, 100, 100 * moneyness, years, rate, rate - dividends)
    if sensitivities(option, columns(vol)).vega[0] < 1e-4:
        return  # deep in or out of the money a price rounded to 1e-14 says little about the volatility
    assert implied_vol(option, price(option, columns(vol)))[0] == pytest.approx(vol, rel=1e-9)


def test_no_volatility_fits_a_price_below_intrinsic_or_above_the_spot() -> None:
    deep = one(+1, 120, 100, 0.25, 0.0, 0.0)
    for target in (19.0, 20.0, 20.0 + 1e-14, 120.0, 121.0, 0.0, -1.0, math.nan, math.inf):
        assert math.isnan(implied_vol(deep, columns(target))[0]), target
    assert implied_vol(deep, columns(21.0))[0] > 0.0
    put = one(-1, 100, 120, 0.25, 0.05, 0.05)
    # 120 e^(-0.0125) = 118.509: sure is 18.509, at most 118.509
    for target in (18.50, 118.52):
        assert math.isnan(implied_vol(put, columns(target))[0]), target
    for target in (18.52, 100.0):
        assert implied_vol(put, columns(target))[0] > 0.0, target


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["spot", "strike", "years"])
def test_what_is_no_option_has_no_volatility(place: str, bad: float) -> None:
    values = {"spot": 100.0, "strike": 100.0, "years": 0.5, place: bad}
    option = one(+1, values["spot"], values["strike"], values["years"], 0.02, 0.02)
    with np.errstate(all="raise"):
        assert math.isnan(implied_vol(option, columns(5.0))[0])


def test_volatilities_beyond_the_bounds_are_not_given() -> None:
    option = one(+1, 100, 100, 1.0, 0.0, 0.0)
    for vol, known in (
        (LOWEST_VOL * 0.99, False), (LOWEST_VOL * 1.01, True), (HIGHEST_VOL * 0.99, True), (HIGHEST_VOL * 1.01, False),
    ):  # fmt: skip
        target = columns(100.0 * math.erf(vol / math.sqrt(8.0)))
        assert math.isnan(implied_vol(option, target)[0]) is not known, vol


def test_a_bad_row_leaves_its_neighbours_alone() -> None:
    size = 131  # more than two tiles of the kernel, and an end that fills none
    ones, target = np.ones(size), np.full(size, 7.9655674554058)  # 100 erf(0.2 / sqrt 2 / 2)
    target[[3, 64, 130]] = math.nan, 0.0, 1e9
    found = implied_vol(Options(ones, 100 * ones, 100 * ones, ones, 0 * ones, 0 * ones), target)
    assert np.isnan(found).nonzero()[0].tolist() == [3, 64, 130]
    assert np.delete(found, [3, 64, 130]) == pytest.approx(0.2, rel=1e-12)


def test_spxw_sample_reproduces_the_vendor_volatility() -> None:
    file = SHARED / "data" / "chain_spxw_20230623.csv"
    if not file.exists():
        pytest.skip("shared/data/chain_spxw_20230623.csv is not here")
    rows = list(csv.DictReader(file.open()))
    assert len(rows) == 12
    for row in rows:
        sign = 1.0 if row["right"] == "C" else -1.0
        years = (date.fromisoformat(row["expiry"]) - date(2023, 6, 23)).days / 365
        option = one(sign, float(row["underlying_close"]), float(row["strike"]), years, 0.05, 0.05 - 0.015)
        implied = implied_vol(option, columns(float(row["close"])))[0]
        assert implied == pytest.approx(float(row["implied_volatility"]), abs=0.01), row["strike"]


def goog() -> tuple[list[dict[str, str]], Array]:
    """The rows of the GOOG sample and the volatility of each mid (European, r 0.4 %, no dividend, days / 365)."""
    file = SHARED / "data" / "chain_goog_20151224.csv"
    if not file.exists():
        pytest.skip("shared/data/chain_goog_20151224.csv is not here")
    rows = list(csv.DictReader(file.open()))
    rate = np.full(len(rows), 0.004)
    options = Options(
        sign=np.array([1.0 if row["right"] == "C" else -1.0 for row in rows]),
        spot=np.array([float(row["underlying_close"]) for row in rows]),
        strike=np.array([float(row["strike"]) for row in rows]),
        years=np.array([(date.fromisoformat(row["expiry"]) - date(2015, 12, 24)).days / 365 for row in rows]),
        rate=rate,
        carry=rate,
    )
    mid = np.array([(float(row["bid"] or "nan") + float(row["ask"] or "nan")) / 2 for row in rows])
    return rows, implied_vol(options, mid)


def test_goog_sample_reproduces_the_reference_volatility() -> None:
    rows, implied = goog()
    pairs = [(vol, row["bs_iv_from_mid"]) for row, vol in zip(rows, implied, strict=True) if row["bs_iv_from_mid"]]
    assert len(pairs) == 1688
    assert max(abs(vol - float(reference)) for vol, reference in pairs) < 5.1e-5  # it has four digits


def test_goog_rows_marked_suspect_are_those_whose_volatility_is_not_that_of_the_mid() -> None:
    rows, implied = goog()
    found: dict[str, set[int]] = {"": set(), "ok": set(), "suspect": set()}
    for place, (row, vol) in enumerate(zip(rows, implied, strict=True)):
        apart = abs(vol - float(row["vendor_iv"]))
        found["" if math.isnan(vol) else "suspect" if apart > 0.03 else "ok"].add(place)
    for mark, places in found.items():
        assert places == {place for place, row in enumerate(rows) if row["vendor_iv_check"] == mark}
    assert {mark: len(places) for mark, places in found.items()} == {"": 91, "ok": 371, "suspect": 1317}
