"""Where rows that must survive wait while the database cannot take them: a file of JSON Lines beside it.

Each line is `[table, [value, ...]]`. An append is on the disk when it returns; room is kept in the file, so that a full
disk does not refuse it (see `guardrails.reserve`). A crash can leave half a line at the end, which was never
acknowledged: it is taken away before the next append. Lines are taken in order, and the file is emptied only when the
database has them all; taking them twice is harmless (see `guardrails.store.schema`).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from guardrails import reserve
from guardrails.reserve import ABSENT, Room
from guardrails.store.inserts import Row
from guardrails.store.metadata import StoreError

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

FILE, REFUSED_FILE = "spool.jsonl", "refused.jsonl"
MAX_BYTES = 64_000_000
ROOM = 4_000_000
"""bytes kept behind the last line"""
_BATCH, _BLOCK = 500, 1 << 20
_MAX_FILES = 9

Sent = tuple[str, Row]
"""name of a table and one row of it"""


class Spool:
    """The file of waiting rows in `folder`; one thread takes from it, any may append.

    A second program with the same folder gets a file of its own. What it leaves is taken up by a later start.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.path, self._lock = _own_file(folder)
        self.refused_path = folder / REFUSED_FILE
        self.count = 0
        """lines that wait"""
        self.refused = 0
        """lines that no database takes, since the start; they are in `refused_path`"""
        self.room = 0
        """bytes that are kept for the next lines, on whatever disk"""
        self._taken = 0
        """bytes of which the database has the rows already"""
        self._size = 0
        """bytes of whole lines"""
        self._guard, self._looked, self._is_clean = threading.Lock(), False, False
        with suppress(OSError):  # then the first append finds out, and says why not
            self._look()
            self._keep_room()

    def append(self, rows: Sequence[Sent]) -> None:
        """Add `rows`, on the disk when this returns; StoreError when the file is full, OSError when the disk is."""
        if not rows:
            return
        content = b"".join(json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n" for row in rows)
        with self._guard:
            # somebody took the file away or cut it, or a second program writes it where files cannot be locked
            if not self._looked or not reserve.ends_at(self.path, self._size):
                self._look()
                self._is_clean = False
            if self._size + len(content) > self.max_bytes:
                raise StoreError(
                    f"{self.path.name} is full: it holds {self._size:,} of at most {self.max_bytes:,} bytes, and the "
                    f"next rows take {len(content):,}; make the database writable again."
                )
            with reserve.opened(self.path) as file:
                if not self._is_clean:
                    reserve.end_of(file)
                self._looked = self._is_clean = False  # should it fail
                reserve.put(file, content, self._size)
            self._looked = self._is_clean = True
            self._size += len(content)
            self.count += len(rows)
            self._keep_room()

    def batches(self) -> Iterator[list[Sent]]:
        """The waiting rows in order, by the hundred; asking for the next batch says that the database has the last."""
        while lines := self._next():
            rows = [_parsed(line) for line in lines]
            yield [row for row in rows if row is not None]
            self.refuse([line for line, row in zip(lines, rows, strict=True) if row is None])
            with self._guard:
                self.count -= len(lines)
                self._taken += sum(map(len, lines))
        with self._guard:
            if not self.count and self._size:
                self._empty()

    def refuse(self, lines: Sequence[bytes]) -> None:
        """Keep lines that no database takes in a file of their own, for a person to look at."""
        if lines:
            with reserve.opened(self.refused_path) as file:
                reserve.put(file, b"".join(lines), file.seek(0, os.SEEK_END))
            self.refused += len(lines)

    def keep_room(self) -> None:
        """Take the room that is wanted, once the disk has it again."""
        with self._guard:
            self._keep_room()

    def close(self) -> None:
        """Let another program have the file."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _next(self) -> list[bytes]:
        with self._guard:
            if not self.count:
                return []
            with self.path.open("rb") as file:
                file.seek(self._taken)
                lines = [line for line in (file.readline() for _ in range(min(_BATCH, self.count))) if line]
            if not lines:
                self._look()
            return lines

    def _empty(self) -> None:
        """Empty the file, but for rows that a second program has put there: then all are taken once more."""
        known = self._size
        if not reserve.ends_at(self.path, known):
            self._look()
        if self._size <= known:  # half a line is no row
            if self.path.exists():
                with reserve.opened(self.path) as file:
                    reserve.empty(file, ROOM)
            self._taken = self._size = self.count = 0
            self._keep_room()

    def _look(self) -> None:
        """Find out what the file holds; OSError when it is there and cannot be read."""
        size = count = 0
        with suppress(*ABSENT), self.path.open("rb", buffering=0) as file:
            size = reserve.lines_end(file)
            count = sum(file.read(min(_BLOCK, size - at)).count(b"\n") for at in range(0, size, _BLOCK))
        self._taken, self._size, self.count, self._looked = 0, size, count, True

    def _keep_room(self) -> None:
        """A disk that has no room has none for this either."""
        try:
            with reserve.opened(self.path) as file:
                self.room = reserve.keep_room(file, self._size, ROOM)
        except OSError as error:
            self.room = 0
            log.debug("no room is kept in %s: %s", self.path.name, error.strerror)


def waiting_rows(folder: Path) -> list[Sent]:
    """The rows in all spools of `folder`, also those of other programs and of rows that the database has already.

    A file that cannot be read is passed over, and so is half a line at its end.
    """
    found: list[Sent] = []
    for path in _names(folder):
        try:
            with path.open("rb", buffering=0) as file:
                lines = file.read(reserve.lines_end(file)).splitlines(keepends=True)
        except ABSENT:
            continue
        except OSError as error:
            log.warning("%s cannot be read: %s", path.name, error.strerror)
            continue
        rows = map(_parsed, lines)
        found += [row for row in rows if row is not None]
    return found


def room_in(folder: Path) -> Room:
    """What is kept in the spools of `folder` for the next rows of one program; only looks. OSError when it cannot."""
    return Room(max(map(reserve.kept_in, _names(folder))), ROOM)


def _names(folder: Path) -> list[Path]:
    return [folder / (FILE if n == 1 else f"spool.{n}.jsonl") for n in range(1, _MAX_FILES + 1)]


def _own_file(folder: Path) -> tuple[Path, int | None]:
    """A file that no other program uses, rather one that an earlier run has left rows in; and the lock on it."""
    names = _names(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(names, key=_is_empty):
            handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            if _locked(handle):
                return path, handle
            os.close(handle)
    except OSError as error:
        log.warning("rows that must survive cannot be spooled in %s: %s", folder, error.strerror)
    return names[0], None


def _locked(handle: int) -> bool:
    """Whether the open file is ours alone until it is closed, also by a crash; Windows has no such lock."""
    if sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _is_empty(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1) in (b"", b"\0")
    except ABSENT:
        return True


def _parsed(line: bytes) -> Sent | None:
    """The row in a line; None when it holds none, as after a fault of the disk."""
    try:
        name, values = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    return (name, tuple(values)) if isinstance(name, str) and isinstance(values, list) else None
