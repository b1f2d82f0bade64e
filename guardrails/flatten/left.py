"""What cannot be closed now, or is not worth it, and why."""

from __future__ import annotations

from datetime import timedelta

from guardrails import wording
from guardrails.flatten.hours import closed
from guardrails.flatten.pricing import usable
from guardrails.flatten.scope import UNORDERED, Line
from guardrails.flatten.values import Left
from guardrails.limits import Limits
from guardrails.matrix.orders import FlattenRules
from guardrails.portfolio import Portfolio


def left(line: Line, why: str, *, stuck: bool, quantity: float | None = None) -> Left:
    """`line`, or `quantity` of it, as something that is not closed."""
    amount = line.quantity if quantity is None else quantity
    return Left(str(line.account), line.instrument.label, amount, why, stuck)


def hindrance(line: Line, portfolio: Portfolio, limits: Limits, rules: FlattenRules) -> tuple[str, bool] | None:
    """Why `line` is not closed and whether it is stuck; None when it can be.

    Greeks, margins and doubts about the row do not matter: what is held can be closed at a quote.
    """
    if why := _unreadable(line):
        return why, True
    if why := closed(line.instrument, portfolio, portfolio.time):
        return why, True
    if is_worthless(line, rules):
        return f"worth {rules.worthless:g} or less without a bid: left to expire", False
    why = _unquoted(line, portfolio, limits)
    return (why, True) if why else None


def is_worthless(line: Line, rules: FlattenRules) -> bool:
    """Whether nobody bids for the option and it is offered at next to nothing."""
    return line.instrument.is_option and not line.bid and line.ask is not None and 0 < line.ask <= rules.worthless


def _unreadable(line: Line) -> str:
    instrument = line.instrument
    if line.quantity is None:
        return f"its quantity cannot be read: {'; '.join(line.doubts) or 'the record has none'}"
    if instrument.kind in UNORDERED:
        return f"no order of this program trades it ({instrument.kind.value}): close it at the broker"
    if instrument.adjusted:
        return "an adjusted option, whose deliverable is not known: close it at the broker"
    if instrument.is_option and (instrument.expiry is None or instrument.strike is None or instrument.right is None):
        return "its terms cannot be read: close it at the broker"
    if abs(line.quantity) < 1:
        return "less than one unit, which no order takes"
    return ""


def _unquoted(line: Line, portfolio: Portfolio, limits: Limits) -> str:
    """Why no price can be named; in an open market a quote may not be older than one that still prices a loss."""
    if usable(line.bid, line.ask, buys=line.is_short) is None:
        if line.bid is None and line.ask is None:
            return "no quote"
        if line.bid is not None and line.ask is not None and line.bid > line.ask > 0:
            return f"its quote is crossed ({line.bid:g} bid, {line.ask:g} asked)"
        return "nobody offers it" if line.is_short else "nobody bids for it"
    oldest = timedelta(minutes=limits.matrix.data.quiet_after_minutes)
    if line.quote_time is None:
        return "its quote has no time"
    if portfolio.market_open and portfolio.time - line.quote_time > oldest:
        return f"stale quote, {wording.age((portfolio.time - line.quote_time).total_seconds())} old"
    return ""
