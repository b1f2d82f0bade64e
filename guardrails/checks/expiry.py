"""Short options that come too close to their expiry: trading days and hours to the last trade.

Assignment, pin risk and the overnight gap of AM-settled options are where retail accounts die (domain facts 3); an
AM-settled short has no way out after the last trade the day before, so the matrix alarms a trading day earlier for
it.
"""

from __future__ import annotations

import math

import numpy as np

from guardrails import calendar, wording
from guardrails.findings import Finding, Level
from guardrails.instruments import Right
from guardrails.limits import Limits
from guardrails.matrix import DteAlarm
from guardrails.portfolio import Portfolio
from guardrails.values import Position


def short_option_expiry(portfolio: Portfolio, limits: Limits) -> list[Finding]:
    """One Finding per short option at WATCH or worse, or one that names the next to expire."""
    rule = limits.keys.short_option_dte
    if rule is None:
        return [
            limits.finding(
                "short_option_expiry", "portfolio", Level.NOT_APPLICABLE, "Expiry of short options: not set."
            )
        ]
    columns = portfolio.exposures.columns
    shorts = np.flatnonzero(columns.is_short_option)
    if not len(shorts):
        return [limits.finding("short_option_expiry", "portfolio", Level.OK, "No short option is held.")]
    days = np.full(len(columns.expiries), math.nan)
    quiet = np.zeros(len(columns.expiries), dtype=bool)
    for place in np.unique(columns.expiry[shorts]):  # all shorts of one expiry and settlement stand alike
        expiry, settlement = columns.expiries[place]
        if expiry is not None and settlement is not None:
            days[place] = calendar.trading_days_to(expiry, portfolio.time)
            quiet[place] = _level(int(days[place]), getattr(rule, settlement.value)) is Level.OK
    loud = shorts[~quiet[columns.expiry[shorts]] | columns.doubtful[shorts]]
    shown = loud if len(loud) else shorts[[np.argmin(days[columns.expiry[shorts]])]]
    return [_judge(portfolio.positions[row], portfolio, limits) for row in shown]


def _judge(position: Position, portfolio: Portfolio, limits: Limits) -> Finding:
    instrument, now = position.instrument, portfolio.time
    subject = f"position:{position.account} {instrument.key}"
    rule = limits.keys.short_option_dte
    if instrument.expiry is None or instrument.settlement is None or rule is None:
        text = f"Short {instrument.label}: its expiry or settlement is not known."
        return limits.finding(
            "short_option_expiry",
            subject,
            Level.UNKNOWN,
            text,
            unit="trading days",
            action="Look the contract up at the broker.",
        )
    days = calendar.trading_days_to(instrument.expiry, now)
    bounds = getattr(rule, instrument.settlement.value)
    last = calendar.last_trade(instrument)
    hours = None if last is None else calendar.hours_to(last, now)
    level = _level(days, bounds)
    if position.reasons and level is not Level.BREACH:
        level = Level.UNKNOWN
    return limits.finding(
        "short_option_expiry",
        subject,
        level,
        _message(position, days, hours, portfolio),
        key="short_option_dte",
        value=float(days),
        limit=float(bounds.breach),
        unit="trading days",
        headroom=float(days - bounds.breach),
        evidence={
            "hours_to_last_trade": hours,
            "watch_at": bounds.watch,
            "settlement": instrument.settlement.value,
            "in_the_money": in_the_money(position, portfolio),
        },
        age=portfolio.age_of(position.time),
        action=_action(position, hours) if level.rank >= Level.WATCH.rank else "",
    )


def _level(days: int, bounds: DteAlarm) -> Level:
    return Level.BREACH if days <= bounds.breach else Level.WATCH if days <= bounds.watch else Level.OK


def in_the_money(position: Position, portfolio: Portfolio) -> bool | None:
    """Whether the option would be exercised at the present price of its underlying; None when that is not known."""
    instrument = position.instrument
    spot = portfolio.market.prices.get(instrument.underlying)
    if spot is None or instrument.strike is None or instrument.right is None:
        return None
    strike = float(instrument.strike)
    return spot.value > strike if instrument.right is Right.CALL else spot.value < strike


def _message(position: Position, days: int, hours: float | None, portfolio: Portfolio) -> str:
    instrument = position.instrument
    count = wording.quantity(None if position.quantity is None else abs(position.quantity))
    when = (
        "has expired"
        if days < 0
        else "expires today"
        if days == 0
        else f"expires in {days} trading day{'s' if days > 1 else ''}"
    )
    left = "" if hours is None or days < 0 else f", {wording.age(max(hours, 0.0) * 3600.0)} to its last trade"
    inside = in_the_money(position, portfolio)
    money = "" if inside is None else ", in the money" if inside else ", out of the money"
    return f"Short {count} {instrument.label} ({position.account}) {when}{left}{money}."


def _action(position: Position, hours: float | None) -> str:
    if hours is not None and hours <= 0:
        return "It no longer trades: check with the broker what is exercised or assigned."
    return f"Close or roll {position.instrument.label} before its last trade."
