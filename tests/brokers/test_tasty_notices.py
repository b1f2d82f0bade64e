"""The account streamer of the tastytrade stand-in, as the unmodified SDK hears it."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError
from tastytrade import Account
from tastytrade.account import AccountBalance, CurrentPosition, TradingStatus

from tests.brokers.driving import drive
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_driving import CALL, MAIN, SMALL, causes, client, notices, stand_in


def test_notices_carry_whole_objects() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session, notices(tasty, session) as streamer:
            await streamer.subscribe_accounts([await Account.get(session, MAIN)])
            tasty.set_position(SMALL, "SPY", 7)  # not subscribed
            tasty.set_position(MAIN, CALL, -5)
            tasty.set_balance(MAIN, net_liquidating_value="114000.00")
            tasty.set_status(MAIN, is_in_margin_call=True)
            async with asyncio.timeout(20):
                position = await anext(streamer.listen(CurrentPosition))
                balance = await anext(streamer.listen(AccountBalance))
                status = await anext(streamer.listen(TradingStatus))
            assert (position.symbol, position.quantity, position.quantity_direction) == (CALL, 5, "Short")
            assert (balance.net_liquidating_value, balance.cash_balance) == (114000, 60000)
            assert status.is_in_margin_call
            tasty.set_position(MAIN, CALL, 0)
            async with asyncio.timeout(20):
                closed = await anext(streamer.listen(CurrentPosition))
            assert (closed.quantity, closed.quantity_direction) == (0, "Zero")

    with stand_in() as tasty:
        drive(work(tasty))


def test_notices_need_accounts_first_and_a_live_token() -> None:
    async def early(tasty: Tasty) -> None:
        async with client(tasty) as session, notices(tasty, session) as streamer:
            await streamer.subscribe_quote_alerts()

    async def late(tasty: Tasty) -> None:
        async with client(tasty) as session, notices(tasty, session) as streamer:
            account = await Account.get(session, MAIN)
            tasty.fault("token_killed")
            await streamer.subscribe_accounts([account])

    with stand_in() as tasty:
        for work, words in ((early, "before other subscriptions"), (late, "unauthorized")):
            with pytest.raises(ExceptionGroup) as caught:
                drive(work(tasty))
            assert any(words in str(cause) for cause in causes(caught.value))


def test_the_account_streamer_refuses() -> None:
    async def work(tasty: Tasty) -> None:
        tasty.fault("notices_refuse", message="not today")
        async with client(tasty) as session, notices(tasty, session) as streamer:
            await streamer.subscribe_accounts([await Account.get(session, MAIN)])

    with stand_in() as tasty, pytest.raises(ExceptionGroup) as caught:
        drive(work(tasty))
    assert any("not today" in str(cause) for cause in causes(caught.value))


def test_a_partial_balance_kills_the_reader_and_a_mute_one_says_nothing() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session, notices(tasty, session) as streamer:
            await streamer.subscribe_accounts([await Account.get(session, MAIN)])
            tasty.fault("notices_mute", times=1)
            tasty.set_position(MAIN, CALL, -5)  # swallowed
            tasty.set_position(MAIN, CALL, -6)
            assert (await anext(streamer.listen(CurrentPosition))).quantity == 6
            tasty.fault("notices_partial")
            tasty.set_balance(MAIN, cash_balance="1.0")
            await anext(streamer.listen(AccountBalance))

    with stand_in() as tasty, pytest.raises(ExceptionGroup) as caught:
        drive(work(tasty))
    assert any(isinstance(cause, ValidationError) for cause in causes(caught.value))
