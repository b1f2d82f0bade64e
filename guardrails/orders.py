"""An order before it is sent, and what a broker says it would do to the margin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import gcd

from guardrails.errors import OrderError
from guardrails.instruments import Instrument
from guardrails.values import AccountId, finite

MAX_LEGS = 4
"""what one package holds here and on IBKR's SMART route"""


class TimeInForce(StrEnum):
    """How long an order rests; always stated, so that no preset of the broker's decides it."""

    DAY = "DAY"
    GTC = "GTC"


@dataclass(frozen=True, slots=True)
class Leg:
    """One instrument of a package: how many of it one package buys (positive) or sells (negative)."""

    instrument: Instrument
    ratio: int


@dataclass(frozen=True, slots=True)
class Order:
    """A proposal to trade `quantity` packages of 1 to 4 legs in one account.

    `limit` is the price of one package per unit of the legs' multiplier, as exchanges quote it: positive is paid,
    negative is received; None is a market order. OrderError when the legs are none or too many, one instrument stands
    in two legs, a ratio is 0, ratios are not in lowest terms, the quantity is not positive or the limit not a number.
    """

    account: AccountId
    legs: tuple[Leg, ...]
    quantity: int
    limit: float | None = None
    time_in_force: TimeInForce = TimeInForce.DAY

    def __post_init__(self) -> None:
        ratios = [leg.ratio for leg in self.legs]
        keys = [leg.instrument.key for leg in self.legs]
        if not 1 <= len(self.legs) <= MAX_LEGS:
            raise OrderError(f"an order has 1 to {MAX_LEGS} legs, this one has {len(self.legs)}.")
        if len(set(keys)) < len(keys):
            raise OrderError("an instrument stands in two legs: join them into one.")
        if 0 in ratios:
            raise OrderError("a leg has ratio 0: leave it out.")
        if gcd(*ratios) != 1:
            raise OrderError(f"the ratios {ratios} have a common factor: divide them by it and raise the quantity.")
        if self.quantity < 1:
            raise OrderError(f"the quantity is {self.quantity}, it must be at least 1; sell with negative ratios.")
        if self.limit is not None and finite(self.limit) is None:
            raise OrderError(f"the limit {self.limit!r} is not a price.")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of an account without and with an order; None where the broker does not say."""

    before: float | None = None
    change: float | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A broker's own answer to "what if": it may allow, an estimate of ours never does."""

    time: datetime
    initial_margin: Figure = Figure()
    maintenance_margin: Figure = Figure()
    equity_with_loan: Figure = Figure()
    currency: str = ""
    """of the margin figures: the account's base currency"""
    commission: float | None = None
    commission_range: tuple[float | None, float | None] = (None, None)
    """at least, at most"""
    commission_currency: str = ""
    warnings: tuple[str, ...] = ()
    """the broker's own words"""
    unknown: str = ""
    """why the margin is not known, with the broker's words; empty only when initial and maintenance margin after and
    equity after are all known"""

    @property
    def excess_after(self) -> float | None:
        """Excess liquidity with the order: equity with loan minus maintenance margin; None when either is unknown."""
        equity, margin = self.equity_with_loan.after, self.maintenance_margin.after
        return None if self.unknown or equity is None or margin is None else equity - margin
