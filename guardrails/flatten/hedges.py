"""Index trades that would take the delta of the book off while its options are being closed; offers, never sent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta

from guardrails import calendar, wording
from guardrails.flatten.pricing import SHARES, usual_rule
from guardrails.flatten.values import HedgeOffer
from guardrails.instruments import Instrument, Kind
from guardrails.orders import Leg, Order
from guardrails.portfolio import Portfolio
from guardrails.products import future_multiplier
from guardrails.symbols.contracts import equity, future
from guardrails.symbols.expiries import third_friday
from guardrails.values import AccountId, Price

_ROOTS = ("ES", "MES")
_QUARTERS = (3, 6, 9, 12)
_ROLLED = timedelta(days=8)
"""before its expiry the front month of index futures hands over to the next"""
_FUND = "SPY"


def hedges_of(portfolio: Portfolio, account: AccountId | None) -> tuple[HedgeOffer, ...]:
    """What takes most of the beta delta of the whole book off in whole contracts, by ES, MES and SPY in `account`.

    None where the beta delta is not known, or no price of the contract in the market.
    """
    before = portfolio.exposures.beta_delta().total().known
    if before is None or account is None or not math.isfinite(before):
        return ()
    found = (_offer(account, before, *one) for one in _tools(portfolio))
    return tuple(offer for offer in found if offer is not None)


def _tools(portfolio: Portfolio) -> Iterator[tuple[Instrument, Price, float]]:
    """What can hedge: instrument, price, units per contract."""
    for root in _ROOTS:
        instrument = _front(portfolio, root)
        price, multiplier = portfolio.market.prices.get(instrument.symbol), future_multiplier(root)
        if price is not None and multiplier is not None:
            yield instrument, price, multiplier
    if (price := portfolio.market.prices.get(_FUND)) is not None:
        yield equity(_FUND), price, 1.0


def _front(portfolio: Portfolio, root: str) -> Instrument:
    """The contract that is held, nearest first; else the one most trade in by the calendar."""
    held = [
        position.instrument for position in portfolio.positions
        if position.instrument.kind is Kind.FUTURE and position.instrument.root == f"/{root}" and position.quantity
    ]  # fmt: skip
    if held:
        return min(held, key=lambda one: (one.expiry or date.max, one.symbol))
    day = calendar.exchange_date(portfolio.time)
    year, month = day.year, day.month
    while month not in _QUARTERS or third_friday(date(year, month, 1)) - day <= _ROLLED:
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return future(root, year, month)


def _offer(account: AccountId, before: float, instrument: Instrument, price: Price, units: float) -> HedgeOffer | None:
    """Beta 1 by construction; never more than takes it to zero."""
    each = units * price.value
    count = math.floor(abs(before) / each) if each > 0 and math.isfinite(each) else 0
    if not count:
        return None
    ratio = -1 if before > 0 else 1
    side = price.bid if ratio < 0 else price.ask
    legs = (Leg(instrument, ratio),)
    rule = SHARES if instrument.kind is Kind.EQUITY else usual_rule(legs)
    limit = None if side is None or side <= 0 else rule.rounded(ratio * side, up=True)
    order = Order(account, legs, count, limit)
    after = before + ratio * count * each
    what = f"{'SELL' if ratio < 0 else 'BUY'} {count} × {instrument.symbol}"
    at = "at the market" if limit is None else f"limit {wording.number(abs(limit), 2)}"
    return HedgeOffer(order, f"{what}, {at}, {account}", before, after)
