"""A stand-in for TWS in a process of its own, a book for it of any size, and an engine that reads it.

The process apart is the point: what the stand-in costs must not be counted as ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from adapters.ibkr.source import Gateway, IbkrSource
from benchmarks.apart import Apart, obey
from benchmarks.live import running
from guardrails import pricing
from guardrails.calendar import exchange_date
from guardrails.engine import Engine
from guardrails.values import View
from tests.brokers.tws import Tws
from tests.brokers.tws_book import Book
from tests.brokers.tws_dates import resolve

ACCOUNTS = ("DU1000001", "DU1000002")
LEVELS = {
    "SPY": 600.0, "QQQ": 510.0, "IWM": 228.0, "AAPL": 230.0, "MSFT": 430.0,
    "NVDA": 140.0, "AMZN": 205.0, "META": 580.0, "GOOG": 175.0, "TSLA": 340.0,
}  # fmt: skip
INDICES = {"SPX": 6000.0, "VIX": 17.2, "VIX3M": 19.1}
EXPIRIES = ("+14d friday", "+30d friday", "+45d friday", "+60d friday", "+90d friday")
STRIKES = (0.94, 0.97, 1.0, 1.03, 1.06)
"""as shares of the underlying's price"""
VOLATILITY, RATE, FIRST = 0.25, 0.04, 900_000_000
NET_LIQUIDATION = 20_000_000.0
CLOSES = 72


def book(options: int, today: date) -> dict[str, Any]:
    """The data of a stand-in's Book: `options` distinct options on ten shares, in two accounts, quoted with Greeks."""
    contracts = [_share(number, name) for number, name in enumerate(LEVELS)]
    contracts += [_index(number, name) for number, name in enumerate(INDICES, len(LEVELS))]
    quotes = {FIRST + number: _share_quote(level) for number, level in enumerate(LEVELS.values())}
    for number, level in enumerate(INDICES.values(), len(LEVELS)):
        quotes[FIRST + number] = {"last": level, "lastSize": 0, "close": level}
    positions = []
    for number in range(options):
        row = _option(number)
        contracts.append(row)
        quotes[row["conId"]] = _option_quote(row, today)
        held = (-2, 1, -1, 2)[number % 4]
        positions.append({"account": ACCOUNTS[number % 2], "conId": row["conId"], "position": held, "avgCost": 400.0})
    volatility = {FIRST + len(LEVELS) + place: [INDICES[name]] * CLOSES for place, name in ((1, "VIX"), (2, "VIX3M"))}
    return {
        "accounts": {name: _account() for name in ACCOUNTS},
        "contracts": contracts,
        "positions": positions,
        "quotes": quotes,
        "daily_closes": volatility,
    }


def _share(number: int, name: str) -> dict[str, Any]:
    return {
        "conId": FIRST + number, "symbol": name, "secType": "STK", "exchange": "SMART", "primaryExchange": "NASDAQ",
        "validExchanges": "SMART,NASDAQ", "tradingClass": name, "right": "0",
    }  # fmt: skip


def _index(number: int, name: str) -> dict[str, Any]:
    return {"conId": FIRST + number, "symbol": name, "secType": "IND", "exchange": "CBOE", "tradingClass": name}


def _option(number: int) -> dict[str, Any]:
    """Underlyings take turns; then right, strike, expiry."""
    names = list(LEVELS)
    place, turn = number % len(names), number // len(names)
    name, right = names[place], "CP"[turn % 2]
    strike = float(round(LEVELS[name] * STRIKES[turn // 2 % len(STRIKES)]))
    expiry = EXPIRIES[turn // (2 * len(STRIKES)) % len(EXPIRIES)]
    local = f"{name:<6}{{expiry:%y%m%d}}{right}{round(strike * 1000):08d}"
    return {
        "conId": FIRST + 1000 + number, "symbol": name, "secType": "OPT", "expiry": expiry, "strike": strike,
        "right": right, "multiplier": "100", "exchange": "SMART", "validExchanges": "SMART,CBOE",
        "localSymbol": local, "tradingClass": name, "underConId": FIRST + place, "underSymbol": name,
        "underSecType": "STK",
    }  # fmt: skip


def _share_quote(level: float) -> dict[str, Any]:
    sides = {"bid": level - 0.05, "ask": level + 0.05, "bidSize": 400, "askSize": 300}
    return {**sides, "last": level, "lastSize": 100, "close": level * 0.995, "volume": 1_000_000, "halted": 0}


def _option_quote(row: dict[str, Any], today: date) -> dict[str, Any]:
    """Quote and model at one volatility."""
    spot = LEVELS[row["symbol"]]
    years = (resolve(row["expiry"], today) - today).days / 365.0
    sign, rate = (1.0 if row["right"] == "C" else -1.0), np.array([RATE])
    one = pricing.Options(np.array([sign]), np.array([spot]), np.array([row["strike"]]), np.array([years]), rate, rate)
    found = pricing.sensitivities(one, np.array([VOLATILITY]))
    price = max(round(float(found.price[0]), 2), 0.05)
    greeks = {name: round(float(getattr(found, name)[0]), 6) for name in ("delta", "gamma", "vega", "theta")}
    model = {"iv": VOLATILITY, "price": price, "pvDividend": 0.0, "undPrice": spot, **greeks}
    sides = {"bid": round(price - 0.02, 2), "ask": round(price + 0.02, 2), "bidSize": 30, "askSize": 20}
    return {**sides, "last": price, "lastSize": 1, "close": price, "volume": 500, "halted": 0, "model": model}


def _account() -> dict[str, Any]:
    """A portfolio margin account, a quarter of it in use."""
    nlv, used = NET_LIQUIDATION, NET_LIQUIDATION / 4
    values = {"NetLiquidation": nlv, "EquityWithLoanValue": nlv, "TotalCashValue": nlv, "BuyingPower": nlv * 4}
    for view in ("", "Full", "LookAhead"):
        values |= {f"{view}InitMarginReq": used, f"{view}MaintMarginReq": used}
        values |= {f"{view}AvailableFunds": nlv - used, f"{view}ExcessLiquidity": nlv - used}
    ledger = {"CashBalance": nlv, "TotalCashBalance": nlv, "ExchangeRate": "1.00", "NetLiquidationByCurrency": nlv}
    return {
        "currency": "USD",
        "values": values,
        "plain": {"AccountReady": "true", "AccountType": "INDIVIDUAL", "Cushion": "0.75", "LookAheadNextChange": "0"},
        "ledger": {"USD": ledger, "BASE": ledger},
        "pnl": {"daily": 1200.0, "unrealized": 5000.0, "realized": 0.0},
    }


def serve(options: int, lines: int, control: Connection) -> None:
    """Be the stand-in until told to end; each message is a method of Tws with its arguments."""
    today = exchange_date(clock())
    with Tws(Book(book(options, today), today), max_lines=lines) as tws:
        obey(tws, control)


class StandIn(Apart):
    """The stand-in in its process."""

    def __init__(self, options: int, *, lines: int = 100) -> None:
        super().__init__(serve, options, lines)


class Probed(IbkrSource):
    """The product's source, which also remembers on which loop it is read."""

    loop: asyncio.AbstractEventLoop | None = None

    async def view(self, now: datetime) -> View:
        self.loop = asyncio.get_running_loop()
        return await super().view(now)


def clock() -> datetime:
    """The real time: the client library stamps its messages with it."""
    return datetime.now(UTC)


@contextmanager
def reading(port: int, *, lines: int = 100) -> Iterator[tuple[Engine, Probed]]:
    """An engine as the program makes it, started, with nothing but this source."""
    source = Probed(Gateway(port=port, lines=lines), clock)
    with running(source, clock) as engine:
        yield engine, source
