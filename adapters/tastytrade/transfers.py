"""Money paid in and out of a tastytrade account, told from everything else that moves its cash; pure.

What is taken for a deposit is taken out of the day's profit, so a deposit that is missed hides a loss as large. What is
not understood therefore makes the sum unknown. Two habits of the ledger: interest is booked as a deposit or withdrawal
and told by its description, and a wire received may be booked as a withdrawal with a credit, so the sign decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from adapters.tastytrade.fields import moment, signed
from guardrails.calendar import exchange_date
from guardrails.values import finite

_MONEY, _IN_KIND = "money movement", "receive deliver"
_ACAT = "acat"
_MOVES = frozenset({"deposit", "withdrawal", "transfer", _ACAT})
_EARNED_OR_CHARGED = frozenset({
    "dividend", "credit interest", "debit interest", "interest", "fee", "mark to market", "futures settlement",
    "balance adjustment", "fully paid stock lending income",
})  # fmt: skip
_INTEREST = re.compile(r"INTEREST ON CREDIT BALANCE|FROM \d\d/\d\d THRU \d\d/\d\d @.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Since:
    """The end of day flows are counted from."""

    close: datetime
    """closing bell of its session: what was booked before is in its figures"""
    day: date
    """exchange date of the figures: what was booked on a later one is not in them"""


def cash_flows(rows: Iterable[Mapping[str, object]] | None, account: str, since: Since) -> float | None:
    """Deposits minus withdrawals since that end of day, in the account's currency.

    None when the transactions were not read, or when one that may be a deposit or a withdrawal cannot be told: of an
    unknown kind, without amount, effect or time, booked in the evening of that very day, securities moved in kind, or
    one id with two contents.
    """
    if rows is None:
        return None
    total, seen = 0.0, dict[str, Mapping[str, object]]()
    for row in rows:
        key = str(row.get("id") or "")
        if key and key in seen:
            if seen[key] != row:
                return None
            continue
        seen[key] = row
        flow = _flow(row, account, since)
        if flow is None:
            return None
        total += flow
    return finite(total)


def _flow(row: Mapping[str, object], account: str, since: Since) -> float | None:
    """What one transaction paid in (positive) or out, 0 when it did neither, None when that cannot be told."""
    kind, sub = (_words(row.get(f"transaction-{name}")) for name in ("type", "sub-type"))
    if not kind or str(row.get("account-number") or account).strip() != account:
        return None
    if kind != _MONEY and (kind, sub) != (_IN_KIND, _ACAT):
        return 0.0
    if sub in _EARNED_OR_CHARGED or (sub in _MOVES and _INTEREST.fullmatch(str(row.get("description") or "").strip())):
        return 0.0
    booked, value = moment(row.get("executed-at")), _value(row)
    if booked is None:
        return None
    if booked <= since.close:
        return 0.0
    if exchange_date(booked) <= since.day or kind == _IN_KIND:
        return None
    return value if sub in _MOVES else 0.0 if value == 0 else None


def _value(row: Mapping[str, object]) -> float | None:
    """The amount with the sign of its effect, before fees; an amount without an effect has no sign."""
    value = signed(row, "value")
    return value if value == 0 or row.get("value-effect") else None


def _words(value: object) -> str:
    return str(value or "").strip().lower()
