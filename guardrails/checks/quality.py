"""Whether the figures can be trusted: accounts, positions, Greeks, betas and the regime's own data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from guardrails import wording
from guardrails.findings import Finding, Level
from guardrails.intake import account_age
from guardrails.limits import Limits
from guardrails.portfolio import Portfolio
from guardrails.products import BROAD_INDEX_GROUPS
from guardrails.values import Account, Restriction, SourceState, finite
from guardrails.volatility import metrics_of, staleness


def account_data(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per account: whether its money is known and recent."""
    return [_account(account, portfolio, limits) for account in portfolio.accounts]


def position_data(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Positions whose row cannot be trusted: unreadable, without multiplier or price, contradictory, expired."""
    bad: dict[str, str] = {}
    columns = portfolio.exposures.columns
    found = np.flatnonzero(columns.doubtful | columns.unpriced).tolist()
    for row in found:
        position = portfolio.positions[row]
        reasons = [*position.reasons, *portfolio.lacks(row)]
        name, told = f"{position.instrument.label} ({position.account})", "; ".join(dict.fromkeys(reasons))
        bad[name] = told if bad.get(name, told) == told else f"{bad[name]}; {told}"  # two rows may have one name
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
    text = f"{len(found)} of {count} positions cannot be trusted: {some}."
    return [
        limits.finding(
            "position_data", "portfolio", Level.UNKNOWN, text, value=float(len(found)), limit=0.0, unit="positions",
            evidence={"positions": bad}, action="Look these up at the broker; nothing they touch is cleared.",
        )
    ]  # fmt: skip


def greeks_coverage(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Share of option positions with delta, gamma, vega and theta."""
    columns = portfolio.exposures.columns
    options = int(columns.is_option.sum())
    if not options:
        return [limits.finding("greeks_coverage", "portfolio", Level.NOT_APPLICABLE, "No option is held.")]
    lacks = columns.without_greeks
    rows = [int(row) for row in np.flatnonzero(columns.is_option | lacks)]
    # the Greeks of a row that cannot be trusted were not looked at: they may be old, too
    doubted = [row for row in rows if portfolio.positions[row].reasons and not lacks[row]]
    blind = [portfolio.positions[row].instrument.label for row in rows if lacks[row] or row in doubted]
    share = 1.0 - len(blind) / options
    if not blind:
        text = f"All {options} options have Greeks."
    else:
        usable = " that can be trusted" if doubted else ""
        text = f"{len(blind)} of {options} options have no Greeks{usable}: {wording.names(blind)}."
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
            evidence={"missing": names}, action="Connect tastytrade, which brings most; or give them in a prices file.",
        )
    ]  # fmt: skip


def beta_quality(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Whether returns stand behind each beta: underlyings hardly correlated with the index, by their delta dollars.

    Broad indices have their beta by construction and a beta that is bounded is `beta_coverage`'s. A correlation nobody
    publishes is not guessed; an old one may still prove that a beta says little, but not that it says much.
    """
    betas = _betas_from_returns(portfolio)
    if all(given["correlation"] is None for given in betas.values()):
        text, evidence = "No beta from returns is used.", {}
        if betas:
            text = f"No correlation is published for {wording.names(list(betas))}: how much a beta says is not known."
            evidence = {"unknown": list(betas)}
        return [limits.finding("beta_quality", "portfolio", Level.NOT_APPLICABLE, text, evidence=evidence)]
    least = limits.matrix.data.beta_min_correlation
    weak = {name: it for name, it in betas.items() if it["correlation"] is not None and abs(it["correlation"]) < least}
    unknown = [name for name, it in betas.items() if name not in weak and (it["correlation"] is None or it["old"])]
    share = _share_of_delta(list(weak), portfolio)
    said = [
        f"{name} (beta {wording.number(it['beta'], 2)}, correlation {wording.number(it['correlation'], 2)}, "
        f"delta {wording.money(it['delta_dollars'])})"
        for name, it in weak.items()
    ]
    text = f"All {len(betas)} betas from returns have a correlation of {least:.2f} or more in size."
    if weak:
        weight = "" if share is None else f", {wording.percent(share)} of the gross delta"
        text = f"Betas that say little (correlation below {least:.2f}{weight}): {wording.names(said, 3)}."
    if unknown:
        text = (f"{text} " if weak else "") + f"No current correlation is known for {wording.names(unknown)}."
    return [
        limits.finding(
            "beta_quality", "portfolio", Level.WATCH if weak or unknown else Level.OK, text, value=share,
            unit="fraction", evidence={"weak": weak, "unknown": unknown} if weak or unknown else {},
            action="Judge these by their own delta dollars: an index hedge may not offset them." if weak else "",
        )
    ]  # fmt: skip


def _betas_from_returns(portfolio: Portfolio) -> dict[str, dict[str, Any]]:
    """Underlyings whose exact beta rests on returns, largest delta first: beta, correlation, its age, delta dollars."""
    e = portfolio.exposures
    names, columns = e.columns.underlyings, e.columns
    deltas = e.delta.by(columns.underlying, len(names))
    held = np.bincount(columns.underlying, ~columns.is_cash, len(names)) > 0
    exempt = [e.groups[group] in BROAD_INDEX_GROUPS for group in e.group_of_underlying.tolist()]
    found = {}
    for place in np.flatnonzero((e.beta_low == e.beta_high) & held & ~np.array(exempt, bool)).tolist():
        metrics = metrics_of(names[place], portfolio.market)
        found[names[place]] = {
            "beta": float(e.beta_low[place]),
            "correlation": None if metrics is None else finite(metrics.correlation),
            "old": metrics is not None and bool(staleness(metrics, portfolio.time)),
            "delta_dollars": deltas.at(place).known,
        }
    return dict(sorted(found.items(), key=lambda item: (-_size(item[1]), item[0])))


def _size(given: Mapping[str, Any]) -> float:
    """Size of the delta dollars; what is not known comes first."""
    return math.inf if given["delta_dollars"] is None else abs(given["delta_dollars"])


def _share_of_delta(names: list[str], portfolio: Portfolio) -> float | None:
    """Their part of the gross delta dollars over all underlyings; None while any delta is not known."""
    e = portfolio.exposures
    deltas = e.delta.by(e.columns.underlying, len(e.columns.underlyings))
    gross = np.abs(deltas.low)
    if deltas.missing.any() or not gross.sum():
        return None
    chosen = np.isin(np.array(e.columns.underlyings), names)
    return float(gross[chosen].sum() / gross.sum())


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


_UNTIL_READ = "Restore the account feed, or give a statement that has the net asset value."
_PAY_IN = "Pay in or close positions before the end of the day, until SMA is zero or more."
_ASK = "Ask the broker what lifts the restriction; plan exits by what it still allows."
_MEANS = {
    Restriction.CLOSED: "it is closed, so no order is taken",
    Restriction.FROZEN: "it is frozen, so no order is taken, not even one that closes",
    Restriction.CLOSING_ONLY: "it is closing only: positions can be closed, but not opened, hedged or rolled",
    Restriction.FUTURES_CLOSING_ONLY: "futures and options on them are closing only: no new hedge with them",
    Restriction.CRYPTO_CLOSING_ONLY: "cryptocurrencies are closing only",
    Restriction.RISK_REDUCING_ONLY: "only orders that reduce its risk are taken",
    Restriction.DAY_TRADE_CALL: "a day trade equity call is open: until it is met, day trading is restricted",
    Restriction.MARGIN_CALL: "it has a margin call",
}
"""what a restriction means for the trader"""
_HARMLESS = {Restriction.CRYPTO_CLOSING_ONLY}
"""said, but no reason to watch an options book"""


def _account(account: Account, portfolio: Portfolio, limits: Limits) -> Finding:
    age = portfolio.age_of(account.time)
    live = any(source.name == account.source and source.state is SourceState.LIVE for source in portfolio.sources)
    late = account_age(account, limits.matrix.data, portfolio.time, live=live and portfolio.market_open)
    below, told = account.sma is not None and account.sma < 0, account.restrictions or ()
    restricted = bool(set(told) - _HARMLESS)
    level, text = Level.WATCH if below or restricted else Level.OK, f"{account.id}: figures are {wording.age(age)} old."
    actions = [*([_PAY_IN] if below else []), *([_ASK] if restricted else [])]
    if account.margin_call or Restriction.MARGIN_CALL in told:
        level, text, actions = Level.BREACH, f"{account.id}: the broker reports a margin call.", ["Meet the call."]
    elif account.net_liquidation is None:
        level, text = Level.UNKNOWN, f"{account.id}: the broker gives no net liquidation."
    elif portfolio.usd(account.net_liquidation, account.currency) is None:
        level, text = Level.UNKNOWN, f"{account.id}: no rate from {account.currency} to USD is known."
    elif late:
        level, text = Level.UNKNOWN, f"{late}."
    if level is Level.UNKNOWN:
        actions = [_UNTIL_READ]
    if below:  # Reg T: IBKR liquidates at the end of the trading day while SMA is negative
        sma = wording.money(account.sma, account.currency)
        text += f" SMA is {sma}: if it stays below zero the broker closes positions at the end of the day."
    said = [_MEANS[kind] for kind in told if kind is not Restriction.MARGIN_CALL]
    if said:
        text += f" The broker restricts the account: {'; '.join(said)}."
    evidence: dict[str, Any] = {"sma": account.sma} if below else {}
    if told:
        evidence["restrictions"] = [kind.value for kind in told]
    return limits.finding(
        "account_data", f"account:{account.id}", level, text, unit="s", value=age, evidence=evidence, age=age,
        action=" ".join(actions),
    )  # fmt: skip
