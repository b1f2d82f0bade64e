"""The stand-in for tastytrade gives and takes tokens as the API does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tastytrade import Account
from tastytrade.metrics import get_risk_free_rate
from tastytrade.utils import TastytradeError

from tests.brokers.driving import drive
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_driving import client, stand_in
from tests.brokers.tasty_login import REFRESH, SECRET


def test_one_login_serves_many_requests() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            await asyncio.gather(*(Account.get(session) for _ in range(5)))
            assert (tasty.tokens, tasty.asked["accounts"]) == (1, 5)
            assert session.session_token == tasty.bearer

    with stand_in() as tasty:
        drive(work(tasty))


def test_a_bearer_expires_by_the_clock_of_the_server() -> None:
    clock = [datetime(2026, 11, 20, 15, tzinfo=UTC)]

    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            await Account.get(session)
            clock[0] += timedelta(seconds=899)
            await Account.get(session)
            clock[0] += timedelta(seconds=1)
            with pytest.raises(TastytradeError, match="token_invalid"):
                await Account.get(session)
            await session.refresh(force=True)
            await Account.get(session)
            assert tasty.tokens == 2

    with stand_in(clock=lambda: clock[0]) as tasty:
        drive(work(tasty))


def test_a_short_life_makes_the_client_log_in_each_time() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            await Account.get(session)
            await Account.get(session)
            assert tasty.tokens == 2  # the SDK renews 60 seconds before the end

    with stand_in(expires_in=30) as tasty:
        drive(work(tasty))


@pytest.mark.parametrize(("secret", "refresh"), [("not-this-one", REFRESH), (SECRET, "not-this-one")])
def test_a_wrong_grant_is_refused_without_an_error_key(secret: str, refresh: str) -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty, secret=secret, refresh=refresh) as session:
            with pytest.raises(TastytradeError, match=r"Couldn't parse response: .*invalid_grant"):
                await Account.get(session)

    with stand_in() as tasty:
        drive(work(tasty))
        assert tasty.tokens == 0


def test_the_door_asks_for_a_user_agent_and_a_bearer() -> None:
    async def work(tasty: Tasty) -> None:
        async with client(tasty) as session:
            bare = session._client.build_request("GET", "/customers/me/accounts")
            del bare.headers["User-Agent"]
            answer = await session._client.send(bare)
            assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html")
            answer = await session._client.get("/customers/me/accounts")
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_invalid")
            assert await get_risk_free_rate(session) == Decimal("0.0412")  # needs none
            assert tasty.tokens == 0

    with stand_in() as tasty:
        drive(work(tasty))
