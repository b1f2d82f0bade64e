"""What the stand-in knows: accounts, contracts, positions, quotes, bars, orders, read from one YAML file.

Contract rows use IBKR's own field names. Expiries are relative (see tws_dates), so texts may carry `{expiry:%y%m%d}`,
`{last_trade:%Y%m%d}` and `{code}` (futures month, `Z6`). The format is shown by books/mixed.yaml, line by line.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from tests.brokers.tws_dates import future_code, is_session, resolve, session_before, sessions_until
from tests.brokers.tws_wire import Asked
from tests.brokers.written import written

Row = dict[str, Any]
MATCHED = ("symbol", "secType", "currency", "localSymbol", "tradingClass", "multiplier", "primaryExchange")
DERIVATIVES = ("OPT", "FUT", "FOP")


class Book:
    """Everything the stand-in can say, as plain rows that a test may change before or, through `Tws`, while it runs."""

    def __init__(self, data: Row, today: date) -> None:
        self.today = today
        self.contracts: dict[int, Row] = {}
        for row in data.get("contracts", ()):
            self.contracts[row["conId"]] = dated(row, today)
        self.accounts = {name: _values(row) for name, row in data["accounts"].items()}
        self.currencies: dict[str, str] = {name: row.get("currency", "USD") for name, row in data["accounts"].items()}
        self.pnl: dict[str, Row] = {name: dict(row.get("pnl", {})) for name, row in data["accounts"].items()}
        self.ledger_tags = {
            tag for row in data["accounts"].values() for own in row.get("ledger", {}).values() for tag in own
        }
        self.positions: dict[tuple[str, int], tuple[float, float]] = {
            (row["account"], row["conId"]): (row["position"], row["avgCost"]) for row in data.get("positions", ())
        }
        self.quotes: dict[int, Row] = {number: dict(row) for number, row in data.get("quotes", {}).items()}
        self.closes: dict[int, list[float]] = dict(data.get("daily_closes", {}))
        self.open_orders: list[Row] = list(data.get("open_orders", ()))
        self.completed_orders: list[Row] = list(data.get("completed_orders", ()))
        self.executions: list[Row] = list(data.get("executions", ()))
        self.what_if: Row = dict(data.get("what_if", {}))

    @classmethod
    def load(cls, path: str | Path, today: date) -> Book:
        """The book in a YAML file as it reads on `today`; KeyError names what a row lacks."""
        return cls(written(path), today)

    def find(self, asked: Asked) -> list[Row]:
        """Every contract that fits what was asked, with the exchange asked for; empty when none does."""
        known = [self.contracts[asked.con_id]] if asked.con_id in self.contracts else []
        rows = known if asked.con_id else list(self.contracts.values())
        return [
            {**row, "exchange": asked.exchange or row["exchange"]} for row in rows if asked.con_id or _fits(row, asked)
            if not asked.exchange or asked.exchange in exchanges(row)
        ]  # fmt: skip

    def mark(self, con_id: int) -> float | None:
        """The price of one unit: `mark`, else the middle, else the last, else None."""
        quote = self.quotes.get(con_id, {})
        if quote.get("mark") is not None:
            return float(quote["mark"])
        bid, ask = quote.get("bid"), quote.get("ask")
        if bid is not None and ask is not None and bid > 0:
            return float(bid + ask) / 2
        return quote.get("last")

    def bars(self, con_id: int, end: date) -> list[Row]:
        """Daily bars of an instrument, oldest first: its closes on the sessions before today, and today's so far."""
        closes = self.closes.get(con_id, [])
        days = sessions_until(session_before(self.today), len(closes))
        last = self.quotes.get(con_id, {}).get("last")
        if closes and last is not None and is_session(self.today):
            days, closes = [*days, self.today], [*closes, last]
        opens = [closes[0], *closes[:-1]] if closes else []
        return [
            {"date": day, "open": first, "high": max(first, close), "low": min(first, close), "close": close}
            for day, first, close in zip(days, opens, closes, strict=True)
            if day <= end
        ]


def exchanges(row: Row) -> list[str]:
    """Where a contract may be asked for: its validExchanges."""
    return str(row.get("validExchanges") or row["exchange"]).split(",")


def multiplier(row: Row) -> float:
    """Currency units per point of price, 1 when the text is empty."""
    return float(row.get("multiplier") or 1)


def dated(row: Row, today: date) -> Row:
    """A contract row with its dates resolved and its texts filled in."""
    if "expiry" not in row:
        return dict(row)
    expiry = resolve(row["expiry"], today)
    last_trade = session_before(expiry) if row.get("last_trade") == "session_before" else expiry
    named = {"expiry": expiry, "last_trade": last_trade, "code": future_code(expiry)}
    filled = {key: value.format(**named) if isinstance(value, str) else value for key, value in row.items()}
    last = f"{last_trade:%Y%m%d}"
    return {
        "lastTimes": last,
        "contractMonth": f"{expiry:%Y%m}",
        "realExpirationDate": f"{expiry:%Y%m%d}",
        **filled,
        "lastTradeDateOrContractMonth": last,
    }


def _values(row: Row) -> dict[tuple[str, str], str]:
    """The values of one account by tag and currency, as text."""
    own = row.get("currency", "USD")
    values = {(tag, own): str(value) for tag, value in row.get("values", {}).items()}
    values |= {(tag, ""): str(value) for tag, value in row.get("plain", {}).items()}
    for currency, ledger in row.get("ledger", {}).items():
        values |= {(tag, currency): str(value) for tag, value in ledger.items()}
        values["Currency", currency] = currency
    return values


def _fits(row: Row, asked: Asked) -> bool:
    """Whether a contract agrees with every field that was asked for."""
    if any(
        getattr(asked, key) and getattr(asked, key) != str(row.get(key, "USD" if key == "currency" else ""))
        for key in MATCHED
    ):
        return False
    if not str(row.get("lastTradeDateOrContractMonth", "")).startswith(asked.lastTradeDateOrContractMonth):
        return False
    if float(asked.strike or 0) and float(asked.strike) != float(row.get("strike", 0)):
        return False
    return asked.right[:1] not in ("C", "P") or asked.right[:1] == row.get("right", "")
