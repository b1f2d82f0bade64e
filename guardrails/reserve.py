"""A file of lines with room kept behind them, so that a full disk does not refuse the next ones.

The room is zeros that have their place on the disk already. Lines are written over them, so nobody else can have taken
that place meanwhile. A file that begins with a zero holds nothing; else its lines end with the last line feed, and what
stands behind that was never acknowledged. No line holds a zero.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from guardrails.folders import sync_folder

ABSENT = (FileNotFoundError, NotADirectoryError)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
STEP = 262_144
"""room is taken by so many bytes, not anew for every line"""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that are kept in a file for the next lines, and that are wanted."""

    kept: int
    wanted: int

    @property
    def is_short(self) -> bool:
        """Whether the disk has no more."""
        return self.kept < self.wanted


@contextmanager
def opened(path: Path) -> Iterator[FileIO]:
    """The file, made with access for its owner only where there is none; OSError when it cannot be."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    is_new = not path.exists()
    handle = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "r+b", buffering=0) as file:
        if is_new:
            sync_folder(path.parent)
        yield file


def lines_end(file: FileIO) -> int:
    """Bytes of whole lines; the file is at its beginning then."""
    end = _last_line_feed(file)
    file.seek(0)
    return end


def end_of(file: FileIO) -> int:
    """Bytes of whole lines; what stands behind them is made zeros first, so that the next line can stand there."""
    end = _last_line_feed(file)
    _make_zeros(file, end)
    return end


def ends_at(path: Path, end: int) -> bool:
    """Whether the lines still end at byte `end`: nobody has added to the file, cut it or taken it away."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(max(end - 1, 0))
            around = file.read(2)
    except ABSENT:
        return end == 0
    before, behind = (around[:1], around[1:]) if end else (b"\n", around[:1])
    return before == b"\n" and behind in (b"", b"\0")


def put(file: FileIO, lines: bytes, at: int) -> None:
    """Write `lines` at byte `at`, behind which only zeros stand; on the disk when this returns.

    OSError when it cannot be written: then none of it stands there, unless the disk does not do that either.
    """
    try:
        try:
            put_over(file, lines, at)
        except OSError as error:
            if error.errno not in NO_ROOM or _size(file) < at + len(lines):
                raise
            # a file system that writes nothing in place (btrfs) wants new room for it: it gets that of the zeros
            os.ftruncate(file.fileno(), at)
            put_over(file, lines, at)
    except OSError:
        with suppress(OSError):
            _make_zeros(file, at)
        raise


def put_over(file: FileIO, content: bytes, at: int) -> None:
    """Write `content` at byte `at` over whatever stands there; on the disk when this returns."""
    _write(file, content, at)
    os.fsync(file.fileno())


def keep_room(file: FileIO, end: int, room: int) -> int:
    """See to it that `room` bytes are kept behind byte `end`, where the disk has them; how many are kept now."""
    if (kept := _kept(file, end)) >= room:
        return kept
    try:
        _allocate(file, end, room + STEP)
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (*NO_ROOM, errno.EFBIG):
            raise
    return _kept(file, end)


def empty(file: FileIO, room: int) -> None:
    """Take all lines out, and keep `room` bytes at most; a crash leaves all lines or none."""
    try:
        put_over(file, b"\0", 0)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        os.ftruncate(file.fileno(), 0)
    _make_zeros(file, 0)
    os.ftruncate(file.fileno(), min(_size(file), room + STEP))
    os.fsync(file.fileno())


def kept_in(path: Path) -> int:
    """Bytes that are kept in a file for the next lines; only looks. OSError when it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return _kept(file, lines_end(file))
    except ABSENT:
        return 0


def _kept(file: FileIO, end: int) -> int:
    """Bytes behind byte `end` that have a place on the disk; a copied file may have holes."""
    status = os.fstat(file.fileno())
    placed = status.st_blocks * 512 if sys.platform != "win32" else status.st_size
    return max(min(status.st_size, placed) - end, 0)


def _last_line_feed(file: FileIO) -> int:
    file.seek(0)
    if file.read(1) in (b"", b"\0"):
        return 0
    at = _size(file)
    while at > 0:
        start = max(at - _BLOCK, 0)
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _make_zeros(file: FileIO, at: int) -> None:
    """Make all behind byte `at` zeros; where that finds no room, the file ends there instead."""
    try:
        for start in range(at, _size(file), _BLOCK):
            file.seek(start)
            if used := len(file.read(_BLOCK).rstrip(b"\0")):
                _write(file, bytes(used), start)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        os.ftruncate(file.fileno(), at)


def _allocate(file: FileIO, at: int, room: int) -> None:
    """Give the zeros behind byte `at` their place on the disk; OSError when there is none."""
    if sys.platform == "linux":
        try:
            os.posix_fallocate(file.fileno(), at, room)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
        else:
            return
    for start in range(max(at, _size(file)), at + room, _BLOCK):  # what was written has a place
        _write(file, bytes(min(_BLOCK, at + room - start)), start)


def _write(file: FileIO, content: bytes, at: int) -> None:
    file.seek(at)
    left = memoryview(content)
    while left:  # a disk that becomes full takes a part first
        left = left[file.write(left) :]


def _size(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_size
