"""tastytrade symbols: three spacings of future options, the decade of one digit, class shares."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.errors import SymbolError
from guardrails.instruments import Kind, Right, Settlement
from guardrails.products import FUTURES
from guardrails.symbols import contracts, tastytrade

AS_OF = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("text", "symbol", "future"),
    [
        ("./ESU3 EW4N3 230728C3990", "./EW4N23 230728C3990", "/ESU23"),  # one space
        ("./GCV5 OGV5  250925P2755", "./OGV25 250925P2755", "/GCV25"),  # two
        ("./MNQZ5D4AU5 250922C24575", "./D4AU25 250922C24575", "/MNQZ25"),  # none
        ("./ESH6 E2CF6 260114P5990", "./E2CF26 260114P5990", "/ESH26"),
        ("./ZNH6 OZNG6 260123P111.25", "./OZNG26 260123P111.25", "/ZNH26"),
        ("./M2KZ6R4EX6 261127P2300", "./R4EX26 261127P2300", "/M2KZ26"),
    ],
)
def test_future_options_in_all_spacings(text: str, symbol: str, future: str) -> None:
    option = tastytrade.parse(text, "Future Option", AS_OF)
    assert (option.kind, option.symbol, option.underlying) == (Kind.FUTURE_OPTION, symbol, future)
    assert tastytrade.format(option) == text
    assert tastytrade.parse(text, "", AS_OF) == option


@pytest.mark.parametrize("text", ["./ESU3EW4N3 230728C3990", "./ESU3  EW4N3  230728C3990"])
def test_spacing_does_not_matter(text: str) -> None:
    assert tastytrade.parse(text, "Future Option", AS_OF).symbol == "./EW4N23 230728C3990"


def test_parts_of_a_future_option() -> None:
    option = tastytrade.parse("./GCV5 OGV5  250925P2755", "Future Option", AS_OF)
    assert (option.root, option.expiry, option.right) == ("OG", date(2025, 9, 25), Right.PUT)
    assert (option.strike, option.settlement) == (Decimal(2755), Settlement.PHYSICAL)


def test_december_expiry_named_by_january_is_next_year() -> None:
    option = tastytrade.parse("./ZNH7 OZNF7 261224P111", "Future Option", AS_OF)
    assert (option.symbol, option.underlying) == ("./OZNF27 261224P111", "/ZNH27")


def test_unknown_code_keeps_the_future_of_the_record_and_no_settlement() -> None:
    option = tastytrade.parse("./KCZ6 KCZ6  261113C300", "Future Option", AS_OF)
    assert (option.underlying, option.settlement) == ("/KCZ26", None)


@pytest.mark.parametrize(
    ("text", "as_of", "symbol"),
    [
        ("/ESZ6", date(2026, 11, 20), "/ESZ26"),
        ("/ESZ6", date(2016, 11, 20), "/ESZ16"),
        ("/ESH7", date(2026, 11, 20), "/ESH27"),
        ("/ESZ5", date(2026, 3, 31), "/ESZ25"),  # over for exactly three months: still the old one
        ("/ESZ5", date(2026, 4, 3), "/ESZ35"),
        ("/ESZ9", date(2020, 1, 2), "/ESZ19"),
        ("/ESZ26", date(2016, 1, 1), "/ESZ26"),  # two digits leave nothing to decide
        ("/M2KH7", AS_OF, "/M2KH27"),
        ("/6EZ6", AS_OF, "/6EZ26"),
    ],
)
def test_decade_of_a_one_digit_year(text: str, as_of: date, symbol: str) -> None:
    assert tastytrade.parse(text, "Future", as_of).key == f"future:{symbol}"


@pytest.mark.parametrize(
    ("text", "instrument_type", "key"),
    [
        ("AAPL", "Equity", "equity:AAPL"),
        ("ES", "Equity", "equity:ES"),
        ("BRK/B", "Equity", "equity:BRK/B"),
        ("SPX", "Index", "index:SPX"),
        ("SPX", "", "index:SPX"),
        ("SPY   250321P00590000", "Equity Option", "option:SPY   250321P00590000"),
        ("SPXW  250321P05905000", "equity-option", "index_option:SPXW  250321P05905000"),
        ("BRK/B 261218C00450000", "Equity Option", "option:BRKB  261218C00450000"),
        ("/ESZ6", "FUTURE", "future:/ESZ26"),
        ("BTC/USD", "Cryptocurrency", "crypto:BTC/USD"),
    ],
)
def test_the_other_types(text: str, instrument_type: str, key: str) -> None:
    instrument = tastytrade.parse(text, instrument_type, AS_OF)
    assert instrument.key == key
    assert tastytrade.format(instrument) == text


@pytest.mark.parametrize(
    ("text", "instrument_type", "reason"),
    [
        ("ABC", "Bond", "'Bond' has no risk model"),
        ("ESZ6", "Future", "a slash, the product"),
        ("/ES", "Future", "a slash, the product"),
        ("./EW4N3 230728C3990", "Future Option", "a future, an option code"),
        ("./ESU3 EW4N3 230732C3990", "Future Option", "230732 is not a date"),
        ("./ESU3 EW4N3 230728C0", "Future Option", "not above zero"),
        ("./ESU3 EW4N3 290728C3990", "Future Option", "contradicts the expiry 2029-07-28"),
        ("BTC", "Cryptocurrency", "a slash between"),
        ("", "Equity", "a ticker"),
    ],
)
def test_refused_with_the_reason(text: str, instrument_type: str, reason: str) -> None:
    with pytest.raises(SymbolError, match=reason):
        tastytrade.parse(text, instrument_type, AS_OF)


def test_option_on_an_unknown_contract_cannot_be_written() -> None:
    option = contracts.future_option("EW4", 2026, 7, date(2026, 7, 24), Right.CALL, Decimal(6400))
    assert option.underlying == "/ES"
    with pytest.raises(SymbolError, match="contract it is exercised into is not known"):
        tastytrade.format(option)


DAYS = st.dates(date(2005, 1, 1), date(2060, 1, 1))
STRIKES = st.integers(1, 10**9).map(lambda n: Decimal(n) / 10_000)


@given(st.sampled_from(sorted(FUTURES)), DAYS, st.integers(0, 60))
def test_round_trip_of_futures_listed_up_to_five_years_ahead(root: str, as_of: date, months: int) -> None:
    month = contracts.Month(as_of.year, as_of.month).later(months)
    future = contracts.future(root[1:], *month)
    assert tastytrade.parse(tastytrade.format(future), "Future", as_of) == future


@given(
    st.sampled_from(["EW4", "ES", "OG", "OZN", "D4A", "1EU", "LO", "X1A"]), DAYS, st.sampled_from(Right), STRIKES,
    st.integers(0, 2), st.integers(0, 12), st.sampled_from(["ES", "MNQ", "M2K", "6E", "GC"]),
)  # fmt: skip
def test_round_trip_of_future_options(
    code: str, expiry: date, right: Right, strike: Decimal, ahead: int, later: int, root: str
) -> None:
    named = contracts.Month(expiry.year, expiry.month).later(ahead)
    underlying = contracts.future(root, *contracts.Month(expiry.year, expiry.month).later(later)).symbol
    option = contracts.future_option(code, named.year, named.month, expiry, right, strike, underlying)
    assert tastytrade.parse(tastytrade.format(option), "Future Option", expiry - timedelta(days=4000)) == option


@given(st.text(alphabet="./ESZN0123456789 CP", max_size=30), st.sampled_from(["", "Equity", "Future", "Future Option"]))
def test_rubbish_never_crashes(text: str, instrument_type: str) -> None:
    with contextlib.suppress(SymbolError):
        tastytrade.parse(text, instrument_type, AS_OF)
