"""Orders at IBKR when answers are lost, come late or contradict: nothing is sent twice, and nothing passes for calm."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from adapters.ibkr.source import IbkrSource
from guardrails.errors import NotSentError, SourceError
from guardrails.orders import OrderState
from tests.brokers.tws import Tws
from tests.ibkr import clock, run
from tests.ibkr_orders import (
    AAPL,
    LONG_PUT,
    MINE,
    SHORT_PUT,
    of,
    shares,
    spread,
    spxw,
    state,
    taking,
    told,
    trading,
)
from tests.test_ibkr_orders import KEY, known, new, on_desk


def test_a_lost_reply_is_found_again_by_its_key() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        await told(source, lambda read: read.missing)
        assert of(source.orders(), KEY) is None  # IBKR has not said a word of it
        order = await state(source, KEY, "WORKING")
        assert (order.quantity, order.limit, len(order.legs), order.cancellable) == (2, -7.40, 2, True)
        await told(source, lambda read: not read.missing)
        await source.cancel(order)
        await state(source, KEY, "CANCELLED")

    assert new(on_desk(work, lose_reply={"times": 1})) == [KEY]


def test_an_order_that_never_arrived_is_in_no_list() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        await told(source, lambda read: read.missing)
        await told(source, lambda read: not read.missing)
        read = await source.read_orders()
        assert (read.missing, of(read, KEY)) == ("", None)

    tws = on_desk(work, lose_order={"times": 1})
    assert [one.what for one in tws.sent] == ["lost"]


def test_a_fill_while_the_link_was_down_is_counted_once() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(3), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("fill", KEY, 1)
        await state(source, KEY, "PARTIAL")
        tws.refuse()
        tws.drop()
        await told(source, lambda read: "no connection" in read.missing)
        tws.on_desk("fill", KEY, 2)
        tws.listen()
        order = await state(source, KEY, "FILLED")
        assert order.filled == 3
        read = await told(source, lambda read: not read.missing)
        assert sorted(fill.quantity for fill in read.fills if fill.key == KEY) == [-2, -1, 1, 2]

    on_desk(work)


def test_a_partial_order_comes_back_as_it_was_and_can_be_repriced() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(3), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("fill", KEY, 1)
        await state(source, KEY, "PARTIAL")
        tws.drop()
        await told(source, lambda read: "no connection" in read.missing)
        read = await told(source, lambda read: not read.missing)
        order = known(read)
        assert (order.state, order.filled, order.limit) == (OrderState.PARTIAL, 1, -7.40)
        await source.reprice(order, -7.30)
        await told(source, lambda read: known(read).limit == -7.30)

    assert [(one.what, one.quantity) for one in on_desk(work).sent] == [("new", 3), ("modify", 3)]


def test_an_order_that_is_gone_without_a_word_is_unknown() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        await state(source, KEY, "WORKING")
        tws.book.open_orders.clear()
        # a word of it that was still on its way when the list was asked for speaks against the first list
        async with asyncio.timeout(20):
            while (order := known(await source.read_orders())).state is OrderState.WORKING:
                pass
        assert (order.state, order.cancellable) == (OrderState.UNKNOWN, True)
        assert "no longer lists" in order.words

    on_desk(work)


def test_a_cancellation_is_asked_and_then_confirmed() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(3), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("fill", KEY, 1)
        order = await state(source, KEY, "PARTIAL")
        await source.cancel(order)
        assert (await state(source, KEY, "CANCEL_REQUESTED")).remaining == 2
        tws.on_desk("fill", KEY, 1)
        await told(source, lambda read: known(read).filled == 2)
        assert known(source.orders()).state is OrderState.CANCEL_REQUESTED
        tws.on_desk("cancel", KEY)
        gone = await state(source, KEY, "CANCELLED")
        assert (gone.filled, gone.remaining) == (2, 0)
        assert known(await source.read_orders()).state is OrderState.CANCELLED
        with pytest.raises(NotSentError):
            await source.reprice(gone, -7.0)

    on_desk(work, slow_cancel={})


def test_a_fill_wins_against_a_cancellation() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        await source.submit(spread(2), KEY)
        await source.cancel(await state(source, KEY, "WORKING"))
        order = await state(source, KEY, "FILLED")
        assert order.filled == 2
        assert "10148" in (await told(source, lambda read: "10148" in known(read).words)).orders[-1].words
        assert known(await source.read_orders()).state is OrderState.FILLED

    on_desk(work, fill_on_cancel={})


def test_a_cancellation_nobody_answers_stays_requested() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        await source.cancel(await state(source, KEY, "WORKING"))
        await source.read_orders()
        assert known(source.orders()).state is OrderState.CANCEL_REQUESTED

    on_desk(work, mute_cancel={})


def test_an_order_ibkr_cannot_find_for_a_cancellation_is_a_doubt() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(), KEY)
        order = await state(source, KEY, "WORKING")
        tws.book.open_orders.clear()
        await source.cancel(order)
        unclear = await state(source, KEY, "UNKNOWN")
        assert "10147" in unclear.words

    on_desk(work)


def test_another_limit_is_the_same_order() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(2, -7.40), KEY)
        order = await state(source, KEY, "WORKING")
        await source.reprice(order, -7.35)
        read = await told(source, lambda read: known(read).limit == -7.35)
        assert (known(read).reference, known(read).state) == (order.reference, OrderState.WORKING)
        assert [row.get("orderRef") for row in tws.book.open_orders].count(KEY) == 1

    tws = on_desk(work)
    assert [(one.what, one.price) for one in tws.sent] == [("new", "-7.4"), ("modify", "-7.35")]
    assert len({one.order_id for one in tws.sent}) == 1


def test_another_limit_for_a_sale_and_after_a_notice() -> None:
    """The client library thinks the order cancelled (10349) and would refuse the change after having sent it."""

    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(shares(10, -231.0, -1), KEY)
        order = await state(source, KEY, "WORKING")
        await told(source, lambda read: "10349" in known(read).words)
        await source.reprice(order, -230.5)
        await told(source, lambda read: known(read).limit == -230.5)
        assert [one.price for one in tws.sent] == ["231.0", "230.5"]

    on_desk(work, tif_preset_after={})


@pytest.mark.parametrize(("code", "then"), [(110, "WORKING"), (201, "WORKING")])
def test_a_refused_limit_leaves_the_order_as_it_was(code: int, then: str) -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        await source.submit(spread(2, -7.40), KEY)
        await source.reprice(await state(source, KEY, "WORKING"), -7.33)
        await told(source, lambda read: str(code) in known(read).words)
        order = known(await source.read_orders())
        assert (order.state, order.limit) == (then, -7.40)

    on_desk(work, reject_change={"code": code})


def test_orders_of_others_are_named_and_not_cancelled_from_here() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        leg = {"ratio": 1, "exchange": "SMART"}
        tws.on_desk(
            "place_elsewhere", 5, account="DU1234567", symbol="SPX", action="SELL", totalQuantity=2, lmtPrice=7.5,
            legs=[{"conId": SHORT_PUT, "action": "BUY", **leg}, {"conId": LONG_PUT, "action": "SELL", **leg}],
        )  # fmt: skip
        tws.on_desk(
            "place_elsewhere", 0, account="DU1234567", conId=AAPL, action="SELL", totalQuantity=100, lmtPrice=240.0
        )
        read = await source.read_orders()
        (other,) = [one for one in read.orders if one.sender == "client 5"]
        # a package of +5800 -5750 that is sold at 7.50: 5800 sold, 5750 bought, 7.50 received
        assert [(leg.instrument, leg.ratio) for leg in other.legs] == [(spxw(5800), -1), (spxw(5750), 1)]
        assert (other.limit, other.quantity, other.cancellable, other.state) == (-7.5, 2, False, OrderState.WORKING)
        hand = [one for one in read.orders if one.sender == "TWS" and one.account == MINE]
        assert [(one.legs[0].instrument.symbol, one.legs[0].ratio, one.limit) for one in hand] == [("AAPL", -1, -240.0)]
        for order in (other, *hand):
            with pytest.raises(SourceError, match="cannot be cancelled from here"):
                await source.cancel(order)
            with pytest.raises(NotSentError):
                await source.reprice(order, 1.0)

    assert on_desk(work).sent == []


def test_what_was_there_before_is_told() -> None:
    """The book's own: a resting order of this client, one typed at TWS, a package that is done."""

    async def work(_: Tws, source: IbkrSource) -> None:
        read = source.orders()
        resting, typed, done = (
            of(read, "close-call"),
            *[one for one in read.orders if not one.key],
            of(read, "spread"),
        )
        assert resting is not None
        assert done is not None
        assert (resting.legs[0].ratio, resting.limit, resting.quantity, resting.sender) == (1, 1.4, 3, "")
        assert (typed.sender, typed.cancellable, typed.limit, typed.account.masked) == ("TWS", False, -640.0, "•••4321")
        assert (done.state, done.filled, done.quantity, done.limit) == (OrderState.FILLED, 2, 2, -8.35)
        # sold at 45.00, bought at 36.65; the package's own execution is no third
        assert [(fill.quantity, fill.price, fill.fees) for fill in read.fills] == [(-2, 45.0, 2.5), (2, 36.65, 2.5)]

    on_desk(work)


def test_what_cannot_be_understood_is_told_as_unread() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        tws.fault("contract_unknown", conIds=[756733])
        tws.on_desk("place_elsewhere", 5, account="DU1234567", symbol="SPX", action="BUY", totalQuantity=1, legs=[])
        read = await source.read_orders()
        (other,) = [one for one in read.orders if one.sender == "client 5"]
        assert (other.legs, other.remaining) == ((), 1)
        assert "legs" in other.unread

    on_desk(work)


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("mute_open_orders", "working orders"),
        ("mute_completed", "completed orders"),
        ("mute_executions", "executions"),
    ],
)
def test_what_is_not_answered_is_named(fault: str, word: str) -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        tws.fault(fault)
        asked = clock()
        read = await source.read_orders()
        assert word in read.missing
        assert clock() - asked < timedelta(seconds=20)
        tws.mend(fault)
        assert (await source.read_orders()).missing == ""

    on_desk(work)


def test_no_answer_at_all_is_an_error() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        for name in ("mute_open_orders", "mute_completed", "mute_executions"):
            tws.fault(name)
        with pytest.raises(SourceError, match="does not tell"):
            await source.read_orders()

    on_desk(work)


def test_positions_are_read_anew() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        await source.submit(spread(1), KEY)
        await state(source, KEY, "WORKING")
        tws.on_desk("fill", KEY)
        held = await source.held(MINE)
        assert (held[spxw(5800).key], held[spxw(5750).key], held["equity:AAPL"]) == (-3, 3, 300)
        assert len(held) == 8
        tws.fault("mute_positions")
        with pytest.raises(SourceError, match="positions"):
            await source.held(MINE)
        tws.mend("mute_positions")
        tws.fault("empty_positions")
        with pytest.raises(SourceError, match="fewer positions"):
            await source.held(MINE)
        with pytest.raises(SourceError, match="not among the accounts"):
            await source.held(type(MINE)("IBKR", "DU0000001"))

    on_desk(work)


def test_many_orders_at_once_are_each_sent_once() -> None:
    async def work(tws: Tws, source: IbkrSource) -> None:
        keys = [f"PG-{number:04d}" for number in range(60)]
        await asyncio.gather(*(source.submit(spread(1), key) for key in keys))
        await told(source, lambda read: len([one for one in read.orders if one.key in keys]) == len(keys))
        assert sorted(new(tws)) == keys
        assert len({one.order_id for one in tws.sent}) == len(keys)

    on_desk(work)


def test_a_killed_program_finds_its_orders_under_the_same_client_number() -> None:
    with taking() as tws:

        async def first() -> None:
            async with trading(tws) as source:
                await source.submit(spread(), KEY)
                await state(source, KEY, "WORKING")

        async def second() -> None:
            async with trading(tws) as source:
                order = known(source.orders())
                assert (order.state, order.sender, order.cancellable) == (OrderState.WORKING, "", True)
                with pytest.raises(SourceError, match="sent before"):
                    await source.submit(spread(), KEY)

        async def as_another() -> None:
            async with trading(tws, client_id=18) as source:
                order = known(source.orders())
                assert (order.state, order.sender, order.cancellable) == (OrderState.WORKING, "client 17", False)

        run(first())
        run(second())
        run(as_another())
        assert new(tws) == [KEY]


def test_a_preview_leaves_the_ears_open() -> None:
    async def work(_: Tws, source: IbkrSource) -> None:
        preview = await source.preview(spread(2))
        assert preview.unknown == ""
        await source.submit(spread(2), KEY)
        order = await state(source, KEY, "WORKING")
        await source.reprice(order, -7.20)  # told by an open order alone
        await told(source, lambda read: known(read).limit == -7.20)

    on_desk(work)
