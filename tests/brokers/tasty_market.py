"""Market data and metrics over REST: prices without Greeks, and metrics in mixed units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.brokers.tasty_accounts import stamp
from tests.brokers.tasty_book import Row
from tests.brokers.tasty_lists import listed
from tests.brokers.tasty_wire import Answer, Refused, Request, data

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

MOST = 100
"""symbols of one request, over all types"""
TYPES = {
    "index": "Index",
    "equity": "Equity",
    "equity-option": "Equity Option",
    "future": "Future",
    "future-option": "Future Option",
    "cryptocurrency": "Cryptocurrency",
}


def by_type(tasty: Tasty, request: Request) -> Answer:
    """Prices of the symbols that exist under the type asked for; 400 beyond 100 symbols."""
    asked = [(kind, symbol) for key, kind in TYPES.items() for symbol in request.many(key)]
    if len(asked) > MOST:
        raise Refused(400, "validation_error", f"{len(asked)} symbols asked for, {MOST} allowed")
    rows = [
        _prices(tasty, row) for kind, symbol in asked
        if (row := tasty.book.instruments.get(symbol)) is not None and row["instrument-type"] == kind
    ]  # fmt: skip
    return listed(tasty, request, "market_data", rows)


def one(tasty: Tasty, request: Request, kind: str, symbol: str) -> Answer:
    """Prices of one symbol."""
    row = tasty.book.instruments.get(symbol)
    if row is None or row["instrument-type"] != kind:
        raise Refused(404, "record_not_found", f"Couldn't find market data of {kind} {symbol}")
    return data(_prices(tasty, row), context=request.path)


def _prices(tasty: Tasty, row: Row) -> Row:
    told, before = tasty.book.market.get(row["symbol"], {}), tasty.book.sessions(1)[0]
    figures = {
        "bid": told.get("bid"), "ask": told.get("ask"), "last": told.get("last"), "open": told.get("open"),
        "mid": tasty.book.price(row["symbol"]), "mark": tasty.book.price(row["symbol"]), "close": told.get("last"),
        "prev-close": told.get("close"), "day-high-price": told.get("high"), "day-low-price": told.get("low"),
        "volume": told.get("volume"), "beta": tasty.book.metrics.get(row["symbol"], {}).get("beta"),
    }  # fmt: skip
    return {
        "symbol": row["symbol"], "instrument-type": row["instrument-type"], "updated-at": stamp(tasty.clock()),
        "bid-size": str(told.get("bid_size", 0)), "ask-size": str(told.get("ask_size", 0)),
        "close-price-type": "Regular", "summary-date": tasty.book.today, "prev-close-date": before,
        "prev-close-price-type": "Final", "is-trading-halted": bool(told.get("halted")), "halt-start-time": -1,
        "halt-end-time": -1, **{key: str(value) for key, value in figures.items() if value is not None},
    }  # fmt: skip


def metrics(tasty: Tasty, request: Request) -> Answer:
    """Metrics of the symbols that have any; the others are absent, as at the API."""
    wanted = request.many("symbols")
    poison = tasty.faults.active.get("poisoned_metrics")
    if poison is not None and poison.get("symbol", wanted[0] if wanted else "") in wanted:
        tasty.hit("poisoned_metrics")
    else:
        poison = None
    if poison and poison.get("kind") == "batch":
        raise Refused(500, "internal_server_error", "An internal server error occurred")
    rows = [_metric(tasty, symbol) for symbol in wanted if symbol in tasty.book.metrics]
    for row in rows if poison else ():
        if poison and row["symbol"] == poison.get("symbol", wanted[0]):
            _spoil(row, poison.get("kind", "no_market_cap"))
    return listed(tasty, request, "metrics", rows)


def _metric(tasty: Tasty, symbol: str) -> Row:
    now = stamp(tasty.clock())
    return {
        "symbol": symbol, "market-cap": "1000000000.0", "updated-at": now, "created-at": now, "liquidity-rating": 4,
        "tos-implied-volatility-index-rank-updated-at": now, "implied-volatility-index-rank-source": "tos",
        "implied-volatility-updated-at": now, "beta-updated-at": now, "option-expiration-implied-volatilities": [],
        "lendability": "Easy To Borrow", "borrow-rate": "0.0",
        **{key: str(told) for key, told in tasty.book.metrics[symbol].items()},
    }  # fmt: skip


def _spoil(row: Row, kind: str) -> None:
    if kind == "no_market_cap":
        del row["market-cap"]
    elif kind == "wrong_types":
        row |= {"beta": "high", "liquidity-rating": {"value": 4}, "updated-at": 20261120}
    else:
        raise ValueError(f"poisoned_metrics has no kind {kind!r}: no_market_cap, wrong_types or batch")


def risk_free_rate(tasty: Tasty, request: Request) -> Answer:
    """The rate as a fraction a year; asked without a bearer."""
    return data({"risk-free-rate": tasty.book.risk_free_rate}, context=request.path)
