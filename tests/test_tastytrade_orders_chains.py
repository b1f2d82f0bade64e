"""What may be traded at tastytrade and at which prices: chains, ticks, quotes of what nobody holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from adapters.tastytrade.price_steps import steps_of
from guardrails.errors import SourceError
from guardrails.instruments import Settlement
from guardrails.orders import PriceRule
from tests.brokers.tasty import Tasty
from tests.tasty import Clock, run, settled, until
from tests.tasty_trading import CONDOR, EXPIRY, STRIKES, condor, exchange, order, trading


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tasty(clock: Clock) -> Iterator[Tasty]:
    with exchange(clock) as server:
        yield server


def steps(*pairs: tuple[str, str]) -> PriceRule:
    return PriceRule(tuple((Decimal(start), Decimal(tick)) for start, tick in pairs))


def test_prices_come_in_the_steps_of_the_record(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            share = await source.price_rule(order(("AAPL", 1), limit=230.0))
            assert share == steps(("0", "0.0001"), ("1.0", "0.01"))
            option = await source.price_rule(order(("AAPL  261218C00250000", 1), limit=1.0))
            assert option == steps(("0", "0.01"), ("3.0", "0.05"))
            index = await source.price_rule(order((CONDOR[1], 1), limit=1.0))
            assert index == steps(("0", "0.05"), ("3.0", "0.1"))
            assert (index.rounded(5.23, up=True), index.rounded(5.23, up=False)) == (5.3, 5.2)
            package = await source.price_rule(condor())
            assert package == steps(("0", "0.05"))
            assert package.fits(-9.15)
            future = await source.price_rule(order(("/ESZ6", 1), limit=6020.25))
            assert future == steps(("0", "0.25"))
            on_future = await source.price_rule(order(("./ESZ6 EW2Z6 261211P5900", 1), limit=82.25))
            assert on_future == steps(("0", "0.05"), ("10.0", "0.25"))
            asked = tasty.asked["instruments"]
            await source.price_rule(condor())
            assert tasty.asked["instruments"] == asked  # read once a day

    run(work())


def test_steps_that_cannot_be_read_are_none(tasty: Tasty, clock: Clock) -> None:
    assert steps_of([{"value": "0.01"}]) == ((Decimal(0), Decimal("0.01")),)
    for odd in (None, [], "0.01", [{"value": "0"}], [{"value": "NaN"}], [{"value": "-0.01"}], [{"threshold": "3"}]):
        assert steps_of(odd) == ()
    assert steps_of([{"value": "0.01"}, {"value": "0.05"}]) == ()  # which of them holds is not said
    for row in tasty.book.instruments.values():
        row |= {"tick-sizes": None, "option-tick-sizes": None, "tick-size": None}

    async def work() -> None:
        async with trading(tasty, clock) as source:
            # nickels and dimes are valid in every class of options; the tick of a future is in our own table
            assert await source.price_rule(order((CONDOR[1], 1), limit=1.0)) == steps(("0", "0.05"), ("3", "0.10"))
            assert await source.price_rule(order(("/ESZ6", 1), limit=1.0)) == steps(("0", "0.25"))
            with pytest.raises(SourceError, match="in which steps"):
                await source.price_rule(order(("./ESZ6 EW2Z6 261211P5900", 1), limit=82.25))

    run(work())


def test_a_chain_has_each_root_with_its_settlement(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            found = await source.expiries("SPX")
            assert [(each.expiry, each.root, each.settlement) for each in found] == [
                (EXPIRY, "SPX", Settlement.CASH_AM),
                (EXPIRY, "SPXW", Settlement.CASH_PM),
                (date(2026, 12, 24), "SPXW", Settlement.CASH_PM),
            ]
            options = await source.listed(found[1])
            strikes = sorted({5700, *STRIKES})
            assert [(int(each.strike or 0), each.right) for each in options] == [
                (strike, right) for strike in strikes for right in "CP"
            ]
            assert {each.underlying for each in options} == {"SPX"}
            assert tasty.asked["option_chains"] == 1
            with pytest.raises(SourceError, match="lists no SPXW options"):
                await source.listed(replace(found[1], expiry=date(2027, 1, 15)))
            with pytest.raises(SourceError, match="404"):
                await source.expiries("NBTA")

    run(work())


def test_a_product_names_the_contract_of_each_expiry(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            found = await source.expiries("/ES")
            assert [(each.underlying, each.expiry, each.root) for each in found] == [
                ("/ESZ26", date(2026, 12, 11), "EW2"),
                ("/ESZ26", date(2026, 12, 18), "ES"),
            ]
            assert await source.expiries("/ESZ26") == found
            assert await source.expiries("/ESH27") == ()
            options = await source.listed(found[0])
            assert [each.underlying for each in options] == ["/ESZ26", "/ESZ26"]
            assert [each.label for each in options] == ["EW2 11Dec26 5900C", "EW2 11Dec26 5900P"]

    run(work())


def test_what_is_looked_at_streams_beside_what_is_held(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with trading(tasty, clock) as source:
            legs = [leg.instrument for leg in condor().legs]
            keys = {each.key for each in legs}
            await settled(source, clock)
            source.look_at(legs)
            view = await until(
                source, clock, lambda view: keys <= view.market.greeks.keys() & view.market.quotes.keys()
            )
            assert view.market.quotes[legs[1].key].bid == tasty.book.market[CONDOR[1]]["bid"]
            held = {position.instrument.key for position in view.positions if position.instrument.is_option}
            assert held <= view.market.greeks.keys()
            assert not keys & held
            source.look_at(())
            await until(source, clock, lambda view: not keys & view.market.greeks.keys())

    run(work())
