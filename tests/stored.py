"""What the tests of the store share: moments to hand over, and plain sqlite3 to look at what was kept."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from guardrails.assess import Assessment
from guardrails.findings import Finding, Level
from guardrails.snapshot import Snapshot
from guardrails.store.database import FILE, Database, open_database
from guardrails.store.writer import Writer
from tests.books import NOW
from tests.healthy import GENEROUS, edited_text, healthy

MATRIX_TEXT = edited_text({f"regimes.*.limits.{key}": value for key, value in GENEROUS.items()})
"""the file of the healthy book's matrix"""
HEALTHY: Assessment = healthy().assess()


def clock() -> datetime:
    return datetime(2026, 11, 18, 15, 30, tzinfo=UTC)


def opened(folder: Path, busy_seconds: float = 5.0) -> Database:
    return open_database(folder, clock, busy_seconds)


def moment(seconds: float = 0.0, **changes: Any) -> Snapshot:
    """The healthy book some seconds after NOW."""
    return replace(HEALTHY.snapshot, as_of=NOW + timedelta(seconds=seconds), **changes)


def finding(level: Level, value: float | None = 1.0, check: str = "vega", subject: str = "portfolio") -> Finding:
    return Finding(check, subject, level, value, 2.0, "USD", 1.0, f"vega is {value}", {"value": value})


def hand(writer: Writer, snapshot: Snapshot, scenario: str = "", text: str = MATRIX_TEXT) -> None:
    writer.keep(snapshot, text, HEALTHY.portfolio, scenario)


def ask(folder: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of the file in `folder`, read by nothing of ours."""
    with closing(sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)) as connection:
        return connection.execute(query, values).fetchall()


def path_of_levels(folder: Path, subject: str = "portfolio", check: str = "vega") -> list[tuple[Any, Any]]:
    """Old and new level of every transition, in the order they were stored."""
    query = "SELECT old, new FROM finding_transitions WHERE check_name = ? AND subject = ? ORDER BY id"
    return ask(folder, query, check, subject)


class Lock:
    """Another program that holds the write lock."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / FILE, isolation_level=None, check_same_thread=False)
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether `condition` came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
