"""Single fields of tastytrade records: numbers as text, signs beside them, moments, days, flags and names.

Nothing here raises, whatever JSON put into the field: what cannot be read is None, and the caller says what follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

from guardrails.calendar import FIRST_DAY, LAST_DAY
from guardrails.errors import SymbolError
from guardrails.products import FUTURES
from guardrails.symbols import tastytrade as symbols
from guardrails.values import finite

_YEARS = range(FIRST_DAY.year + 1, LAST_DAY.year)
"""outside it a date is a misreading; the trading calendar knows the days before and after every day in it"""
_PRODUCT = re.compile(r"/[A-Z0-9]{1,4}")
_ZONE_NAME = re.compile(r"\[[^\]]*\]$")


def number(value: object) -> float | None:
    """The number written, also as text with thousands commas; None when it is none."""
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        return None  # Python reads both as numbers
    try:
        return finite(value.replace(",", "") if isinstance(value, str) else value)
    except OverflowError:  # an integer of more than 308 digits
        return None


def signed(fields: Mapping[str, object], name: str) -> float | None:
    """The amount under `name` with the sign of `name-effect`; None when one is unreadable or contradicts the other.

    The API sends sizes and puts the sign into the effect; client libraries sign the size as well or drop the effect.
    """
    value, effect = number(fields.get(name)), str(fields.get(f"{name}-effect") or "").strip().lower()
    if value is None or not effect:
        return value
    if effect == "debit":
        return -abs(value)
    if effect == "credit":
        return value if value >= 0 else None
    return 0.0 if effect == "none" and value == 0 else None


def requirement(fields: Mapping[str, object], name: str) -> float | None:
    """The requirement under `name`, positive: balances send it so, the margin report as a debit; a credit is none."""
    value = number(fields.get(name))
    if value is None or (value != 0 and str(fields.get(f"{name}-effect") or "debit").strip().lower() != "debit"):
        return None
    return abs(value)


def moment(value: object) -> datetime | None:
    """The time written in ISO 8601 with its zone, in UTC; None for one without zone, which could be any."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(_ZONE_NAME.sub("", value.strip()))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None and found.year in _YEARS else None


def day(value: object) -> date | None:
    """The date a text begins with; None when it begins with none."""
    if not isinstance(value, str):
        return None
    try:
        found = date.fromisoformat(value.strip()[:10])
    except ValueError:
        return None
    return found if found.year in _YEARS else None


def text_of(value: object) -> str:
    """A text, or a number as it is written; empty for nothing, and for what is neither."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()


def flag(value: object) -> bool | None:
    """A JSON true or false; None for anything else."""
    return value if isinstance(value, bool) else None


def underlying(value: object, written: date) -> str | None:
    """Canonical symbol of a share, index, coin, future or futures product: `BRK/B`, `SPX`, `/ESZ26`, `/ES`.

    None when `value` names none. `written`, the exchange date of the record, decides the decade of `/ESZ6`.
    """
    text = value.strip().upper() if isinstance(value, str) else ""
    if text in FUTURES:
        return text
    try:
        found = symbols.parse(text, "", written)
    except SymbolError:
        return text if _PRODUCT.fullmatch(text) else None
    return None if found.is_option else found.symbol
