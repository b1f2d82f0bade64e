"""What the market says of what is held: levels and prices, then what is published about each underlying."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from guardrails import calendar, volatility
from guardrails.exposures import Exposures
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.regime.readings import fresh, present
from guardrails.snapshot.market import MarketRow, MetricsRow
from guardrails.values import Metrics, finite


def market_rows(portfolio: Portfolio) -> tuple[MarketRow, ...]:
    """Indices, the underlyings held, currencies; a missing price is a row without a value."""
    market, e = portfolio.market, portfolio.exposures
    betas = _betas(e)
    names = ["SPX", "SPY", *sorted(set(_held(e)) - {"SPX", "SPY"})]
    quoted = [("VIX", market.vix), ("VIX3M", market.vix3m), *((name, market.prices.get(name)) for name in names)]
    quoted += [(f"{currency}/USD", rate) for currency, rate in sorted(market.fx.items())]
    return tuple(
        MarketRow(name, None, betas.get(name), "", None)
        if found is None
        else MarketRow(name, found.value, betas.get(name), found.source, portfolio.age_of(found.time))
        for name, found in quoted
    )


def metrics_rows(portfolio: Portfolio, limits: Limits) -> tuple[MetricsRow, ...]:
    """One row per underlying held, cash apart, by name; of one about which nothing is published a row that says so."""
    vix, betas = _vix(portfolio, limits), _betas(portfolio.exposures)
    found = {name: volatility.metrics_of(name, portfolio.market) for name in sorted(_held(portfolio.exposures))}
    return tuple(
        _metrics(name, metrics, volatility.read(metrics, vix, portfolio.time), betas, portfolio)
        for name, metrics in found.items()
    )


def _vix(portfolio: Portfolio, limits: Limits) -> float | None:
    """VIX in points, None when it is missing or old; while the market is closed that of the last session will do."""
    vix, now = portfolio.market.vix, portfolio.time
    if portfolio.market_open:
        vix = fresh(vix, now, limits.matrix.data.vix_stale_after_minutes)
    elif vix is not None and volatility.sessions_since(vix.time, now):
        vix = None
    vix = present(vix)
    return None if vix is None else vix.value


def _metrics(
    name: str, found: Metrics | None, read: volatility.Reading, betas: Mapping[str, float], portfolio: Portfolio
) -> MetricsRow:
    known = found or Metrics(name, portfolio.time, "")
    today = calendar.exchange_date(portfolio.time)
    report = known.earnings is not None and known.earnings >= today
    return MetricsRow(
        symbol=name,
        age_seconds=None if found is None else portfolio.age_of(found.time),
        source=known.source,
        beta=betas.get(name),
        correlation=finite(known.correlation),
        iv_rank=finite(known.iv_rank),
        iv_percentile=finite(known.iv_percentile),
        iv_30d=finite(known.iv_30d),
        hv_30d=finite(known.hv_30d),
        premium=read.premium,
        threshold=read.threshold,
        signal=read.signal.value,
        reason=read.reason,
        earnings=known.earnings if report else None,
        earnings_estimated=known.earnings_estimated if report else None,
        earnings_time=known.earnings_time if report else "",
        ex_dividend=known.ex_dividend if known.ex_dividend is not None and known.ex_dividend >= today else None,
    )


def _betas(e: Exposures) -> dict[str, float]:
    """Betas by underlying, where they are known exactly."""
    return {
        name: float(e.beta_low[i]) for i, name in enumerate(e.columns.underlyings) if e.beta_low[i] == e.beta_high[i]
    }


def _held(e: Exposures) -> list[str]:
    """Underlyings of which more than cash is held."""
    names = e.columns.underlyings
    risky = np.bincount(e.columns.underlying, ~e.columns.is_cash, len(names)) > 0
    return [name for name, held in zip(names, risky, strict=True) if held]
