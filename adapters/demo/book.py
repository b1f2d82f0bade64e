"""The demo book: two accounts of a premium seller, dealt anew each session around the previous close.

IBKR holds broad-index products only, because it reports no margin by underlying; single names live at tastytrade.
Strikes are chosen by standard deviations at calm volatility, so the same structure appears on any date. Every short
option is covered, by a long one or by shares. The book knows no limit: what colour it has is for the checks to say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from adapters.demo import expiries
from adapters.demo.market import EURUSD, RATE, UNDERLYINGS, YIELD
from guardrails import calendar, symbols
from guardrails.instruments import Instrument, Kind, Right
from guardrails.symbols import occ, tastytrade

IBKR, TASTYTRADE = "U7214567", "5WT00001"
"""account numbers, shaped as the brokers write them"""
PUT, CALL = Right.PUT, Right.CALL
_STEP: Mapping[str, float] = {"SPX": 25.0, "SPXW": 5.0, "SPY": 1.0, "QQQ": 1.0, "/ES": 10.0, "XOM": 2.5}
_NAME_STEP = 5.0
_MONTHS = "FGHJKMNQUVXZ"
_CALM_INDEX_VOL = 0.135


@dataclass(frozen=True, slots=True)
class Line:
    """One holding, and which package of legs it belongs to: margin is asked for packages."""

    account: str
    package: str
    instrument: Instrument
    quantity: float
    multiplier: float
    cost: float
    """price paid for one unit, as a multiple of the price at the previous close"""
    struck_on: Instrument | None = None
    """the futures contract a future option is exercised into"""


@dataclass(frozen=True, slots=True)
class Dealer:
    """Builds the lines of one account as of the exchange date `today`."""

    account: str
    today: date

    def shares(self, package: str, symbol: str, quantity: float, cost: float) -> Iterator[Line]:
        """A share or fund."""
        yield Line(self.account, package, symbols.parse(symbol, self.today), quantity, 1.0, cost)

    def currency(self, name: str, amount: float, rate: float) -> Iterator[Line]:
        """An amount of a currency, quoted in dollars."""
        yield Line(self.account, name, symbols.parse(f"{name}/USD", self.today), amount, 1.0, 1.12 / rate)

    def future(self, package: str, root: str, quantity: float, multiplier: float) -> Iterator[Line]:
        """The quarterly index future that is most traded now: the next one but in its last week."""
        held = self._contract(root, expiries.quarterly(expiries.sessions_ahead(self.today, 6)))
        yield Line(self.account, package, held, quantity, multiplier, 0.985)

    def options(self, package: str, root: str, expiry: date, *legs: tuple[Right, float, float]) -> Iterator[Line]:
        """Options of one expiry; a leg is (right, standard deviations out of the money, quantity)."""
        for right, deviations, quantity in legs:
            held = _listed(root, expiry, right, self._strike(root, expiry, right, deviations))
            yield Line(self.account, package, held, quantity, 100.0, _opened(quantity))

    def vertical(
        self, package: str, root: str, expiry: date, right: Right, deviations: float, width: int, quantity: float
    ) -> Iterator[Line]:  # fmt: skip
        """A short option and a long one `width` further out."""
        near = self._strike(root, expiry, right, deviations)
        far = near + (width if right is CALL else -width)
        for strike, held in ((near, -quantity), (far, quantity)):
            option = _listed(root, expiry, right, strike)
            yield Line(self.account, package, option, held, 100.0, _opened(held))

    def future_options(self, package: str, days: int, *legs: tuple[Right, float, float]) -> Iterator[Line]:
        """E-mini weekly options; the underlying is the quarterly future alive at their expiry."""
        code, expiry = expiries.future_weekly(self.today, days)
        future = self._contract("ES", expiries.quarterly(expiry))
        month = f"{_MONTHS[expiry.month - 1]}{expiry.year % 10}"
        for right, deviations, quantity in legs:
            strike = self._strike("/ES", expiry, right, deviations)
            text = f"./{future.symbol[1:-2]}{future.symbol[-1]} {code}{month} {expiry:%y%m%d}{right.value}{strike}"
            held = tastytrade.parse(text, "Future Option", self.today)
            yield Line(self.account, package, held, quantity, 50.0, _opened(quantity), future)

    def _contract(self, root: str, expiry: date) -> Instrument:
        text = f"/{root}{_MONTHS[expiry.month - 1]}{expiry:%y}"
        return replace(symbols.parse(text, self.today), expiry=expiry)

    def _strike(self, root: str, expiry: date, right: Right, deviations: float) -> Decimal:
        """The listed strike nearest to that many standard deviations from the previous close."""
        underlying = UNDERLYINGS["SPX" if root in ("SPXW", "/ES") else root]
        years = max((expiry - self.today).days, 1) / 365.0
        vol = math.hypot(underlying.beta * _CALM_INDEX_VOL, underlying.own_vol)
        start = underlying.price * (math.exp((RATE - YIELD) * years) if root == "/ES" else 1.0)
        target = start * math.exp((1.0 if right is CALL else -1.0) * deviations * vol * math.sqrt(years))
        step = _STEP.get(root, _NAME_STEP)
        return Decimal(f"{round(target / step) * step:g}")


def _listed(root: str, expiry: date, right: Right, strike: Decimal) -> Instrument:
    return occ.parse(f"{root:<6}{expiry:%y%m%d}{right.value}{int(strike * 1000):08d}")


def _opened(quantity: float) -> float:
    """Cost of an option against the previous close: all of it has decayed since, the wings most."""
    return 1.45 if quantity < 0 else 1.6


def deal(now: datetime) -> tuple[Line, ...]:
    """The lines of both accounts as of the exchange date of `now`."""
    today = calendar.exchange_date(now)
    return (*_ibkr(Dealer(IBKR, today)), *_tastytrade(Dealer(TASTYTRADE, today)))


def _ibkr(d: Dealer) -> Iterator[Line]:
    month, weeks3, weeks4 = expiries.monthly(d.today, 42), expiries.weekly(d.today, 21), expiries.weekly(d.today, 28)
    yield from d.shares("SPY shares", "SPY", 365, 0.94)
    yield from d.future("MES hedge", "MES", -5, 5.0)
    yield from d.currency("EUR", 15_000, EURUSD)
    yield from d.vertical("SPX condor", "SPX", month, PUT, 1.6, 25, 1)
    yield from d.vertical("SPX condor", "SPX", month, CALL, 1.3, 25, 1)
    yield from d.vertical("SPXW put spread", "SPXW", weeks3, PUT, 2.0, 25, 1)
    yield from d.vertical("SPY condor", "SPY", weeks4, PUT, 1.8, 20, 1)
    yield from d.vertical("SPY condor", "SPY", weeks4, CALL, 1.2, 20, 1)
    yield from d.vertical("QQQ condor", "QQQ", weeks3, PUT, 1.5, 20, 1)
    yield from d.vertical("QQQ condor", "QQQ", weeks3, CALL, 1.2, 20, 1)
    yield from d.future_options("ES put spread", 30, (PUT, 2.6, -1), (PUT, 3.7, 1))
    yield from d.options("SPY tail puts", "SPY", month, (PUT, 4.5, 2))


def _tastytrade(d: Dealer) -> Iterator[Line]:
    weeks2, weeks3, weeks4 = (expiries.weekly(d.today, days) for days in (16, 21, 28))
    yield from d.vertical("SPY this week", "SPY", expiries.sessions_ahead(d.today, 4), PUT, 1.6, 6, 2)
    yield from d.vertical("SPXW condor", "SPXW", weeks2, PUT, 1.8, 25, 1)
    yield from d.vertical("SPXW condor", "SPXW", weeks2, CALL, 1.3, 25, 1)
    yield from d.future_options("ES put spreads", 30, (PUT, 2.5, -2), (PUT, 3.7, 2))
    yield from d.shares("QQQ hedge", "QQQ", -50, 1.02)
    yield from d.vertical("QQQ put spread", "QQQ", weeks4, PUT, 1.6, 10, 1)
    yield from d.shares("AAPL covered call", "AAPL", 100, 0.82)
    yield from d.options("AAPL covered call", "AAPL", weeks4, (CALL, 0.2, -1))
    yield from d.shares("MSFT shares", "MSFT", 28, 0.77)
    yield from d.shares("JPM shares", "JPM", 48, 0.88)
    yield from d.shares("XOM covered call", "XOM", 100, 1.04)
    yield from d.options("XOM covered call", "XOM", weeks3, (CALL, 0.9, -1))
    yield from d.vertical("NVDA put spread", "NVDA", weeks3, PUT, 1.0, 10, 1)
    yield from d.vertical("AMZN call spread", "AMZN", weeks4, CALL, 1.0, 10, 3)


def futures_of(lines: Sequence[Line]) -> dict[str, Instrument]:
    """Every futures contract held or exercised into, by canonical symbol."""
    held = [line.instrument if line.instrument.kind is Kind.FUTURE else line.struck_on for line in lines]
    return {future.symbol: future for future in held if future is not None}
