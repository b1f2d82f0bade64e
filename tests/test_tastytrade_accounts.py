"""What tastytrade's REST API does to us has a name, darkens what it touches and ends by itself: on the wire, with the
real client library."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from adapters.tastytrade.api import Api, Incomplete
from adapters.tastytrade.directory import Directory, Plan
from adapters.tastytrade.feed import Feed
from adapters.tastytrade.holdings import apart, believed
from adapters.tastytrade.ledger import Book, Ledger
from adapters.tastytrade.source import Access, TastytradeSource
from adapters.tastytrade.state import condition_of
from adapters.tastytrade.ticks import Ticks
from adapters.tastytrade.view import composed, heard
from guardrails import redaction
from guardrails.findings import Level
from guardrails.snapshot import to_json
from guardrails.symbols import tastytrade
from guardrails.values import Restriction, SourceState, View
from tests.brokers.tasty import Tasty
from tests.tasty import (
    DARK,
    MONDAY,
    REFRESH,
    SECRET,
    Clock,
    condition,
    judged,
    opened,
    reading,
    run,
    settled,
    stream,
    until,
)

BIG, SMALL = "5WT00001", "5WT00002"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tasty(clock: Clock) -> Iterator[Tasty]:
    with Tasty(opened(clock), rate=5, clock=clock) as server:
        yield server


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tries with a tenth of the pauses between them, where the pace is not what is looked at."""
    monkeypatch.setattr("adapters.tastytrade.api.jitter", lambda: 0.1)


def nothing_is_green(view: View, clock: Clock) -> None:
    """No check of the book clears anything."""
    own_feed = {"market_regime", "clock_skew"}
    findings = judged(view, clock).snapshot.findings
    assert [f for f in findings if f.check not in own_feed and f.level in (Level.OK, Level.WATCH)] == []
    assert view.source.state in DARK


def test_without_credentials_it_says_which_are_missing(clock: Clock) -> None:
    async def work() -> None:
        source = TastytradeSource(Access("", "", "http://127.0.0.1:9"), clock)
        view = await source.view(clock())
        assert view.source.condition == "not_configured"
        assert "TT_SECRET" in view.source.detail
        nothing_is_green(view, clock)
        await source.close()

    run(work())


def test_nothing_listens_and_then_something_does(clock: Clock) -> None:
    async def work() -> None:
        with socket.socket() as silent:  # what is bound and does not listen keeps the port from all others
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # but from a listener with the same wish
            silent.bind(("127.0.0.1", 0))
            port = silent.getsockname()[1]
            source = TastytradeSource(Access(SECRET, REFRESH, f"http://127.0.0.1:{port}"), clock)
            view = await condition(source, clock, "unreachable")
            assert view.source.action
            nothing_is_green(view, clock)
            with Tasty(opened(clock), port=port, rate=5, clock=clock):
                assert (await condition(source, clock, "connected", 30)).positions
            await source.close()

    run(work())


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", ["rate_limited", "server_error", "no_data"])
def test_before_the_accounts_are_known_nothing_is_live(tasty: Tasty, clock: Clock, fault: str) -> None:
    """Quotes may stream long before: no account and no position is not an empty book."""

    async def work() -> None:
        tasty.fault(fault, paths=["accounts"])
        async with reading(tasty, clock) as source:
            view = await until(source, clock, lambda _: tasty.sockets["dxlink"] == 1 and tasty.asked["accounts"] > 1)
            for _ in range(10):
                assert view.source.state in DARK
                nothing_is_green(view, clock)
                await asyncio.sleep(0.1)
                view = await source.view(clock())
            tasty.mend()
            clock.ahead(timedelta(seconds=25))
            await condition(source, clock, "connected", 60)

    run(work())


def test_a_dead_grant_is_not_tried_again(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("grant_dead")
        async with reading(tasty, clock) as source:
            view = await condition(source, clock, "grant_refused")
            nothing_is_green(view, clock)
            asked = tasty.asked["token"]
            assert asked == 1
            for _ in range(20):  # two minutes as the clock goes
                clock.ahead(timedelta(seconds=6))
                await asyncio.sleep(0.1)
                await source.view(clock())
            assert tasty.asked["token"] == asked
            tasty.mend()
            clock.ahead(timedelta(minutes=31))
            assert (await condition(source, clock, "connected")).positions

    run(work())


def test_a_wrong_secret_is_told_apart_from_a_bad_line(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock, secret=SECRET[::-1]) as source:
            view = await until(source, clock, lambda view: view.source.state is SourceState.DOWN)
            assert view.source.condition in ("grant_refused", "login_failing")
            await asyncio.sleep(1)
            assert tasty.asked["token"] <= 2

    run(work())


def test_a_flaky_login_is_tried_again_slowly(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("token_flaky", times=2)
        async with reading(tasty, clock) as source:
            view = await condition(source, clock, "login_failing")
            assert view.source.state is SourceState.DOWN
            for _ in range(8):
                clock.ahead(timedelta(seconds=1))
                await asyncio.sleep(0.1)
            assert tasty.asked["token"] <= 3
            clock.ahead(timedelta(seconds=20))
            assert (await condition(source, clock, "connected")).positions
            assert tasty.asked["token"] == 3

    run(work())


def test_a_token_killed_at_the_other_side_is_replaced_once(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            before = tasty.tokens
            tasty.fault("token_killed")
            asked = tasty.asked["positions"]
            clock.ahead(timedelta(seconds=12))
            await until(source, clock, lambda _: tasty.asked["positions"] >= asked + 2)
            view = await condition(source, clock, "connected")
            assert len(view.positions) == 14
            assert tasty.tokens == before + 1

    run(work())


def test_a_token_killed_again_after_it_had_worked_is_replaced_again(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            for _ in range(3):
                before, asked = tasty.tokens, tasty.asked["positions"]
                tasty.fault("token_killed", times=1)
                clock.ahead(timedelta(seconds=12))
                await until(source, clock, lambda _, asked=asked: tasty.asked["positions"] >= asked + 2)
                await condition(source, clock, "connected")
                assert tasty.tokens <= before + 1

    run(work())


def test_tokens_that_never_work_do_not_lead_to_a_storm_of_logins(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            before = tasty.asked["token"]
            tasty.fault("token_killed", always=True)
            clock.ahead(timedelta(seconds=12))
            view = await condition(source, clock, "not_authorised")
            nothing_is_green(view, clock)
            await asyncio.sleep(3)
            assert tasty.asked["token"] <= before + 2
            tasty.mend()
            clock.ahead(timedelta(seconds=70))
            await condition(source, clock, "connected", 30)

    run(work())


def test_a_token_of_short_life_is_not_replaced_at_every_call(clock: Clock) -> None:
    async def work() -> None:
        with Tasty(opened(clock), rate=5, clock=clock, expires_in=50) as tasty:
            async with reading(tasty, clock) as source:
                await settled(source, clock)
                assert tasty.asked["token"] == 1

    run(work())


@pytest.mark.parametrize("fault", ["server_error", "rate_limited", "html", "bad_json", "cut_rest"])
def test_a_short_burst_is_not_noticed(tasty: Tasty, clock: Clock, fault: str) -> None:
    async def work() -> None:
        tasty.fault(fault, times=2)
        async with reading(tasty, clock) as source:
            assert len((await condition(source, clock, "connected")).positions) == 14

    run(work())


@pytest.mark.parametrize("fault", ["server_error", "html", "bad_json", "no_data", "mute_rest", "rate_limited"])
def test_positions_that_are_not_answered_stay_and_are_marked(tasty: Tasty, clock: Clock, fault: str) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.fault(fault, paths=["positions"])
            clock.ahead(timedelta(seconds=50))
            view = await until(source, clock, lambda view: view.source.state in DARK)
            assert view.source.condition in ("positions_unanswered", "unreachable", "rate_limited")
            assert len(view.positions) == 14
            nothing_is_green(view, clock)
            tasty.mend()
            await condition(source, clock, "connected", 30)

    run(work())


def test_a_long_retry_after_is_honoured(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.fault("rate_limited", retry_after=60)
            clock.ahead(timedelta(seconds=12))
            asked = tasty.asked["positions"] + tasty.asked["balances"]
            await until(source, clock, lambda _: tasty.asked["positions"] + tasty.asked["balances"] > asked)
            await asyncio.sleep(0.5)  # both lists of both accounts are asked for at once
            asked = tasty.asked["positions"] + tasty.asked["balances"]
            await asyncio.sleep(3)
            assert tasty.asked["positions"] + tasty.asked["balances"] <= asked + 2
            tasty.mend()
            clock.ahead(timedelta(seconds=70))
            await condition(source, clock, "connected", 30)

    run(work())


@pytest.mark.parametrize("kind", ["unknown_type", "missing", "text", "null"])
def test_one_bad_row_is_one_unknown_row(tasty: Tasty, clock: Clock, kind: str) -> None:
    async def work() -> None:
        tasty.fault("one_bad_row", kind=kind, field="quantity")
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            bad = [position for position in view.positions if position.reasons]
            assert len(bad) == 2  # the first row of each account
            assert len(view.positions) == 14
            assert view.source.condition == "connected"
            finding = next(f for f in judged(view, clock).snapshot.findings if f.check == "position_data")
            assert finding.level is Level.UNKNOWN

    run(work())


def test_every_page_of_positions_is_read(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("paged", per_page=2)
        async with reading(tasty, clock) as source:
            assert len((await condition(source, clock, "connected")).positions) == 14

    run(work())


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("fault", "how"),
    [("duplicate_page", {}), ("pages_short", {"kind": "empty", "paths": "positions"}),
     ("pages_short", {"kind": "500", "paths": "positions"})],
)  # fmt: skip
def test_part_of_a_list_is_not_believed(tasty: Tasty, clock: Clock, fault: str, how: dict[str, str]) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.fault("paged", per_page=2)
            tasty.fault(fault, **how)
            clock.ahead(timedelta(seconds=50))
            view = await condition(source, clock, "positions_unanswered")
            assert len(view.positions) == 14
            nothing_is_green(view, clock)
            tasty.mend()
            assert len((await condition(source, clock, "connected", 30)).positions) == 14

    run(work())


def test_an_empty_list_is_believed_only_when_the_balance_agrees(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            held = {p.instrument.symbol for p in view.positions if p.account.number == SMALL}
            for symbol in ("SPY", "spy_put", "BTC/USD"):
                tasty.remove_position(SMALL, symbol)
            clock.ahead(timedelta(seconds=12))
            view = await condition(source, clock, "empty_positions_doubted")
            assert {p.instrument.symbol for p in view.positions if p.account.number == SMALL} == held
            nothing_is_green(view, clock)
            tasty.set_balance(
                SMALL, long_equity_value=0, short_derivative_value=0, long_cryptocurrency_value=0,
                maintenance_requirement=0, cryptocurrency_margin_requirement=0, long_derivative_value=0,
            )  # fmt: skip
            view = await condition(source, clock, "connected")
            assert {p.account.number for p in view.positions} == {BIG}

    run(work())


def test_half_a_list_is_not_believed_while_the_balance_keeps_its_value(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            for symbol in ("AAPL", "es_put"):  # one of a class that others are left of, one that was the only one
                tasty.remove_position(BIG, symbol)
            clock.ahead(timedelta(seconds=12))
            view = await condition(source, clock, "empty_positions_doubted")
            assert len(view.positions) == 14
            nothing_is_green(view, clock)
            tasty.set_balance(BIG, long_equity_value="4000.00", long_futures_derivative_value="0.00")
            view = await condition(source, clock, "connected")
            assert len(view.positions) == 12

    run(work())


def test_a_shorter_list_is_believed_when_it_persists(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.remove_position(BIG, "AAPL")
            clock.ahead(timedelta(seconds=12))
            await condition(source, clock, "empty_positions_doubted")
            clock.ahead(timedelta(seconds=70))
            well = ("connected", "quotes_silent")
            await until(source, clock, lambda view: len(view.positions) == 13 and view.source.condition in well)

    run(work())


def test_a_roll_is_believed_at_once(tasty: Tasty, clock: Clock) -> None:
    """Out with SPXW 5700, in with SPXW 5800 (39.70): the list and the balance say the same."""

    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.remove_position(BIG, "spxw_pm")
            tasty.set_balance(BIG, short_derivative_value="4608.00")  # 208 AAPL + 430 BRK/B + 3,970
            tasty.set_position(BIG, "spxw_5800", -1)
            for _ in range(30):
                view = await source.view(clock())
                assert view.source.condition in ("connected", "empty_positions_doubted")
                if "SPXW 24Dec26 5800P" in {position.instrument.label for position in view.positions}:
                    break
                await asyncio.sleep(0.1)

            def rolled(view: View) -> bool:
                labels = {position.instrument.label for position in view.positions}
                return "SPXW 24Dec26 5800P" in labels and "SPXW 18Dec26 5700P" not in labels

            await until(source, clock, lambda view: view.source.condition == "connected" and rolled(view), 9)

    run(work())


STOCK = {"symbol": "AAPL", "instrument-type": "Equity", "quantity": "200", "quantity-direction": "Long",
         "multiplier": "1", "mark-price": "230"}  # fmt: skip
PUT = {"symbol": "SPY   261218P00590000", "instrument-type": "Equity Option", "quantity": "5", "multiplier": "100",
       "quantity-direction": "Short", "mark-price": "6"}  # fmt: skip
SHORT = {**PUT, "symbol": "SPY   261218P00580000", "quantity": "1", "mark-price": "5"}
FUTURE = {"symbol": "/ESZ6", "instrument-type": "Future", "quantity": "1", "quantity-direction": "Long",
          "multiplier": "50", "mark-price": "6000"}  # fmt: skip
MONEY = {"long-equity-value": "46000", "long-derivative-value": "0", "short-derivative-value": "3500",
         "maintenance-requirement": "20000", "futures-margin-requirement": "0"}  # fmt: skip


ALL = [STOCK, PUT, SHORT]


@pytest.mark.parametrize(
    ("rows", "balance", "before", "old", "whole"),
    [
        (ALL, MONEY, [], None, True),
        ([STOCK], MONEY, [], None, True),  # the first list: said to be apart, see below, but shown
        ([STOCK, PUT], {**MONEY, "short-derivative-value": "3000"}, ALL, MONEY, True),  # both lost 500
        ([STOCK, PUT], MONEY, ALL, MONEY, True),  # 500 short of 3,500: 15 % is 525
        ([STOCK, PUT], {**MONEY, "short-derivative-value": "3600"}, ALL, MONEY, False),  # 600, and 15 % is 540
        ([STOCK, SHORT], MONEY, ALL, MONEY, False),
        ([PUT, SHORT], MONEY, ALL, MONEY, False),
        ([STOCK, SHORT], MONEY, [STOCK, PUT], {**MONEY, "short-derivative-value": "6000"}, True),  # it was 3,000 apart
        ([{**PUT, "mark-price": None}, STOCK], MONEY, ALL, MONEY, True),  # it does not say its worth
        (ALL, MONEY, [*ALL, FUTURE], MONEY, False),  # a future went, its margin did not
        (ALL, MONEY, [*ALL, FUTURE], {**MONEY, "futures-margin-requirement": "9"}, True),
        ([{**STOCK, "symbol": ["AAPL"]}, PUT, SHORT], MONEY, [], None, True),
        ([], MONEY, [], None, False),
        ([], dict.fromkeys(MONEY, "0"), [], None, True),
        ([], {"long-equity-value": "0"}, [], None, False),
    ],
)
def test_a_list_is_whole_when_the_balance_says_so(
    rows: list[dict[str, object]],
    balance: dict[str, str],
    before: list[dict[str, object]],
    old: dict[str, str] | None,
    *,
    whole: bool,
) -> None:
    assert believed(rows, balance, before, old) is whole


def test_a_first_list_that_is_far_from_its_balance_is_said_to_be() -> None:
    assert apart(ALL, MONEY) == ()
    assert apart([STOCK], MONEY) == ("short derivative",)
    assert apart([PUT, SHORT], MONEY) == ("long equity",)
    assert apart([STOCK], {**MONEY, "short-derivative-value": "1000"}) == ()  # a thousand dollars are no word worth


def test_a_position_listed_twice_is_not_added_twice_without_a_word(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        row = {"symbol": "AAPL", "instrument-type": "Equity", "quantity": "200", "quantity-direction": "Long"}
        book = Book(BIG, rows=(row, dict(row)), balance={}, times={"positions": clock(), "balance": clock()})
        said = heard([book], Plan(), Ticks(), {}, time=clock(), metrics={}, risk_free=None)
        for position in composed(said, clock(), {}).positions:
            assert "listed 2 times in this account: it may be counted too often" in position.reasons

    run(work())


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("path", ["margin", "trading_status", "snapshots", "transactions"])
def test_a_part_that_cannot_be_read_does_not_take_the_rest(tasty: Tasty, clock: Clock, path: str) -> None:
    async def work() -> None:
        tasty.fault("cut_rest", paths=[path])
        async with reading(tasty, clock) as source:
            view = await until(  # the warning may come while the quotes are still connecting
                source, clock, lambda view: view.source.condition == "connected"
                and any("cannot be read" in each for each in view.source.warnings),
            )  # fmt: skip
            assert len(view.positions) == 14

    run(work())


@pytest.mark.usefixtures("hasty")
def test_a_list_of_accounts_that_cannot_be_read_again_is_said(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.fault("server_error", paths=["accounts"])
            clock.ahead(timedelta(minutes=11))
            view = await until(source, clock, lambda view: any("a new one" in each for each in view.source.warnings))
            assert view.source.state not in (SourceState.DOWN, SourceState.CONNECTING)

    run(work())


@pytest.mark.usefixtures("hasty")
def test_symbols_are_looked_up_again_after_an_outage(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("server_error", paths=["instruments"])
        async with reading(tasty, clock) as source:
            view = await until(
                source, clock, lambda view: any("looked up" in each for each in view.source.warnings), 30
            )
            assert "/ESZ26" not in view.market.prices
            tasty.mend()
            clock.ahead(timedelta(seconds=16))
            await until(source, clock, lambda view: "/ESZ26" in view.market.prices)

    run(work())


def test_metrics_that_cannot_be_had_are_asked_for_slowly(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("cut_rest", paths=["metrics"])
        async with reading(tasty, clock) as source:
            await until(source, clock, lambda view: any("metrics" in each for each in view.source.warnings), 30)
            asked = tasty.asked["metrics"]
            began = clock()
            await asyncio.sleep(3)
            assert tasty.asked["metrics"] <= asked + (clock() - began).total_seconds()

    run(work())


def test_announcements_in_a_storm_are_read_once_a_second(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            await until(source, clock, lambda view: stream(view, "announcements").works is True)
            asked, began = tasty.asked["positions"], clock()
            for cents in range(60):
                tasty.set_balance(BIG, cash_balance=60000 + cents)
                await asyncio.sleep(0.05)
            assert tasty.asked["positions"] <= asked + 2 * ((clock() - began).total_seconds() + 2)

    run(work())


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", ["no_data", "html", "pages_short"])
def test_no_account_number_is_in_what_a_page_shows(tasty: Tasty, clock: Clock, fault: str) -> None:
    async def work() -> None:
        how = {"kind": "empty", "paths": "positions"} if fault == "pages_short" else {"paths": ["positions"]}
        tasty.fault(fault, **how)
        tasty.fault("paged", per_page=2)
        async with reading(tasty, clock) as source:
            view = await condition(source, clock, "account_unread", 30)
            shown = to_json(judged(view, clock).snapshot).decode()
            assert BIG not in shown
            assert SMALL not in shown

    run(work())


def test_what_is_announced_is_read_at_once(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            await until(source, clock, lambda view: stream(view, "announcements").works is True)
            tasty.set_position(BIG, "AAPL", 300)
            await until(source, clock, lambda view: any(p.quantity == 300 for p in view.positions), 9)

    run(work())


@pytest.mark.parametrize("fault", ["notices_refuse", "notices_partial", "notices_mute"])
def test_announcements_are_a_hint_and_no_more(tasty: Tasty, clock: Clock, fault: str) -> None:
    async def work() -> None:
        tasty.fault(fault)
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.set_balance(BIG, cash_balance=1)
            tasty.set_position(BIG, "AAPL", 300)
            clock.ahead(timedelta(seconds=12))
            view = await until(source, clock, lambda view: any(p.quantity == 300 for p in view.positions))
            assert view.source.condition == "connected"
            if fault == "notices_refuse":
                await until(source, clock, lambda view: stream(view, "announcements").works is False)

    run(work())


@pytest.mark.usefixtures("hasty")
def test_metrics_that_spoil_their_batch_cost_one_underlying(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("poisoned_metrics", kind="batch", symbol="USO")
        async with reading(tasty, clock) as source:
            view = await until(
                source, clock,
                lambda view: {"AAPL", "/ES", "SPX", "SPY"} <= set(view.market.betas)
                and any("USO" in each for each in view.source.warnings),
                60,
            )  # fmt: skip
            assert "USO" not in view.market.metrics

    run(work())


@pytest.mark.parametrize("kind", ["no_market_cap", "wrong_types"])
def test_one_poisoned_item_leaves_the_others(tasty: Tasty, clock: Clock, kind: str) -> None:
    async def work() -> None:
        tasty.fault("poisoned_metrics", kind=kind, symbol="AAPL")
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            assert {"SPX", "SPY", "BRK/B"} <= set(view.market.betas)

    run(work())


def test_the_sums_of_the_book(tasty: Tasty, clock: Clock) -> None:
    """By hand in the comments of tasty.yaml."""

    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            view = await until(source, clock, lambda view: len(view.market.vix_closes) == 72)
            money = {account.id.number: account for account in view.accounts}
            assert money[BIG].net_liquidation == 114538.25
            assert money[BIG].margins[0].excess == 73288.25
            assert money[BIG].prior_net_liquidation is not None
            assert money[BIG].prior_net_liquidation.value == 112635.00
            assert money[BIG].cash_flows == 1000.0
            assert money[SMALL].margins[0].maintenance == 28750.0
            gains = {p.instrument.symbol.split()[0]: p.day_pnl for p in view.positions if p.instrument.is_option}
            assert gains["SPX"] == pytest.approx(-150.0)
            assert gains["SPXW"] == pytest.approx(145.0)
            assert view.market.risk_free is not None
            assert view.market.risk_free.value == 0.0412
            assert tasty.orders == []

    run(work())


@pytest.mark.usefixtures("hasty")
def test_the_past_is_told_for_the_store(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            past = {account.number: values for account, values in (await source.net_liquidations("1m")).items()}
            assert set(past) == {BIG, SMALL}
            assert all(before.time < after.time for before, after in pairwise(past[BIG]))
            assert 112635.0 in {reading.value for reading in past[BIG]}
            tasty.fault("server_error", paths=["net_liq"])
            assert set((await source.net_liquidations()).values()) == {()}

    run(work())


def test_an_account_that_is_in_doubt_from_the_start_does_not_hide_the_other(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.book.positions[SMALL].clear()
        async with reading(tasty, clock) as source:
            view = await condition(source, clock, "empty_positions_doubted")
            view = await until(source, clock, lambda view: bool(view.positions))
            assert {position.account.number for position in view.positions} == {BIG}
            assert {account.id.number for account in view.accounts} == {BIG, SMALL}
            nothing_is_green(view, clock)

    run(work())


def test_an_account_that_was_never_read_is_named(clock: Clock) -> None:
    async def work() -> None:
        api = Api(Access(SECRET, REFRESH, "http://127.0.0.1:9"), clock)
        books = Ledger(api, clock, lambda: None)
        books.trouble = None
        books.books = {
            BIG: Book(BIG, times={"positions": clock(), "balance": clock()}),
            SMALL: Book(SMALL, troubles={"positions": "403: not yours"}),
        }
        told = condition_of(books, Feed(api, clock, lambda: None), clock())
        assert (told.name, told.state) == ("account_unread", SourceState.STALE)
        assert "•••0002: 403: not yours" in told.sentence

    run(work())


def test_a_balance_is_as_old_as_its_last_movement(tasty: Tasty, clock: Clock) -> None:
    """`updated-at` may follow the cash only; figures that move are not old, and those that stand still are."""

    async def work() -> None:
        old = (clock() - timedelta(minutes=30)).isoformat()
        tasty.book.accounts[BIG]["balance"]["updated-at"] = old
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            account = next(account for account in view.accounts if account.id.number == BIG)
            assert account.time.isoformat() == old
            finding = next(
                f for f in judged(view, clock).snapshot.findings if f.check == "account_data" and "0001" in f.subject
            )
            assert finding.level is Level.UNKNOWN
            tasty.set_balance(BIG, net_liquidating_value=114600)
            clock.ahead(timedelta(seconds=12))
            view = await until(source, clock, lambda view: any(a.net_liquidation == 114600 for a in view.accounts))
            account = next(account for account in view.accounts if account.id.number == BIG)
            assert clock() - account.time < timedelta(seconds=15)

    run(work())


def test_what_the_broker_forbids_is_kept(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            assert all(account.restrictions == () for account in view.accounts)
            tasty.set_status(BIG, is_closing_only=True, is_in_margin_call=True)
            clock.ahead(timedelta(seconds=70))
            view = await until(source, clock, lambda view: any(account.restrictions for account in view.accounts))
            account = next(account for account in view.accounts if account.id.number == BIG)
            assert set(account.restrictions or ()) == {Restriction.CLOSING_ONLY, Restriction.MARGIN_CALL}
            assert account.margin_call is True

    run(work())


def test_a_clock_that_differs_is_told(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("clock", seconds=90)
        async with reading(tasty, clock) as source:
            view = await settled(source, clock)
            assert view.source.clock_skew is not None
            assert 88 < view.source.clock_skew <= 90
            finding = next(f for f in judged(view, clock).snapshot.findings if f.check == "clock_skew")
            assert finding.level is Level.UNKNOWN

    run(work())


def test_no_secret_and_no_account_number_reaches_a_log(
    tasty: Tasty, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        tasty.fault("token_flaky", times=1)
        async with reading(tasty, clock) as source:
            await condition(source, clock, "login_failing")
            clock.ahead(timedelta(seconds=30))
            await settled(source, clock)
            tasty.fault("no_data", paths=["positions"])
            clock.ahead(timedelta(seconds=50))
            view = await condition(source, clock, "positions_unanswered")
            said = repr(view.source) + "".join(
                f"{f.message}{f.evidence}" for f in judged(view, clock).snapshot.findings
            )
            assert BIG not in said
            assert tasty.bearer not in said
            tasty.drop()

    redaction.install()
    with caplog.at_level(logging.INFO):
        run(work())
    for secret in (BIG, SMALL, SECRET, REFRESH, tasty.bearer):
        assert secret not in caplog.text


def test_a_future_option_whose_future_is_not_known_yet_is_not_given_up() -> None:
    """IBKR names the contract a future option is struck on a moment after the option itself."""
    option = tastytrade.parse("./ESZ6 EW2Z6 261211P5900", "Future Option", MONDAY.date())
    nameless = replace(option, underlying="/ES")
    directory = Directory()
    assert directory.unknown([nameless]) == []
    assert directory.refused == {}
    assert directory.plan([nameless], MONDAY.date()).missing == (option.label,)
    assert directory.unknown([option]) == [option]


@pytest.mark.parametrize(
    "second", [{"data": {"items": [{"symbol": "A"}]}}, {"data": {"items": [{"symbol": "B"}]}}, {"data": {"items": []}}]
)
def test_a_later_page_that_does_not_say_so_is_no_page(clock: Clock, second: dict[str, object]) -> None:
    async def work() -> None:
        api = Api(Access(SECRET, REFRESH, "http://127.0.0.1:9"), clock)
        first = {"data": {"items": [{"symbol": "A"}]}, "pagination": {"page-offset": 0, "total-pages": 2}}
        answers = iter([first, second])

        async def answer(*_: object) -> object:
            return next(answers)

        api._json = answer  # type: ignore[method-assign,assignment]  # what the other side said
        with pytest.raises(Incomplete):
            await api.items("/accounts/x/positions")

    run(work())


def test_an_account_that_is_gone_keeps_its_rows_marked_and_the_others_are_read(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            tasty.book.accounts.pop(SMALL)
            clock.ahead(timedelta(minutes=11))
            view = await condition(source, clock, "account_gone")
            assert "•••0002" in view.source.detail
            assert len(view.positions) == 14
            nothing_is_green(view, clock)
            tasty.set_position(BIG, "AAPL", 300)
            clock.ahead(timedelta(seconds=12))
            await until(source, clock, lambda view: any(position.quantity == 300 for position in view.positions))

    run(work())
