"""What sets a stricter safety state by itself besides orders: a file STOP in the data folder, and the daily loss."""

from __future__ import annotations

from datetime import datetime, timedelta

from guardrails.execution.safety_file import SafetyFile
from guardrails.findings import Finding, Level
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
