"""The user's price file."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.statements import Prices, apply_prices, read_prices
from guardrails.errors import SourceError
from guardrails.symbols import ibkr, occ, tastytrade
from guardrails.values import AccountId, Position, Source, SourceState, View

NOW = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
ACCOUNT = AccountId("IBKR", "U0000001")


@pytest.fixture
def read(tmp_path: Path):
    def reading(text: str) -> Prices:
        path = tmp_path / "prices.csv"
        path.write_text(text, encoding="utf-8")
        return read_prices(path, NOW)

    return reading


def view(*symbols: str) -> View:
    """A book held under OCC, future and share symbols."""
    held = []
    for symbol in symbols:
        kind = "Future Option" if symbol.startswith("./") else "Future" if symbol.startswith("/") else ""
        thing = tastytrade.parse(symbol, kind, date(2026, 11, 20)) if len(symbol) < 16 or kind else occ.parse(symbol)
        held.append(
            Position(
                ACCOUNT, thing, 1.0, 100.0, "statement:x", NOW, mark=1.0, mark_time=datetime(2026, 11, 19, tzinfo=UTC)
            )
        )
    return View(Source("statement:x", SourceState.FILE, NOW), positions=tuple(held))


def test_every_column(read) -> None:
    prices = read(
        "Symbol,PRICE,bid,ask,iv,beta,time\n"
        "SPXW  261218P05500000,15.5,15.4,15.6,0.21,,2026-11-20 14:55:00\n"
        "AAPL,260.5,260.4,260.6,,1.2,2026-11-20T19:55:00Z\n"
        "VIX,17.5,,,,,\nVIX3M,19.5,,,,,\nSPX,6750,,,,,\n/ESZ6,6755.25,,,,,\nEUR/USD,1.1,,,,,\n"
    )
    assert prices.problems == ()
    priced = apply_prices(view("SPXW  261218P05500000", "AAPL"), prices)
    put, share = priced.positions
    assert (put.mark, put.bid, put.ask) == (15.5, 15.4, 15.6)
    assert (
        put.mark_time == put.quote_time == datetime(2026, 11, 20, 19, 55, tzinfo=UTC)
    )  # New York is five hours behind
    assert put.greeks is not None
    assert (put.greeks.iv, put.greeks.delta, put.greeks.source) == (0.21, None, "statement")
    assert share.mark == 260.5
    market = priced.market
    assert market.vix is not None
    assert market.vix3m is not None
    assert (market.vix.value, market.vix3m.value, market.vix.time) == (17.5, 19.5, NOW)
    assert (market.prices["SPX"].value, market.prices["/ESZ26"].value, market.prices["AAPL"].bid) == (
        6750.0,
        6755.25,
        260.4,
    )
    assert market.betas["AAPL"].value == 1.2
    assert market.fx["EUR"].value == 1.1
    assert "EUR" not in market.prices


@pytest.mark.parametrize(
    "symbol",
    [".SPXW261218P5500", "SPXW  261218P05500000", "SPXW261218P05500000", "SPXW 18DEC26 5500 P"],
)
def test_rows_find_positions_by_instrument_not_by_spelling(read, symbol: str) -> None:
    priced = apply_prices(view("SPXW  261218P05500000"), read(f"symbol,price\n{symbol},15.5\n"))
    assert priced.positions[0].mark == 15.5


def test_a_future_option_is_found_whoever_names_its_future(read) -> None:
    ibkr_row = ibkr.from_contract("FOP", "ES", local_symbol="EW4X6 C6900", last_trade_date="20261127", as_of=NOW.date())
    held = Position(ACCOUNT, ibkr_row, 1.0, 50.0, "statement:x", NOW)
    book = View(Source("statement:x", SourceState.FILE, NOW), positions=(held,))
    priced = apply_prices(book, read("symbol,price\n./ESZ6 EW4X6 261127C6900,4.5\n"))
    assert priced.positions[0].mark == 4.5


def test_a_row_of_another_option_changes_nothing(read) -> None:
    book = view("SPX   261218P05500000")  # the AM-settled one
    assert apply_prices(book, read("symbol,price\nSPXW  261218P05500000,15.5\n")).positions == book.positions


def test_without_a_time_the_rows_are_current_and_that_is_said(read) -> None:
    prices = read("symbol,price\nAAPL,260\n")
    assert prices.quotes["equity:AAPL"].time == NOW
    assert "taken as current" in prices.notes[0]
    assert read("symbol,price,time\nAAPL,260,2026-11-20 14:00:00\n").notes == ()


def test_a_quote_replaces_an_older_mark(read) -> None:
    held = apply_prices(view("AAPL"), read("symbol,bid,ask\nAAPL,260,262\n")).positions[0]
    assert (held.mark, held.bid, held.ask) == (261.0, 260.0, 262.0)
    bid_only = apply_prices(view("AAPL"), read("symbol,bid\nAAPL,260\n")).positions[0]
    assert (bid_only.mark, bid_only.bid) == (None, 260.0)


def test_a_volatility_alone_leaves_the_mark(read) -> None:
    held = apply_prices(view("SPXW  261218P05500000"), read("symbol,iv\nSPXW  261218P05500000,25%\n")).positions[0]
    assert held.mark == 1.0
    assert held.greeks is not None
    assert held.greeks.iv == 0.25


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("AAPL,abc,,,,,", "prices.csv line 2: price 'abc' is not a number"),
        ("AAPL,NaN,,,,,", "not a number"),
        ("AAPL,-1,,,,,", "below zero"),
        ("AAPL,0,,,,,", "is 0"),
        ("AAPL,,3,2,,,", "bid 3 is above ask 2"),
        ("AAPL,,,,,,", "no figure"),
        ("AAPL,1,,,25,,", "iv 25 is not in 0 to 5"),
        ("AAPL,1,,,0,,", "iv 0"),
        ("AAPL,1,,,,,yesterday", "time 'yesterday'"),
        ("AAPL,1,,,,,2026-11-20 15:00:01", "after now"),
        ("??,1,,,,,", "??"),
        (",1,,,,,", "line 2"),
        ("EUR/USD,0,,,,,", "is 0"),
        ("AAPL,1,2,3,0.2,1,2026-11-20 14:00:00,extra", "beyond the last column"),
    ],
)
def test_a_bad_row_is_told_and_the_good_one_kept(read, row: str, words: str) -> None:
    prices = read(f"symbol,price,bid,ask,iv,beta,time\n{row}\nMSFT,500,,,,,\n")
    assert len(prices.problems) == 1
    assert words in prices.problems[0]
    assert list(prices.quotes) == ["equity:MSFT"]


def test_the_moment_itself_is_not_after_now(read) -> None:
    assert read("symbol,price,time\nAAPL,1,2026-11-20 15:00:00\n").problems == ()


def test_a_futures_price_may_be_below_zero(read) -> None:
    assert read("symbol,price\n/CLF7,-37.63\n").quotes["future:/CLF27"].price == -37.63


def test_twice_the_same_is_fine_twice_different_is_neither(read) -> None:
    assert read("symbol,price\nAAPL,1\nAAPL,1\n").quotes["equity:AAPL"].price == 1.0
    prices = read("symbol,price\nAAPL,1\nAAPL,2\nAAPL,1\n")
    assert prices.quotes == {}
    assert "given twice" in prices.problems[0]


@pytest.mark.parametrize("text", ["price,bid\n1,2\n", "symbol,name\nAAPL,Apple\n"])
def test_columns_that_cannot_be_spared(read, text: str) -> None:
    with pytest.raises(SourceError, match=r"prices\.csv"):
        read(text)


def test_other_columns_and_any_order(read) -> None:
    assert read("note;BID;Symbol;ask\nx;1;AAPL;2\n").quotes["equity:AAPL"].ask == 2.0


def test_any_text_is_read_or_refused(tmp_path: Path) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.text(max_size=60))
    def damage(rest: str) -> None:
        path = tmp_path / "prices.csv"
        path.write_text("symbol,price,iv,time\nSPX,6750,,\n" + rest, encoding="utf-8", errors="replace")
        try:
            prices = read_prices(path, NOW)
        except SourceError:
            return
        assert prices.quotes.get("index:SPX") is not None or prices.problems

    damage()
