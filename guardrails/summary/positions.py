"""One row per position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from guardrails import calendar
from guardrails.columns import LINEAR
from guardrails.findings import Level, worst
from guardrails.instruments import Instrument, Kind
from guardrails.portfolio import Portfolio
from guardrails.snapshot.book import PositionRow
from guardrails.strategies import packages
from guardrails.summary.cells import exact, number
from guardrails.values import Position, SourceState

_NOT_NOW = (SourceState.DOWN, SourceState.STALE, SourceState.CONNECTING)
"""states of a source of which a row says what was, not what is"""


def position_rows(portfolio: Portfolio, levels: Mapping[str, Sequence[Level]]) -> tuple[PositionRow, ...]:
    """The rows in the order of the positions; `levels` are those of the findings by subject."""
    strategies = packages(portfolio.positions)
    silent = {source.name for source in portfolio.sources if source.state in _NOT_NOW}
    rows = [
        _position(row, position, strategies[row], portfolio, levels) for row, position in enumerate(portfolio.positions)
    ]
    return tuple(replace(row, level=_not_cleared(row.level)) if row.source in silent else row for row in rows)


def _not_cleared(level: Level) -> Level:
    return max(level, Level.UNKNOWN, key=lambda level: level.rank)


def _position(
    row: int, p: Position, strategy: str, portfolio: Portfolio, levels: Mapping[str, Sequence[Level]]
) -> PositionRow:
    e, i = portfolio.exposures, p.instrument
    under = int(e.columns.underlying[row])
    beta = float(e.beta_low[under]) if e.beta_low[under] == e.beta_high[under] and not e.columns.is_cash[row] else None
    delta = exact(e.delta.low[row], e.delta.missing[row])
    gamma = exact(e.gamma.low[row], e.gamma.missing[row])
    quoted = None if i.is_option else portfolio.market.prices.get(i.symbol)
    mark = p.mark if p.mark is not None or quoted is None else quoted.value
    unit = 1.0 if mark is None and i.kind is Kind.CASH and i.symbol == p.currency else mark
    value = (
        None
        if unit is None
        else number(float(e.columns.quantity[row] * e.columns.multiplier[row] * e.columns.fx[row]) * unit)
    )
    reasons = (*p.reasons, *portfolio.lacks(row))
    if i.is_option and not reasons and p.greeks is None:
        reasons = ("no Greeks: " + (p.notes[-1] if p.notes else "none were delivered"),)
    own = [*levels.get(f"position:{i.key}", ()), *levels.get(f"position:{p.account} {i.key}", ())]
    greeks = p.greeks
    model, residual = _modelled(row, portfolio)
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
        spot=number(e.columns.spot[row]),
        beta=beta,
        delta_dollars=delta,
        beta_delta_dollars=None if beta is None or delta is None else delta * beta,
        gamma_1pct_dollars=None if beta is None or gamma is None else gamma * beta * beta,
        vega_per_point=exact(e.vega.low[row], e.vega.missing[row]),
        theta_per_day=exact(e.theta.low[row], e.theta.missing[row]),
        expiry=i.expiry,
        dte=None if i.expiry is None else calendar.dte(i.expiry, portfolio.time),
        level=Level.UNKNOWN if reasons else worst([Level.OK, *own]),
        reasons=reasons,
        notes=p.notes,
        model=model,
        residual=residual,
    )


def _modelled(row: int, portfolio: Portfolio) -> tuple[float | None, float | None]:
    """Our price of one unit of an option, and what the whole position differs by from the market, in dollars."""
    if isinstance(portfolio.stress, str) or not portfolio.exposures.columns.is_option[row]:
        return None, None
    book = portfolio.stress.book
    told = book.as_told[row]
    return number(told), number((told - book.quoted[row]) * book.weight[row])


def _unit(instrument: Instrument, greek: float | None, linear: float) -> float | None:
    """Greek of one unit: 1 or 0 for what moves one to one with itself."""
    if instrument.is_option:
        return greek
    return linear if instrument.kind in LINEAR else None
