"""Environments of peers that need packages years older than ours: made at the first run and kept."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_cache_path


def environment(name: str, pinned: Sequence[str]) -> Path:
    """The python of an environment with the packages `pinned`, which is made (about a minute) when it is not there."""
    key = hashlib.sha256(" ".join((*pinned, sys.version)).encode()).hexdigest()[:12]
    folder = user_cache_path("portfolio-guardrails") / f"benchmark-peer-{key}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making the environment of {name} in {folder} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *pinned], check=True)
        (folder / "complete").touch()
    return python
