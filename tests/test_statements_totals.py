"""One mixed book in three formats comes to the same totals, and they are the ones worked out by hand.

Black-Scholes with r = 0 at 2026-11-20 16:10 New York, by a separate script: years to settlement 0.07595129 for SPX
(opening of 18 December), 0.07669330 for SPXW and AAPL (its close), 0.03833714 for EW1 (close of 4 December);
volatilities 21 %, 21 %, 28 %, 19 %. Delta in dollars is q x M x delta x S:

    -2 SPX 6400 P    191,571.64      -3 SPXW 6400 P   289,615.25      -2 AAPL 280 C    -18,009.67
    -2 EW1 6600 P    129,042.45      200 AAPL          54,000.00      -1 ESZ6         -340,750.00
    40 SAP at 230 EUR and 1.16        10,672.00       together        316,141.67
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.statements import read_prices, read_statement
from adapters.statements.prices import apply_prices
from guardrails.assess import assess
from guardrails.memory import Memory
from guardrails.snapshot import Snapshot
from guardrails.values import Source, SourceState, View
from tests.books import MATRIX

AT = datetime(2026, 11, 20, 21, 10, tzinfo=UTC)
DELTA, VEGA, THETA = 316_141.67, -2_522.85, 1_065.95
PRICES = "symbol,price\nSPX,6800\nVIX,18\nEUR/USD,1.16\n"
ROWS = (
    # type, symbol, words, quantity, multiplier, mark, currency, expiry, strike, underlying, tastytrade symbol
    ("OPT", "SPX   261218P06400000", "SPX 18DEC26 6400 P", -2, 100, 29.025881, "USD", "2026-12-17", "6400", "SPX", ""),
    ("OPT", "SPXW  261218P06400000", "SPXW 18DEC26 6400 P", -3, 100, 29.455642, "USD", "2026-12-18", "6400", "SPX", ""),
    ("OPT", "AAPL  261218C00280000", "AAPL 18DEC26 280 C", -2, 100, 4.422967, "USD", "2026-12-18", "280", "AAPL", ""),
    ("FOP", "EW1Z6 P6600", "ES 04DEC26 6600 P", -2, 50, 26.863165, "USD", "2026-12-04", "6600", "ESZ6",
     "./ESZ6 EW1Z6 261204P6600"),
    ("STK", "AAPL", "AAPL", 200, 1, 270.0, "USD", "", "", "", ""),
    ("STK", "SAP", "SAP", 40, 1, 230.0, "EUR", "", "", "", ""),
    ("FUT", "ESZ6", "ESZ6", -1, 50, 6815.0, "USD", "2026-12-18", "", "ES", "/ESZ6"),
)  # fmt: skip


def flex() -> str:
    rows = "".join(
        f'<OpenPosition accountId="U0000001" currency="{currency}" fxRateToBase="{1.16 if currency == "EUR" else 1}" '
        f'assetCategory="{kind}" symbol="{symbol}" description="{words}" underlyingSymbol="{under}" strike="{strike}" '
        f'multiplier="{factor}" expiry="{expiry.replace("-", "")}" putCall="{words[-1] if strike else ""}" '
        f'reportDate="20261120" position="{size}" markPrice="{mark}" positionValue="{size * factor * mark}" '
        'levelOfDetail="SUMMARY" />\n'
        for kind, symbol, words, size, factor, mark, currency, expiry, strike, under, _ in ROWS
    )
    return (
        '<FlexQueryResponse><FlexStatements><FlexStatement accountId="U0000001" toDate="20261120">\n'
        '<AccountInformation accountId="U0000001" currency="USD" />\n<EquitySummaryInBase>'
        '<EquitySummaryByReportDateInBase reportDate="20261120" total="250000" /></EquitySummaryInBase>\n'
        f"<OpenPositions>\n{rows}</OpenPositions></FlexStatement></FlexStatements></FlexQueryResponse>"
    )


def activity() -> str:
    names = {"OPT": "Equity and Index Options", "FOP": "Options On Futures", "STK": "Stocks", "FUT": "Futures"}
    held = "".join(
        f"Open Positions,Data,Summary,{names[kind]},{currency},{symbol if kind == 'FOP' else words},"
        f'"{size}",{factor},1,1,"{mark:,}","{size * factor * mark:,.2f}",1,\n'
        for kind, symbol, words, size, factor, mark, currency, *_ in ROWS
    )
    facts = "".join(
        f"Financial Instrument Information,Data,{names[kind]},{symbol},{words},1,{under},{factor},{expiry},"
        f"{words[-1] if strike else ''},{strike}\n"
        for kind, symbol, words, _, factor, _, _, expiry, strike, under, _ in ROWS
        if expiry
    )
    return (
        "Statement,Data,Title,Activity Statement\nStatement,Header,Field Name,Field Value\n"
        'Statement,Data,Period,"November 20, 2026"\n'
        "Account Information,Header,Field Name,Field Value\nAccount Information,Data,Account,U0000001\n"
        "Account Information,Data,Base Currency,USD\nNet Asset Value,Header,Asset Class,Current Total\n"
        'Net Asset Value,Data,Total,"250,000"\nOpen Positions,Header,DataDiscriminator,Asset Category,Currency,Symbol,'
        f"Quantity,Mult,Cost Price,Cost Basis,Close Price,Value,Unrealized P/L,Code\n{held}"
        "Base Currency Exchange Rate,Header,Currency,Exchange Rate\nBase Currency Exchange Rate,Data,EUR,1.16\n"
        "Financial Instrument Information,Header,Asset Category,Symbol,Description,Conid,Underlying,Multiplier,Expiry,"
        f"Type,Strike\n{facts}"
    )


def tastytrade() -> str:
    names = {"OPT": "Equity Option", "FOP": "Future Option", "STK": "Equity", "FUT": "Future"}
    items = [
        {"account-number": "5WT00001", "symbol": own or symbol, "instrument-type": names[kind],
         "quantity": str(abs(size)), "quantity-direction": "Long" if size > 0 else "Short", "multiplier": factor,
         "mark-price": str(mark), "currency": currency, "updated-at": "2026-11-20T21:05:00.000+00:00"}
        for kind, symbol, _, size, factor, mark, currency, *_, own in ROWS
    ]  # fmt: skip
    balance = {"account-number": "5WT00001", "net-liquidating-value": "250000"}
    return json.dumps({"balances": balance, "positions": items})


@pytest.mark.parametrize("write", [flex, activity, tastytrade])
def test_the_totals_of_a_mixed_book(write: Callable[[], str], tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(write(), encoding="utf-8")
    (tmp_path / "prices.csv").write_text(PRICES, encoding="utf-8")
    view = apply_prices(read_statement(tmp_path / "book.txt", AT), read_prices(tmp_path / "prices.csv", AT))
    snapshot = assess([view], MATRIX, Memory(), AT).snapshot
    assert [(row.quantity, row.multiplier) for row in snapshot.positions] == [(row[3], row[4]) for row in ROWS]
    assert not [row.reasons for row in snapshot.positions if row.reasons]
    totals = snapshot.totals
    assert totals.net_liquidation == 250_000.0
    assert totals.delta_dollars == pytest.approx(DELTA, abs=0.5)
    assert totals.vega_per_point == pytest.approx(VEGA, abs=0.01)
    assert totals.theta_per_day == pytest.approx(THETA, abs=0.01)


def test_what_could_not_be_read_is_not_a_flat_book(tmp_path: Path) -> None:
    """A refused file beside a good one: what the other holds is a part, so there is no total at all."""
    (tmp_path / "book.xml").write_text(flex(), encoding="utf-8")
    refused = View(Source("statement:other.xml", SourceState.DOWN, None, "other.xml is empty"))
    alone = _assessed([refused]).totals
    assert (alone.net_liquidation, alone.delta_dollars, alone.vega_per_point) == (None, None, None)
    beside = _assessed([read_statement(tmp_path / "book.xml", AT), refused]).totals
    assert (beside.net_liquidation, beside.delta_dollars) == (None, None)


def _assessed(views: list[View]) -> Snapshot:
    return assess(views, MATRIX, Memory(), AT).snapshot
