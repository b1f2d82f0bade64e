"""One order with everything the guards look at: its price, its margin, and the book without and with it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from guardrails.findings import Finding
from guardrails.gate.ground import Ground
from guardrails.gate.moves import Reach, changes_of, counted, reach_of
from guardrails.gate.package_price import PackagePrice, price_of
from guardrails.gate.projection import Projected, project
from guardrails.gate.stress_worst import Worst, worst_of
from guardrails.gate.subsets import subsets
from guardrails.gate.values import FindingChange, MarginChange
from guardrails.gate.working import Resting, resting
from guardrails.orders import Order, Preview, Trade
from guardrails.redaction import redact
from guardrails.stress.standing import Standing
from guardrails.values import Position, finite

Project = Callable[..., Projected]
"""`projection.project`, or what answers as it does"""

log = logging.getLogger(__name__)

_CENTS = 0.01
"""below zero: what rounding may leave of a margin"""


@dataclass(frozen=True, slots=True)
class World:
    """The book without and with the order, when some of the working orders have filled."""

    words: str
    """which have; empty: none"""
    changes: tuple[FindingChange, ...]
    before: Worst
    after: Worst
    unknown: tuple[str, ...] = ()
    """what is not known of the legs, in words"""


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged."""

    order: Order
    ground: Ground
    margin: MarginChange
    price: PackagePrice
    reach: Reach
    worlds: tuple[World, ...]
    """the first is the one in which no working order fills; none when the book with the order cannot be computed"""
    after: Projected | None = None
    """the book with the order, no working order filled"""
    failed: str = ""
    """why the book with the order cannot be computed"""
    _rows: dict[str, Position | None] = field(default_factory=dict, compare=False, repr=False)

    def counted(self, world: World) -> Iterator[FindingChange]:
        """What the order moves of what can refuse it."""
        return counted(world.changes, self.reach)

    def row(self, key: str) -> Position | None:
        """A row of this instrument, valued: with the order, else without it, whoever holds it."""
        if key not in self._rows:
            books = [self.ground.portfolio.positions] if self.after is None else [
                self.after.portfolio.positions, self.ground.portfolio.positions,
            ]  # fmt: skip
            named = key.partition(":")[2]  # held against the symbol first, as a key is made anew each time
            self._rows[key] = next(
                (p for book in books for p in book if p.instrument.symbol == named and p.instrument.key == key), None
            )
        return self._rows[key]


Filled = dict[tuple[int, ...], Projected]
"""books in which some of the working orders have filled, by their places: the same for every quantity of an order"""


def case_of(
    order: Order,
    ground: Ground,
    margin: MarginChange,
    *,
    alone: bool = False,
    by: Project = project,
    filled: Filled | None = None,
) -> Case:
    """The case of `order`; `alone` leaves the working orders out, for what passes whatever they do.

    `filled` is kept between cases of one order that differ in quantity only.
    A book that cannot be computed is no error here: the case says why, and the guards refuse what needs it.
    """
    price = price_of(order, ground.portfolio)
    reach = reach_of(order)
    try:
        rests = () if alone else resting(ground)
        after = by(ground.prepared, order.trades, margin=margin, account=order.account)
        told = {"margin": margin, "account": order.account}
        first = _world("", ground.prepared.findings, ground.portfolio.stress, after)
        kept = {} if filled is None else filled
        worlds = (first, *_worlds(order, ground, rests, partial(by, ground.prepared), told, kept))
    except Exception as error:  # a gate that cannot compute must say so, whatever went wrong
        log.exception("an order cannot be simulated")
        why = f"what the order would do cannot be computed ({type(error).__name__}); see the log"
        return Case(order, ground, margin, price, reach, (), failed=why)
    return Case(order, ground, margin, price, reach, worlds, after)


def unjudged(order: Order, ground: Ground, margin: MarginChange) -> Case:
    """The case of an order of which nothing can be computed."""
    why = "what the order would do cannot be computed; see the log"
    return Case(order, ground, margin, price_of(order, ground.portfolio), reach_of(order), (), failed=why)


def _worlds(
    order: Order,
    ground: Ground,
    rests: Sequence[Resting],
    after: Callable[..., Projected],
    told: Mapping[str, Any],
    filled: Filled,
) -> Iterator[World]:
    """The worlds in which some of the working orders have filled."""

    def without(chosen: tuple[int, ...]) -> Projected:
        if chosen not in filled:
            filled[chosen] = after(joined([trade for place in chosen for trade in rests[place].trades]))
        return filled[chosen]

    for chosen in subsets(rests, lambda place: without((place,)).findings, ground.prepared.findings):
        trades = joined([*(trade for place in chosen for trade in rests[place].trades), *order.trades])
        base, words = without(chosen), " and ".join(rests[place].name for place in chosen)
        yield _world(words, base.findings, base.stress, after(trades, **told))


def _world(words: str, findings: Iterable[Finding], stress: Standing | str, after: Projected) -> World:
    changes = changes_of(findings, after.findings)
    return World(words, changes, worst_of(stress), worst_of(after.stress), after.unknown)


def joined(trades: Sequence[Trade]) -> tuple[Trade, ...]:
    """One trade per account and instrument; those that cancel out are left out."""
    total: dict[tuple[object, str], Trade] = {}
    for trade in trades:
        name = (trade.account, trade.instrument.key)
        had = total.get(name)
        quantity = trade.quantity + (had.quantity if had else 0.0)
        total[name] = Trade(trade.account, trade.instrument, quantity)
    return tuple(trade for trade in total.values() if not math.isclose(trade.quantity, 0.0, abs_tol=1e-9))


def margin_of(preview: Preview | None, source: str) -> MarginChange:
    """A broker's answer as the gate reads it; what is missing or no number makes all of it unknown."""
    if preview is None:
        return MarginChange(source, unknown="the broker has not said what the order does to the margin")
    first, kept, excess = preview.initial_margin, preview.maintenance_margin, finite(preview.excess_after)
    after, held = finite(first.after), finite(kept.after)
    why = redact(preview.unknown)
    if not why and (after is None or held is None or excess is None or after < 0 or held < 0):
        why = "the broker's answer lacks the margin or the excess after the order"
    return MarginChange(
        source=source,
        initial_before=finite(first.before),
        initial_after=after,
        maintenance_before=finite(kept.before),
        maintenance_after=held,
        excess_after=None if why else excess,
        commission=finite(preview.commission),
        currency=preview.currency,
        unknown=why,
        words=tuple(redact(one) for one in preview.warnings),
        at_least=finite(preview.equity_with_loan.after) is None,
    )


def scaled(margin: MarginChange, part: float) -> MarginChange:
    """The margin of a `part` (0 to 1) of the order, as if it grew in step; to be asked again when it is sent."""
    if margin.unknown:
        return margin
    at = partial(_between, part=part)
    kept = at(margin.maintenance_before, margin.maintenance_after)
    excess = margin.excess_after
    if excess is not None:
        if margin.maintenance_after is None or kept is None:
            excess = None
        else:
            excess += margin.maintenance_after - kept
    unknown = "" if excess is not None else "the margin of a part of the order has to be asked for"
    return MarginChange(
        margin.source, margin.initial_before, at(margin.initial_before, margin.initial_after),
        margin.maintenance_before, kept, excess, None, margin.currency, unknown, (), margin.at_least,
    )  # fmt: skip


def _between(before: float | None, after: float | None, *, part: float) -> float | None:
    return None if before is None or after is None else before + part * (after - before)
