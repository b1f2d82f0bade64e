"""What the broker's what-if makes of an account's margin figures, and what stays unknown without it.

Initial and maintenance margin after an order are the broker's to say. Where he has not, the figures of before stand,
and as soon as a trade may take margin no verdict that rests on them clears anything: OK and WATCH become UNKNOWN. A
breach stays a breach: it was one before, or our own estimate proves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from guardrails.findings import Finding, Level
from guardrails.gate.projected_book import Change
from guardrails.gate.values import MarginChange
from guardrails.instruments import Instrument, Kind
from guardrails.portfolio import Portfolio
from guardrails.products import BROAD_INDEX_GROUPS, group_of
from guardrails.values import Account, AccountId, Margin, MarginView, Position

RESTS_ON_MARGIN = ("margin_cushion", "margin_utilisation", "margin_concentration", "stress_excess")
"""checks that read the margin figures of an account"""
UNASKED = "the broker has not said what the margin is with these trades"
_FUTURES = (Kind.FUTURE, Kind.FUTURE_OPTION)


def with_margin(account: Account, told: MarginChange, instruments: Iterable[Instrument]) -> Account:
    """`account` with its margin figures as the broker says that they are after trades in `instruments`.

    The current view of the whole account is as told; its other views move by as much. A segment moves only where all
    trades are of it; of two segments neither is credited with an improvement, both bear what gets worse. A figure is
    not known after where it is not known what it moves by.
    """
    now = _current(account)
    if told.maintenance_after is None or now is None:
        return account
    start = now.maintenance if told.maintenance_before is None else told.maintenance_before
    taken = None if start is None else told.maintenance_after - start
    said = None if told.at_least else told.excess_after
    lost = taken if said is None or now.excess is None else now.excess - said
    traded = list(instruments)
    segments = {_segment(one) for one in traded}
    return replace(
        account,
        margins=tuple(_moved(row, taken, lost, segments) for row in account.margins),
        margin_by_underlying=_by_underlying(account.margin_by_underlying, taken, traded),
    )


def is_told(told: MarginChange | None) -> bool:
    """Whether the broker said what the margin is after."""
    return told is not None and not told.unknown and told.maintenance_after is not None


def unasked(portfolio: Portfolio, changes: Sequence[Change], told: AccountId | None) -> tuple[AccountId, ...]:
    """Accounts whose margin is not known after `changes`; the broker has answered for the one `told`.

    Only what shrinks takes none, and not even that while the account is short beside it: it may have been the cover.
    """
    blind = (c.account for c in changes if c.account != told and not _takes_none(portfolio, c))
    return tuple(dict.fromkeys(blind))


def uncleared(findings: Iterable[Finding], accounts: Sequence[AccountId]) -> list[Finding]:
    """`findings`, of which none that rests on the margin of `accounts` clears anything."""
    names = {f"account:{account}" for account in accounts}
    return [_uncleared(finding, names) if names else finding for finding in findings]


def _uncleared(finding: Finding, names: set[str]) -> Finding:
    if finding.check not in RESTS_ON_MARGIN or finding.level not in (Level.OK, Level.WATCH):
        return finding
    ours = any(finding.subject == name or finding.subject.startswith(f"{name}:") for name in names)
    if not ours and finding.check != "margin_concentration":
        return finding
    return replace(
        finding,
        level=Level.UNKNOWN,
        value=None,
        headroom=None,
        message=f"{finding.message} Not cleared: {UNASKED}.",
        next_action="Ask the broker what the margin would be.",
        evidence={**finding.evidence, "margin": UNASKED},
    )


def _takes_none(portfolio: Portfolio, change: Change) -> bool:
    """Whether `change` cannot take margin: it shrinks, and nothing that needs margin may have leaned on it."""
    return change.shrinks and not any(
        position.account == change.account
        and position.instrument.key != change.key
        and _needs_margin(position)
        and _together(position.instrument, change.instrument)
        for position in portfolio.positions
    )


def _needs_margin(position: Position) -> bool:
    """Whether it is sold, may be, or is a future, which needs margin either way."""
    held = position.quantity
    return held is None or held < 0 or (held > 0 and position.instrument.kind is Kind.FUTURE)


def _together(one: Instrument, other: Instrument) -> bool:
    """Whether a rule of margin sets one against the other: the same group, two broad indices, or two futures."""
    groups = [group_of(each.underlying or each.symbol) for each in (one, other)]
    if groups[0] == groups[1] or BROAD_INDEX_GROUPS.issuperset(groups):
        return True
    return one.kind in _FUTURES and other.kind in _FUTURES


def _current(account: Account) -> Margin | None:
    rows = (row for row in account.margins if row.view is MarginView.CURRENT and row.segment == "total")
    return next(rows, None)


def _moved(row: Margin, taken: float | None, lost: float | None, segments: set[str]) -> Margin:
    if row.segment != "total" and row.segment not in segments:
        return row
    if row.segment != "total" and len(segments) > 1:
        taken, lost = (None if one is None else max(one, 0.0) for one in (taken, lost))
    return replace(
        row,
        maintenance=None if row.maintenance is None or taken is None else max(row.maintenance + taken, 0.0),
        excess=None if row.excess is None or lost is None else row.excess - lost,
    )


def _segment(instrument: Instrument) -> str:
    return "commodities" if instrument.kind in _FUTURES else "securities"


def _by_underlying(
    told: Mapping[str, float] | None, taken: float | None, traded: Sequence[Instrument]
) -> Mapping[str, float] | None:
    """Maintenance by underlying; of several traded at once nobody says which takes how much, so none is known."""
    if told is None:
        return None
    names = {instrument.underlying or instrument.symbol for instrument in traded}
    if len(names) != 1 or taken is None:
        return {name: figure for name, figure in told.items() if name not in names}
    name = names.pop()
    return {**told, name: max(told.get(name, 0.0) + taken, 0.0)}
