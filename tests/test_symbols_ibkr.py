"""IBKR contracts and statement lines: the day before settlement, products behind other names, contradictions."""

from __future__ import annotations

import contextlib
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.errors import SymbolError
from guardrails.instruments import Instrument, Right
from guardrails.symbols import contracts, ibkr, ibkr_text

AS_OF = date(2026, 11, 20)


def read(sec_type: str, symbol: str, **fields: Any) -> Instrument:
    return ibkr.from_contract(sec_type, symbol, as_of=fields.pop("as_of", AS_OF), **fields)


def test_thursday_of_the_contract_is_friday_in_the_local_symbol() -> None:
    """Recorded by TWS: SPX, 20200116, `SPX   200117P03205000`."""
    option = read(
        "OPT", "SPX", local_symbol="SPX   200117P03205000", trading_class="SPX", last_trade_date="20200116",
        strike=3205.0, right="P",
    )  # fmt: skip
    assert (option.key, option.expiry) == ("index_option:SPX   200117P03205000", date(2020, 1, 17))


@pytest.mark.parametrize(
    ("root", "last_trade", "expiry"),
    [
        ("SPX", "20200116", date(2020, 1, 17)),
        ("SPX", "20200117", date(2020, 1, 17)),  # already the settlement day
        ("SPX", "20250618", date(2025, 6, 20)),  # the Thursday between is a holiday
        ("SPX", "20260617", date(2026, 6, 18)),  # the Friday after is a holiday: settled on Thursday
        ("SPX", "20250416", date(2025, 4, 17)),  # Good Friday
        ("NDX", "20261217", date(2026, 12, 18)),
        ("RUT", "20261217", date(2026, 12, 18)),
        ("VIX", "20261215", date(2026, 12, 16)),
        ("VIXW", "20261208", date(2026, 12, 9)),
        ("VIX", "20261216", date(2026, 12, 16)),
        ("SPXW", "20261217", date(2026, 12, 17)),  # PM: nothing moves
        ("XSP", "20261217", date(2026, 12, 17)),
        ("AAPL", "20261217", date(2026, 12, 17)),
    ],
)
def test_without_local_symbol_only_am_roots_move_to_the_next_session(root: str, last_trade: str, expiry: date) -> None:
    option = read("OPT", root, trading_class=root, last_trade_date=last_trade, strike="100", right="C")
    assert option.expiry == expiry


@pytest.mark.parametrize("last_trade", ["20261119", "20261120"])
def test_third_friday_of_november(last_trade: str) -> None:
    option = read("OPT", "SPX", trading_class="SPX", last_trade_date=last_trade, strike=5500, right="PUT")
    assert option.symbol == "SPX   261120P05500000"


@pytest.mark.parametrize("last_trade", ["20261118", "20261121", "20261123", "20261112"])
def test_am_root_on_another_day_is_another_option(last_trade: str) -> None:
    with pytest.raises(SymbolError, match="SPX settles on the third Friday"):
        read("OPT", "SPX", trading_class="SPX", last_trade_date=last_trade, strike=5500, right="P")


def test_index_symbol_alone_does_not_tell_am_from_pm() -> None:
    with pytest.raises(SymbolError, match="tradingClass is needed"):
        read("OPT", "SPX", last_trade_date="20261119", strike=5500, right="P")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("last_trade_date", "20261231", "contradicts the last trade date 2026-12-31"),
        ("last_trade_date", "20261211", "contradicts the last trade date 2026-12-11"),
        ("strike", 5600.0, "its strike contradicts the field, 5600"),
        ("right", "C", "its right contradicts the field, C"),
    ],
)
@pytest.mark.parametrize("local_symbol", ["SPXW  261218P05500000", "SPXW 18DEC26 5500 P"])
def test_contradictions_are_refused(local_symbol: str, field: str, value: Any, reason: str) -> None:
    fields = {"last_trade_date": "20261218", "strike": 5500.0, "right": "P"}
    assert read("OPT", "SPX", local_symbol=local_symbol, **fields).symbol == "SPXW  261218P05500000"
    with pytest.raises(SymbolError, match=reason):
        read("OPT", "SPX", local_symbol=local_symbol, **{**fields, field: value})


@pytest.mark.parametrize("unset", [None, 0.0, "", "0", 1.7976931348623157e308, float("nan")])
def test_unset_strike_is_absent(unset: Any) -> None:
    assert read("STK", "AAPL", strike=unset, right="?").key == "equity:AAPL"
    with pytest.raises(SymbolError, match="needs its day of expiry, right and strike"):
        read("OPT", "AAPL", last_trade_date="20261218", right="C", strike=unset)


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"symbol": "ES", "local_symbol": "ESZ6"}, "future:/ESZ26"),
        ({"symbol": "ES", "local_symbol": "ESZ6", "last_trade_date": "20161216"}, "future:/ESZ16"),
        ({"symbol": "ZN", "local_symbol": "ZN   DEC 26"}, "future:/ZNZ26"),
        ({"symbol": "ZC", "trading_class": "ZC", "last_trade_date": "20261214"}, "future:/ZCZ26"),
        ({"symbol": "EUR", "local_symbol": "6EZ6", "trading_class": "6E"}, "future:/6EZ26"),
        ({"symbol": "EUR", "trading_class": "M6E", "last_trade_date": "20261214"}, "future:/M6EZ26"),
        ({"symbol": "VIX", "local_symbol": "VXZ6", "trading_class": "VX"}, "future:/VXZ26"),
        ({"symbol": "VIX", "trading_class": "VXM", "last_trade_date": "20261216"}, "future:/VXMZ26"),
        ({"symbol": "SI", "trading_class": "SI", "last_trade_date": "20261229"}, "future:/SIZ26"),
        ({"symbol": "SI", "local_symbol": "SILZ6", "trading_class": "SIL"}, "future:/SILZ26"),
        ({"symbol": "BRR", "local_symbol": "BTCZ6"}, "future:/BTCZ26"),
        ({"symbol": "ES", "last_trade_date": "202612"}, "future:/ESZ26"),
        ({"symbol": "ES", "last_trade_date": "20261218 08:30 US/Central"}, "future:/ESZ26"),
        # crude stops trading the month before it is named by
        ({"symbol": "CL", "last_trade_date": "20261119"}, "future:/CLZ26"),
        ({"symbol": "CL", "last_trade_date": "20261221"}, "future:/CLF27"),
    ],
)
def test_futures(fields: dict[str, str], key: str) -> None:
    assert read("FUT", **fields).key == key


@pytest.mark.parametrize("symbol", ["SI", "EUR", "VIX", "BRR"])
def test_symbol_that_stands_for_several_futures_is_refused(symbol: str) -> None:
    with pytest.raises(SymbolError, match="stands for several futures"):
        read("FUT", symbol, last_trade_date="20261214")


def test_month_of_an_unknown_future_is_not_guessed() -> None:
    with pytest.raises(SymbolError, match="contract month is not known"):
        read("FUT", "KC", last_trade_date="20261218")


def test_future_that_expires_years_from_its_name_is_refused() -> None:
    with pytest.raises(SymbolError, match="contradicts the expiry"):
        read("FUT", "ES", local_symbol="ESZ26", last_trade_date="20281215")


@pytest.mark.parametrize(
    ("fields", "symbol", "underlying"),
    [
        ({"local_symbol": "EW4N6 C6400", "last_trade_date": "20260724"}, "./EW4N26 260724C6400", "/ES"),
        (
            {"local_symbol": "EW4N6 C6400", "last_trade_date": "20260724", "underlying": "ESU6"},
            "./EW4N26 260724C6400",
            "/ESU26",
        ),
        ({"local_symbol": "G4MU4 C2475", "last_trade_date": "20240923"}, "./G4MU24 240923C2475", "/GC"),
        ({"local_symbol": "EW4 24JUL26 6400 C"}, "./EW4N26 260724C6400", "/ES"),
        (
            {"trading_class": "OG", "last_trade_date": "20250925", "strike": 2755.0, "right": "P"},
            "./OGV25 250925P2755",
            "/GC",
        ),
        (
            {"local_symbol": "OZNG6 P11125", "last_trade_date": "20260123", "strike": 111.25, "right": "P"},
            "./OZNG26 260123P111.25",
            "/ZN",
        ),
        ({"symbol": "GC", "local_symbol": "ZZZU4 C2475", "last_trade_date": "20240923"}, "./ZZZU24 240923C2475", "/GC"),
        ({"symbol": "SI", "local_symbol": "ZZZU4 C2475", "last_trade_date": "20240923"}, "./ZZZU24 240923C2475", ""),
    ],
)  # fmt: skip
def test_future_options(fields: dict[str, Any], symbol: str, underlying: str) -> None:
    option = read("FOP", **{"symbol": "ES", **fields})
    assert (option.symbol, option.underlying) == (symbol, underlying)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"local_symbol": "EW4N6 C6400"}, "names no day"),
        ({"local_symbol": "EW4N6 C6400", "last_trade_date": "20260724", "right": "P"}, "right contradicts"),
        ({"last_trade_date": "20260724", "strike": 6400, "right": "C"}, "localSymbol is needed"),
        (
            {"trading_class": "ES", "last_trade_date": "20260724", "strike": 6400, "right": "C"},
            "third Friday of a quarter",
        ),
        ({"trading_class": "LN", "last_trade_date": "20260724", "strike": 4, "right": "C"}, "localSymbol is needed"),
    ],
)
def test_future_options_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(SymbolError, match=reason):
        read("FOP", "ES", **fields)


@pytest.mark.parametrize(
    ("sec_type", "fields", "key"),
    [
        ("STK", {"symbol": "BRK B"}, "equity:BRK/B"),
        ("STK", {"symbol": "ES"}, "equity:ES"),
        ("stk", {"symbol": "aapl"}, "equity:AAPL"),
        ("IND", {"symbol": "SPX"}, "index:SPX"),
        ("CASH", {"symbol": "EUR", "local_symbol": "EUR.USD", "currency": "USD"}, "cash:EUR"),
        ("CASH", {"symbol": "EUR.USD"}, "cash:EUR"),
        ("CRYPTO", {"symbol": "BTC", "currency": "USD"}, "crypto:BTC/USD"),
    ],
)
def test_the_other_types(sec_type: str, fields: dict[str, str], key: str) -> None:
    assert read(sec_type, **fields).key == key


@pytest.mark.parametrize("sec_type", ["BAG", "BOND", "WAR", "FUND", "CFD", ""])
def test_what_has_no_risk_model_is_refused(sec_type: str) -> None:
    with pytest.raises(SymbolError, match="no single instrument with a risk model"):
        read(sec_type, "SPX")


@pytest.mark.parametrize("text", ["2026-13-01", "20261301", "18DEC26", "2026", "20260231"])
def test_dates_that_do_not_exist(text: str) -> None:
    with pytest.raises(SymbolError, match="the date"):
        read("FUT", "ES", last_trade_date=text)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("CLNE 15SEP23 10 C", "option:CLNE  230915C00010000"),
        ("SPXW 20NOV26 5500 P", "index_option:SPXW  261120P05500000"),
        ("SPX 19NOV26 5500 P", "index_option:SPX   261120P05500000"),
        ("BRK B 16JAN26 400 P", "option:BRKB  260116P00400000"),
        ("UVXY 29JAN21 14.5 P", "option:UVXY  210129P00014500"),
        ("ES 18SEP26 65 C", "option:ES    260918C00065000"),
        ("SO1 18SEP26 65 C", None),
        ("EW4 24JUL26 6400 C", None),
        ("CLNE  230915C00010000", "option:CLNE  230915C00010000"),
        ("ESZ6", "future:/ESZ26"),
        ("ZN   DEC 26", "future:/ZNZ26"),
        ("BRK B", "equity:BRK/B"),
        ("CLNE", "equity:CLNE"),
        ("EUR.USD", "cash:EUR"),
    ],
)
def test_statement_lines_by_their_form(line: str, key: str | None) -> None:
    if key is None:  # adjusted shares or a weekly on a future: the section must say
        with pytest.raises(SymbolError, match="give the type"):
            ibkr.parse_statement(line, AS_OF)
    else:
        assert ibkr.parse_statement(line, AS_OF).key == key


@pytest.mark.parametrize(
    ("line", "sec_type", "key"),
    [
        ("SO1 18SEP26 65 C", "OPT", "option:SO1   260918C00065000"),
        ("EW4 24JUL26 6400 C", "FOP", "future_option:./EW4N26 260724C6400"),
        ("SO1 18SEP26 65 C", "FOP", "future_option:./SO1U26 260918C65"),
    ],
)
def test_the_section_decides_between_twins(line: str, sec_type: str, key: str) -> None:
    assert ibkr.parse_statement(line, AS_OF, sec_type=sec_type).key == key


def test_expiry_completes_a_future_option_of_a_statement() -> None:
    option = ibkr.parse_statement("EW4N6 C6400", AS_OF, expiry=date(2026, 7, 24), underlying="ESU6")
    assert (option.symbol, option.underlying) == ("./EW4N26 260724C6400", "/ESU26")


@pytest.mark.parametrize("line", ["", "Total USD", "CLNE 31SEP23 10 C", "CLNE 15SEP23 10", "SPX 23NOV26 5500 P"])
def test_lines_that_name_nothing(line: str) -> None:
    with pytest.raises(SymbolError):
        ibkr.parse_statement(line, AS_OF)


def test_messages_quote_the_text_and_not_all_of_it() -> None:
    with pytest.raises(SymbolError) as caught:
        ibkr.parse_statement("X" * 5000, AS_OF)
    assert len(str(caught.value)) < 300


DAYS = st.dates(date(2005, 1, 1), date(2059, 12, 31))
STRIKES = st.integers(1, 10**8 - 1).map(lambda thousandths: Decimal(thousandths) / 1000)


@given(st.sampled_from(["AAPL", "BRK/B", "SPXW", "XSP", "USO1"]), DAYS, st.sampled_from(Right), STRIKES)
def test_round_trip_of_options(root: str, expiry: date, right: Right, strike: Decimal) -> None:
    option = contracts.option(root, expiry, right, strike)
    assert ibkr.parse_statement(ibkr_text.statement_line(option), AS_OF, sec_type="OPT") == option
    assert read("OPT", "", local_symbol=ibkr_text.local_symbol(option)) == option


@given(st.sampled_from(["EW4", "ES", "OG", "OZN", "1EU"]), DAYS, st.sampled_from(Right), STRIKES, st.integers(0, 2))
def test_round_trip_of_future_options(code: str, expiry: date, right: Right, strike: Decimal, ahead: int) -> None:
    named = contracts.Month(expiry.year, expiry.month).later(ahead)
    option = contracts.future_option(code, named.year, named.month, expiry, right, strike)
    local_symbol = ibkr_text.local_symbol(option)
    assert read("FOP", "", local_symbol=local_symbol, last_trade_date=f"{expiry:%Y%m%d}") == option


@given(
    st.text(alphabet="ABCESZ0123456789 .NOVP/", max_size=30), st.sampled_from(["", "STK", "OPT", "FUT", "FOP", "CASH"])
)
def test_rubbish_never_crashes(text: str, sec_type: str) -> None:
    with contextlib.suppress(SymbolError):
        ibkr.parse_statement(text, AS_OF, sec_type=sec_type, expiry=AS_OF)
