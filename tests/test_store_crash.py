"""kill -9 while writing: the file opens, is sound, and holds every row that was acknowledged."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import event

from guardrails.findings import Level
from guardrails.store.database import FILE
from guardrails.store.writer import Writer
from tests.books import ROOT
from tests.stored import MATRIX_TEXT, Lock, ask, clock, eventually, finding, hand, moment, opened

KILLS, SEED = 20, 5
_CODE = "from tests.test_store_crash import kill_many; kill_many({folder!r}, {kills}, {seed})"


def test_no_acknowledged_row_is_lost_when_the_program_is_killed(tmp_path: Path) -> None:
    code = _CODE.format(folder=str(tmp_path), kills=KILLS, seed=SEED)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    killed = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(killed) == KILLS
    assert sum(one["inside"] for one in killed) == KILLS // 2
    assert all(one["signal"] == signal.SIGKILL for one in killed)
    assert sum(one["acknowledged"] for one in killed) > KILLS
    assert sum(one["spooled"] > 0 for one in killed) == KILLS // 4
    for one in killed:
        folder = Path(one["folder"])
        database = opened(folder)
        assert database.problems == ()
        writer = Writer(database, folder, clock, retry_seconds=0.02)
        writer.start()
        assert eventually(lambda writer=writer: writer.health().spooled == 0)
        writer.stop()
        database.close()
        with closing(sqlite3.connect(folder / FILE)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        stored = [row[0] for row in ask(folder, "SELECT value FROM finding_transitions ORDER BY id")]
        assert stored[: one["acknowledged"]] == list(range(one["acknowledged"]))
        assert stored == list(range(len(stored)))
        if one["acknowledged"]:
            assert ask(folder, "SELECT content FROM matrix_versions") == [(MATRIX_TEXT,)]


def kill_many(folder: str, kills: int, seed: int) -> None:
    """Fork a writer and kill it, `kills` times: half within a transaction, a quarter while only the spool takes rows.

    Says on standard output what each had acknowledged.
    """
    opened(Path(folder) / "first").close()  # so that no child spends its life on imports
    for n in range(kills):
        dice = random.Random(seed * 1000 + n)  # noqa: S311  # seeded on purpose
        place, inside = Path(folder) / str(n), n % 2 == 0
        lock = None
        if n % 4 == 3:
            opened(place).close()
            lock = Lock(place)
        answer = {"folder": str(place), "inside": inside, **_one_life(place, dice, inside=inside)}
        if lock is not None:
            lock.release()
        sys.stdout.write(json.dumps(answer) + "\n")


def _one_life(folder: Path, dice: random.Random, *, inside: bool) -> dict[str, Any]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _write(folder, writer, dice.randint(1, 120) if inside else None)
    os.close(writer)
    if not inside:
        select.select([reader], [], [], 20)
        time.sleep(dice.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    content = b""
    while part := os.read(reader, 65536):
        content += part
    os.close(reader)
    spool = folder / "spool.jsonl"
    spooled = spool.stat().st_size if spool.exists() else 0
    return {"signal": os.WTERMSIG(status), "acknowledged": len(content), "spooled": spooled}


def _write(folder: Path, acknowledge: int, last_statement: int | None) -> None:
    """Hand over for ever, one byte per acknowledged row; die within the n-th statement's transaction when asked to."""
    database = opened(folder, busy_seconds=0.02)
    seen = 0

    def die(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal seen
        seen += statement.startswith(("INSERT", "UPDATE"))
        if last_statement is not None and seen >= last_statement and connection.in_transaction():
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "after_cursor_execute", die)
    writer = Writer(database, folder, clock)
    writer.start()
    for n in range(1_000_000):
        hand(writer, moment(n, findings=(finding((Level.OK, Level.BREACH)[n % 2], float(n)),)))
        if writer.settled(20):
            os.write(acknowledge, b".")
