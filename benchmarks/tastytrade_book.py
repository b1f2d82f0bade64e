"""A stand-in for tastytrade in a process of its own, and a book for it of any size."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection

import numpy as np

from benchmarks.apart import Apart, obey
from guardrails import pricing
from guardrails.calendar import exchange_date
from tests.brokers.tasty import Tasty
from tests.brokers.tasty_book import Book, Row
from tests.brokers.tasty_line import Line
from tests.brokers.tasty_stream import MOST, Stream
from tests.brokers.tws_dates import resolve

ACCOUNTS = ("5WT10001", "5WT10002")
LEVELS = {
    "SPY": 600.0, "QQQ": 510.0, "IWM": 228.0, "AAPL": 230.0, "MSFT": 430.0,
    "NVDA": 140.0, "AMZN": 205.0, "META": 580.0, "GOOG": 175.0, "TSLA": 340.0,
}  # fmt: skip
INDICES = {"SPX": 6000.0, "VIX": 17.2, "VIX3M": 19.1}
EXPIRIES = ("+14d friday", "+30d friday", "+45d friday", "+60d friday", "+90d friday")
STRIKES = range(-10, 10)
"""dollars from the underlying's price"""
LARGEST = len(LEVELS) * 2 * len(STRIKES) * len(EXPIRIES)
VOLATILITY, RATE, CLOSES = 0.25, 0.04, 72
NET_LIQUIDATION = 20_000_000.0


def book(options: int, held: int, today: date) -> Book:
    """A book of `options` distinct options on ten shares (at most 2,000), the first `held` of them in two accounts."""
    if not held <= options <= LARGEST:
        raise ValueError(f"{held} of {options} options: at most {LARGEST} can be made, and no more held than made")
    instruments: Row = {name: {"symbol": name, "instrument-type": "Equity"} for name in LEVELS}
    instruments |= {name: {"symbol": name, "instrument-type": "Index"} for name in INDICES}
    market: Row = {name: _share(level) for name, level in LEVELS.items()}
    market |= {name: {"last": level, "close": level} for name, level in INDICES.items()}
    rows = [_option(number, today) for number in range(options)]
    quotes = _quotes([row.pop("terms") for row in rows])
    names = [f"option{number}" for number in range(options)]
    instruments |= dict(zip(names, rows, strict=True))
    market |= dict(zip(names, quotes, strict=True))
    positions = [
        {"account": ACCOUNTS[number % 2], "instrument": name, "quantity": (-2, 1, -1, 2)[number % 4],
         "average-open-price": 4.0}
        for number, name in enumerate(names[:held])
    ]  # fmt: skip
    return Book(
        {
            "accounts": {number: _account() for number in ACCOUNTS},
            "instruments": instruments,
            "positions": positions,
            "market": market,
            "metrics": {name: _metrics() for name in (*LEVELS, "SPX")},
            "daily_closes": {name: [INDICES[name]] * CLOSES for name in ("VIX", "VIX3M")},
            "risk_free_rate": RATE,
        },
        today,
    )


def _share(level: float) -> Row:
    return {"bid": level - 0.05, "ask": level + 0.05, "last": level, "close": level * 0.995, "volume": 1_000_000}


def _option(number: int, today: date) -> Row:
    """Underlyings take turns; then right, strike, expiry. `terms` are sign, spot, strike and years."""
    names = list(LEVELS)
    name, turn = names[number % len(names)], number // len(names)
    right, turn = "CP"[turn % 2], turn // 2
    strike = round(LEVELS[name]) + STRIKES[turn % len(STRIKES)]
    expiry = resolve(EXPIRIES[turn // len(STRIKES)], today)
    terms = (1.0 if right == "C" else -1.0, LEVELS[name], float(strike), (expiry - today).days / 365.0)
    return {
        "symbol": f"{name:<6}{expiry:%y%m%d}{right}{strike * 1000:08d}", "instrument-type": "Equity Option",
        "streamer-symbol": f".{name}{expiry:%y%m%d}{right}{strike}", "underlying-symbol": name, "multiplier": 100,
        "expiry": expiry, "terms": terms,
    }  # fmt: skip


def _quotes(terms: list[tuple[float, float, float, float]]) -> list[Row]:
    """Quotes and Greeks, all at one volatility."""
    sign, spot, strike, years = np.array(terms, dtype=float).reshape(-1, 4).T
    rate = np.full(len(terms), RATE)
    found = pricing.sensitivities(
        pricing.Options(sign, spot, strike, years, rate, rate), np.full(len(terms), VOLATILITY)
    )
    told = []
    for number in range(len(terms)):
        price = max(round(float(found.price[number]), 2), 0.05)
        greeks = {name: round(float(getattr(found, name)[number]), 6) for name in ("delta", "gamma", "vega", "theta")}
        told.append({
            "bid": round(price - 0.02, 2), "ask": round(price + 0.02, 2), "last": price, "close": price,
            "greeks": {"price": price, "volatility": VOLATILITY, "rho": 0.01, **greeks},
        })  # fmt: skip
    return told


def _account() -> Row:
    """A quarter of it in use."""
    nlv, used = NET_LIQUIDATION, NET_LIQUIDATION / 4
    money = {
        "cash-balance": nlv, "net-liquidating-value": nlv, "margin-equity": nlv, "long-derivative-value": 100_000.0,
        "short-derivative-value": 100_000.0, "maintenance-requirement": used, "maintenance-excess": nlv - used,
        "reg-t-margin-requirement": used, "derivative-buying-power": nlv - used, "used-derivative-buying-power": used,
        "equity-buying-power": 2 * (nlv - used), "available-trading-funds": nlv - used,
    }  # fmt: skip
    return {
        "balance": {name: f"{dollars:.2f}" for name, dollars in money.items()},
        "margin_groups": {"SPY": f"{used:.2f}"},
        "eod_net_liquidating_values": [f"{nlv:.2f}"] * 3,
        "transactions": [],
    }


def _metrics() -> Row:
    return {
        "beta": 1.1, "corr-spy-3month": 0.8, "implied-volatility-index": VOLATILITY,
        "implied-volatility-index-rank": 0.3, "implied-volatility-percentile": 0.4,
        "implied-volatility-30-day": 100 * VOLATILITY, "historical-volatility-30-day": 22.0,
    }  # fmt: skip


class Server(Tasty):
    """The stand-in of the tests with two more things to say and do."""

    def only(self, kinds: Collection[str], per_second: float, together: int = MOST) -> None:
        """Send so many events a second in all, of these kinds, at most `together` of them in a message."""

        def work() -> None:
            self._stream = Stream(total=per_second, kinds=kinds, together=together)

        self._do(work)

    def half_open(self) -> None:
        """Say nothing more on the quote sockets that are open now; new ones work."""

        def work() -> None:
            for line in self.connections:
                if line.speaker is not None and line.speaker.kind == "dxlink":
                    line.__class__ = _Deaf

        self._do(work)


class _Deaf(Line):
    """Takes bytes and sends none."""

    def write(self, told: bytes) -> None:
        """Lose `told`."""


def serve(options: int, held: int, ahead: timedelta, control: Connection) -> None:
    """Be the stand-in until told to end; each message names a method or a value of Server, with its arguments."""

    def clock() -> datetime:
        return datetime.now(UTC) + ahead

    with Server(book(options, held, exchange_date(clock())), clock=clock) as server:
        obey(server, control)


class StandIn(Apart):
    """The stand-in in its process."""

    def __init__(self, options: int, ahead: timedelta, *, held: int | None = None) -> None:
        super().__init__(serve, options, options if held is None else held, ahead)
