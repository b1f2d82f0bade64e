"""Each fault of the tastytrade stand-in's websockets does what it says, seen through the unmodified SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from httpx2.websockets import HTTPXWSException, WebSocketDisconnect, WebSocketNetworkError, WebSocketUpgradeError
from tastytrade import DXLinkStreamer
from tastytrade.dxfeed import Candle, Greeks, Quote
from tastytrade.utils import TastytradeError

from tests.brokers.driving import drive, unanswered, until
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_driving import (
    CALL,
    CALL_FEED,
    SPX_AM,
    SPX_AM_FEED,
    causes,
    client,
    feed,
    nothing,
    notices,
    seen,
    several,
    stand_in,
)

Work = Callable[[Tasty, DXLinkStreamer], Awaitable[None]]


def watching(work: Work, **settings: Any) -> None:
    """Run `work` with a streamer that has quotes and Greeks of two options already."""

    async def whole(tasty: Tasty) -> None:
        async with feed(tasty) as streamer:
            for kind in (Quote, Greeks):
                await streamer.subscribe(kind, [CALL_FEED, SPX_AM_FEED])
                await several(streamer, kind, 2)
            await work(tasty, streamer)

    with stand_in(**settings) as tasty:
        drive(whole(tasty))


def failing(name: str, **how: Any) -> list[BaseException]:
    """What a watching client dies of when it meets a fault."""

    async def work(tasty: Tasty, streamer: DXLinkStreamer) -> None:
        tasty.fault(name, **how)
        await streamer.get_event(Quote)

    with pytest.raises((Exception, ExceptionGroup)) as caught:
        watching(work)
    return causes(caught.value)


def test_websockets_are_cut() -> None:
    assert any(isinstance(cause, WebSocketNetworkError) for cause in failing("ws_drop", kind="dxlink"))
    closed = [cause for cause in failing("ws_drop", code=1011) if isinstance(cause, WebSocketDisconnect)]
    assert [cause.code for cause in closed] == [1011]


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("error_frame", {"message": "no more"}, "Fatal streamer error: no more"),
        ("error_frame", {"type": "Greeks"}, "Fatal streamer error"),
        ("garbage", {}, "Expecting property name"),
        ("garbage", {"kind": "field_count", "type": "Quote"}, "not a multiple of the key size"),
    ],
)
def test_messages_that_kill_the_reader(name: str, how: dict[str, Any], words: str) -> None:
    assert any(words in str(cause) for cause in failing(name, **how))


def test_cutting_every_new_one() -> None:
    async def work(tasty: Tasty) -> None:
        tasty.fault("ws_drop", kind="dxlink", times=2)
        for _ in range(2):
            with pytest.raises((HTTPXWSException, ExceptionGroup)):
                async with feed(tasty) as streamer:
                    await streamer.get_event(Quote)
        async with feed(tasty) as streamer:
            await streamer.subscribe(Quote, ["SPY"])
            await several(streamer, Quote, 1)
        assert (tasty.all_sockets["dxlink"], tasty.most_sockets["dxlink"]) == (3, 1)
        await until(lambda: tasty.sockets["dxlink"] == 0)

    with stand_in() as tasty:
        drive(work(tasty))


def test_the_upgrade_is_refused() -> None:
    async def work(tasty: Tasty) -> None:
        tasty.fault("ws_refuse", kind="dxlink")
        with pytest.raises(WebSocketUpgradeError):
            async with feed(tasty):
                pass
        async with client(tasty) as session, notices(tasty, session):
            assert await seen(lambda: tasty.sockets == {"account": 1})

    with stand_in() as tasty:
        drive(work(tasty))


@pytest.mark.parametrize("name", ["auth_hang", "ws_mute"])
def test_entering_hangs(name: str) -> None:
    async def work(tasty: Tasty) -> None:
        async def enter() -> None:
            async with feed(tasty):
                pass

        tasty.fault(name)
        entering = asyncio.ensure_future(enter())
        assert await seen(lambda: tasty.all_sockets["dxlink"] == 1)
        assert await unanswered(entering)

    with stand_in() as tasty:
        drive(work(tasty))


def test_a_dead_quote_token_is_tried_a_few_times() -> None:
    async def work(tasty: Tasty) -> None:
        tasty.fault("quote_token_dead")
        with pytest.raises((HTTPXWSException, ExceptionGroup)):
            async with feed(tasty):
                pass
        assert await seen(lambda: tasty.asked["AUTH"] == 5)

    with stand_in() as tasty:
        drive(work(tasty))


def test_a_channel_hangs() -> None:
    async def work(tasty: Tasty, streamer: DXLinkStreamer) -> None:
        tasty.fault("channel_hang")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await streamer.subscribe_candle(["VIX"], "1d")

    watching(work)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("ws_quiet", {}),
        ("ws_mute", {"kind": "dxlink"}),
        ("silent_symbols", {"symbols": [CALL, SPX_AM]}),
        ("channel_closed", {"type": "Greeks"}),
    ],
)
def test_data_stops_without_a_word(name: str, how: dict[str, Any]) -> None:
    async def work(tasty: Tasty, streamer: DXLinkStreamer) -> None:
        tasty.fault(name, **how)
        tasty.set_greeks(CALL, delta=0.5)
        assert await nothing(streamer, Greeks)
        tasty.set_quote(CALL, 2.0, 2.2)
        if name == "channel_closed":  # that of the Greeks alone
            assert CALL_FEED in await several(streamer, Quote, 1)
        else:
            assert await nothing(streamer, Quote)

    watching(work)


def test_a_closed_channel_can_be_opened_again() -> None:
    async def work(tasty: Tasty, streamer: DXLinkStreamer) -> None:
        tasty.fault("channel_closed", type="Greeks", times=1)
        await until(lambda: "Greeks" not in streamer._subscription_state)
        await streamer.subscribe(Greeks, [CALL_FEED])
        assert CALL_FEED in await several(streamer, Greeks, 1)

    watching(work)


def test_greeks_become_nan() -> None:
    async def work(tasty: Tasty, streamer: DXLinkStreamer) -> None:
        tasty.fault("nan_greeks", symbols=[CALL])
        tasty.stream(400)
        told = [await streamer.get_event(Greeks) for _ in range(20)]
        assert {event.event_symbol for event in told[5:]} == {SPX_AM_FEED}  # the SDK drops the others
        tasty.mend("nan_greeks")
        await until(lambda: (event := streamer.get_event_nowait(Greeks)) and event.event_symbol == CALL_FEED)

    watching(work)


def test_an_unknown_type_is_survived() -> None:
    async def work(tasty: Tasty, streamer: DXLinkStreamer) -> None:
        tasty.fault("garbage", kind="unknown_type", times=1)
        tasty.set_greeks(CALL, delta=0.5)
        assert CALL_FEED in await several(streamer, Greeks, 1)

    watching(work)


@pytest.mark.parametrize(("name", "heard"), [("full_format", 2), ("many_blocks", 1), ("own_order", 0)])
def test_other_layouts(name: str, heard: int) -> None:
    async def work(tasty: Tasty) -> None:
        tasty.fault(name)
        async with feed(tasty) as streamer:
            await streamer.subscribe(Greeks, [CALL_FEED, SPX_AM_FEED])
            await several(streamer, Greeks, heard)
            assert await nothing(streamer, Greeks)  # the SDK reads the first block only, and never another order

    with stand_in() as tasty:
        drive(work(tasty))


def test_candles_that_end_with_a_removed_one() -> None:
    async def work(tasty: Tasty, streamer: DXLinkStreamer) -> None:
        tasty.fault("candle_tail")
        await streamer.subscribe_candle(["VIX"], "1d")
        told = [await streamer.get_event(Candle) for _ in range(74)]  # 72 closes, today, and the end
        assert [(candle.remove, candle.snapshot_end) for candle in told[-2:]] == [(False, False), (True, True)]
        assert told[-1].close == 0  # what the SDK makes of NaN

    watching(work)


def test_a_frame_too_large_for_the_client() -> None:
    async def work(tasty: Tasty, streamer: DXLinkStreamer) -> None:
        tasty.book.closes["SPX"] = tasty.book.closes["SPX"] * 15
        tasty.fault("big_frames")
        await streamer.subscribe_candle(["SPX"], "1d")
        await streamer.get_event(Candle)

    with pytest.raises(TastytradeError, match="too long"):
        watching(work)


def test_everything_is_dropped_at_once() -> None:
    async def work(tasty: Tasty, streamer: DXLinkStreamer) -> None:
        tasty.drop()
        await streamer.get_event(Quote)

    with pytest.raises((HTTPXWSException, ExceptionGroup)) as caught:
        watching(work)
    assert any(isinstance(cause, WebSocketNetworkError) for cause in causes(caught.value))
