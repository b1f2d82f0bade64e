"""The most packages of a blocked order that would pass; what is offered is judged whole, so it passes.

Of the margin only the whole has been asked for; a part is taken to need its share of it, and the broker is asked again
when the smaller order is simulated. A quantity that breaks a limit by sums alone is not judged again: what one package
does to sums of Greeks, and to the P&L of a rung of the ladder where no line can close, any number does so many times.
"""

from __future__ import annotations

from dataclasses import replace

from guardrails.gate.case import Case, Filled, Project, case_of, scaled
from guardrails.gate.ground import Ground
from guardrails.gate.kinds import ExitTest, exit_of
from guardrails.gate.projection import project
from guardrails.gate.values import FindingChange, MarginChange, Verdict
from guardrails.gate.verdict import judged
from guardrails.gate.working import resting
from guardrails.orders import Order

_SUMS = ("beta_delta", "gamma", "near_expiry_gamma", "short_vega")
"""hard limits on sums of Greeks: what breaks them is no hedge, and blocks"""
_SLACK = 1e-5
"""of the limit and of what is used: far above what counts as worse, and what rounding can do over all packages"""


def largest(
    order: Order, ground: Ground, margin: MarginChange, exit_test: ExitTest, *, by: Project = project
) -> int | None:
    """Packages below `order.quantity` that would pass; None when not even one would."""
    if order.quantity == 1 and not exit_test.resting:
        return None
    filled: Filled = {}
    rests = bool(resting(ground))
    one = None if exit_test.resting else _part(order, 1, ground, margin, by)

    def passes(quantity: int, *, alone: bool = False) -> bool:
        test = exit_of(replace(order, quantity=quantity), ground)
        if not test.holds and one is not None and not ground.overrides and breaks_by_sums(one, quantity):
            return False
        case = one if one is not None and quantity == 1 else _part(order, quantity, ground, margin, by)
        if judged(case, test).verdict is Verdict.BLOCK:
            return False  # working orders can only add to what speaks against it
        if alone or test.holds or not rests:
            return True
        beside = case_of(case.order, ground, case.margin, by=by, filled=filled)
        return judged(beside, test).verdict is not Verdict.BLOCK

    def most_of(least: int, too_many: int, *, alone: bool) -> int:
        while too_many - least > 1:
            middle = (least + too_many) // 2
            if passes(middle, alone=alone):
                least = middle
            else:
                too_many = middle
        return least

    if exit_test.resting:
        return exit_test.fits if exit_test.fits and passes(exit_test.fits) else None
    if not passes(1):
        return None
    most = most_of(1, order.quantity, alone=True)  # without the working orders, each of which doubles the work
    return most if most == 1 or not rests or passes(most) else most_of(1, most, alone=False)


def breaks_by_sums(one: Case, quantity: int) -> bool:
    """Whether `quantity` packages surely break a hard limit, or a broken one by more, by what `one` package does."""
    if not one.worlds:
        return False
    closes = _may_close(one)
    return any(
        _breaks(change, quantity)
        for change in one.counted(one.worlds[0])
        if change.check in _SUMS or (change.check == "stress_ladder" and not closes)
    )


def _part(order: Order, quantity: int, ground: Ground, margin: MarginChange, by: Project) -> Case:
    """The case of so many packages, no working order filled."""
    share = scaled(margin, quantity / order.quantity)
    return case_of(replace(order, quantity=quantity), ground, share, alone=True, by=by)


def _may_close(case: Case) -> bool:
    """Whether some quantity leaves a line flat, which then says no more of the volatility of its underlying."""
    held, positions = case.ground.prepared.held, case.ground.portfolio.positions
    rows = (
        (trade, row) for trade in case.order.trades for row in held.get(trade.instrument.key, {}).get(trade.account, ())
    )
    return any((quantity := positions[row].quantity) is None or quantity * trade.quantity < 0 for trade, row in rows)


def _breaks(change: FindingChange, quantity: int) -> bool:
    before, after, limit = change.value_before, change.value_after, change.limit
    if before is None or after is None or limit is None:
        return False
    had, use = (_use(change.check, value) for value in (before, before + quantity * (after - before)))
    return use > abs(limit) * (1.0 + _SLACK) and use > had * (1.0 + _SLACK)


def _use(check: str, value: float) -> float:
    """Of a limit either way, or of one on the short side."""
    return abs(value) if check == "beta_delta" else max(-value, 0.0)
