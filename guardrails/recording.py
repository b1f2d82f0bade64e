"""The two files of the data folder: the last Snapshot, and what the next run goes on from."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from pathlib import Path

from guardrails.errors import SourceError
from guardrails.latest import Latest
from guardrails.memory import remembered_as, sources_key, write_atomically, write_memory
from guardrails.snapshot import read_snapshot, to_json

log = logging.getLogger(__name__)

SNAPSHOT_FILE, STATE_FILE = "risk_snapshot.json", "state.json"


class Recording:
    """Writes both when a level moved, else every `seconds`."""

    def __init__(self, folder: Path, seconds: float, latest: Latest) -> None:
        self._snapshot_file, self._state_file = folder / SNAPSHOT_FILE, folder / STATE_FILE
        self._seconds, self._latest = seconds, latest
        self._due = asyncio.Event()
        self._guard = threading.Lock()
        """one writes at a time: what is slow on its way to the disk must not come down over the last words at a stop"""
        self.is_writable = True
        """whether the folder took what was written last"""

    def restore(self) -> None:
        """Show the last run's Snapshot at once, when it is of the same sources."""
        try:
            last = read_snapshot(self._snapshot_file)
        except (OSError, SourceError) as error:
            log.warning("the last snapshot cannot be shown: %s", error)
            return
        if last is not None and sources_key(row.name for row in last.sources) == sources_key(self._latest.names):
            self._latest.restore(last)

    def begin(self) -> None:
        """Belong to the loop that runs now."""
        self._due = asyncio.Event()

    def hurry(self) -> None:
        """Write at once."""
        self._due.set()

    async def run(self) -> None:
        """Wait until it is time, and write; OSError when that fails, and then it is due again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._due.wait()
        self._due.clear()
        try:
            await asyncio.to_thread(self.write)
        except Exception:
            self._due.set()
            raise

    def write(self) -> None:
        """Write what this program has seen itself; OSError when the folder takes nothing."""
        with self._guard:
            self._write()

    def _write(self) -> None:
        latest = self._latest
        if latest.snapshot is None or latest.restored or latest.watched_by or latest.is_forgetting:
            return
        try:
            write_atomically(self._snapshot_file, to_json(latest.snapshot))
            write_memory(self._state_file, remembered_as(latest.names, latest.scenario), latest.memory)
        except OSError:
            self.is_writable = bool(latest.watched_by)  # a program that only reads need not write
            raise
        self.is_writable = True
