"""Whether the figures can be trusted: accounts, positions, Greeks, betas and the regime's own data."""

from __future__ import annotations

import numpy as np

from guardrails import wording
from guardrails.findings import Finding, Level
from guardrails.intake import account_age
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.values import Account, SourceState


def account_data(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per account: whether its money is known and recent."""
    return [_account(account, portfolio, limits) for account in portfolio.accounts]


def position_data(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Positions whose row cannot be trusted: unreadable, without multiplier or price, contradictory, expired."""
    bad = {}
    columns = portfolio.exposures.columns
    for row in np.flatnonzero(columns.doubtful | columns.unpriced).tolist():
        position = portfolio.positions[row]
        reasons = [*position.reasons, *portfolio.lacks(row)]
        bad[f"{position.instrument.label} ({position.account})"] = "; ".join(reasons)
    count = len(portfolio.positions)
    if not bad:
        return [
            limits.finding(
                "position_data",
                "portfolio",
                Level.OK,
                f"All {count} positions are understood and priced.",
                value=0.0,
                limit=0.0,
                unit="positions",
            )
        ]
    some = wording.names([f"{name}: {reason}" for name, reason in bad.items()], 3)
    text = f"{len(bad)} of {count} positions cannot be trusted: {some}."
    return [
        limits.finding(
            "position_data", "portfolio", Level.UNKNOWN, text, value=float(len(bad)), limit=0.0, unit="positions",
            evidence={"positions": bad}, action="Look these up at the broker; nothing they touch is cleared.",
        )
    ]  # fmt: skip


def greeks_coverage(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Share of option positions with delta, gamma, vega and theta."""
    columns = portfolio.exposures.columns
    options = int(columns.is_option.sum())
    if not options:
        return [limits.finding("greeks_coverage", "portfolio", Level.NOT_APPLICABLE, "No option is held.")]
    blind = [portfolio.positions[row].instrument.label for row in np.flatnonzero(columns.without_greeks)]
    share = 1.0 - len(blind) / options
    if not blind:
        text = f"All {options} options have Greeks."
    else:
        text = f"{len(blind)} of {options} options have no Greeks: {wording.names(blind)}."
    return [
        limits.finding(
            "greeks_coverage", "portfolio", Level.UNKNOWN if blind else Level.OK, text,
            value=share, limit=1.0, unit="fraction", headroom=share - 1.0, evidence={"missing": blind} if blind else {},
            age=portfolio.data_age_seconds,
            action="Connect a source of Greeks, or give prices for these." if blind else "",
        )
    ]  # fmt: skip


def beta_coverage(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Underlyings without a beta, which are bounded at 0 and 2."""
    names = list(portfolio.exposures.unweighted)
    if not names:
        return [
            limits.finding(
                "beta_coverage",
                "portfolio",
                Level.OK,
                "Every underlying has a beta.",
                value=0.0,
                limit=0.0,
                unit="underlyings",
            )
        ]
    text = f"No beta for {wording.names(names)}: each is taken as anything from 0 to 2."
    return [
        limits.finding(
            "beta_coverage", "portfolio", Level.WATCH, text, value=float(len(names)), limit=0.0, unit="underlyings",
            evidence={"missing": names}, action="Give a beta in a prices file, or connect tastytrade.",
        )
    ]  # fmt: skip


def market_regime(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Whether the regime rests on fresh volatility data, and whether an inverted curve blocks new short vega."""
    vix = portfolio.market.vix
    age = None if vix is None else portfolio.age_of(vix.time)
    text = f"Regime {limits.regime}: {limits.regime_reason}."
    if not limits.regime_known:
        level, action = Level.UNKNOWN, "Restore the VIX feed; until then the regime may tighten but not relax."
    elif limits.overlay:
        level, action = Level.WATCH, "Sell no new vega until VIX/VIX3M has stayed below its release for the days set."
        text += f" New short vega is blocked: {limits.overlay_reason}."
    elif limits.overlay is None:
        level, action = Level.UNKNOWN, "Connect a source of daily VIX and VIX3M closes; until then sell no new vega."
        text += f" Whether VIX stands above VIX3M is not known: {limits.overlay_reason}."
    else:
        level, action = Level.OK, ""
    return [
        limits.finding(
            "market_regime", "portfolio", level, text, value=None if vix is None else vix.value, unit="VIX points",
            age=age, action=action,
        )
    ]  # fmt: skip


_ACCOUNT_ACTIONS = {
    Level.UNKNOWN: "Restore the account feed, or give a statement that has the net asset value.",
    Level.BREACH: "Meet the call.",
    Level.WATCH: "Pay in or close positions before the end of the day, until SMA is zero or more.",
}


def _account(account: Account, portfolio: Portfolio, limits: Limits) -> Finding:
    age = portfolio.age_of(account.time)
    live = any(source.name == account.source and source.state is SourceState.LIVE for source in portfolio.sources)
    late = account_age(account, limits.matrix.data, portfolio.time, live=live and portfolio.market_open)
    below = account.sma is not None and account.sma < 0
    level, text = Level.WATCH if below else Level.OK, f"{account.id}: figures are {wording.age(age)} old."
    if account.margin_call:
        level, text = Level.BREACH, f"{account.id}: the broker reports a margin call."
    elif account.net_liquidation is None:
        level, text = Level.UNKNOWN, f"{account.id}: the broker gives no net liquidation."
    elif portfolio.usd(account.net_liquidation, account.currency) is None:
        level, text = Level.UNKNOWN, f"{account.id}: no rate from {account.currency} to USD is known."
    elif late:
        level, text = Level.UNKNOWN, f"{late}."
    if below:  # Reg T: IBKR liquidates at the end of the trading day while SMA is negative
        sma = wording.money(account.sma, account.currency)
        text += f" SMA is {sma}: if it stays below zero the broker closes positions at the end of the day."
    return limits.finding(
        "account_data",
        f"account:{account.id}",
        level,
        text,
        unit="s",
        value=age,
        evidence={"sma": account.sma} if below else {},
        age=age,
        action=_ACCOUNT_ACTIONS.get(level, ""),
    )
