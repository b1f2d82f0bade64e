"""One instrument, however it is spelled, has one key; different instruments never share one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails import symbols
from guardrails.errors import SymbolError
from guardrails.instruments import Instrument
from guardrails.symbols import dxfeed, ibkr, occ, tastytrade

AS_OF = date(2026, 7, 1)


def flex(sec_type: str, symbol: str, **fields: str) -> Callable[[], Instrument]:
    return lambda: ibkr.from_contract(sec_type, symbol, as_of=AS_OF, **fields)


def tasty(symbol: str, instrument_type: str) -> Callable[[], Instrument]:
    return lambda: tastytrade.parse(symbol, instrument_type, AS_OF)


SPELLINGS: dict[str, list[Callable[[], Instrument]]] = {
    "equity:BRK/B": [
        tasty("BRK/B", "Equity"),
        flex("STK", "BRK B"),
        lambda: dxfeed.parse("BRK/B"),
        lambda: ibkr.parse_statement("BRK B", AS_OF),
        lambda: symbols.parse("BRK.B", AS_OF),
        lambda: symbols.parse("brk b", AS_OF),
    ],
    "option:BRKB  260918C00450000": [
        lambda: occ.parse("BRKB260918C00450000"),
        tasty("BRK/B 260918C00450000", "Equity Option"),
        lambda: dxfeed.parse(".BRK/B260918C450"),
        lambda: dxfeed.parse(".BRKB260918C450"),
        flex("OPT", "BRK B", local_symbol="BRKB  260918C00450000", last_trade_date="20260918", strike="450", right="C"),
        flex("OPT", "BRK B", last_trade_date="20260918", strike="450", right="C"),
        lambda: ibkr.parse_statement("BRK B 18SEP26 450 C", AS_OF),
        lambda: symbols.parse("BRK/B 260918C00450000", AS_OF),
    ],
    "index_option:SPX   260918P05500500": [
        lambda: occ.parse("SPX   260918P05500500"),
        tasty("SPX   260918P05500500", "Equity Option"),
        lambda: dxfeed.parse(".SPX260918P5500.5"),
        flex("OPT", "SPX", local_symbol="SPX   260918P05500500", last_trade_date="20260917"),
        flex("OPT", "SPX", trading_class="SPX", last_trade_date="20260917", strike="5500.5", right="P"),
        lambda: ibkr.parse_statement("SPX 17SEP26 5500.5 P", AS_OF),
        lambda: symbols.parse(".SPX260918P5500.5", AS_OF),
        lambda: symbols.parse("SPX 18SEP26 5500.5 P", AS_OF),
    ],
    "future:/ESU26": [
        tasty("/ESU6", "Future"),
        lambda: dxfeed.parse("/ESU26:XCME"),
        flex("FUT", "ES", local_symbol="ESU6", last_trade_date="20260918"),
        flex("FUT", "ES", trading_class="ES", last_trade_date="202609"),
        lambda: ibkr.parse_statement("ESU6", AS_OF),
        lambda: symbols.parse("/ESU6", AS_OF),
        lambda: symbols.parse("/ESU26", AS_OF),
        lambda: symbols.parse("ESU26:XCME", AS_OF),
    ],
    "future_option:./EW4N26 260724C6400": [
        tasty("./ESU6 EW4N6 260724C6400", "Future Option"),
        lambda: dxfeed.parse("./EW4N26C6400:XCME", expiry=date(2026, 7, 24)),
        flex("FOP", "ES", local_symbol="EW4N6 C6400", trading_class="EW4", last_trade_date="20260724"),
        flex("FOP", "ES", trading_class="EW4", last_trade_date="20260724", strike="6400", right="C"),
        lambda: ibkr.parse_statement("EW4 24JUL26 6400 C", AS_OF, sec_type="FOP"),
        lambda: symbols.parse("./EW4N26 260724C6400", AS_OF),
        lambda: symbols.parse("./ESU6 EW4N6 260724C6400", AS_OF),
    ],
    "future_option:./OGV26 260924P2755": [
        tasty("./GCV6 OGV6  260924P2755", "Future Option"),
        lambda: dxfeed.parse("./OGV26P2755:XCEC", expiry=date(2026, 9, 24)),
        flex("FOP", "GC", local_symbol="OGV6 P2755", last_trade_date="20260924", strike="2755", right="P"),
        flex("FOP", "GC", trading_class="OG", last_trade_date="20260924", strike="2755.0", right="P"),
    ],
    "crypto:BTC/USD": [
        tasty("BTC/USD", "Cryptocurrency"),
        lambda: dxfeed.parse("BTC/USD:CXTALP"),
        flex("CRYPTO", "BTC", currency="USD"),
        lambda: symbols.parse("BTC/USD", AS_OF),
    ],
}


@pytest.mark.parametrize("key", SPELLINGS)
def test_every_spelling_arrives_at_the_same_key(key: str) -> None:
    read = [spelling() for spelling in SPELLINGS[key]]
    assert {instrument.key for instrument in read} == {key}
    assert len({(i.expiry if i.is_option else None, i.strike, i.right, i.settlement, i.root) for i in read}) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("equity:ES", "future:/ESZ26"),
        ("equity:BTC", "crypto:BTC/USD", "future:/BTCZ26"),
        ("index_option:SPX   260918P05500000", "index_option:SPXW  260918P05500000"),
        ("option:USO   260918P00075000", "option:USO1  260918P00075000"),
        ("future:/SIZ26", "future:/SILZ26"),
    ],
)
def test_namesakes_have_different_keys(names: tuple[str, ...]) -> None:
    read = [symbols.parse(name.partition(":")[2], AS_OF) for name in names]
    assert tuple(instrument.key for instrument in read) == names
    assert all(one != other for one, other in combinations(read, 2))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("SPY", "equity:SPY"),
        ("spy", "equity:SPY"),
        ("VIX", "index:VIX"),
        ("VIX3M", "index:VIX3M"),
        ("RUT", "index:RUT"),
        ("/ES", "future:/ES"),
        ("/M2K", "future:/M2K"),
        ("EUR/USD", "cash:EUR"),
        ("ETH/USD", "crypto:ETH/USD"),
        ("BAC PRL", "equity:BAC/PRL"),
        ("ZN   DEC 26", "future:/ZNZ26"),
    ],
)
def test_price_file_symbols(text: str, key: str) -> None:
    assert symbols.parse(text, AS_OF).key == key


@pytest.mark.parametrize(
    "text", ["", "   ", "Total USD", "SPY,AAPL", "EW4N6 C6400", "./EW4N3C3990", ".", "/", ":", "é"]
)
def test_unreadable_text_is_refused(text: str) -> None:
    with pytest.raises(SymbolError):
        symbols.parse(text, AS_OF)


@pytest.mark.parametrize("key", SPELLINGS)
def test_canonical_symbol_reads_back(key: str) -> None:
    assert symbols.parse(SPELLINGS[key][0]().symbol, AS_OF).key == key


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SymbolError):
        symbols.parse(text, AS_OF)


@given(st.text(alphabet="./ ESPXWZNC0123456789:", max_size=26))
def test_what_was_read_once_reads_back_the_same(text: str) -> None:
    try:
        instrument = symbols.parse(text, AS_OF)
    except SymbolError:
        return
    if instrument.is_option and instrument.expiry is None:
        return
    again = symbols.parse(instrument.symbol, AS_OF)
    assert again.key == instrument.key
