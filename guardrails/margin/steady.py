"""The pairing of an account from one cycle to the next: searched anew only where quantities or prices have moved.

Prices are rounded before the search, so that a tick seldom changes the question and its answer can be remembered, part
by part: what is struck on to a hundredth of itself, of an option what it is worth above its intrinsic value to a
hundredth of that. Against the tenth of the underlying that an uncovered option costs at least that is little. The
answer is a division like any other: at the true prices it costs no less than the cheapest, and never more than
everything uncovered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from guardrails.margin.legs import FUTURES, Leg
from guardrails.margin.packages import Pairing
from guardrails.margin.pairing import pair

STEP = 0.01
"""of the price of the underlying"""


def steady(legs: Sequence[Leg]) -> Pairing:
    """The packages of `legs`, all of one account; as `pair`, but cheapest at rounded prices."""
    return pair([leg if leg.problem or leg.instrument.kind in FUTURES else rounded(leg) for leg in legs])


def rounded(leg: Leg) -> Leg:
    """`leg`, of which everything is known, at the prices that are asked about."""
    spot = _grid(leg.spot)
    if not leg.is_option:
        return replace(leg, price=_grid(leg.price), spot=spot)
    step = STEP * spot
    above = max(leg.price - max(leg.sign * (leg.spot - leg.strike), 0.0), 0.0)
    inside = max(leg.sign * (spot - leg.strike), 0.0)
    return replace(leg, price=inside + step * round(above / step), spot=spot)


def _grid(price: float) -> float:
    """The next of the prices that are a hundredth apart."""
    return price if price <= 0.0 else math.exp(STEP * round(math.log(price) / STEP))
