"""The text protocol of TWS: a four-byte length, then fields that each end in NUL.

Written from what ib_async 2.1.0 sends (client.py) and decodes (decoder.py), for server versions 170 to 178.
"""

# ruff: noqa: N815  # IBKR's own field names, as in books and in ib_async
from __future__ import annotations

import math
import struct
from typing import NamedTuple

UNSET = 1.7976931348623157e308
"""how IBKR writes a number it does not have"""
LOWEST, HIGHEST = 170, 178
"""server versions whose layouts are known here"""
VERSION_NO_FA_PROFILE = 177
VERSION_PENDING_PRICE = 178

REQUESTS = {
    1: "reqMktData", 2: "cancelMktData", 3: "placeOrder", 4: "cancelOrder", 5: "reqOpenOrders", 6: "reqAccountUpdates",
    7: "reqExecutions", 8: "reqIds", 9: "reqContractDetails", 15: "reqAutoOpenOrders", 16: "reqAllOpenOrders",
    17: "reqManagedAccts", 20: "reqHistoricalData", 21: "exerciseOptions", 25: "cancelHistoricalData",
    49: "reqCurrentTime", 58: "reqGlobalCancel", 59: "reqMarketDataType", 61: "reqPositions",
    62: "reqAccountSummary", 63: "cancelAccountSummary", 64: "cancelPositions", 71: "startApi",
    76: "reqAccountUpdatesMulti", 77: "cancelAccountUpdatesMulti", 78: "reqSecDefOptParams", 91: "reqMarketRule",
    92: "reqPnL", 93: "cancelPnL", 94: "reqPnLSingle", 95: "cancelPnLSingle", 99: "reqCompletedOrders",
}  # fmt: skip
"""names of the requests by their number; any other is counted as `request N`"""


def text(value: object) -> str:
    """`value` as TWS writes it: flags 1 or 0, absent empty, Java's spelling of NaN and of the unset double."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return "1.7976931348623157E308" if value == UNSET else repr(value)
    return str(value)


def frame(*fields: object) -> bytes:
    """One message ready for the wire."""
    body = "".join(f"{text(field)}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


def split(buffer: bytearray) -> list[list[str]]:
    """The complete messages at the start of `buffer`, which are removed from it, each as its fields."""
    messages = []
    while len(buffer) >= 4:
        end = 4 + struct.unpack(">I", buffer[:4])[0]
        if len(buffer) < end:
            break
        messages.append(bytes(buffer[4:end]).decode(errors="backslashreplace").split("\0")[:-1])
        del buffer[:end]
    return messages


class Asked(NamedTuple):
    """A contract as a client writes it: twelve texts."""

    conId: str
    symbol: str
    secType: str
    lastTradeDateOrContractMonth: str
    strike: str
    right: str
    multiplier: str
    exchange: str
    primaryExchange: str
    currency: str
    localSymbol: str
    tradingClass: str

    @property
    def con_id(self) -> int:
        """The contract number, 0 when none was given."""
        return int(self.conId or 0)


class Fields:
    """The fields of one message, taken from the left."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._at = 0

    def take(self, count: int) -> list[str]:
        """The next `count` fields; IndexError when the message ends before."""
        taken = self._fields[self._at : self._at + count]
        if len(taken) < count:
            raise IndexError(f"message has {len(self._fields)} fields, wanted {count} more after {self._at}")
        self._at += count
        return taken

    def word(self) -> str:
        """The next field."""
        return self.take(1)[0]

    def whole(self) -> int:
        """The next field as an integer, 0 when empty."""
        return int(self.word() or 0)

    def flag(self) -> bool:
        """The next field as a flag."""
        return self.word() in ("1", "True", "true")

    def contract(self) -> Asked:
        """The next twelve fields as a contract."""
        return Asked(*self.take(12))
