"""One suite for every adapter: the same holding, told in each broker's own records, arrives as the same Position.

A line of `CASES` writes by hand what is expected and how each record identifies the holding; the columns of `READERS`
put the figures into their record as that broker does: TWS multiplies the cost of derivatives and gives numbers as text,
statements do not multiply, tastytrade gives sizes without sign. An adapter that joins adds a column.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import ib_async
import pytest

from adapters.ibkr import money, rows
from adapters.ibkr.contracts import described, figures
from adapters.statements import read_statement
from adapters.tastytrade import rows as tastytrade
from guardrails.instruments import Kind
from guardrails.values import AccountId, Position, Quote

NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)  # a Friday after the close
TODAY = date(2026, 11, 20)
IBKR_ACCOUNT = AccountId("IBKR", "U0000001")
Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """What is held, and how each broker names it; a broker that cannot hold or does not list it has no entry."""

    key: str
    quantity: float
    multiplier: float
    price: float
    """average price of one unit, in `currency`"""
    tws: Fields | None = None
    """secType, symbol, lastTradeDateOrContractMonth, strike, right, multiplier, localSymbol, tradingClass;
    `underlying` is the localSymbol of the future that details.underConId leads to"""
    flex: Fields | None = None
    """identifying attributes of an OpenPosition element"""
    activity: tuple[str, str, Fields] | None = None
    """asset category and symbol of the row, and its line of the Financial Instrument Information"""
    tasty: Fields | None = None
    """symbol and instrument-type of an API record"""
    web: Fields | None = None
    """symbol and type of the web platform's table"""
    currency: str = "USD"


def option_tws(symbol: str, local: str, day: str, strike: str, right: str, factor: str = "100") -> Fields:
    return {"secType": "OPT", "symbol": symbol, "lastTradeDateOrContractMonth": day, "strike": strike, "right": right,
            "multiplier": factor, "localSymbol": local, "tradingClass": local[:6].strip()}  # fmt: skip


def option_flex(kind: str, symbol: str, underlying: str, day: str, terms: str, factor: str = "100") -> Fields:
    strike, right = terms.split()
    return {"assetCategory": kind, "symbol": symbol, "underlyingSymbol": underlying, "expiry": day, "strike": strike,
            "putCall": right, "multiplier": factor}  # fmt: skip


def fact(symbol: str, description: str, underlying: str, day: str, terms: str, factor: str = "100") -> Fields:
    strike, right = terms.split()
    return {"Symbol": symbol, "Description": description, "Underlying": underlying, "Multiplier": factor,
            "Expiry": day, "Type": right, "Strike": strike}  # fmt: skip


OPTIONS, FUTURES, FOPS = "Equity and Index Options", "Futures", "Options On Futures"
CASES: dict[str, Case] = {
    "share": Case(
        "equity:AAPL", 300, 1, 150.25,
        tws={"secType": "STK", "symbol": "AAPL", "right": "?", "localSymbol": "AAPL", "tradingClass": "NMS"},
        flex={"assetCategory": "STK", "symbol": "AAPL", "multiplier": "1"},
        activity=("Stocks", "AAPL", {}),
        tasty={"symbol": "AAPL", "instrument-type": "Equity"},
        web={"Symbol": "AAPL", "Type": "STOCK"},
    ),
    "class share": Case(
        "equity:BRK/B", -40, 1, 470.5,
        tws={"secType": "STK", "symbol": "BRK B", "right": "0", "localSymbol": "BRK B", "tradingClass": "BRK B"},
        flex={"assetCategory": "STK", "symbol": "BRK B", "multiplier": "1"},
        activity=("Stocks", "BRK B", {}),
        tasty={"symbol": "BRK/B", "instrument-type": "Equity"},
        web={"Symbol": "BRK/B", "Type": "STOCK"},
    ),
    "share abroad": Case(
        "equity:SAP", 70, 1, 205.5, currency="EUR",
        tws={"secType": "STK", "symbol": "SAP", "localSymbol": "SAP", "tradingClass": "XETRA"},
        flex={"assetCategory": "STK", "symbol": "SAP", "multiplier": "1"},
        activity=("Stocks", "SAP", {}),
    ),
    "option on a share": Case(
        "option:SPY   261218C00700000", -5, 100, 3.15,
        tws=option_tws("SPY", "SPY   261218C00700000", "20261218", "700", "C"),
        flex=option_flex("OPT", "SPY   261218C00700000", "SPY", "20261218", "700 C"),
        activity=(OPTIONS, "SPY 18DEC26 700 C",
                  fact("SPY   261218C00700000", "SPY 18DEC26 700 C", "SPY", "2026-12-18", "700 C")),
        tasty={"symbol": "SPY   261218C00700000", "instrument-type": "Equity Option"},
        web={"Symbol": "SPY   261218C00700000", "Type": "OPTION"},
    ),
    "option on a class share": Case(
        "option:BRKB  270115P00400000", 3, 100, 7.4,
        tws=option_tws("BRK B", "BRKB  270115P00400000", "20270115", "400", "P"),
        flex=option_flex("OPT", "BRKB  270115P00400000", "BRK B", "20270115", "400 P"),
        activity=(OPTIONS, "BRK B 15JAN27 400 P",
                  fact("BRKB  270115P00400000", "BRK B 15JAN27 400 P", "BRK B", "2027-01-15", "400 P")),
        tasty={"symbol": "BRK/B 270115P00400000", "instrument-type": "Equity Option"},
        web={"Symbol": "BRK/B 270115P00400000", "Type": "OPTION"},
    ),
    "adjusted option": Case(
        "option:USO1  261218P00075000", 2, 100, 2.2,
        tws=option_tws("USO", "USO1  261218P00075000", "20261218", "75", "P"),
        flex=option_flex("OPT", "USO1  261218P00075000", "USO", "20261218", "75 P"),
        activity=(OPTIONS, "USO 18DEC26 75 P",
                  fact("USO1  261218P00075000", "USO 18DEC26 75 P", "USO", "2026-12-18", "75 P")),
        tasty={"symbol": "USO1  261218P00075000", "instrument-type": "Equity Option"},
        web={"Symbol": "USO1  261218P00075000", "Type": "OPTION"},
    ),
    "index option settled in the morning": Case(  # last traded on Thursday the 17th
        "index_option:SPX   261218P05500000", 1, 100, 42.5,
        tws=option_tws("SPX", "SPX   261218P05500000", "20261217", "5500", "P"),
        flex=option_flex("OPT", "SPX   261218P05500000", "SPX", "20261217", "5500 P"),
        activity=(OPTIONS, "SPX 17DEC26 5500 P",
                  fact("SPX   261218P05500000", "SPX 17DEC26 5500 P", "SPX", "2026-12-17", "5500 P")),
        tasty={"symbol": "SPX   261218P05500000", "instrument-type": "Equity Option"},
        web={"Symbol": "SPX   261218P05500000", "Type": "OPTION"},
    ),
    "index option settled in the afternoon": Case(
        "index_option:SPXW  261218P05500000", -2, 100, 20.0,
        tws=option_tws("SPX", "SPXW  261218P05500000", "20261218", "5500", "P"),
        flex=option_flex("OPT", "SPXW  261218P05500000", "SPX", "20261218", "5500 P"),
        activity=(OPTIONS, "SPXW 18DEC26 5500 P",
                  fact("SPXW  261218P05500000", "SPXW 18DEC26 5500 P", "SPX", "2026-12-18", "5500 P")),
        tasty={"symbol": "SPXW  261218P05500000", "instrument-type": "Equity Option"},
        web={"Symbol": "SPXW  261218P05500000", "Type": "OPTION"},
    ),
    "volatility option": Case(  # settled on Wednesday the 16th, last traded on Tuesday
        "index_option:VIX   261216C00025000", -10, 100, 1.35,
        tws=option_tws("VIX", "VIX   261216C00025000", "20261215", "25", "C"),
        flex=option_flex("OPT", "VIX   261216C00025000", "VIX", "20261215", "25 C"),
        activity=(OPTIONS, "VIX 15DEC26 25 C",
                  fact("VIX   261216C00025000", "VIX 15DEC26 25 C", "VIX", "2026-12-15", "25 C")),
        tasty={"symbol": "VIX   261216C00025000", "instrument-type": "Equity Option"},
        web={"Symbol": "VIX   261216C00025000", "Type": "OPTION"},
    ),
    "future": Case(
        "future:/ESZ26", 2, 50, 6700.25,
        tws={"secType": "FUT", "symbol": "ES", "lastTradeDateOrContractMonth": "20261218", "right": "0",
             "multiplier": "50", "localSymbol": "ESZ6", "tradingClass": "ES"},
        flex={"assetCategory": "FUT", "symbol": "ESZ6", "underlyingSymbol": "ES", "expiry": "20261218",
              "multiplier": "50"},
        activity=(FUTURES, "ESZ6", {"Symbol": "ESZ6", "Description": "ES 18DEC26", "Underlying": "ES",
                                    "Multiplier": "50", "Expiry": "2026-12-18"}),
        tasty={"symbol": "/ESZ6", "instrument-type": "Future"},
        web={"Symbol": "/ESZ6", "Type": "FUTURES"},
    ),
    "micro future": Case(
        "future:/MESZ26", -3, 5, 6712.25,
        tws={"secType": "FUT", "symbol": "MES", "lastTradeDateOrContractMonth": "20261218", "right": "?",
             "multiplier": "5", "localSymbol": "MESZ6", "tradingClass": "MES"},
        flex={"assetCategory": "FUT", "symbol": "MESZ6", "underlyingSymbol": "MES", "expiry": "20261218",
              "multiplier": "5"},
        activity=(FUTURES, "MESZ6", {"Symbol": "MESZ6", "Description": "MES 18DEC26", "Underlying": "MES",
                                     "Multiplier": "5", "Expiry": "2026-12-18"}),
        tasty={"symbol": "/MESZ6", "instrument-type": "Future"},
        web={"Symbol": "/MESZ6", "Type": "FUTURES"},
    ),
    "future quoted in fractions": Case(  # 117-16 is 117 and 16/32
        "future:/ZBZ26", 4, 1000, 117.5,
        tws={"secType": "FUT", "symbol": "ZB", "lastTradeDateOrContractMonth": "20261221", "right": "?",
             "multiplier": "1000", "localSymbol": "ZB   DEC 26", "tradingClass": "ZB"},
        flex={"assetCategory": "FUT", "symbol": "ZB   DEC 26", "underlyingSymbol": "ZB", "expiry": "20261221",
              "multiplier": "1000"},
        activity=(FUTURES, "ZB   DEC 26", {"Symbol": "ZB   DEC 26", "Description": "ZB 21DEC26", "Underlying": "ZB",
                                           "Multiplier": "1000", "Expiry": "2026-12-21"}),
        tasty={"symbol": "/ZBZ6", "instrument-type": "Future"},
        web={"Symbol": "/ZBZ6", "Type": "FUTURES"},
    ),
    "weekly option on a future": Case(  # the fourth Friday of November
        "future_option:./EW4X26 261127P6600", -2, 50, 12.5,
        tws={**option_tws("ES", "EW4X6 P6600", "20261127", "6600", "P", "50"), "secType": "FOP",
             "tradingClass": "EW4", "underlying": "ESZ6"},
        flex={**option_flex("FOP", "EW4X6 P6600", "ESZ6", "20261127", "6600 P", "50"),
              "description": "ES 27NOV26 6600 P"},
        activity=(FOPS, "EW4X6 P6600",
                  fact("EW4X6 P6600", "ES 27NOV26 6600 P", "ESZ6", "2026-11-27", "6600 P", "50")),
        tasty={"symbol": "./ESZ6 EW4X6 261127P6600", "instrument-type": "Future Option"},
        web={"Symbol": "./ESZ6 EW4X6 261127P6600", "Type": "FUTURES_OPTION"},
    ),
    "option on gold": Case(  # named by January, expires on the fourth last business day of December, into February
        "future_option:./OGF27 261228C4200", 1, 100, 30.2,
        tws={**option_tws("GC", "OGF7 C4200", "20261228", "4200", "C"), "secType": "FOP", "tradingClass": "OG",
             "underlying": "GCG7"},
        flex={**option_flex("FOP", "OGF7 C4200", "GCG7", "20261228", "4200 C"), "description": "GC 28DEC26 4200 C"},
        activity=(FOPS, "OGF7 C4200",
                  fact("OGF7 C4200", "GC 28DEC26 4200 C", "GCG7", "2026-12-28", "4200 C")),
        tasty={"symbol": "./GCG7 OGF7  261228C4200", "instrument-type": "Future Option"},
        web={"Symbol": "./GCG7 OGF7  261228C4200", "Type": "FUTURES_OPTION"},
    ),
    "option quoted in fractions": Case(  # 0-41 is 41/64; the exchange's symbol leaves out the point of the strike
        "future_option:./OZNF27 261224P111.25", -7, 1000, 0.640625,
        tws={**option_tws("ZN", "OZNF7 P1112", "20261224", "111.25", "P", "1000"), "secType": "FOP",
             "tradingClass": "OZN", "underlying": "ZNH7"},
        flex={**option_flex("FOP", "OZNF7 P1112", "ZNH7", "20261224", "111.25 P", "1000"),
              "description": "ZN 24DEC26 111.25 P"},
        activity=(FOPS, "OZNF7 P1112",
                  fact("OZNF7 P1112", "ZN 24DEC26 111.25 P", "ZNH7", "2026-12-24", "111.25 P", "1000")),
        tasty={"symbol": "./ZNH7 OZNF7 261224P111.25", "instrument-type": "Future Option"},
        web={"Symbol": "./ZNH7 OZNF7 261224P111.25", "Type": "FUTURES_OPTION"},
    ),
    "coin": Case(
        "crypto:BTC/USD", 0.5, 1, 95000.0,
        tws={"secType": "CRYPTO", "symbol": "BTC", "localSymbol": "BTC.USD", "tradingClass": "BTC"},
        flex={"assetCategory": "CRYPTO", "symbol": "BTC.USD-PAXOS", "multiplier": "1"},
        activity=("Crypto", "BTC", {}),
        tasty={"symbol": "BTC/USD", "instrument-type": "Cryptocurrency"},
        web={"Symbol": "BTC/USD", "Type": "CRYPTO"},
    ),
    "euro": Case(  # TWS alone lists money as a position of its own
        "cash:EUR", 25_000, 1, 1.08,
        tws={"secType": "CASH", "symbol": "EUR", "localSymbol": "EUR.USD", "tradingClass": "EUR.USD"},
    ),
}  # fmt: skip
ONE_UNIT = ("STK", "CASH", "CRYPTO")
"""what TWS gives no multiplier for, and whose average cost is that of one unit"""
Reader = Callable[[Case, Path], Position]


def only(path: Path, text: str) -> Position:
    path.write_text(text, encoding="utf-8")
    (position,) = read_statement(path, NOW).positions
    return position


def money_of(case: Case) -> float:
    """Market value at the average price, so that no figure contradicts another."""
    return case.quantity * case.multiplier * case.price


def from_tws(case: Case, folder: Path) -> Position:
    """As positions() gives it: no exchange, the multiplier as text, the cost of derivatives with the multiplier."""
    assert case.tws is not None
    fields = {name: text for name, text in case.tws.items() if name not in ("strike", "underlying")}
    contract = ib_async.Contract(**fields, strike=float(case.tws.get("strike", "0")), currency=case.currency, conId=7)
    cost = case.price * (1.0 if contract.secType in ONE_UNIT else case.multiplier)
    row = ib_async.Position(IBKR_ACCOUNT.number, contract, case.quantity, cost)
    named = described(contract, None, underlying_local_symbol=case.tws.get("underlying", ""))
    return rows.to_position(named, figures(row), rows.Reading(IBKR_ACCOUNT, "ibkr", NOW, TODAY, TODAY))


def from_flex(case: Case, folder: Path) -> Position:
    assert case.flex is not None
    cells = {
        **case.flex, "accountId": IBKR_ACCOUNT.number, "currency": case.currency, "reportDate": "20261120",
        "position": f"{case.quantity:g}", "markPrice": f"{case.price}", "positionValue": f"{money_of(case)}",
        "costBasisPrice": f"{case.price}", "levelOfDetail": "SUMMARY", "conid": "7",
    }  # fmt: skip
    attributes = " ".join(f'{name}="{text}"' for name, text in cells.items())
    statement = '<FlexStatement accountId="U0000001" fromDate="20261120" toDate="20261120">'
    return only(
        folder / "flex.xml",
        f'<FlexQueryResponse type="AF"><FlexStatements count="1">{statement}<AccountInformation currency="USD"/>'
        f"<OpenPositions><OpenPosition {attributes}/></OpenPositions>"
        "</FlexStatement></FlexStatements></FlexQueryResponse>",
    )


def table(*lines: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def from_activity(case: Case, folder: Path) -> Position:
    assert case.activity is not None
    category, symbol, known = case.activity
    held, facts = "Open Positions", "Financial Instrument Information"
    figures_of_row = [f"{case.quantity:,g}", f"{case.multiplier:g}", f"{case.price}", f"{case.price}",
                      f"{money_of(case)}"]  # fmt: skip
    lines = [
        ["Statement", "Header", "Field Name", "Field Value"],
        ["Statement", "Data", "Period", "November 20, 2026"],
        ["Account Information", "Header", "Field Name", "Field Value"],
        ["Account Information", "Data", "Account", IBKR_ACCOUNT.number],
        ["Account Information", "Data", "Base Currency", "USD"],
        [held, "Header", "DataDiscriminator", "Asset Category", "Currency", "Symbol", "Quantity", "Mult", "Cost Price",
         "Close Price", "Value"],
        [held, "Data", "Summary", category, case.currency, symbol, *figures_of_row],
        *([[facts, "Header", "Asset Category", *known], [facts, "Data", category, *known.values()]] if known else []),
    ]  # fmt: skip
    return only(folder / "activity.csv", table(*lines))


def record(case: Case) -> dict[str, str]:
    """A position of the tastytrade API: unsigned size beside its direction, every figure as text."""
    assert case.tasty is not None
    return {
        **case.tasty, "account-number": "5WT00001", "quantity": f"{abs(case.quantity):g}",
        "quantity-direction": "Long" if case.quantity > 0 else "Short", "multiplier": f"{case.multiplier:g}",
        "average-open-price": f"{case.price}", "mark-price": f"{case.price}", "mark": f"{abs(money_of(case))}",
        "updated-at": "2026-11-20T20:59:00.000+00:00",
    }  # fmt: skip


def from_tastytrade(case: Case, folder: Path) -> Position:
    return tastytrade.to_position(record(case), tastytrade.Reading("tastytrade", NOW, TODAY, TODAY))


def from_tastytrade_live(case: Case, folder: Path) -> Position:
    """As the source reads it: the record without marks, priced by what the stream says afterwards."""
    told = {name: text for name, text in record(case).items() if name not in ("mark", "mark-price")}
    held = tastytrade.to_position(told, tastytrade.Reading("tastytrade", NOW, TODAY, TODAY))
    quote = Quote(case.price, case.price, NOW, "tastytrade")
    live = tastytrade.priced(held, tastytrade.day_basis(told, TODAY), quote, case.price, NOW)
    assert live.open_pnl == pytest.approx(0.0)
    assert (live.mark, live.mark_time, live.bid, live.ask) == (case.price, NOW, case.price, case.price)
    return live


def from_tastytrade_json(case: Case, folder: Path) -> Position:
    return only(folder / "positions.json", json.dumps({"data": {"items": [record(case)]}}))


def from_tastytrade_csv(case: Case, folder: Path) -> Position:
    fields = record(case)
    return only(folder / "positions.csv", table(list(fields), list(fields.values())))


def from_tastytrade_web(case: Case, folder: Path) -> Position:
    """The table of the web platform: signed quantity, Trade Price below zero for what was paid, no multiplier."""
    assert case.web is not None
    paid = -case.price if case.quantity > 0 else case.price
    fields = {"Account": "5WT00001", **case.web, "Quantity": f"{case.quantity:g}", "Trade Price": f"{paid}",
              "Mark": f"{case.price}", "Net Liq": f"{money_of(case):,}"}  # fmt: skip
    return only(folder / "web.csv", table(list(fields), list(fields.values())))


READERS: dict[str, tuple[str, Reader]] = {
    "TWS": ("tws", from_tws),
    "Flex XML": ("flex", from_flex),
    "activity CSV": ("activity", from_activity),
    "tastytrade API": ("tasty", from_tastytrade),
    "tastytrade live": ("tasty", from_tastytrade_live),
    "tastytrade JSON": ("tasty", from_tastytrade_json),
    "tastytrade CSV": ("tasty", from_tastytrade_csv),
    "tastytrade web CSV": ("web", from_tastytrade_web),
}
"""column of the table, and what makes and reads the record"""
TOLD = [(name, reader) for name, case in CASES.items() for reader in READERS if getattr(case, READERS[reader][0])]


def read(name: str, reader: str, folder: Path, sign: int = 1) -> tuple[Case, Position]:
    case = replace(CASES[name], quantity=sign * CASES[name].quantity)
    return case, READERS[reader][1](case, folder)


TABLE = [pytest.param(*pair, id=", ".join(pair)) for pair in TOLD]


@pytest.mark.parametrize("sign", [1, -1], ids=["as written", "other side"])
@pytest.mark.parametrize(("name", "reader"), TABLE)
def test_every_adapter_gives_the_same_position(name: str, reader: str, sign: int, tmp_path: Path) -> None:
    case, held = read(name, reader, tmp_path, sign)
    assert held.reasons == ()
    assert held.instrument.key == case.key
    assert held.quantity == case.quantity
    assert held.multiplier == case.multiplier
    assert held.average_price == pytest.approx(case.price, rel=1e-12)
    assert held.currency == case.currency


@pytest.mark.parametrize("name", CASES)
def test_every_adapter_gives_the_same_instrument(name: str, tmp_path: Path) -> None:
    """Not the key alone: what it is struck on, when and how it settles; tastytrade symbols name no day of a future."""
    found = {read(name, reader, tmp_path)[1].instrument for case, reader in TOLD if case == name}
    assert len({replace(held, expiry=None) if held.kind is Kind.FUTURE else held for held in found}) == 1


def test_only_these_are_not_told_by_everyone() -> None:
    missing = {name: {reader for reader in READERS if (name, reader) not in TOLD} for name in CASES}
    assert {name: readers for name, readers in missing.items() if readers} == {
        "share abroad": {reader for reader in READERS if reader.startswith("tastytrade")},
        "euro": set(READERS) - {"TWS"},
    }


@pytest.mark.parametrize("sign", [1, -1])
def test_money_of_the_ledger_is_held_as_the_pair_is(sign: int) -> None:
    """The ledger counts euro in euro; the pair EUR.USD prices the same euro in dollars."""
    ledger = [
        rows.AccountValue("NetLiquidation", "100000", "USD"),
        rows.AccountValue("TotalCashBalance", f"{sign * 25_000}", "EUR"),
        rows.AccountValue("TotalCashBalance", "52000", "BASE"),
        rows.AccountValue("TotalCashBalance", "25000", "USD"),
    ]
    (held,) = money.cash(ledger, IBKR_ACCOUNT, rows.Reading(IBKR_ACCOUNT, "ibkr", NOW, TODAY, TODAY))
    pair = from_tws(CASES["euro"], Path())
    assert held.instrument == pair.instrument
    assert (held.quantity, held.multiplier, held.currency, held.reasons) == (sign * 25_000.0, 1.0, "EUR", ())
