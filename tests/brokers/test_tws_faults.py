"""Each fault, as the unmodified ib_async meets it: what it does, and that mending ends it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ib_async import IB, LimitOrder, OrderState, RequestError

from tests.brokers.driving import (
    AAPL,
    CALL,
    FUTURE_CALL,
    MAIN,
    RAW,
    SHORT_PUT,
    SPY,
    VIX,
    Heard,
    connected,
    drive,
    full,
    mixed,
    unanswered,
    until,
)
from tests.brokers.tws import Tws
from tests.brokers.tws_faults import FAULTS
from tests.brokers.tws_session import MUTES

UNSET = 1.7976931348623157e308


async def attempt(tws: Tws, patience: float = 0.3, **how: Any) -> tuple[type[BaseException] | None, list[int]]:
    """The error a connection attempt ends with (None when it succeeds) and the codes it was told."""
    ib = IB()
    heard = Heard(ib)
    try:
        await ib.connectAsync(
            "127.0.0.1", tws.port, clientId=17, timeout=patience, account=MAIN, raiseSyncErrors=True, **how
        )
    except (OSError, TimeoutError) as error:
        return type(error), heard.codes
    finally:
        ib.disconnect()
    return None, heard.codes


async def wronged(tws: Tws, error: type[BaseException], codes: list[int], **how: Any) -> None:
    """A connection attempt ends with `error` after these `codes` of errors, with more patience where much else runs."""
    for patience in (0.3, 2.0, 10.0):
        ended, told = await attempt(tws, patience, **how)
        if (ended, [code for code in told if code < 2000]) == (error, codes):  # from there on they are notices
            return
    message = f"the attempt ended with {ended}, {told}"
    raise AssertionError(message)


@pytest.mark.parametrize("fault", ["never_handshake", "client_id_in_use"])
def test_faults_of_the_handshake_end_in_a_timeout(fault: str) -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault(fault)
            await wronged(tws, TimeoutError, [326] if fault == "client_id_in_use" else [])
            tws.mend(fault)
            assert (await attempt(tws, 20))[0] is None

    drive(work())


def test_an_api_that_is_not_enabled_closes_at_once() -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault("close_at_handshake")
            error, codes = await attempt(tws)
            assert error is not None
            assert codes == []

    drive(work())


def test_a_client_id_is_given_once_and_freed() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws, 17):
                await wronged(tws, TimeoutError, [326])
                async with connected(tws, 18):
                    pass
            await until(lambda: not tws.sessions)
            assert (await attempt(tws, 20))[0] is None

    drive(work())


def test_times_ends_a_fault_by_itself() -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault("client_id_in_use", times=2)
            ended = [await attempt(tws, patience) for patience in (0.2, 0.2, 20)]
            if ended[-1][0] is not None:  # one of the first two was too hasty for this machine, and not counted
                ended.append(await attempt(tws, 20))
            assert [error for error, _ in ended] == [*[TimeoutError] * (len(ended) - 1), None]

    drive(work())


def test_dropped_then_refused_then_listening_on_the_same_port() -> None:
    async def work() -> None:
        with mixed() as tws:
            port = tws.port
            async with connected(tws) as ib:
                tws.refuse()
                assert (await ib.reqCurrentTimeAsync()) is not None  # those connected live on
                tws.drop()
                await until(lambda: not ib.isConnected())
                assert ib.positions() == []  # why an empty answer is not a flat book
            assert (await attempt(tws, 20))[0] is ConnectionRefusedError
            tws.listen()
            assert tws.port == port
            assert (await attempt(tws, 20))[0] is None

    drive(work())


def test_silence_is_half_open_and_what_was_asked_meanwhile_stays_unanswered() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.silence(silent=True)
                lost = asyncio.ensure_future(ib.reqCurrentTimeAsync())
                await until(lambda: tws.asked["reqCurrentTime"] == 1)
                assert ib.isConnected()
                assert (await attempt(tws))[0] is TimeoutError
                tws.silence(silent=False)
                await asyncio.wait_for(ib.reqCurrentTimeAsync(), 20)
                assert not lost.done()
                lost.cancel()

    drive(work())


@pytest.mark.parametrize("code", [1100, 1102, 2103, 2104, 10197])
def test_notices_arrive_with_no_request(code: int) -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                heard = Heard(ib)
                tws.say(code)
                await until(lambda: (heard.codes, heard.requests) == ([code], [-1]))

    drive(work())


def test_a_lost_link_stops_quotes_and_1101_loses_the_lines() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                contract = await full(ib, AAPL)
                ticker = ib.reqMktData(contract)
                tws.stream(50)
                await until(lambda: ticker.time)
                heard = Heard(ib)
                tws.say(1100)
                await until(lambda: heard.codes == [1100])
                last = ticker.time
                assert last is not None
                assert await unanswered(asyncio.Event().wait(), 0.2)
                assert ticker.time == last
                tws.say(1102)
                await until(lambda: ticker.time and ticker.time > last)
                tws.say(1101)
                await until(lambda: tws.lines == 0)
                ib.cancelMktData(contract)
                ib.reqMktData(contract)
                await until(lambda: tws.lines == 1)

    drive(work())


@pytest.mark.parametrize("fault", ["mute_positions", "mute_account_updates", "mute_executions", "mute_completed"])
def test_a_muted_start_request_fails_the_synchronisation_and_nothing_else(fault: str) -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault(fault)
            await wronged(tws, ConnectionError, [])
            tws.mend()
            assert (await attempt(tws, 20))[0] is None

    drive(work())


def preview(ib: IB) -> Awaitable[OrderState]:
    """A what-if of the call the book is short of."""
    (held,) = [row.contract for row in ib.positions() if row.contract.conId == CALL]
    held.exchange = "SMART"
    return ib.whatIfOrderAsync(held, LimitOrder("BUY", 1, 2.9, account=MAIN, tif="DAY"))


REQUESTS: dict[str, Callable[[IB], Awaitable[object]]] = {
    "mute_time": lambda ib: ib.reqCurrentTimeAsync(),
    "mute_account_summary": lambda ib: ib.reqAccountSummaryAsync(),
    "mute_open_orders": lambda ib: ib.reqAllOpenOrdersAsync(),
    "mute_details": lambda ib: full(ib, AAPL),
    "mute_whatif": preview,
    "read_only_api": preview,
}


@pytest.mark.parametrize("fault", REQUESTS)
def test_a_muted_request_is_counted_and_never_answered(fault: str) -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.fault(fault)
                before = tws.asked.total()
                assert await unanswered(REQUESTS[fault](ib))
                await until(lambda: tws.asked.total() > before)
                assert tws.asked.total() == before + 1
                assert tws.orders == []

    drive(work())


def test_muted_history_market_data_and_pnl() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                pnl = ib.reqPnL(MAIN)
                await until(lambda: pnl.dailyPnL == 1250.4)
                for fault in ("mute_history", "mute_market_data", "mute_pnl"):
                    tws.fault(fault)
                tws.set_pnl(MAIN, daily=-5.0)
                vix = await full(ib, VIX)
                ticker = ib.reqMktData(vix)
                bars = ib.reqHistoricalDataAsync(vix, "", "1 Y", "1 day", "TRADES", useRTH=True)
                assert await unanswered(bars)
                assert math.isnan(ticker.last)
                assert tws.lines == 0
                assert pnl.dailyPnL == 1250.4
                tws.mend()
                await until(lambda: pnl.dailyPnL == -5.0)

    drive(work())


def test_every_mute_is_a_fault() -> None:
    assert set(MUTES.values()) <= set(FAULTS)


def test_a_read_only_api_answers_neither_open_nor_completed_orders() -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault("read_only_api")
            await wronged(tws, ConnectionError, [321, 321])
            assert (await attempt(tws, 20, readonly=True))[0] is None

    drive(work())


def test_empty_positions_end_properly() -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault("empty_positions")
            async with connected(tws) as ib:
                assert ib.positions() == []
                tws.mend("empty_positions")
                assert len(await ib.reqPositionsAsync()) == len(RAW["positions"])

    drive(work())


@pytest.mark.parametrize(
    ("fault", "gamma", "vega"),
    [("nan_greeks", math.nan, math.nan), ("unset_greeks", None, -2.0), ("sentinel_greeks", UNSET, UNSET)],
)
def test_greeks_go_bad_at_once_and_come_back(fault: str, gamma: float | None, vega: float) -> None:
    """Unset vega stays -2 in ib_async 2.1.0 while unset gamma becomes None."""

    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                bad, good = ib.reqMktData(await full(ib, CALL)), ib.reqMktData(await full(ib, FUTURE_CALL))
                await until(lambda: bad.modelGreeks and good.modelGreeks)
                tws.fault(fault, conIds=[CALL])
                await until(lambda: bad.modelGreeks and repr(bad.modelGreeks.vega) == repr(vega))
                assert bad.modelGreeks is not None
                assert repr(bad.modelGreeks.gamma) == repr(gamma)
                assert good.modelGreeks is not None
                assert good.modelGreeks.vega == RAW["quotes"][FUTURE_CALL]["model"]["vega"]
                tws.mend(fault)
                await until(lambda: bad.modelGreeks and bad.modelGreeks.vega == 0.2278)

    drive(work())


def test_no_greeks_leaves_the_quote() -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault("no_greeks")
            async with connected(tws) as ib:
                ticker = ib.reqMktData(await full(ib, CALL))
                await until(lambda: ticker.halted == 0)
                assert (ticker.bid, ticker.modelGreeks) == (2.80, None)

    drive(work())


@pytest.mark.parametrize(("code", "then"), [(354, 354), (10089, 10167), (10168, 10167)])
def test_no_permission_names_the_contract_and_may_yield_to_delayed(code: int, then: int) -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault("no_permission", conIds=[AAPL], code=code)
            async with connected(tws) as ib:
                heard = Heard(ib)
                contract = await full(ib, AAPL)
                ticker, other = ib.reqMktData(contract), ib.reqMktData(await full(ib, SPY))
                await until(lambda: heard.codes == [code] and other.bid == 599.95)
                assert math.isnan(ticker.bid)
                ib.cancelMktData(contract)
                ib.reqMarketDataType(3)
                again = ib.reqMktData(contract)
                await until(lambda: len(heard.codes) == 2)
                assert heard.codes[-1] == then
                if then == 10167:
                    await until(lambda: again.bid == 229.95 and again.marketDataType == 3)

    drive(work())


@pytest.mark.parametrize(("asked", "served"), [(1, 3), (3, 3), (4, 4)])
def test_delayed_data_carries_its_type(asked: int, served: int) -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault("delayed")
            async with connected(tws) as ib:
                heard = Heard(ib)
                ib.reqMarketDataType(asked)
                ticker = ib.reqMktData(await full(ib, CALL))
                await until(lambda: ticker.modelGreeks and ticker.bid == 2.80)
                assert ticker.marketDataType == served
                assert {tick.tickType for tick in ticker.ticks} <= {66, 67, 68, 72, 73, 74, 75, 76, 90}
                assert heard.codes == [10167]

    drive(work())


def test_asking_for_delayed_gives_live_where_there_is_permission() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                ib.reqMarketDataType(3)
                ticker = ib.reqMktData(await full(ib, AAPL))
                await until(lambda: ticker.bid == 229.95)
                assert ticker.marketDataType == 1

    drive(work())


@pytest.mark.parametrize(("asked", "served", "bid"), [(1, 1, -1), (2, 2, 229.95)])
def test_a_closed_market_freezes_quotes_for_those_who_ask(asked: int, served: int, bid: float) -> None:
    async def work() -> None:
        with mixed() as tws:
            tws.fault("market_closed")
            async with connected(tws) as ib:
                ib.reqMarketDataType(asked)
                ticker = ib.reqMktData(await full(ib, AAPL))
                await until(lambda: ticker.close == 228.50)
                assert (ticker.marketDataType, ticker.bid) == (served, bid)

    drive(work())


def test_a_competing_session_stops_open_lines_until_it_ends() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                ticker = ib.reqMktData(await full(ib, AAPL))
                await until(lambda: ticker.bid == 229.95)
                tws.stream(50)
                heard = Heard(ib)
                tws.fault("competing_session")
                await until(lambda: heard.codes == [10197])
                tws.set_quote(AAPL, bid=228.0)
                assert await unanswered(asyncio.Event().wait(), 0.2)
                assert ticker.bid == 229.95
                tws.mend()
                await until(lambda: ticker.bid == 228.0)

    drive(work())


def test_an_unknown_contract_is_unknown_everywhere() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                contract = await full(ib, SHORT_PUT)
                tws.fault("contract_unknown", conIds=[SHORT_PUT])
                heard = Heard(ib)
                with pytest.raises(RequestError, match="200"):
                    await full(ib, SHORT_PUT)
                ib.reqMktData(contract)
                await until(lambda: heard.codes == [200, 200])
                order = LimitOrder("BUY", 1, 1.0, account=MAIN, tif="DAY")
                with pytest.raises(RequestError, match="200"):
                    await asyncio.wait_for(ib.whatIfOrderAsync(contract, order), 20)
                assert (await full(ib, CALL)).conId == CALL

    drive(work())


def test_slow_answers_come_late_and_in_order() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.fault("slow", seconds=0.2)
                loop = asyncio.get_running_loop()
                start = loop.time()
                assert len(await ib.reqPositionsAsync()) == len(RAW["positions"])
                assert loop.time() - start >= 0.2
                tws.fault("slow", seconds=60)
                assert await unanswered(ib.reqCurrentTimeAsync())
                tws.mend("slow")
                await asyncio.wait_for(ib.reqCurrentTimeAsync(), 20)

    drive(work())


def test_a_skewed_clock() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.fault("skew", seconds=-90)
                before = tws.clock()
                told = await ib.reqCurrentTimeAsync()
                # told in whole seconds
                assert -1 <= (told - before).total_seconds() + 90 <= (tws.clock() - before).total_seconds()

    drive(work())


def test_what_if_rejected() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.fault("whatif_answer", kind="rejected", times=1)
                with pytest.raises(RequestError, match="201"):
                    await preview(ib)
                assert (await preview(ib)).commission == 1.25

    drive(work())


def test_what_if_with_a_warning_first_is_completed_by_the_second_answer() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.fault("whatif_answer", kind="warning_first")
                state = await asyncio.wait_for(preview(ib), 20)
                assert float(state.initMarginChange) == 2150.0

    drive(work())


@pytest.mark.parametrize("kind", ["sentinel", "null"])
def test_what_if_without_a_figure_never_completes(kind: str) -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.fault("whatif_answer", kind=kind)
                assert await unanswered(preview(ib))
                await until(lambda: len(tws.what_ifs) == 1)

    drive(work())


def test_an_unreadable_margin_leaves_what_ifs_unset_and_the_line_up() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.set_value(MAIN, "InitMarginReq", "N/A")
                assert await unanswered(preview(ib))
                assert ib.isConnected()

    drive(work())


def test_a_fault_nobody_knows_is_named() -> None:
    with pytest.raises(ValueError, match="mute_whatif"):
        mixed().fault("muted_whatif")
