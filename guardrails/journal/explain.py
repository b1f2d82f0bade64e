"""Positions that changed although nothing says why: no fill, no assignment, no expiry.

Fills and positions come on different ways and one may lag, so the caller compares with the last positions of which
everything was explained, hands over every fill and entry since then, and keeps since when a change stands unexplained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from guardrails import calendar, wording
from guardrails.execution.values import JournalEntry
from guardrails.findings import Finding, Level
from guardrails.instruments import Kind
from guardrails.journal.entries import latest_revisions
from guardrails.memory import account_key
from guardrails.orders import Fill
from guardrails.values import AccountId

Books = Mapping[AccountId, Mapping[str, float]]
"""signed quantities by `Instrument.key`, by account; an account that was not read is absent, never empty"""

CHECK = "position_change"
PATIENCE = timedelta(minutes=2)
"""of an open market: fills lag by seconds"""
TOLERANCE = 1e-6
"""of a contract or a share; brokers give fractions of shares to four digits"""
_MONEY = f"{Kind.CASH.value}:"
"""moves with every trade, fee and interest"""
_SHARES = f"{Kind.EQUITY.value}:"


@dataclass(frozen=True, slots=True)
class PositionChange:
    """What of a change nothing explains."""

    account: AccountId
    key: str
    quantity: float
    """signed: more than is explained, or less"""
    before: float
    after: float


def unexplained(
    before: Books, after: Books, fills: Sequence[Fill], known_assignments: Sequence[JournalEntry] = ()
) -> tuple[PositionChange, ...]:
    """What changed from `before` to `after` beyond `fills`, outside ones included, and `known_assignments`.

    Both are those since `before` was true. Of an account that is in one of the books only nothing is said.
    """
    found = []
    for account in before.keys() & after.keys():
        then, now = before[account], after[account]
        rest = residual(account, then, now, fills, known_assignments)
        found += [
            PositionChange(account, key, left, then.get(key, 0.0), now.get(key, 0.0)) for key, left in rest.items()
        ]
    return tuple(sorted(found, key=lambda change: (str(change.account), change.key)))


def residual(
    account: AccountId,
    before: Mapping[str, float],
    after: Mapping[str, float],
    fills: Sequence[Fill],
    entries: Sequence[JournalEntry] = (),
) -> dict[str, float]:
    """By `Instrument.key` what of the change in `account` neither `fills` nor the legs of `entries` explain."""
    expected = dict(before)
    for fill in latest_revisions(fills):
        if fill.account in (account, account.hidden):
            expected[fill.instrument.key] = expected.get(fill.instrument.key, 0.0) + fill.quantity
    owner = account_key(account)
    for entry in entries:
        if entry.owner == owner or (not entry.owner and entry.account == str(account)):
            for leg in entry.legs:
                expected[leg.key] = expected.get(leg.key, 0.0) + leg.quantity
    left = {key: after.get(key, 0.0) - expected.get(key, 0.0) for key in {*after, *expected}}
    return {key: value for key, value in left.items() if abs(value) > TOLERANCE and not key.startswith(_MONEY)}


def position_change(
    change: PositionChange,
    since: datetime,
    now: datetime,
    *,
    market_open: bool,
    label: str = "",
    version: str = "",
    entry: str = "",
) -> Finding:
    """The Finding of a change that is unexplained since `since`: WATCH, after `PATIENCE` of an open market BREACH.

    `label` is the instrument for a person, `version` that of the matrix in force, `entry` the key of what the journal
    tells of it, by which a person accepts it.
    """
    lasted = _open_time(since, now) if market_open else timedelta()
    unit = unit_of(change.key)
    message = f"{change_words(change, label)} for {wording.age((now - since).total_seconds())}."
    return Finding(
        check=CHECK,
        subject=f"position:{change.account} {change.key}",
        level=Level.BREACH if lasted > PATIENCE else Level.WATCH,
        value=change.quantity,
        limit=0.0,
        unit=unit,
        headroom=-abs(change.quantity),
        message=message,
        evidence={"before": change.before, "after": change.after, "since": since.isoformat(), "entry": entry},
        data_age_seconds=None,
        next_action="Look at the broker's list of trades: did somebody trade elsewhere, or was it moved or adjusted? "
        "Once you know, accept it with a reason: on the Ticket page, or by `guardrails accept`.",
        matrix_version=version,
    )


def unit_of(key: str) -> str:
    """What a quantity of the instrument `key` is counted in."""
    return "shares" if key.startswith(_SHARES) else "contracts"


def counted(quantity: float, key: str) -> str:
    """`1 contract`, `-100 shares`: a quantity of the instrument `key`."""
    unit = unit_of(key)
    return wording.amount(quantity, unit.removesuffix("s") if abs(quantity) == 1 else unit)


def change_words(change: PositionChange, label: str = "") -> str:
    """What changed and how much of it nothing explains; no full stop."""
    name = label or change.key.partition(":")[2]
    moved = f"went from {wording.quantity(change.before)} to {wording.quantity(change.after)}"
    return (
        f"{name}, {change.account}: {moved}, and no fill, assignment or expiry explains "
        f"{counted(change.quantity, change.key)} of it"
    )


def _open_time(since: datetime, now: datetime) -> timedelta:
    """How much of the time since `since` the market has been open in this session, at most."""
    opened, _ = calendar.session_bounds(calendar.session_of(now))
    return now - max(since, opened) if calendar.is_open(now) else now - since
