"""Each account under shocks as a row of the Snapshot: its margin by our estimate, and how far its liquidation is."""

from __future__ import annotations

import logging
from functools import lru_cache

from guardrails.portfolio import Portfolio
from guardrails.snapshot.stress import AccountStressRow
from guardrails.stress.liquidation import SEARCHED, Distance, distances
from guardrails.values import Account

log = logging.getLogger(__name__)


def account_rows(portfolio: Portfolio, level: float | None) -> tuple[AccountStressRow, ...]:
    """One row per account, in their order; none while the book has not been revalued.

    `level` is that of the S&P 500 now; None when it is not known, then only returns are said.
    """
    stress = portfolio.stress
    if isinstance(stress, str):
        return ()
    try:
        found = distances(stress)
    except Exception as error:  # the rest of the Snapshot must not be lost with it, whatever went wrong
        _tell(type(error).__name__, str(error))
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
        reason=found.reason,
        down=found.down,
        up=found.up,
    )


def _blank(account: Account, reason: str) -> AccountStressRow:
    return AccountStressRow(
        account=str(account.id), rule="", estimate=None, maintenance=None, excess=None, zero_down=None, zero_up=None,
        searched=SEARCHED, next_margin_change=account.next_margin_change, reason=reason,
    )  # fmt: skip


def _at(level: float | None, index_return: float | None) -> float | None:
    return None if level is None or index_return is None else level * (1.0 + index_return)


@lru_cache(maxsize=64)
def _tell(kind: str, text: str) -> None:
    """Log the error being handled, once: every cycle would meet it again."""
    log.exception("the distance to liquidation cannot be computed (%s: %s)", kind, text)  # noqa: LOG004  # its callers handle one
