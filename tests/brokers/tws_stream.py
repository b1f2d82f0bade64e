"""Sends prepared updates to every open line at a steady rate, spread evenly, one write per client and beat."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.brokers.tws_session import Session

BEAT = 0.01
"""seconds between two batches"""


class Stream:
    """How many updates are due, and which line comes next."""

    def __init__(self) -> None:
        self.rate = 0.0
        """updates a second for each line"""
        self._due = 0.0
        self._last = time.monotonic()
        self._turn = 0

    def beat(self, sessions: Iterable[Session]) -> None:
        """Send what is due by now; a client that does not read is skipped, and no backlog over a second builds up."""
        now = time.monotonic()
        elapsed, self._last = min(now - self._last, 1.0), now
        if not self.rate:
            return
        lines = [(one, line) for one in sessions if one.keeps_up for line in one.lines.values() if line.updates]
        self._due = min(self._due, self.rate * len(lines)) + self.rate * len(lines) * elapsed
        batches: dict[Session, list[bytes]] = {}
        for _ in range(int(self._due)):
            self._turn = (self._turn + 1) % len(lines)
            session, line = lines[self._turn]
            line.at = (line.at + 1) % len(line.updates)
            batches.setdefault(session, []).append(line.updates[line.at])
        self._due %= 1.0
        for session, batch in batches.items():
            session.send(b"".join(batch))
