"""Account values by currency: exchange rates, cash in foreign currencies, and whether an account says it holds nothing.

TWS sends every value as text, ledger tags once per currency plus a "BASE" row that sums them and must never be counted
beside them, and "N/A", "" or 1.797e308 for what it does not know (IBKR facts 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from adapters.ibkr import rows as ibkr_rows
from guardrails.values import AccountId, Observed, Position, finite

_DOLLAR = "USD"
_SUMS = ("", "BASE")
"""what stands in place of a currency in rows that belong to none"""
_BALANCES = ("TotalCashBalance", "CashBalance")
"""cash of one currency, with and without what the futures segment holds; the first that is known counts"""


class AccountValue(Protocol):
    """The fields of an ib_async account value."""

    @property
    def account(self) -> str: ...  # noqa: D102
    @property
    def tag(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> str: ...  # noqa: D102
    @property
    def currency(self) -> str: ...  # noqa: D102
    @property
    def modelCode(self) -> str: ...  # noqa: D102, N802  # ib_async's name


def rows_of(values: Iterable[AccountValue], account: str) -> list[ibkr_rows.AccountValue]:
    """The values of the whole account, without those of the advisor models inside it."""
    return [
        ibkr_rows.AccountValue(value.tag, value.value, value.currency)
        for value in values
        if value.account == account and not value.modelCode
    ]


def rates(rows: Sequence[ibkr_rows.AccountValue], time: datetime, source: str) -> dict[str, Observed]:
    """US dollars per 1.00 of every other currency the account knows; empty when the dollar's own rate is not known.

    TWS states what 1.00 of a currency is worth in the account's base currency, which need not be the dollar.
    """
    base = _base(rows)
    stated = {row.currency: rate for row in _ledger(rows, ("ExchangeRate",)) if (rate := _above_zero(row.value))}
    if base is not None and stated.setdefault(base, 1.0) != 1.0:
        return {}  # a base currency that is not worth itself: nothing here can be believed
    dollar = stated.get(_DOLLAR)
    if dollar is None:
        return {}
    return {
        currency: Observed(value, time, source)
        for currency, rate in stated.items()
        if currency != _DOLLAR and (value := finite(rate / dollar))
    }


def cash(rows: Sequence[ibkr_rows.AccountValue], account: AccountId, reading: ibkr_rows.Reading) -> list[Position]:
    """A cash position for each currency but the account's own, in that currency, negative when borrowed.

    A balance TWS names but does not state has no quantity, which makes the row UNKNOWN.
    """
    base = _base(rows)
    if base is None:
        return []
    found: dict[str, float | None] = {}
    for tag in reversed(_BALANCES):
        for row in _ledger(rows, (tag,)):
            stated = finite(row.value)
            found[row.currency] = found.get(row.currency) if stated is None else stated
    read = replace(reading, account=account)
    return [
        ibkr_rows.to_position(
            ibkr_rows.Contract("CASH", currency, currency=currency), ibkr_rows.Figures(balance, multiplier=1.0), read
        )
        for currency, balance in found.items()
        if currency != base and balance != 0
    ]


def holds_nothing(rows: Sequence[ibkr_rows.AccountValue]) -> bool | None:
    """Whether the account's own totals say that it holds no position; None when they do not tell.

    GrossPositionValue leaves futures out, MaintMarginReq does not: only both at zero prove an empty book.
    """
    if not _ready(rows):
        return None
    totals: list[list[float]] = [
        [figure for row in rows if row.tag == tag and (figure := finite(row.value)) is not None]
        for tag in ("GrossPositionValue", "MaintMarginReq")
    ]
    if any(figure > 0 for figures in totals for figure in figures):
        return False
    return True if all(figures and not any(figures) for figures in totals) else None


def _ready(rows: Iterable[ibkr_rows.AccountValue]) -> bool:
    """False while TWS says that the values are not valid yet."""
    return not any(row.tag == "AccountReady" and row.value.lower() == "false" for row in rows)


def _base(rows: Iterable[ibkr_rows.AccountValue]) -> str | None:
    """The currency the account is kept in: that of its net liquidation."""
    return next((row.currency for row in rows if row.tag == "NetLiquidation" and row.currency not in _SUMS), None)


def _ledger(rows: Sequence[ibkr_rows.AccountValue], tags: Sequence[str]) -> list[ibkr_rows.AccountValue]:
    """The rows of these tags that belong to one currency; none before the account is ready."""
    return [row for row in rows if row.tag in tags and row.currency not in _SUMS] if _ready(rows) else []


def _above_zero(text: str) -> float | None:
    number = finite(text)
    return number if number is not None and number > 0 else None
