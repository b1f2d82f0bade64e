"""What the stand-in knows: accounts, positions, instruments and their market, read from one YAML file.

Rows use tastytrade's own field names. Expiries are relative (see tws_dates); texts may carry `{expiry:%y%m%d}`,
`{code}` (futures month and one digit of the year, `Z6`) and `{code2}` (two digits, `Z26`). books/tasty.yaml shows the
format.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.brokers.tws_dates import future_code, is_session, resolve, session_before, sessions_until
from tests.brokers.written import written

Row = dict[str, Any]
NEW_YORK = ZoneInfo("America/New_York")
CHICAGO = ZoneInfo("America/Chicago")


class Book:
    """Everything the stand-in can say, as plain rows; a test may change them before it starts."""

    def __init__(self, data: Row, today: date) -> None:
        self.today = today
        self.instruments: dict[str, Row] = {}
        """by tastytrade symbol"""
        self._names: dict[str, str] = {}
        """name in the file or streamer symbol -> tastytrade symbol"""
        for name, row in data.get("instruments", {}).items():
            self._names[name] = self.add(row)
        self.market: dict[str, Row] = {self.symbol(name): dict(row) for name, row in data.get("market", {}).items()}
        self.metrics: dict[str, Row] = {name: dict(row) for name, row in data.get("metrics", {}).items()}
        self.closes: dict[str, list[float]] = dict(data.get("daily_closes", {}))
        self.risk_free_rate = str(data.get("risk_free_rate", "0.04"))
        self.accounts: dict[str, Row] = {name: dict(row) for name, row in data["accounts"].items()}
        self.positions: dict[str, dict[str, Row]] = {name: {} for name in self.accounts}
        for row in data.get("positions", ()):
            told = {key: value for key, value in row.items() if key not in ("account", "instrument")}
            self.positions[row["account"]][self.symbol(row["instrument"])] = told

    @classmethod
    def load(cls, path: str | Path, today: date) -> Book:
        """The book in a YAML file as it reads on `today`; KeyError names what a row lacks."""
        return cls(written(path), today)

    def add(self, row: Row) -> str:
        """The symbol of one more instrument, written as in the file."""
        told = _dated(row, self.today)
        symbol: str = told["symbol"]
        self.instruments[symbol] = told
        self._names[told["streamer-symbol"]] = symbol
        return symbol

    def symbol(self, name: str) -> str:
        """The tastytrade symbol behind a name in the file, a streamer symbol, or itself. KeyError when unknown."""
        return name if name in self.instruments else self._names[name]

    def known(self, name: str) -> Row | None:
        """The instrument behind any of its names, else None."""
        symbol = name if name in self.instruments else self._names.get(name, "")
        return self.instruments.get(symbol)

    def streamed(self, streamer_symbol: str) -> Row | None:
        """The instrument with this very streamer symbol, else None: dxFeed knows no other names."""
        row = self.known(streamer_symbol)
        return row if row is not None and row["streamer-symbol"] == streamer_symbol else None

    def of_type(self, *types: str) -> Iterator[Row]:
        """Instruments of some tastytrade types."""
        return (row for row in self.instruments.values() if row["instrument-type"] in types)

    def price(self, symbol: str) -> float | None:
        """One unit now: the middle of bid and ask, else the last, else None."""
        told = self.market.get(symbol, {})
        bid, ask = told.get("bid"), told.get("ask")
        return round((bid + ask) / 2, 6) if bid is not None and ask is not None else told.get("last")

    def bars(self, symbol: str) -> list[tuple[date, float, float]]:
        """Daily bars, oldest first: day, open, close. The last is today's so far, when the market is open today."""
        closes = list(self.closes.get(symbol, ()))
        days = sessions_until(session_before(self.today), len(closes))
        last = self.market.get(symbol, {}).get("last")
        if closes and last is not None and is_session(self.today):
            days, closes = [*days, self.today], [*closes, last]
        opens = [closes[0], *closes[:-1]] if closes else []
        return list(zip(days, opens, closes, strict=True))

    def sessions(self, count: int) -> list[date]:
        """The `count` sessions before today, oldest first."""
        return sessions_until(session_before(self.today), count)

    def at(self, expression: str | date) -> date:
        """The day an expression of tws_dates means."""
        return resolve(expression, self.today)


def _dated(row: Row, today: date) -> Row:
    """An instrument with its dates resolved and its texts filled in."""
    told = {"streamer-symbol": row["symbol"], **row}
    if "expiry" not in row:
        return told
    expiry = resolve(row["expiry"], today)
    code = future_code(expiry)
    named = {"expiry": expiry, "code": code, "code2": f"{code[0]}{expiry:%y}"}
    filled = {key: value.format(**named) if isinstance(value, str) else value for key, value in told.items()}
    last_trade = session_before(expiry) if row.get("settlement-type") == "AM" and "root-symbol" in row else expiry
    return {**filled, "expiry": expiry, "stops": _end(row, last_trade), "expires": _end(row, expiry)}


def _end(row: Row, day: date) -> datetime:
    """When it stops or expires that day: 16:00 New York; futures and quarterly options on them 08:30 Chicago (AM)."""
    if row["instrument-type"] in ("Future", "Future Option"):
        hour, minute = (8, 30) if row.get("settlement-type", "AM") == "AM" else (15, 0)
        return datetime.combine(day, time(hour, minute), CHICAGO).astimezone(UTC)
    return datetime.combine(day, time(16), NEW_YORK).astimezone(UTC)
