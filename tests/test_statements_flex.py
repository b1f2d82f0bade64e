"""IBKR Flex XML: a real statement, and small ones that each show one difficulty. Account numbers are invented."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.statements import read_statement
from adapters.statements.reader import read_book
from guardrails.errors import SourceError
from guardrails.instruments import Kind
from guardrails.values import Position, View

SAMPLE = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "statements" / "ibkr_flex_open_positions.xml"
NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)  # the Monday after
CLOSE = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
ROW = {
    "accountId": "U0000001", "currency": "USD", "fxRateToBase": "1", "assetCategory": "STK", "symbol": "MSFT",
    "multiplier": "1", "reportDate": "20261120", "position": "9", "markPrice": "500", "positionValue": "4500",
    "costBasisPrice": "400", "levelOfDetail": "SUMMARY", "conid": "272093",
}  # fmt: skip
PUT = {
    **ROW, "assetCategory": "OPT", "symbol": "SPXW  261218P05500000", "description": "SPXW 18DEC26 5500 P",
    "underlyingSymbol": "SPX", "multiplier": "100", "strike": "5500", "expiry": "20261218", "putCall": "P",
    "position": "-2",
    "markPrice": "15.5", "positionValue": "-3100", "costBasisPrice": "20", "conid": "2",
}  # fmt: skip


def element(tag: str, cells: dict[str, str]) -> str:
    return f"<{tag} " + " ".join(f'{key}="{value}"' for key, value in cells.items()) + "/>"


def flex(*rows: dict[str, str], extra: str = "", base: str = "USD") -> str:
    positions = "\n".join(element("OpenPosition", row) for row in rows)
    return (
        '<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="1">\n'
        '<FlexStatement accountId="U0000001" fromDate="20261120" toDate="20261120" whenGenerated="20261121;030420">\n'
        f'<AccountInformation accountId="U0000001" currency="{base}" />\n{extra}\n'
        f"<OpenPositions>\n{positions}\n</OpenPositions>\n</FlexStatement></FlexStatements></FlexQueryResponse>"
    )


@pytest.fixture
def read(tmp_path: Path):
    def reading(text: str, now: datetime = NOW) -> View:
        path = tmp_path / "flex.xml"
        path.write_text(text, encoding="utf-8")
        return read_statement(path, now)

    return reading


def only(view: View) -> Position:
    (position,) = view.positions
    return position


@pytest.mark.skipif(not SAMPLE.exists(), reason="no ../shared/data")
def test_a_real_statement() -> None:
    """Totals as the statement itself prints them: stock 7612.42, options -9.48, net asset value 7678.155297533."""
    view = read_statement(SAMPLE, datetime(2023, 3, 3, 15, 0, tzinfo=UTC))
    assert len(view.positions) == 13
    assert not [position for position in view.positions if position.reasons]
    value = dict.fromkeys(Kind, 0.0)
    for held in view.positions:
        value[held.instrument.kind] += (held.quantity or 0) * (held.multiplier or 0) * (held.mark or 0)
    assert value[Kind.EQUITY] == pytest.approx(7612.42, abs=0.01)
    assert value[Kind.OPTION] == pytest.approx(-9.48, abs=0.01)
    (account,) = view.accounts
    assert (account.net_liquidation, account.cash, account.cash_flows) == (7678.155297533, 57.505297533, 0.0)
    assert account.prior_net_liquidation is not None
    assert account.prior_net_liquidation.value == 7674.265297533
    assert account.time == datetime(2023, 3, 2, 21, 0, tzinfo=UTC)
    assert account.margins == ()
    assert view.market.prices["MSFT"].value == 251.11
    assert any("line 60" in note for note in view.positions[0].notes)


@pytest.mark.skipif(not SAMPLE.exists(), reason="no ../shared/data")
def test_the_same_statement_years_later_lists_its_options_as_expired() -> None:
    view = read_statement(SAMPLE, NOW)
    expired = [held.instrument.symbol for held in view.positions if any("expired" in reason for reason in held.reasons)]
    assert expired == ["CLNE  230915C00010000", "ONCT  230721C00005000"]


def test_a_short_put(read) -> None:
    held = only(read(flex(PUT)))
    assert held.instrument.key == "index_option:SPXW  261218P05500000"
    assert (held.quantity, held.multiplier, held.mark, held.average_price) == (-2.0, 100.0, 15.5, 20.0)
    assert (held.time, held.reasons, held.account.masked) == (CLOSE, (), "•••0001")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("position", "quantity"),
        ("markPrice", "closePrice"),
        ("positionValue", "value"),
        ("accountId", "clientAccountId"),
    ],
)
def test_attributes_have_several_names(read, old: str, new: str) -> None:
    renamed = {new if key == old else key: value for key, value in PUT.items()}
    assert only(read(flex(renamed))) == only(read(flex(PUT)))


@pytest.mark.parametrize("expiry", ["2026-12-18", "12/18/2026", "18/12/2026", "18-DEC-26", "20261218;160000"])
def test_dates_come_in_the_format_of_the_query(read, expiry: str) -> None:
    assert only(read(flex({**PUT, "expiry": expiry}))).reasons == ()


def test_an_ambiguous_report_date_is_no_date_but_an_ambiguous_expiry_of_a_listed_option_is_not_missed(read) -> None:
    held = only(read(flex({**PUT, "reportDate": "11/12/2026"})))
    assert "ambiguous" in held.reasons[0]
    listed = {**PUT, "symbol": "SPXW  261211P05500000", "expiry": "11/12/2026"}
    assert only(read(flex(listed))).reasons == ()


def test_futures_and_their_options(read) -> None:
    future = {**ROW, "assetCategory": "FUT", "symbol": "ESZ6", "description": "ES 18DEC26", "underlyingSymbol": "ES",
              "multiplier": "50", "expiry": "20261218", "position": "-1", "markPrice": "6750.25",
              "positionValue": "-337512.5"}  # fmt: skip
    option = {**ROW, "assetCategory": "FOP", "symbol": "EW4X6 C6900", "description": "EW4 27NOV26 6900 C",
              "underlyingSymbol": "ESZ6", "multiplier": "50", "expiry": "20261127", "strike": "6900", "putCall": "C",
              "position": "-3", "markPrice": "4.5", "positionValue": "-675", "conid": "4"}  # fmt: skip
    view = read(flex(future, option))
    assert [held.instrument.symbol for held in view.positions] == ["/ESZ26", "./EW4X26 261127C6900"]
    assert view.positions[1].instrument.underlying == "/ESZ26"
    assert [held.multiplier for held in view.positions] == [50.0, 50.0]
    assert not any(held.reasons for held in view.positions)
    assert view.market.prices["/ESZ26"].value == 6750.25


def test_a_future_without_multiplier_takes_the_table_an_option_on_a_share_nothing(read) -> None:
    future = {**ROW, "assetCategory": "FUT", "symbol": "ESZ6", "underlyingSymbol": "ES", "multiplier": "",
              "expiry": "20261218", "markPrice": "6750", "positionValue": ""}  # fmt: skip
    held = only(read(flex(future)))
    assert (held.multiplier, held.multiplier_source, held.reasons) == (50.0, "table", ())
    option = only(read(flex({**PUT, "multiplier": ""})))
    assert option.multiplier is None
    assert "multiplier" in option.reasons[0]


def test_what_a_row_leaves_out_is_taken_from_the_security_info(read) -> None:
    info = element("SecurityInfo", {"conid": "2", "multiplier": "100", "symbol": "SPXW  261218P05500000"})
    assert only(read(flex({**PUT, "multiplier": ""}, extra=info))).multiplier == 100.0


def test_lot_rows_beside_their_summary_are_left_out(read) -> None:
    lots = [
        {**ROW, "levelOfDetail": "LOT", "position": size, "positionValue": "", "openDateTime": size}
        for size in ("4", "5")
    ]
    view = read(flex(ROW, *lots))
    assert only(view).quantity == 9.0
    assert "lines 7, 8: LOT row" in view.source.exclusions[0]


def test_lot_rows_that_contradict_their_summary_make_it_unknown(read) -> None:
    held = only(read(flex(ROW, {**ROW, "levelOfDetail": "LOT", "position": "4"})))
    assert "LOT rows, which add up to 4" in held.reasons[0]


def test_lot_rows_alone_are_added_up(read) -> None:
    lots = [
        {**ROW, "levelOfDetail": "LOT", "position": size, "costBasisPrice": cost, "positionValue": value}
        for size, cost, value in (("4", "300", "2000"), ("6", "400", "3000"))
    ]
    held = only(read(flex(*lots)))
    assert (held.quantity, held.average_price, held.reasons) == (10.0, 360.0, ())
    assert "sum of 2 LOT rows" in held.notes


def test_identical_lots_may_be_one_or_two(read) -> None:
    lot = {**ROW, "levelOfDetail": "LOT"}
    assert "identical LOT rows" in only(read(flex(lot, lot))).reasons[0]


def test_a_repeated_row_counts_once_and_a_contradicting_one_makes_both_unknown(read) -> None:
    view = read(flex(ROW, ROW))
    assert only(view).quantity == 9.0
    assert any("repeats it" in note for note in only(view).notes)
    assert any("the same as line 6" in line for line in view.source.exclusions)
    both = read(flex(ROW, {**ROW, "position": "10", "positionValue": "5000"})).positions
    assert len(both) == 2
    assert all("lines 6, 7" in held.reasons[0] for held in both)


def test_the_latest_of_several_dates_counts(read) -> None:
    view = read(flex({**ROW, "reportDate": "20261119", "position": "5", "positionValue": "2500"}, ROW))
    assert only(view).quantity == 9.0
    assert "2026-11-19" in view.source.exclusions[0]


def test_what_was_sold_since_an_earlier_statement_is_not_held(read) -> None:
    """A query broken out by day holds one statement a day; on the last nothing but the put is left."""
    earlier = flex(ROW, PUT).replace("20261120", "20261119")
    earlier = earlier[earlier.index("<FlexStatement accountId") : earlier.index("</FlexStatements>")]
    view = read(flex(PUT).replace("</FlexStatements>", earlier + "</FlexStatements>"))
    assert only(view).instrument.root == "SPXW"
    assert only(view).time == CLOSE
    assert "2026-11-19" in view.source.exclusions[0]
    assert read(flex().replace("</FlexStatements>", earlier + "</FlexStatements>")).positions == ()


def test_several_accounts(read) -> None:
    second = flex({**ROW, "accountId": "U0000002"}).partition("<FlexStatements")[2].partition("\n")[2]
    second = second.replace("U0000001", "U0000002").partition("</FlexStatements>")[0]
    text = flex(ROW).replace("</FlexStatements>", second + "</FlexStatements>")
    view = read(text)
    assert [held.account.masked for held in view.positions] == ["•••0001", "•••0002"]
    assert [account.id.masked for account in view.accounts] == ["•••0001", "•••0002"]


def test_zero_quantities_are_left_out_and_listed(read) -> None:
    view = read(flex(ROW, {**PUT, "position": "0", "positionValue": "0"}))
    assert only(view).instrument.symbol == "MSFT"
    assert view.source.exclusions == ("flex.xml line 7: SPXW  261218P05500000 has quantity 0",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"position": "abc"}, "flex.xml line 6: position 'abc' is not a number"),
        ({"position": "NaN"}, "position 'NaN' is not a number"),
        ({"position": ""}, "no quantity"),
        ({"markPrice": "NaN"}, "markprice 'NaN' is not a number"),
        ({"markPrice": "-15.5", "positionValue": "3100"}, "mark -15.5 is below zero"),
        ({"assetCategory": "WAR"}, "warrant"),
        ({"assetCategory": "NEWTHING"}, "NEWTHING"),
        ({"symbol": "rubbish", "description": "", "strike": "", "expiry": ""}, "several roots"),
        ({"symbol": "rubbish", "description": "", "underlyingSymbol": ""}, "rubbish"),
        ({"symbol": "XYZ", "description": "", "underlyingSymbol": "XYZ", "expiry": ""}, "needs its day of expiry"),
        ({"symbol": "", "description": ""}, "several roots"),
        ({"expiry": "20271218"}, "contradicts"),
        ({"currency": ""}, "no currency"),
    ],
)
def test_a_bad_row_is_listed_as_unknown_and_the_good_one_kept(read, change: dict[str, str], words: str) -> None:
    bad, good = read(flex({**PUT, **change}, ROW)).positions
    assert words in " ".join(bad.reasons)
    assert good.reasons == ()


def test_a_file_that_breaks_off_keeps_its_rows_and_is_unknown(read) -> None:
    text = flex(ROW, PUT)
    view = read(text[: text.index('putCall="P"')])
    good, rest = view.positions
    assert good.instrument.symbol == "MSFT"
    assert rest.instrument.kind is Kind.OTHER
    assert rest.quantity is None
    assert "flex.xml line 7: the file breaks off" in rest.reasons[0]
    assert rest.reasons[0] in view.source.exclusions


def test_a_row_under_a_damaged_name_is_still_a_row(read) -> None:
    text = flex(ROW, PUT).replace(
        '<OpenPosition accountId="U0000001" currency="USD"', '<OpenPxsition currency="USD"', 1
    )
    assert [held.quantity for held in read(text).positions] == [9.0, -2.0]


def test_a_statement_without_the_section_is_not_a_flat_book(read) -> None:
    text = flex().replace("<OpenPositions>", "").replace("</OpenPositions>", "")
    assert "add the section" in only(read(text)).reasons[0]
    assert read(flex()).positions == ()  # the section is there and empty: IBKR says that nothing is held


def test_equity_change_and_prior_day(read) -> None:
    extra = "".join(
        element("EquitySummaryByReportDateInBase", {"reportDate": day, "total": total, "cash": "10"})
        for day, total in (("20261119", "100000"), ("20261120", "101000"))
    ) + element(
        "ChangeInNAV",
        {"accountId": "U0000001", "fromDate": "20261120", "toDate": "20261120", "startingValue": "100000",
         "depositsWithdrawals": "500", "internalCashTransfers": "-200"},
    )  # fmt: skip
    (account,) = read(flex(ROW, extra=extra)).accounts
    assert (account.net_liquidation, account.cash, account.cash_flows) == (101000.0, 10.0, 300.0)
    assert account.prior_net_liquidation is not None
    assert account.prior_net_liquidation.value == 100000.0
    assert account.prior_net_liquidation.time == datetime(2026, 11, 19, 21, 0, tzinfo=UTC)


def test_flows_of_a_longer_period_are_not_those_of_the_day(read) -> None:
    extra = element("EquitySummaryByReportDateInBase", {"reportDate": "20261120", "total": "101000"}) + element(
        "ChangeInNAV",
        {"fromDate": "20261101", "toDate": "20261120", "startingValue": "90000", "depositsWithdrawals": "500"},
    )
    (account,) = read(flex(ROW, extra=extra)).accounts
    assert account.net_liquidation == 101000.0
    assert account.prior_net_liquidation is None
    assert account.cash_flows is None


def test_a_total_that_is_no_number_is_unknown_and_said(read) -> None:
    extra = element("EquitySummaryByReportDateInBase", {"reportDate": "20261120", "total": "lots"})
    view = read(flex(ROW, extra=extra))
    assert view.accounts[0].net_liquidation is None
    assert any("total 'lots'" in line for line in view.source.exclusions)


def test_a_euro_account_converts_through_the_dollar_rate(read) -> None:
    rates = "".join(
        element("ConversionRate", {"reportDate": "20261120", "fromCurrency": code, "toCurrency": "EUR", "rate": rate})
        for code, rate in (("USD", "0.8"), ("CHF", "1.04"))
    )
    view = read(flex({**ROW, "fxRateToBase": "0.8"}, extra=rates, base="EUR"))
    assert view.accounts[0].currency == "EUR"
    assert view.market.fx["EUR"].value == pytest.approx(1.25)  # 1 / 0.8
    assert view.market.fx["CHF"].value == pytest.approx(1.30)  # 1.04 / 0.8
    assert view.market.fx["EUR"].time == CLOSE


def test_without_a_dollar_rate_nothing_converts(read) -> None:
    swiss = {**ROW, "currency": "CHF", "fxRateToBase": "1.04"}
    assert read(flex(swiss, base="EUR")).market.fx == {}


def test_the_rate_beside_a_position_is_enough(read) -> None:
    assert read(flex({**ROW, "fxRateToBase": "0.8"}, base="EUR")).market.fx["EUR"].value == pytest.approx(1.25)


def test_a_refusal_is_told_in_the_brokers_words(read) -> None:
    text = (
        '<FlexStatementResponse timestamp="x"><Status>Fail</Status><ErrorCode>1012</ErrorCode>'
        "<ErrorMessage>Token has expired.</ErrorMessage></FlexStatementResponse>"
    )
    with pytest.raises(SourceError, match=r"Fail 1012 Token has expired\."):
        read(text)


def test_an_entity_bomb_is_refused(read) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>' + flex(ROW)
    with pytest.raises(SourceError, match="entities"):
        read(bomb)


def test_a_statement_of_today_before_the_close_is_as_of_now(read) -> None:
    noon = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
    assert only(read(flex(PUT), noon)).time == noon


def test_every_row_ends_in_one_place(tmp_path: Path) -> None:
    rows = [ROW, ROW, PUT, {**PUT, "position": "x"}, {**ROW, "symbol": "AAPL", "position": "0", "conid": "9"},
            {**ROW, "levelOfDetail": "LOT"}, {**ROW, "reportDate": "20261119"}]  # fmt: skip
    path = tmp_path / "flex.xml"
    path.write_text(flex(*rows), encoding="utf-8")
    book = read_book(path, NOW)
    assert len(book.positions) + len(book.left_out) == len(rows)


def test_without_a_level_of_detail_rows_with_an_open_time_are_lots(read) -> None:
    """9 = 6 + 3 shares, bought at 400 and 430: 410 on average; the summary has no open time."""
    plain = {key: value for key, value in ROW.items() if key != "levelOfDetail"}
    six = {**plain, "position": "6", "positionValue": "3000", "openDateTime": "20250102;093000"}
    three = {
        **six,
        "position": "3",
        "positionValue": "1500",
        "costBasisPrice": "430",
        "openDateTime": "20250703;100000",
    }
    held = only(read(flex(six, three)))
    assert (held.quantity, held.average_price, held.reasons) == (9.0, pytest.approx(410.0), ())
    held = only(read(flex({**plain, "openDateTime": ""}, six, three)))
    assert (held.quantity, held.reasons) == (9.0, ())


def test_two_securities_of_one_symbol_are_told_apart_by_their_conid(read) -> None:
    view = read(flex(ROW, {**ROW, "position": "5", "positionValue": "2500", "conid": "1"}))
    assert [(held.quantity, held.reasons) for held in view.positions] == [(9.0, ()), (5.0, ())]


FOP = {
    **ROW, "assetCategory": "FOP", "symbol": "EW4X6 P6600", "description": "ES 27NOV26 6600 P", "position": "-2",
    "markPrice": "22.5", "positionValue": "-2250", "multiplier": "50", "conid": "3",
}  # fmt: skip
FUTURE = {
    **ROW, "assetCategory": "FUT", "symbol": "ESZ6", "description": "ES 18DEC26", "underlyingSymbol": "ES",
    "multiplier": "50", "expiry": "20261218", "position": "1", "markPrice": "6815", "positionValue": "340750",
    "conid": "4",
}  # fmt: skip


def test_the_description_names_the_day_that_a_future_option_s_symbol_leaves_out(read) -> None:
    held = only(read(flex({**FOP, "multiplier": ""})))
    assert held.instrument.symbol == "./EW4X26 261127P6600"
    assert (held.multiplier, held.multiplier_source, held.reasons) == (50.0, "table", ())


def test_an_ambiguous_expiry_is_not_missed_where_the_description_names_the_day(read) -> None:
    assert only(read(flex({**FOP, "expiry": "04/12/2026", "description": "ES 04DEC26 6600 P"}))).reasons == ()


def test_the_future_under_an_option_is_found_by_its_conid(read) -> None:
    """Where `underlyingSymbol` is only the product, `underlyingConid` says which contract."""
    option = {**FOP, "underlyingSymbol": "ES", "underlyingConid": "4"}
    assert read(flex(option, FUTURE)).positions[0].instrument.underlying == "/ESZ26"
    assert read(flex({**option, "underlyingConid": "9"}, FUTURE)).positions[0].instrument.underlying == "/ES"


def test_a_treasury_bill_is_cash(read) -> None:
    """50,000 of face value at 98.765 are 49,382.50 dollars."""
    bill = {**ROW, "assetCategory": "BILL", "symbol": "912797QQ3", "position": "50000", "markPrice": "98.765",
            "positionValue": "49382.5"}  # fmt: skip
    held = only(read(flex(bill)))
    assert held.instrument.kind is Kind.CASH
    assert held.multiplier == pytest.approx(0.01)
    assert held.reasons == ()


def test_a_refusal_that_names_the_account_is_masked(read) -> None:
    refusal = (
        "<FlexStatementResponse><Status>Fail</Status><ErrorCode>1014</ErrorCode>"
        "<ErrorMessage>Query is invalid for U0000001.</ErrorMessage></FlexStatementResponse>"
    )
    with pytest.raises(SourceError, match="invalid for •••0001") as refused:
        read(refusal)
    assert "U0000001" not in str(refused.value)
