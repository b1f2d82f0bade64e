"""The first peer: the same sums and verdicts as a careful loop over frozen slotted dataclasses, one object a position.

Written as one would without columns: no numpy; every figure an interval [low, high], because a missing one may not be
zero; netting within underlyings before the beta bounds. Its verdicts are in `benchmarks.verdicts`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from guardrails import calendar
from guardrails.betas import LEVERED_VOLATILITY_BETA, MISSING_BETA, VOLATILITY_BETA
from guardrails.columns import LINEAR, spot_of
from guardrails.exposures import BUCKET_ENDS, BUCKETS
from guardrails.instruments import Kind, Right
from guardrails.portfolio import Portfolio
from guardrails.products import SP500, VOLATILITY_GROUP, group_of
from guardrails.values import Market, Position

DELTA, GAMMA, VEGA, VEGA_30D, THETA = range(5)
Five = tuple[float, float, float, float, float]
"""one figure a measure, in that order"""
WHOLE = "book"
NEAR_DAYS = 7
NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One position, ready to be measured."""

    line: str
    account: str
    underlying: str
    bucket: str
    is_option: bool
    is_linear: bool
    is_cash: bool
    is_contract: bool
    sign: float
    """of the quantity; 0 when it is not known"""
    slope: float
    """+1 call and share, -1 put, 0 when it is not known"""
    quantity: float | None
    multiplier: float | None
    spot: float | None
    fx: float | None
    dte: int
    delta: float | None
    gamma: float | None
    vega: float | None
    theta: float | None
    readable: bool
    position: Position


class Sums:
    """Running intervals of the five measures, each end in a slot of its own: the fastest of three forms tried."""

    __slots__ = ("delta", "delta_top", "gamma", "gamma_top", "missing", "theta", "theta_top", "vega", "vega_30d",
                 "vega_30d_top", "vega_top")  # fmt: skip

    def __init__(self) -> None:
        self.delta = self.gamma = self.vega = self.vega_30d = self.theta = 0.0
        self.delta_top = self.gamma_top = self.vega_top = self.vega_30d_top = self.theta_top = 0.0
        self.missing = False

    def add(self, low: Five, high: Five, missing: bool) -> None:  # noqa: FBT001  # a loop's inner call
        delta, gamma, vega, vega_30d, theta = low
        self.delta += delta
        self.gamma += gamma
        self.vega += vega
        self.vega_30d += vega_30d
        self.theta += theta
        delta, gamma, vega, vega_30d, theta = high
        self.delta_top += delta
        self.gamma_top += gamma
        self.vega_top += vega
        self.vega_30d_top += vega_30d
        self.theta_top += theta
        if missing:
            self.missing = True

    @property
    def ends(self) -> tuple[Five, Five]:
        """Lows and highs in the order of the measures."""
        return (
            (self.delta, self.gamma, self.vega, self.vega_30d, self.theta),
            (self.delta_top, self.gamma_top, self.vega_top, self.vega_30d_top, self.theta_top),
        )


Cells = Mapping[tuple[str, str], Sums]
"""sums by (class, underlying): the netting that comes before the beta bounds"""


@dataclass(frozen=True, slots=True)
class Totals:
    """(low, high) of one class: beta-weighted what has a beta."""

    delta: tuple[float, float]
    beta_delta: tuple[float, float]
    beta_gamma: tuple[float, float]
    vega: tuple[float, float]
    vega_30d: tuple[float, float]
    theta: tuple[float, float]
    missing: bool


def rows_of(portfolio: Portfolio) -> list[Row]:
    """The objects, made from the same Positions the columns are made from."""
    today, market = calendar.exchange_date(portfolio.time), portfolio.market
    rows = []
    for position in portfolio.positions:
        i, greeks = position.instrument, None if position.reasons else position.greeks
        option, quantity = i.is_option, position.quantity
        dte = -1 if i.expiry is None else max((i.expiry - today).days, 0)
        bucket = "" if dte < 0 else BUCKETS[sum(dte > end for end in BUCKET_ENDS)]
        rate = 1.0 if position.currency == "USD" else getattr(market.fx.get(position.currency), "value", None)
        row = Row(
            line=i.key, account=str(position.account), underlying=i.underlying or i.symbol, bucket=bucket,
            is_option=option, is_linear=i.kind in LINEAR, is_cash=i.kind is Kind.CASH,
            is_contract=option or i.kind is Kind.FUTURE,
            sign=0.0 if not quantity else math.copysign(1.0, quantity), slope=-1.0 if i.right is Right.PUT else 1.0,
            quantity=None if position.reasons else quantity, multiplier=position.multiplier,
            spot=spot_of(position, market), fx=rate, dte=dte,
            delta=greeks.delta if greeks else None, gamma=greeks.gamma if greeks else None,
            vega=greeks.vega if greeks else None, theta=greeks.theta if greeks else None,
            readable=not position.reasons,
            position=position,
        )  # fmt: skip
        rows.append(row)
    return rows


def summed(rows: list[Row], market: Market) -> tuple[dict[str, dict[str, Totals]], list[Five]]:
    """Sums by dimension and class (whole book, underlying, group, expiry bucket, account, what expires soon), and the
    known part of each row, which names the largest contributor."""
    cells: dict[str, dict[tuple[str, str], Sums]] = {
        name: defaultdict(Sums) for name in ("underlying", "bucket", "account", "near")
    }
    own, buckets, accounts, near = cells.values()
    known: list[Five] = []
    for row in rows:
        low, high, missing = measure(row)
        known.append(NOTHING if missing else low)
        own[row.underlying, row.underlying].add(low, high, missing)
        accounts[row.account, row.underlying].add(low, high, missing)
        if row.bucket:
            buckets[row.bucket, row.underlying].add(low, high, missing)
        if 0 <= row.dte <= NEAR_DAYS:
            near[WHOLE, row.underlying].add(low, high, missing)
    cells["group"] = {(group_of(name), name): part for (name, _), part in own.items()}
    cells["whole"] = {(WHOLE, name): part for (name, _), part in own.items()}
    betas = {name: beta_of(name, market) for name, _ in own}
    return {dimension: reduced(found, betas) for dimension, found in cells.items()}, known


def measure(row: Row) -> tuple[Five, Five, bool]:
    """Lows, highs, and whether anything is missing, of the five measures in US dollars."""
    if row.is_cash:
        return NOTHING, NOTHING, False
    quantity, multiplier, fx, spot = row.quantity, row.multiplier, row.fx, row.spot
    if quantity is None or multiplier is None or fx is None or spot is None:
        return bounded(row, math.inf)
    size = quantity * multiplier * fx
    if row.is_linear:
        values = (size * spot, 0.0, 0.0, 0.0, 0.0)
        return values, values, False
    delta, gamma, vega, theta = row.delta, row.gamma, row.vega, row.theta
    if not row.is_option or delta is None or gamma is None or vega is None or theta is None:
        return bounded(row, abs(size * spot))
    vega *= size
    weighted = vega * math.sqrt(30.0 / max(row.dte, 1))
    values = (size * spot * delta, size * gamma * spot * spot * 0.01, vega, weighted, size * theta)
    return values, values, False


def bounded(row: Row, reach: float) -> tuple[Five, Five, bool]:
    """A row of which only the reach is known; the books measured here have none."""
    sign = row.sign if row.is_option or row.is_linear else 0.0
    vega = reach * math.sqrt(max(row.dte, 1) / 365.0) / math.sqrt(2.0 * math.pi) / 100.0
    tops = (reach, math.inf, vega, vega * math.sqrt(30.0 / max(row.dte, 1)), math.inf)
    ways = (sign * row.slope, sign, sign, sign, 0.0)
    a, b, c, d, e = (0.0 if way > 0 else -top for top, way in zip(tops, ways, strict=True))
    f, g, h, i, j = (0.0 if way < 0 else top for top, way in zip(tops, ways, strict=True))
    return (a, b, c, d, e), (f, g, h, i, j), True


def beta_of(name: str, market: Market) -> tuple[float, float]:
    """Bounds of the beta of one underlying."""
    group = group_of(name)
    if group == VOLATILITY_GROUP:
        return LEVERED_VOLATILITY_BETA.get(name, VOLATILITY_BETA)
    reading = market.betas.get(name)
    if group == SP500:
        return 1.0, 1.0
    return MISSING_BETA if reading is None else (reading.value, reading.value)


def reduced(cells: Cells, betas: Mapping[str, tuple[float, float]]) -> dict[str, Totals]:
    """Totals by class over its underlyings."""
    parts: dict[str, list[tuple[str, Sums]]] = defaultdict(list)
    for (name, underlying), sums in cells.items():
        parts[name].append((underlying, sums))
    return {name: total(found, betas) for name, found in parts.items()}


def total(parts: list[tuple[str, Sums]], betas: Mapping[str, tuple[float, float]]) -> Totals:
    """Totals of one class: beta applied to each underlying's net; volatility products never offset vega."""
    low, high, missing = [0.0] * 5, [0.0] * 5, False
    weighted: dict[int, list[float]] = {DELTA: [0.0, 0.0], GAMMA: [0.0, 0.0]}
    for name, sums in parts:
        least, most = betas[name]
        ends, missing = sums.ends, missing or sums.missing
        volatility = group_of(name) == VOLATILITY_GROUP
        for place, (bottom, top) in enumerate(zip(*ends, strict=True)):
            spared = volatility and place in (VEGA, VEGA_30D)
            low[place] += min(bottom, 0.0) if spared else bottom
            high[place] += min(top, 0.0) if spared else top
        for place, factors in ((DELTA, (least, most)), (GAMMA, (least**2, most**2))):
            bottom, top = beta_weighted(ends[0][place], ends[1][place], factors)
            weighted[place][0] += bottom
            weighted[place][1] += top
    d, _, v, w, t = zip(low, high, strict=True)
    return Totals(
        d, (weighted[DELTA][0], weighted[DELTA][1]), (weighted[GAMMA][0], weighted[GAMMA][1]), v, w, t, missing
    )


def beta_weighted(low: float, high: float, factors: tuple[float, float]) -> tuple[float, float]:
    """An interval times an interval; nothing times an unbounded side stays nothing."""
    if low == high and factors[0] == factors[1]:
        return low * factors[0], low * factors[0]
    corners = [0.0 if math.isnan(end * factor) else end * factor for end in (low, high) for factor in factors]
    return min(corners), max(corners)
