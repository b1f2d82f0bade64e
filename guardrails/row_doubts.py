"""What the words about one row say against it: it has expired, its price is old, its mark contradicts its quote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from guardrails import calendar
from guardrails.closed_form import TICK
from guardrails.greeks_choice import Feeds
from guardrails.instruments import Instrument
from guardrails.values import Market, Position, finite

PriceDoubts = dict[tuple[str, str], tuple[str, ...]]
"""what is wrong with a price, by its name and the source of the position that needs it"""


def checked(position: Position, market: Market, feeds: Feeds, told: PriceDoubts) -> Position:
    """The position with what its own row says against it."""
    reasons: list[str] = []
    instrument = position.instrument
    is_option = instrument.is_option
    if _is_past(instrument, feeds.now) and not any(r.startswith("expired") for r in position.reasons):
        reasons.append(f"expired on {instrument.expiry}: what became of it is not known")
    if finite(position.quantity) is None and not position.reasons:
        reasons.append("its quantity is not known")
    if is_option and (instrument.expiry is None or instrument.strike is None or instrument.right is None):
        reasons.append("an option without expiry, strike or right")
    if instrument.adjusted:
        reasons.append("adjusted option: its deliverable is not known, so it has no Greeks")
    name = instrument.underlying if is_option else instrument.symbol
    if market.prices.get(name) is not None:  # the same of all that is struck on it
        key = (name, position.source)
        if key not in told:
            told[key] = tuple(_price_doubts(position, name, market, feeds))
        reasons += told[key]
    elif not is_option:
        reasons += _price_doubts(position, name, market, feeds)
    tolerance = feeds.rules.mark_tolerance_pct
    if contradiction := _contradiction(position.mark, position.bid, position.ask, tolerance):
        reasons.append(contradiction)
    return replace(position, reasons=(*position.reasons, *reasons)) if reasons else position


def _is_past(instrument: Instrument, now: datetime) -> bool:
    """Whether it has settled; where it is not known how it settles, whether its day is over."""
    if instrument.expiry is None:
        return False
    settled = calendar.settles(instrument)
    return instrument.expiry < calendar.exchange_date(now) if settled is None else settled < now


def _price_doubts(position: Position, name: str, market: Market, feeds: Feeds) -> Iterator[str]:
    """What is wrong with the price of `name`, which the position is struck on, or with its own where the market has
    none.
    """
    price = market.prices.get(name)
    time = position.mark_time if price is None else price.time
    if time is None:
        return
    if feeds.ahead(time):
        yield f"the price of {name} is dated in the future"
    elif position.source in feeds.live and feeds.quiet(time):
        yield f"the price of {name} has not ticked for {feeds.age(time)}"
    if price is not None and (
        contradiction := _contradiction(price.value, price.bid, price.ask, feeds.rules.mark_tolerance_pct)
    ):
        yield f"{name}: {contradiction}"


def _contradiction(mark: float | None, bid: float | None, ask: float | None, tolerance: float) -> str:
    if mark is None or bid is None or ask is None or ask <= 0:
        return ""
    if bid > ask:
        return f"its quote is crossed: bid {bid:g} above ask {ask:g}"
    slack = max(tolerance * ask, TICK)
    if bid - slack <= mark <= ask + slack:
        return ""
    return f"its mark {mark:g} contradicts its quote {bid:g}/{ask:g}"
