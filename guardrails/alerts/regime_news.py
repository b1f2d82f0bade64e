"""What a change of regime does to the book, in a sentence or two: until when the grace is, what is over or near."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from guardrails import wording
from guardrails.calendar import NEW_YORK
from guardrails.findings import Finding, Level
from guardrails.snapshot import Snapshot
from guardrails.titles import headline

_LONGEST = 140
"""characters; a message that is read on a telephone is short"""
_DETAILS = ((3, 2), (2, 1), (2, 0), (1, 0), (0, 0))
"""how many that are over and that are near are named, the first that is short enough"""


def limits_now(snapshot: Snapshot, now: datetime) -> str:
    """` Grace until 10:35:00 ET. Over: Gamma for a 1 % move, −$4,310 (limit −$3,500). Near: 2 limits.`

    Begins with a blank. What cannot be computed is never said to be within its limit.
    """
    limited = [finding for finding in snapshot.findings if finding.limit is not None]
    over = [finding for finding in limited if _is_over(finding)]
    near = [finding for finding in limited if finding.level is Level.WATCH and not _is_over(finding)]
    dark = sum(finding.level is Level.UNKNOWN for finding in snapshot.findings)
    until = snapshot.regime.grace_until
    grace = "" if until is None or until <= now else f" Grace until {until.astimezone(NEW_YORK):%H:%M:%S} ET."
    told = [_over(over, most, dark) + _named(" Near", near, few) for most, few in _DETAILS]
    return grace + " " + next((words for words in told if len(words) <= _LONGEST), told[-1])


def _is_over(finding: Finding) -> bool:
    """Also of a limit that only advises, which is no BREACH."""
    passed = finding.headroom is not None and finding.headroom < 0
    return finding.level is Level.BREACH or (finding.level is Level.WATCH and passed)


def _over(over: Sequence[Finding], most: int, dark: int) -> str:
    """What is over; `dark` findings are UNKNOWN."""
    if not over:
        return f"No limit that can be computed is over; {dark} cannot." if dark else "No limit is over."
    return _named("Over", over, most) + (f" {dark} cannot be computed." if dark else "")


def _named(what: str, found: Sequence[Finding], most: int) -> str:
    if not found:
        return ""
    if not most:
        return f"{what}: {len(found)} limit{'' if len(found) == 1 else 's'}."
    return f"{what}: {wording.names([_said(finding) for finding in found], most, '; ')}."


def _said(finding: Finding) -> str:
    limit = wording.amount(finding.limit, finding.unit)
    value = "not known" if finding.value is None else wording.amount(finding.value, finding.unit)
    return f"{headline(finding.check, finding.subject)}, {value} (limit {limit})"
