"""For which accounts orders may be sent at all, as the settings say; one policy for every broker.

Paper money is told from real money by the broker's own account (its number, the server it lives on), never by a wish.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from guardrails.values import AccountId


class Mode(StrEnum):
    """What `IBKR_TRADING` and `TT_TRADING` may be."""

    OFF = "off"
    PAPER = "paper"
    """paper and sandbox accounts only"""
    LIVE = "live"
    """accounts of `GUARDRAILS_LIVE_ACCOUNTS` only, whatever they are"""


@dataclass(frozen=True, slots=True)
class TradingMode:
    """What one broker's settings allow; by default nothing."""

    mode: str = Mode.OFF
    """one of `Mode`; anything else is off"""
    live_accounts: Collection[str] = field(default=(), repr=False)
    """full account numbers"""
    setting: str = ""
    """what the setting is called, for the words: `IBKR_TRADING`"""

    def refusal(self, account: AccountId, *, paper: bool) -> str:
        """Why no order may be sent for `account`, in words and without its number; empty when it may."""
        return refusal(account, self.mode, self.live_accounts, is_paper=paper, setting=self.setting)


def refusal(
    account: AccountId,
    mode: str,
    live_accounts: Collection[str],
    is_paper: bool,  # noqa: FBT001  # the last of four that callers name
    setting: str = "",
) -> str:
    """Why no order may be sent for `account`, in words and without its number; empty when it may."""
    name = setting or "its trading setting"
    if mode == Mode.PAPER:
        if is_paper:
            return ""
        return (
            f"{account} is no paper account and {name} is paper: to trade it, set {name} to live and list its full "
            "number in GUARDRAILS_LIVE_ACCOUNTS."
        )
    if mode == Mode.LIVE:
        if account.number in live_accounts:
            return ""
        return f"{account} is not in GUARDRAILS_LIVE_ACCOUNTS: list its full number there to trade it."
    return f"Trading at {account.broker} is off: set {name} to paper or live to send orders."
