"""The last cycle: the Snapshot that pages read, and what the next cycle goes on from."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from guardrails.assess import Assessment
from guardrails.keeper import Published
from guardrails.memory import Memory
from guardrails.snapshot import Snapshot
from guardrails.snapshot.market import Change

_KEPT_CHANGES = 20


class Latest:
    """Told by the engine's loop, but for `forget`; each attribute is replaced whole, so that any thread may read it."""

    def __init__(self, names: tuple[str, ...], scenario: str, memory: Memory) -> None:
        self.names = names
        self.scenario = scenario
        """what the demo's market does; each scenario has a book and a memory of its own"""
        self.snapshot: Snapshot | None = None
        self.restored = False
        """True while `snapshot` is still the file of an earlier run"""
        self.watched_by = ""
        """the other program whose `snapshot` it is, while this one only shows what that one sees"""
        self.assessment: Assessment | None = None
        """the last one of this program"""
        self.memory = memory
        self.changes: tuple[Change, ...] = ()
        """of regime, the newest first"""
        self.cycles = 0
        self.time: datetime | None = None
        """of the last good cycle"""
        self.seconds: float | None = None
        """how long it took"""
        self._forgetting = threading.Event()

    @property
    def is_forgetting(self) -> bool:
        """Whether all of this is of a market that was exchanged for another meanwhile."""
        return self._forgetting.is_set()

    def forget(self, scenario: str) -> None:
        """The demo's market was exchanged for that of `scenario`; from any thread."""
        self.scenario = scenario
        self._forgetting.set()

    def begin_anew(self) -> None:
        """Remember nothing of the market before."""
        self._forgetting.clear()
        self.memory, self.changes = Memory(), ()

    def restore(self, snapshot: Snapshot) -> None:
        """Show what an earlier run has written, until this one has seen something."""
        self.snapshot, self.restored = snapshot, True

    def is_news(self, snapshot: Snapshot) -> bool:
        """Whether another program has seen this after what is shown and remembered here."""
        known = [history.last.time for history in self.memory.accounts.values() if history.last is not None]
        known += [] if self.snapshot is None else [self.snapshot.as_of]
        return all(snapshot.as_of > time for time in known)

    def adopt(self, published: Published, *, is_shown: bool) -> None:
        """Go on from what another program remembers; with `is_shown` it watches still, and its Snapshot is shown."""
        self.memory, self.changes = published.memory, published.snapshot.changes
        if is_shown:
            self.snapshot, self.restored = published.snapshot, False
            self.time, self.cycles = published.snapshot.as_of, self.cycles + 1

    def add_changes(self, changes: Sequence[Change]) -> tuple[Change, ...]:
        """What is known of changes of regime after these, in order of time."""
        self.changes = (*reversed(changes), *self.changes)[:_KEPT_CHANGES]
        return self.changes

    def see(self, snapshot: Snapshot, assessment: Assessment) -> None:
        """This program has seen this."""
        self.memory, self.assessment = assessment.memory, assessment
        self.snapshot, self.restored = snapshot, False

    def finish(self, time: datetime, seconds: float) -> None:
        """A cycle that began at `time` has ended well."""
        self.seconds = seconds
        self.time, self.cycles = time, self.cycles + 1
