"""Messages from TWS to its client, one function each: rows of the book in, bytes out."""

from __future__ import annotations

from datetime import datetime

from tests.brokers.tws_book import Row, multiplier
from tests.brokers.tws_wire import UNSET, VERSION_PENDING_PRICE, frame


def error(req_id: int, code: int, words: str) -> bytes:
    """An error, warning or notice; -1 when it belongs to no request."""
    return frame(4, 2, req_id, code, words, "")


def contract(row: Row, exchange: str) -> list[object]:
    """Eleven fields that name a contract in positions, executions and orders."""
    return [
        row["conId"],
        row["symbol"],
        row["secType"],
        row.get("lastTradeDateOrContractMonth"),
        float(row.get("strike", 0)),
        row.get("right", ""),
        row.get("multiplier", ""),
        exchange,
        row.get("currency", "USD"),
        row.get("localSymbol", row["symbol"]),
        row.get("tradingClass", row["symbol"]),
    ]


def position(account: str, row: Row, quantity: float, avg_cost: float) -> bytes:
    """A position (61): TWS leaves the exchange of derivatives empty here."""
    listed = row.get("position_exchange", "")
    return frame(61, 3, account, *contract(row, listed), float(quantity), float(avg_cost))


def portfolio(account: str, row: Row, quantity: float, avg_cost: float, mark: float | None) -> bytes:
    """A portfolio row (7): like a position, with the market's price and the gain since it was opened."""
    named = contract(row, row.get("primaryExchange", ""))
    value = 0.0 if mark is None else _product(mark, quantity, multiplier(row))
    gain = value - quantity * avg_cost
    price = 0.0 if mark is None else mark
    return frame(7, 8, *named, float(quantity), price, value, float(avg_cost), gain, 0.0, account)


def _product(mark: float, quantity: float, size: float) -> float:
    """Market value; an unset price stays unset instead of overflowing."""
    return mark if abs(mark) > 1e300 else mark * quantity * size


def details(req_id: int, row: Row) -> bytes:
    """Contract details (10)."""
    right = row.get("right", "")
    return frame(
        10,
        req_id,
        row["symbol"],
        row["secType"],
        row.get("lastTimes"),
        float(row.get("strike", 0)),
        right if right in ("C", "P") else "",
        row["exchange"],
        row.get("currency", "USD"),
        row.get("localSymbol", row["symbol"]),
        row.get("marketName", row.get("tradingClass", row["symbol"])),
        row.get("tradingClass", row["symbol"]),
        row["conId"],
        row.get("minTick", 0.01),
        row.get("multiplier", ""),
        "ACTIVETIM,LMT,MKT,STP,WHATIF",
        row.get("validExchanges", row["exchange"]),
        row.get("priceMagnifier", 1),
        row.get("underConId", 0),
        row.get("longName", row["symbol"]),
        row.get("primaryExchange", ""),
        row.get("contractMonth", ""),
        row.get("industry", ""),
        row.get("category", ""),
        row.get("subcategory", ""),
        row.get("timeZoneId", "US/Eastern"),
        row.get("tradingHours", ""),
        row.get("liquidHours", ""),
        "",  # evRule
        "",  # evMultiplier
        0,  # number of security ids
        row.get("aggGroup", 1),
        row.get("underSymbol", ""),
        row.get("underSecType", ""),
        row.get("marketRuleIds", "26"),
        row.get("realExpirationDate", ""),
        row.get("stockType", ""),
        row.get("minSize", 1),
        row.get("sizeIncrement", 1),
        row.get("suggestedSizeIncrement", 1),
    )


def execution(req_id: int, row: Row, traded: Row, when: datetime, version: int) -> bytes:
    """An execution (11) of today."""
    pending = [False] if version >= VERSION_PENDING_PRICE else []
    return frame(
        11,
        req_id,
        row.get("orderId", 0),
        *contract(traded, row.get("exchange", "SMART")),
        row["execId"],
        f"{when:%Y%m%d} {row['time']} US/Eastern",
        row["account"],
        row.get("exchange", "SMART"),
        row["side"],
        float(row["shares"]),
        float(row["price"]),
        row["permId"],
        row.get("clientId", 0),
        0,  # liquidation
        float(row.get("cumQty") or row["shares"]),
        float(row.get("avgPrice") or row["price"]),
        row.get("orderRef", ""),
        "",  # evRule
        "",  # evMultiplier
        "",  # modelCode
        2,  # lastLiquidity: removed
        *pending,
    )


def commission(row: Row) -> bytes:
    """A commission report (59) of an execution."""
    return frame(
        59, 1, row["execId"], row.get("commission"), row.get("currency", "USD"), row.get("realizedPNL", UNSET), "", ""
    )


def history(req_id: int, bars: list[Row]) -> bytes:
    """Daily bars (17) with the span they cover."""
    rows = [
        field
        for bar in bars
        for field in (f"{bar['date']:%Y%m%d}", bar["open"], bar["high"], bar["low"], bar["close"], 0, 0, 0)
    ]
    return frame(17, req_id, _day(bars, 0), _day(bars, -1), len(bars), *rows)


def _day(bars: list[Row], at: int) -> str:
    return f"{bars[at]['date']:%Y%m%d} 00:00:00 US/Eastern" if bars else ""
