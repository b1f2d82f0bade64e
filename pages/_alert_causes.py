"""Which open alerts only follow from another: they are shown under it, and nobody needs to take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guardrails import wording
from guardrails.alerts.values import AlertRow, Reason, Severity
from pages._alerts import title_of
from pages._parts import counted

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Folded:
    """The open alerts as they hang together, in the order they came in."""

    own: tuple[AlertRow, ...]
    """what follows from nothing that is shown"""
    following: Mapping[str, tuple[AlertRow, ...]]
    """by identity of the first cause: what follows from it, also by way of another"""

    @property
    def count(self) -> int:
        """How many follow from others."""
        return sum(map(len, self.following.values()))


def folded(active: Sequence[AlertRow]) -> Folded:
    """`active` by cause. What is held by an alert that is not shown, and what is a BREACH, stands for itself."""
    known = {row.identity: row for row in active}
    own: list[AlertRow] = []
    following: dict[str, list[AlertRow]] = {}
    for row in active:
        cause = _first_cause(row, known)
        if cause is row:
            own.append(row)
        else:
            following.setdefault(cause.identity, []).append(row)
    return Folded(tuple(own), {name: tuple(rows) for name, rows in following.items()})


def mutes_words(rows: Sequence[AlertRow]) -> str:
    """`mutes 43 others: Theta, cap; Beta quality; Greeks coverage and 40 more`; nothing when there is none."""
    if not rows:
        return ""
    names = wording.names([title_of(row.identity) for row in rows], _NAMED, "; ")
    return f"mutes {counted(len(rows), 'other')}: {names}"


def counted_words(alerts: Folded) -> str:
    """`Open alerts: 1, and 43 that follow from it`."""
    words = f"Open alerts: {len(alerts.own)}" if alerts.own else "Open alerts"
    them = "it" if len(alerts.own) == 1 else "them"
    return f"{words}, and {alerts.count} that follow from {them}" if alerts.count else words


def _first_cause(row: AlertRow, known: Mapping[str, AlertRow]) -> AlertRow:
    """What `row` follows from in the end; itself when that is nothing, or a circle, in which nothing may hide."""
    cause, passed = row, {row.identity}
    while _follows(cause) and cause.held_by in known:
        cause = known[cause.held_by]
        if cause.identity in passed:
            return row
        passed.add(cause.identity)
    return cause


def _follows(row: AlertRow) -> bool:
    return row.held is Reason.HELD_INHIBITED and row.severity.rank <= Severity.UNKNOWN.rank
