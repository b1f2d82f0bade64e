"""Instruments: what a symbol stands for, its streamer symbol, expiry and deliverable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.brokers.tasty_accounts import stamp
from tests.brokers.tasty_book import Row
from tests.brokers.tasty_lists import listed
from tests.brokers.tasty_wire import Answer, Refused, Request, data

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

TYPES = {
    "equities": ("Equity", "Index"),
    "equity-options": ("Equity Option",),
    "futures": ("Future",),
    "future-options": ("Future Option",),
    "cryptocurrencies": ("Cryptocurrency",),
}
"""path -> instrument types; indices are found among the equities"""


def several(tasty: Tasty, request: Request, collection: str) -> Answer:
    """Those of the symbols asked for that exist, or all of the collection."""
    types, wanted = _types(collection), request.many("symbol")
    rows = [describe(tasty, row) for row in tasty.book.of_type(*types) if not wanted or row["symbol"] in wanted]
    products = request.many("product-code")
    rows = [row for row in rows if not products or row.get("product-code") in products]
    paged = collection in ("equities", "futures")
    return listed(tasty, request, "instruments", rows, 1000 if paged else 0)


def one(tasty: Tasty, request: Request, collection: str, symbol: str) -> Answer:
    """One instrument by its tastytrade symbol; 404 when it is none of that type."""
    row = tasty.book.instruments.get(f"/{symbol}" if collection == "futures" else symbol)  # asked for as ESZ6
    if row is None or row["instrument-type"] not in _types(collection):
        raise Refused(404, "record_not_found", f"Couldn't find {collection} with symbol {symbol}")
    return data(describe(tasty, row), context=request.path)


def _types(collection: str) -> tuple[str, ...]:
    if collection not in TYPES:
        raise Refused(404, "not_found", f"No route for /instruments/{collection}")
    return TYPES[collection]


def describe(tasty: Tasty, row: Row) -> Row:
    """An instrument as its endpoint describes it; what the book says itself comes last."""
    kind = row["instrument-type"]
    common: Row = {
        "symbol": row["symbol"], "instrument-type": kind, "streamer-symbol": row["streamer-symbol"], "active": True,
        "is-closing-only": False,
    }  # fmt: skip
    if "expiry" in row:
        left = (row["expiry"] - tasty.book.today).days
        common |= {
            "expiration-date": row["expiry"], "days-to-expiration": left, "stops-trading-at": stamp(row["stops"]),
            "expires-at": stamp(row["expires"]),
        }  # fmt: skip
    make = {"Equity Option": _option, "Future": _future, "Future Option": _future_option, "Cryptocurrency": _coin}
    own = {key: told for key, told in row.items() if key not in ("expiry", "stops", "expires", "multiplier")}
    return {**common, **make.get(kind, _equity)(row), **own}


def option_ticks(underlying: str) -> list[Row]:
    """Steps of option prices: nickels and dimes of the SPX, pennies of the large funds, pennies and nickels else."""
    if underlying == "SPX":
        return [{"value": "0.05", "threshold": "3.0"}, {"value": "0.1"}]
    if underlying in ("SPY", "QQQ"):
        return [{"value": "0.01"}]
    return [{"value": "0.01", "threshold": "3.0"}, {"value": "0.05"}]


def _equity(row: Row) -> Row:
    return {
        "tick-sizes": [{"value": "0.0001", "threshold": "1.0"}, {"value": "0.01"}],
        "option-tick-sizes": option_ticks(row["symbol"]),
        "id": 1, "is-index": row["instrument-type"] == "Index", "description": row["symbol"], "is-etf": False,
        "lendability": "Easy To Borrow", "market-time-instrument-collection": "Equity", "listed-market": "XNAS",
        "is-options-closing-only": False, "is-illiquid": False, "borrow-rate": "0.0",
    }  # fmt: skip


def _option(row: Row) -> Row:
    return {
        "root-symbol": row["symbol"][:6].strip(), "exercise-style": "American", "shares-per-contract": 100,
        "option-chain-type": "Standard", "expiration-type": "Regular", "settlement-type": "PM",
        "market-time-instrument-collection": "Equity Option", "option-type": row["symbol"][12],
        "strike-price": f"{int(row['symbol'][13:]) / 1000:.1f}",
    }  # fmt: skip


def _future(row: Row) -> Row:
    return {
        "tick-sizes": [{"value": "0.25"}], "spread-tick-sizes": [{"value": "0.05", "symbol": "/ESH7"}],
        "option-tick-sizes": [{"value": "0.05", "threshold": "10.0"}, {"value": "0.25"}],
        "product-code": row["product"].lstrip("/"), "tick-size": "0.25", "notional-multiplier": str(row["multiplier"]),
        "display-factor": "0.01", "last-trade-date": row["expiry"], "active-month": True, "next-active-month": False,
        "product-group": "CME_ES", "exchange": "CME", "streamer-exchange-code": "XCME", "is-tradeable": True,
        "back-month-first-calendar-symbol": True,
    }  # fmt: skip


def _future_option(row: Row) -> Row:
    """`multiplier` is 1.0 here, as at the API: dollars per point are notional-value / display-factor."""
    terms = re.fullmatch(r"\./(.{5})(.{6})(\d{6})([CP])(.+)", row["symbol"])
    if terms is None:
        raise ValueError(f"{row['symbol']!r} is no future option: ./ with 5 + 6 columns, yymmdd, C or P, strike")
    return {
        "product-code": row["product"].lstrip("/"), "root-symbol": row["product"], "option-type": terms[4],
        "option-root-symbol": terms[2].strip()[:-2], "strike-price": f"{float(terms[5]):.1f}", "exchange": "CME",
        "exercise-style": "European", "is-vanilla": True, "is-primary-deliverable": True, "future-price-ratio": "1.0",
        "multiplier": "1.0", "underlying-count": "1.0", "is-confirmed": True, "display-factor": "0.01",
        "notional-value": str(row["multiplier"] * 0.01), "settlement-type": "Future", "strike-factor": "1.0",
        "maturity-date": row["expiry"], "is-exercisable-weekly": True, "last-trade-time": "0",
        "exchange-symbol": row["symbol"], "security-exchange": "2", "sx-id": "0",
    }  # fmt: skip


def _coin(row: Row) -> Row:
    return {
        "id": 1, "short-description": row["symbol"], "description": row["symbol"], "tick-size": "0.01",
        "destination-venue-symbols": [],
    }  # fmt: skip
