"""Balance sheets and exchange rates of IBKR statements into accounts and dollars per currency.

Statements give rates to the account's base currency. Dollars per currency follow only when the dollar itself has a
rate; none is ever invented. Margins are not in statements, so accounts have none and the margin checks stay UNKNOWN.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from adapters.statements.book import File
from adapters.statements.fields import number
from adapters.trust import NO_CURRENCY
from guardrails import calendar
from guardrails.values import Account, AccountId, Observed, Position

DOLLAR = "USD"


@dataclass(frozen=True, slots=True)
class Rate:
    """What 1.00 of `currency` is worth in `base` on a date."""

    currency: str
    base: str
    value: float
    day: date


@dataclass(frozen=True, slots=True)
class Sheet:
    """Equity of one account at the close of a day; None when the file does not say."""

    account: AccountId
    day: date
    base: str
    total: float | None = None
    cash: float | None = None
    began: float | None = None
    """equity at the close before"""
    flows: float | None = None
    """deposits minus withdrawals of this day"""


def rate(currency: str, base: str, text: str, day: date) -> list[Rate]:
    """The rate a row states, or nothing when it states none above zero."""
    try:
        value = number(text)
    except ValueError:
        return []
    if not value or value < 0 or not currency.strip() or not base.strip():
        return []
    return [Rate(currency.strip().upper(), base.strip().upper(), value, day)]


def dollars_per(rates: Iterable[Rate], file: File) -> dict[str, Observed]:
    """US dollars per 1.00 of each currency whose base has a dollar rate, at the latest date."""
    tables: dict[str, dict[str, Rate]] = defaultdict(dict)
    for item in rates:
        held = tables[item.base].get(item.currency)
        if held is None or item.day >= held.day:
            tables[item.base][item.currency] = item
    found: dict[str, Observed] = {}
    for base, table in tables.items():
        dollar = 1.0 if base == DOLLAR else table[DOLLAR].value if DOLLAR in table else None
        if dollar is None or base == NO_CURRENCY:
            continue
        for currency, item in table.items():
            oldest = min(item.day, table[DOLLAR].day) if DOLLAR in table else item.day
            if currency not in (DOLLAR, NO_CURRENCY):
                found[currency] = Observed(item.value / dollar, file.close(oldest), file.source)
    return found


def accounts(sheets: Iterable[Sheet], positions: Sequence[Position], file: File) -> tuple[Account, ...]:
    """One account per account named anywhere in the file, with the figures of its latest sheet."""
    by_account: dict[AccountId, list[Sheet]] = defaultdict(list)
    for sheet in sheets:
        by_account[sheet.account].append(sheet)
    times = {position.account: position.time for position in positions}
    found = [_account(rows, file) for rows in by_account.values()]
    missing = [held for held in times if held not in by_account]
    return (*found, *(Account(held, file.source, times[held], currency=NO_CURRENCY) for held in missing))


def _account(sheets: Sequence[Sheet], file: File) -> Account:
    """The account of the latest sheet that has a total, else of the one that only names it."""
    told = sorted((sheet for sheet in sheets if sheet.total is not None), key=lambda sheet: sheet.day)
    if not told:
        sheet = sheets[-1]
        return Account(sheet.account, file.source, file.close(sheet.day), currency=sheet.base)
    last = told[-1]
    before = calendar.previous_session(last.day)
    earlier = next((sheet.total for sheet in reversed(told) if sheet.day == before), last.began)
    return Account(
        id=last.account,
        source=file.source,
        time=file.close(last.day),
        currency=last.base,
        net_liquidation=last.total,
        cash=last.cash,
        prior_net_liquidation=None if earlier is None else Observed(earlier, file.close(before), file.source),
        cash_flows=last.flows,
    )
