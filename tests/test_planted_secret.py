"""The secret scan of CI can fail: a planted DSN is found, the tree as it is passes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.books import ROOT

WORD = "x7Kq" * 4  # named plainly and put together here, or the scan would find this file


def scan(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "detect-secrets-hook"), "--baseline", str(ROOT / ".secrets.baseline")]
    return subprocess.run([*command, str(path)], capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_planted_dsn_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "settings.py"
    planted.write_text(f'DATABASE_URL = "postgresql+psycopg://desk:{WORD}@db.example.com/book"\n')
    found = scan(planted)
    assert found.returncode != 0
    assert WORD not in found.stdout


def test_the_settings_module_has_none() -> None:
    assert scan(ROOT / "guardrails" / "settings.py").returncode == 0
