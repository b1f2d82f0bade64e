"""What the long runs of `benchmarks.store_faults` led to, as short tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrails.findings import Level
from guardrails.snapshot import Snapshot
from guardrails.store.roles import Part
from guardrails.store.writer import Writer
from tests.stored import (
    HEALTHY,
    MATRIX_TEXT,
    Lock,
    ask,
    clock,
    eventually,
    finding,
    hand,
    moment,
    opened,
    wait_for_parts,
)

OK, BREACH = Level.OK, Level.BREACH


def told(folder: Path, name: str, level: Level, seconds: float, *, locked: bool = False) -> None:
    """A program with a spool of its own sees one level and ends; while `locked` the database takes nothing from it."""
    database = opened(folder, busy_seconds=0.02)
    writer = Writer(database, folder / name, clock, retry_seconds=0.02)
    lock = Lock(folder) if locked else None
    writer.start()
    hand(writer, moment(seconds, findings=(finding(level),)))
    assert writer.settled(20)
    assert locked or eventually(lambda: writer.health().spooled == 0)
    writer.stop(20)
    if lock is not None:
        lock.release()
    database.close()


def test_rows_that_waited_in_a_spool_do_not_hide_a_later_change(tmp_path: Path, kind: str) -> None:
    """The first program cannot write and ends, a second one sees OK, then the first starts again and sees BREACH."""
    database = opened(tmp_path)
    with database.reading():
        pass
    database.close()
    told(tmp_path, "first", BREACH, 0, locked=True)
    told(tmp_path, "second", OK, 10)
    told(tmp_path, "first", BREACH, 20)
    query = "SELECT new FROM finding_transitions WHERE check_name = 'vega' ORDER BY time"
    assert ask(tmp_path, query) == [("BREACH",), ("OK",), ("BREACH",)]


def test_a_reader_is_shown_what_the_writer_sees(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_parts(monkeypatch)
    databases = opened(tmp_path), opened(tmp_path)
    first, second = (
        Writer(database, tmp_path / str(n), clock, retry_seconds=0.02, beat_seconds=0.05)
        for n, database in enumerate(databases)
    )
    names = [row.name for row in HEALTHY.snapshot.sources]
    first.start()
    assert first.part(names).watches
    second.start()
    assert eventually(lambda: not second.part(names).watches)
    for seconds in (0, 5):
        seen = moment(seconds)
        first.keep(seen, MATRIX_TEXT, HEALTHY.portfolio, memory=HEALTHY.memory)
        assert eventually(lambda seen=seen: _shown(second.part(names)) == seen), second.health()
    assert second.health().problem == ""
    for writer, database in ((first, databases[0]), (second, databases[1])):
        writer.stop(20)
        database.close()


def _shown(part: Part) -> Snapshot | None:
    return None if part.published is None else part.published.snapshot


def test_a_file_that_is_up_to_date_opens_while_another_program_writes(tmp_path: Path) -> None:
    opened(tmp_path).close()
    lock = Lock(tmp_path)
    try:
        database = opened(tmp_path, busy_seconds=0.02)
        with database.reading():
            pass
        database.close()
    finally:
        lock.release()
