"""What `guardrails doctor` says of trading, and what Prometheus is told of orders."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr

from guardrails.doctor import examine
from guardrails.order_metrics import add_orders
from guardrails.orders_now import Discipline, OrdersNow, TradingRow, trading_words
from guardrails.safety import Safety, SafetyState
from guardrails.settings import Settings, TradingSetting

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
NUMBER = "U" + "7654321"


def said(settings: Settings) -> tuple[bool, str]:
    empty = settings.model_copy(update={"guardrails_sources": ()})
    found = examine(empty, lambda: NOW, lambda *_: [], lambda _: [])
    return next((works, words) for name, works, words in found if name == "trading")


def test_off_is_said_and_is_no_fault() -> None:
    works, words = said(Settings())
    assert works
    assert words.splitlines() == [
        "IBKR_TRADING is off",
        "TT_TRADING is off",
        "orders over HTTP are refused: no GUARDRAILS_API_TOKEN",
    ]


def test_live_without_a_listed_account_sends_nothing_and_says_so() -> None:
    live = Settings(ibkr_trading=TradingSetting.LIVE)
    works, words = said(live)
    assert not works
    assert "0 accounts in GUARDRAILS_LIVE_ACCOUNTS may trade live" in words
    works, words = said(live.model_copy(update={"guardrails_live_accounts": SecretStr(f" {NUMBER} ,, ")}))
    assert works
    assert "1 account in GUARDRAILS_LIVE_ACCOUNTS may trade live" in words
    assert NUMBER not in words


@pytest.mark.parametrize(
    ("told", "numbers"),
    [("", set()), (NUMBER, {NUMBER}), (f"{NUMBER}, 5WX00001;5WX00002", {NUMBER, "5WX00001", "5WX00002"})],
)
def test_live_accounts_are_read_with_any_separator(told: str, numbers: set[str]) -> None:
    assert Settings(guardrails_live_accounts=SecretStr(told)).live_accounts == numbers


def row(account: str, refusal: str = "", *, paper: bool = False) -> TradingRow:
    return TradingRow(account, "ibkr", refusal, paper=paper)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((), "read-only"),
        ((row("IBKR •••4567", "Trading is off"),), "read-only"),
        ((row("IBKR •••4567", paper=True), row("tastytrade •••0001", "off")), "paper IBKR"),
        ((row("IBKR •••4567", paper=True), row("IBKR •••1111")), "LIVE IBKR · paper IBKR"),
    ],
)
def test_the_header_says_live_wherever_an_order_would_be_real(rows: tuple[TradingRow, ...], words: str) -> None:
    assert trading_words(OrdersNow(NOW, trading=rows)) == words


def test_metrics_tell_the_safety_state_and_the_discipline() -> None:
    registry = CollectorRegistry()
    now = OrdersNow(NOW, safety=Safety(SafetyState.REDUCE_ONLY), discipline=Discipline(sent=3, unguarded=2))
    add_orders(now, registry)
    told = generate_latest(registry).decode()
    assert "guardrails_safety_state 2.0" in told
    assert 'guardrails_discipline{what="unguarded"} 2.0' in told
    assert 'guardrails_orders{state="UNKNOWN"} 0.0' in told
    assert "guardrails_orders_known 1.0" in told
    again = CollectorRegistry()
    add_orders(replace(now, problem="orders are not read yet"), again)
    assert "guardrails_orders_known 0.0" in generate_latest(again).decode()
