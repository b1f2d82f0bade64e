"""How much of the book hangs on one underlying: shares of gross vega, gross dollar delta and margin.

A share is taken of the gross over all underlying groups. Broad-index groups are exempt by default: stress covers them.
Where a figure is missing, the share lies between the one that is certain and the one that is possible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guardrails import wording
from guardrails.columns import Array
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval, Measure
from guardrails.limits import Bound, Limits
from guardrails.portfolio import Portfolio
from guardrails.products import group_of
from guardrails.values import AccountId

NEGLIGIBLE = {"vega": 1e-4, "delta": 1e-2, "margin": 1e-2}
"""fraction of net liquidation below which the gross is too small for shares to mean anything"""


def vega_concentration(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Share of one underlying group in the gross 30-day-weighted vega."""
    return _of_measure(
        "vega", portfolio, limits, portfolio.exposures.vega_30d, limits.keys.max_single_underlying_vega_pct
    )


def delta_concentration(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Share of one underlying group in the gross dollar delta."""
    return _of_measure(
        "delta", portfolio, limits, portfolio.exposures.delta, limits.keys.max_single_underlying_delta_pct
    )


def margin_concentration(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Share of one underlying group in the maintenance margin, as the brokers report it by underlying.

    IBKR does not report it: whatever such an account holds outside the exempt groups is UNKNOWN.
    """
    limit = limits.keys.max_single_underlying_margin_pct
    by_group: dict[str, float] = {}
    blind: set[str] = set()
    for account in portfolio.accounts:
        if account.margin_by_underlying is None:
            blind |= _held(portfolio, account.id)
            continue
        blind |= _held(portfolio, account.id) - {group_of(name) for name in account.margin_by_underlying}
        rate = portfolio.usd(1.0, account.currency)
        for name, margin in account.margin_by_underlying.items():
            group = group_of(name)
            if rate is None:
                blind.add(group)
            else:
                by_group[group] = by_group.get(group, 0.0) + abs(margin) * rate
    return _report(
        "margin", portfolio, limits, limit, _of_margin(by_group), sorted(blind - set(limits.matrix.exempt_groups))
    )


@dataclass(frozen=True, slots=True)
class _Shares:
    """What each group holds of the gross, at least and at most; 1 is all of it."""

    groups: tuple[str, ...]
    low: Array
    high: Array
    gross: float

    def at(self, place: int) -> Interval:
        """The share of one group."""
        return Interval(float(self.low[place]), float(self.high[place]))


def _of_measure(
    what: str, portfolio: Portfolio, limits: Limits, measure: Measure, limit: float | None
) -> list[Finding]:
    groups = portfolio.exposures.groups
    net = measure.by(portfolio.exposures.group, len(groups))
    most = np.maximum(abs(net.low), abs(net.high))
    least = np.where((net.low < 0) & (net.high > 0), 0.0, np.minimum(abs(net.low), abs(net.high)))
    high = _share(most, least)
    low = high if net.low is net.high else _share(least, most)
    shares = _Shares(groups, low, high, float(most.sum()))
    blind = [groups[place] for place in np.flatnonzero(net.missing) if groups[place] not in limits.matrix.exempt_groups]
    return _report(what, portfolio, limits, limit, shares, blind)


def _share(own: Array, everyone: Array) -> Array:
    """Share of each group's `own` when all the others have what `everyone` says."""
    bounded = np.isfinite(everyone)
    finite = np.where(bounded, everyone, 0.0)
    others = np.where(np.count_nonzero(~bounded) > ~bounded, math.inf, finite.sum() - finite)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isfinite(own), np.where(own > 0, own / (own + others), 0.0), 1.0)


def _of_margin(by_group: Mapping[str, float]) -> _Shares:
    held = np.array(list(by_group.values()), dtype=np.float64)
    gross = float(held.sum())
    shares = held / gross if gross > 0 else held
    return _Shares(tuple(by_group), shares, shares, gross)


def _held(portfolio: Portfolio, account: AccountId) -> set[str]:
    exposures = portfolio.exposures
    rows = exposures.columns.of_account(account) & ~exposures.columns.is_cash
    return {exposures.groups[place] for place in np.unique(exposures.group[rows])}


def _report(
    what: str, portfolio: Portfolio, limits: Limits, limit: float | None, shares: _Shares, blind: Sequence[str]
) -> list[Finding]:
    """One Finding per group at WATCH or worse, or one that names the largest share."""
    check, nav = f"{what}_concentration", portfolio.net_liquidation
    if limit is None:
        return [
            limits.finding(check, "portfolio", Level.NOT_APPLICABLE, f"Share of {what} in one underlying: not set.")
        ]
    if not blind and nav is not None and shares.gross < NEGLIGIBLE[what] * nav:
        text = f"Share of {what} in one underlying: not applicable, the whole book has next to none."
        return [limits.finding(check, "portfolio", Level.NOT_APPLICABLE, text, limit=limit, unit="fraction")]
    bound, watch_at = Bound(limit, is_set=True), limits.matrix.watch_at
    judged = np.array([group not in limits.matrix.exempt_groups for group in shares.groups], dtype=bool)
    judged_high = np.where(judged, shares.high, 0.0)
    findings = [
        _finding(
            what,
            shares.groups[place],
            bound.level(shares.at(place), watch_at),
            shares.at(place),
            limits,
            limit,
            portfolio,
        )
        for place in bound.loud(judged_high, watch_at)
        if shares.groups[place] not in blind
    ]
    if blind:
        text = f"Share of {what}: no data for {wording.names(list(blind))}, so no share is known."
        findings.append(
            limits.finding(
                check, "portfolio", Level.UNKNOWN, text, limit=limit, unit="fraction",
                evidence={"missing": list(blind)},
                action=_SOURCE_OF[what],
            )
        )  # fmt: skip
    if not findings:
        # where nothing that is judged holds any, all of it may lie in a group that is exempt
        top = int(np.argmax(np.where(judged, shares.high, -1.0))) if judged.any() else None
        group, share = ("", Interval(0.0, 0.0)) if top is None else (shares.groups[top], shares.at(top))
        findings.append(_finding(what, group, Level.OK, share, limits, limit, portfolio))
    return findings


_SOURCE_OF = {
    "vega": "Find Greeks for these positions, or close them.",
    "delta": "Find prices and Greeks for these positions, or close them.",
    "margin": "The broker reports no margin by underlying (IBKR never does): judge by hand, or unset the limit.",
}


def _finding(
    what: str, group: str, level: Level, share: Interval, limits: Limits, limit: float, portfolio: Portfolio
) -> Finding:
    subject = f"underlying:{group}" if group else "portfolio"
    known = share.known
    said = (
        wording.percent(known)
        if known is not None
        else f"{wording.percent(share.low)} to {wording.percent(share.high)}"
    )
    text = f"{group} holds {said} of the book's gross {what}, limit {wording.percent(limit)}."
    if not group:
        text = f"No underlying that is judged holds any {what}, limit {wording.percent(limit)}."
    return limits.finding(
        f"{what}_concentration",
        subject,
        level,
        text,
        key=f"max_single_underlying_{what}_pct",
        value=known,
        limit=limit,
        unit="fraction",
        headroom=None if known is None else limit - known,
        age=portfolio.data_age_seconds,
        action=f"Reduce {group} or add nothing to it." if level.rank >= Level.WATCH.rank else "",
    )
