"""What can be held. Two brokers that hold the same thing must arrive at the same `Instrument.key`.

Canonical symbols (the brokers' own spellings are translated by `guardrails.symbols`):

    equity, index     `AAPL`, `BRK/B`, `SPX`              class shares with a slash, as tastytrade writes them
    option            `SPXW  260618P05500000`             OCC 21: root padded to 6, yymmdd, C/P, strike x 1000
    future            `/ESZ26`                            two-digit year: one digit repeats every decade
    future option     `./EW4N26 260724C6400`              option code with month and year, expiry, right, strike
    cash, crypto      `EUR`, `BTC/USD`

The underlying future is not part of a future option's symbol because not every broker names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """Type of an instrument; the first half of its key, so that equity ES (Eversource) is never the future."""

    EQUITY = "equity"
    INDEX = "index"
    OPTION = "option"
    INDEX_OPTION = "index_option"
    FUTURE = "future"
    FUTURE_OPTION = "future_option"
    CRYPTO = "crypto"
    CASH = "cash"
    BOND = "bond"  # moves one to one with its own price, which is quoted per 100 of face value
    OTHER = "other"  # warrants, structured products, rubbish: held and listed, but with no risk model, hence UNKNOWN


_OPTIONS = (Kind.OPTION, Kind.INDEX_OPTION, Kind.FUTURE_OPTION)


class Right(StrEnum):
    """Call or put."""

    CALL = "C"
    PUT = "P"


class Settlement(StrEnum):
    """What happens at expiry; the keys of `short_option_dte` in the risk matrix."""

    PHYSICAL = "physical"
    CASH_PM = "cash_pm"
    CASH_AM = "cash_am"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing that can be held; equal in every field means the same thing at every broker."""

    kind: Kind
    symbol: str
    """canonical symbol, see the module docstring; for Kind.OTHER the text the broker sent"""
    underlying: str = ""
    """canonical symbol the option is struck on (`SPX`, `AAPL`, `/ESU26`; `/ES` when the contract is unknown);
    its own symbol for anything that is not an option"""
    root: str = ""
    """option root or product code: `SPXW`, `USO1`, `EW4`, `/ES`"""
    expiry: date | None = None
    """the date the contract expires or settles (for AM-settled SPX the Friday, not the last trading Thursday)"""
    strike: Decimal | None = None
    right: Right | None = None
    settlement: Settlement | None = None
    adjusted: bool = False
    """an option whose deliverable was changed by a corporate action: no Greeks unless the deliverable is known"""

    @property
    def key(self) -> str:
        """Canonical key, `kind:symbol`."""
        return self.kind + ":" + self.symbol  # asked of every position, and in half the time of an f-string

    @property
    def is_option(self) -> bool:
        """Whether it has a strike and a right."""
        return self.kind in _OPTIONS

    @property
    def label(self) -> str:
        """Short name for a person: `SPXW 18Dec26 5500P`, `/ESZ26`, `AAPL`."""
        if not self.is_option or self.expiry is None or self.strike is None or self.right is None:
            return self.symbol
        strike = format(self.strike.normalize(), "f")
        return f"{self.root or self.underlying} {self.expiry.day}{self.expiry:%b%y} {strike}{self.right.value}"
