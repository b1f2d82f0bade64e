"""Chains, price increments and quotes of what nobody holds, over the real client and the stand-in for TWS."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from adapters.ibkr.lines import Want
from adapters.ibkr.source import IbkrSource
from adapters.ibkr.wants import room_for
from guardrails.calendar import next_session
from guardrails.errors import SourceError
from guardrails.instruments import Instrument, Right, Settlement
from guardrails.orders import Leg, Order
from guardrails.symbols import parse
from guardrails.values import SourceState
from tests.brokers.tws import Tws
from tests.brokers.tws_dates import resolve, session_before
from tests.brokers.tws_strikes import SHIPPED, add_chain
from tests.ibkr import clock, run, until
from tests.ibkr_orders import MINE, shares, spread, spxw, state, taking, today, trading


def on_chain(work, **more: int) -> None:  # type: ignore[no-untyped-def]  # a coroutine function of (stand-in, source)
    tws = taking()
    for chain in SHIPPED:
        add_chain(tws.book, **chain)
    with tws:

        async def test() -> None:
            async with trading(tws, **more) as source:
                await work(tws, source)

        run(test())


def test_expiries_are_named_by_what_they_settle_on() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        found = await source.expiries("SPX")
        weekly = [one for one in found if one.root == "SPXW"]
        assert [one.expiry for one in weekly] == [resolve("+30d friday", today()), resolve("+45d friday", today())]
        assert {one.settlement for one in weekly} == {Settlement.CASH_PM}
        (monthly,) = [one for one in found if one.root == "SPX"]
        # it last trades the session before
        settles = resolve("next_monthly", today())
        assert (monthly.expiry, monthly.settlement) == (settles, Settlement.CASH_AM)
        assert next_session(session_before(settles)) == settles
        assert [one.expiry for one in found] == sorted(one.expiry for one in found)
        (share,) = await source.expiries("AAPL")
        assert (share.root, share.settlement) == ("AAPL", Settlement.PHYSICAL)

    on_chain(work)


def test_options_on_a_future_are_found_by_their_product() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        found = await source.expiries("/ES")
        quarterly = resolve("next_quarterly", today())
        assert {one.root for one in found} == {"ES", "EW2"}
        assert {one.underlying[:3] for one in found} == {"/ES"}
        assert max(one.expiry for one in found) == quarterly
        ((option,),) = [await source.listed(one) for one in found if one.root == "EW2"]
        assert (option.strike, option.right) == (Decimal(5900), Right.PUT)
        assert option.key in await source.held(MINE)

    on_chain(work)


def test_one_expiry_is_listed_by_strike() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        nearest = next(one for one in await source.expiries("SPX") if one.root == "SPXW")
        found = await source.listed(nearest)
        # 5400 to 6600 by 50: 25 strikes, a call and a put each
        assert len(found) == 50
        assert [(one.strike, one.right) for one in found[:2]] == [(5400, Right.CALL), (5400, Right.PUT)]
        assert spxw(5800) in found
        (monthly,) = [one for one in await source.expiries("SPX") if one.root == "SPX"]
        (early,) = await source.listed(monthly)
        assert (early.symbol[:4], early.settlement) == ("SPX ", Settlement.CASH_AM)

    on_chain(work)


def test_what_is_not_listed_or_not_answered_is_an_error() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        with pytest.raises(SourceError, match="lists no options"):
            await source.expiries("SPY")
        with pytest.raises(SourceError, match="ZZZZ"):
            await source.expiries("ZZZZ")
        tws.refuse()
        tws.drop()
        await until(source, lambda view: view.source.state is SourceState.DOWN)
        with pytest.raises(SourceError, match="no connection"):
            await source.expiries("SPX")

    on_chain(work)


@pytest.mark.parametrize(
    ("order", "steps"),
    [
        (spread, [("0.0", "0.05")]),
        (lambda: Order(MINE, (Leg(spxw(5800), -1),), 1, -39.0), [("0.0", "0.05"), ("3.0", "0.1")]),
        (shares, [("0.0", "0.01")]),
        (lambda: Order(MINE, (Leg(call(240), 1),), 1, 2.0), [("0.0", "0.01"), ("3.0", "0.05")]),
        (lambda: Order(MINE, (Leg(call(240), -1), Leg(call(245), 1)), 1, -1.0), [("0.0", "0.01")]),
        (lambda: Order(MINE, (Leg(call(240), -1), Leg(parse("AAPL", today()), 100)), 1, 225.0), [("0.0", "0.01")]),
    ],
    ids=["SPXW package", "SPXW alone", "share", "option", "package", "covered call"],
)
def test_limits_follow_the_venues_increments(order, steps: list[tuple[str, str]]) -> None:  # type: ignore[no-untyped-def]  # made when the day is known
    async def work(_: Tws, source: IbkrSource) -> None:
        rule = await source.price_rule(order())
        assert [(float(start), float(tick)) for start, tick in rule.steps] == [
            (float(start), float(tick)) for start, tick in steps
        ]

    on_chain(work)


def test_a_package_of_options_on_futures_takes_their_finest_increment() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        view = await until(
            source, lambda view: len([p for p in view.positions if p.instrument.key.startswith("future")]) == 3
        )
        option = next(p.instrument for p in view.positions if p.instrument.root == "EW2")
        future = next(p.instrument for p in view.positions if p.instrument.kind.value == "future")
        rule = await source.price_rule(Order(MINE, (Leg(future, 1), Leg(option, 1)), 1, 6000.0))
        assert rule.steps == ((Decimal(0), Decimal("0.05")),)
        assert rule.rounded(6000.12, up=True) == 6000.15
        single = await source.price_rule(Order(MINE, (Leg(future, 1),), 1, 6000.0))
        assert single.steps[0][1] == Decimal("0.25")
        tws.fault("mute_rules")
        with pytest.raises(SourceError, match="increments"):
            await source.price_rule(shares())

    on_chain(work)


def test_what_is_looked_at_streams_beside_what_is_held() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        legs = [spxw(6200, "C"), spxw(6250, "C")]
        source.look_at([*legs, parse("SPY", today())])
        view = await until(
            source, lambda view: "SPY" in view.market.prices and all(one.key in view.market.greeks for one in legs)
        )
        quote = view.market.quotes[legs[0].key]
        known = next(row for row in tws.book.contracts.values() if row.get("localSymbol") == legs[0].symbol)
        told = tws.book.quotes[known["conId"]]
        assert (quote.bid, quote.ask) == (told["bid"], told["ask"])
        assert view.market.greeks[legs[0].key].delta == told["model"]["delta"]
        assert view.market.prices["SPY"].value == 600.0
        source.look_at([])
        await until(source, lambda view: legs[0].key not in view.market.greeks)

    on_chain(work)


def test_one_key_is_sent_once_also_while_its_contracts_are_looked_up() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        legs = (Leg(spxw(6200, "C"), -1), Leg(spxw(6250, "C"), 1))
        both = [source.submit(Order(MINE, legs, 1, -5.0), "PG-1") for _ in range(2)]
        ends = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(end).__name__ for end in ends) == ["NoneType", "SourceError"]
        await state(source, "PG-1", "WORKING")
        assert [one.ref for one in tws.sent] == ["PG-1"]

    on_chain(work)


def test_what_is_looked_at_takes_only_lines_that_are_left() -> None:
    held = [Want(number, (2, 5)) for number in range(1, 9)]
    assert [want.con_id for want in room_for([101, 3, 102, 103], held, 10)] == [101, 102]
    assert room_for([101, 102], held, 8) == []
    # with more held than lines all take turns, and the legs of one order with them
    assert [want.con_id for want in room_for(range(101, 120), held, 5)] == [101, 102, 103, 104]
    assert all(want.rank > held[0].rank for want in room_for([101], held, 10))


def call(strike: int) -> Instrument:
    """An AAPL call of the book's month."""
    return parse(f"AAPL  {resolve('next_monthly', clock().date()):%y%m%d}C{strike * 1000:08d}", today())
