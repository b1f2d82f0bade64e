"""What the brokers and the market say, as immutable values with source and time.

Absent is None, never 0, NaN or a sentinel; adapters filter those at their edge with `finite`. All times are aware UTC.
Figures are floats: a risk number needs fifteen digits, not a ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from guardrails.instruments import Instrument

SENTINEL = 1e300
"""IBKR writes "unset" as 1.7976931348623157e308; anything beyond this bound is absent"""


def finite(value: object) -> float | None:
    """`value` as a float, or None when it is absent: None, empty, NaN, infinite, an unset double, not a number."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever the broker sent; TypeError is handled
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < SENTINEL else None


@dataclass(frozen=True, slots=True)
class Observed:
    """One number somebody published: value, when, by whom."""

    value: float
    time: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Greeks:
    """Sensitivities of ONE unit of the instrument (no multiplier, long side), with source and time.

    delta per 1.00 of the underlying; gamma per 1.00 squared; vega per 1 volatility point; theta per calendar day;
    rho per 1 % rate; iv as a fraction. Source: dxFeed and IBKR conventions, which agree.
    """

    delta: float | None
    gamma: float | None
    vega: float | None
    theta: float | None
    iv: float | None
    source: str
    """`tastytrade`, `ibkr`, `statement`, `model` (ours, from a price), `repriced` (ours, from the last
    volatility), `neighbour` (ours, from the volatility of the nearest strike)"""
    time: datetime
    rho: float | None = None


@dataclass(frozen=True, slots=True)
class AccountId:
    """An account at a broker. Only the last four of its number ever leave the process."""

    broker: str
    """display name: `IBKR` or `tastytrade`"""
    number: str = field(repr=False)

    @property
    def masked(self) -> str:
        """The number as it may be shown: `•••4567`."""
        return f"•••{self.number[-4:]}"

    @property
    def hidden(self) -> AccountId:
        """The same account as it may be written down or published: without its number."""
        return AccountId(self.broker, self.masked)

    def __str__(self) -> str:
        return f"{self.broker} {self.masked}"


@dataclass(frozen=True, slots=True)
class Position:
    """A signed quantity of an Instrument in one account."""

    account: AccountId
    instrument: Instrument
    quantity: float | None
    """signed: negative is short; None when the row could not be read (then `reasons` says why)"""
    multiplier: float | None
    """currency units per 1.00 of price and contract; from the record, else the futures table, else None"""
    source: str
    """the source that reported it: `ibkr`, `tastytrade`, `demo`, `statement:NAME`"""
    time: datetime
    """when the broker said so"""
    currency: str = "USD"
    mark: float | None = None
    """price of one unit (per share), without the multiplier"""
    mark_time: datetime | None = None
    bid: float | None = None
    ask: float | None = None
    quote_time: datetime | None = None
    average_price: float | None = None
    """what one unit cost, without the multiplier"""
    day_pnl: float | None = None
    open_pnl: float | None = None
    greeks: Greeks | None = None
    multiplier_source: str = "record"
    """`record`, `table` or `` when unknown"""
    other_greeks: Greeks | None = None
    """what a second source says of the same instrument at the same time, to be compared; never used for risk"""
    reasons: tuple[str, ...] = ()
    """why this row cannot be trusted, in plain words; a row with reasons is UNKNOWN"""
    notes: tuple[str, ...] = ()
    """what a person should know about the row although it can be trusted (file line, duplicate dropped, ...)"""


class Restriction(StrEnum):
    """What a broker does not let an account do now, in its own words."""

    CLOSED = "closed"
    FROZEN = "frozen"
    CLOSING_ONLY = "closing only"
    FUTURES_CLOSING_ONLY = "futures closing only"
    CRYPTO_CLOSING_ONLY = "crypto closing only"
    RISK_REDUCING_ONLY = "risk reducing only"
    MARGIN_CALL = "margin call"
    DAY_TRADE_CALL = "day trade equity call"


class MarginView(StrEnum):
    """Which requirement a margin figure was computed under."""

    CURRENT = "current"
    FULL = "full"
    """overnight requirement, without intraday discounts (IBKR Full*)"""
    LOOK_AHEAD = "look_ahead"
    """after the next margin change (IBKR LookAhead*)"""
    POST_EXPIRY = "post_expiry"


@dataclass(frozen=True, slots=True)
class Margin:
    """One margin figure of an account or of one of its segments, in the account's currency."""

    view: MarginView
    segment: str
    """`total`, `securities` or `commodities`"""
    net_liquidation: float | None
    """equity the requirement is held against, of this segment"""
    maintenance: float | None
    excess: float | None
    """excess liquidity: below zero the broker liquidates"""


@dataclass(frozen=True, slots=True)
class Account:
    """Money of one account, in its own currency."""

    id: AccountId
    source: str
    time: datetime
    """the broker's own timestamp of these figures"""
    currency: str = "USD"
    net_liquidation: float | None = None
    cash: float | None = None
    buying_power: float | None = None
    day_pnl: float | None = None
    """as the broker reports it; shown beside our own, never decides"""
    margins: tuple[Margin, ...] = ()
    expected_views: tuple[MarginView, ...] = (MarginView.CURRENT,)
    """the margin views this kind of broker reports; one that is missing is UNKNOWN, not absent by nature"""
    margin_by_underlying: Mapping[str, float] | None = None
    """maintenance per underlying symbol (tastytrade margin report); None when the broker does not report it"""
    next_margin_change: datetime | None = None
    prior_net_liquidation: Observed | None = None
    """net liquidation at the end of the previous session as the broker reports it"""
    cash_flows: float | None = None
    """deposits minus withdrawals since `prior_net_liquidation`; None when not reported"""
    margin_call: bool | None = None
    restrictions: tuple[Restriction, ...] | None = None
    """what the broker does not let this account do now; None when it does not say"""
    sma: float | None = None
    """special memorandum account (Reg T): a margin account in which it is below zero at the close is liquidated"""


@dataclass(frozen=True, slots=True)
class Price:
    """What the market says about one thing that is not an option: equity, index, future."""

    value: float
    time: datetime
    source: str
    bid: float | None = None
    ask: float | None = None
    close: float | None = None
    """previous session's official close"""


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask of one unit; None where there is none."""

    bid: float | None
    ask: float | None
    time: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is published about one underlying beside its price; volatilities, rank and percentile are fractions."""

    symbol: str
    """canonical symbol of the underlying"""
    time: datetime
    source: str
    correlation: float | None = None
    """to SPY over three months, -1 to 1: how much the beta says"""
    iv_rank: float | None = None
    """(IV - lowest of 52 weeks) / (highest - lowest of 52 weeks)"""
    iv_percentile: float | None = None
    """share of the last 252 days on which IV was below today's"""
    iv_30d: float | None = None
    """30-day implied volatility a year"""
    hv_30d: float | None = None
    """30-day historical (realised) volatility a year"""
    earnings: date | None = None
    """exchange date of the next report"""
    earnings_estimated: bool | None = None
    """True while the company has not confirmed the date; None when not said"""
    earnings_time: str = ""
    """`before open`, `after close`, `during`, empty when not said"""
    ex_dividend: date | None = None
    """next ex-dividend date"""


@dataclass(frozen=True, slots=True)
class Dividend:
    """What one share pays in cash, once: ahead, or the last one that was paid."""

    ex_date: date
    """exchange date from whose first trade on the share is worth less"""
    amount: float
    currency: str
    source: str
    time: datetime
    """when the source said so"""
    estimated: bool = False
    """nobody has announced it"""


@dataclass(frozen=True, slots=True)
class Market:
    """Levels, prices, betas and rates, each with source and time. Keys are canonical symbols (`SPX`, `/ESZ26`)."""

    vix: Observed | None = None
    vix3m: Observed | None = None
    vix_closes: tuple[tuple[date, float], ...] = ()
    """official daily closes, oldest first"""
    vix3m_closes: tuple[tuple[date, float], ...] = ()
    prices: Mapping[str, Price] = field(default_factory=dict)
    betas: Mapping[str, Observed] = field(default_factory=dict)
    """beta to the S&P 500 by underlying symbol"""
    fx: Mapping[str, Observed] = field(default_factory=dict)
    """US dollars per 1.00 of the currency"""
    risk_free: Observed | None = None
    """continuous rate, fraction a year"""
    metrics: Mapping[str, Metrics] = field(default_factory=dict)
    """by underlying symbol"""
    greeks: Mapping[str, Greeks] = field(default_factory=dict)
    """streamed Greeks of one unit by `Instrument.key`, whoever holds it"""
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    """streamed quotes of options by `Instrument.key`, whoever holds them"""
    open: bool | None = None
    """whether this source's market trades now, when the exchange calendar does not decide (the demo never closes)"""
    dividends: Mapping[str, tuple[Dividend, ...]] = field(default_factory=dict)
    """by underlying symbol: the next ones that are known, and the last one paid"""
    yields: Mapping[str, Observed] = field(default_factory=dict)
    """dividend yield by underlying symbol, fraction a year, continuous; 0 says that it pays none"""


class SourceState(StrEnum):
    """State of a source as a person would say it."""

    LIVE = "live"
    CONNECTING = "connecting"
    STALE = "stale"
    DOWN = "down"
    CLOSED = "closed"
    """the market is closed, so silence is normal"""
    FILE = "file"
    """a statement: a picture of one past moment"""


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of message a source sends, watched by itself, so that a busy one cannot hide a dead one."""

    name: str
    """`positions`, `account IBKR •••4567`, `quotes`, ..."""
    time: datetime | None
    """when it last said anything; None when it never did"""
    works: bool | None = True
    """False when it does not, None while it has not been heard yet"""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One source at one moment."""

    name: str
    state: SourceState
    time: datetime | None
    """when it last said anything"""
    detail: str = ""
    exclusions: tuple[str, ...] = ()
    """what it left out and why, in plain words"""
    condition: str = ""
    """stable short name of what it is in: `connected`, `refused`, `client_id_in_use`, ...; empty for files"""
    since: datetime | None = None
    """since when it has been in this condition"""
    action: str = ""
    """the one thing a person should do about it, empty when nothing"""
    retries: int = 0
    """attempts to connect since the last time it was connected"""
    streams: tuple[Stream, ...] = ()
    warnings: tuple[str, ...] = ()
    """what works only in part (delayed quotes, quotes in turns), in plain words"""
    clock_skew: float | None = None
    """seconds by which its clock is surely ahead of ours (negative: behind); 0 when it may be right; None unknown"""
    quotes_live: bool = False
    """whether its quotes and Greeks are of now although, it being STALE or DOWN, what it says of accounts is not"""


@dataclass(frozen=True, slots=True)
class View:
    """Everything one source says at one moment: what an adapter hands inward."""

    source: Source
    accounts: tuple[Account, ...] = ()
    positions: tuple[Position, ...] = ()
    market: Market = field(default_factory=Market)
