"""Net asset value by report date of Flex Query XML, and daily closes of CSV files: every row is taken or told."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from adapters.statements.closes import read_closes
from adapters.statements.equity_history import read_equity
from guardrails.past import Past
from guardrails.values import AccountId
from tests.books import IBKR, NOW, SHARED

OTHER = AccountId("IBKR", "U0000007777")
ROW = {"accountId": IBKR.number, "currency": "USD", "reportDate": "20261117", "total": "100250.50"}


def row(**changes: str) -> str:
    cells = {name: value for name, value in {**ROW, **changes}.items() if value != "absent"}
    told = " ".join(f'{name}="{value}"' for name, value in cells.items())
    return f"<EquitySummaryByReportDateInBase {told} />"


def flex(*rows: str, number: str = IBKR.number, about: str = "") -> str:
    """A statement whose first row stands in line 4."""
    inside = "\n".join(rows)
    return (
        f'<FlexQueryResponse queryName="nav" type="AF">\n<FlexStatements count="1"><FlexStatement accountId="{number}">'
        f"{about}\n<EquitySummaryInBase>\n{inside}\n</EquitySummaryInBase></FlexStatement></FlexStatements>\n"
        "</FlexQueryResponse>\n"
    )


def read(folder: Path, *texts: str, now: datetime = NOW) -> Past:
    """The files one.xml, two.xml, ... read together."""
    paths = [folder / f"{name}.xml" for name, _ in zip(("one", "two", "three"), texts, strict=False)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return read_equity(paths, now)


def values(past: Past) -> dict[AccountId, list[tuple[datetime, float]]]:
    return {told.account: list(told.values) for told in past.net_liquidations}


def utc(year: int, month: int, day: int, hour: int) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def test_the_real_statement_tells_two_days() -> None:
    """Totals of its lines 6 and 7; both days close at 16:00 in New York, 21:00 UTC."""
    past = read_equity([SHARED / "data" / "statements" / "ibkr_flex_open_positions.xml"], NOW)
    (told,) = past.net_liquidations
    assert told.account == AccountId("IBKR", "U1111111")
    assert (told.currency, told.source) == ("USD", "statement:ibkr_flex_open_positions.xml")
    assert told.values == ((utc(2023, 3, 1, 21), 7674.265297533), (utc(2023, 3, 2, 21), 7678.155297533))
    assert (past.problems, past.notes) == ((), ())


def test_a_value_is_that_of_the_close_of_its_day_in_summer_winter_and_on_half_days(tmp_path: Path) -> None:
    days = ("20260702", "2025-11-28", "11/17/2026", "20261113;162000")
    past = read(tmp_path, flex(*(row(reportDate=day, total="1,000.25") for day in days)))
    assert values(past) == {
        IBKR: [
            (utc(2025, 11, 28, 18), 1000.25),
            (utc(2026, 7, 2, 20), 1000.25),
            (utc(2026, 11, 13, 21), 1000.25),
            (utc(2026, 11, 17, 21), 1000.25),
        ]
    }


def test_all_accounts_of_all_files_are_read_in_the_order_of_their_days(tmp_path: Path) -> None:
    one = flex(row(), row(reportDate="20261112", total="99000"), row(accountId=OTHER.number, total="5"))
    two = flex(
        row(reportDate="20261116", total="99500", currency="absent"), about='<AccountInformation currency="USD"/>'
    )
    past = read(tmp_path, one, two)
    mine = [value for told in past.net_liquidations if told.account == IBKR for value in told.values]
    assert mine == [
        (utc(2026, 11, 12, 21), 99000.0),
        (utc(2026, 11, 17, 21), 100250.5),
        (utc(2026, 11, 16, 21), 99500.0),
    ]
    assert values(past)[OTHER] == [(utc(2026, 11, 17, 21), 5.0)]
    assert {told.source for told in past.net_liquidations} == {"statement:one.xml", "statement:two.xml"}
    assert past.problems == ()


def test_the_head_of_the_statement_names_the_account_where_a_row_does_not(tmp_path: Path) -> None:
    past = read(tmp_path, flex(row(accountId="absent"), number=OTHER.number))
    assert set(values(past)) == {OTHER}


def test_a_day_that_is_told_twice_counts_once(tmp_path: Path) -> None:
    """100,350 is within a thousandth of 100,250.50: a file printed later may round or correct."""
    past = read(tmp_path, flex(row(), row()), flex(row(total="100350")))
    assert values(past) == {IBKR: [(utc(2026, 11, 17, 21), 100250.5)]}
    assert past.problems == ()


@pytest.mark.parametrize("other", [row(total="100400"), row(currency="EUR")])
def test_a_day_that_is_told_in_two_ways_is_not_taken(tmp_path: Path, other: str) -> None:
    """150 of 100,250.50 is more than a thousandth."""
    past = read(tmp_path, flex(row(), row(reportDate="20261116")), flex(other))
    assert values(past) == {IBKR: [(utc(2026, 11, 16, 21), 100250.5)]}
    (told,) = past.problems
    assert "IBKR •••4567 on 2026-11-17 is told in two ways" in told
    assert "one.xml line 4 100,250.50 USD" in told
    assert "two.xml line 4" in told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"total": "absent"}, "has no total"),
        ({"total": ""}, "has no total"),
        ({"total": "NaN"}, "'NaN' is not a number"),
        ({"total": "1e999"}, "not a number"),
        ({"total": "1.7976931348623157e308"}, "not a number"),
        ({"total": "1,5"}, "'1,5' is not a number"),
        ({"total": "-0"}, "-0 is no figure"),
        ({"reportDate": "absent"}, "has no reportDate"),
        ({"reportDate": "20261332"}, "is not a date"),
        ({"reportDate": "03/04/2026"}, "ambiguous"),
        ({"reportDate": "19891229"}, "is not a date between"),
        ({"reportDate": "20261118"}, "2026-11-18 is not over yet, or in the future"),
        ({"reportDate": "20270104"}, "2027-01-04 is not over yet, or in the future"),
        ({"reportDate": "20261114"}, "Saturday 2026-11-14 is not a trading day"),
        ({"currency": "absent"}, "names no base currency"),
        ({"currency": "BASE_SUMMARY"}, "names no base currency"),
        ({"accountId": "Consolidated"}, "names no single account"),
        ({"accountId": "-"}, "names no single account"),
        ({"accountId": "U0000004567,U0000007777"}, "names no single account"),
    ],
)
def test_a_row_that_cannot_be_taken_is_told_with_its_line_and_the_others_are_taken(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    past = read(tmp_path, flex(row(reportDate="2026-11-16"), row(**changes)))
    assert values(past) == {IBKR: [(utc(2026, 11, 16, 21), 100250.5)]}
    (told,) = past.problems
    assert told.startswith("one.xml line 5: ")
    assert said in told
    assert IBKR.number not in told


@pytest.mark.parametrize("slip", ["10025050", "0", "1002.505"])
def test_a_value_a_hundred_times_off_both_days_beside_it_is_refused(tmp_path: Path, slip: str) -> None:
    days = ("20261112", "20261113", "20261116", "20261117")
    totals = ("100000", "100100", slip, "100250.50")
    past = read(tmp_path, flex(*(row(reportDate=day, total=total) for day, total in zip(days, totals, strict=True))))
    assert [when.day for when, _ in values(past)[IBKR]] == [12, 13, 17]
    (told,) = past.problems
    assert told.startswith("one.xml line 6: ")
    assert "over 50 times off its neighbours, 100,100.00 and 100,250.50" in told


def test_money_that_is_paid_in_or_out_is_no_slip(tmp_path: Path) -> None:
    days = ("20261111", "20261112", "20261113", "20261116", "20261117")
    totals = ("500", "1", "100000", "100100", "300")
    past = read(tmp_path, flex(*(row(reportDate=day, total=total) for day, total in zip(days, totals, strict=True))))
    assert [value for _, value in values(past)[IBKR]] == [500.0, 1.0, 100_000.0, 100_100.0, 300.0]
    assert past.problems == ()


def test_holidays_and_parts_of_an_account_are_left_out_without_alarm(tmp_path: Path) -> None:
    """7 September 2026 is Labor Day: IBKR values accounts on every weekday."""
    past = read(tmp_path, flex(row(), row(reportDate="20260907"), row(model="Income", total="7")))
    assert values(past) == {IBKR: [(utc(2026, 11, 17, 21), 100250.5)]}
    assert past.problems == ()
    assert sorted(note.partition(":")[0] for note in past.notes) == ["one.xml line 5", "one.xml line 6"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one.xml is empty"),
        ("<FlexQueryResponse><FlexStatements/></FlexQueryResponse>", "add Net Asset Value (NAV) in Base"),
        ("<FlexStatementResponse><Status>Fail</Status></FlexStatementResponse>", "is a refusal by IBKR"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x/>', "refused, a Flex statement has none"),
        ("symbol,price\n", "is no statement this reads: not IBKR Flex XML"),
        ('"ClientAccountID","ReportDate","Total"\n', "is a Flex Query in CSV: choose XML"),
        ("Statement,Header,Field Name,Field Value\n", "is IBKR activity statement CSV, which has no value by day"),
        ("<html><body>Log in</body></html>", "is a web page, not a statement"),
        ("<a/>", "is XML but no Flex statement"),
    ],
)
def test_a_file_that_says_nothing_does_not_keep_the_others_from_being_read(
    tmp_path: Path, text: str, said: str
) -> None:
    past = read(tmp_path, text, flex(row()))
    assert values(past) == {IBKR: [(utc(2026, 11, 17, 21), 100250.5)]}
    assert [said in told for told in past.problems] == [True]


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    (told,) = read_equity([tmp_path / "U1234567.xml"], NOW).problems
    assert told == "•••4567.xml cannot be read: No such file or directory"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_statement_is_read_in_the_encoding_it_was_saved_in(tmp_path: Path, encoding: str) -> None:
    text = '<?xml version="1.0" encoding="{}"?>\n'.format({"cp1252": "ISO-8859-1"}.get(encoding, encoding[:6]))
    (tmp_path / "nav.xml").write_bytes((text + flex(row(acctAlias="Grün"))).encode(encoding))
    past = read_equity([tmp_path / "nav.xml"], NOW)
    assert (values(past), past.problems) == ({IBKR: [(utc(2026, 11, 17, 21), 100250.5)]}, ())


def test_what_stands_before_a_break_is_taken_and_the_break_is_told(tmp_path: Path) -> None:
    whole = flex(row(reportDate="20261116"), row())
    past = read(tmp_path, whole[: whole.rindex("<Equity") + 40])
    assert values(past) == {IBKR: [(utc(2026, 11, 16, 21), 100250.5)]}
    assert "one.xml line 5: the file breaks off" in past.problems[0]


# --- closes ---

CBOE = "DATE,OPEN,HIGH,LOW,CLOSE\n11/13/2026,17.0,18.0,16.5,17.25\n11/16/2026,17.3,17.9,17.0,17.5\n"


def closes(folder: Path, text: str, now: datetime = NOW) -> Past:
    path = folder / "vix.csv"
    path.write_text(text, encoding="utf-8")
    return read_closes(path, "VIX", now)


@pytest.mark.parametrize(
    "text",
    [
        CBOE,
        "date,open,high,low,close\n2026-11-13,,,,17.25\n2026-11-16,1,2,3,17.5\n",
        "Date;Close\r\n2026-11-16;17.5\r\n2026-11-13;17.25\r\n",
        f"\ufeffCboe Volatility Index, daily\n\n{CBOE}",
        "\n".join([*CBOE.splitlines(), "11/16/2026,17.3,17.9,17.0,17.5"]),
        "observation_date,VIXCLS\n2026-11-13,17.25\n2026-11-16,17.5\n",
        "Date,Open,High,Low,Close,Adj Close,Volume\n2026-11-13,1,2,1,17.25,17.25,0\n2026-11-16,1,2,1,17.5,17.5,0\n",
        "Date,Close,Volume\n2026-11-13 00:00:00-06:00,17.25,0\n2026-11-16 00:00:00-06:00,17.5,0\n",
    ],
    ids=["as Cboe writes", "ISO", "other order and delimiter", "lines above", "a day twice", "FRED", "Yahoo", "pandas"],
)
def test_closes_are_read_as_published(tmp_path: Path, text: str) -> None:
    past = closes(tmp_path, text)
    (told,) = past.closes
    assert (told.symbol, told.source) == ("VIX", "file:vix.csv")
    assert told.values == ((date(2026, 11, 13), 17.25), (date(2026, 11, 16), 17.5))
    assert past.problems == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("11/17/2026,17,18,17,", "has no close"),
        ("11/17/2026,17,18,17", "the file breaks off in it"),
        ("11/17/2026,17,18,17,NaN", "'NaN' is not a number"),
        ("11/17/2026,17,18,17,-17.5", "-17.5 is not above zero"),
        ("11/17/2026,17,18,17,0", "0 is not above zero"),
        ("11/17/2026,17,18,17,-0", "-0 is no figure"),
        ("11/17/2026,17,18,17,17,5", "stands beyond the last column"),
        ("11/17/2026,17,18,17,1", "1 is no close of such an index, which lies between 5 and 150"),
        ("11/17/2026,17,18,17,1760", "over 50 times off its neighbours"),
        ("11/14/2026,17,18,17,17.6", "Saturday 2026-11-14 is not a trading day"),
        ("11/18/2026,17,18,17,17.6", "2026-11-18 is not over yet"),
        ("11/19/2026,17,18,17,17.6", "2026-11-19 is not over yet, or in the future"),
        ("12/29/1989,17,18,17,17.6", "1989-12-29 is before 1990"),
        ("02/30/2026,17,18,17,17.6", "write 2026-03-14, or 03/14/2026 month first"),
        ("17 Nov 2026,17,18,17,17.6", "write 2026-03-14, or 03/14/2026 month first"),
        (",17,18,17,17.6", "write 2026-03-14, or 03/14/2026 month first"),
    ],
)
def test_a_close_that_cannot_be_taken_is_told_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    past = closes(tmp_path, CBOE + line)
    assert past.closes[0].values == ((date(2026, 11, 13), 17.25), (date(2026, 11, 16), 17.5))
    (told,) = past.problems
    assert told.startswith("vix.csv line 4: ")
    assert said in told


def test_a_close_is_final_a_quarter_of_an_hour_after_the_bell(tmp_path: Path) -> None:
    """16:15 in New York is 21:15 UTC."""
    text, final = CBOE + "11/17/2026,17,18,17,17.6\n", utc(2026, 11, 17, 21) + timedelta(minutes=15)
    assert len(closes(tmp_path, text, now=final).closes[0].values) == 3
    assert len(closes(tmp_path, text, now=final - timedelta(seconds=1)).closes[0].values) == 2


@pytest.mark.parametrize("line", ["2026-09-07,.", "2026-09-07,"])
def test_a_holiday_without_a_figure_is_left_out_without_alarm(tmp_path: Path, line: str) -> None:
    """As FRED writes Labor Day."""
    past = closes(tmp_path, f"observation_date,VIXCLS\n{line}\n2026-11-16,17.5\n")
    assert past.closes[0].values == ((date(2026, 11, 16), 17.5),)
    assert (past.problems, len(past.notes)) == ((), 1)


@pytest.mark.parametrize("header", ["observation_date,VIXCLS,VXVCLS", "observation_date,VXVCLS,VIXCLS"])
@pytest.mark.parametrize("symbol", ["VIX", "VIX3M"])
def test_of_a_file_with_two_indices_each_has_its_own_column(tmp_path: Path, header: str, symbol: str) -> None:
    figures = {"VIXCLS": "17.5", "VXVCLS": "19.5"}
    line = ",".join(figures.get(column, "2026-11-16") for column in header.split(","))
    (tmp_path / "any.csv").write_text(f"{header}\n{line}\n")
    [told] = read_closes(tmp_path / "any.csv", symbol, NOW).closes
    assert (told.symbol, told.values) == (symbol, ((date(2026, 11, 16), {"VIX": 17.5, "VIX3M": 19.5}[symbol]),))


@pytest.mark.parametrize(
    "header", ["date,close,Close", "date,close,Close/Last", "date,VIXCLS,Close", "date,Date,close"]
)
def test_a_file_of_which_it_is_open_what_the_close_is_is_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "vix.csv").write_text(f"{header}\n2026-11-16,17.5,18.5\n")
    past = read_closes(tmp_path / "vix.csv", "VIX", NOW)
    assert past.closes == ()
    assert "take out the others" in past.problems[0]


@pytest.mark.parametrize(
    ("name", "text", "symbol", "told"),
    [
        ("any.csv", "observation_date,VXVCLS\n2026-11-16,19.5\n", "VIX", "VIX3M"),
        ("any.csv", "observation_date,VIXCLS\n2026-11-16,17.5\n", "VIX3M", "VIX"),
        ("VIX3M_History.csv", CBOE, "VIX", "VIX3M"),
        ("VIX_History.csv", CBOE, "VIX3M", "VIX"),
        ("VIX9D_History.csv", CBOE, "VIX", "VIX9D"),
    ],
)
def test_closes_of_another_index_are_refused(tmp_path: Path, name: str, text: str, symbol: str, told: str) -> None:
    """What is stored stays, so a mix-up of two files could not be put right."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    past = read_closes(tmp_path / name, symbol, NOW)
    assert past.closes == ()
    assert past.problems == (f"{name} is of {told}, not of {symbol}: give it with its own option, or rename it",)


def test_a_day_with_two_closes_has_none(tmp_path: Path) -> None:
    past = closes(tmp_path, CBOE + "11/16/2026,17.3,17.9,17.0,17.6\n")
    assert past.closes[0].values == ((date(2026, 11, 13), 17.25),)
    assert past.problems == ("vix.csv lines 3, 4: 2026-11-16 is told in two ways, none is taken",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "vix.csv is empty"),
        ("PK\x03\x04", "a zip or Excel file"),
        ("DATE,VIX\n11/13/2026,17\n", "has no line with the columns date and close"),
        ("date,close\n13/11/2026,17\n10/11/2026,17\n", "writes its dates day first"),
    ],
)
def test_a_file_without_daily_prices_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    past = closes(tmp_path, text)
    assert past.closes == ()
    assert [said in told for told in past.problems] == [True]


def test_thirty_six_years_of_vix_are_read_in_one_go() -> None:
    """All but the holidays of the stock exchange, on some of which Cboe tells a VIX."""
    with (SHARED / "data" / "us_equity_holidays_early_closes.csv").open(encoding="utf-8") as file:
        closed = {line["date"] for line in csv.DictReader(file) if line["kind"] == "closed"}
    with (SHARED / "data" / "vix_daily.csv").open(encoding="utf-8") as file:
        open_days = {line["date"]: float(line["close"]) for line in csv.DictReader(file) if line["date"] not in closed}
    past = read_closes(SHARED / "data" / "vix_daily.csv", "VIX", NOW)
    assert {day.isoformat(): value for day, value in past.closes[0].values} == open_days
    assert len(open_days) > 9000
    assert past.problems == ()
    assert "28 more: of a holiday" in past.notes[0]
