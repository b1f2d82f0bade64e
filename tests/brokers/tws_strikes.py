"""Whole option chains for a book: contracts, quotes and Greeks of many strikes, all at one volatility."""

from __future__ import annotations

from collections.abc import Iterable
from math import erf, exp, log, pi, sqrt
from typing import Any

from tests.brokers.tws_book import Book, dated
from tests.brokers.tws_dates import resolve

FIRST = 710_000_001
"""contract number of the first option; the others follow"""
SHIPPED: tuple[dict[str, Any], ...] = (
    {"under": 416904, "root": "SPXW", "expiry": "+30d friday", "strikes": range(5400, 6605, 50), "volatility": 0.17},
    {"under": 416904, "root": "SPXW", "expiry": "+45d friday", "strikes": range(5400, 6605, 50), "volatility": 0.175},
    {"under": 265598, "root": "AAPL", "expiry": "next_monthly", "strikes": range(200, 265, 5), "volatility": 0.25},
)
"""of `--chain`: beside the mixed book"""


def add_chain(
    book: Book, *, under: int, root: str, expiry: str, strikes: Iterable[int], volatility: float
) -> list[int]:
    """Put calls and puts of these strikes on contract `under` into `book`; the numbers of those that are new."""
    owner = book.contracts[under]
    spot = book.mark(under)
    assert spot is not None
    day = resolve(expiry, book.today)
    years = max((day - book.today).days, 1) / 365
    index = owner["secType"] == "IND"
    known = {
        (row.get("tradingClass"), row.get("realExpirationDate"), float(row.get("strike", 0)), row.get("right"))
        for row in book.contracts.values()
    }
    number = max((*book.contracts, FIRST - 1)) + 1
    new = []
    for strike in strikes:
        for right in "CP":
            if (root, f"{day:%Y%m%d}", float(strike), right) in known:
                continue
            row = {
                "conId": number, "symbol": owner["symbol"], "secType": "OPT", "expiry": expiry, "strike": strike,
                "right": right, "multiplier": "100", "exchange": "SMART", "validExchanges": "SMART,CBOE",
                "localSymbol": f"{root:<6}{day:%y%m%d}{right}{strike * 1000:08d}", "tradingClass": root,
                "minTick": 0.05 if index else 0.01, "marketRuleIds": "109,109" if index else "32,32",
                "underConId": under, "underSymbol": owner["symbol"], "underSecType": owner["secType"],
            }  # fmt: skip
            book.contracts[number] = dated(row, book.today)
            book.quotes[number] = quote(spot, strike, right, years, volatility, 0.1 if index else 0.05)
            new.append(number)
            number += 1
    return new


def quote(spot: float, strike: float, right: str, years: float, volatility: float, width: float) -> dict[str, Any]:
    """Bid, ask and Greeks of one option, without interest and dividends."""
    spread = volatility * sqrt(years)
    d1 = log(spot / strike) / spread + spread / 2
    d2 = d1 - spread
    sign = 1 if right == "C" else -1
    price = sign * (spot * _below(sign * d1) - strike * _below(sign * d2))
    density = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    middle = max(round(price / width) * width, width)
    return {
        "bid": round(middle - width, 2), "ask": round(middle + width, 2), "bidSize": 20, "askSize": 20,
        "last": round(middle, 2), "lastSize": 1, "close": round(middle, 2), "volume": 100, "halted": 0,
        "model": {
            "iv": volatility, "delta": round(sign * _below(sign * d1), 5), "price": round(price, 3), "pvDividend": 0.0,
            "gamma": round(density / (spot * spread), 6), "vega": round(spot * density * sqrt(years) / 100, 4),
            "theta": round(-spot * density * volatility / (2 * sqrt(years)) / 365, 4), "undPrice": spot,
        },
    }  # fmt: skip


def _below(value: float) -> float:
    return (1 + erf(value / sqrt(2))) / 2
