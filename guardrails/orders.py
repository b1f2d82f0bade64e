"""Orders: before they are sent, what a broker says they would do to the margin, and what it says became of them."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from guardrails.errors import OrderError
from guardrails.instruments import Instrument, Kind, Settlement
from guardrails.values import AccountId, finite

MAX_LEGS = 4
"""what one package holds here and on IBKR's SMART route"""


class TimeInForce(StrEnum):
    """How long an order rests; always stated, so that no preset of the broker's decides it."""

    DAY = "DAY"
    GTC = "GTC"


class OrderType(StrEnum):
    """What price an order accepts."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    MOC = "MOC"
    """at the price of the close, whatever it is"""


_AT_MARKET = (Kind.EQUITY, Kind.FUTURE)
"""what may be traded at whatever price: quotes of options are too wide for it"""


@dataclass(frozen=True, slots=True)
class Leg:
    """One instrument of a package: how many of it one package buys (positive) or sells (negative)."""

    instrument: Instrument
    ratio: int


@dataclass(frozen=True, slots=True)
class Order:
    """A proposal to trade `quantity` packages of 1 to 4 legs in one account.

    `limit` is the price of one package per unit of the legs' multiplier, as exchanges quote it: positive is paid,
    negative is received; None is a market order, `at_close` one at the price of the close. OrderError when the legs are
    none or too many, one instrument stands in two legs, a ratio is 0, ratios are not in lowest terms, the quantity is
    not positive, the limit not a number, or something but one share or future is to be traded without a limit.
    """

    account: AccountId
    legs: tuple[Leg, ...]
    quantity: int
    limit: float | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    at_close: bool = False

    def __post_init__(self) -> None:
        ratios = [leg.ratio for leg in self.legs]
        keys = [leg.instrument.key for leg in self.legs]
        if not 1 <= len(self.legs) <= MAX_LEGS:
            raise OrderError(f"an order has 1 to {MAX_LEGS} legs, this one has {len(self.legs)}.")
        if len(set(keys)) < len(keys):
            raise OrderError("an instrument stands in two legs: join them into one.")
        if 0 in ratios:
            raise OrderError("a leg has ratio 0: leave it out.")
        if math.gcd(*ratios) != 1:
            raise OrderError(f"the ratios {ratios} have a common factor: divide them by it and raise the quantity.")
        if self.quantity < 1:
            raise OrderError(f"the quantity is {self.quantity}, it must be at least 1; sell with negative ratios.")
        if self.limit is not None and finite(self.limit) is None:
            raise OrderError(f"the limit {self.limit!r} is not a price.")
        if self.at_close and self.limit is not None:
            raise OrderError(f"an order at the close takes whatever price it gets: leave the limit {self.limit} out.")
        if self.limit is None and (len(self.legs) > 1 or self.legs[0].instrument.kind not in _AT_MARKET):
            raise OrderError("options and packages are traded with a limit only: name a price.")

    @property
    def type(self) -> OrderType:
        """What price it accepts."""
        if self.at_close:
            return OrderType.MOC
        return OrderType.MARKET if self.limit is None else OrderType.LIMIT

    @property
    def trades(self) -> tuple[Trade, ...]:
        """What it changes when all of it is filled, leg by leg."""
        return tuple(Trade(self.account, leg.instrument, float(leg.ratio * self.quantity)) for leg in self.legs)


@dataclass(frozen=True, slots=True)
class Trade:
    """A signed quantity of one instrument that comes into an account (positive) or leaves it (negative)."""

    account: AccountId
    instrument: Instrument
    quantity: float


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
    """why the margin is not known, with the broker's words; empty only when initial and maintenance margin after are
    known, and equity or buying power after"""
    buying_power_after: float | None = None
    """what could still be used with the order, from a broker that says this and not the equity (tastytrade)"""

    @property
    def excess_after(self) -> float | None:
        """Excess liquidity with the order: equity with loan minus maintenance margin; None when it is unknown.

        From a broker that does not tell the equity it is the buying power left, which is never more.
        """
        equity, margin = self.equity_with_loan.after, self.maintenance_margin.after
        if self.unknown:
            return None
        if equity is None:
            return self.buying_power_after
        return None if margin is None else equity - margin


class OrderState(StrEnum):
    """Where an order is in its life; the legal ways from one to another stand in `guardrails.execution.life`."""

    DRAFT = "DRAFT"
    APPROVED = "APPROVED"
    INTENT_SAVED = "INTENT_SAVED"
    """durable, with its key; nothing has been sent"""
    SENT = "SENT"
    """handed to the broker, which has not said anything yet"""
    WORKING = "WORKING"
    PARTIAL = "PARTIAL"
    """a part is filled, the rest works"""
    FILLED = "FILLED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    """it may still be filled"""
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    """it may live at the broker; nothing is sent again"""

    @property
    def is_over(self) -> bool:
        """Whether nothing can become of it any more."""
        return self in (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED)


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """One order as its broker tells of it, whoever sent it."""

    account: AccountId
    reference: str
    """the broker's own identity of it: permId, order id"""
    key: str
    """the unique key under which it was sent (`orderRef`, `external_identifier`); empty when it bears none"""
    legs: tuple[Leg, ...]
    """empty when they cannot be read, then `unread` says why"""
    quantity: float
    """packages"""
    filled: float
    """packages"""
    state: OrderState
    """WORKING, PARTIAL, FILLED, CANCEL_REQUESTED, CANCELLED or REJECTED; UNKNOWN where the broker says none of these"""
    limit: float | None = None
    """as in `Order`: of one package, positive is paid; None when it has none"""
    time_in_force: str = ""
    sender: str = ""
    """who sent it, when it was not this program under this login: `TWS`, `client 5`, `tastytrade`"""
    cancellable: bool = True
    """whether this program can ask for its cancellation"""
    words: str = ""
    """the broker's own, redacted: why it was rejected, why it is held"""
    time: datetime | None = None
    """when the broker last changed it"""
    unread: str = ""

    @property
    def remaining(self) -> float:
        """Packages that can still be filled; 0 when it is over, without end where a figure of them is not known."""
        if self.state.is_over:
            return 0.0
        whole, done = finite(self.quantity), finite(self.filled)
        return math.inf if whole is None or done is None else max(whole - done, 0.0)


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of one instrument; a package gives one for each leg, never one for itself."""

    execution: str
    """the broker's identity of it; a correction bears the same and a higher `revision`, and replaces it"""
    revision: int
    account: AccountId
    instrument: Instrument
    quantity: float
    """signed: negative is sold"""
    price: float
    """of one unit, without the multiplier"""
    time: datetime
    key: str = ""
    """of the order, as in `BrokerOrder`; empty: it was not sent by this program"""
    reference: str = ""
    """the broker's identity of the order"""
    fees: float | None = None
    """paid, positive; None while the broker has not said"""
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class OrdersRead:
    """Everything a broker says of orders and executions at one moment."""

    source: str
    time: datetime
    orders: tuple[BrokerOrder, ...] = ()
    """working ones of every sender, and those of today that are over"""
    fills: tuple[Fill, ...] = ()
    """today's"""
    missing: str = ""
    """what it does not say, in words (`completed orders`); empty when this is all there is"""


@dataclass(frozen=True, slots=True)
class PriceRule:
    """Which prices a venue takes: (from this absolute price on, a multiple of this), rising; the first from 0."""

    steps: tuple[tuple[Decimal, Decimal], ...]

    def tick(self, price: float) -> Decimal:
        """The increment at `price`, which may be below zero."""
        starts = [start for start, _ in self.steps]
        return self.steps[max(bisect_right(starts, abs(Decimal(str(price)))) - 1, 0)][1]

    def rounded(self, price: float, *, up: bool) -> float:
        """The nearest price the venue takes, not below `price` when `up`, else not above it."""
        tick = self.tick(price)
        way = ROUND_CEILING if up else ROUND_FLOOR
        return float((Decimal(str(price)) / tick).to_integral_value(way) * tick)

    def fits(self, price: float) -> bool:
        """Whether the venue takes `price`."""
        return Decimal(str(price)) % self.tick(price) == 0


@dataclass(frozen=True, slots=True)
class ChainExpiry:
    """One expiry of the options listed on an underlying; two roots of one date are two."""

    underlying: str
    """canonical symbol"""
    expiry: date
    root: str
    """`SPX`, `SPXW`, `EW4`"""
    settlement: Settlement | None = None
