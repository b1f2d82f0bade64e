"""tastytrade positions and balances: API JSON in its wrappings, CSV in its two shapes. Accounts are invented."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.statements import read_statement
from adapters.statements.reader import read_book
from guardrails.errors import SourceError
from guardrails.instruments import Kind
from guardrails.values import Position, View

SAMPLES = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "statements"
NOW = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)
WRITTEN = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
SHARE = {"account-number": "5WT00001", "symbol": "AAPL", "instrument-type": "Equity", "quantity": "100",
         "quantity-direction": "Long", "mark-price": "260.5", "multiplier": 1, "average-open-price": "200",
         "updated-at": "2026-11-20T18:00:00.000+00:00"}  # fmt: skip
PUT = {"account-number": "5WT00001", "symbol": "SPXW  261218P05500000", "instrument-type": "Equity Option",
       "quantity": "2", "quantity-direction": "Short", "mark-price": "15.5", "multiplier": 100,
       "average-open-price": "20", "updated-at": "2026-11-19T15:00:00.000+00:00"}  # fmt: skip
BALANCES = {"account-number": "5WT00001", "net-liquidating-value": "100000", "maintenance-requirement": "30000",
            "maintenance-excess": "70000", "updated-at": "2026-11-20T18:10:00.000+00:00"}  # fmt: skip


def write(folder: Path, content: object, name: str = "positions.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
    os.utime(path, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    return path


@pytest.fixture
def read(tmp_path: Path):
    return lambda content: read_statement(write(tmp_path, content), NOW)


def only(view: View) -> Position:
    (position,) = view.positions
    return position


@pytest.mark.skipif(not SAMPLES.exists(), reason="no ../shared/data")
def test_the_documented_examples_read_as_one() -> None:
    """100 AAPL bought at 288.70, last close 282.48; net liquidating value 32,520.734, excess 22,828.52 (vendor)."""
    names = ("tastytrade_positions_doc_example.json", "tastytrade_balances_doc_example.json")
    view = read_statement([SAMPLES / name for name in names], NOW)
    held = only(view)
    assert (held.instrument.symbol, held.quantity, held.multiplier, held.mark) == ("AAPL", 100.0, 1.0, 282.48)
    assert held.average_price == 288.7
    assert held.reasons == ()
    assert any("previous close" in note for note in held.notes)
    (account,) = view.accounts
    assert account.net_liquidation == 32520.734
    assert account.margins[0].excess == 22828.52392233
    assert held.account == account.id


@pytest.mark.parametrize(
    "wrap",
    [
        lambda items: {"data": {"items": items}, "context": "/accounts/5WT00001/positions"},
        lambda items: {"items": items},
        lambda items: {"positions": items},
        lambda items: items,
        lambda items: [{"data": {"items": [item]}} for item in items],
    ],
    ids=["answer", "items", "positions", "bare list", "several answers"],
)
def test_the_wrappings_of_the_api(read, wrap) -> None:
    view = read(wrap([SHARE, PUT]))
    assert [(held.instrument.symbol, held.quantity) for held in view.positions] == [
        ("AAPL", 100.0),
        ("SPXW  261218P05500000", -2.0),
    ]
    assert not any(held.reasons for held in view.positions)
    assert view.market.prices["AAPL"].value == 260.5


def test_snake_case(read) -> None:
    snake = {key.replace("-", "_"): value for key, value in PUT.items()}
    assert only(read([snake])).quantity == -2.0


def test_the_newest_record_dates_the_file_and_that_is_said(read) -> None:
    view = read([SHARE, PUT])
    assert {held.time for held in view.positions} == {datetime(2026, 11, 20, 18, 0, tzinfo=UTC)}
    assert "newest record" in view.source.exclusions[0]


def test_balances_in_the_same_file(read) -> None:
    view = read({"positions": {"items": [SHARE]}, "balances": BALANCES})
    (account,) = view.accounts
    assert (account.net_liquidation, account.margins[0].excess) == (100000.0, 70000.0)
    assert only(view).account == account.id


def test_balances_alone_are_not_a_flat_book(tmp_path: Path) -> None:
    balances = write(tmp_path, {"data": BALANCES}, "balances.json")
    held = only(read_statement(balances, NOW))
    assert held.instrument.kind is Kind.OTHER
    assert "balances only" in held.reasons[0]
    together = read_statement([write(tmp_path, [SHARE]), balances], NOW)
    assert only(together).instrument.symbol == "AAPL"
    assert together.accounts[0].net_liquidation == 100000.0


def test_a_positions_file_without_account_belongs_to_the_only_account_of_its_balances(tmp_path: Path) -> None:
    nameless = {key: value for key, value in SHARE.items() if key != "account-number"}
    files = [write(tmp_path, [nameless]), write(tmp_path, BALANCES, "balances.json")]
    view = read_statement(files, NOW)
    assert only(view).account == view.accounts[0].id
    assert len(view.accounts) == 1
    second = write(tmp_path, {**BALANCES, "account-number": "5WT00002"}, "other.json")
    assert any(held.account.number == "none" for held in read_statement([*files, second], NOW).positions)


def test_figures_from_after_the_clock_are_said(read) -> None:
    view = read({"positions": [SHARE], "balances": {**BALANCES, "updated-at": "2026-11-21T18:10:00+00:00"}})
    assert any("after the clock" in line for line in view.source.exclusions)


def test_an_answer_without_positions_is_flat_only_when_it_names_the_account(read) -> None:
    view = read({"data": {"items": []}, "context": "/accounts/5WT00001/positions"})
    assert view.positions == ()
    assert view.accounts[0].id.number == "5WT00001"
    assert view.accounts[0].net_liquidation is None
    with pytest.raises(SourceError, match="names no account"):
        read([])


def test_messages_name_line_and_field(read) -> None:
    bad, good = read([{**PUT, "quantity": "abc"}, SHARE]).positions
    assert bad.quantity is None
    assert "positions.json line 2: quantity 'abc' is not a number" in bad.reasons
    assert good.reasons == ()


def test_a_file_that_breaks_off_keeps_its_records(read) -> None:
    text = json.dumps({"data": {"items": [SHARE, PUT]}}, indent=1)
    good, rest = read(text[: text.index("Short")]).positions
    assert good.instrument.symbol == "AAPL"
    assert "breaks off" in rest.reasons[0]


def test_what_is_no_record_is_listed(read) -> None:
    view = read([SHARE, 17, "x", {"colour": "red"}, None])
    assert [bool(held.reasons) for held in view.positions] == [False, True, True, True, True]
    assert "line" in view.positions[1].reasons[0]


def test_repeated_and_contradicting_records(read) -> None:
    view = read([SHARE, SHARE])
    assert only(view).quantity == 100.0
    assert any("the same as line" in line for line in view.source.exclusions)
    both = read([SHARE, {**SHARE, "quantity": "50"}]).positions
    assert len(both) == 2
    assert all("different figures" in held.reasons[0] for held in both)


def test_a_position_closed_today_is_left_out(read) -> None:
    view = read([SHARE, {**PUT, "quantity": "0", "quantity-direction": "Zero"}])
    assert only(view).instrument.symbol == "AAPL"
    assert any("quantity 0" in line for line in view.source.exclusions)


@pytest.mark.parametrize("text", ['{"a": 1}', "[1", "{", "[" * 5000, '{"data": ' + "9" * 5000 + "}"])
def test_other_json_is_refused(read, text: str) -> None:
    with pytest.raises(SourceError, match=r"positions\.json"):
        read(text)


def test_the_csv_of_api_fields(read) -> None:
    columns = [
        "Symbol",
        "instrument-type",
        "Quantity",
        "quantity-direction",
        "multiplier",
        "mark-price",
        "account_number",
        "new",
    ]
    rows = [
        "AAPL,Equity,100,Long,1,260.5,5WT00001,?",
        "SPXW  261218P05500000,Equity Option,2,Short,100,15.5,5WT00001,?",
    ]
    view = read("\n".join([",".join(columns), *rows]))
    assert [(held.quantity, held.multiplier, held.reasons) for held in view.positions] == [
        (100.0, 1.0, ()),
        (-2.0, 100.0, ()),
    ]
    assert {held.time for held in view.positions} == {WRITTEN}
    assert "the file was written" in view.source.exclusions[0]


WEB = (
    "Account,Symbol,Type,Quantity,Exp Date,DTE,Strike Price,Call/Put,Underlying Last Price,P/L Open,Trade Price,"
    "IV Rank,Delta"
)


def test_the_csv_of_the_web_platform(read) -> None:
    view = read(
        f"{WEB},Bid (Sell),Ask (Buy),Mark,Net Liq,D's Opn,β Delta\n"
        '5WT00001,AAPL,STOCK,100,,--,,,260.50,"1,361.76",-200.00,21.7,100,260.45,260.55,260.50,"26,050.00",3d,1\n'
        "5WT00001,SPXW  261218P05500000,OPTION,-2,Dec 18,28d,5500,Put,6750.25,900,20.00,30,40,15.40,15.60,15.50,"
        '"-3,100.00",3d,1\n'
        "5WT00001,./ESZ6 EW4X6 261127P6000,FUTURES_OPTION,1,Nov 27,7d,6000,Put,6755.00,0,-4.50,--,1,"
        "4.40,4.60,4.50,225.00,3d,1\n"
        '5WT00001,/ESZ6,FUTURES,-1,Dec 18,28d,,,6755.00,0,"6,700.00",--,1,6754.75,6755.25,6755.00,0,3d,1\n'
    )
    share, put, weekly, future = view.positions
    assert [held.reasons for held in view.positions] == [(), (), (), ()]
    assert (share.quantity, share.multiplier, share.mark, share.average_price) == (100.0, 1.0, 260.5, 200.0)
    assert (put.quantity, put.multiplier, put.mark, put.bid, put.ask) == (-2.0, 100.0, 15.5, 15.4, 15.6)
    assert put.greeks is None  # their unit depends on the screen
    assert (weekly.quantity, weekly.multiplier, weekly.multiplier_source) == (1.0, 50.0, "table")
    assert (future.quantity, future.multiplier) == (-1.0, 50.0)
    assert view.market.prices["SPX"].value == 6750.25
    assert view.market.prices["/ESZ26"].value == 6755.0
    assert any("delta, β delta" in line for line in view.source.exclusions)


@pytest.mark.parametrize(
    ("columns", "cells", "expected"),
    [
        ("Mark,Net Liq", "0.55,55.00", 100.0),
        ("Mark,Net Liq", "0.55,5.50", 10.0),
        ("Mark,Net Liq", "0.03,2.50", 100.0),  # the price is rounded to a cent
        ("Trade Price,Cost", "-0.55,-55.00", 100.0),
        ("Mark,Net Liq", "0.01,1.00", None),  # 0.005 to 0.015: 100 and 150 both fit
        ("Mark,Net Liq", "0.55,400.00", None),  # 727 is the size of nothing
        ("Mark,Net Liq", "--,55.00", None),
        ("Mark", "0.55", None),
    ],
)
def test_the_multiplier_is_what_the_rows_own_money_leaves(
    read, columns: str, cells: str, expected: float | None
) -> None:
    held = only(read(f"Symbol,Type,Quantity,{columns}\nAAPL  261218P00200000,OPTION,1,{cells}\n"))
    assert held.multiplier == expected
    assert (held.reasons == ()) is (expected is not None)


def test_an_option_under_its_bare_underlying(read) -> None:
    header = "Symbol,Type,Quantity,Exp Date,Strike Price,Call/Put,Mark,Net Liq\n"
    held = only(read(f"{header}AAPL,Option,-1,12/18/2026,200,Put,2.50,-250.00\n"))
    assert (held.instrument.symbol, held.quantity, held.reasons) == ("AAPL  261218P00200000", -1.0, ())
    assert "several roots" in only(read(f"{header}SPX,Option,-1,12/18/2026,5500,Put,2.50,-250.00\n")).reasons[0]
    assert "exp date" in only(read(f"{header}AAPL,Option,-1,Dec 18,200,Put,2.50,-250.00\n")).reasons[0]
    assert "call/put" in only(read(f"{header}AAPL,Option,-1,12/18/2026,200,,2.50,-250.00\n")).reasons[0]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_order_case_delimiter_and_extra_columns_do_not_matter(read, newline: str) -> None:
    text = newline.join(
        ["sep;NET LIQ;QUANTITY;type;SYMBOL;mark", "1;26050;100;Stock;AAPL;260.5", ";;;;;", "Total;9;;;Total;"]
    )
    held = only(read(text))
    assert (held.quantity, held.mark) == (100.0, 260.5)


def test_column_names_without_rows_are_no_book(read) -> None:
    with pytest.raises(SourceError, match="no position under them"):
        read(WEB)


def test_every_record_ends_in_one_place(tmp_path: Path) -> None:
    items = [SHARE, SHARE, PUT, {**PUT, "quantity": "x"}, 5, {**SHARE, "symbol": "F", "quantity-direction": "Zero"}]
    book = read_book(write(tmp_path, items), NOW)
    assert len(book.positions) + len(book.left_out) == len(items)


def test_the_enumeration_of_a_client_library_is_a_type(read) -> None:
    held = only(read([{**PUT, "instrument-type": "InstrumentType.EQUITY_OPTION"}]))
    assert held.instrument.kind is Kind.INDEX_OPTION
    assert held.reasons == ()


def test_a_file_written_after_the_time_assessed_is_not_said_to_be_of_it(tmp_path: Path) -> None:
    bare = {key: value for key, value in SHARE.items() if key != "updated-at"}
    earlier = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
    view = read_statement(write(tmp_path, [bare]), earlier)
    assert only(view).time == earlier
    assert "written after" in view.source.exclusions[0]
    assert "written 2026-11-20 18:30 UTC" in read_statement(write(tmp_path, [bare]), NOW).source.exclusions[0]
