"""Kind and verdict of a case: exits first and apart, then hedges, then everything else as new risk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from guardrails import wording
from guardrails.gate.case import Case, World
from guardrails.gate.folding import traced
from guardrails.gate.guard import Guard, block
from guardrails.gate.guards import GUARDS, objections, worst_of
from guardrails.gate.kinds import ExitTest, uncovers
from guardrails.gate.measures import Weight, weight_of
from guardrails.gate.moves import TOLERANCE, newly_breached, newly_unknown, worsened
from guardrails.gate.overriding import overridden
from guardrails.gate.values import OrderKind, Reason, Verdict
from guardrails.values import Position


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says of a case."""

    kind: OrderKind
    verdict: Verdict
    reasons: tuple[Reason, ...]
    """worst first"""
    no_hedge: str = ""
    """why it is no hedge, where it was looked at"""


def judged(case: Case, exit_test: ExitTest, guards: Sequence[Guard] = GUARDS) -> Judgement:
    """Kind, verdict and reasons of `case`."""
    if exit_test.holds or exit_test.resting:
        reasons = traced(objections(case, OrderKind.EXIT, guards))
        if exit_test.holds:
            return Judgement(OrderKind.EXIT, worst_of(reasons), reasons)
        reasons = (_resting_close(exit_test), *reasons)
        return Judgement(OrderKind.NEW_RISK, Verdict.BLOCK, reasons, "it closes what working orders close already")
    no_hedge = why_no_hedge(case)
    kind = OrderKind.NEW_RISK if no_hedge else OrderKind.HEDGE
    reasons = objections(case, kind, guards)
    if kind is OrderKind.NEW_RISK:
        reasons = overridden(reasons, case.ground)
    return Judgement(kind, worst_of(reasons), traced(reasons), no_hedge)


def why_no_hedge(case: Case) -> str:
    """Why the case is no hedge, in words; empty when it is one, whichever of the working orders fill.

    Options sold without cover are none: shocks end somewhere, and what they lose does not. What is paid above the
    middle of the quotes is lost at once, so it counts against the improvement.
    """
    try:
        return _why_no_hedge(case)
    except Exception as error:  # what cannot be shown to be a hedge is none
        return f"it cannot be computed ({type(error).__name__})"


def _why_no_hedge(case: Case) -> str:
    if case.failed or not case.worlds:
        return case.failed or "the book with it is not known"
    margin = case.margin
    if margin.unknown or margin.excess_after is None:
        return "the margin after it is not known"
    if margin.excess_after <= 0:
        return "no excess would be left"
    paid = _above_mid(case)
    if paid is None:
        return "what it costs above mid is not known"
    return next((why for world in case.worlds if (why := _worse_in(world, case, paid))), "") or _opens(case)


def _opens(case: Case) -> str:
    """Which options it sells that nothing covers: what they may lose lies beyond every shock that is tried."""
    words = uncovers(case.order, case.ground)
    return f"{words}, and what that may lose lies beyond every shock" if words else ""


def _worse_in(world: World, case: Case, paid: float) -> str:
    before, after = world.before.pnl, world.after.pnl
    if before is None or after is None:
        return "the worst stress loss is not known"
    if after - paid <= before + TOLERANCE * abs(before):
        return f"the worst stress loss goes from {wording.money(before)} to {wording.money(after - paid)}"
    for change in case.counted(world):
        if weight_of(change.check) is not Weight.HARD:
            continue
        if newly_breached(change) or worsened(change, case.reach) or newly_unknown(change):
            return f"{wording.plain(change.check)} is not kept: {change.message}"
    return ""


def _above_mid(case: Case) -> float | None:
    """Dollars that the limit gives away against the middle of the quotes; None when that is not known."""
    price, limit = case.price, case.order.limit
    if limit is None:
        limit = price.natural
    if limit is None or price.mid is None or price.unit is None:
        return None
    rates = {None if row is None else case.ground.portfolio.usd(1.0, row.currency) for row in _rows(case)}
    if None in rates or not rates:
        return None
    away = max(limit - price.mid, 0.0) * price.unit * case.order.quantity
    return away * max(rate for rate in rates if rate is not None) if math.isfinite(away) else None


def _rows(case: Case) -> list[Position | None]:
    return [case.row(leg.instrument.key) for leg in case.order.legs]


def _resting_close(test: ExitTest) -> Reason:
    fits = f" {test.fits} would fit beside it." if test.fits else ""
    names = wording.names(list(test.resting), 2, " and ")
    text = f"{names} would close the same: together they cross zero.{fits}"
    return block("resting_close", f"{text} Cancel it, wait for the confirmation, then close.")
