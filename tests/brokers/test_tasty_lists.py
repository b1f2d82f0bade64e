"""Faults of the tastytrade stand-in in pages of a list and in batches of metrics."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tastytrade import Account
from tastytrade.metrics import get_market_metrics
from tastytrade.utils import TastytradeError

from tests.brokers.tasty import Tasty
from tests.brokers.tasty_driving import MAIN, Client, logged_in


async def paged(session: Client, pages: int | None = None) -> tuple[list[str], dict[str, Any]]:
    """Symbols of positions read page by page, as `pagination` says how many there are, and the last pagination."""
    symbols: list[str] = []
    told: dict[str, Any] = {"total-pages": 1}
    page = 0
    while page < told["total-pages"]:
        await session.refresh()
        answer = (await session._client.get(f"/accounts/{MAIN}/positions", params={"page-offset": page})).json()
        symbols += [row["symbol"] for row in answer["data"]["items"]]
        told = answer["pagination"]
        page += 1
    return symbols, told


def test_positions_may_come_in_pages() -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        everything = [row.symbol for row in await account.get_positions(session)]
        tasty.fault("paged", per_page=5)
        assert [row.symbol for row in await account.get_positions(session)] == everything[:5]  # the SDK reads one page
        symbols, told = await paged(session)
        assert symbols == everything
        assert (told["total-items"], told["total-pages"], told["current-item-count"]) == (12, 3, 2)
        tasty.fault("duplicate_page")
        symbols, _ = await paged(session)
        assert symbols == everything[:5] * 2 + everything[10:]  # as many rows, five of them lost

    logged_in(work)


def test_the_last_page_is_missing() -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.fault("pages_short")
        symbols, told = await paged(session)
        assert (len(symbols), told["total-items"], told["total-pages"]) == (8, 12, 3)  # a third of 12 is lost
        assert len(await account.get_history(session, page_offset=None)) == 2  # of three
        tasty.fault("pages_short", kind="500")
        with pytest.raises(TastytradeError, match="internal_server_error"):
            await account.get_history(session, page_offset=None)

    logged_in(work)


@pytest.mark.parametrize("kind", ["no_market_cap", "wrong_types"])
def test_one_poisoned_metric_loses_the_batch_of_the_sdk(kind: str) -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.fault("poisoned_metrics", kind=kind, symbol="NBTA")
        with pytest.raises(ValidationError):
            await get_market_metrics(session, ["AAPL", "NBTA"])
        assert [row.symbol for row in await get_market_metrics(session, ["AAPL", "SPY"])] == ["AAPL", "SPY"]

    logged_in(work)


def test_a_batch_fails_whole() -> None:
    async def work(tasty: Tasty, session: Client, account: Account) -> None:
        tasty.fault("poisoned_metrics", kind="batch", symbol="BRK/B")
        with pytest.raises(TastytradeError, match="internal_server_error"):
            await get_market_metrics(session, ["AAPL", "BRK/B"])
        assert len(await get_market_metrics(session, ["AAPL"])) == 1

    logged_in(work)
