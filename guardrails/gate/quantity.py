"""The most packages of a blocked order that would pass; each candidate is judged whole, so what is offered passes.

Of the margin only the whole has been asked for; a part is taken to need its share of it, and the broker is asked again
when the smaller order is simulated.
"""

from __future__ import annotations

from dataclasses import replace

from guardrails.gate.case import Filled, Project, case_of, scaled
from guardrails.gate.ground import Ground
from guardrails.gate.kinds import ExitTest, exit_of
from guardrails.gate.projection import project
from guardrails.gate.values import MarginChange, Verdict
from guardrails.gate.verdict import judged
from guardrails.gate.working import resting
from guardrails.orders import Order


def largest(
    order: Order, ground: Ground, margin: MarginChange, exit_test: ExitTest, *, by: Project = project
) -> int | None:
    """Packages below `order.quantity` that would pass; None when not even one would."""
    filled: Filled = {}
    rests = bool(resting(ground))

    def passes(quantity: int, *, alone: bool = False) -> bool:
        part = replace(order, quantity=quantity)
        test = exit_of(part, ground)
        share = scaled(margin, quantity / order.quantity)
        if judged(case_of(part, ground, share, alone=True, by=by), test).verdict is Verdict.BLOCK:
            return False  # working orders can only add to what speaks against it
        if alone or test.holds or not rests:
            return True
        case = case_of(part, ground, share, by=by, filled=filled)
        return judged(case, test).verdict is not Verdict.BLOCK

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
    if order.quantity == 1 or not passes(1):
        return None
    most = most_of(1, order.quantity, alone=True)  # without the working orders, each of which doubles the work
    return most if most == 1 or passes(most) else most_of(1, most, alone=False)
