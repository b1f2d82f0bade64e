"""From a judged Portfolio to the Snapshot: totals, rows by account, position, underlying and expiry bucket."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from guardrails import calendar
from guardrails.checks.loss import loss_of
from guardrails.checks.margin import cushions
from guardrails.columns import LINEAR, Index
from guardrails.exposures import BUCKETS, Exposures, Interval, Measure
from guardrails.findings import Finding, Level, worst
from guardrails.instruments import Instrument
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.regime import RegimeState
from guardrails.snapshot import (
    SCHEMA,
    AccountRow,
    GroupRow,
    MarketRow,
    PositionRow,
    RegimeNow,
    Snapshot,
    SourceRow,
    StreamRow,
    Totals,
)
from guardrails.strategies import packages
from guardrails.values import Account, MarginView, Position, Source, SourceState, Stream, finite


def summarise(
    portfolio: Portfolio, limits: Limits, state: RegimeState, findings: Sequence[Finding], level: Level, trading: str
) -> Snapshot:
    """The Snapshot of `portfolio`; `findings` are already in order."""
    market, e = portfolio.market, portfolio.exposures
    by_subject: dict[str, list[Level]] = {}
    for finding in findings:
        by_subject.setdefault(finding.subject, []).append(finding.level)
    return Snapshot(
        schema=SCHEMA,
        as_of=portfolio.time,
        level=level,
        safety_state="NORMAL",
        trading=trading,
        market_open=portfolio.market_open,
        next_session_change=_next_change(portfolio),
        regime=RegimeNow(
            name=state.name,
            since=state.since,
            reason=state.reason,
            vix=None if market.vix is None else market.vix.value,
            vix3m=None if market.vix3m is None else market.vix3m.value,
            overlay=state.overlay,
            previous=state.previous,
            grace_until=limits.grace_until if limits.in_grace(portfolio.time) else None,
        ),
        totals=totals_of(portfolio),
        accounts=tuple(_account(account, portfolio, by_subject) for account in portfolio.accounts),
        positions=_positions(portfolio, by_subject),
        findings=tuple(findings),
        sources=tuple(_source(source, portfolio) for source in portfolio.sources),
        groups=_rows_by_group(e),
        underlyings=_rows_by_underlying(e),
        buckets=_rows_by_class(BUCKETS, e.bucket, e),
        account_exposures=_rows_by_class([str(account) for account in e.columns.accounts], e.columns.account, e),
        market=_market(portfolio),
        matrix_version=limits.matrix.version,
    )


def totals_of(portfolio: Portfolio) -> Totals:
    """Sums over the book, null where any part is unknown, with what is known of those under `bounds`."""
    e, prices = portfolio.exposures, portfolio.market.prices
    beta_delta, theta = e.beta_delta().total(), e.theta.total()
    vega = e.total_vega(e.vega)
    sums = {
        "delta_dollars": e.delta.total(),
        "beta_delta_dollars": beta_delta,
        "gamma_1pct_dollars": e.beta_gamma().total(),
        "vega_per_point": vega,
        "vega_30d_per_point": e.total_vega(e.vega_30d),
        "theta_per_day": theta,
    }
    if unread := _unread(portfolio):
        sums = dict.fromkeys(sums, Interval(-math.inf, math.inf, missing=True))
    spx, spy = prices.get("SPX"), prices.get("SPY")
    known = {name: interval.known for name, interval in sums.items()}
    weighted = known["beta_delta_dollars"]
    ratio = (
        theta.known / -vega.known
        if not unread and theta.known is not None and vega.known is not None and vega.known < 0 < theta.known
        else None
    )
    return Totals(
        net_liquidation=None if unread else portfolio.net_liquidation,
        beta_delta_spx=None if weighted is None or spx is None else weighted / spx.value,
        beta_delta_spy=None if weighted is None or spy is None else weighted / spy.value,
        theta_vega_ratio=ratio,
        bounds={name: _ends(interval) for name, interval in sums.items() if interval.known is None},
        known_part={name: part for name, part in _known_parts(e).items() if known[name] is None},
        **known,
    )


def _unread(portfolio: Portfolio) -> bool:
    """Whether a source has never given its positions: what the others hold is then a part, not the book."""
    holding = {position.source for position in portfolio.positions}
    mute = (SourceState.DOWN, SourceState.CONNECTING)
    return any(source.state in mute and source.name not in holding for source in portfolio.sources)


def _known_parts(e: Exposures) -> dict[str, float]:
    """Sums over the positions that are known, which say something but are not the total."""
    weighed = e.beta_low == e.beta_high
    beta = np.where(weighed, e.beta_low, 0.0)[e.columns.underlying]
    columns = {
        "delta_dollars": (e.delta, 1.0),
        "beta_delta_dollars": (e.delta, beta),
        "gamma_1pct_dollars": (e.gamma, beta**2),
        "vega_per_point": (e.vega, 1.0),
        "vega_30d_per_point": (e.vega_30d, 1.0),
        "theta_per_day": (e.theta, 1.0),
    }
    return {
        name: float((np.where(measure.missing, 0.0, measure.low) * factor).sum())
        for name, (measure, factor) in columns.items()
    }


def _ends(interval: Interval) -> tuple[float | None, float | None]:
    return _number(interval.low), _number(interval.high)


def _account(account: Account, portfolio: Portfolio, levels: Mapping[str, Sequence[Level]]) -> AccountRow:
    views = {margin.view: margin for margin in account.margins if margin.segment == "total"}
    worst_cushion = min((c.fraction for c in cushions(account) if c.fraction is not None), default=None)
    loss = loss_of(account, portfolio)
    current, ahead = views.get(MarginView.CURRENT), views.get(MarginView.LOOK_AHEAD)
    own = [level for subject, found in levels.items() if subject.startswith(f"account:{account.id}") for level in found]

    def usd(value: float | None) -> float | None:
        return portfolio.usd(value, account.currency)

    return AccountRow(
        account=account.id.masked,
        broker=account.id.broker,
        source=account.source,
        as_of=account.time,
        age_seconds=portfolio.age_of(account.time),
        currency=account.currency,
        net_liquidation=usd(account.net_liquidation),
        excess_liquidity=usd(None if current is None else current.excess),
        excess_look_ahead=usd(None if ahead is None else ahead.excess),
        cushion=worst_cushion,
        maintenance=usd(None if current is None else current.maintenance),
        buying_power=usd(account.buying_power),
        day_pnl=usd(None if loss.lost is None else -loss.lost),
        day_pnl_broker=usd(account.day_pnl),
        next_margin_change=account.next_margin_change,
        level=worst(own),
        sma=usd(finite(account.sma)),
    )


def _positions(portfolio: Portfolio, levels: Mapping[str, Sequence[Level]]) -> tuple[PositionRow, ...]:
    strategies = packages(portfolio.positions)
    silent = {source.name for source in portfolio.sources if source.state in _NOT_NOW}
    rows = [
        _position(row, position, strategies[row], portfolio, levels) for row, position in enumerate(portfolio.positions)
    ]
    return tuple(replace(row, level=_not_cleared(row.level)) if row.source in silent else row for row in rows)


_NOT_NOW = (SourceState.DOWN, SourceState.STALE, SourceState.CONNECTING)
"""states of a source of which a row says what was, not what is"""


def _not_cleared(level: Level) -> Level:
    return max(level, Level.UNKNOWN, key=lambda level: level.rank)


def _position(
    row: int, p: Position, strategy: str, portfolio: Portfolio, levels: Mapping[str, Sequence[Level]]
) -> PositionRow:
    e, i = portfolio.exposures, p.instrument
    under = int(e.columns.underlying[row])
    beta = float(e.beta_low[under]) if e.beta_low[under] == e.beta_high[under] and not e.columns.is_cash[row] else None
    delta = _exact(e.delta.low[row], e.delta.missing[row])
    gamma = _exact(e.gamma.low[row], e.gamma.missing[row])
    quoted = None if i.is_option else portfolio.market.prices.get(i.symbol)
    mark = p.mark if p.mark is not None or quoted is None else quoted.value
    value = (
        None
        if mark is None
        else _number(float(e.columns.quantity[row] * e.columns.multiplier[row] * e.columns.fx[row]) * mark)
    )
    reasons = (*p.reasons, *portfolio.lacks(row))
    if i.is_option and not reasons and p.greeks is None:
        reasons = ("no Greeks: " + (p.notes[-1] if p.notes else "none were delivered"),)
    own = [*levels.get(f"position:{i.key}", ()), *levels.get(f"position:{p.account} {i.key}", ())]
    greeks = p.greeks
    return PositionRow(
        key=i.key,
        symbol=i.symbol,
        label=i.label,
        kind=i.kind.value,
        broker=p.account.broker,
        account=p.account.masked,
        source=p.source,
        underlying=i.underlying or i.symbol,
        group=e.groups[int(e.group[row])],
        strategy=strategy,
        quantity=p.quantity,
        multiplier=p.multiplier,
        currency=p.currency,
        mark=mark,
        bid=p.bid,
        ask=p.ask,
        market_value=value,
        average_price=p.average_price,
        day_pnl=portfolio.usd(p.day_pnl, p.currency),
        open_pnl=portfolio.usd(p.open_pnl, p.currency),
        delta=_unit(i, greeks.delta if greeks else None, 1.0),
        gamma=_unit(i, greeks.gamma if greeks else None, 0.0),
        vega=_unit(i, greeks.vega if greeks else None, 0.0),
        theta=_unit(i, greeks.theta if greeks else None, 0.0),
        iv=greeks.iv if greeks else None,
        greeks_source=greeks.source if greeks else None,
        greeks_age_seconds=portfolio.age_of(greeks.time) if greeks else None,
        spot=_number(e.columns.spot[row]),
        beta=beta,
        delta_dollars=delta,
        beta_delta_dollars=None if beta is None or delta is None else delta * beta,
        gamma_1pct_dollars=None if beta is None or gamma is None else gamma * beta * beta,
        vega_per_point=_exact(e.vega.low[row], e.vega.missing[row]),
        theta_per_day=_exact(e.theta.low[row], e.theta.missing[row]),
        expiry=i.expiry,
        dte=None if i.expiry is None else calendar.dte(i.expiry, portfolio.time),
        level=Level.UNKNOWN if reasons else worst([Level.OK, *own]),
        reasons=reasons,
        notes=p.notes,
    )


def _unit(instrument: Instrument, greek: float | None, linear: float) -> float | None:
    """Greek of one unit: 1 or 0 for what moves one to one with itself."""
    if instrument.is_option:
        return greek
    return linear if instrument.kind in LINEAR else None


def _rows_by_group(e: Exposures) -> tuple[GroupRow, ...]:
    size = len(e.groups)
    weighted = [measure.by(e.group_of_underlying, size) for measure in (e.beta_delta(), e.beta_gamma())]
    return _rows(e.groups, e.group, e, weighted)


def _rows_by_underlying(e: Exposures) -> tuple[GroupRow, ...]:
    return _rows(e.columns.underlyings, e.columns.underlying, e, [e.beta_delta(), e.beta_gamma()])


def _rows_by_class(names: Sequence[str], index: Index, e: Exposures) -> tuple[GroupRow, ...]:
    """For classes that cut through underlyings; -1 is in none."""
    weighted = [e.beta_delta_by(index, len(names)), e.beta_gamma_by(index, len(names))]
    return _rows(names, index, e, weighted)


def _rows(names: Sequence[str], index: Index, e: Exposures, weighted: Sequence[Measure]) -> tuple[GroupRow, ...]:
    size = len(names)
    inside = np.where(index < 0, size, index)
    delta, vega, vega_30d, theta = (m.by(inside, size + 1) for m in (e.delta, e.vega, e.vega_30d, e.theta))
    counts = np.bincount(inside, minlength=size + 1)
    columns = (delta, *weighted, vega, vega_30d, theta)
    return tuple(_group_row(name, [c.at(i) for c in columns], int(counts[i])) for i, name in enumerate(names))


def _group_row(name: str, sums: Sequence[Interval], positions: int) -> GroupRow:
    delta, beta_delta, gamma, vega, vega_30d, theta = (interval.known for interval in sums)
    return GroupRow(name, delta, beta_delta, gamma, vega, vega_30d, theta, positions)


def _market(portfolio: Portfolio) -> tuple[MarketRow, ...]:
    """Indices, the underlyings held, currencies; a missing price is a row without a value."""
    market, e = portfolio.market, portfolio.exposures
    betas = {
        name: float(e.beta_low[i]) for i, name in enumerate(e.columns.underlyings) if e.beta_low[i] == e.beta_high[i]
    }
    held = [
        name for i, name in enumerate(e.columns.underlyings) if not np.all(e.columns.is_cash[e.columns.underlying == i])
    ]
    names = ["SPX", "SPY", *sorted(set(held) - {"SPX", "SPY"})]
    quoted = [("VIX", market.vix), ("VIX3M", market.vix3m), *((name, market.prices.get(name)) for name in names)]
    quoted += [(f"{currency}/USD", rate) for currency, rate in sorted(market.fx.items())]
    return tuple(
        MarketRow(name, None, betas.get(name), "", None)
        if found is None
        else MarketRow(name, found.value, betas.get(name), found.source, portfolio.age_of(found.time))
        for name, found in quoted
    )


def _source(source: Source, portfolio: Portfolio) -> SourceRow:
    return SourceRow(
        name=source.name,
        state=source.state.value,
        age_seconds=None if source.time is None else portfolio.age_of(source.time),
        detail=source.detail,
        exclusions=source.exclusions,
        condition=source.condition,
        since=source.since,
        action=source.action,
        retries=source.retries,
        streams=tuple(_stream(stream, source, portfolio) for stream in source.streams),
        warnings=source.warnings,
        clock_skew=finite(source.clock_skew),
    )


def _stream(stream: Stream, source: Source, portfolio: Portfolio) -> StreamRow:
    """The row of `stream`; nothing can be said to work while its source is down."""
    works = None if stream.works and source.state is SourceState.DOWN else stream.works
    age = None if stream.time is None else portfolio.age_of(stream.time)
    return StreamRow(stream.name, works, age, stream.detail)


def _next_change(portfolio: Portfolio) -> datetime | None:
    """When the exchange closes, or opens next; None for a market that keeps its own hours."""
    if portfolio.market.open is not None:
        return None
    session = calendar.session_of(portfolio.time)
    if portfolio.market_open:
        return calendar.session_bounds(session)[1]
    return calendar.session_bounds(calendar.next_session(session))[0]


def _exact(value: float, missing: bool) -> float | None:  # noqa: FBT001  # a column's cell and its mask
    return None if missing else _number(value)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
