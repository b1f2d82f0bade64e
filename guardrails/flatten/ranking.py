"""Which closing order comes first: what cannot wait, then what takes most of the worst loss off for a dollar of cost.

Shorts come before longs. What is worth what is taken from the stress that is always known of the book: the shock, of
the curve, the ladder and the named scenarios, under which all of it loses most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from guardrails import calendar, wording
from guardrails.checks.expiry import in_the_money
from guardrails.columns import Array
from guardrails.flatten.packages import Bundle
from guardrails.flatten.pricing import Priced
from guardrails.flatten.scope import Line
from guardrails.gate.cover import Changes, Cover, Holding
from guardrails.instruments import Right
from guardrails.orders import BrokerOrder
from guardrails.portfolio import Portfolio
from guardrails.products import is_american
from guardrails.stress.outcome import by_position
from guardrails.stress.scenarios import GAP, SPREADS
from guardrails.stress.shocks import Shock
from guardrails.values import AccountId

LEAST_COST = 1.0
"""dollars: what is closed for less counts as costing it, or nothing could be compared"""
_EVE = 1
"""trading days to an ex-date on the last day on which a call is exercised for the dividend"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One bundle with its price and its rank."""

    bundle: Bundle
    priced: Priced
    cost_at_mid: float | None
    cost_at_natural: float | None
    stress_removed: float | None
    urgent: str
    """why it cannot wait; empty when it can"""

    @property
    def per_dollar(self) -> float | None:
        """Stress removed per dollar of cost over mid."""
        if self.stress_removed is None or self.cost_at_natural is None or self.cost_at_mid is None:
            return None
        return self.stress_removed / max(self.cost_at_natural - self.cost_at_mid, LEAST_COST)

    @property
    def rank(self) -> tuple[object, ...]:
        """The lower, the earlier; what is not known is taken for the worst."""
        worth = math.inf if self.per_dollar is None else self.per_dollar
        labels = [line.instrument.label for line in self.bundle.lines]
        return not self.bundle.buys_back, not self.urgent, -worth, str(self.bundle.account), labels

    @property
    def why_here(self) -> str:
        """Why it stands where it stands, for a person."""
        if self.urgent:
            return self.urgent
        if self.per_dollar is None:
            return "what it would lose is not known: taken for the worst"
        over = (self.cost_at_natural or 0.0) - (self.cost_at_mid or 0.0)
        removed = self.stress_removed or 0.0
        does = f"takes {wording.money(removed)} off" if removed >= 0 else f"adds {wording.money(-removed)} to"
        return f"{does} the worst loss for {wording.money(over)} over the middle"


def worst_by_row(portfolio: Portfolio) -> Array:
    """P&L of each position under the shock that the book loses most by; NaN where it is not known."""
    stress, count = portfolio.stress, len(portfolio.positions)
    if isinstance(stress, str) or len(stress.book.portfolio.positions) != count:
        return np.full(count, math.nan)
    found = [(stress.curve, place) for place in range(len(stress.curve.shocks))]
    for outcome in (stress.trough, stress.scenarios, *([] if stress.ladder is None else [stress.ladder])):
        found += [(outcome, place) for place, shock in enumerate(outcome.shocks) if shock.name not in (GAP, SPREADS)]
    worst: Shock | None = None
    least = 0.0
    for outcome, place in found:
        low = outcome.total(place).low
        if low < least or worst is None:
            worst, least = outcome.shocks[place], low
    return np.full(count, math.nan) if worst is None else by_position(stress.book, [worst])[:, 0]


def removed(bundle: Bundle, losses: Array) -> float | None:
    """Dollars of the worst loss that go with `bundle`; None when a line of it cannot be revalued."""
    total = 0.0
    for line in bundle.lines:
        held = sum(float(losses[row]) for row in line.rows)
        total -= held * abs(bundle.units(line)) / abs(line.quantity or math.nan)
    return total if math.isfinite(total) else None


def urgent(bundle: Bundle, portfolio: Portfolio) -> str:
    """Why a short of `bundle` cannot wait: it expires today, or may be exercised for a dividend; else empty."""
    for line in bundle.lines:
        if line.is_short and line.instrument.is_option:
            if line.instrument.expiry == calendar.exchange_date(portfolio.time):
                return f"{line.instrument.label} expires today"
            if why := _for_the_dividend(line, portfolio):
                return why
    return ""


def _for_the_dividend(line: Line, portfolio: Portfolio) -> str:
    instrument = line.instrument
    if instrument.right is not Right.CALL or not is_american(instrument):
        return ""
    if not in_the_money(portfolio.positions[line.rows[0]], portfolio):
        return ""
    metrics = portfolio.market.metrics.get(instrument.underlying)
    told = [dividend.ex_date for dividend in portfolio.market.dividends.get(instrument.underlying, ())]
    days = [*told, *([] if metrics is None or metrics.ex_dividend is None else [metrics.ex_dividend])]
    near = [day for day in days if calendar.trading_days_to(day, portfolio.time) == _EVE]
    return f"{instrument.label} is in the money before the ex-date {min(near)}" if near else ""


def in_order(
    candidates: Sequence[Candidate], held: Iterable[Holding], rests: Sequence[BrokerOrder] = ()
) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
    """`candidates` so that each leaves no short option less covered when those before it are filled; and those that
    never can, because something that stays needs them. `held` is all of their accounts, closed or not, and what the
    orders that stay (`rests`) may open.
    """
    rooms: dict[tuple[AccountId, str], list[Holding]] = {}
    for holding in held:
        rooms.setdefault(holding.room, []).append(holding)
    covers = {room: Cover(lines) for room, lines in rooms.items()}
    resting: dict[AccountId, list[Changes]] = {}
    for order in rests:
        fills = {leg.instrument.key: leg.ratio * order.remaining for leg in order.legs}
        resting.setdefault(order.account, []).append(fills)
    waiting = sorted(candidates, key=lambda one: one.rank)
    sequence: list[Candidate] = []
    while True:
        later = []
        for one in waiting:
            cover, changes = covers[one.bundle.lines[0].holding.room], one.bundle.changes
            if not cover.lost(changes, resting.get(one.bundle.account, ())):
                cover.take(changes)
                sequence.append(one)
            else:
                later.append(one)
        if len(later) in (0, len(waiting)):
            return tuple(sequence), tuple(later)
        waiting = later
