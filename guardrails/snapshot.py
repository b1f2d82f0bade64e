"""One moment of the book as plain values: the only thing pages, alerts, files and the HTTP API read.

The same dataclasses are the value in memory, the JSON of `risk_snapshot.json` and `/api/snapshot`, and the published
JSON Schema (`guardrails/data/snapshot.schema.json`). Unknown is null. A total is null when any part of it is unknown;
what is known of it stands under `bounds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from guardrails.errors import SourceError
from guardrails.findings import Finding, Level

SCHEMA = "guardrails.snapshot/1"

Number = float | None


@dataclass(frozen=True, slots=True)
class RegimeNow:
    """The regime and why."""

    name: str
    since: datetime | None
    reason: str
    vix: Number
    vix3m: Number
    overlay: bool | None = False
    """inverted term structure: no new short vega; None when it cannot be known"""
    previous: str | None = None
    grace_until: datetime | None = None
    """until then a breach that only the new regime's limits cause is not shouted"""


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


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One kind of message of a source."""

    name: str
    works: bool | None
    """null while it has not been heard yet, and while its source is not connected"""
    age_seconds: Number
    """since it last said anything; null when it never did"""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source."""

    name: str
    state: str
    age_seconds: Number
    detail: str
    exclusions: tuple[str, ...] = ()
    condition: str = ""
    """stable short name of what it is in: `connected`, `refused`, ...; empty for a file"""
    since: datetime | None = None
    """since when it has been in this condition"""
    action: str = ""
    """what a person should do about it, empty when nothing"""
    retries: int = 0
    """attempts to connect since the last time it was connected"""
    streams: tuple[StreamRow, ...] = ()
    warnings: tuple[str, ...] = ()
    """what works only in part"""
    clock_skew: Number = None
    """seconds by which its clock is surely ahead of ours (negative: behind); null when not known"""


@dataclass(frozen=True, slots=True)
class MarketRow:
    """One thing the market says: an index, an underlying that is held, a currency."""

    symbol: str
    value: Number
    """price or level; US dollars per 1.00 of a currency"""
    beta: Number
    """to the S&P 500; null when it is bounded"""
    source: str
    age_seconds: Number


@dataclass(frozen=True, slots=True)
class MetricsRow:
    """What is published about one underlying that is held; volatilities, rank, percentile, premium are fractions."""

    symbol: str
    age_seconds: Number
    """null when nothing is published about it"""
    source: str
    beta: Number
    """to the S&P 500, as it is used; null when it is bounded"""
    correlation: Number
    """to SPY over three months"""
    iv_rank: Number
    """(IV - lowest of 52 weeks) / (highest - lowest)"""
    iv_percentile: Number
    """share of the last 252 days on which IV was below today's"""
    iv_30d: Number
    hv_30d: Number
    premium: Number
    """IV30 / HV30 - 1"""
    threshold: Number
    """0.10 + VIX / 100: from there the premium is rich"""
    signal: str
    """`rich`, `fair`, `cheap`, `unknown`"""
    reason: str = ""
    """why the signal is unknown"""
    earnings: date | None = None
    """exchange date of the next report, today at the earliest"""
    earnings_estimated: bool | None = None
    """null when it is not said whether the company has confirmed the date"""
    earnings_time: str = ""
    """`before open`, `after close`, `during`, empty when not said"""
    ex_dividend: date | None = None
    """next ex-dividend date, today at the earliest"""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of regime."""

    time: datetime
    old: str | None
    new: str
    cause: str
    targets: tuple[str, ...]
    """the limits of the new regime that matter now, in words"""


@dataclass(frozen=True, slots=True)
class StressRow:
    """P&L of the book under one shock, in US dollars."""

    name: str
    index: float
    """return of the S&P 500, fraction"""
    vol: float
    """rise of its 30-day implied volatility, fraction a year: 0.10 is ten points"""
    pnl: Number
    """null when any part is not known exactly"""
    at_least: Number
    """null is unbounded"""
    at_most: Number
    title: str = ""
    """what a person calls a named scenario: `5 Feb 2018`"""
    words: str = ""
    """what it is made of, with dates, sources and proxies"""


@dataclass(frozen=True, slots=True)
class AccountStressRow:
    """One account under shocks; every margin of ours is an estimate, beside what the broker says."""

    account: str
    """broker and masked number"""
    rule: str
    """`strategy` or `portfolio`, whichever comes nearer to the broker's figure"""
    estimate: Number
    """maintenance margin now, by our estimate"""
    maintenance: Number
    """as the broker reports it"""
    excess: Number
    """excess liquidity as the broker reports it, worst view"""
    zero_down: Number
    """index level below the present one at which excess liquidity is zero, by our estimate"""
    zero_up: Number
    """and above; null when there is none within the range searched, when it is not known (then `reason`), and when
    no level of now is known of the index (then `down` and `up` still say returns)"""
    searched: tuple[float, float]
    """index returns between which it was looked for"""
    next_margin_change: datetime | None
    reason: str = ""
    """why the distance is not known; else empty"""
    down: Number = None
    """index return below zero, fraction, at which excess liquidity is zero; known also without a level of the index"""
    up: Number = None
    """and above"""


@dataclass(frozen=True, slots=True)
class StressNow:
    """What the book would be worth."""

    reason: str = ""
    """why nothing is known; else empty"""
    index: Number = None
    """level of the S&P 500 now; null when what is known of it is not of now"""
    curve: tuple[StressRow, ...] = ()
    """by index return, falling to rising, with the volatility that comes with it"""
    scenarios: tuple[StressRow, ...] = ()
    """named, worst first"""
    trough: StressRow | None = None
    """the worst of the curve"""
    accounts: tuple[AccountStressRow, ...] = ()
    residual: Number = None
    """model against market now: gross difference over gross value of the options, fraction"""
    unvalued: tuple[str, ...] = ()
    """positions that cannot be revalued"""
    unvalued_share: float = 0.0
    """of the book, by number or notional, whichever is more"""
    assumptions: tuple[str, ...] = ()
    """in plain words: how volatility follows the index, what is assumed of rates and dividends"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment."""

    schema: str
    as_of: datetime
    level: Level
    safety_state: str
    trading: str
    """`read-only` while trading is off"""
    market_open: bool
    next_session_change: datetime | None
    """when the market closes, or opens"""
    regime: RegimeNow
    totals: Totals
    accounts: tuple[AccountRow, ...]
    positions: tuple[PositionRow, ...]
    findings: tuple[Finding, ...]
    """worst first"""
    sources: tuple[SourceRow, ...]
    groups: tuple[GroupRow, ...] = ()
    underlyings: tuple[GroupRow, ...] = ()
    buckets: tuple[GroupRow, ...] = ()
    account_exposures: tuple[GroupRow, ...] = ()
    """named by broker and masked account"""
    market: tuple[MarketRow, ...] = ()
    """indices first, then the underlyings held, then currencies"""
    metrics: tuple[MetricsRow, ...] = ()
    """one per underlying held, by name"""
    changes: tuple[Change, ...] = ()
    """regime changes of this session, newest first"""
    matrix_version: str = ""
    stress: StressNow = field(default_factory=StressNow)


_SNAPSHOT: TypeAdapter[Snapshot] = TypeAdapter(Snapshot)


def to_json(snapshot: Snapshot) -> bytes:
    """The document as UTF-8 JSON."""
    return _SNAPSHOT.dump_json(snapshot)


def from_json(content: bytes, name: str) -> Snapshot:
    """The Snapshot in a document; SourceError when it is not one of this schema."""
    try:
        snapshot = _SNAPSHOT.validate_json(content)
    except ValueError as error:
        raise SourceError(
            f"{name} is not a {SCHEMA} document ({type(error).__name__}); delete it, it is written anew."
        ) from error
    if snapshot.schema != SCHEMA:
        raise SourceError(
            f"{name} has schema {snapshot.schema!r}, this program reads {SCHEMA}; delete it, it is written anew."
        )
    return snapshot


def read_snapshot(path: Path) -> Snapshot | None:
    """The last document written, or None when there is none; SourceError when it cannot be read."""
    return from_json(path.read_bytes(), path.name) if path.exists() else None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    return {"$id": SCHEMA, **_SNAPSHOT.json_schema(mode="serialization")}
