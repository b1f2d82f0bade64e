"""A page that ticks just when it has been drawn reaches the browser whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.books import ROOT
from tests.drawn_twice import LINES


def test_what_was_drawn_is_handed_on_before_another_run_begins(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.drawn_twice", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == [str(LINES + 1)], done.stderr
