"""Each family of messages, decoded by the unmodified ib_async, says what the book says."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ib_async import IB, Bag, ComboLeg, Contract, Index, LimitOrder, Option, RequestError, StartupFetch

from tests.brokers.driving import (
    AAPL,
    CALL,
    FUTURE,
    LONG_PUT,
    MAIN,
    OTHER,
    RAW,
    SHORT_PUT,
    SPX,
    SPX_AM,
    SPY,
    TODAY,
    VIX,
    Heard,
    connected,
    drive,
    full,
    mixed,
    until,
)
from tests.brokers.tws import Tws
from tests.brokers.tws_book import Book

NEW_YORK = ZoneInfo("America/New_York")
ROOT = Path(__file__).resolve().parents[2]
UNSET = 1.7976931348623157e308


@pytest.mark.parametrize("version", [170, 176, 177, 178])
def test_connecting_synchronises_everything_with_every_version(version: int) -> None:
    async def work() -> None:
        with mixed(version=version) as tws:
            async with connected(tws) as ib:
                assert ib.client.serverVersion() == version
                assert ib.managedAccounts() == [MAIN, OTHER]
                assert len(ib.positions()) == len(RAW["positions"])
                assert len(ib.portfolio()) == len(RAW["positions"]) - 1
                assert len(ib.openTrades()) == 1
                assert len(ib.fills()) == len(RAW["executions"])
                assert tws.asked["reqPositions"] == tws.asked["startApi"] == 1

    drive(work())


def test_the_first_order_id_is_beyond_the_open_ones() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws, fetchFields=StartupFetch(0)) as ib:
                assert ib.client.getReqId() > 41

    drive(work())


def test_farm_notices_follow_the_start() -> None:
    async def work() -> None:
        with mixed() as tws:
            ib = IB()
            heard = Heard(ib)
            await ib.connectAsync("127.0.0.1", tws.port, clientId=17, account=MAIN, raiseSyncErrors=True)
            assert heard.codes == [2104, 2106, 2158]
            ib.disconnect()

    drive(work())


def test_positions_equal_the_book() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                told = {(row.account, row.contract.conId): (row.position, row.avgCost) for row in ib.positions()}
                written = {(r["account"], r["conId"]): (r["position"], r["avgCost"]) for r in RAW["positions"]}
                assert told == written
                by_id = {row.contract.conId: row.contract for row in ib.positions()}
                assert (by_id[AAPL].exchange, by_id[AAPL].right) == ("NASDAQ", "0")
                assert by_id[SPY].right == "?"
                call = by_id[CALL]
                assert (call.exchange, call.multiplier, call.right, call.strike) == ("", "100", "C", 240.0)
                assert call.localSymbol == "AAPL  261218C00240000"
                assert (by_id[FUTURE].multiplier, by_id[FUTURE].localSymbol) == ("50", "ESZ6")

    drive(work())


def test_am_settled_spx_says_thursday_and_carries_friday() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                (details,) = await ib.reqContractDetailsAsync(Contract(conId=SPX_AM))
                contract = details.contract
                assert contract is not None
                assert contract.tradingClass == "SPX"
                assert contract.lastTradeDateOrContractMonth == "20261217"
                assert contract.localSymbol == "SPX   261218P05700000"
                assert details.realExpirationDate == "20261218"

    drive(work())


def test_a_changed_position_is_pushed_and_zero_removes_it() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.set_position(MAIN, AAPL, 250, 190.0)
                await until(lambda: any(row.position == 250 and row.avgCost == 190.0 for row in ib.positions()))
                await until(lambda: any(row.position == 250 for row in ib.portfolio()))
                tws.set_position(MAIN, AAPL, 0)
                await until(lambda: all(row.contract.conId != AAPL for row in ib.positions()))
                await until(lambda: all(row.contract.conId != AAPL for row in ib.portfolio()))

    drive(work())


def test_account_values_equal_the_book_with_base_and_segments() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                values = {(row.account, row.tag, row.currency): row.value for row in ib.accountValues()}
                for account, row in RAW["accounts"].items():
                    for tag, value in row["values"].items():
                        assert values[account, tag, "USD"] == value
                    for tag, value in row["plain"].items():
                        assert values[account, tag, ""] == value
                    for currency, ledger in row["ledger"].items():
                        for tag, value in ledger.items():
                            assert values[account, tag, currency] == value
                assert values[MAIN, "CashBalance", "EUR"] == "10000.00"

    drive(work())


def test_the_book_adds_up() -> None:
    """Net liquidation = cash + securities + futures options, at the middle of each quote (worked in mixed.yaml)."""
    book = Book(RAW, TODAY)
    value = 0.0
    for (account, con_id), (quantity, _) in book.positions.items():
        row = book.contracts[con_id]
        mark = book.mark(con_id)
        assert mark is not None
        if account == MAIN and row["secType"] != "FUT":
            value += mark * quantity * float(row.get("multiplier") or 1)
    assert value == pytest.approx(72957.50)
    assert value + 180000 + 10000 * 1.0850 == pytest.approx(263807.50)


def test_portfolio_rows_carry_price_value_and_gain() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                rows = {row.contract.conId: row for row in ib.portfolio()}
                call = rows[CALL]
                assert (call.position, call.averageCost) == (-3, 412.30)
                assert call.marketPrice == pytest.approx(2.85)
                assert call.marketValue == pytest.approx(-855.0)
                assert call.unrealizedPNL == pytest.approx(381.90)
                assert rows[FUTURE].marketValue == pytest.approx(300993.75)

    drive(work())


def test_a_changed_account_value_is_pushed() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tws.set_value(OTHER, "ExcessLiquidity", "N/A")
                tws.set_value(MAIN, "ExcessLiquidity", UNSET)
                tws.set_value(MAIN, "ExchangeRate", "1.1", "EUR")

                def value(account: str, tag: str, currency: str) -> list[str]:
                    rows = [row for row in ib.accountValues(account) if (row.tag, row.currency) == (tag, currency)]
                    return [row.value for row in rows]

                await until(lambda: value(OTHER, "ExcessLiquidity", "USD") == ["N/A"])
                await until(lambda: float(value(MAIN, "ExcessLiquidity", "USD")[0]) == UNSET)
                await until(lambda: value(MAIN, "ExchangeRate", "EUR") == ["1.1"])

    drive(work())


def test_account_summary_gives_the_tags_asked_for_and_a_third_one_is_refused() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                rows = {(row.account, row.tag, row.currency): row.value for row in await ib.accountSummaryAsync()}
                assert rows[MAIN, "LookAheadExcessLiquidity", "USD"] == "206707.50"
                assert rows[OTHER, "SMA", "USD"] == "41000.00"
                assert rows[MAIN, "CashBalance", "EUR"] == "10000.00"
                assert (MAIN, "NetLiquidation-S", "USD") not in rows
                await ib.reqAccountSummaryAsync()
                with pytest.raises(RequestError, match="322"):
                    await ib.reqAccountSummaryAsync()

    drive(work())


def test_pnl_of_accounts_and_positions() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                whole, other, single = ib.reqPnL(MAIN), ib.reqPnL(OTHER), ib.reqPnLSingle(MAIN, "", AAPL)
                await until(lambda: single.value == pytest.approx(69000.0) and other.dailyPnL == 120.0)
                assert (whole.dailyPnL, whole.unrealizedPnL, whole.realizedPnL) == (1250.4, 14528.1, 0.0)
                assert other.realizedPnL == UNSET
                assert (single.position, single.dailyPnL, single.realizedPnL) == (300, 450.0, UNSET)
                assert single.unrealizedPnL == pytest.approx(14280.0)
                tws.set_pnl(MAIN, daily=-999.0)
                await until(lambda: whole.dailyPnL == -999.0)

    drive(work())


def test_pnl_is_repeated_while_it_is_wanted() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                told: list[object] = []
                ib.pnlEvent += told.append
                ib.reqPnL(MAIN)
                await until(lambda: len(told) >= 2)
                ib.cancelPnL(MAIN)
                await until(lambda: tws.asked["cancelPnL"] == 1)
                await until(lambda: not any(session.pnl for session in tws.sessions))

    drive(work())


def test_contract_details_by_terms() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                put = Option("SPX", "20261217", 5700, "P", "SMART", tradingClass="SPX")
                (details,) = await ib.reqContractDetailsAsync(put)
                assert details.contract is not None
                assert (details.contract.conId, details.contract.exchange) == (SPX_AM, "SMART")
                assert (details.underConId, details.underSecType) == (SPX, "IND")
                (at_cboe,) = await ib.reqContractDetailsAsync(Contract(conId=SPX_AM, exchange="CBOE"))
                assert at_cboe.contract is not None
                assert at_cboe.contract.exchange == "CBOE"
                (future,) = await ib.reqContractDetailsAsync(Contract(conId=FUTURE))
                assert future.contract is not None
                assert future.contract.lastTradeDateOrContractMonth == "20261218"
                assert (future.lastTradeTime, future.timeZoneId) == ("08:30", "US/Central")

    drive(work())


def test_contract_details_may_be_several_none_or_invalid() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                several = await ib.reqContractDetailsAsync(Contract(symbol="SPX", secType="OPT", tradingClass="SPXW"))
                assert {row.contract.conId for row in several if row.contract} == {SHORT_PUT, LONG_PUT}
                for unknown in (Contract(conId=1), Contract(conId=AAPL, exchange="NASDAQ")):
                    with pytest.raises(RequestError, match="200"):
                        await ib.reqContractDetailsAsync(unknown)

    drive(work())


def test_a_quote_arrives_whole_at_once() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                ticker = ib.reqMktData(await full(ib, AAPL))
                await until(lambda: ticker.halted == 0 and ticker.lastTimestamp)
                quote = RAW["quotes"][AAPL]
                for name in ("bid", "ask", "bidSize", "askSize", "last", "lastSize", "high", "low", "open", "close"):
                    assert getattr(ticker, name) == quote[name], name
                assert ticker.volume == quote["volume"]
                assert (ticker.marketDataType, ticker.minTick) == (1, 0.01)

    drive(work())


def test_an_index_has_a_last_without_size_and_no_bid() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                ticker = ib.reqMktData(await full(ib, VIX))
                await until(lambda: ticker.close == 17.42)
                assert (ticker.last, ticker.lastSize) == (17.20, 0)
                assert ticker.bid != ticker.bid

    drive(work())


def test_option_computations_equal_the_book() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                for con_id, quote in RAW["quotes"].items():
                    if "model" not in quote:
                        continue
                    ticker = ib.reqMktData(await full(ib, con_id))
                    await until(partial(getattr, ticker, "modelGreeks"))
                    told, model = ticker.modelGreeks, quote["model"]
                    assert told is not None
                    assert (told.delta, told.gamma, told.vega) == (model["delta"], model["gamma"], model["vega"])
                    assert (told.theta, told.impliedVol) == (model["theta"], model["iv"])
                    assert (told.optPrice, told.undPrice) == (model["price"], model["undPrice"])
                    assert told.pvDividend == model["pvDividend"]

    drive(work())


def test_a_changed_quote_is_pushed() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                ticker = ib.reqMktData(await full(ib, CALL))
                await until(lambda: ticker.modelGreeks)
                tws.set_quote(CALL, bid=3.1, ask=3.2, model={"delta": 0.31})
                await until(lambda: ticker.bid == 3.1 and ticker.ask == 3.2)
                assert ticker.modelGreeks is not None
                await until(lambda: ticker.modelGreeks and ticker.modelGreeks.delta == 0.31)
                assert ticker.modelGreeks.gamma == RAW["quotes"][CALL]["model"]["gamma"]
                tws.set_quote(CALL, bid=-1, bidSize=0, halted=1)
                await until(lambda: ticker.bid == -1 and ticker.halted == 1)

    drive(work())


def test_a_snapshot_ends_and_holds_no_line() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                (ticker,) = await ib.reqTickersAsync(await full(ib, SPY))
                assert ticker.bid == 599.95
                assert tws.lines == 0

    drive(work())


def test_derivatives_without_exchange_are_refused() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                heard = Heard(ib)
                for row in ib.positions():
                    if row.contract.secType in ("OPT", "FUT", "FOP"):
                        ib.reqMktData(row.contract)
                await until(lambda: heard.codes.count(321) == 7)
                assert tws.lines == 0

    drive(work())


def test_lines_are_limited_counted_and_freed() -> None:
    async def work() -> None:
        with mixed(max_lines=2) as tws:
            async with connected(tws) as ib:
                heard = Heard(ib)
                first, second, third = [await full(ib, number) for number in (AAPL, SPY, CALL)]
                ib.reqMktData(first)
                ib.reqMktData(second)
                await until(lambda: tws.lines == 2)
                assert heard.codes == []
                ib.reqMktData(third)
                await until(lambda: heard.codes == [101])
                ib.cancelMktData(first)
                await until(lambda: tws.lines == 1)
                ib.cancelMktData(third)
                await until(lambda: heard.codes == [101, 300])
                ib.reqMktData(third)
                await until(lambda: tws.lines == 2)
                assert tws.most_lines == 2
            await until(lambda: tws.lines == 0)

    drive(work())


def test_streams_keep_the_rate_and_the_prices() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                tickers = [ib.reqMktData(await full(ib, number)) for number in (AAPL, SPY)]
                seen = 0

                def count(changed: set[object]) -> None:
                    nonlocal seen
                    seen += sum(len(ticker.ticks) for ticker in tickers if ticker in changed)

                await until(lambda: tws.lines == 2)
                ib.pendingTickersEvent += count
                start = asyncio.get_running_loop().time()
                tws.stream(50)
                await until(lambda: seen >= 100)
                assert asyncio.get_running_loop().time() - start >= 0.6  # 2 lines x 50/s: one second, or more
                assert (tickers[0].bid, tickers[0].ask) == (229.95, 230.05)
                tws.stream(50, walk=True)
                await until(lambda: tickers[0].bid != 229.95)
                tws.stream(0)

    drive(work())


def test_daily_bars_end_with_the_session_before_and_today() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                vix = Index("VIX", "CBOE")
                bars = await ib.reqHistoricalDataAsync(vix, "", "1 Y", "1 day", "TRADES", useRTH=True)
                closes = RAW["daily_closes"][VIX]
                assert [bar.close for bar in bars] == [*closes, 17.20]
                assert (bars[-1].date, bars[-2].date) == (TODAY, date(2026, 11, 19))
                assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
                last = await ib.reqHistoricalDataAsync(vix, "", "5 D", "1 day", "TRADES", useRTH=True)
                assert len(last) == 5
                with pytest.raises(RequestError, match="162"):
                    await ib.reqHistoricalDataAsync(Index("SPX", "CBOE"), "", "1 D", "1 min", "TRADES", useRTH=True)

    drive(work())


def test_current_time_is_the_clock_given() -> None:
    async def work() -> None:
        noon = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
        with mixed(clock=lambda: noon) as tws:
            async with connected(tws) as ib:
                assert await ib.reqCurrentTimeAsync() == noon

    drive(work())


def test_open_orders_of_this_client_and_of_all() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                (own,) = ib.openTrades()
                assert (own.order.orderId, own.order.orderRef, own.order.lmtPrice) == (41, "close-call", 1.4)
                assert (own.contract.conId, own.order.totalQuantity, own.order.tif) == (CALL, 3.0, "GTC")
                assert (own.orderStatus.status, own.orderStatus.remaining) == ("Submitted", 3.0)
                trades = await ib.reqAllOpenOrdersAsync()
                assert {trade.order.permId for trade in trades} == {900000041, 900000042}

    drive(work())


def test_executions_are_one_for_the_combination_and_one_per_leg() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                await until(lambda: all(fill.execution.execId for fill in ib.fills()))
                rows = {fill.execution.execId: fill for fill in ib.fills()}
                for written in RAW["executions"]:
                    fill = rows[written["execId"]]
                    assert (fill.execution.shares, fill.execution.price) == (written["shares"], written["price"])
                    assert (fill.execution.side, fill.execution.orderRef) == (written["side"], "spread")
                    assert fill.contract.conId == written["conId"]
                    assert fill.commissionReport.commission == written.get("commission", 0.0)
                    assert f"{fill.execution.time.astimezone(NEW_YORK):%H:%M:%S}" == "10:15:02"

    drive(work())


def test_completed_orders_have_no_id_and_no_total() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                (trade,) = await ib.reqCompletedOrdersAsync(apiOnly=False)
                assert (trade.order.orderId, trade.order.totalQuantity, trade.order.filledQuantity) == (0, 0.0, 2.0)
                assert (trade.orderStatus.status, trade.order.orderRef) == ("Filled", "spread")
                legs = trade.contract.comboLegs
                assert [(leg.conId, leg.action) for leg in legs] == [(SHORT_PUT, "SELL"), (LONG_PUT, "BUY")]

    drive(work())


def spread(**terms: object) -> Bag:
    """The short put spread as a combination."""
    legs = [
        ComboLeg(conId=SHORT_PUT, ratio=1, action="SELL", exchange="SMART"),
        ComboLeg(conId=LONG_PUT, ratio=1, action="BUY", exchange="SMART"),
    ]
    return Bag(  # type: ignore[no-untyped-call]  # as ib_async has it
        symbol="SPX", exchange="SMART", currency="USD", comboLegs=terms.get("legs", legs)
    )


@pytest.mark.parametrize("version", [176, 178])
def test_a_what_if_of_one_contract(version: int) -> None:
    """Two contracts at 2150 and 1870 each, on top of the account's 63100 and 55600."""

    async def work() -> None:
        with mixed(version=version) as tws:
            async with connected(tws) as ib:
                order = LimitOrder("SELL", 2, 2.9, account=MAIN, tif="DAY", orderRef="r1")
                state = await asyncio.wait_for(ib.whatIfOrderAsync(await full(ib, CALL), order), 20)
                assert (float(state.initMarginBefore), float(state.maintMarginBefore)) == (63100.0, 55600.0)
                assert (float(state.initMarginChange), float(state.maintMarginChange)) == (4300.0, 3740.0)
                assert (float(state.initMarginAfter), float(state.maintMarginAfter)) == (67400.0, 59340.0)
                assert float(state.equityWithLoanAfter) == 263805.0
                assert (state.commission, state.commissionCurrency) == (1.25, "USD")
                (seen,) = tws.what_ifs
                assert (seen.ref, seen.tif, seen.quantity, seen.account) == ("r1", "DAY", 2.0, MAIN)
                assert tws.orders == []

    drive(work())


def test_a_what_if_of_a_combination() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                order = LimitOrder("BUY", 2, -7.4, account=MAIN, tif="DAY")
                state = await asyncio.wait_for(ib.whatIfOrderAsync(spread(), order), 20)
                assert float(state.initMarginChange) == 10000.0
                assert [leg[:4] for leg in tws.what_ifs[0].legs] == [
                    (str(SHORT_PUT), "1", "SELL", "SMART"),
                    (str(LONG_PUT), "1", "BUY", "SMART"),
                ]

    drive(work())


def test_a_what_if_of_what_nobody_knows_is_refused() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                heard = Heard(ib)
                legs = [ComboLeg(conId=1, ratio=1, action="BUY", exchange="SMART")]
                order = LimitOrder("BUY", 1, 1.0, account=MAIN, tif="DAY")
                with pytest.raises(RequestError, match="200"):
                    await asyncio.wait_for(ib.whatIfOrderAsync(spread(legs=legs), order), 20)
                with pytest.raises(RequestError, match="435"):
                    await asyncio.wait_for(ib.whatIfOrderAsync(spread(), LimitOrder("BUY", 1, 1.0, tif="DAY")), 20)
                pending = asyncio.ensure_future(ib.whatIfOrderAsync(Contract(conId=CALL), order))  # no exchange
                await until(lambda: 321 in heard.codes)
                assert not pending.done()  # ib_async takes 321 for a warning and waits for ever
                pending.cancel()

    drive(work())


def test_a_real_order_is_refused_and_remembered() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                heard = Heard(ib)
                ib.placeOrder(await full(ib, AAPL), LimitOrder("BUY", 1, 1.0, account=MAIN, tif="DAY"))
                await until(lambda: heard.codes == [321])
                assert [order.quantity for order in tws.orders] == [1.0]

    drive(work())


def test_unknown_requests_are_counted_and_ignored() -> None:
    async def work() -> None:
        with mixed() as tws:
            async with connected(tws) as ib:
                ib.client.reqFamilyCodes()  # type: ignore[no-untyped-call]  # as ib_async has it
                await until(lambda: tws.asked["request 80"] == 1)
                assert (await ib.reqCurrentTimeAsync()).tzinfo is not None

    drive(work())


def test_an_impossible_version_is_refused() -> None:
    with pytest.raises(ValueError, match="170 to 178"):
        Tws(Book(RAW, TODAY), version=163)


def test_as_a_process_it_says_where_it_listens_and_dies_when_killed() -> None:
    command = [sys.executable, "-m", "tests.brokers.tws", "--port", "0", "--rate", "0", "--fault", "no_greeks"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        words, _, port = process.stdout.readline().strip().rpartition(" ")
        assert words == "listening on"

        async def work() -> None:
            ib = IB()
            await ib.connectAsync("127.0.0.1", int(port), clientId=17, timeout=20, account=MAIN, raiseSyncErrors=True)
            assert len(ib.positions()) == len(RAW["positions"])
            os.kill(process.pid, signal.SIGKILL)
            await until(lambda: not ib.isConnected())

        drive(work())
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()
