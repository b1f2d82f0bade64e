"""What sets a stricter safety state by itself besides orders: a file STOP in the data folder, the daily loss, and a
CRITICAL alert that nobody takes: it may be that nobody is there.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from guardrails import wording
from guardrails.alerts.families import SAFETY_STATE
from guardrails.alerts.values import AlertRow, AlertsNow, Severity, State
from guardrails.execution.safety_file import SafetyFile
from guardrails.findings import Finding, Level
from guardrails.matrix.orders import Unacknowledged
from guardrails.redaction import redact
from guardrails.safety import Cause, SafetyState
from guardrails.snapshot import Snapshot

LOSS = "daily_loss"


def halt(safety: SafetyFile, snapshot: Snapshot | None, now: datetime, cooling_off: timedelta) -> None:
    """Obey the file, then the confirmed loss; reads and may write the disk."""
    safety.look(now, cooling_off)
    found = None if snapshot is None else loss_of_today(snapshot.findings)
    if found is not None:
        safety.tighten(SafetyState.NO_NEW_RISK, Cause.DAILY_LOSS, found.message, now, cooling_off)


def loss_of_today(findings: tuple[Finding, ...]) -> Finding | None:
    """The confirmed loss over its limit, if there is one."""
    return next((one for one in findings if one.check == LOSS and one.level is Level.BREACH), None)


def unacknowledged(alerts: AlertsNow | None, rules: Unacknowledged, now: datetime) -> str:
    """Which CRITICAL alert nobody has acknowledged or silenced in time, in words; empty when there is none.

    That the safety state is strict is none: it would hold itself.
    """
    late = [
        (row.asked, row)
        for row in (() if alerts is None else alerts.active)
        if row.asked is not None and _is_open(row) and now - row.asked >= timedelta(minutes=rules.after_minutes)
    ]
    if not late:
        return ""
    asked, row = min(late, key=lambda one: (one[0], one[1].identity))
    which = "a CRITICAL alert" if len(late) == 1 else f"{len(late)} CRITICAL alerts, one"
    lasted = wording.age((now - asked).total_seconds())
    return f"nobody has acknowledged {which} for {lasted}: {redact(row.problem.message)}"


def _is_open(row: AlertRow) -> bool:
    """Whether it is CRITICAL, nobody has taken it, and it is not seen to be right."""
    nobodys = row.state in (State.FIRED, State.ESCALATED) and row.right_since is None
    return row.severity is Severity.CRITICAL and nobodys and row.check != SAFETY_STATE
