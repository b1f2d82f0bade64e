"""Closed forms against published numbers, and the laws any option price obeys."""

from __future__ import annotations

import csv
import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.pricing import Array, Options, implied_vol, normal_cdf, price, sensitivities
from tests.books import SHARED


def columns(*values: float) -> Array:
    return np.array(values, dtype=np.float64)


def one(sign: float, spot: float, strike: float, years: float, rate: float, carry: float) -> Options:
    return Options(*(columns(value) for value in (sign, spot, strike, years, rate, carry)))


# E. G. Haug, The Complete Guide to Option Pricing Formulas, 2nd ed.: examples of sections 1.1.1 to 1.1.4, and 2.5, 2.7
HAUG_PRICES = [
    ("stock call", one(+1, 60, 65, 0.25, 0.08, 0.08), 0.30, 2.1334),
    ("index put, 5 % yield", one(-1, 100, 95, 0.5, 0.10, 0.05), 0.20, 2.4648),
    ("futures call", one(+1, 19, 19, 0.75, 0.10, 0.0), 0.28, 1.7011),
    ("futures put", one(-1, 19, 19, 0.75, 0.10, 0.0), 0.28, 1.7011),
]


@pytest.mark.parametrize(("name", "option", "vol", "expected"), HAUG_PRICES, ids=[row[0] for row in HAUG_PRICES])
def test_prices_are_those_of_the_book(name: str, option: Options, vol: float, expected: float) -> None:
    assert price(option, columns(vol))[0] == pytest.approx(expected, abs=5e-5)


def test_greeks_are_those_of_the_book() -> None:
    # Haug 2.1.1: futures S=105 X=100 T=0.5 r=b=0.10... delta of call 0.5946, put -0.3566 with b=0
    call, put = one(+1, 105, 100, 0.5, 0.10, 0.0), one(-1, 105, 100, 0.5, 0.10, 0.0)
    assert sensitivities(call, columns(0.36)).delta[0] == pytest.approx(0.5946, abs=5e-5)
    assert sensitivities(put, columns(0.36)).delta[0] == pytest.approx(-0.3566, abs=5e-5)
    # Haug 2.2.1 (gamma): S=55 X=60 T=0.75 r=b=0.10 vol=0.30 gives 0.0278; 2.3.1 (vega) 18.9358 per 1.00 of volatility
    stock = one(+1, 55, 60, 0.75, 0.10, 0.10)
    assert sensitivities(stock, columns(0.30)).gamma[0] == pytest.approx(0.0278, abs=5e-5)
    index = one(+1, 55, 60, 0.75, 0.105, 0.105 - 0.0355)
    assert sensitivities(index, columns(0.30)).vega[0] == pytest.approx(0.185027, abs=5e-6)


def test_units_agree_with_a_recorded_ibkr_quote() -> None:
    # domain facts 1.1: SPX 3205 put, S 3216.19, IV 0.12598, 17.2 days, r 1.6 %, dividends worth 3.17 index points.
    # Recorded by IBKR: gamma 0.004499, vega 2.7588 per point, theta -0.9446 per calendar day.
    # The dividends are paid before expiry, so the option is struck on the spot without them.
    option = one(-1, 3216.19 - 3.17, 3205, 17.2 / 365, 0.016, 0.016)
    found = sensitivities(option, columns(0.12598))
    assert found.gamma[0] == pytest.approx(0.004499, rel=0.01)
    assert found.vega[0] == pytest.approx(2.7588, rel=0.01)
    assert found.theta[0] == pytest.approx(-0.9446, rel=0.01)


def test_theta_takes_no_more_than_the_premium() -> None:
    # the last two hours of an at-the-money option: a whole day of decay would be more than it is worth
    option = one(+1, 100, 100, 2 / 24 / 365, 0.0, 0.0)
    found = sensitivities(option, columns(0.2))
    assert found.theta[0] == pytest.approx(-found.price[0])


def test_no_volatility_fits_a_price_below_intrinsic_or_above_the_spot() -> None:
    deep = one(+1, 120, 100, 0.25, 0.0, 0.0)
    assert math.isnan(implied_vol(deep, columns(19.0))[0])
    assert math.isnan(implied_vol(deep, columns(121.0))[0])
    assert math.isnan(implied_vol(one(+1, 120, 100, 0.0, 0.0, 0.0), columns(21.0))[0])
    assert math.isnan(implied_vol(deep, columns(math.nan))[0])


@given(
    sign=st.sampled_from([1.0, -1.0]),
    moneyness=st.floats(0.7, 1.4),
    years=st.floats(0.01, 2.0),
    vol=st.floats(0.05, 1.5),
    rate=st.floats(-0.01, 0.08),
)
def test_implied_volatility_inverts_the_price(
    sign: float, moneyness: float, years: float, vol: float, rate: float
) -> None:
    option = one(sign, 100, 100 * moneyness, years, rate, rate)
    target = price(option, columns(vol))
    if sensitivities(option, columns(vol)).vega[0] < 1e-4:
        return  # deep in or out of the money the price says nothing about the volatility
    assert implied_vol(option, target)[0] == pytest.approx(vol, rel=1e-6)


@given(moneyness=st.floats(0.5, 2.0), years=st.floats(0.005, 3.0), vol=st.floats(0.03, 2.0), rate=st.floats(0.0, 0.1))
def test_put_call_parity(moneyness: float, years: float, vol: float, rate: float) -> None:
    strike = 100 * moneyness
    call, put = one(+1, 100, strike, years, rate, rate), one(-1, 100, strike, years, rate, rate)
    difference = price(call, columns(vol))[0] - price(put, columns(vol))[0]
    assert difference == pytest.approx(100 - strike * math.exp(-rate * years), abs=1e-9)


def test_normal_distribution_in_the_tail() -> None:
    # Abramowitz and Stegun, table 26.1: Q(5) = 2.866515719e-7; Q(1.96) = 0.0249978951
    assert normal_cdf(columns(-5.0))[0] == pytest.approx(2.866515719e-7, rel=1e-9)
    assert normal_cdf(columns(-1.96))[0] == pytest.approx(0.0249978951, rel=1e-8)


def test_spxw_sample_reproduces_the_vendor_volatility() -> None:
    path = SHARED / "data" / "chain_spxw_20230623.csv"
    if not path.exists():
        pytest.skip("shared/data/chain_spxw_20230623.csv is not here")
    rows = list(csv.DictReader(path.open()))
    for row in rows:
        sign = 1.0 if row["right"] == "C" else -1.0
        years = (date.fromisoformat(row["expiry"]) - date(2023, 6, 23)).days / 365
        option = one(sign, float(row["underlying_close"]), float(row["strike"]), years, 0.05, 0.05 - 0.015)
        implied = implied_vol(option, columns(float(row["close"])))[0]
        assert implied == pytest.approx(float(row["implied_volatility"]), abs=0.01), row["strike"]
    assert len(rows) == 12


def test_goog_sample_reproduces_the_reference_volatility() -> None:
    path = SHARED / "data" / "chain_goog_20151224.csv"
    if not path.exists():
        pytest.skip("shared/data/chain_goog_20151224.csv is not here")
    worst, compared = 0.0, 0
    for row in csv.DictReader(path.open()):
        if not row["bs_iv_from_mid"] or float(row["bs_iv_from_mid"]) <= 0:
            continue
        years = (date.fromisoformat(row["expiry"]) - date(2015, 12, 24)).days / 365
        sign = 1.0 if row["right"] == "C" else -1.0
        option = one(sign, float(row["underlying_close"]), float(row["strike"]), years, 0.004, 0.004)
        mid = (float(row["bid"]) + float(row["ask"])) / 2
        reference = float(row["bs_iv_from_mid"])
        if sensitivities(option, columns(reference)).vega[0] < 0.01:
            continue
        worst, compared = max(worst, abs(implied_vol(option, columns(mid))[0] - reference)), compared + 1
    assert compared > 1000
    assert worst < 0.002
