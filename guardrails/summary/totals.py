"""Sums over the book, null where any part is unknown."""

from __future__ import annotations

import math

import numpy as np

from guardrails.exposures import Exposures
from guardrails.intervals import Interval
from guardrails.portfolio import Portfolio
from guardrails.snapshot.book import Totals
from guardrails.summary.cells import number
from guardrails.values import SourceState


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
    return number(interval.low), number(interval.high)
