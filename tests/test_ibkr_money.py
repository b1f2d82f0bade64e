"""Account values by currency. The figures are worked by hand; tags and their quirks are from IBKR facts 3."""

from __future__ import annotations

from datetime import UTC, date, datetime

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ibkr import rows
from adapters.ibkr.money import cash, holds_nothing, rates, rows_of
from adapters.ibkr.rows import AccountValue as Value
from guardrails.instruments import Kind
from guardrails.values import AccountId

NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)
ACCOUNT = AccountId("IBKR", "U0000001")
READING = rows.Reading(ACCOUNT, "ibkr", NOW, TODAY, TODAY, "IBKR ledger")
UNSET = "1.7976931348623157e308"
ABSENT = ["N/A", "", UNSET, "nan"]

IN_DOLLARS = [
    Value("AccountReady", "true"),
    Value("NetLiquidation", "100000", "USD"),
    Value("ExchangeRate", "1.00", "USD"),
    Value("ExchangeRate", "1.10", "EUR"),
    Value("ExchangeRate", "1.00", "BASE"),
    Value("TotalCashBalance", "9000", "USD"),
    Value("TotalCashBalance", "-5000", "EUR"),
    Value("TotalCashBalance", "0", "GBP"),
    Value("TotalCashBalance", "3500", "BASE"),
]
IN_EUROS = [
    Value("NetLiquidation", "100000", "EUR"),
    Value("ExchangeRate", "1.00", "EUR"),
    Value("ExchangeRate", "0.80", "USD"),
    Value("ExchangeRate", "1.20", "GBP"),
]


def found(values: list[Value]) -> dict[str, float]:
    return {currency: rate.value for currency, rate in rates(values, NOW, "ibkr").items()}


def balances(values: list[Value]) -> dict[str, float | None]:
    return {position.instrument.symbol: position.quantity for position in cash(values, ACCOUNT, READING)}


def test_the_values_of_one_account_without_its_models() -> None:
    sent = [
        ib_async.AccountValue("U0000001", "NetLiquidation", "5", "USD", ""),
        ib_async.AccountValue("U0000001", "NetLiquidation", "6", "USD", "Growth"),
        ib_async.AccountValue("U0000002", "NetLiquidation", "7", "USD", ""),
    ]
    assert rows_of(sent, "U0000001") == [Value("NetLiquidation", "5", "USD")]


def test_dollars_per_currency_of_an_account_in_dollars() -> None:
    assert found(IN_DOLLARS) == {"EUR": pytest.approx(1.10)}
    rate = rates(IN_DOLLARS, NOW, "ibkr")["EUR"]
    assert (rate.time, rate.source) == (NOW, "ibkr")


def test_dollars_per_currency_of_an_account_in_euros() -> None:
    """A dollar is 0.80 euro, so a euro is 1.25 dollars and a pound of 1.20 euro is 1.50."""
    assert found(IN_EUROS) == {"EUR": pytest.approx(1.25), "GBP": pytest.approx(1.50)}


def test_without_the_dollars_own_rate_nothing_converts() -> None:
    assert found([row for row in IN_EUROS if row.currency != "USD"]) == {}
    assert found([row for row in IN_DOLLARS if row != Value("ExchangeRate", "1.00", "USD")]) == {
        "EUR": pytest.approx(1.10)  # the base is worth itself, also unsaid
    }


@pytest.mark.parametrize("text", [*ABSENT, "0", "-1.1"])
def test_a_rate_that_is_none_is_absent(text: str) -> None:
    assert found([*IN_EUROS[:3], Value("ExchangeRate", text, "GBP")]) == {"EUR": pytest.approx(1.25)}
    assert found([*IN_EUROS[:2], Value("ExchangeRate", text, "USD")]) == {}


def test_a_base_that_is_not_worth_itself_is_not_believed() -> None:
    assert found([*IN_DOLLARS[:2], Value("ExchangeRate", "1.25", "USD"), Value("ExchangeRate", "1.10", "EUR")]) == {}


def test_cash_is_held_in_every_currency_but_the_accounts_own() -> None:
    assert balances(IN_DOLLARS) == {"EUR": -5000.0}
    (position,) = cash(IN_DOLLARS, ACCOUNT, READING)
    assert (position.instrument.kind, position.currency, position.multiplier) == (Kind.CASH, "EUR", 1.0)
    assert (position.account, position.reasons) == (ACCOUNT, ())


def test_the_base_currency_is_that_of_the_net_liquidation() -> None:
    values = [Value("NetLiquidation", "1", "EUR"), *IN_DOLLARS[5:]]
    assert balances(values) == {"USD": 9000.0}
    assert balances(IN_DOLLARS[5:]) == {}  # unknown base: which of them is foreign is unknown too


@pytest.mark.parametrize("text", ABSENT)
def test_the_cash_balance_stands_in_for_a_total_that_is_absent(text: str) -> None:
    total, part = Value("TotalCashBalance", text, "EUR"), Value("CashBalance", "70", "EUR")
    for values in ([total, part], [part, total]):
        assert balances([*IN_DOLLARS[:2], *values]) == {"EUR": 70.0}
    assert balances([*IN_DOLLARS[:2], Value("TotalCashBalance", "80", "EUR"), part]) == {"EUR": 80.0}


@pytest.mark.parametrize("text", ABSENT)
def test_a_balance_that_is_named_and_not_stated_is_unknown(text: str) -> None:
    (position,) = cash([*IN_DOLLARS[:2], Value("TotalCashBalance", text, "EUR")], ACCOUNT, READING)
    assert position.quantity is None
    assert position.reasons == ("no quantity",)


def total(gross: str, margin: str, currency: str = "USD") -> list[Value]:
    return [Value("GrossPositionValue", gross, currency), Value("MaintMarginReq", margin, currency)]


@pytest.mark.parametrize(
    ("gross", "margin", "answer"),
    [
        ("0.00", "0.00", True),
        ("0.01", "0.00", False),
        ("0", "0.01", False),  # futures only: they have margin and no gross value
        ("N/A", "0", None),
        ("0", UNSET, None),
        ("", "500", False),
        ("-1", "0", None),
    ],
)
def test_only_two_zeros_prove_an_empty_book(gross: str, margin: str, answer: bool | None) -> None:  # noqa: FBT001
    assert holds_nothing(total(gross, margin)) is answer


def test_silence_proves_nothing() -> None:
    assert holds_nothing([]) is None
    assert holds_nothing(total("0", "0")[:1]) is None
    assert holds_nothing([Value("MaintMarginReq", "0", "USD")]) is None


def test_nothing_is_known_before_the_account_is_ready() -> None:
    waiting = [Value("AccountReady", "false"), *IN_DOLLARS[1:], *total("0", "0")]
    assert (found(waiting), balances(waiting), holds_nothing(waiting)) == ({}, {}, None)


@pytest.mark.parametrize(
    ("text", "sma"), [("12345.67", 12345.67), ("-250", -250.0), ("0", 0.0), ("N/A", None), (UNSET, None)]
)
def test_the_special_memorandum_account(text: str, sma: float | None) -> None:
    values = [*IN_DOLLARS, Value("SMA", text, "USD"), Value("SMA", "999", "BASE")]
    assert rows.to_account(values, ACCOUNT, "ibkr", NOW).sma == sma


texts = st.one_of(
    st.sampled_from([*ABSENT, "-1", "0", "inf", "1e301", "1e-320", "abc"]), st.floats().map(str), st.text(max_size=5)
)
ledger = st.builds(
    Value,
    st.sampled_from(["ExchangeRate", "TotalCashBalance", "CashBalance", "NetLiquidation", "GrossPositionValue"]),
    texts,
    st.sampled_from(["USD", "EUR", "GBP", "BASE", ""]),
)


@given(st.lists(ledger, max_size=12))
def test_no_sentinel_survives(values: list[Value]) -> None:
    for currency, rate in rates(values, NOW, "ibkr").items():
        assert currency in ("EUR", "GBP")
        assert 0 < rate.value < 1e300
    for position in cash(values, ACCOUNT, READING):
        assert position.instrument.symbol != "BASE"
        assert position.quantity is None or 0 < abs(position.quantity) < 1e300
