"""The book in rows: sums, accounts, positions, and sums over a part of the book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from guardrails.findings import Level

Number = float | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the book; formulas in `guardrails.exposures`."""

    net_liquidation: Number
    delta_dollars: Number
    beta_delta_dollars: Number
    beta_delta_spx: Number
    """in index units: beta-weighted dollar delta / SPX level"""
    beta_delta_spy: Number
    gamma_1pct_dollars: Number
    """beta-weighted"""
    vega_per_point: Number
    vega_30d_per_point: Number
    theta_per_day: Number
    theta_vega_ratio: Number
    bounds: Mapping[str, tuple[Number, Number]] = field(default_factory=dict)
    """[at least, at most] of every total that is not known exactly; null is unbounded"""
    known_part: Mapping[str, Number] = field(default_factory=dict)
    """of every such total, the sum over the positions that are known: not the total"""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account, in US dollars."""

    account: str
    broker: str
    source: str
    as_of: datetime
    age_seconds: float
    currency: str
    net_liquidation: Number
    excess_liquidity: Number
    excess_look_ahead: Number
    cushion: Number
    """worst view and segment"""
    maintenance: Number
    buying_power: Number
    day_pnl: Number
    """against the start of the session, cash flows taken out"""
    day_pnl_broker: Number
    next_margin_change: datetime | None
    level: Level
    sma: Number = None
    """special memorandum account of a Reg T account; null where the broker has none"""
    restrictions: tuple[str, ...] | None = None
    """what the broker does not let the account do now, in its words; null when it does not say"""


@dataclass(frozen=True, slots=True)
class PositionRow:
    """One position; Greeks per unit, exposures of the whole position in US dollars."""

    key: str
    symbol: str
    label: str
    kind: str
    broker: str
    account: str
    source: str
    underlying: str
    group: str
    strategy: str
    """the package this leg belongs to, or nothing"""
    quantity: Number
    multiplier: Number
    currency: str
    mark: Number
    bid: Number
    ask: Number
    market_value: Number
    average_price: Number
    day_pnl: Number
    open_pnl: Number
    delta: Number
    gamma: Number
    vega: Number
    theta: Number
    iv: Number
    greeks_source: str | None
    greeks_age_seconds: Number
    spot: Number
    beta: Number
    delta_dollars: Number
    beta_delta_dollars: Number
    gamma_1pct_dollars: Number
    vega_per_point: Number
    theta_per_day: Number
    expiry: date | None
    dte: int | None
    level: Level
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    model: Number = None
    """unit price by our model, at the volatility shown"""
    residual: Number = None
    """the whole position: our model minus the market, in US dollars"""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Sums over one underlying, underlying group, expiry bucket or account; null where any part is unknown."""

    name: str
    delta_dollars: Number
    beta_delta_dollars: Number
    gamma_1pct_dollars: Number
    vega_per_point: Number
    vega_30d_per_point: Number
    theta_per_day: Number
    positions: int
