"""IBKR activity statement CSV. Sections and columns follow published statements; all figures are invented."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.statements import read_statement
from adapters.statements.reader import read_book
from guardrails.errors import SourceError
from guardrails.instruments import Kind
from guardrails.values import Position, View

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
CLOSE = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
HEAD = """\
Statement,Header,Field Name,Field Value
Statement,Data,BrokerName,Interactive Brokers LLC
Statement,Data,Title,Activity Statement
Statement,Data,Period,"November 20, 2026"
Statement,Data,WhenGenerated,"2026-11-21, 05:19:33 EST"
Account Information,Header,Field Name,Field Value
Account Information,Data,Account,U0000001 (Custom Consolidated)
Account Information,Data,Base Currency,USD
"""
MONEY = """\
Net Asset Value,Header,Asset Class,Prior Total,Current Long,Current Short,Current Total,Change
Net Asset Value,Data,Cash ,"1,000",1234.5,0,"1,234.5",234.5
Net Asset Value,Data,Total,"250,000","300,000",-1,"251,000.5",1000.5
Net Asset Value,Header,Time Weighted Rate of Return
Net Asset Value,Data,0.4%
Change in NAV,Header,Field Name,Field Value
Change in NAV,Data,Starting Value,250000
Change in NAV,Data,Mark-to-Market,500.5
Change in NAV,Data,Deposits & Withdrawals,500
Change in NAV,Data,Ending Value,251000.5
"""
COLUMNS = (
    "Open Positions,Header,DataDiscriminator,Asset Category,Currency,Symbol,Quantity,Mult,Cost Price,"
    "Cost Basis,Close Price,Value,Unrealized P/L,Code\n"
)
STOCK = 'Open Positions,Data,Summary,Stocks,USD,AAPL,"1,100",1,150,165000,260.5,286550,121550,\n'
PUT = "Open Positions,Data,Summary,Equity and Index Options,USD,SPXW 18DEC26 5500 P,-2,100,20,-4000,15.5,-3100,900,\n"
REST = """\
Open Positions,Total,,Stocks,USD,,,,,165000,,286550,121550,
Open Positions,Header,DataDiscriminator,Asset Category,Currency,Symbol,Quantity,Mult,Cost Price,\
Cost Basis,Close Price,Value,Unrealized P/L,Code
Open Positions,Data,Summary,Futures,USD,ESZ6,1,50,6700,335000,6750.25,337512.5,2512.5,
Open Positions,Data,Summary,Options On Futures,USD,LOF7 C7500,-1,"1,000",1.2,-1200,0.8,-800,400,
Open Positions,Data,Summary,Bonds,USD,T 4 1/2 11/15/33,"10,000",1,98,9800,99,9900,100,
Base Currency Exchange Rate,Header,Currency,Exchange Rate
Base Currency Exchange Rate,Data,EUR,1.1
Financial Instrument Information,Header,Asset Category,Symbol,Description,Conid,Security ID,\
Underlying,Listing Exch,Multiplier,Type,Code
Financial Instrument Information,Data,Stocks,"AAPL, AAPL.OLD",APPLE INC,265598,US0378331005,AAPL,NASDAQ,1,COMMON,
Financial Instrument Information,Header,Asset Category,Symbol,Description,Conid,Underlying,\
Listing Exch,Multiplier,Expiry,Delivery Month,Type,Strike,Code
Financial Instrument Information,Data,Equity and Index Options,SPXW  261218P05500000,\
SPXW 18DEC26 5500 P,2,SPX,CBOE,100,2026-12-18,2026-12,P,5500,
Financial Instrument Information,Data,Futures,ESZ6,ES 18DEC26,3,ES,CME,50,2026-12-18,2026-12,,,
Financial Instrument Information,Data,Options On Futures,LOF7 C7500,CL 16DEC26 75 C,4,CLF7,NYMEX,\
1000,2026-12-16,2027-01,C,75,
"""
FACTS = "Financial Instrument Information"
FULL = HEAD + MONEY + COLUMNS + STOCK + COLUMNS + PUT + REST


@pytest.fixture
def read(tmp_path: Path):
    def reading(text: str | bytes, now: datetime = NOW) -> View:
        path = tmp_path / "activity.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_statement(path, now)

    return reading


def only(view: View) -> Position:
    (position,) = view.positions
    return position


def test_a_whole_statement(read) -> None:
    view = read(FULL)
    assert [held.instrument.key for held in view.positions] == [
        "equity:AAPL",
        "index_option:SPXW  261218P05500000",
        "future:/ESZ26",
        "future_option:./LOF27 261216C75",
        "bond:T 4 1/2 11/15/33",
    ]
    assert [held.quantity for held in view.positions] == [1100.0, -2.0, 1.0, -1.0, 10000.0]
    assert [held.multiplier for held in view.positions] == pytest.approx([1.0, 100.0, 50.0, 1000.0, 0.01])
    assert [held.mark for held in view.positions] == [260.5, 15.5, 6750.25, 0.8, 99.0]
    assert not any(held.reasons for held in view.positions)
    assert view.positions[3].instrument.underlying == "/CLF27"
    assert {held.account.masked for held in view.positions} == {"•••0001"}
    assert all(held.time == CLOSE for held in view.positions)
    assert view.market.prices["AAPL"].value == 260.5
    assert view.market.fx["EUR"].value == pytest.approx(1.1)


def test_its_money(read) -> None:
    (account,) = read(FULL).accounts
    assert (account.net_liquidation, account.cash, account.cash_flows, account.currency) == (
        251000.5,
        1234.5,
        500.0,
        "USD",
    )
    assert account.prior_net_liquidation is not None
    assert account.prior_net_liquidation.value == 250000.0
    assert account.prior_net_liquidation.time == datetime(2026, 11, 19, 21, 0, tzinfo=UTC)
    assert account.margins == ()


def test_a_month_says_nothing_of_the_day_before_its_end(read) -> None:
    (account,) = read(FULL.replace("November 20, 2026", "November 1, 2026 - November 20, 2026")).accounts
    assert account.time == CLOSE
    assert account.prior_net_liquidation is None
    assert account.cash_flows is None


def test_flows_are_known_only_when_the_entries_add_up(read) -> None:
    none = FULL.replace("Change in NAV,Data,Deposits & Withdrawals,500\n", "").replace(
        "Value,251000.5\n", "Value,250500.5\n"
    )
    assert read(none).accounts[0].cash_flows == 0.0
    torn = FULL.replace("Change in NAV,Data,Deposits & Withdrawals,500\n", "")
    assert read(torn).accounts[0].cash_flows is None


def test_a_euro_account(read) -> None:
    text = FULL.replace("Base Currency,USD", "Base Currency,EUR").replace("Rate,Data,EUR,1.1", "Rate,Data,USD,0.8")
    view = read(text)
    assert view.accounts[0].currency == "EUR"
    assert view.market.fx["EUR"].value == pytest.approx(1.25)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(read, encoding: str) -> None:
    assert len(read(FULL.replace("APPLE INC", "ÄPFEL").encode(encoding)).positions) == 5


def test_without_the_instrument_information_the_text_still_names_the_option(read) -> None:
    held = only(read(HEAD + COLUMNS + PUT))
    assert held.instrument.key == "index_option:SPXW  261218P05500000"
    assert (held.multiplier, held.reasons) == (100.0, ())


def test_class_shares(read) -> None:
    rows = STOCK.replace("AAPL", "BRK B") + PUT.replace("SPXW 18DEC26 5500 P", "BRK B 15JAN27 400 P")
    share, option = read(HEAD + COLUMNS + rows).positions
    assert share.instrument.symbol == "BRK/B"
    assert (option.instrument.symbol, option.instrument.underlying) == ("BRKB  270115P00400000", "BRK/B")


def test_lots_and_totals(read) -> None:
    lots = STOCK.replace("Summary", "Lot").replace('"1,100"', "600") + STOCK.replace("Summary", "Lot").replace(
        '"1,100"', "500"
    )
    totals = "Open Positions,Data,Total,,USD,,,,,1,,1,1,\nOpen Positions,Total,,Stocks,USD,,,,,1,,1,1,\n"
    view = read(HEAD + COLUMNS + STOCK + lots + totals)
    assert only(view).quantity == 1100.0
    assert only(view).reasons == ()
    assert "LOT row" in view.source.exclusions[0]
    alone = read(HEAD + COLUMNS + lots.replace("286550", ""))
    assert only(alone).quantity == 1100.0


def test_long_and_short_sections(read) -> None:
    columns = COLUMNS.replace("Open", "Short Open", 1)
    short = PUT.replace("Open", "Short Open", 1)
    assert only(read(HEAD + columns + short)).quantity == -2.0
    assert "among the short positions" in only(read(HEAD + columns + short.replace(",-2,", ",2,"))).reasons[0]


def test_a_consolidated_statement_names_the_account_in_each_row(read) -> None:
    columns = COLUMNS.replace("Currency,Symbol", "Currency,Account,Symbol")
    rows = "".join(STOCK.replace("USD,AAPL", f"USD,{account},AAPL") for account in ("U0000002", "U0000003"))
    view = read(HEAD + columns + rows)
    assert [held.account.masked for held in view.positions] == ["•••0002", "•••0003"]
    assert {account.id.masked for account in view.accounts} == {"•••0001", "•••0002", "•••0003"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (PUT.replace(",-2,", ",abc,"), "activity.csv line 10: quantity 'abc' is not a number"),
        (PUT.replace(",15.5,", ",NaN,"), "close price 'NaN' is not a number"),
        (PUT.replace(",15.5,", ",-15.5,").replace("-3100", "3100"), "below zero"),
        (PUT.replace("-3100", "-310"), "contradicts"),
        (PUT.replace("Summary", "Sumary"), "neither Summary nor Lot"),
        (PUT.replace("18DEC26", "18NOV26"), "expired on 2026-11-18"),
        (PUT.replace("18DEC26", "31FEB27"), "31FEB27"),
        (PUT.replace("Equity and Index Options", "Weather Derivatives"), "Weather Derivatives"),
        (STOCK.replace('"1,100"', "1,100"), "contradicts"),
        (STOCK.replace(",\n", ",x,y\n"), "stands beyond the last column"),
        (STOCK.replace("AAPL", ""), "no symbol"),
        (PUT.replace("P,-2", 'P,"-2'), "is not a number"),
    ],
)
def test_a_bad_row_is_unknown_and_the_good_one_kept(read, row: str, words: str) -> None:
    bad, good = read(HEAD + COLUMNS + row + STOCK.replace("AAPL", "MSFT")).positions
    assert words in " ".join(bad.reasons)
    assert (good.instrument.symbol, good.reasons) == ("MSFT", ())


def test_a_multiplier_that_two_sections_tell_differently_is_unknown(read) -> None:
    held = read(FULL.replace("CBOE,100,", "CBOE,10,")).positions[1]
    assert "mult 100 contradicts line" in held.reasons[0]


def test_rows_under_a_lost_header_are_unknown(read) -> None:
    held = only(read(HEAD + STOCK))
    assert held.instrument.kind is Kind.OTHER
    assert held.reasons


def test_a_file_that_ends_inside_a_row_is_not_believed(read) -> None:
    """`-20` may have been `-200`, and nothing in the rest of the row is there to contradict it."""
    whole = HEAD + COLUMNS + STOCK + PUT.replace(",-2,", ",-200,")
    good, cut = read(whole[: whole.index("-200") + 3]).positions
    assert good.reasons == ()
    assert "the file breaks off in it" in cut.reasons[0]


def test_a_line_that_is_only_begun_is_unknown_too(read) -> None:
    good, cut = read(HEAD + COLUMNS + STOCK + "Open Positions").positions
    assert (good.reasons, bool(cut.reasons)) == ((), True)


def test_a_damaged_mark_hides_no_row(read) -> None:
    held = only(read(HEAD + COLUMNS + STOCK.replace("Data", "Dota")))
    assert "neither Header, Data nor Total" in held.reasons[0]


def test_no_section_is_not_a_flat_book(read) -> None:
    held = only(read(HEAD + MONEY))
    assert "no Open Positions section" in held.reasons[0]


def test_another_language_is_named(read) -> None:
    german = (
        "Übersicht,Header,Feldname,Feldwert\nOffene Positionen,Header,Symbol,Menge\nOffene Positionen,Data,AAPL,1\n"
    )
    with pytest.raises(SourceError, match="language to English"):
        read(german)


def test_without_a_period_the_day_of_the_file_is_taken_and_said(read) -> None:
    text = (HEAD + COLUMNS + STOCK).replace('Statement,Data,Period,"November 20, 2026"\n', "")
    assert only(read(text)).time == datetime(2026, 11, 21, 21, 0, tzinfo=UTC)  # the day it was generated, a Saturday
    text = text.replace('Statement,Data,WhenGenerated,"2026-11-21, 05:19:33 EST"\n', "")
    assert any("no period" in line for line in read(text).source.exclusions)


def test_every_row_ends_in_one_place(tmp_path: Path) -> None:
    rows = [STOCK, STOCK, PUT, PUT.replace(",-2,", ",x,"), STOCK.replace("Summary", "Lot"),
            STOCK.replace("AAPL", "MSFT"), "Open Positions,Dota,Summary,Stocks,USD,IBM,1,1,1,1,1,1,1,\n",
            STOCK.replace("AAPL", "F").replace('"1,100"', "0")]  # fmt: skip
    path = tmp_path / "activity.csv"
    path.write_text(HEAD + COLUMNS + "".join(rows))
    book = read_book(path, NOW)
    assert len(book.positions) + len(book.left_out) == len(rows)


def test_a_period_that_lost_its_quotes_is_read(read) -> None:
    """Resaved by hand the comma of the date splits the cell, and rows are padded to one width."""
    bare = HEAD.replace('"November 20, 2026"', "January 1, 2026 - November 20, 2026,,,").replace(
        "Field Name,Field Value", "Field Name,Field Value,,,"
    )
    view = read(bare + COLUMNS + STOCK)
    assert only(view).time == CLOSE
    assert view.source.exclusions == ()


def test_a_cell_under_a_padded_header_is_beyond_the_last_column(read) -> None:
    """`1,100` without its quotes shifts the row by one; the nameless columns behind must not swallow that."""
    padded = COLUMNS.replace("Code\n", "Code,,,,\n")
    held = only(read(HEAD + padded + STOCK.replace('"1,100"', "1,100").replace(",\n", ",O,,,\n")))
    assert "beyond the last column" in held.reasons[0]
    assert only(read(HEAD + padded + STOCK.replace(",\n", ",,,,\n"))).reasons == ()


def test_a_statement_that_ends_among_its_positions_is_not_taken_for_whole(read) -> None:
    """Cut at the end of a row nothing looks broken; a full statement has the totals behind its positions."""
    cut = FULL[: FULL.index(PUT)]
    held = read(cut).positions
    assert held[0].reasons == ()
    assert "rows may be missing" in held[-1].reasons[0]
    assert not any(one.reasons for one in read(HEAD + COLUMNS + STOCK).positions)  # an excerpt made by hand
    assert not any(one.reasons for one in read(FULL).positions)


@pytest.mark.parametrize(
    ("named", "root", "adjusted"),
    [
        ("QZD   261218P00012500, QZD1  261218P00012500", "QZD1", True),
        ("OLD   261218P00012500, QZD   261218P00012500", "QZD", False),
    ],
)
def test_of_two_names_of_an_option_the_adjusted_one_counts(read, named: str, root: str, adjusted: bool) -> None:  # noqa: FBT001  # a column of the table
    row = PUT.replace("SPXW 18DEC26 5500 P", "QZD 18DEC26 12.5 P")
    fact = (
        f"{FACTS},Header,Asset Category,Symbol,Description,Conid,Underlying,Multiplier,Expiry,Type,Strike\n"
        f'{FACTS},Data,Equity and Index Options,"{named}",QZD 18DEC26 12.5 P,6,QZD,100,2026-12-18,P,12.5\n'
    )
    held = only(read(HEAD + COLUMNS + row + fact)).instrument
    assert (held.root, held.adjusted) == (root, adjusted)


def test_one_net_asset_value_over_several_accounts_belongs_to_none(read) -> None:
    columns = COLUMNS.replace("Currency,Symbol", "Currency,Account,Symbol")
    rows = "".join(STOCK.replace("USD,AAPL", f"USD,{account},AAPL") for account in ("U0000001", "U0000003"))
    view = read(HEAD + MONEY + columns + rows)
    assert [account.net_liquidation for account in view.accounts] == [None, None]
    assert any("several accounts" in line for line in view.source.exclusions)
