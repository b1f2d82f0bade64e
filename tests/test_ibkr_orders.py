"""Orders at IBKR over the real client and the stand-in for TWS: what is sent, and what becomes of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from adapters.ibkr.source import Gateway, IbkrSource
from adapters.trading_mode import TradingMode
from guardrails.errors import NotSentError, SourceError
from guardrails.orders import BrokerOrder, OrdersRead, OrderState, TimeInForce
from guardrails.values import AccountId
from tests.brokers.tws import Tws
from tests.ibkr import ACCOUNT, clock, connected, run
from tests.ibkr_orders import MINE, PAPER, of, shares, spread, spxw, state, taking, told, trading

KEY = "PG-0001"
NUMBERS = ("DU1234567", "1234567", "DU7654321", "7654321")
Work = Callable[[Tws, IbkrSource], Awaitable[None]]


def on_desk(work: Work, mode: TradingMode = PAPER, **faults: dict[str, object]) -> Tws:
    """Run `work` with a source that trades; what the stand-in has seen."""
    with taking() as tws:
        for name, how in faults.items():
            tws.fault(name, **how)

        async def test() -> None:
            async with trading(tws, mode) as source:
                await work(tws, source)
                hidden(source.orders())

        run(test())
    return tws


def hidden(read: OrdersRead) -> None:
    """No account number in any words."""
    words = " ".join([read.missing, *(f"{one.words} {one.unread} {one.sender}" for one in read.orders), repr(read)])
    assert not [number for number in NUMBERS if number in words]


def known(read: OrdersRead) -> BrokerOrder:
    """The order of KEY."""
    order = of(read, KEY)
    assert order is not None
    return order


def new(tws: Tws) -> list[str]:
    return [one.ref for one in tws.sent if one.what in ("new", "lost")]


# sending


def test_a_credit_spread_is_one_bought_package_below_zero_and_works() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(2, -7.40), KEY)
        order = await state(source, KEY, "WORKING")
        # sold the 5800 put, bought the 5750 one, 7.40 received: minus 7.40 paid
        assert [(leg.instrument.symbol, leg.ratio) for leg in order.legs] == [
            (spxw(5800).symbol, -1), (spxw(5750).symbol, 1),
        ]  # fmt: skip
        assert (order.quantity, order.filled, order.remaining, order.limit) == (2, 0, 2, -7.40)
        assert (order.account, order.time_in_force, order.sender, order.cancellable) == (MINE, "DAY", "", True)
        assert order.reference.isdecimal()
        (sent,) = tws.orders
        assert (sent.action, sent.quantity, sent.order_type, sent.limit, sent.tif) == ("BUY", 2.0, "LMT", "-7.4", "DAY")
        assert [leg[:4] for leg in sent.legs] == [
            ("700000003", "1", "SELL", "SMART"), ("700000004", "1", "BUY", "SMART"),
        ]  # fmt: skip
        assert (sent.account, sent.ref, sent.outside_rth, sent.contract.secType) == (ACCOUNT, KEY, False, "BAG")

    assert new(on_desk(work)) == [KEY]


def test_a_sale_of_shares_at_the_close_and_one_at_market() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(shares(100, None, -1, at_close=True), "PG-moc")
        await source.submit(shares(50, None, -1, time_in_force=TimeInForce.GTC), "PG-mkt")
        at_close = await state(source, "PG-moc", "WORKING")
        at_market = await state(source, "PG-mkt", "WORKING")
        assert [(one.action, one.order_type, one.tif) for one in tws.orders] == [
            ("SELL", "MOC", "DAY"), ("SELL", "MKT", "GTC"),
        ]  # fmt: skip
        assert (at_close.limit, at_market.limit, at_market.legs[0].ratio, at_market.quantity) == (None, None, -1, 50)

    on_desk(work)


def test_a_share_sold_at_a_limit_is_received() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(shares(10, -231.5, -1), KEY)
        order = await state(source, KEY, "WORKING")
        assert (tws.orders[0].action, tws.orders[0].limit) == ("SELL", "231.5")
        assert (order.limit, order.legs[0].ratio) == (-231.5, -1)

    on_desk(work)


def test_one_key_is_sent_once() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        both = await asyncio.gather(source.submit(spread(), KEY), source.submit(spread(), KEY), return_exceptions=True)
        assert [type(one) for one in both] == [type(None), SourceError]
        await state(source, KEY, "WORKING")
        with pytest.raises(SourceError, match="sent before"):
            await source.submit(spread(), KEY)

    assert new(on_desk(work)) == [KEY]


@pytest.mark.parametrize(
    ("mode", "account", "word"),
    [
        (TradingMode("off", (), "IBKR_TRADING"), ACCOUNT, "IBKR_TRADING"),
        (PAPER, "U1234567", "no paper account"),
        (TradingMode("live", ("U1234567",), "IBKR_TRADING"), ACCOUNT, "GUARDRAILS_LIVE_ACCOUNTS"),
        (TradingMode("live", (ACCOUNT[1:],), "IBKR_TRADING"), ACCOUNT, "GUARDRAILS_LIVE_ACCOUNTS"),
        (TradingMode("nonsense", (ACCOUNT,), "IBKR_TRADING"), ACCOUNT, "off"),
    ],
)
def test_what_the_settings_do_not_allow_is_not_sent(mode: TradingMode, account: str, word: str) -> None:
    source = IbkrSource(Gateway(), clock, mode)
    order = spread(account=AccountId("IBKR", account))
    told_of = BrokerOrder(order.account, "1", KEY, order.legs, 1, 0, OrderState.WORKING)
    with pytest.raises(NotSentError, match=word) as refused:
        asyncio.run(source.submit(order, KEY))
    with pytest.raises(NotSentError, match=word):
        asyncio.run(source.reprice(told_of, 1.0))
    with pytest.raises(SourceError, match=word):
        asyncio.run(source.cancel(told_of))
    assert word in source.refusal(order.account)
    assert account not in str(refused.value)


def test_listed_and_paper_accounts_are_allowed() -> None:
    live = AccountId("IBKR", "U1234567")
    assert IbkrSource(Gateway(), clock, TradingMode("live", (live.number,))).refusal(live) == ""
    assert IbkrSource(Gateway(), clock, PAPER).refusal(MINE) == ""
    assert "1234567" not in repr(TradingMode("live", (live.number,)))


def test_with_trading_off_nothing_of_orders_is_heard() -> None:
    with Tws(taking().book) as tws:

        async def test() -> None:
            loaded = {name for name in sys.modules if name.startswith("adapters.ibkr")}
            source = IbkrSource(Gateway(port=tws.port), clock)
            try:
                await connected(source)
                assert "_trading" not in vars(source)
                assert source.orders().missing
                assert tws.asked["reqCompletedOrders"] == 0
                assert loaded
                # who asks is answered even so
                assert (await source.read_orders()).missing == ""
            finally:
                await source.close()

        run(test())


def test_without_a_connection_nothing_was_sent() -> None:
    async def test() -> None:
        source = IbkrSource(Gateway(port=1), clock, PAPER)
        with pytest.raises(NotSentError, match="no connection"):
            await source.submit(spread(), KEY)
        with pytest.raises(SourceError, match="no connection"):
            await source.read_orders()
        assert "no connection" in source.orders().missing
        await source.close()

    run(test())


def test_while_tws_does_not_reach_ibkr_nothing_is_sent() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        tws.say(1100)
        await told(source, lambda read: read.missing)
        with pytest.raises(NotSentError, match="lost its own link"):
            await source.submit(spread(), KEY)
        tws.say(1102)
        await told(source, lambda read: not read.missing)

    assert new(on_desk(work)) == []


def test_a_contract_ibkr_does_not_list_is_not_sent() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        order = spread()
        legs = (order.legs[0], type(order.legs[1])(spxw(5123), 1))
        with pytest.raises(NotSentError, match="IBKR does not know it"):
            await source.submit(type(order)(MINE, legs, 1, -1.0), KEY)

    assert new(on_desk(work)) == []


# what becomes of it


def test_a_package_filled_in_parts_counts_packages_and_each_leg_once() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(3, -7.40), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("fill", KEY, 1, -7.40)
        part = await state(source, KEY, "PARTIAL")
        assert (part.filled, part.remaining) == (1, 2)
        tws.on_desk("fill", KEY, 2, -7.45)
        whole = await state(source, KEY, "FILLED")
        assert (whole.filled, whole.remaining, whole.cancellable) == (3, 0, False)
        read = await told(source, lambda read: all(fill.fees is not None for fill in read.fills))
        mine = [fill for fill in read.fills if fill.key == KEY]
        sold = [fill for fill in mine if fill.instrument == spxw(5800)]
        bought = [fill for fill in mine if fill.instrument == spxw(5750)]
        assert [fill.quantity for fill in sold] == [-1, -2]
        assert [fill.quantity for fill in bought] == [1, 2]
        assert len(mine) == 4
        # 39.30 is the middle of the sold put: 31.90 was paid for the other at 7.40, 31.85 at 7.45
        assert [fill.price for fill in bought] == [31.90, 31.85]
        assert [fill.fees for fill in sold] == [1.25, 2.50]
        assert {fill.reference for fill in mine} == {whole.reference}

    on_desk(work)


def test_executions_alone_make_an_order_filled() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(2), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("fill", KEY)
        assert (await state(source, KEY, "FILLED")).filled == 2

    on_desk(work, no_fill_status={}, no_bag_execution={})


def test_partial_and_then_silence_stays_partial() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(3), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("fill", KEY, 1)
        await state(source, KEY, "PARTIAL")
        read = await source.read_orders()
        order = known(read)
        assert (order.state, order.filled, read.missing) == (OrderState.PARTIAL, 1, "")

    on_desk(work)


def test_a_correction_replaces_the_execution() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(shares(10, 230.0), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("fill", KEY)
        read = await told(source, lambda read: [fill for fill in read.fills if fill.key == KEY])
        (before,) = [fill for fill in read.fills if fill.key == KEY]
        assert (before.revision, before.price) == (1, 230.0)
        tws.on_desk("correct", f"{before.execution}.01", 229.5)
        read = await told(source, lambda read: [fill for fill in read.fills if fill.revision == 2])
        (after,) = [fill for fill in read.fills if fill.key == KEY]
        assert (after.execution, after.price, after.quantity) == (before.execution, 229.5, 10)
        assert known(read).filled == 10

    on_desk(work)


def test_fees_are_unknown_until_they_are_told() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(shares(10, 230.0), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("fill", KEY)
        read = await told(source, lambda read: [fill for fill in read.fills if fill.key == KEY])
        assert [fill.fees for fill in read.fills if fill.key == KEY] == [None]
        tws.on_desk("report_commissions")
        read = await told(source, lambda read: all(fill.fees is not None for fill in read.fills if fill.key == KEY))
        assert [fill.fees for fill in read.fills if fill.key == KEY] == [12.5]

    on_desk(work, late_commission={})


@pytest.mark.parametrize("status", [True, False], ids=["then Inactive", "and nothing more"])
def test_a_rejected_order_is_rejected_in_ibkrs_words(status: bool) -> None:  # noqa: FBT001  # drawn
    async def work(_: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        order = await state(source, KEY, "REJECTED")
        assert "available funds" in order.words
        assert "201" in order.words
        assert "•••4567" in order.words
        assert (order.remaining, order.cancellable, len(order.legs)) == (0, False, 2)

    assert new(on_desk(work, reject_order={"status": status})) == [KEY]


def test_an_order_that_is_inactive_without_a_word_was_rejected_where_it_is_listed_as_over() -> None:
    """Inactive alone may come back."""

    async def work(_: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        await state(source, KEY, "REJECTED")

    on_desk(work, reject_order={"quiet": True})


def test_an_order_that_worked_and_is_rejected_later() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("reject", KEY)
        await state(source, KEY, "REJECTED")
        assert known(await source.read_orders()).state is OrderState.REJECTED

    on_desk(work)


def test_a_read_only_api_is_a_refusal_in_words() -> None:
    with taking() as tws:
        tws.fault("read_only_api")

        async def test() -> None:
            source = IbkrSource(Gateway(port=tws.port), clock, PAPER)
            try:
                await connected(source)
                await source.submit(spread(), KEY)
                order = await state(source, KEY, "REJECTED")
                assert "Read-Only" in order.words
                read = await told(source, lambda read: "working orders" in read.missing and "Only" in read.missing)
                assert "completed orders" in read.missing
                assert "executions" not in read.missing
            finally:
                await source.close()

        run(test())


@pytest.mark.parametrize("fault", ["tif_preset", "tif_preset_after", "order_warning", "hold_order"])
def test_words_that_only_inform_leave_an_order_working(fault: str) -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        order = await state(source, KEY, "WORKING")
        if fault != "hold_order":
            order = (await told(source, lambda read: (of(read, KEY) or order).words)).orders[-1]
            assert order.words
        assert known(await source.read_orders()).state is OrderState.WORKING
        tws.on_desk("fill", KEY)
        await state(source, KEY, "FILLED")

    on_desk(work, **{fault: {}})


def test_a_notice_before_any_status_leaves_it_unknown_until_it_is_read() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        await state(source, KEY, "UNKNOWN")
        assert known(await source.read_orders()).state is OrderState.WORKING

    on_desk(work, tif_preset={}, tif_preset_only={})


def test_a_number_used_before_is_a_doubt() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        order = await state(source, KEY, "UNKNOWN")
        assert "103" in order.words

    assert new(on_desk(work, duplicate_id={})) == [KEY]
