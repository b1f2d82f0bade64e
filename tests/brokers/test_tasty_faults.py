"""Each fault of the tastytrade stand-in that a request can meet does what it says, seen through the unmodified SDK."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError
from tastytrade import Account
from tastytrade.account import CurrentPosition
from tastytrade.utils import TastytradeError

from tests.brokers.driving import unanswered, until
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_driving import MAIN, Client, logged_in, stand_in
from tests.brokers.tasty_faults import FAULTS

CLOCK = datetime(2026, 11, 20, 15, tzinfo=UTC)


def test_a_fault_has_a_known_name() -> None:
    with stand_in() as tasty, pytest.raises(ValueError, match="no fault is called 'gremlins': choose one of server"):
        tasty.fault("gremlins")


@pytest.mark.parametrize(
    ("name", "how", "error", "words"),
    [
        ("server_error", {}, TastytradeError, "internal_server_error"),
        ("rate_limited", {}, TastytradeError, "too_many_requests"),
        ("html", {}, TastytradeError, "Couldn't parse response: <html>"),
        ("bad_json", {}, json.JSONDecodeError, "line 1"),
        ("no_data", {}, TastytradeError, "No data present"),
        ("cut_rest", {}, httpx2.TransportError, "."),
        ("token_killed", {}, TastytradeError, "token_invalid"),
        ("one_bad_row", {"kind": "unknown_type"}, ValidationError, "Tokenized Stock"),
        ("one_bad_row", {"kind": "missing", "field": "multiplier", "row": 3}, ValidationError, "multiplier"),
        ("one_bad_row", {"kind": "text"}, ValidationError, "n/a"),
        ("one_bad_row", {"kind": "null", "field": "close-price"}, ValidationError, "close-price"),
    ],
)
def test_what_positions_meet(name: str, how: dict[str, Any], error: type[Exception], words: str) -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.fault(name, **how)
        with pytest.raises(error, match=words):
            await account.get_positions(session)
        tasty.mend()
        await session.refresh(force=True)
        assert len(await account.get_positions(session)) == 12

    logged_in(work)


def test_a_burst_ends_by_itself_and_keeps_to_its_paths() -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.fault("server_error", times=2, paths=["positions"], status=503)
        await account.get_balances(session)
        for _ in range(2):
            with pytest.raises(TastytradeError):
                await account.get_positions(session)
        assert len(await account.get_positions(session)) == 12
        assert tasty.asked["positions"] == 3

    logged_in(work)


@pytest.mark.parametrize(("how", "expected"), [({}, None), ({"retry_after": 7}, "7")])
def test_too_many_requests_may_say_when_to_come_back(how: dict[str, int], expected: str | None) -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.fault("rate_limited", **how)
        answer = await session._client.get("/customers/me/accounts")
        assert (answer.status_code, answer.headers.get("Retry-After")) == (429, expected)

    logged_in(work)


@pytest.mark.parametrize("seconds", [90.0, -3600.0])
def test_the_clock_of_the_server_differs(seconds: float) -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.fault("clock", seconds=seconds)
        answer = await session._client.get("/customers/me/accounts")
        assert (parsedate_to_datetime(answer.headers["Date"]) - CLOCK).total_seconds() == seconds

    logged_in(work, clock=lambda: CLOCK)


def test_answers_that_come_late_or_never() -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        began = asyncio.get_running_loop().time()
        tasty.fault("slow", seconds=0.2)
        await account.get_balances(session)
        assert asyncio.get_running_loop().time() - began >= 0.2
        tasty.mend("slow")
        tasty.fault("mute_rest", paths=["positions"])
        assert await unanswered(account.get_positions(session))
        await account.get_balances(session)
        tasty.silence(silent=True)
        assert await unanswered(account.get_balances(session))
        tasty.silence(silent=False)
        assert (await account.get_balances(session)).account_number == MAIN

    logged_in(work)


def test_a_killed_token_needs_one_more_login_and_a_locked_door_refuses_every_one() -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.fault("token_killed")
        with pytest.raises(TastytradeError, match="token_invalid"):
            await account.get_balances(session)
        await session.refresh(force=True)
        await account.get_balances(session)
        tasty.fault("token_killed", always=True)
        await session.refresh(force=True)
        with pytest.raises(TastytradeError, match="token_invalid"):
            await account.get_balances(session)
        assert tasty.tokens == 3

    logged_in(work)


def test_logins_fail_for_a_moment_or_for_good() -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.fault("server_error")
        await session.refresh(force=True)  # a login has faults of its own
        tasty.fault("server_error", paths=["token"])
        with pytest.raises(TastytradeError, match="internal_server_error"):
            await session.refresh(force=True)
        tasty.mend()
        tasty.fault("token_flaky", times=2)
        for _ in range(2):
            with pytest.raises(TastytradeError, match=r"invalid_request.*not a TastyTrade customer"):
                await session.refresh(force=True)
        await session.refresh(force=True)
        tasty.fault("grant_dead")
        for _ in range(2):
            with pytest.raises(TastytradeError, match=r"Couldn't parse response.*invalid_grant"):
                await session.refresh(force=True)
        tasty.fault("grant_dead", code="invalid_client")
        with pytest.raises(TastytradeError, match="invalid_client"):
            await session.refresh(force=True)
        assert (tasty.tokens, tasty.asked["token"]) == (3, 9)

    logged_in(work)


def test_the_line_is_cut_the_port_closed_and_open_again() -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        port = tasty.port
        tasty.refuse()
        tasty.drop()
        await until(lambda: not tasty.connections)
        with pytest.raises(httpx2.TransportError):
            await account.get_balances(session)
        tasty.listen()
        assert tasty.port == port
        assert (await account.get_balances(session)).account_number == MAIN

    logged_in(work)


def test_a_closed_row_may_be_purged() -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.remove_position(MAIN, "QQQ")
        rows: list[CurrentPosition] = await account.get_positions(session)
        assert "QQQ" not in {row.symbol for row in rows}

    logged_in(work)


def test_every_fault_is_explained() -> None:
    assert all(words and not words.endswith(".") for words in FAULTS.values())
