"""The worst that stress finds: over the curve, its trough, the named scenarios and the ladder of the limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from guardrails import wording
from guardrails.stress.outcome import Outcome
from guardrails.stress.scenarios import TITLES
from guardrails.stress.shocks import Shock
from guardrails.stress.standing import Standing


@dataclass(frozen=True, slots=True)
class Worst:
    """The least P&L, in dollars, and where; None is not known."""

    pnl: float | None = None
    shock: str = ""


def worst_of(stress: Standing | str) -> Worst:
    """The lower end of the P&L where it is lowest; not known when there is no stress or it has no lower end."""
    if isinstance(stress, str):
        return Worst()
    found = [_least(one) for one in (stress.curve, stress.trough, stress.scenarios, stress.ladder) if one is not None]
    known = [one for one in found if one is not None]
    if not known:
        return Worst()
    pnl, shock = min(known, key=lambda each: each[0])
    return Worst(pnl, _named(shock)) if math.isfinite(pnl) else Worst(None, _named(shock))


def _least(outcome: Outcome) -> tuple[float, Shock] | None:
    if not outcome.shocks:
        return None
    totals = np.nan_to_num(outcome.low.sum(axis=0), nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    place = int(np.argmin(totals))
    return float(totals[place]), outcome.shocks[place]


def _named(shock: Shock) -> str:
    if shock.name in TITLES:
        return TITLES[shock.name]
    if not shock.index:
        return wording.plain(shock.name)
    sign = "+" if shock.index > 0 else wording.MINUS
    return f"S&P 500 {sign}{abs(shock.index) * 100:.3g} %"
