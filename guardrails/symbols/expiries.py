"""What a date means: the settlement day behind a last trade date, and the contract month behind an expiry.

Both raise ValueError where the date fits no contract, because then the name beside it is another product's.
"""

from __future__ import annotations

from datetime import date, timedelta

from guardrails.calendar import next_session, session_on_or_before
from guardrails.instruments import Settlement
from guardrails.products import INDEX_ROOTS, option_code
from guardrails.symbols.contracts import Month

_QUARTERS = (3, 6, 9, 12)
_WEDNESDAY, _FRIDAY = 2, 4


def settlement_day(root: str, last_trade: date) -> date:
    """Expiry of the option root `root` that is dated by its last trade; only AM-settled index options differ.

    A date that already is the settlement day is left alone. VIX settles on Wednesdays, the others on the third Friday
    or the session before when that is a holiday: 2026-06-17 becomes 2026-06-18, as the 19th is closed.
    """
    index = INDEX_ROOTS.get(root)
    if index is None or index.settlement is not Settlement.CASH_AM:
        return last_trade
    if index.underlying == "VIX":
        return last_trade if last_trade.weekday() == _WEDNESDAY else next_session(last_trade)
    for day in (last_trade, next_session(last_trade)):
        if day == third_friday(day):
            return day
    raise ValueError(f"{root} settles on the third Friday, and {last_trade} is neither that nor the session before")


def third_friday(day: date) -> date:
    """Third Friday of the month of `day`, or the session before it when the exchange is closed."""
    first = day.replace(day=1)
    return session_on_or_before(first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14))


def option_month(code: str, expiry: date) -> Month:
    """The month a future option with this product code and expiry is named by: October for OG of 2025-09-25."""
    known = option_code(code)
    if known is None or known.months_ahead is None:
        raise ValueError(f"which month {code or 'this option'} is named by is not known: localSymbol is needed")
    if known.settlement is Settlement.CASH_AM and not (expiry.month in _QUARTERS and expiry == third_friday(expiry)):
        raise ValueError(f"{code} expires on the third Friday of a quarter, not on {expiry}: the class is another")
    return Month(expiry.year, expiry.month).later(known.months_ahead)
