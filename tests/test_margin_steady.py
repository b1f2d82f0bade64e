"""The pairing that is remembered from one cycle to the next is a pairing like any other."""

from __future__ import annotations

import math
import random
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.instruments import Instrument, Kind
from guardrails.margin import strategy
from guardrails.margin.integer_program import NEARLY
from guardrails.margin.legs import Leg
from guardrails.margin.pairing import MOST_TOGETHER, pair, searched
from guardrails.margin.steady import rounded, steady
from tests.test_margin_strategy import alone, option, stock

SPOTS = {"XYZ": 100.0, "ABC": 250.0}
FUTURE = Leg(Instrument(Kind.FUTURE, "/ESZ26", "/ESZ26", "/ES"), 1.0, 50.0, 6000.0, 6000.0)


@st.composite
def books(draw: st.DrawFn, *, prices_round: bool = True) -> list[Leg]:
    """Options and stock of two names; at prices that are rounded already, or at any."""
    tick = 0.0 if prices_round else draw(st.floats(-0.004, 0.004))
    found = []
    for _ in range(draw(st.integers(1, 7))):
        name = draw(st.sampled_from(sorted(SPOTS)))
        spot = SPOTS[name] * (1.0 + tick)
        strike, right = (
            round(SPOTS[name] * draw(st.sampled_from((0.8, 0.9, 1.0, 1.1, 1.2)))),
            draw(st.sampled_from("CP")),
        )
        inside = max(spot - strike if right == "C" else strike - spot, 0.0)
        price = inside + draw(st.sampled_from((0.05, 1.0, 4.0))) * (1.0 + 5.0 * tick)
        held = draw(st.sampled_from((-3, -2, -1, 1, 2)))
        found.append(
            option(f"{name} {draw(st.sampled_from(('261218', '270115')))} {right} {strike}", held, price, spot)
        )
    lots = draw(st.integers(-2, 2))
    legs = [*found, *([stock(100.0 * lots, SPOTS["XYZ"] * (1.0 + tick))] if lots else [])]
    return [rounded(leg) for leg in legs] if prices_round else legs


def total(legs: list[Leg]) -> float:
    return strategy.requirement(legs, steady(legs)).total


@settings(max_examples=60, deadline=None)
@given(books())
def test_at_round_prices_it_is_the_cheapest(legs: list[Leg]) -> None:
    assert steady(legs) == pair(legs)


@settings(max_examples=60, deadline=None)
@given(books(prices_round=False))
def test_at_any_price_it_lies_between_the_cheapest_and_everything_uncovered(legs: list[Leg]) -> None:
    best = strategy.requirement(legs).total
    apart = sum(abs(leg.quantity) * leg.scale * alone(leg) for leg in legs)
    assert best * (1 - NEARLY) - 1e-6 <= total(legs) <= apart * (1 + 1e-12)
    assert total(legs) <= best * 1.05 + 1e-6  # options are rounded to a few parts in a hundred


@settings(max_examples=60, deadline=None)
@given(books(prices_round=False), st.randoms(use_true_random=False))
def test_every_contract_is_in_one_package_whatever_the_order(legs: list[Leg], order: random.Random) -> None:
    shuffled = list(legs)
    order.shuffle(shuffled)
    for some in (legs, shuffled):
        held = [0.0] * len(some)
        for package in steady(some).packages:
            assert len({some[row].underlying for row in package.legs}) == 1
            for row, amount in zip(package.legs, package.amounts, strict=True):
                held[row] += amount
        assert held == pytest.approx([leg.quantity for leg in some])
    assert total(shuffled) == pytest.approx(total(legs), rel=2 * NEARLY)


def condor(tick: float = 0.0, size: int = 1) -> list[Leg]:
    """By hand: wings of 5 and 5 on one side each, so the condor loses 500 at most."""
    return [
        option("XYZ 261218 P 95", -size, 1.21 + tick, 100.04 + tick),
        option("XYZ 261218 P 90", size, 0.61, 100.04 + tick),
        option("XYZ 261218 C 105", -size, 1.11, 100.04 + tick),
        option("XYZ 261218 C 110", size, 0.51, 100.04 + tick),
    ]


def test_a_tick_asks_no_new_question_and_a_trade_does() -> None:
    searched.cache_clear()
    assert total(condor()) == pytest.approx(500.0)
    searches = searched.cache_info().misses
    assert total(condor(0.01)) == pytest.approx(500.0)
    assert searched.cache_info().misses == searches
    assert total(condor(size=2)) == pytest.approx(1_000.0)
    assert total(condor(10.0)) == pytest.approx(500.0)
    assert searched.cache_info().misses == searches + 2


def many(raised: float = 1.0, *, only: int | None = None) -> list[Leg]:
    """Forty-eight puts of two expiries, every other one sold; `raised` multiplies all prices, or that of `only` one."""
    return [
        option(
            f"XYZ {expiry} P {strike}",
            (-1) ** strike,
            (max(strike - 100.0, 0.0) + 3.2) * (raised if only in (None, strike) and expiry == "261218" else 1.0),
            100.0,
        )
        for expiry in ("261218", "270115")
        for strike in range(88, 112)
    ]


def test_one_tick_asks_about_one_part_only() -> None:
    searched.cache_clear()
    steady(many())
    parts = searched.cache_info().misses
    assert parts == 2 * 24 / (MOST_TOGETHER / 2)  # of each expiry the nearest twelve, and the rest
    steady(many(1.5, only=90))
    assert searched.cache_info().misses == parts + 1


def test_a_hundredth_more_for_every_price_asks_hardly_anything_anew() -> None:
    searched.cache_clear()
    steady(many())
    parts = searched.cache_info().misses
    steady(many(1.01))
    assert searched.cache_info().misses <= parts + 1


def test_two_brokers_share_no_answer() -> None:
    # uncovered index shorts, 500 out of the money: 40 + max(15 % x 6,000 - 500, 10 % x 5,500); at tastytrade 25 %
    short = option("SPX 261218 P 5500", -1, 40.0, 6000.0)
    plain, house = total([short]), total([replace(short, broker="tastytrade")])
    assert (plain, house) == (pytest.approx(100 * (40 + 550)), pytest.approx(100 * (40 + 1_000)))
    # nor does it know a calendar of index options: the exchange asks nothing where the long put outlives the short one
    calendar = [short, option("SPX 270115 P 5500", 1, 60.0, 6000.0)]
    assert total(calendar) == pytest.approx(0.0)
    assert total([replace(leg, broker="tastytrade") for leg in calendar]) == pytest.approx(100 * (40 + 1_000))


def test_what_is_remembered_cannot_be_changed_by_who_was_told() -> None:
    legs = condor()
    first = steady(legs)
    with pytest.raises(FrozenInstanceError):
        first.packages[0].units = 0.0  # type: ignore[misc]  # that is the point
    assert isinstance(first.packages, tuple)
    assert all(isinstance(part, tuple) for package in first.packages for part in (package.legs, package.amounts))
    legs.reverse()
    assert steady(condor()) == first
    # beside another name the places are others; the remembered ones are not moved for it
    beside = [stock(100, 10.0, "DEF"), *condor()]
    moved = [p for p in steady(beside).packages if beside[p.legs[0]].underlying == "XYZ"]
    assert [p.legs for p in moved] == [tuple(place + 1 for place in p.legs) for p in first.packages]
    assert steady(condor()) == first


def test_the_requirement_is_that_of_the_true_prices() -> None:
    # an uncovered 95 put at 1.237 on 101.26: 1.237 + max(20 % x 101.26 - 6.26, 10 % x 95) = 1.237 + 13.992
    assert total([option("XYZ 261218 P 95", -1, 1.237, 101.26)]) == pytest.approx(1_522.9)


@pytest.mark.parametrize(
    "wrong", [{"quantity": math.nan}, {"price": math.nan}, {"spot": math.nan}, {"spot": 0.0}, {"fx": math.nan}]
)
def test_what_is_not_known_leaves_its_underlying_out_and_the_others_in(wrong: dict[str, float]) -> None:
    legs = [option("ABC 261218 P 240", -1, 4.0, 250.0), *condor()]
    legs[1] = replace(legs[1], **wrong)  # type: ignore[arg-type]  # the test names fields
    found = steady(legs)
    assert found.unknown == pair(legs).unknown
    assert len(found.unknown) == 1
    assert {legs[row].underlying for package in found.packages for row in package.legs} == {"ABC"}
    assert math.isnan(strategy.requirement(legs, found).total)


def test_futures_are_named_and_nothing_is_nothing() -> None:
    assert steady([FUTURE]) == pair([FUTURE])
    assert "futures exchange" in steady([FUTURE]).unknown[0]
    assert steady([]).packages == ()
    assert steady([option("XYZ 261218 P 95", 0, 1.0, 100.0)]).packages == ()


def test_a_worthless_option_has_a_price_of_nothing() -> None:
    # no price, and 10 % of the strike: 100 x 9.50 = 950; 20 % of 150 - 55 is below zero
    assert total([option("XYZ 261218 P 95", -1, 0.0, 150.0)]) == pytest.approx(950.0)
