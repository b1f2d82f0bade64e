"""The stand-in for tastytrade answers the unmodified SDK over REST; sums worked by hand from the book's comments."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from tastytrade import Account
from tastytrade.instruments import Cryptocurrency, Equity, Future, FutureOption, Option
from tastytrade.market_data import get_market_data_by_type
from tastytrade.metrics import get_market_metrics
from tastytrade.order import InstrumentType, LimitOrder, OrderAction
from tastytrade.utils import TastytradeError

from tests.brokers.driving import MIXED, TODAY, drive
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_book import Book
from tests.brokers.tasty_driving import BOOK, CALL, MAIN, SMALL, SPX_AM, client, stand_in
from tests.brokers.tws_book import Book as TwsBook


def test_positions_have_every_shape() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            main, small = await Account.get(session)
            assert (main.account_number, small.account_number) == (MAIN, SMALL)
            rows = {row.symbol: row for row in await main.get_positions(session, include_marks=True)}
            assert list(rows) == [
                "AAPL", CALL, "NBTA", "QQQ", SPX_AM, "SPXW  261218P05700000", "BRK/B 261218P00450000",
                "USO1  261218C00007000", "/ESZ6", "/MESZ6", "./ESZ6 EW2Z6 261211P5900", "./MESZ6EX2Z6 261211P5800",
            ]  # fmt: skip
            call = rows[CALL]
            assert (call.quantity, call.quantity_direction, call.multiplier) == (2, "Short", 100)
            assert (call.mark_price, call.mark) == (Decimal("1.04"), 208)  # the middle of 1.02 and 1.06; x 2 x 100
            assert call.expires_at == datetime(2026, 12, 18, 21, tzinfo=UTC)  # 16:00 in New York, in winter
            zero = rows["QQQ"]
            assert (zero.quantity, zero.quantity_direction, zero.realized_day_gain) == (0, "Zero", 85)
            assert (rows["/ESZ6"].underlying_symbol, rows["./ESZ6 EW2Z6 261211P5900"].underlying_symbol) == (
                "/ES",
                "/ESZ6",
            )
            assert rows["/MESZ6"].instrument_type is InstrumentType.FUTURE
            (coin,) = await small.get_positions(session, instrument_type=InstrumentType.CRYPTOCURRENCY)
            assert (coin.symbol, coin.quantity, coin.mark) == ("BTC/USD", Decimal("0.05"), None)  # no marks asked for

    with stand_in() as tasty:
        drive(work(tasty))


@pytest.mark.parametrize(("number", "net_liquidation", "day"), [(MAIN, "114538.25", "903.25"), (SMALL, "76165", "225")])
def test_the_sums_of_the_book_agree(number: str, net_liquidation: str, day: str) -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            account = await Account.get(session, number)
            balance = await account.get_balances(session)
            gain = value = Decimal(0)
            for row in await account.get_positions(session, include_marks=True):
                assert row.mark_price is not None
                assert row.average_daily_market_close_price is not None
                sign = {"Long": 1, "Short": -1, "Zero": 0}[row.quantity_direction]
                size = sign * row.quantity * row.multiplier
                today = size * (row.mark_price - row.average_daily_market_close_price)
                gain += today + row.realized_day_gain
                value += today if row.instrument_type is InstrumentType.FUTURE else size * row.mark_price
            assert balance.cash_balance + value == balance.net_liquidating_value == Decimal(net_liquidation)
            assert gain == Decimal(day)
            ends = await account.get_balance_snapshots(session)
            paid = sum(one.net_value for one in await account.get_history(session, type="Money Movement"))
            assert balance.net_liquidating_value - ends[0].net_liquidating_value - paid == gain
            assert ends[0].snapshot_date == date(2026, 11, 19)  # the session before TODAY

    with stand_in() as tasty:
        drive(work(tasty))


def test_margin_is_positive_in_one_place_and_negative_in_the_other() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            account = await Account.get(session, MAIN)
            balance, report = await account.get_balances(session), await account.get_margin_requirements(session)
            assert (balance.maintenance_requirement, report.maintenance_requirement) == (41250, -41250)
            assert balance.maintenance_excess == report.maintenance_excess == Decimal("73288.25")
            entries = [group for group in report.groups if hasattr(group, "maintenance_requirement")]
            assert sum(group.maintenance_requirement or 0 for group in entries) == -41250
            assert len(report.groups) == len(entries) + 1  # the empty one
            assert (await account.get_trading_status(session)).is_in_margin_call is False

    with stand_in() as tasty:
        drive(work(tasty))


def test_history_filters_and_pages() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            account = await Account.get(session, MAIN)
            assert [row.id for row in await account.get_history(session)] == [101, 102, 103]
            assert [row.id for row in await account.get_history(session, start_date=TODAY, types=["Trade"])] == [102]
            assert [row.id for row in await account.get_history(session, per_page=2)] == [101, 102]
            assert [row.id for row in await account.get_history(session, per_page=2, page_offset=1)] == [103]
            assert len(await account.get_history(session, per_page=1, page_offset=None)) == 3
            begins = await account.get_balance_snapshots(session, time_of_day="BOD")
            assert [str(row.net_liquidating_value) for row in begins] == ["112635.00", "112410.50", "111980.00"]
            assert begins[0].snapshot_date == TODAY
            assert len(await account.get_net_liquidating_value_history(session, "1m")) == 3
            (order,) = await account.get_live_orders(session)
            assert (order.id, order.price) == (501, Decimal("-0.5"))

    with stand_in() as tasty:
        drive(work(tasty))


def test_instruments_name_their_streamer_symbols() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            future = await Future.get(session, "/ESZ6")
            assert (future.streamer_symbol, future.notional_multiplier) == ("/ESZ26:XCME", 50)
            assert [row.symbol for row in await Future.get(session, ["/MESZ6", "/ESH1"])] == ["/MESZ6"]
            put = await FutureOption.get(session, "./MESZ6EX2Z6 261211P5800")
            assert (put.streamer_symbol, put.multiplier) == ("./EX2Z26P5800:XCME", 1)
            assert put.notional_value / put.display_factor == 5  # dollars per point
            am, pm = [await Option.get(session, f"{root:<6}261218P05700000") for root in ("SPX", "SPXW")]
            assert (am.settlement_type, pm.settlement_type) == ("AM", "PM")
            assert (am.stops_trading_at.date(), pm.stops_trading_at.date()) == (date(2026, 12, 17), date(2026, 12, 18))
            for row in tasty.book.of_type("Equity Option"):
                assert (await Option.get(session, row["symbol"])).streamer_symbol == Option.occ_to_streamer_symbol(
                    row["symbol"]
                )
            assert (await Option.get(session, "USO1  261218C00007000")).shares_per_contract == 12
            assert (await Equity.get(session, "BRK/B")).streamer_symbol == "BRK/B"
            assert (await Cryptocurrency.get(session, "BTC/USD")).streamer_symbol == "BTC/USD:CXTALP"
            with pytest.raises(TastytradeError, match="record_not_found"):
                await Equity.get(session, "ZZZZ")

    with stand_in() as tasty:
        drive(work(tasty))


def test_metrics_and_prices() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            told = {row.symbol: row for row in await get_market_metrics(session, ["AAPL", "NBTA", "ZZZZ", "BRK/B"])}
            assert {name: row.beta for name, row in told.items()} == {
                "AAPL": Decimal("1.18"), "NBTA": None, "BRK/B": Decimal("0.85"),
            }  # fmt: skip
            assert told["AAPL"].implied_volatility_index == Decimal("0.262")  # a fraction
            assert told["AAPL"].implied_volatility_30_day == Decimal("26.2")  # percent points
            index, put = await get_market_data_by_type(session, indices=["SPX"], options=[SPX_AM], equities=["ZZZZ"])
            assert (index.bid, index.last, index.prev_close) == (None, 6001, Decimal("5985.6"))
            assert (put.bid, put.ask, put.mark) == (Decimal("26.6"), Decimal("26.8"), Decimal("26.7"))
            with pytest.raises(TastytradeError, match="validation_error"):
                await get_market_data_by_type(session, equities=["AAPL"] * 101)
            assert len(await get_market_data_by_type(session, equities=["AAPL"] * 100)) == 100

    with stand_in() as tasty:
        drive(work(tasty))


def test_dry_runs_are_answered_and_orders_are_not() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            account, option = await Account.get(session, MAIN), await Option.get(session, SPX_AM)
            order = LimitOrder(legs=[option.build_leg(2, OrderAction.BUY_TO_OPEN)], price=Decimal("-26.7"))
            effect = (await account.place_order(session, order, dry_run=True)).buying_power_effect
            assert effect.change_in_margin_requirement == -500  # 2 x 250
            assert effect.change_in_buying_power == Decimal("-502.26")  # and 2 x 1.13 of fees
            assert (tasty.asked["dry_run"], len(tasty.dry_runs), tasty.orders) == (1, 1, [])
            with pytest.raises(TastytradeError, match="not_permitted"):
                await account.place_order(session, order, dry_run=False)
            with pytest.raises(TastytradeError, match="not_permitted"):
                await account.delete_order(session, 501)
            assert [row["method"] for row in tasty.orders] == ["POST", "DELETE"]

    with stand_in() as tasty:
        drive(work(tasty))


def test_what_is_not_there_is_counted() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            with pytest.raises(TastytradeError, match="not_found"):
                await session.get_customer()
            with pytest.raises(TastytradeError, match="record_not_found"):
                await Account.get(session, "5WT99999")
            assert tasty.asked == Counter({"token": 1, "unknown GET /customers/me": 1, "account": 1})

    with stand_in() as tasty:
        drive(work(tasty))


@pytest.mark.parametrize("today", [date(2026, 12, 4), date(2026, 12, 5), date(2027, 6, 17), date(2029, 2, 28)])
def test_the_book_opens_on_any_day(today: date) -> None:
    book = Book.load(BOOK, today)
    assert all(row["expiry"] > today for row in book.instruments.values() if "expiry" in row)
    assert all(len(row["symbol"]) == 21 for row in book.of_type("Equity Option"))


@pytest.mark.parametrize("today", [TODAY, date(2027, 3, 1)])
def test_it_serves_what_the_other_broker_holds_at_other_prices(today: date) -> None:
    book, other = Book.load(BOOK, today), TwsBook.load(MIXED, today)
    for number, row in other.contracts.items():
        kind, local = row["secType"], row.get("localSymbol", "")
        if kind in ("CASH", "BAG"):
            continue
        name = {"STK": row["symbol"], "IND": row["symbol"], "OPT": local, "FUT": f"/{local}"}.get(kind)
        if kind == "FOP":
            code, terms = local.split()
            name = f"./{row['underSymbol']:<5}{code:<6}{row['realExpirationDate'][2:]}{terms}"
        told, theirs = book.market[str(name)], other.quotes[number]
        assert told["last"] != theirs["last"]
        assert ("greeks" in told) == ("model" in theirs)
        if "model" in theirs:
            assert told["greeks"]["delta"] != theirs["model"]["delta"]
            assert told["greeks"]["delta"] == pytest.approx(theirs["model"]["delta"], abs=0.005)
    names = {number: row["symbol"] for number, row in other.contracts.items()}
    assert {names[number] for number in other.closes} == book.closes.keys()
