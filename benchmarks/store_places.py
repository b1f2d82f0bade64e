"""Empty stores for the benchmarks, a clock for programs that share one, and what of all they were told is missing."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks import book
from guardrails.store.database import Database, open_database
from tests.postgres import Server, start_server
from tests.stored import OnServer

Told = list[Any]
"""time in microseconds, check, subject and new level of one change"""


@dataclass(frozen=True, slots=True)
class Clock:
    """Real seconds from a moment at which the market is open."""

    began: float

    def __call__(self) -> datetime:
        return book.NOW + timedelta(seconds=time.monotonic() - self.began)


@dataclass(frozen=True, slots=True)
class Place:
    """One empty store."""

    kind: str
    folder: Path
    server: Server | None
    url: str

    def open(self, began: float, home: Path | None = None) -> Database:
        """Open it for a program with a folder of its own."""
        return open_database(home or self.folder, Clock(began), SecretStr(self.url) if self.url else None)


@contextmanager
def places(kinds: Sequence[str] = ("SQLite", "PostgreSQL")) -> Iterator[Iterator[Place]]:
    """An empty store of each kind, one after the other; the server is one of the tests'."""
    with ExitStack() as stack:
        yield (_place(kind, stack) for kind in kinds)


def _place(kind: str, stack: ExitStack) -> Place:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    if kind == "SQLite":
        return Place(kind, folder, None, "")
    server = start_server()
    stack.callback(server.remove)
    there = stack.enter_context(OnServer(server, folder))
    return Place(kind, folder, server, there.url.get_secret_value())


def missing(told: Sequence[Told], stored: Sequence[Sequence[Any]]) -> list[str]:
    """What was told and is not stored, or not in its order, by check and subject; rows as `Told`."""
    wanted, found = defaultdict(list), defaultdict(list)
    for time_, check, subject, level in told:
        wanted[check, subject].append((time_, level))
    for time_, check, subject, level in stored:
        found[check, subject].append((time_, level))
    wrong = []
    for key, changes in wanted.items():
        there = iter(found[key])
        lost = [change for change in changes if change not in there]
        wrong += [f"{key}: {change} is not stored in its place" for change in lost]
    return wrong
