"""What was lost today, and since the peak; open losses included, deposits and withdrawals taken out.

    daily loss = (start-of-session net liquidation + cash flows since - net liquidation now) / start
    drawdown   = (peak + cash flows since the peak - net liquidation now) / that adjusted peak

A halt on one bad print is a real cost, so a loss over the limit counts as BREACH only when it is confirmed: by three
distinct broker timestamps, or by our own quotes within 0.003 of net liquidation. Until then it is UNKNOWN, which
blocks new risk all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from guardrails import calendar, wording
from guardrails.findings import Finding, Level
from guardrails.intervals import Interval
from guardrails.limits import Bound, Limits
from guardrails.portfolio import AccountHistory, Portfolio
from guardrails.values import Account, Observed, finite

_ROUNDING = 1e-9
"""relative slack so that a difference equal to its tolerance is not too large by the last binary digit"""


@dataclass(frozen=True, slots=True)
class Loss:
    """Loss of one account since the start of the session, in its own currency."""

    start: float | None
    lost: float | None
    """positive is a loss"""
    own: float | None
    """the same from our own quotes; None when any position has none"""
    unexplained: str

    def agrees(self, tolerance: float) -> bool:
        """Whether our own quotes confirm the broker's figure within `tolerance` of the start."""
        if self.lost is None or self.own is None or not self.start:
            return False
        return abs(self.lost - self.own) <= tolerance * abs(self.start)


def loss_of(account: Account, portfolio: Portfolio) -> Loss:
    """Today's loss of `account`; None where the start of the session or the present value is not known."""
    history = portfolio.history.get(account.id, AccountHistory())
    columns = portfolio.exposures.columns
    rows = columns.of_account(account.id)
    days = columns.day_pnl[rows]
    blind = not len(days) or np.isnan(days).any() or columns.doubtful[rows].any()
    own = None if blind else -float(days.sum())
    if history.start is None or account.net_liquidation is None or account.time <= history.start.time:
        return Loss(None, None, own, history.jump)
    return Loss(history.start.value, history.start.value + history.flows - account.net_liquidation, own, history.jump)


def daily_loss(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per account."""
    if limits.keys.max_daily_loss_pct is None:
        return [limits.finding("daily_loss", "portfolio", Level.NOT_APPLICABLE, "Daily loss: not set.")]
    if not portfolio.accounts:
        return [
            limits.finding(
                "daily_loss",
                "portfolio",
                Level.UNKNOWN,
                "Daily loss: no account has been read.",
                action="Connect a broker or a statement.",
            )
        ]
    return [_daily(account, portfolio, limits) for account in portfolio.accounts]


def drawdown(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per account, from its cash-flow-adjusted peak."""
    limit = limits.keys.max_drawdown_pct
    if limit is None:
        return [limits.finding("drawdown", "portfolio", Level.NOT_APPLICABLE, "Drawdown: not set.")]
    if not portfolio.accounts:
        return [
            limits.finding(
                "drawdown",
                "portfolio",
                Level.UNKNOWN,
                "Drawdown: no account has been read.",
                action="Connect a broker or a statement.",
            )
        ]
    return [_drawdown(account, limit, portfolio, limits) for account in portfolio.accounts]


def day_pnl_agreement(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """Whether two ways to the day's result agree: one Finding per account.

        by the account      net liquidation - that of the end of the session before - cash flows since
        by the positions    sum of their day P&L, as the broker's records give it

    They part over fees, an assignment, a transfer nobody reported, or a position that is marked wrongly.
    """
    if not portfolio.accounts:
        text = "Day P&L: no account has been read."
        return [limits.finding("day_pnl_agreement", "portfolio", Level.NOT_APPLICABLE, text)]
    return [_agreement(account, portfolio, limits) for account in portfolio.accounts]


def _agreement(account: Account, portfolio: Portfolio, limits: Limits) -> Finding:
    subject, name = f"account:{account.id}", f"Day P&L, {account.id}"
    prior = _end_of_day_before(account.prior_net_liquidation, portfolio.time)
    figures = (finite(account.net_liquidation), prior, finite(account.cash_flows), finite(account.day_pnl))
    if any(figure is None for figure in figures) or not prior or prior < 0:
        text = f"{name}: not every figure to compare is reported."
        return limits.finding("day_pnl_agreement", subject, Level.NOT_APPLICABLE, text)
    now, _, flows, positions = (figure or 0.0 for figure in figures)
    own = now - prior - flows
    apart, tolerance = abs(own - positions) / prior, limits.matrix.data.agree_pct_nlv
    agree = apart <= tolerance * (1 + _ROUNDING)
    text = (
        f"{name}: net liquidation says {wording.money(own, account.currency)}, the positions "
        f"{wording.money(positions, account.currency)}; they "
        + ("agree" if agree else f"differ by {apart * 100.0:.2f} % of {wording.money(prior, account.currency)}")
        + f" (tolerance {tolerance * 100.0:.2f} %)."
    )
    return limits.finding(
        "day_pnl_agreement", subject, Level.OK if agree else Level.WATCH, text, value=apart, limit=tolerance,
        unit="fraction", headroom=tolerance - apart, age=portfolio.age_of(account.time),
        evidence={"by_account": own, "by_positions": positions, "prior": prior, "cash_flows": flows},
        action="" if agree else "Look for fees, an assignment, a transfer or a wrong mark before trusting either.",
    )  # fmt: skip


def _end_of_day_before(prior: Observed | None, now: datetime) -> float | None:
    """Net liquidation at the end of the session before the one at `now`; None when `prior` is of another day."""
    if prior is None:
        return None
    session, day = calendar.session_of(now), calendar.exchange_date(prior.time)
    return finite(prior.value) if calendar.previous_session(session) <= day < session else None


def _daily(account: Account, portfolio: Portfolio, limits: Limits) -> Finding:
    loss, data = loss_of(account, portfolio), limits.matrix.data
    most, watch = limits.keys.max_daily_loss_pct or 0.0, limits.keys.watch_daily_loss_pct
    history = portfolio.history.get(account.id, AccountHistory())
    fraction = None if loss.lost is None or not loss.start or loss.start <= 0 else loss.lost / loss.start
    level, why = Level.OK, ""
    if fraction is None:
        when = "of now" if account.net_liquidation is None else "at the start of the session"
        level, why = Level.UNKNOWN, f"the net liquidation {when} is not known"
    elif fraction > most:
        level, why = _confirmed(loss, history, portfolio, limits)
    elif loss.unexplained:
        level, why = Level.UNKNOWN, loss.unexplained
    elif watch is not None and fraction >= watch:
        level = Level.WATCH
    value = None if fraction is None else -fraction
    earned = wording.money(None if loss.lost is None else -loss.lost, account.currency)
    text = f"Today, {account.id}: " + ("not known" if value is None else f"{wording.percent(value)} ({earned})")
    text += f", limit {wording.percent(-most)}." + (f" {why[0].upper()}{why[1:]}." if why else "")
    return limits.finding(
        "daily_loss",
        f"account:{account.id}",
        level,
        text,
        key="max_daily_loss_pct",
        value=value,
        limit=-most,
        unit="fraction",
        headroom=None if fraction is None else most - fraction,
        evidence={
            "start": loss.start,
            "lost": loss.lost,
            "own_quotes_lost": loss.own,
            "broker_day_pnl": account.day_pnl,
            "confirming_readings": len(history.losing),
            "confirmed_by_own_quotes": loss.agrees(data.agree_pct_nlv),
        },
        age=portfolio.age_of(account.time),
        action="Take no new risk today; exits stay open." if level.rank >= Level.UNKNOWN.rank else "",
    )


def _confirmed(loss: Loss, history: AccountHistory, portfolio: Portfolio, limits: Limits) -> tuple[Level, str]:
    """BREACH when a loss over the limit is confirmed, else UNKNOWN with what is still missing."""
    data = limits.matrix.data
    opened, _ = calendar.session_bounds(calendar.session_of(portfolio.time))
    if portfolio.market_open and portfolio.time < opened + timedelta(minutes=data.open_quiet_minutes):
        return Level.UNKNOWN, f"over the limit, but prints of the first {data.open_quiet_minutes} minutes do not decide"
    if loss.agrees(data.agree_pct_nlv):
        return Level.BREACH, "our own quotes agree"
    if len(history.losing) >= data.confirm_readings:
        return Level.BREACH, f"{len(history.losing)} broker readings agree"
    return (
        Level.UNKNOWN,
        f"over the limit in {len(history.losing)} of {data.confirm_readings} broker readings, not yet confirmed",
    )


_DRAWDOWN_ACTIONS = {
    Level.BREACH: "Cut risk until the book recovers.",
    Level.UNKNOWN: "Wait for the next reading; if it stays unknown, restore the account's net liquidation.",
    Level.WATCH: "Take no new risk until the book recovers.",
}


def _drawdown(account: Account, limit: float, portfolio: Portfolio, limits: Limits) -> Finding:
    history = portfolio.history.get(account.id, AccountHistory())
    peak, fraction = history.peak, None
    watched = history.since is not None and history.since < account.time
    if watched and peak is not None and peak.value > 0 and account.net_liquidation is not None:
        fraction = max(peak.value - account.net_liquidation, 0.0) / peak.value
    if fraction is None or peak is None:
        level, text = (
            Level.UNKNOWN,
            f"Drawdown, {account.id}: no earlier reading is on record, so its peak is not known.",
        )
    else:
        use = Interval(fraction, fraction, missing=bool(history.jump))
        level = Bound(limit, is_set=True).level(use, limits.matrix.watch_at)
        since = f"from the peak of {wording.money(peak.value, account.currency)} on {peak.time:%d %b %Y}"
        text = f"Drawdown, {account.id}: {wording.percent(fraction)} {since}, limit {wording.percent(limit)}."
        text += f" {history.jump}." if history.jump else ""
    return limits.finding(
        "drawdown",
        f"account:{account.id}",
        level,
        text,
        key="max_drawdown_pct",
        value=fraction,
        limit=limit,
        unit="fraction",
        headroom=None if fraction is None else limit - fraction,
        evidence={} if peak is None else {"peak": peak.value, "peak_time": peak.time.isoformat()},
        age=portfolio.age_of(account.time),
        action=_DRAWDOWN_ACTIONS.get(level, ""),
    )
