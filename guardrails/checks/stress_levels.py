"""Levels of what the book would lose under shocks, from figures alone: the same for a book revalued now and for one of
which only the figures were kept."""

from __future__ import annotations

from dataclasses import replace

from guardrails.findings import Level
from guardrails.intervals import Interval
from guardrails.limits import Bound, stricter
from guardrails.portfolio import Portfolio
from guardrails.stress.scenarios import SPREADS

MATERIAL = 0.01
"""of net liquidation: residuals that add up to more are not known to be harmless"""


def rung_name(index: float) -> str:
    """Of a rung, as in the subject of its Finding: `SPX -10 %`."""
    return f"SPX {index * 100:+g} %"


def loss_bound(share: float, portfolio: Portfolio) -> Bound:
    """What may be lost: `share` of net liquidation."""
    return stricter(None, share, portfolio.net_liquidation, "net liquidation")


def believed(pnl: Interval, *, clears: bool) -> Interval:
    """`pnl`, which may prove a breach at most where it `clears` nothing."""
    return pnl if clears else replace(pnl, missing=True)


def clears(name: str, unvalued_share: float, most: float, *, doubtful: bool, unquoted: bool) -> bool:
    """Whether a case may clear a limit: not when too much that it rests on is not known, or only assumed."""
    return not (doubtful or unvalued_share > most or (name == SPREADS and unquoted))


def excess_level(excess: Interval, now: float | None, watch_at: float, *, clears: bool) -> Level:
    """Of the worst move of one account; WATCH when it takes most of the excess there is, or there is none."""
    if excess.high < 0:
        return Level.BREACH
    if excess.low < 0 or excess.missing or not clears:
        return Level.UNKNOWN
    if now is None or now < 0 or excess.low <= (1.0 - watch_at) * now:
        return Level.WATCH
    return Level.OK


def residual_level(apart: float, net_liquidation: float | None, *, blind: bool) -> Level:
    """Of model prices that are `apart` from the market by so many dollars, some perhaps not to be compared."""
    material = net_liquidation is None or apart > MATERIAL * max(net_liquidation, 0.0)
    if blind or (apart > 0 and material):
        return Level.UNKNOWN
    return Level.WATCH if apart > 0 else Level.OK
