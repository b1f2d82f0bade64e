"""Packages of legs, on books small enough to read. Names as traders use them (Cboe strategy guide)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.instruments import Instrument, Kind, Right
from guardrails.strategies import packages
from guardrails.values import AccountId, Position

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
ONE, OTHER = AccountId("IBKR", "U1234567"), AccountId("tastytrade", "5WT00001")
DEC, JAN = date(2026, 12, 18), date(2027, 1, 15)


def held(text: str, account: AccountId = ONE) -> Position:
    """`-2 SPX 18Dec 5700P`, `100 AAPL`, `1 /ESZ26`, `5 EUR`."""
    amount, symbol, *contract = text.split()
    quantity = None if amount == "?" else float(amount)
    if not contract:
        kind = Kind.FUTURE if symbol.startswith("/") else Kind.CASH if symbol == "EUR" else Kind.EQUITY
        multiplier = 50.0 if kind is Kind.FUTURE else 1.0
        return Position(account, Instrument(kind, symbol, symbol), quantity, multiplier, "test", NOW)
    expiry = {"18Dec": DEC, "15Jan": JAN}[contract[0]]
    strike, right = Decimal(contract[1][:-1]), Right(contract[1][-1])
    underlying = {"SPXW": "SPX", "EW3": "/ESZ26"}.get(symbol, symbol)
    kind = Kind.FUTURE_OPTION if symbol == "EW3" else Kind.OPTION
    i = Instrument(kind, text, underlying, symbol, expiry, strike, right)
    return Position(account, i, quantity, 50.0 if kind is Kind.FUTURE_OPTION else 100.0, "test", NOW)


def names(book: str) -> list[str]:
    return list(packages([held(line.strip()) for line in book.strip().splitlines()]))


@pytest.mark.parametrize(
    ("book", "name"),
    [
        ("-2 SPX 18Dec 5700P\n2 SPX 18Dec 5600P\n-2 SPX 18Dec 7000C\n2 SPX 18Dec 7100C", "SPX 18Dec26 iron condor"),
        (
            "2 SPX 18Dec 5700P\n-2 SPX 18Dec 5600P\n2 SPX 18Dec 7000C\n-2 SPX 18Dec 7100C",
            "SPX 18Dec26 reverse iron condor",
        ),
        ("-1 SPY 18Dec 600P\n1 SPY 18Dec 590P\n-1 SPY 18Dec 600C\n1 SPY 18Dec 610C", "SPY 18Dec26 iron butterfly"),
        ("-1 SPX 18Dec 5700P\n1 SPX 18Dec 5600P", "SPX 18Dec26 put credit vertical"),
        ("1 SPX 18Dec 5700P\n-1 SPX 18Dec 5600P", "SPX 18Dec26 put debit vertical"),
        ("-1 SPX 18Dec 7000C\n1 SPX 18Dec 7100C", "SPX 18Dec26 call credit vertical"),
        ("1 SPX 18Dec 7000C\n-1 SPX 18Dec 7100C", "SPX 18Dec26 call debit vertical"),
        ("-1 SPY 18Dec 600P\n-1 SPY 18Dec 640C", "SPY 18Dec26 short strangle"),
        ("1 SPY 18Dec 620P\n1 SPY 18Dec 620C", "SPY 18Dec26 long straddle"),
        ("-1 SPY 18Dec 620C\n1 SPY 15Jan 620C", "SPY 18Dec26/15Jan27 call calendar"),
        ("-1 SPY 18Dec 630C\n1 SPY 15Jan 620C", "SPY 18Dec26/15Jan27 call diagonal"),
        ("1 SPY 18Dec 620C\n-2 SPY 18Dec 640C", "SPY 18Dec26 call ratio"),
        ("-1 SPY 18Dec 600P\n2 SPY 18Dec 580P", "SPY 18Dec26 put backspread"),
        ("1 SPY 18Dec 600C\n-2 SPY 18Dec 610C\n1 SPY 18Dec 620C", "SPY 18Dec26 call butterfly"),
        ("200 AAPL\n-2 AAPL 18Dec 250C", "AAPL 18Dec26 covered call"),
        ("100 AAPL\n-1 AAPL 18Dec 250C\n1 AAPL 18Dec 220P", "AAPL 18Dec26 collar"),
        ("1 /ESZ26\n-1 EW3 18Dec 7000C", "/ESZ26 18Dec26 covered call"),
    ],
)
def test_legs_of_one_package_share_its_name(book: str, name: str) -> None:
    assert names(book) == [name] * len(book.splitlines())


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("-1 SPY 18Dec 600P", "SPY 18Dec26 naked short put"),
        ("-1 SPY 18Dec 640C", "SPY 18Dec26 naked short call"),
        ("3 SPY 18Dec 640C", "SPY 18Dec26 long call"),
        ("100 AAPL", "AAPL stock"),
        ("-100 AAPL", "AAPL short stock"),
        ("-1 /ESZ26", "/ESZ26 short future"),
        ("5 EUR", ""),
        ("? SPY 18Dec 640C", ""),
        ("0 AAPL", ""),
    ],
)
def test_what_has_no_partner_says_what_it_is(line: str, name: str) -> None:
    assert names(line) == [name]


def test_parts_that_do_not_match_stay_alone() -> None:
    assert names("-3 SPY 18Dec 600P\n1 SPY 18Dec 590P\n1 SPY 18Dec 580P") == [
        "SPY 18Dec26 put ratio",
        "SPY 18Dec26 put ratio",
        "SPY 18Dec26 long put",
    ]
    assert names("-5 SPY 18Dec 600P\n2 SPY 18Dec 590P") == ["SPY 18Dec26 naked short put", "SPY 18Dec26 long put"]


def test_cover_must_reach_for_the_whole_row() -> None:
    assert names("200 AAPL\n-2 AAPL 18Dec 250C")[1] == "AAPL 18Dec26 covered call"
    assert names("199 AAPL\n-2 AAPL 18Dec 250C") == ["AAPL stock", "AAPL 18Dec26 naked short call"]
    assert names("-200 AAPL\n-2 AAPL 18Dec 250C")[1] == "AAPL 18Dec26 naked short call"


def test_a_short_that_outlives_its_long_is_naked() -> None:
    assert names("1 SPY 18Dec 620C\n-1 SPY 15Jan 620C") == ["SPY 18Dec26 long call", "SPY 15Jan27 naked short call"]


def test_settlement_at_the_open_and_at_the_close_never_pair() -> None:
    assert names("-1 SPX 18Dec 5700P\n1 SPXW 18Dec 5600P") == ["SPX 18Dec26 naked short put", "SPXW 18Dec26 long put"]


def test_two_accounts_never_pair() -> None:
    legs = [held("-1 SPX 18Dec 5700P"), held("1 SPX 18Dec 5600P", OTHER)]
    assert packages(legs) == ("SPX 18Dec26 naked short put", "SPX 18Dec26 long put")


def test_two_packages_of_one_name_are_told_apart_by_strikes() -> None:
    book = "-1 SPY 18Dec 600P\n1 SPY 18Dec 590P\n-2 SPY 18Dec 580P\n2 SPY 18Dec 570P"
    first, second = "SPY 18Dec26 put credit vertical 590/600", "SPY 18Dec26 put credit vertical 570/580"
    assert names(book) == [first, first, second, second]


def test_two_lone_options_of_one_expiry_are_not_one_package() -> None:
    assert names("-1 SPY 18Dec 600P\n-2 SPY 18Dec 580P\n-1 SPY 15Jan 600P") == [
        "SPY 18Dec26 naked short put 600",
        "SPY 18Dec26 naked short put 580",
        "SPY 15Jan27 naked short put",
    ]


def test_an_adjusted_contract_matches_nothing() -> None:
    short, long = held("-1 SPX 18Dec 5700P"), held("1 SPX 18Dec 5600P")
    i = long.instrument
    adjusted = Instrument(i.kind, i.symbol, i.underlying, i.root, i.expiry, i.strike, i.right, adjusted=True)
    pair = [short, Position(ONE, adjusted, 1.0, 100.0, "test", NOW)]
    assert packages(pair) == ("SPX 18Dec26 naked short put", "SPX 18Dec26 long put")


_LINES = st.builds(
    lambda quantity, expiry, strike, right: f"{quantity} SPY {expiry} {strike}{right}",
    st.integers(-3, 3), st.sampled_from(["18Dec", "15Jan"]), st.sampled_from([580, 590, 600, 610, 620]),
    st.sampled_from("CP"),
)  # fmt: skip


@given(st.lists(_LINES | st.sampled_from(["100 SPY", "300 SPY", "? SPY 18Dec 600C"]), max_size=12))
def test_every_row_is_named_once_whatever_is_held(lines: list[str]) -> None:
    found = packages([held(line) for line in lines])
    assert len(found) == len(lines)
    assert found == packages([held(line) for line in lines])
    for line, name in zip(lines, found, strict=True):
        assert (name == "") == line.startswith(("?", "0"))
    count = {name: found.count(name) for name in found if "vertical" in name}
    assert all(times == 2 for times in count.values()) or len(set(lines)) < len(lines)
