"""What falls between two runs of a page's script: a tick as one has ended, and a press as one begins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.books import ROOT
from tests.one_session import LINES


def test_nothing_that_was_drawn_and_no_press_is_lost_between_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.one_session", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == {"texts": LINES + 1, "deeds": ["first", "second"]}, done.stderr
