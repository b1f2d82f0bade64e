"""dxFeed symbols in both directions; a future option without its day is not one contract."""

from __future__ import annotations

import contextlib
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Kind, Right, Settlement
from guardrails.products import FUTURES
from guardrails.symbols import contracts, dxfeed, tastytrade

AS_OF = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("text", "key"),
    [  # kb.dxfeed.com symbology guide, and symbols seen on the wire
        ("SPY", "equity:SPY"),
        ("BRK/B", "equity:BRK/B"),
        ("SPX", "index:SPX"),
        ("VIX3M", "index:VIX3M"),
        (".TSLA220916P1800", "option:TSLA  220916P01800000"),
        (".UVXY210129P14.5", "option:UVXY  210129P00014500"),
        (".SPY250321P590.25", "option:SPY   250321P00590250"),
        (".SPY250321P0.05", "option:SPY   250321P00000050"),
        (".SPXW250321P5905", "index_option:SPXW  250321P05905000"),
        (".USO1210129P14.5", "option:USO1  210129P00014500"),
        (".BRK/B261218C450", "option:BRKB  261218C00450000"),
        (".AAPL120616P255", "option:AAPL  120616P00255000"),
        ("/ESH19:XCME", "future:/ESH19"),
        ("/M2KH27:XCME", "future:/M2KH27"),
        ("/VXZ26:XCBF", "future:/VXZ26"),
        ("BTC/USD:CXTALP", "crypto:BTC/USD"),
    ],
)
def test_parse_and_format(text: str, key: str) -> None:
    instrument = dxfeed.parse(text)
    assert instrument.key == key
    assert dxfeed.format(instrument) == text


@pytest.mark.parametrize(
    ("text", "expiry", "key", "product"),
    [
        ("./EW4N23C3990:XCME", date(2023, 7, 28), "future_option:./EW4N23 230728C3990", "/ES"),
        ("./OZNG26P111:XCBT", date(2026, 1, 23), "future_option:./OZNG26 260123P111", "/ZN"),
        ("./OZNG26P111.25:XCBT", date(2026, 1, 23), "future_option:./OZNG26 260123P111.25", "/ZN"),
        ("./OGV25P2755:XCEC", date(2025, 9, 25), "future_option:./OGV25 250925P2755", "/GC"),
    ],
)
def test_future_option_with_its_expiry(text: str, expiry: date, key: str, product: str) -> None:
    option = dxfeed.parse(text, expiry=expiry)
    assert (option.key, option.underlying) == (key, product)
    assert dxfeed.format(option) == text


def test_future_option_without_its_expiry_says_so_and_matches_nothing() -> None:
    option = dxfeed.parse("./EW4N23C3990:XCME")
    assert (option.kind, option.expiry, option.symbol) == (Kind.FUTURE_OPTION, None, "./EW4N23 C3990")
    assert (option.strike, option.right, option.settlement) == (Decimal(3990), Right.CALL, Settlement.PHYSICAL)
    assert option.key != dxfeed.parse("./EW4N23C3990:XCME", expiry=date(2023, 7, 28)).key
    with pytest.raises(SymbolError, match="without its terms"):
        dxfeed.format(option)


def test_underlying_of_the_record_is_kept() -> None:
    option = dxfeed.parse("./EW4N23C3990:XCME", expiry=date(2023, 7, 28), underlying="/ESU23")
    assert option.underlying == "/ESU23"


def test_expiry_in_another_year_than_the_name_is_refused() -> None:
    with pytest.raises(SymbolError, match="contradicts the expiry 2026-07-24"):
        dxfeed.parse("./EW4N23C3990:XCME", expiry=date(2026, 7, 24))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "./",
        "/",
        ".SPY250321X590",
        ".SPY250231P590",
        ".SPY250321P0",
        "/ES6:XCME",
        "./EW4N3C3990",
        "a b c",
        "SPY:XX",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(SymbolError, match="is no dxFeed symbol"):
        dxfeed.parse(text)


@pytest.mark.parametrize(
    "instrument",
    [
        tastytrade.parse("/KCZ6", "Future", AS_OF),
        tastytrade.parse("./KCZ6 KCZ6  261113C300", "Future Option", AS_OF),
        Instrument(Kind.CASH, "EUR"),
    ],
)
def test_what_has_no_known_market_has_no_streamer_symbol(instrument: Instrument) -> None:
    with pytest.raises(SymbolError):
        dxfeed.format(instrument)


STRIKES = st.integers(1, 10**8 - 1).map(lambda thousandths: Decimal(thousandths) / 1000)
DAYS = st.dates(date(2005, 1, 1), date(2060, 1, 1))


@given(st.from_regex(r"[A-Z]{1,5}[0-9]?", fullmatch=True), DAYS, st.sampled_from(Right), STRIKES)
def test_round_trip_of_options(root: str, expiry: date, right: Right, strike: Decimal) -> None:
    option = contracts.option(root, expiry, right, strike)
    assert dxfeed.parse(dxfeed.format(option)) == option


@given(st.sampled_from(sorted(FUTURES)), st.integers(2000, 2099), st.integers(1, 12))
def test_round_trip_of_futures(root: str, year: int, month: int) -> None:
    future = contracts.future(root[1:], year, month)
    assert dxfeed.parse(dxfeed.format(future)) == future


@given(st.text(alphabet="./ABCZN0123456789:XP ", max_size=24))
def test_rubbish_never_crashes(text: str) -> None:
    with contextlib.suppress(SymbolError):
        dxfeed.parse(text)
