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
from guardrails.orders import Order


def largest(
    order: Order, ground: Ground, margin: MarginChange, exit_test: ExitTest, *, by: Project = project
) -> int | None:
    """Packages below `order.quantity` that would pass; None when not even one would."""
    if exit_test.resting:
        return exit_test.fits or None
    filled: Filled = {}

    def passes(quantity: int) -> bool:
        part = replace(order, quantity=quantity)
        test = exit_of(part, ground)
        share = scaled(margin, quantity / order.quantity)
        if judged(case_of(part, ground, share, alone=True, by=by), test).verdict is Verdict.BLOCK:
            return False  # working orders can only add to what speaks against it
        case = case_of(part, ground, share, alone=test.holds, by=by, filled=filled)
        return judged(case, test).verdict is not Verdict.BLOCK

    if order.quantity == 1 or not passes(1):
        return None
    most, too_many = 1, order.quantity
    while too_many - most > 1:
        middle = (most + too_many) // 2
        if passes(middle):
            most = middle
        else:
            too_many = middle
    return most
