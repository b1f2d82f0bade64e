"""What a broker says of an account, or of one of its segments, in the view where its excess liquidity is least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from guardrails.portfolio import Portfolio
from guardrails.values import Account, Margin, MarginView

SEGMENTS = ("securities", "commodities")
"""parts of an account that a broker may margin by themselves"""
_VIEWS = {
    MarginView.CURRENT: "now",
    MarginView.FULL: "overnight",
    MarginView.LOOK_AHEAD: "look-ahead",
    MarginView.POST_EXPIRY: "post-expiry",
}


@dataclass(frozen=True, slots=True)
class Told:
    """The broker's figures in US dollars."""

    excess: float | None
    maintenance: float | None
    net_liquidation: float | None
    reason: str = ""
    """what is missing, in words; a view that is missing may be a worse one"""

    @property
    def equity(self) -> float:
        """What the requirement is held against; NaN when it is not known."""
        return math.nan if self.excess is None or self.maintenance is None else self.excess + self.maintenance


def told_of(portfolio: Portfolio, account: Account) -> Told:
    """The broker's figures of `account` in the view where its excess is least."""
    views = {view: _view(account, view) for view in account.expected_views}
    known = [row for row in views.values() if row is not None and row.excess is not None]
    absent = [
        _VIEWS[view] for view, row in views.items() if row is None or row.excess is None or row.maintenance is None
    ]
    reason = f"the broker's margin figures ({', '.join(absent)}) are missing" if absent else ""
    if not known:
        return Told(None, None, portfolio.usd(account.net_liquidation, account.currency), reason)
    worst = min(known, key=lambda row: math.inf if row.excess is None else row.excess)
    worth = account.net_liquidation if worst.net_liquidation is None else worst.net_liquidation
    figures = (portfolio.usd(figure, account.currency) for figure in (worst.excess, worst.maintenance, worth))
    excess, maintenance, worth = figures
    if excess is None:
        reason = f"no rate from {account.currency} to USD"
    return Told(excess, maintenance, worth, reason)


def segment_of(account: Account, segment: str) -> Account | None:
    """One segment of `account` as an account of its own, in the views that report it; None where none does."""
    rows = [
        row
        for row in account.margins
        if row.segment == segment and row.excess is not None and row.maintenance is not None
    ]
    if not rows:
        return None
    views = tuple(dict.fromkeys(row.view for row in rows))
    return replace(account, margins=(*rows, *(replace(row, segment="total") for row in rows)), expected_views=views)


def _view(account: Account, view: MarginView) -> Margin | None:
    """The account as a whole under one view: its total, or else the sum of its segments."""
    rows = [row for row in account.margins if row.view is view]
    total = next((row for row in rows if row.segment == "total"), None)
    if total is not None or not rows:
        return total
    return Margin(
        view,
        "total",
        *(_sum([getattr(row, name) for row in rows]) for name in ("net_liquidation", "maintenance", "excess")),
    )


def _sum(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return math.fsum(known) if len(known) == len(figures) else None
