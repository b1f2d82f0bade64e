"""Net liquidation, cash and margin of the simulated accounts: every figure a broker sends comes from the same sums.

    net liquidation = cash + sum of the position values        (exactly, at every moment)
    excess          = net liquidation - maintenance

Cash is fixed at the deal so that each account has the same net liquidation at the previous close in every scenario.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.demo.book import IBKR, TASTYTRADE
from adapters.demo.margin import Requirement
from adapters.demo.marks import Holding
from guardrails.instruments import Kind

PRIOR: Mapping[str, Mapping[bool, float]] = {
    IBKR: {False: 167_640.0, True: 62_300.0},
    TASTYTRADE: {False: 204_425.0},
}
"""dollars of net liquidation at the previous close by account and, at IBKR, by whether it is the commodities segment"""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of an account, or a whole account, in dollars."""

    net_liquidation: float
    cash: float
    """all currencies"""
    maintenance: float
    overnight: float
    ahead: float

    def __add__(self, other: Segment) -> Segment:
        return Segment(
            self.net_liquidation + other.net_liquidation,
            self.cash + other.cash,
            self.maintenance + other.maintenance,
            self.overnight + other.overnight,
            self.ahead + other.ahead,
        )


def in_commodities(holding: Holding) -> bool:
    """Whether IBKR holds it in the commodities segment."""
    return holding.line.account == IBKR and holding.line.instrument.kind in (Kind.FUTURE, Kind.FUTURE_OPTION)


def settled_cash(holdings: Sequence[Holding], account: str) -> dict[bool, float]:
    """US dollars in cash by segment that make the value at the previous close what PRIOR says."""
    cash: dict[bool, float] = {}
    for segment, prior in PRIOR[account].items():
        held = [holding for holding in holdings if in_commodities(holding) is segment]
        cash[segment] = round(prior - sum(holding.value - holding.day_pnl for holding in held), 2)
    return cash


def segments(
    holdings: Sequence[Holding], cash: Mapping[bool, float], asked: Sequence[Requirement]
) -> dict[bool, Segment]:
    """The segments of one account now; every package belongs to the only segment when there is but one."""
    found: dict[bool, Segment] = {}
    for segment, dollars in cash.items():
        held = [h for h in holdings if in_commodities(h) is segment]
        packages = [r for r in asked if len(cash) == 1 or r.commodities is segment]
        found[segment] = Segment(
            net_liquidation=dollars + sum(h.value for h in held),
            cash=dollars + sum(h.value for h in held if h.line.instrument.kind is Kind.CASH),
            maintenance=sum(r.now for r in packages),
            overnight=sum(r.overnight for r in packages),
            ahead=sum(r.ahead for r in packages),
        )
    return found
