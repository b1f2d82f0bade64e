"""One account in several statement files: counted once, or doubted, never twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.statements.overlap import once
from guardrails.instruments import Instrument, Kind
from guardrails.values import AccountId, Position

FRIDAY = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
THURSDAY = FRIDAY - timedelta(days=1)
ACCOUNT, OTHER = AccountId("IBKR", "U0000001"), AccountId("IBKR", "U0000002")


def row(symbol: str, quantity: float, file: str, time: datetime = FRIDAY, account: AccountId = ACCOUNT) -> Position:
    return Position(account, Instrument(Kind.EQUITY, symbol, symbol, symbol), quantity, 1.0, f"statement:{file}", time)


def quantities(rows: tuple[Position, ...]) -> list[float | None]:
    return [held.quantity for held in rows]


def test_a_copy_is_not_added() -> None:
    rows, said = once([[row("AAPL", 100, "a.xml")], [row("AAPL", 100, "copy.xml")]])
    assert quantities(rows) == [100]
    assert "1 rows of copy.xml are the same" in said[0]
    assert "U0000001" not in said[0]


@pytest.mark.parametrize("newest_first", [False, True])
def test_of_two_days_the_newer_counts(newest_first: bool) -> None:  # noqa: FBT001  # a column of the table
    files = [[row("AAPL", 90, "thu.xml", THURSDAY), row("GONE", 5, "thu.xml", THURSDAY)], [row("AAPL", 100, "fri.xml")]]
    rows, said = once(files[::-1] if newest_first else files)
    assert quantities(rows) == [100]
    assert "2 rows of thu.xml do not count" in said[0]


def test_different_books_of_one_time_are_doubted() -> None:
    rows, _ = once([[row("AAPL", 100, "a.xml")], [row("AAPL", 90, "b.csv")]])
    assert len(rows) == 2
    assert all("different books" in held.reasons[0] for held in rows)


def test_parts_of_one_time_add_up_and_parts_of_two_are_doubted() -> None:
    rows, said = once([[row("AAPL", 100, "shares.json")], [row("MSFT", 9, "more.json")]])
    assert quantities(rows) == [100, 9]
    assert said == ()
    assert not any(held.reasons for held in rows)
    rows, _ = once([[row("AAPL", 100, "shares.json", THURSDAY)], [row("MSFT", 9, "more.json")]])
    assert all(held.reasons for held in rows)


def test_files_that_name_no_account_may_be_two_accounts() -> None:
    nobody = AccountId("tastytrade", "none")
    rows, _ = once([[row("AAPL", 100, "a.json", THURSDAY, nobody)], [row("AAPL", 90, "b.json", FRIDAY, nobody)]])
    assert [bool(held.reasons) for held in rows] == [True, True]


def test_accounts_do_not_touch_each_other() -> None:
    rows, said = once([[row("AAPL", 100, "a.xml")], [row("AAPL", 90, "b.xml", account=OTHER)]])
    assert quantities(rows) == [100, 90]
    assert said == ()


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(-9, 9)), min_size=1, unique_by=lambda cell: cell[0]))
def test_any_book_twice_is_that_book(cells: list[tuple[str, int]]) -> None:
    first = [row(symbol, size, "a.xml") for symbol, size in cells]
    assert once([first, [row(symbol, size, "b.xml") for symbol, size in reversed(cells)]])[0] == tuple(first)
