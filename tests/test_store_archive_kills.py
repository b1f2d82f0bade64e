"""kill -9 in the middle of moving a day to files: before a statement, a commit, a change of a file or a folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from guardrails.store.archive import retire
from guardrails.store.database import Database
from tests.stored import ask, opened
from tests.test_store_archive import LATER, TABLES, keep_two_moments, kept, rows_in_database, rows_in_files
from tests.test_store_rollup import BOOK, at, begun, everything, snapshot

ROOT = Path(__file__).resolve().parents[1]
EVERY = 6
"""steps; every single one takes minutes"""
_FILES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")


def die_at(last: int, database: Database, archive: str) -> None:
    """Let this process end by SIGKILL before its step `last`."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(name: str, details: tuple[Any, ...]) -> None:
        if name in _FILES or (name == "open" and archive in str(details[0]) and details[2] & (os.O_WRONLY | os.O_RDWR)):
            step()

    sys.addaudithook(hear)
    event.listen(database.engine, "before_cursor_execute", lambda _c, _d, text, *_: text[:6] == "SELECT" or step())
    event.listen(database.engine, "commit", lambda _: step())


def die_everywhere(folder: Path, first: int) -> int:
    """A copy of the database of `folder` for every few steps, moved by a child that dies before it; the first step that
    none came to.
    """
    for n in count(first, EVERY):
        place = folder.parent / str(n)
        shutil.copytree(folder, place)
        if (child := os.fork()) == 0:
            database = opened(place)
            die_at(n, database, "archive")
            retire(database, place, 3, 0, LATER)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return n
    raise AssertionError


@pytest.mark.parametrize(("late", "first"), [(False, 3), (True, 5)])
def test_killed_anywhere_it_loses_nothing_and_ends_it_later(tmp_path: Path, *, late: bool, first: int) -> None:
    """`late`: the day is in files already, and rows have come since."""
    database = begun(tmp_path / "whole")
    keep_two_moments(database)
    if late:
        retire(database, tmp_path / "whole", 3, 0, LATER)
        snapshot(database, at("17:00"), complete=1)
    database.close()
    expected = kept(tmp_path / "whole")
    code = (
        f"from tests.{Path(__file__).stem} import *; print(die_everywhere(Path({str(tmp_path / 'whole')!r}), {first}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    end = int(run.stdout)
    assert end > 40
    database = opened(tmp_path / str(end))  # that one was not killed
    quarters = everything(database.folder)
    database.close()
    for n in range(first, end, EVERY):
        place = tmp_path / str(n)
        database = opened(place)
        assert kept(place) == expected, n
        retire(database, place, 3, 0, LATER)
        assert {table: rows_in_files(place, table) for table in TABLES} == expected, n
        assert not any(rows_in_database(place, table) for table in TABLES), n
        assert everything(place) == quarters, n
        left = {str(path.relative_to(place)) for path in (place / "archive").rglob("*.*")}
        left -= {file for (file,) in ask(place, "SELECT file FROM archives")}
        replaced = {f"archive/{BOOK}/2026-11-18/snapshots.parquet"} if late else set()  # it harms nobody
        assert left <= replaced, n
        database.close()
