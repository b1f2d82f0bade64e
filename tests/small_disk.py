"""A disk of a few megabytes that a test can fill."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_FILLER = "filler"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk in memory of its own at `folder`; the test is skipped where nothing may be mounted, as outside of root."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here ({type(error).__name__})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Take all that is free, to the last byte, as another program does that never ends; again after more is free."""
    with (disk / _FILLER).open("ab", buffering=0) as file:
        for size in (1 << 20, 4_096, 1):
            with suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass


def until_full(write: Callable[[int], object]) -> int:
    """How often `write`, which is told the number of the call, is done before the disk is full."""
    for count in range(10_000):
        try:
            write(count)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return count
    raise AssertionError("the disk never becomes full")


def make_room(disk: Path) -> None:
    """Give back what `fill` took."""
    (disk / _FILLER).unlink()
