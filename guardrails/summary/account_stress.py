"""Each account under shocks as a row of the Snapshot: its margin by our estimate, and how far its liquidation is."""

from __future__ import annotations

import logging

from guardrails.portfolio import Portfolio
from guardrails.products import SP500
from guardrails.snapshot import AccountStressRow
from guardrails.stress.liquidation import SEARCHED, Distance, distances
from guardrails.values import Account

log = logging.getLogger(__name__)


def account_rows(portfolio: Portfolio) -> tuple[AccountStressRow, ...]:
    """One row per account, in their order; none while the book has not been revalued."""
    stress = portfolio.stress
    if isinstance(stress, str):
        return ()
    price = portfolio.market.prices.get(SP500)
    level = None if price is None or not price.value > 0 else price.value
    try:
        found = distances(stress)
    except Exception as error:  # the rest of the Snapshot must not be lost with it, whatever went wrong
        log.exception("the distance to liquidation cannot be computed")
        reason = f"it cannot be computed ({type(error).__name__}); see the log"
        return tuple(_blank(account, reason) for account in portfolio.accounts)
    return tuple(_row(account, one, level) for account, one in zip(portfolio.accounts, found, strict=True))


def _row(account: Account, found: Distance, level: float | None) -> AccountStressRow:
    one = found.one
    return AccountStressRow(
        account=str(account.id),
        rule=one.made.rule.value,
        estimate=one.made.amount,
        maintenance=one.told.maintenance,
        excess=one.told.excess,
        zero_down=_at(level, found.down),
        zero_up=_at(level, found.up),
        searched=SEARCHED,
        next_margin_change=account.next_margin_change,
        reason=found.reason or ("the level of the S&P 500 is not known" if level is None else ""),
    )


def _blank(account: Account, reason: str) -> AccountStressRow:
    return AccountStressRow(
        account=str(account.id), rule="", estimate=None, maintenance=None, excess=None, zero_down=None, zero_up=None,
        searched=SEARCHED, next_margin_change=account.next_margin_change, reason=reason,
    )  # fmt: skip


def _at(level: float | None, index_return: float | None) -> float | None:
    return None if level is None or index_return is None else level * (1.0 + index_return)
