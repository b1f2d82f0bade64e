"""What the log says when a light changes: every level that moved, the worst of them loudest."""

from __future__ import annotations

import logging

from guardrails.findings import Level
from guardrails.snapshot import Snapshot

log = logging.getLogger(__name__)


def announce(before: Snapshot | None, after: Snapshot) -> bool:
    """Log every level that moved, an expiry alarm as CRITICAL; whether any did."""
    old = {} if before is None else {(f.check, f.subject): f.level for f in before.findings}
    new = {(f.check, f.subject): f for f in after.findings}
    moved = False
    for key, finding in new.items():
        if old.get(key, Level.OK) is finding.level or (key not in old and finding.level.rank <= Level.OK.rank):
            continue
        moved = True
        alarm = finding.check == "short_option_expiry" and finding.level is Level.BREACH
        loud = (
            logging.CRITICAL if alarm else logging.WARNING if finding.level.rank >= Level.WATCH.rank else logging.INFO
        )
        log.log(loud, "%s %s %s: %s", finding.level.value, finding.check, finding.subject, finding.message)
    gone = {key for key, level in old.items() if level.rank >= Level.WATCH.rank and key not in new}
    return moved or bool(gone) or before is None or before.level is not after.level
