"""One row per account, in US dollars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from guardrails.checks.loss import loss_of
from guardrails.checks.margin import cushions
from guardrails.findings import Level, worst
from guardrails.portfolio import Portfolio
from guardrails.snapshot.book import AccountRow
from guardrails.values import Account, MarginView, finite


def account_row(account: Account, portfolio: Portfolio, levels: Mapping[str, Sequence[Level]]) -> AccountRow:
    """The row of `account`; `levels` are those of the findings by subject."""
    views = {margin.view: margin for margin in account.margins if margin.segment == "total"}
    worst_cushion = min((c.fraction for c in cushions(account) if c.fraction is not None), default=None)
    loss = loss_of(account, portfolio)
    current, ahead = views.get(MarginView.CURRENT), views.get(MarginView.LOOK_AHEAD)
    own = [level for subject, found in levels.items() if subject.startswith(f"account:{account.id}") for level in found]

    def usd(value: float | None) -> float | None:
        return portfolio.usd(value, account.currency)

    return AccountRow(
        account=account.id.masked,
        broker=account.id.broker,
        source=account.source,
        as_of=account.time,
        age_seconds=portfolio.age_of(account.time),
        currency=account.currency,
        net_liquidation=usd(account.net_liquidation),
        excess_liquidity=usd(None if current is None else current.excess),
        excess_look_ahead=usd(None if ahead is None else ahead.excess),
        cushion=worst_cushion,
        maintenance=usd(None if current is None else current.maintenance),
        buying_power=usd(account.buying_power),
        day_pnl=usd(None if loss.lost is None else -loss.lost),
        day_pnl_broker=usd(account.day_pnl),
        next_margin_change=account.next_margin_change,
        level=worst(own),
        sma=usd(finite(account.sma)),
        restrictions=None if account.restrictions is None else tuple(kind.value for kind in account.restrictions),
    )
