"""The one quote stream: nothing it does looks like calm, and it comes back by itself: on the wire, with the SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from adapters.tastytrade import feed
from guardrails.findings import Level
from guardrails.instruments import Instrument
from guardrails.symbols import occ
from guardrails.values import SourceState, View
from tests.brokers.tasty import Tasty
from tests.tasty import DARK, SATURDAY, Clock, condition, judged, opened, reading, run, settled, stream, until


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tasty(clock: Clock) -> Iterator[Tasty]:
    with Tasty(opened(clock), rate=5, clock=clock) as server:
        yield server


def put(view: View) -> Instrument:
    """The SPX put that settles in the morning."""
    return next(p.instrument for p in view.positions if p.instrument.symbol.startswith("SPX "))


def greens(view: View, clock: Clock) -> list[str]:
    own_feed = {"market_regime", "clock_skew"}
    findings = judged(view, clock).snapshot.findings
    return [f.check for f in findings if f.check not in own_feed and f.level in (Level.OK, Level.WATCH)]


@pytest.mark.parametrize("how", [{}, {"code": 1001}])
def test_a_dropped_socket_is_marked_at_once_and_streams_again(tasty: Tasty, clock: Clock, how: dict[str, int]) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.fault("ws_refuse", kind="dxlink")
            tasty.fault("ws_drop", kind="dxlink", times=1, **how)
            view = await condition(source, clock, "quotes_lost")
            assert len(view.positions) == 14
            assert greens(view, clock) == []
            tasty.mend()
            view = await condition(source, clock, "connected")
            before = view.market.greeks[put(view).key].time
            await until(source, clock, lambda view: view.market.greeks[put(view).key].time > before)
            assert tasty.most_sockets["dxlink"] == 1

    run(work())


@pytest.mark.parametrize(
    ("fault", "name"),
    [("ws_refuse", "quotes_lost"), ("auth_hang", "quotes_silent"), ("channel_hang", "quotes_silent"),
     ("quote_token_dead", "quotes_refused")],
)  # fmt: skip
def test_an_entry_that_fails_is_named_and_tried_again(
    tasty: Tasty, clock: Clock, fault: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "ENTRY_SECONDS", 1.0)
    monkeypatch.setattr(feed, "SUBSCRIBE_SECONDS", 1.0)

    async def work() -> None:
        tasty.fault(fault, **({"kind": "dxlink"} if fault == "ws_refuse" else {}))
        async with reading(tasty, clock) as source:
            # a link that went while the view was composed is told with what was known when that began
            view = await until(
                source, clock, lambda view: view.source.condition == name and len(view.positions) == 14
            )  # fmt: skip
            assert greens(view, clock) == []
            assert stream(view, "quotes").works is False
            monkeypatch.undo()  # what works may take longer
            tasty.mend()
            await condition(source, clock, "connected", 30)
            assert tasty.most_sockets["dxlink"] == 1

    run(work())


@pytest.mark.parametrize("fault", ["ws_mute", "ws_quiet"])
def test_a_muted_socket_is_marked_torn_down_and_rebuilt_without_a_person(
    tasty: Tasty, clock: Clock, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "ENTRY_SECONDS", 2.0)  # what is mute does not answer at the entrance either

    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.fault(fault)
            await asyncio.sleep(0.5)
            clock.ahead(feed.QUIET + timedelta(seconds=1))
            view = await condition(source, clock, "quotes_silent")
            assert view.source.state is SourceState.STALE
            assert greens(view, clock) == []
            clock.ahead(feed.TORN_DOWN)
            await until(source, clock, lambda _: tasty.all_sockets["dxlink"] >= 2)
            for _ in range(8):  # the new socket says as little, and must not look better for being new
                assert (await source.view(clock())).source.condition != "connected"
                await asyncio.sleep(0.1)
            monkeypatch.undo()  # what works may take longer
            tasty.mend()
            clock.ahead(feed.TORN_DOWN)
            await condition(source, clock, "connected", 30)
            assert tasty.most_sockets["dxlink"] == 1

    run(work())


def test_at_night_silence_is_normal_but_a_mute_socket_is_not() -> None:
    async def work() -> None:
        night = Clock(SATURDAY)
        with Tasty(opened(night), clock=night) as tasty:
            async with reading(tasty, night) as source:
                view = await settled(source, night)
                assert view.source.condition == "market_closed"
                assert view.source.state is SourceState.CLOSED
                tasty.fault("ws_mute", kind="dxlink")
                night.ahead(feed.MUTE - timedelta(seconds=10))
                await asyncio.sleep(0.5)
                assert (await source.view(night())).source.condition == "market_closed"
                assert tasty.all_sockets["dxlink"] == 1
                night.ahead(timedelta(seconds=11))
                await until(source, night, lambda _: tasty.all_sockets["dxlink"] >= 2)

    run(work())


def test_a_closed_channel_is_opened_again_on_the_same_socket(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            before = view.market.greeks[put(view).key].time
            tasty.fault("channel_closed", type="Greeks", times=1)
            requests = tasty.asked["CHANNEL_REQUEST"]
            await until(source, clock, lambda _: tasty.asked["CHANNEL_REQUEST"] > requests)
            await until(source, clock, lambda view: view.market.greeks[put(view).key].time > before)
            assert tasty.all_sockets["dxlink"] == 1

    run(work())


def test_a_channel_that_is_closed_each_time_ends_the_socket(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.fault("channel_closed", type="Greeks")
            view = await condition(source, clock, "quotes_channel_closed", 30)
            assert "Greeks" in view.source.detail
            assert tasty.asked["CHANNEL_REQUEST"] < 40
            tasty.mend()
            await condition(source, clock, "connected", 40)

    run(work())


def test_a_stream_whose_task_fails_is_not_called_connected(
    tasty: Tasty, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.tastytrade.source.RESTART_SECONDS", 1.0)

    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            assert source._task is not None
            source.follow([None])  # type: ignore[list-item]  # what no caller should: the part that plans fails
            await until(source, clock, lambda _: tasty.sockets["dxlink"] == 0)
            assert (await source.view(clock())).source.state in DARK
            source.follow([])
            await condition(source, clock, "connected", 30)
            assert tasty.most_sockets["dxlink"] == 1

    run(work())


def test_closing_ends_the_sockets_before_it_returns(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            await source.close()
            assert source._kept is not None
            assert source._kept.feed.streamer is None
        deadline = asyncio.get_running_loop().time() + 20
        while tasty.sockets["dxlink"] and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  # the other side's
            await asyncio.sleep(0.02)
        assert tasty.sockets["dxlink"] == 0

    run(work())


@pytest.mark.parametrize(
    ("fault", "how"),
    [("error_frame", {}), ("error_frame", {"type": "Greeks"}), ("garbage", {"kind": "not_json"}),
     ("garbage", {"kind": "unknown_type"}), ("garbage", {"kind": "field_count", "type": "Greeks"})],
)  # fmt: skip
def test_rubbish_on_the_socket_is_counted_and_survived(
    tasty: Tasty, clock: Clock, fault: str, how: dict[str, str]
) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.fault(fault, times=1, **how)
            told = await until(
                source, clock,
                lambda view: "unreadable" in stream(view, "quotes").detail
                or any("complained" in warning for warning in view.source.warnings)
                or "unknown_type" in how.values(),
            )  # fmt: skip
            before = told.market.greeks[put(told).key].time
            await until(source, clock, lambda view: view.market.greeks[put(view).key].time > before)
            assert tasty.all_sockets["dxlink"] == 1

    run(work())


def test_greeks_that_become_nan_are_unknown_and_not_the_last_good_ones(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            assert view.market.greeks[put(view).key].delta == -0.15399
            tasty.fault("nan_greeks", symbols=["spx_am"])
            view = await until(source, clock, lambda view: view.market.greeks[put(view).key].delta is None)
            assert view.market.greeks[put(view).key].iv is None
            assert any("1 of 8 options have Greeks without figures" in each for each in view.source.warnings)
            row = next(row for row in judged(view, clock).snapshot.positions if row.symbol.startswith("SPX "))
            assert row.greeks_source != "tastytrade"
            assert "tastytrade streams no figures for it" in row.notes
            other = next(p.instrument for p in view.positions if p.instrument.symbol.startswith("SPXW"))
            assert view.market.greeks[other.key].delta == -0.15510

    run(work())


def test_a_symbol_that_stops_turns_grey_with_its_age_while_others_stay_live(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            other = next(p.instrument.key for p in view.positions if p.instrument.symbol.startswith("SPXW"))
            tasty.fault("silent_symbols", symbols=["spx_am"])
            await asyncio.sleep(0.5)
            for _ in range(13):  # five minutes and twelve seconds
                clock.ahead(timedelta(seconds=24))
                jumped = clock()
                await until(source, clock, lambda view, jumped=jumped: view.market.greeks[other].time > jumped)
            view = await condition(source, clock, "connected")
            rows = {row.symbol.split()[0]: row for row in judged(view, clock).snapshot.positions}
            assert rows["SPX"].level is Level.UNKNOWN
            assert any("5 min" in text for text in (*rows["SPX"].reasons, *rows["SPX"].notes))
            assert rows["SPXW"].level is not Level.UNKNOWN
            assert rows["AAPL"].level is not Level.UNKNOWN

    run(work())


@pytest.mark.parametrize("form", ["full_format", "own_order", "many_blocks", "big_frames", "candle_tail"])
def test_every_form_of_data_is_read_alike(tasty: Tasty, clock: Clock, form: str) -> None:
    async def work() -> None:
        tasty.fault(form)
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            view = await until(  # each kind of word comes by itself
                source, clock,
                lambda view: put(view).key in view.market.quotes and "SPX" in view.market.prices
                and len(view.market.vix_closes) == 72,
            )  # fmt: skip
            greeks = view.market.greeks[put(view).key]
            assert (greeks.delta, greeks.gamma, greeks.vega, greeks.theta, greeks.iv) == (
                -0.15399, 0.000732, 3.9421, -1.3002, 0.195,
            )  # fmt: skip
            quote = view.market.quotes[put(view).key]
            assert (quote.bid, quote.ask) == (26.60, 26.80)
            assert view.market.prices["SPX"].value == 6001.0
            assert view.market.vix_closes[-1][1] == 17.42

    run(work())


def test_the_stream_is_recycled_before_its_token_dies(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            clock.ahead(timedelta(hours=13))  # the next night
            await until(source, clock, lambda _: tasty.all_sockets["dxlink"] == 2)
            await condition(source, clock, "market_closed")
            assert tasty.most_sockets["dxlink"] == 1
            assert tasty.asked["quote_token"] == 2

    run(work())


def test_what_others_hold_is_streamed_and_ends_when_they_let_go(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            held = occ.parse(tasty.book.symbol("aapl_call_240"))
            source.follow([held])
            view = await until(source, clock, lambda view: held.key in view.market.greeks)
            assert view.market.greeks[held.key].delta == 0.30043
            assert held.key not in {position.instrument.key for position in view.positions}
            source.follow([])
            await until(source, clock, lambda view: held.key not in view.market.greeks)
            assert tasty.all_sockets["dxlink"] == 1

    run(work())


def test_a_clock_that_is_set_back_heals_by_itself(tasty: Tasty, clock: Clock) -> None:
    """What was heard is then dated in the future, which proves nothing; everything is read again at once."""

    async def work() -> None:
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            asked, sockets = tasty.asked["positions"], tasty.all_sockets["dxlink"]
            clock.ahead(timedelta(hours=-1))
            await until(source, clock, lambda _: tasty.asked["positions"] > asked)
            await until(source, clock, lambda _: tasty.all_sockets["dxlink"] > sockets)
            view = await condition(source, clock, "connected")
            key = put(view).key
            await until(source, clock, lambda view: view.market.greeks[key].time <= clock())
            await until(source, clock, lambda view: bool(greens(view, clock)))

    run(work())


def test_a_clock_that_jumps_does_not_keep_old_figures_alive(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.silence(silent=True)
            clock.ahead(timedelta(hours=2))
            view = await until(source, clock, lambda view: view.source.state in DARK)
            assert greens(view, clock) == []
            tasty.silence(silent=False)
            tasty.drop()
            await condition(source, clock, "connected", 40)

    run(work())
