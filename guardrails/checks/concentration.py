"""How much of the book hangs on one underlying: shares of gross vega, gross dollar delta and margin.

A share is taken of the gross over all underlying groups. Broad-index groups are exempt by default: stress covers them.
Where a figure is missing, the share lies between the one that is certain and the one that is possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from guardrails import wording
from guardrails.exposures import Array, Interval, Measure
from guardrails.findings import Finding, Level
from guardrails.limits import Bound, Limits
from guardrails.portfolio import Portfolio
from guardrails.products import group_of

NEGLIGIBLE = {"vega": 1e-4, "delta": 1e-2, "margin": 1e-2}
"""fraction of net liquidation below which the gross is too small for shares to mean anything"""


def vega_concentration(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Share of one underlying group in the gross 30-day-weighted vega."""
    return _shares("vega", portfolio, limits, portfolio.exposures.vega_30d, limits.keys.max_single_underlying_vega_pct)


def delta_concentration(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Share of one underlying group in the gross dollar delta."""
    return _shares("delta", portfolio, limits, portfolio.exposures.delta, limits.keys.max_single_underlying_delta_pct)


def margin_concentration(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Share of one underlying group in the maintenance margin, as the brokers report it by underlying.

    IBKR does not report it: whatever such an account holds outside the exempt groups is UNKNOWN.
    """
    limit = limits.keys.max_single_underlying_margin_pct
    by_group: dict[str, float] = {}
    blind: set[str] = set()
    for account in portfolio.accounts:
        if account.margin_by_underlying is None:
            blind |= _held(portfolio, account.id) - set(limits.matrix.exempt_groups)
            continue
        for name, margin in account.margin_by_underlying.items():
            usd = portfolio.usd(abs(margin), account.currency)
            if usd is None:
                blind.add(group_of(name))
            else:
                by_group[group_of(name)] = by_group.get(group_of(name), 0.0) + usd
    return _report("margin", portfolio, limits, limit, _point_shares(by_group), sum(by_group.values()), sorted(blind))


def _shares(what: str, portfolio: Portfolio, limits: Limits, measure: Measure, limit: float | None) -> list[Finding]:
    exposures = portfolio.exposures
    net = measure.by(exposures.group, len(exposures.groups))
    least = np.where((net.low < 0) & (net.high > 0), 0.0, np.minimum(abs(net.low), abs(net.high)))
    most = np.maximum(abs(net.low), abs(net.high))
    shares = {
        group: Interval(_share(least[i], most, i), _share(most[i], least, i), bool(net.missing[i]))
        for i, group in enumerate(exposures.groups)
    }
    blind = [group for i, group in enumerate(exposures.groups) if net.missing[i]]
    return _report(
        what,
        portfolio,
        limits,
        limit,
        shares,
        float(most.sum()),
        [g for g in blind if g not in limits.matrix.exempt_groups],
    )


def _share(own: float, all_others: Array, place: int) -> float:
    others = (
        float(all_others.sum() - all_others[place])
        if np.isfinite(all_others[place])
        else float(np.delete(all_others, place).sum())
    )
    if not np.isfinite(own):
        return 1.0
    return own / (own + others) if own > 0 else 0.0


def _point_shares(by_group: Mapping[str, float]) -> dict[str, Interval]:
    gross = sum(by_group.values())
    return {group: Interval(margin / gross, margin / gross) for group, margin in by_group.items()} if gross > 0 else {}


def _held(portfolio: Portfolio, account: object) -> set[str]:
    exposures = portfolio.exposures
    return {
        exposures.groups[exposures.group[row]]
        for row, position in enumerate(portfolio.positions)
        if position.account == account and not exposures.is_cash[row]
    }


def _report(
    what: str,
    portfolio: Portfolio,
    limits: Limits,
    limit: float | None,
    shares: Mapping[str, Interval],
    gross: float,
    blind: Sequence[str],
) -> list[Finding]:
    """One Finding per group at WATCH or worse, or one that names the largest share."""
    check, nav = f"{what}_concentration", portfolio.net_liquidation
    bound = Bound(limit, is_set=limit is not None)
    if limit is None:
        return [
            limits.finding(check, "portfolio", Level.NOT_APPLICABLE, f"Share of {what} in one underlying: not set.")
        ]
    if not blind and nav is not None and gross < NEGLIGIBLE[what] * nav:
        text = f"Share of {what} in one underlying: not applicable, the whole book has next to none."
        return [limits.finding(check, "portfolio", Level.NOT_APPLICABLE, text, limit=limit, unit="fraction")]
    judged = {g: share for g, share in shares.items() if g not in limits.matrix.exempt_groups}
    levels = {group: bound.level(share, limits.matrix.watch_at) for group, share in judged.items()}
    loud = [group for group, level in levels.items() if level.rank >= Level.WATCH.rank and group not in blind]
    findings = [_finding(what, group, levels[group], judged[group], limits, limit, portfolio) for group in loud]
    if blind:
        text = f"Share of {what}: no data for {wording.names(list(blind))}, so their share is not known."
        findings.append(
            limits.finding(
                check, "portfolio", Level.UNKNOWN, text, limit=limit, unit="fraction",
                evidence={"missing": list(blind)},
                action=_SOURCE_OF[what],
            )
        )  # fmt: skip
    if not findings:
        top = max(judged, key=lambda group: judged[group].high, default=None)
        share = Interval(0.0, 0.0) if top is None else judged[top]
        findings.append(_finding(what, top or "", Level.OK, share, limits, limit, portfolio))
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
    name = group or "no single underlying"
    return limits.finding(
        f"{what}_concentration",
        subject,
        level,
        f"{name} holds {said} of the book's gross {what}, limit {wording.percent(limit)}.",
        value=known,
        limit=limit,
        unit="fraction",
        headroom=None if known is None else limit - known,
        age=portfolio.data_age_seconds,
        action=f"Reduce {group} or add nothing to it." if level.rank >= Level.WATCH.rank else "",
    )
