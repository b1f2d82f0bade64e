"""Orders on the demo's exchange: what rests, what is filled at which price, and that every sum stays exact."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.demo import DemoSource
from adapters.demo.exchange import ACCOUNTS, FEE
from adapters.trading_mode import TradingMode
from guardrails.brokers import TradingBroker
from guardrails.errors import NotSentError
from guardrails.instruments import Kind, Right
from guardrails.orders import Leg, Order, OrderState
from guardrails.settings import TradingSetting
from guardrails.symbols import parse
from guardrails.values import Account, View

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
PAPER = {name: TradingMode(TradingSetting.PAPER) for name in ACCOUNTS}
IBKR = ACCOUNTS["IBKR"]


def demo(file: Path | None = None) -> DemoSource:
    return DemoSource(modes=PAPER, file=file)


def look(source: DemoSource, seconds: float = 0.0) -> View:
    return asyncio.run(source.view(NOW + timedelta(seconds=seconds)))


def account(view: View, broker: str = "IBKR") -> Account:
    return next(one for one in view.accounts if one.id.broker == broker)


def spread(view: View, limit: float, quantity: int = 3) -> Order:
    """A put spread on the SPX expiry the book holds, 100 wide, far below the market, sold."""
    held = next(p.instrument for p in view.positions if p.instrument.root == "SPXW" and p.instrument.right is Right.PUT)
    assert held.expiry is not None
    day = f"{held.expiry:%y%m%d}"
    legs = (Leg(parse(f"SPXW  {day}P06500000", held.expiry), -1), Leg(parse(f"SPXW  {day}P06400000", held.expiry), 1))
    return Order(IBKR, legs, quantity, limit)


def test_it_is_a_trading_broker() -> None:
    assert isinstance(demo(), TradingBroker)


def test_an_order_rests_until_the_quote_reaches_its_limit_and_is_filled_in_parts_at_the_quote() -> None:
    source = demo()
    order = spread(look(source), limit=-99.0)
    asyncio.run(source.submit(order, "g-1"))
    look(source, 2)
    assert [(one.key, one.state, one.filled) for one in source.orders().orders] == [("g-1", OrderState.WORKING, 0.0)]

    resting = source.orders().orders[0]
    asyncio.run(source.reprice(resting, 50.0))  # even paying is fine: it fills at the quote all the same
    source.look_at([leg.instrument for leg in order.legs])
    view = look(source, 3)
    filled = source.orders()
    assert filled.orders[0].state is OrderState.PARTIAL
    quotes = view.market.quotes
    short, long = (quotes[leg.instrument.key] for leg in order.legs)
    assert [(fill.quantity, fill.price) for fill in filled.fills] == [(-2.0, short.bid), (2.0, long.ask)]
    look(source, 5)
    assert source.orders().orders[0].state is OrderState.FILLED
    assert sum(fill.quantity for fill in source.orders().fills if fill.instrument == order.legs[0].instrument) == -3.0


def test_net_liquidation_stays_cash_plus_positions_and_the_day_is_only_poorer_by_spread_and_fees() -> None:
    """Two markets at the same second, one of them traded: they differ by the half spreads and the fees alone."""
    quiet, traded = demo(), demo()
    look(quiet)
    order = spread(look(traded), limit=50.0, quantity=1)
    traded.look_at([leg.instrument for leg in order.legs])
    asyncio.run(traded.submit(order, "g-1"))
    left, right = look(quiet, 3), look(traded, 3)
    assert traded.orders().orders[0].state is OrderState.FILLED
    quotes = right.market.quotes
    half = sum((quotes[leg.instrument.key].ask - quotes[leg.instrument.key].bid) / 2 for leg in order.legs)  # type: ignore[operator]  # the demo quotes both sides
    lost = account(left).net_liquidation - account(right).net_liquidation  # type: ignore[operator]  # it always says
    assert lost == pytest.approx(100 * half + 2 * FEE, abs=0.02)
    assert account(left).prior_net_liquidation.value == pytest.approx(
        account(right).prior_net_liquidation.value, abs=0.02
    )  # type: ignore[union-attr]  # as above
    positions = {p.instrument.key: p.quantity for p in right.positions if p.account == IBKR}
    assert [positions[leg.instrument.key] for leg in order.legs] == [-1.0, 1.0]
    assert asyncio.run(traded.held(IBKR)) == positions


def test_a_preview_is_the_change_that_the_fill_then_makes() -> None:
    source = demo()
    order = spread(look(source), limit=50.0, quantity=1)
    preview = asyncio.run(source.preview(order))
    assert preview.unknown == ""
    before = next(m for m in account(look(source)).margins if m.segment == "total").maintenance
    assert preview.maintenance_margin.before == pytest.approx(before, abs=0.02)
    # 100 wide, so at most $10,000 can be lost, less what its price already shows
    assert 5_000 < (preview.maintenance_margin.change or 0.0) < 10_000


def test_what_was_traded_survives_a_restart_but_not_another_scenario(tmp_path: Path) -> None:
    source = demo(tmp_path / "orders.json")
    order = spread(look(source), limit=50.0, quantity=1)
    asyncio.run(source.submit(order, "g-1"))
    look(source, 3)
    again = demo(tmp_path / "orders.json")
    look(again, 4)
    assert asyncio.run(again.held(IBKR))[order.legs[0].instrument.key] == -1.0
    assert again.orders().fills == source.orders().fills
    assert IBKR.number not in (tmp_path / "orders.json").read_text(encoding="utf-8")
    again.switch("crash", NOW + timedelta(seconds=5))
    look(again, 6)
    assert again.orders().orders == ()


def test_off_is_the_default_and_what_is_not_listed_is_not_sent() -> None:
    view = look(source := DemoSource())
    with pytest.raises(NotSentError, match="takes no orders"):
        asyncio.run(source.submit(spread(view, -1.0), "g-1"))
    off = DemoSource(modes={"IBKR": TradingMode(setting="IBKR_TRADING")})
    look(off)
    assert off.refusal(IBKR).startswith("Trading at IBKR is off: set IBKR_TRADING")
    source = demo()
    look(source)
    with pytest.raises(NotSentError, match="does not list TSLA"):
        asyncio.run(source.submit(Order(IBKR, (Leg(parse("TSLA", NOW.date()), 1),), 1, 100.0), "g-2"))


def test_a_chain_is_listed_and_quoted() -> None:
    source = demo()
    look(source)
    nearest = asyncio.run(source.expiries("SPX"))[0]
    options = asyncio.run(source.listed(nearest))
    assert nearest.root == "SPXW"
    assert {option.expiry for option in options} == {nearest.expiry}
    source.look_at(options)
    market = look(source, 2).market
    assert all(option.key in market.quotes and option.key in market.greeks for option in options)


def test_a_future_is_bought_for_its_fee_alone() -> None:
    quiet, traded = demo(), demo()
    view = look(quiet)
    future = next(p.instrument for p in view.positions if p.instrument.root == "/MES")
    look(traded)
    asyncio.run(traded.submit(Order(IBKR, (Leg(future, 1),), 2), "g-1"))
    left, right = look(quiet, 2), look(traded, 2)
    left, right = look(quiet, 3), look(traded, 3)
    lost = account(left).net_liquidation - account(right).net_liquidation  # type: ignore[operator]  # it always says
    assert asyncio.run(traded.held(IBKR))[future.key] == -3.0
    assert 2 * FEE <= lost <= 2 * FEE + 2 * 5 * 0.75  # a tick of 0.25 and what moved between the two parts


def test_it_goes_on_when_everything_is_closed() -> None:
    source = demo()
    traded = [held for held in look(source).positions if held.instrument.kind is not Kind.CASH]
    for nth, held in enumerate(traded):
        leg = Leg(held.instrument, -1 if held.quantity > 0 else 1)
        limit = 0.0 if held.quantity > 0 else 99_999.0
        asyncio.run(source.submit(Order(held.account, (leg,), int(abs(held.quantity)), limit), f"g-{nth}"))
    for seconds in range(2, 120, 10):
        left = [held for held in look(source, seconds).positions if held.instrument.kind is not Kind.CASH]
    assert left == []
    assert len(traded) == 40
    assert all(one.state is OrderState.FILLED for one in source.orders().orders)
