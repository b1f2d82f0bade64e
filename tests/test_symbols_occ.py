"""OCC symbols: what they name, what they lose in exports, and what is refused."""

from __future__ import annotations

import contextlib
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.errors import SymbolError
from guardrails.instruments import Kind, Right, Settlement
from guardrails.products import INDEX_ROOTS
from guardrails.symbols import contracts, occ, tastytrade

AS_OF = date(2026, 11, 20)


def test_every_part() -> None:
    option = occ.parse("AAPL  220617P00150000")
    assert option.key == "option:AAPL  220617P00150000"
    assert (option.underlying, option.root, option.expiry) == ("AAPL", "AAPL", date(2022, 6, 17))
    assert (option.right, option.strike, str(option.strike)) == (Right.PUT, Decimal(150), "150")
    assert (option.settlement, option.adjusted) == (Settlement.PHYSICAL, False)


@pytest.mark.parametrize("text", ["AAPL220617C00150000", "AAPL 220617C00150000", " aapl  220617c00150000 "])
def test_padding_may_be_missing(text: str) -> None:
    assert occ.parse(text).symbol == "AAPL  220617C00150000"


@pytest.mark.parametrize(
    ("text", "strike"),
    [("UVXY  210129P00014500", "14.5"), ("AAPL  210129P00014505", "14.505"), ("X     210129P00000500", "0.5")],
)
def test_strikes_have_three_decimals(text: str, strike: str) -> None:
    assert occ.parse(text).strike == Decimal(strike)
    assert occ.parse(text).symbol == text


@pytest.mark.parametrize(
    ("text", "underlying", "settlement"),
    [
        ("SPX   261218P05500000", "SPX", Settlement.CASH_AM),
        ("SPXW  261218P05500000", "SPX", Settlement.CASH_PM),
        ("VIXW  261216C00020000", "VIX", Settlement.CASH_AM),
        ("RUTW  261218P02000000", "RUT", Settlement.CASH_PM),
        ("XSP   261218P00550000", "XSP", Settlement.CASH_PM),
        ("SOX   261218P05500000", "SOX", None),
    ],
)
def test_index_roots(text: str, underlying: str, settlement: Settlement | None) -> None:
    option = occ.parse(text)
    assert (option.kind, option.underlying, option.settlement) == (Kind.INDEX_OPTION, underlying, settlement)


def test_spx_and_spxw_of_one_date_are_two_options() -> None:
    assert occ.parse("SPX   261218P05500000").key != occ.parse("SPXW  261218P05500000").key


@pytest.mark.parametrize(
    ("text", "underlying"),
    [("USO1  210129P00014500", "USO"), ("GREE1 220121C00030000", "GREE"), ("BRKB1 261218C00450000", "BRK/B")],
)
def test_a_digit_behind_the_root_marks_an_adjusted_deliverable(text: str, underlying: str) -> None:
    option = occ.parse(text)
    assert (option.underlying, option.adjusted, option.symbol) == (underlying, True, text)


def test_flex_options_have_terms_of_their_own() -> None:
    option = occ.parse("4SPX  261218P05500000")
    assert (option.kind, option.underlying, option.settlement, option.adjusted) == (
        Kind.INDEX_OPTION,
        "SPX",
        None,
        True,
    )


@pytest.mark.parametrize("text", ["BRKB  261218C00450000", "BRK/B 261218C00450000"])
def test_class_shares_are_one_option_however_spelled(text: str) -> None:
    assert (occ.parse(text).symbol, occ.parse(text).underlying) == ("BRKB  261218C00450000", "BRK/B")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a root, yymmdd"),
        ("AAPL", "a root, yymmdd"),
        ("AAPL  220617X00150000", "a root, yymmdd"),
        ("AAPL  220617C0015000", "a root, yymmdd"),
        ("AAPL  220631C00150000", "220631 is not a date"),
        ("AAPL  221301C00150000", "221301 is not a date"),
        ("AAPL  220617C00000000", "not above zero"),
        ("123   220617C00150000", "not an option root"),
        ("TOOLONG220617C00150000", "not an option root"),
    ],
)
def test_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(SymbolError, match=reason):
        occ.parse(text)


def test_only_listed_options_have_an_occ_symbol() -> None:
    future = tastytrade.parse("/ESZ6", "Future", AS_OF)
    with pytest.raises(SymbolError, match="a future has none"):
        occ.format(future)


def test_a_strike_that_does_not_fit_is_refused_not_rounded() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        contracts.option("AAPL", AS_OF, Right.CALL, Decimal("1.0005"))
    with pytest.raises(ValueError, match="does not fit"):
        contracts.option("AAPL", AS_OF, Right.CALL, Decimal(100_000))
    assert contracts.option("AAPL", AS_OF, Right.CALL, Decimal("99999.999")).symbol == "AAPL  261120C99999999"


ROOTS = st.one_of(st.from_regex(r"[A-Z]{1,5}[0-9]?", fullmatch=True), st.sampled_from(sorted(INDEX_ROOTS)))


@given(ROOTS, st.dates(date(2005, 1, 1), date(2060, 1, 1)), st.sampled_from(Right), st.integers(1, 10**8 - 1))
def test_round_trip(root: str, expiry: date, right: Right, thousandths: int) -> None:
    text = f"{root:<6}{expiry:%y%m%d}{right.value}{thousandths:08d}"
    option = occ.parse(text)
    assert occ.format(option) == text
    assert (option.expiry, option.right, option.strike) == (expiry, right, Decimal(thousandths) / 1000)


@given(st.text(max_size=30))
def test_rubbish_is_refused_or_read_but_never_crashes(text: str) -> None:
    with contextlib.suppress(SymbolError):
        occ.parse(text)
