"""What a margin rule needs to know of a position, and whether it is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from guardrails.instruments import Instrument, Kind
from guardrails.portfolio import Portfolio
from guardrails.values import AccountId

FUTURES = (Kind.FUTURE, Kind.FUTURE_OPTION)
"""margined by the futures exchange's own rule, which is not estimated here"""
OPTIONS = (Kind.OPTION, Kind.INDEX_OPTION)
"""options that the strategy-based rule knows"""
_MODELLED = (Kind.EQUITY, Kind.BOND, Kind.OPTION, Kind.INDEX_OPTION, *FUTURES)


@dataclass(frozen=True, slots=True)
class Leg:
    """One position of one account as a margin rule sees it; NaN is missing."""

    instrument: Instrument
    quantity: float
    """signed: negative is short"""
    multiplier: float
    price: float
    """of one unit, without the multiplier, in the position's currency"""
    spot: float
    """price of what the option is struck on; of a share its own price"""
    fx: float = 1.0
    """US dollars per 1.00 of the currency"""
    broker: str = ""
    """decides which house rules apply: `IBKR`, `tastytrade`; any other name the exchange minimum"""

    @property
    def underlying(self) -> str:
        """Canonical symbol the requirement is grouped by."""
        return self.instrument.underlying or self.instrument.symbol

    @property
    def scale(self) -> float:
        """US dollars per 1.00 of price and contract."""
        return self.multiplier * self.fx

    @property
    def is_option(self) -> bool:
        """Whether it is a listed option on a share or index (not on a future)."""
        return self.instrument.kind in OPTIONS

    @property
    def sign(self) -> float:
        """+1 for a call, -1 for a put, 0 for everything else."""
        right = self.instrument.right
        return 0.0 if right is None else 1.0 if right.value == "C" else -1.0

    @property
    def strike(self) -> float:
        """Strike as a float; NaN without one."""
        return math.nan if self.instrument.strike is None else float(self.instrument.strike)

    @property
    def problem(self) -> str:
        """Why no requirement can be said of it, in words with its name; empty when nothing is missing."""
        reason = _missing(self)
        return f"{self.instrument.label}: {reason}" if reason else ""


def _missing(leg: Leg) -> str:
    i = leg.instrument
    if i.kind not in _MODELLED:
        return f"no margin rule for {i.kind.value.replace('_', ' ')}"
    if not math.isfinite(leg.quantity):
        return "its quantity is not known"
    if not (math.isfinite(leg.multiplier) and leg.multiplier > 0.0):
        return "its multiplier is not known"
    if not (math.isfinite(leg.fx) and leg.fx > 0.0):
        return "the rate of its currency to USD is not known"
    if i.kind in FUTURES:
        return ""  # its requirement is the broker's, whatever the price
    if i.kind is Kind.BOND and leg.quantity < 0.0:
        return "no margin rule for a bond that was sold short"
    if not (math.isfinite(leg.price) and leg.price >= 0.0):
        return "its price is not known"
    if not leg.is_option:
        return ""
    if i.adjusted:
        return "its deliverable was adjusted"
    if i.strike is None or i.right is None or i.expiry is None:
        return "its strike, right or expiry is not known"
    return "" if math.isfinite(leg.spot) and leg.spot > 0.0 else f"no price of {leg.underlying}"


def legs_of(portfolio: Portfolio, account: AccountId) -> tuple[Leg, ...]:
    """The positions of `account` as legs, cash left out, in the order of the portfolio.

    A row that cannot be trusted comes with NaN as quantity, so that its underlying is unknown, not smaller.
    """
    columns, found = portfolio.exposures.columns, []
    for row, position in enumerate(portfolio.positions):
        if position.account != account or position.instrument.kind is Kind.CASH or position.quantity == 0.0:
            continue
        spot = float(columns.spot[row])
        own = position.instrument.kind in (Kind.EQUITY, Kind.BOND)
        found.append(
            Leg(
                instrument=position.instrument,
                quantity=_float(None if position.reasons else position.quantity),
                multiplier=_float(position.multiplier),
                price=spot if own else _float(position.mark),
                spot=spot,
                fx=float(columns.fx[row]),
                broker=account.broker,
            )
        )
    return tuple(found)


def by_underlying(legs: tuple[Leg, ...] | list[Leg]) -> Mapping[str, tuple[int, ...]]:
    """Indices of the legs that hold something, by underlying symbol, in order of appearance."""
    found: dict[str, list[int]] = {}
    for index, leg in enumerate(legs):
        if leg.quantity != 0.0:
            found.setdefault(leg.underlying, []).append(index)
    return {name: tuple(rows) for name, rows in found.items()}


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)
