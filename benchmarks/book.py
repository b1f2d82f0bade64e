"""A synthetic book of any size: the same shape at 100, 1,000 and 10,000 positions, so that growth can be compared.

Fifty underlyings (indices, futures, funds, single names), two accounts, 85 % options over eleven expiries, with quotes
and vendor Greeks that agree with each other (closed form at one volatility). Net liquidation grows with the book, so
that no limit is broken: the cost of a quiet day, which is the usual one.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count as counting

import numpy as np

from guardrails import calendar, pricing
from guardrails.instruments import Instrument, Kind, Right
from guardrails.symbols import contracts
from guardrails.values import (
    Account,
    AccountId,
    Greeks,
    Margin,
    MarginView,
    Market,
    Observed,
    Position,
    Price,
    Source,
    SourceState,
    View,
)

NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
"""a Wednesday, 10:30 in New York, market open"""
READ = NOW - timedelta(seconds=1)
SOURCE = "bench"
ACCOUNTS = (AccountId("IBKR", "U0000004567"), AccountId("tastytrade", "5WT00001"))
INDICES = {"SPX": 6000.0, "NDX": 21000.0, "RUT": 2300.0}
ROOTS = {"SPX": "SPXW", "NDX": "NDXP", "RUT": "RUTW"}
FUTURES = {"/ESZ26": 6010.0}
FUNDS = {"SPY": 600.0, "QQQ": 510.0, "IWM": 228.0}
SINGLES = {f"Q{chr(65 + i // 26)}{chr(65 + i % 26)}": 40.0 + 9.0 * i for i in range(43)}
LEVELS = {**INDICES, **FUTURES, **FUNDS, **SINGLES}
EXPIRIES = tuple(date(2026, 11, 18) + timedelta(days=days) for days in (9, 16, 23, 30, 37, 44, 51, 58, 93, 121, 212))
"""the first is more than a week away: a short that expires sooner is an alarm, and the quiet day is measured"""
VOLATILITY, RATE = 0.25, 0.04
NLV_PER_POSITION = 50_000.0


def market() -> Market:
    """Prices, betas and volatility indices, all one second old."""
    weekdays = [day for day in (date(2026, 11, 1) + timedelta(days=i) for i in range(17)) if day.weekday() < 5]
    return Market(
        vix=Observed(17.0, READ, SOURCE),
        vix3m=Observed(19.0, READ, SOURCE),
        vix_closes=tuple((day, 17.0) for day in weekdays),
        vix3m_closes=tuple((day, 19.0) for day in weekdays),
        prices={name: Price(value, READ, SOURCE) for name, value in LEVELS.items()},
        betas={name: Observed(0.6 + 0.02 * i, READ, SOURCE) for i, name in enumerate(LEVELS)},
        risk_free=Observed(RATE, READ, SOURCE),
    )


def positions(count: int) -> tuple[Position, ...]:
    """`count` distinct positions, always the same ones; options carry the vendor's Greeks and a quote."""
    chance = random.Random(20261118)  # noqa: S311  # a reproducible book, not a secret
    names = list(LEVELS)
    seen: dict[tuple[AccountId, str], Position] = {}
    for turn in counting():
        name = names[turn % len(names)]
        account = ACCOUNTS[(turn // len(names)) % 2]
        instrument = _instrument(name, turn, chance)
        quantity = float(chance.choice((-3, -2, -1, 1, 2, 3)) * (100 if instrument.kind is Kind.EQUITY else 1))
        seen.setdefault((account, instrument.key), _position(account, instrument, quantity))
        if len(seen) == count:
            break
    return _valued(tuple(seen.values()))


def view(count: int, *, vendor_greeks: bool = True) -> View:
    """What one live source would say; without `vendor_greeks` every option is left to the closed form."""
    held = positions(count)
    if not vendor_greeks:
        held = tuple(replace(position, greeks=None) for position in held)
    accounts = tuple(_account(number, NLV_PER_POSITION * count / len(ACCOUNTS)) for number in ACCOUNTS)
    return View(Source(SOURCE, SourceState.LIVE, READ), accounts, held, market())


def _instrument(name: str, turn: int, chance: random.Random) -> Instrument:
    """Shares and futures one time in seven at most, else an option within 15 % of the money."""
    if turn % 7 == 0 and name not in INDICES:
        return contracts.future("ES", 2026, 12) if name in FUTURES else contracts.equity(name)
    right, expiry = chance.choice((Right.CALL, Right.PUT)), chance.choice(EXPIRIES)
    step = 5.0 if LEVELS[name] > 1000 else 0.5
    strike = Decimal(str(round(LEVELS[name] * chance.uniform(0.85, 1.15) / step) * step))
    if name in FUTURES:
        return contracts.future_option("ES", 2026, 12, date(2026, 12, 18), right, strike, name)
    return contracts.option(ROOTS.get(name, name), expiry, right, strike)


def _position(account: AccountId, instrument: Instrument, quantity: float) -> Position:
    multiplier = 50.0 if instrument.underlying in FUTURES else 100.0 if instrument.is_option else 1.0
    mark = None if instrument.is_option else LEVELS[instrument.symbol]
    return Position(account, instrument, quantity, multiplier, SOURCE, READ, mark=mark, mark_time=READ, day_pnl=0.0)


def _valued(held: tuple[Position, ...]) -> tuple[Position, ...]:
    """Marks, quotes and Greeks of the options at one volatility."""
    rows = [row for row, position in enumerate(held) if position.instrument.is_option]
    options = [held[row].instrument for row in rows]
    rate = np.full(len(rows), RATE)
    found = pricing.sensitivities(
        pricing.Options(
            sign=np.array([1.0 if option.right is Right.CALL else -1.0 for option in options]),
            spot=np.array([LEVELS[option.underlying] for option in options]),
            strike=np.array([float(option.strike or 0) for option in options]),
            years=np.array([calendar.year_fraction(option, NOW) or 0.0 for option in options]),
            rate=rate,
            carry=np.where([option.kind is Kind.FUTURE_OPTION for option in options], 0.0, rate),
        ),
        np.full(len(rows), VOLATILITY),
    )
    valued = list(held)
    for place, row in enumerate(rows):
        mark = max(float(found.price[place]), 0.05)
        delta, gamma, vega, theta = (
            float(column[place]) for column in (found.delta, found.gamma, found.vega, found.theta)
        )
        valued[row] = replace(
            held[row], mark=mark, bid=mark - 0.02, ask=mark + 0.02, quote_time=READ,
            greeks=Greeks(delta, gamma, vega, theta, VOLATILITY, SOURCE, READ),
        )  # fmt: skip
    return tuple(valued)


def _account(number: AccountId, net_liquidation: float) -> Account:
    used = net_liquidation / 4
    margin = Margin(MarginView.CURRENT, "total", net_liquidation, used, net_liquidation - used)
    return Account(
        number,
        SOURCE,
        READ,
        net_liquidation=net_liquidation,
        day_pnl=0.0,
        margins=(margin,),
        margin_by_underlying=dict.fromkeys(LEVELS, used / len(LEVELS)),
        prior_net_liquidation=Observed(net_liquidation, NOW - timedelta(hours=18), SOURCE),
        cash_flows=0.0,
    )
