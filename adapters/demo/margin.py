"""What the demo brokers ask as maintenance margin: published minimums by package, so that excess moves with the market.

An estimate in the manner of domain facts 2.1 and 2.3, asked on top of what net liquidation already carries (a short
option's price is deducted there, so it is not asked again):

    shares                  25 % of their value
    long option             its value, as nothing is lent on it
    uncovered short option  max(rate * U - OTM, floor * K for a put, floor * U for a call), per unit
    short strangle          the dearer of its two sides
    spread of equal sides   its maximum loss, less the loss that its price already shows
    covered call            nothing for the call
    future, option on it    a share of the notional that grows with VIX
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.demo.book import TASTYTRADE
from adapters.demo.marks import Holding
from guardrails.instruments import Kind, Right
from guardrails.products import BROAD_INDEX_GROUPS, group_of

_SHARES = 0.25
_BROAD, _BROAD_TASTYTRADE, _NAMES = (0.15, 0.10), (0.25, 0.15), (0.20, 0.10)
_FUTURE, _INTRADAY = 0.066, 0.75


@dataclass(frozen=True, slots=True)
class Stress:
    """How much dearer than in calm times futures are, and every requirement at the next change."""

    futures: float
    ahead: float

    @classmethod
    def of(cls, vix: float) -> Stress:
        """Exchanges raise futures margins with volatility, brokers announce more for the next change."""
        return cls(futures=1.0 + max(vix - 20.0, 0.0) / 50.0, ahead=1.03 + max(vix - 20.0, 0.0) / 40.0)


@dataclass(frozen=True, slots=True)
class Requirement:
    """Maintenance of one package."""

    underlying: str
    commodities: bool
    """futures and their options: IBKR holds them in a segment of their own"""
    now: float
    """with the intraday discount on futures"""
    overnight: float
    ahead: float
    """after the next margin change"""


def requirements(holdings: Sequence[Holding], stress: Stress) -> tuple[Requirement, ...]:
    """One Requirement per package that takes margin."""
    packages: dict[str, list[Holding]] = {}
    for held in holdings:
        if held.line.instrument.kind is not Kind.CASH:
            packages.setdefault(held.line.package, []).append(held)
    return tuple(_package(legs, stress) for legs in packages.values())


def _package(legs: Sequence[Holding], stress: Stress) -> Requirement:
    first = legs[0].line.instrument
    on_future = first.kind in (Kind.FUTURE, Kind.FUTURE_OPTION)
    scale = stress.futures if on_future else 1.0
    overnight = scale * (_linear(legs) + _options(legs))
    now = overnight * (_INTRADAY if on_future else 1.0)
    return Requirement(first.underlying or first.symbol, on_future, now, overnight, overnight * stress.ahead)


def _linear(legs: Sequence[Holding]) -> float:
    rates: Mapping[Kind, float] = {Kind.EQUITY: _SHARES, Kind.FUTURE: _FUTURE}
    return sum(
        rates.get(h.line.instrument.kind, 0.0) * abs(h.line.quantity) * h.line.multiplier * h.mark.mark for h in legs
    )


def _options(legs: Sequence[Holding]) -> float:
    options = [held for held in legs if held.line.instrument.is_option]
    if not options:
        return 0.0
    shares = sum(held.line.quantity for held in legs if held.line.instrument.kind is Kind.EQUITY)
    sides = [_side(options, right, shares) for right in Right]
    return max(sides)


def _side(options: Sequence[Holding], right: Right, shares: float) -> float:
    """What one side of a package asks; shares cover calls."""
    side = [held for held in options if held.line.instrument.right is right]
    short = -sum(held.line.quantity for held in side)
    covered = shares / 100.0 if right is Right.CALL else 0.0
    if side and short - covered > 0:
        return max(_uncovered(held) for held in side if held.line.quantity < 0) * (short - covered)
    if not side or covered:
        return 0.0
    return max(_maximum_loss(side, right), 0.0)


def _maximum_loss(side: Sequence[Holding], right: Right) -> float:
    """What can still be lost from the present value of a side that is covered by its own long legs."""
    strikes = [float(held.line.instrument.strike or 0) for held in side]
    worst = min(_payoff(side, right, price) for price in (*strikes, 0.0, 2.0 * max(strikes)))
    return sum(h.line.quantity * h.line.multiplier * h.mark.mark for h in side) - worst


def _payoff(side: Sequence[Holding], right: Right, price: float) -> float:
    sign = 1.0 if right is Right.CALL else -1.0
    return sum(
        h.line.quantity * h.line.multiplier * max(sign * (price - float(h.line.instrument.strike or 0)), 0.0)
        for h in side
    )


def _uncovered(held: Holding) -> float:
    """Requirement of one uncovered short contract."""
    instrument, spot = held.line.instrument, held.mark.spot
    strike = float(instrument.strike or 0)
    call = instrument.right is Right.CALL
    out = max(strike - spot, 0.0) if call else max(spot - strike, 0.0)
    rate, floor = _rates(held)
    return max(rate * spot - out, floor * (spot if call else strike)) * held.line.multiplier


def _rates(held: Holding) -> tuple[float, float]:
    """Share of the underlying and least share, for uncovered shorts (tastytrade asks more for indices)."""
    instrument = held.line.instrument
    if instrument.kind is Kind.FUTURE_OPTION:
        return _FUTURE, _FUTURE / 4.0
    if instrument.kind is Kind.INDEX_OPTION and held.line.account == TASTYTRADE:
        return _BROAD_TASTYTRADE
    return _BROAD if group_of(instrument.underlying) in BROAD_INDEX_GROUPS else _NAMES
