"""What an order does to each Finding: it breaks a limit, makes a breach worse, or leaves one that is not known.

Compared are levels and headroom, never signs of values: headroom is in the unit of the limit, whichever side it is on.
A breach is worse when its headroom shrinks by more than a millionth of its limit (`TOLERANCE`), which is far above what
rounding can do and far below one contract.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from guardrails.findings import Finding, Level
from guardrails.gate.measures import gates
from guardrails.gate.values import FindingChange
from guardrails.orders import Order

TOLERANCE = 1e-6
"""of the limit, or of the value where that is larger: a change of headroom below it is rounding"""
_BY_VOLATILITY = frozenset({"short_vega", "gamma", "near_expiry_gamma", "vega_concentration"})
"""what shares and futures do not move"""


@dataclass(frozen=True, slots=True)
class Reach:
    """What an order can move: its account, its instruments, and whether it trades anything but shares and futures."""

    account: str
    keys: frozenset[str]
    sold: frozenset[str]
    """keys of which it sells"""
    linear: bool

    def has(self, change: FindingChange) -> bool:
        """Whether the order can move what `change` is about; portfolio figures always, when in doubt."""
        kind, _, name = change.subject.partition(":")
        if kind == "account":
            return name == self.account or name.startswith(f"{self.account}:")
        if kind == "position":
            return any(name == key or name.endswith(f" {key}") for key in self.keys)
        return not (self.linear and change.check in _BY_VOLATILITY)

    def sells(self, change: FindingChange) -> bool:
        """Whether it sells of the position that `change` is about, in its account."""
        return any(change.subject == f"position:{self.account} {key}" for key in self.sold)


def reach_of(order: Order) -> Reach:
    """What `order` can move."""
    return Reach(
        account=str(order.account),
        keys=frozenset(leg.instrument.key for leg in order.legs),
        sold=frozenset(leg.instrument.key for leg in order.legs if leg.ratio < 0),
        linear=not any(leg.instrument.is_option for leg in order.legs),
    )


def changes_of(before: Iterable[Finding], after: Iterable[Finding]) -> tuple[FindingChange, ...]:
    """Every subject of every check without and with the order, in no order; what only one side names is quiet there.

    Two accounts may bear the same mask: of what both have the worst is held against the worst, the next against the
    next, so that what gets worse in either shows.
    """
    old, new = _by_subject(before), _by_subject(after)
    pairs = (zip_longest(old.get(name, ()), new.get(name, ())) for name in dict.fromkeys((*new, *old)))
    return tuple(_change(*pair) for each in pairs for pair in each)


def _by_subject(findings: Iterable[Finding]) -> dict[tuple[str, str], tuple[Finding, ...]]:
    """The Findings of each check and subject, worst first."""
    found: dict[tuple[str, str], tuple[Finding, ...]] = {}
    for finding in findings:
        name = (finding.check, finding.subject)
        alike = found.get(name)
        found[name] = (finding,) if alike is None else tuple(sorted((*alike, finding), key=_mildness))
    return found


def _mildness(finding: Finding) -> tuple[int, float]:
    """The worse, the lower; what is not known is worst of its level."""
    return -finding.level.rank, -math.inf if finding.headroom is None else finding.headroom


def _change(old: Finding | None, new: Finding | None) -> FindingChange:
    told = new or old
    if told is None:
        raise ValueError("a change needs a finding before or after")
    return FindingChange(
        check=told.check,
        subject=told.subject,
        level_before=Level.NOT_APPLICABLE if old is None else old.level,
        level_after=Level.NOT_APPLICABLE if new is None else new.level,
        value_before=None if old is None else old.value,
        value_after=None if new is None else new.value,
        limit=None if new is None else new.limit,
        unit=told.unit,
        advisory=told.advisory,
        limit_before=None if old is None else old.limit,
        headroom_before=None if old is None else old.headroom,
        headroom_after=None if new is None else new.headroom,
        message="" if new is None else new.message,
    )


def counted(changes: Iterable[FindingChange], reach: Reach) -> Iterator[FindingChange]:
    """Those whose limit can refuse the order: what it can move, advisory ones left out."""
    return (each for each in changes if gates(each.check) and not each.advisory and reach.has(each))


def newly_breached(change: FindingChange) -> bool:
    """Whether a limit that was not broken is."""
    return change.level_after is Level.BREACH and change.level_before is not Level.BREACH


def worsened(change: FindingChange, reach: Reach) -> bool:
    """Whether a limit that was broken already is more so, or may be."""
    if change.level_before is not Level.BREACH or change.level_after is not Level.BREACH:
        return False
    if change.check == "short_option_expiry":  # days do not say how much is short
        return reach.sells(change)
    before, after = change.headroom_before, change.headroom_after
    if before is None or after is None:
        return True
    size = max(abs(change.limit or 0.0), abs(change.value_after or 0.0))
    return not before - after <= TOLERANCE * size or not math.isfinite(size)  # nothing compares with what is no number


def unknown(change: FindingChange) -> bool:
    """Whether the verdict with the order is not known."""
    return change.level_after is Level.UNKNOWN


def newly_unknown(change: FindingChange) -> bool:
    """Whether it is the order that makes it unknown."""
    return unknown(change) and change.level_before is not Level.UNKNOWN
