"""Events inside the life of what an order trades, in words: expiry alarms, earnings, ex-dividend dates.

Only what is known is told; that nothing is told does not say that nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from guardrails import calendar
from guardrails.gate.ground import Ground
from guardrails.instruments import Instrument, Right
from guardrails.orders import Order
from guardrails.products import is_american
from guardrails.volatility import metrics_of


def flags_of(order: Order, ground: Ground) -> tuple[str, ...]:
    """What happens before the last leg of `order` is over."""
    return tuple(dict.fromkeys((*_expiries(order, ground), *_earnings(order, ground), *_dividends(order, ground))))


def _expiries(order: Order, ground: Ground) -> Iterator[str]:
    """Legs sold so close to their expiry that the alarm of short options rings, or soon will."""
    rule = ground.limits.keys.short_option_dte
    for leg in order.legs:
        instrument = leg.instrument
        if leg.ratio > 0 or rule is None or instrument.expiry is None or instrument.settlement is None:
            continue
        days, bounds = (
            calendar.trading_days_to(instrument.expiry, ground.now),
            getattr(rule, instrument.settlement.value),
        )
        if days <= bounds.watch:
            when = "expires today" if days == 0 else f"expires in {days} trading day{'s' if days > 1 else ''}"
            yield f"{instrument.label} {when}: short options alarm at {bounds.watch}, breach at {bounds.breach}"


def _earnings(order: Order, ground: Ground) -> Iterator[str]:
    for underlying, end in _lives(order).items():
        metrics = metrics_of(underlying, ground.portfolio.market)
        day = None if metrics is None else metrics.earnings
        if metrics is not None and day is not None and calendar.exchange_date(ground.now) <= day <= end:
            guess = " (estimated)" if metrics.earnings_estimated else ""
            at = f" {metrics.earnings_time}" if metrics.earnings_time else ""
            yield f"{underlying} reports on {day:%d %b}{at}{guess}, before {end:%d %b}"


def _dividends(order: Order, ground: Ground) -> Iterator[str]:
    """Ex-dates before expiry: a short call that can be exercised early may be assigned for the dividend."""
    today = calendar.exchange_date(ground.now)
    for leg in order.legs:
        instrument, end = leg.instrument, leg.instrument.expiry
        if not instrument.is_option or end is None or not is_american(instrument):
            continue
        short_call = leg.ratio < 0 and instrument.right is Right.CALL
        for day, amount in _ex_dates(instrument, ground).items():
            if today <= day <= end:
                risk = "; the short call may be assigned the day before" if short_call else ""
                yield f"{instrument.underlying} goes ex-dividend{amount} on {day:%d %b}, before {end:%d %b}{risk}"


def _ex_dates(instrument: Instrument, ground: Ground) -> dict[date, str]:
    market = ground.portfolio.market
    metrics = metrics_of(instrument.underlying, market)
    found = {} if metrics is None or metrics.ex_dividend is None else {metrics.ex_dividend: ""}
    for one in market.dividends.get(instrument.underlying, ()):
        found[one.ex_date] = f" {one.amount:g} {one.currency}{' (estimated)' if one.estimated else ''}"
    return found


def _lives(order: Order) -> dict[str, date]:
    """Last expiry of the options by underlying."""
    found: dict[str, date] = {}
    for leg in order.legs:
        name, end = leg.instrument.underlying, leg.instrument.expiry
        if leg.instrument.is_option and end is not None:
            found[name] = max(end, found.get(name, end))
    return found
