"""What market and contract say of options before they can be priced, in one place for all who price.

Exercise style and settlement decide the method and the time to expiry, to the second. The rate and what the underlying
pays are dated readings of Market: cash on ex-dates where that is known, else a yield, else nothing. Futures carry
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from guardrails import calendar
from guardrails.columns import Array, Index, Mask
from guardrails.dividends import Basis, Schedule, ex_moment, schedule, years_until
from guardrails.instruments import Instrument, Kind, Right
from guardrails.pricing import Options
from guardrails.pricing.dividends_layout import SPACING, Dividends
from guardrails.pricing.styles import Styles
from guardrails.products import is_american
from guardrails.values import Market, Observed, finite

LOWEST_RATE, HIGHEST_RATE = -0.05, 0.25
"""a risk-free rate outside is not believed: it is a per cent taken for a fraction"""
_SIGN = {Right.CALL: 1.0, Right.PUT: -1.0, None: math.nan}


@dataclass(frozen=True, slots=True)
class Terms:
    """Columns of options, ready to be priced; NaN in rows that are no option or lack something."""

    options: Options
    styles: Styles
    on_future: Mask
    """struck on a future, which carries nothing at any rate"""
    payouts: Mapping[str, Schedule]
    """what each underlying is expected to pay, with who said so"""
    assumed: tuple[str, ...]
    """sentences on the rate and the payouts that are used, for a person; none without options"""

    def at(self, rows: Index) -> Terms:
        """Those of `rows`, any of which may be asked for more than once."""
        return Terms(self.options.at(rows), self.styles.at(rows), self.on_future[rows], self.payouts, self.assumed)


def terms_of(
    instruments: Sequence[Instrument], spot: Array, market: Market, now: datetime, spacing: float = SPACING
) -> Terms:
    """The terms of `instruments`, struck on what costs `spot`, at `now`; `spacing` is that of `Dividends`.

    An option of unknown style is taken as American, which is worth no less. A rate or payout that nobody says counts as
    zero, and so does a rate outside -5 % to 25 %; `payouts` and `assumed` say of which.
    """
    ends = [calendar.settles(each) if each.is_option else None for each in instruments]
    payouts = _payouts(instruments, ends, market, now)
    rate, words = _rate(market.risk_free)
    is_option = np.array([each.is_option for each in instruments], dtype=bool)
    on_future = np.array([each.kind is Kind.FUTURE_OPTION for each in instruments], dtype=bool)
    return Terms(
        options=Options(
            sign=np.array([_SIGN[each.right] for each in instruments]),
            spot=np.where(is_option, spot, math.nan),
            strike=np.array([math.nan if each.strike is None else float(each.strike) for each in instruments]),
            years=np.array([math.nan if end is None else _years(end, now) for end in ends]),
            rate=np.full(len(instruments), rate),
            carry=np.array([_carry(each, payouts, rate) for each in instruments]),
            on_future=on_future,
        ),
        styles=Styles(
            american=is_option & np.array([is_american(each) is not False for each in instruments], dtype=bool),
            dividends=Dividends.of(
                (list(_paid(each, end, payouts, now)) for each, end in zip(instruments, ends, strict=True)), spacing
            ),
        ),
        on_future=on_future,
        payouts=payouts,
        assumed=(words, *_unknown_payouts(payouts)) if is_option.any() else (),
    )


def _rate(told: Observed | None) -> tuple[float, str]:
    """The rate that is used, a fraction a year, and a sentence on it: what cannot be true counts as not told."""
    value = None if told is None else finite(told.value)
    if told is None or value is None:
        return 0.0, "No interest rate is known: zero is used."
    origin = f"{told.source}, {calendar.exchange_date(told.time):%d %b}"
    if not LOWEST_RATE <= value <= HIGHEST_RATE:
        bounds = f"{LOWEST_RATE:.0%} to {HIGHEST_RATE:.0%}"
        return 0.0, f"Interest rate {100 * value:.4g} % ({origin}) is not believed, {bounds} is: zero is used."
    return value, f"Interest rate {100 * value:.3g} %, {origin}."


def _unknown_payouts(payouts: Mapping[str, Schedule]) -> Iterator[str]:
    unknown = sorted(name for name, payout in payouts.items() if payout.basis is Basis.UNKNOWN)
    if unknown:
        yield f"No dividend of {', '.join(unknown)} is known: none is used."


def _years(end: datetime, now: datetime) -> float:
    return max((end - now).total_seconds(), 0.0) / calendar.SECONDS_PER_YEAR


def _payouts(
    instruments: Sequence[Instrument], ends: Sequence[datetime | None], market: Market, now: datetime
) -> Mapping[str, Schedule]:
    """Of every underlying of a share or index option, until its last option settles."""
    until: dict[str, datetime] = {}
    for each, end in zip(instruments, ends, strict=True):
        if end is not None and each.kind in (Kind.OPTION, Kind.INDEX_OPTION):
            until[each.underlying] = max(end, until.get(each.underlying, end))
    return {name: schedule(name, market, now, end) for name, end in until.items()}


def _carry(instrument: Instrument, payouts: Mapping[str, Schedule], rate: float) -> float:
    if instrument.kind is Kind.FUTURE_OPTION:
        return 0.0
    payout = payouts.get(instrument.underlying)
    return rate - (0.0 if payout is None or payout.dividend_yield is None else payout.dividend_yield)


def _paid(
    instrument: Instrument, end: datetime | None, payouts: Mapping[str, Schedule], now: datetime
) -> Iterator[tuple[float, float]]:
    """Years until each cash dividend of an option's share before the option settles, and its amount."""
    payout = payouts.get(instrument.underlying)
    if end is None or payout is None or payout.basis is not Basis.CASH or not instrument.is_option:
        return
    for dividend in payout.cash:
        if ex_moment(dividend) <= end:
            yield years_until(dividend, now), dividend.amount
