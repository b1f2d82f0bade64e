"""The stand-in for tastytrade streams market data and account notices to the unmodified SDK."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from httpx2.websockets import HTTPXWSException
from tastytrade import DXLinkStreamer
from tastytrade.dxfeed import Candle, Greeks, Profile, Quote, Summary, TheoPrice, Trade, Underlying
from tastytrade.utils import TastytradeError

from tests.brokers.driving import drive, until
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_driving import (
    CALL,
    CALL_FEED,
    SPX_AM_FEED,
    Client,
    causes,
    client,
    feed,
    nothing,
    several,
    stand_in,
)


def test_a_subscription_begins_with_what_is_known() -> None:
    async def work(tasty: Tasty) -> None:
        async with feed(tasty) as streamer:
            names = ["AAPL", CALL_FEED, "SPX", "/ESZ26:XCME", "./EW2Z26P5900:XCME", ".NOPE261218C5"]
            for kind in (Quote, Greeks, Trade, Summary, TheoPrice, Profile, Underlying):
                await streamer.subscribe(kind, names)
            quotes = await several(streamer, Quote, 4)
            assert "SPX" not in quotes  # an index has no bid: NaN, which the SDK drops
            assert (quotes["AAPL"].bid_price, quotes["AAPL"].ask_price) == (Decimal("230.15"), Decimal("230.25"))
            assert (quotes["AAPL"].event_time, quotes["AAPL"].bid_time) == (0, 0)
            greeks = await several(streamer, Greeks, 2)
            assert greeks.keys() == {CALL_FEED, "./EW2Z26P5900:XCME"}
            call = greeks[CALL_FEED]
            assert (call.delta, call.theta, call.vega) == (Decimal("0.13292"), Decimal("-0.0644"), Decimal("0.137"))
            assert (await several(streamer, Trade, 5))["SPX"].change == Decimal("15.4")  # 6001.0 - 5985.6
            assert (await several(streamer, Summary, 5))["SPX"].prev_day_close_price == Decimal("5985.6")
            theo = await several(streamer, TheoPrice, 2)
            assert theo[CALL_FEED].underlying_price == Decimal("230.2")
            assert theo[CALL_FEED].interest == Decimal("0.0412")
            assert (await several(streamer, Profile, 5))["AAPL"].beta == Decimal("1.18")
            assert (await several(streamer, Underlying, 2))["SPX"].volatility == Decimal("0.171")
            assert await nothing(streamer, Greeks)  # a wrong symbol is answered by silence
            assert tasty.sockets == {"dxlink": 1}

    with stand_in() as tasty:
        drive(work(tasty))


def test_changes_reach_those_who_subscribed() -> None:
    async def work(tasty: Tasty) -> None:
        async with feed(tasty) as streamer:
            for kind in (Quote, Greeks):
                await streamer.subscribe(kind, [CALL_FEED, SPX_AM_FEED])
                await several(streamer, kind, 2)
            tasty.set_greeks(CALL, delta=0.5)
            tasty.set_quote(CALL_FEED, 2.0, 2.2)
            assert (await several(streamer, Greeks, 1))[CALL_FEED].delta == Decimal("0.5")
            assert (await several(streamer, Quote, 1))[CALL_FEED].mid_price == Decimal("2.1")
            tasty.set_greeks(CALL, delta=None)  # NaN on the wire, dropped by the SDK
            await streamer.unsubscribe(Quote, [CALL_FEED])
            await until(lambda: tasty.asked["FEED_SUBSCRIPTION"] == 3)
            tasty.set_quote(CALL, 3.0, 3.2)
            assert await nothing(streamer, Greeks)
            assert streamer.get_event_nowait(Quote) is None
            tasty.stream(400, walk=True)
            told = [await streamer.get_event(Quote) for _ in range(40)]
            assert {event.event_symbol for event in told} == {SPX_AM_FEED}
            assert all(abs(event.bid_price - Decimal("26.6")) <= Decimal("0.05") for event in told)
            assert len({event.bid_price for event in told}) > 1

    with stand_in() as tasty:
        drive(work(tasty))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_candles_are_one_snapshot_newest_first(zone: str) -> None:
    async def work(tasty: Tasty) -> None:
        async with feed(tasty) as streamer:
            start = datetime(2026, 11, 17, 12, tzinfo=UTC)
            await streamer.subscribe_candle(["VIX"], "1d", start)
            told = [await streamer.get_event(Candle) for _ in range(3)]
            days = [datetime.fromtimestamp(candle.time / 1000, ZoneInfo(zone)) for candle in told]
            assert [day.date() for day in days] == [date(2026, 11, 20), date(2026, 11, 19), date(2026, 11, 18)]
            assert {(day.hour, day.minute) for day in days} == {(0, 0)}
            assert [candle.close for candle in told] == [Decimal("17.3"), Decimal("17.42"), Decimal("17.13")]
            assert [(candle.snapshot_begin, candle.snapshot_end) for candle in told] == [
                (True, False), (False, False), (False, True),
            ]  # fmt: skip
            assert await nothing(streamer, Candle)

    with stand_in(candle_zone=ZoneInfo(zone)) as tasty:
        drive(work(tasty))


def test_a_snapshot_of_many_fits_the_reader() -> None:
    async def work(tasty: Tasty) -> None:
        async with feed(tasty) as streamer:
            for name in ("VIX", "VIX3M", "SPX"):
                tasty.book.closes[name] = tasty.book.closes[name] * 15  # 1080 days, about 150 kB for the three
            await streamer.subscribe_candle(["VIX", "VIX3M", "SPX"], "1d")
            async with asyncio.timeout(20):
                told = [await streamer.get_event(Candle) for _ in range(3 * 1081)]
            assert sum(candle.snapshot_end for candle in told) == 3

    with stand_in() as tasty:
        drive(work(tasty))


def test_a_message_too_long_is_refused() -> None:
    async def work(tasty: Tasty) -> None:
        async with feed(tasty) as streamer:
            await streamer.subscribe(Quote, [f".SPY261218C{strike}" for strike in range(3000)])
            await streamer.get_event(Quote)

    with stand_in() as tasty, pytest.raises(TastytradeError, match="too long"):
        drive(work(tasty))


def test_quote_tokens_live_24_hours() -> None:
    clock = [datetime(2026, 11, 20, 15, tzinfo=UTC)]

    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            token = (await session._get("/api-quote-tokens"))["token"]
            clock[0] += timedelta(hours=24) - timedelta(seconds=1)
            assert tasty.knows_quote_token(token)
            clock[0] += timedelta(seconds=1)
            assert not tasty.knows_quote_token(token)
            assert not tasty.knows_quote_token("made-up")

    with stand_in(clock=lambda: clock[0]) as tasty:
        drive(work(tasty))


def test_keepalive_comes_while_nothing_moves() -> None:
    heard: list[Any] = []

    async def work(tasty: Tasty) -> None:
        async with feed(tasty) as streamer:
            receive = streamer._websocket.receive_json

            async def spy() -> object:
                heard.append(message := await receive())
                return message

            streamer._websocket.receive_json = spy  # type: ignore[method-assign]  # what the SDK swallows
            await asyncio.Event().wait()

    with stand_in(keepalive=1.0) as tasty, pytest.raises(ExceptionGroup) as caught:
        drive(work(tasty))  # the SDK speaks once in 30 seconds, so the server gives up at last
    assert "KEEPALIVE" in [row["type"] for row in heard]
    assert any("Keepalive timeout" in str(cause) for cause in causes(caught.value))


def test_as_a_process() -> None:
    command = [sys.executable, "-m", "tests.brokers.tasty", "--port", "0", "--fault", "silent_symbols:symbols=[SPY]"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().removeprefix("listening on "))

            async def work() -> None:
                async with Client(f"http://127.0.0.1:{port}") as session, DXLinkStreamer(session) as streamer:
                    await streamer.subscribe(Quote, ["SPY", "AAPL"])
                    assert (await several(streamer, Quote, 2)).keys() == {"AAPL"}  # one update a second each
                    process.kill()
                    while True:  # what came before is told first
                        await streamer.get_event(Quote)

            with pytest.raises(ExceptionGroup) as caught:
                drive(work())
            assert any(isinstance(cause, HTTPXWSException) for cause in causes(caught.value))
        finally:
            process.kill()
