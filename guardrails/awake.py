"""Whether this program may have slept past its lease: another one may watch the book by now, and tells its alerts."""

from __future__ import annotations

import time
from collections.abc import Callable

ASLEEP_SECONDS = 15.0
"""as long as `guardrails.store.lease.DEAD_SECONDS`: before that nobody else has taken over"""
HOLD_SECONDS = 4.0
"""a second more than a program waits to be told its part; then rather twice than never"""


class Awake:
    """The engine confirms its part at every pass; whoever tells somebody something asks `holds` before.

    From any thread. Seconds are those of a monotonic clock, which goes on while the process is stopped.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._confirmed: float | None = None
        """None before the first time: until then nobody has anything to tell"""
        self._noticed: float | None = None

    def now(self) -> float:
        """To be taken before the part is asked for, and given to `confirm`."""
        return self._steady()

    def confirm(self, asked_at: float) -> None:
        """The part that was asked for at `asked_at` is known, and acted upon."""
        self._confirmed, self._noticed = asked_at, None

    @property
    def slept(self) -> float:
        """Seconds without a confirmed part, when they are so many that another program may watch; else 0."""
        confirmed = self._confirmed
        gap = 0.0 if confirmed is None else self._steady() - confirmed
        return gap if gap > ASLEEP_SECONDS else 0.0

    def holds(self) -> bool:
        """Whether nothing is to be told now; for a few seconds only, should no part be confirmed."""
        if not self.slept:
            return False
        now, noticed = self._steady(), self._noticed
        if noticed is None:
            self._noticed = noticed = now
        return now - noticed < HOLD_SECONDS
